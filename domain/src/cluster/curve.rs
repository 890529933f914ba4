//! Accuracy against tokens: what searches would have answered at the same spending, read from their moments.

use super::view::CurvePoint;
use crate::job::{Moment, TaskCurve};
use crate::stats::{Interval, mean95};

/// Points of a curve.
const POINTS: u32 = 8;

/// Tokens per task at which all of `curves` are read: evenly apart in their logarithm, from where the first of them answers a task to
/// where the last of them has ended all.
pub(super) fn spendings(curves: &[&[TaskCurve]]) -> Vec<u64> {
    let moments =
        || curves.iter().copied().flatten().flat_map(|curve| &curve.moments).map(|moment| moment.tokens.max(1));
    let (Some(first), Some(last)) = (moments().min(), moments().max()) else { return Vec::new() };
    let ratio = last as f64 / first as f64;
    let at = |point: u32| (first as f64 * ratio.powf(f64::from(point) / f64::from(POINTS - 1))).round() as u64;
    let mut spendings: Vec<u64> = (0..POINTS).map(at).collect();
    spendings.dedup();
    spendings
}

/// The curve of one search at `spendings`: a task counts with what was answered within the spending, and as not solved if that was
/// nothing.
pub(super) fn curve(tasks: &[TaskCurve], spendings: &[u64]) -> Vec<CurvePoint> {
    let point = |most: &u64| {
        let within = |curve: &TaskCurve| curve.moments.iter().rfind(|moment| moment.tokens <= *most).copied();
        let moments: Vec<Option<Moment>> = tasks.iter().map(within).collect();
        let shares: Vec<f64> = moments.iter().map(|moment| moment.map_or(0.0, |moment| moment.share())).collect();
        let spent: u64 = moments.iter().flatten().map(|moment| moment.tokens).sum();
        let value = mean95(&shares)?;
        Some(CurvePoint { tokens: *most, spent: spent as f64 / tasks.len() as f64, value })
    };
    spendings.iter().filter_map(point).collect()
}

/// What a search answered in the end, and the tokens that a task cost it, in the mean.
pub(super) fn whole(tasks: &[TaskCurve]) -> Option<(Interval, f64)> {
    let last = |curve: &TaskCurve| curve.moments.last().copied();
    let shares: Vec<f64> = tasks.iter().map(|curve| last(curve).map_or(0.0, |moment| moment.share())).collect();
    let spent: u64 = tasks.iter().filter_map(last).map(|moment| moment.tokens).sum();
    mean95(&shares).map(|value| (value, spent as f64 / tasks.len() as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(task: u32, moments: &[(u64, u32, u32)]) -> TaskCurve {
        let moment = |&(tokens, answers, passes): &(u64, u32, u32)| Moment { tokens, answers, passes };
        TaskCurve { task, moments: moments.iter().map(moment).collect() }
    }

    #[test]
    fn a_task_counts_with_what_was_answered_within_the_spending() {
        let tasks = [task(0, &[(10, 1, 0), (20, 1, 1)]), task(1, &[(40, 2, 1)])];
        let points = curve(&tasks, &[5, 10, 20, 39, 40]);
        let read: Vec<(u64, f64, f64)> =
            points.iter().map(|point| (point.tokens, point.spent, point.value.mean)).collect();
        assert_eq!(read, [(5, 0.0, 0.0), (10, 5.0, 0.0), (20, 10.0, 0.5), (39, 10.0, 0.5), (40, 30.0, 0.75)]);
        let (value, spent) = whole(&tasks).unwrap();
        assert_eq!((value.mean, spent), (0.75, 30.0));
    }

    #[test]
    fn spendings_go_from_the_first_answer_of_any_search_to_the_end_of_all() {
        let (a, b) = ([task(0, &[(8, 1, 0), (64, 1, 0)])], [task(0, &[(1024, 1, 0)])]);
        let spendings = spendings(&[&a, &b]);
        assert_eq!(spendings, [8, 16, 32, 64, 128, 256, 512, 1024]);
        assert!(super::spendings(&[]).is_empty());
        assert_eq!(super::spendings(&[&[task(0, &[(3, 1, 1)])]]), [3]);
    }
}

//! pass@k: the expected share of tasks that at least one of k samples passes.

use super::interval::{Interval, mean95};

/// One task's unbiased estimate from `passes` of `samples` samples: 1 - C(n-c, k) / C(n, k) (Chen et al. 2021, "Evaluating
/// Large Language Models Trained on Code", equation 1), as the product that does not overflow. `None` if `samples` < `k`.
#[must_use]
pub fn task_estimate(samples: u32, passes: u32, k: u32) -> Option<f64> {
    if samples < k || passes > samples {
        return None;
    }
    if samples - passes < k {
        return Some(1.0);
    }
    let none: f64 = (samples - passes + 1..=samples).map(|i| 1.0 - f64::from(k) / f64::from(i)).product();
    Some(1.0 - none)
}

/// The mean over tasks, each `(samples, passes)`, with Student's interval over tasks; `None` without tasks or if one has
/// fewer than `k` samples.
#[must_use]
pub fn pass_at_k(tasks: impl IntoIterator<Item = (u32, u32)>, k: u32) -> Option<Interval> {
    let estimates: Option<Vec<f64>> =
        tasks.into_iter().map(|(samples, passes)| task_estimate(samples, passes, k)).collect();
    mean95(&estimates?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counted out: of all C(5, 2) = 10 pairs of 5 samples with 2 passes, 3 hold no pass.
    #[test]
    fn the_estimate_counts_subsets() {
        assert!((task_estimate(5, 2, 2).unwrap() - 0.7).abs() < 1e-12);
        assert_eq!(task_estimate(8, 0, 8), Some(0.0));
        assert_eq!(task_estimate(8, 1, 8), Some(1.0));
        assert_eq!(task_estimate(4, 1, 8), None);
    }

    #[test]
    fn the_estimate_equals_the_enumeration_of_all_subsets() {
        for (n, c, k) in [(6u32, 2u32, 3u32), (7, 3, 2), (8, 1, 4), (9, 4, 5)] {
            let subsets: Vec<u32> = (0..1u32 << n).filter(|set| set.count_ones() == k).collect();
            let passed = subsets.iter().filter(|set| *set & ((1 << c) - 1) != 0).count();
            let expected = passed as f64 / subsets.len() as f64;
            assert!((task_estimate(n, c, k).unwrap() - expected).abs() < 1e-12, "n {n} c {c} k {k}");
        }
    }

    #[test]
    fn too_few_samples_give_no_estimate() {
        assert_eq!(pass_at_k([(8, 3), (4, 1)], 8), None);
        let all = pass_at_k([(8, 8), (8, 8)], 8).unwrap();
        assert_eq!((all.mean, all.low, all.high), (1.0, 1.0, 1.0));
    }
}

//! 95% intervals of a share and of a mean.

use serde::{Deserialize, Serialize};

use super::student::{Z975, t975};

/// An estimate with its 95% interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    pub mean: f64,
    pub low: f64,
    pub high: f64,
}

/// The share `passes / n` with Wilson's score interval (Wilson 1927); `None` for `n` = 0.
#[must_use]
pub fn wilson95(passes: u64, n: u64) -> Option<Interval> {
    if n == 0 {
        return None;
    }
    let (share, count) = (passes.min(n) as f64 / n as f64, n as f64);
    let z2 = Z975 * Z975;
    let centre = (share + z2 / (2.0 * count)) / (1.0 + z2 / count);
    let half = Z975 / (1.0 + z2 / count) * (share * (1.0 - share) / count + z2 / (4.0 * count * count)).sqrt();
    let low = if passes == 0 { 0.0 } else { (centre - half).max(0.0) };
    let high = if passes >= n { 1.0 } else { (centre + half).min(1.0) };
    Some(Interval { mean: share, low, high })
}

/// The mean of values in 0..=1 with Student's interval, clamped to 0..=1; a single value says nothing about the spread,
/// so its interval is the whole range. `None` without values.
#[must_use]
pub fn mean95(values: &[f64]) -> Option<Interval> {
    let n = values.len();
    if n == 0 {
        return None;
    }
    let mean = values.iter().sum::<f64>() / n as f64;
    if n == 1 {
        return Some(Interval { mean, low: 0.0, high: 1.0 });
    }
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1) as f64;
    let half = t975(n as u64 - 1) * (variance / n as f64).sqrt();
    Some(Interval { mean, low: (mean - half).max(0.0), high: (mean + half).min(1.0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: Interval, low: f64, high: f64) {
        assert!((got.low - low).abs() < 1e-9 && (got.high - high).abs() < 1e-9, "{got:?} is not [{low}, {high}]");
    }

    /// `scipy.stats.binomtest(k, n).proportion_ci(0.95, method='wilson')`, scipy 1.17.
    #[test]
    fn wilson_equals_scipys_reference() {
        for ((passes, n), low, high) in WILSON {
            close(wilson95(passes, n).unwrap(), low, high);
        }
        assert_eq!(wilson95(0, 0), None);
    }

    const WILSON: [((u64, u64), f64, f64); 4] = [
        ((0, 10), 0.000000000000, 0.277532799863),
        ((7, 10), 0.396778147461, 0.892208732594),
        ((126, 400), 0.271420915665, 0.362098633239),
        ((400, 400), 0.990487705666, 1.000000000000),
    ];

    /// `scipy.stats.t.interval(0.95, n - 1, mean, sem)` of the values below, scipy 1.17.
    #[test]
    fn the_interval_of_a_mean_equals_scipys_reference_and_stays_in_range() {
        close(mean95(&[0.2, 0.4, 0.4, 0.9, 0.5]).unwrap(), 0.158603242927, 0.801396757073);
        close(mean95(&[0.0, 1.0]).unwrap(), 0.0, 1.0);
        close(mean95(&[0.7]).unwrap(), 0.0, 1.0);
        assert_eq!(mean95(&[]), None);
    }
}

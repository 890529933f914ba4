//! Turns snapshots of an evolution into text. Everything here is a pure function of the snapshot; `live` alone writes.

pub mod line;
pub mod live;
pub mod table;
pub mod tree;
pub mod verifiers;

use galapagos_domain::cluster::view::Interval;
use galapagos_domain::recipe::evaluate::Metric;

/// `0.740 ±0.061`: the estimate and half the width of its 95% interval.
#[must_use]
pub fn interval(value: &Interval) -> String {
    format!("{:.3} ±{:.3}", value.mean, (value.high - value.low) / 2.0)
}

/// `greedy pass@1`, `pass@8` (sampled), `best-of-8 by critic` (sampled): `pass@1` without a word before it is the mean over samples.
#[must_use]
pub fn metric(metric: &Metric) -> String {
    match metric {
        Metric::PassAt1 => "greedy pass@1".to_owned(),
        Metric::PassAt(k) => format!("pass@{k}"),
        Metric::BestOf(best) => format!("best-of-{} by {}", best.n, best.by),
    }
}

/// `0:41`, `12:05`, `1:02:03`.
#[must_use]
pub fn duration(ms: u64) -> String {
    let seconds = ms / 1000;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_a_clock() {
        assert_eq!(duration(41_900), "0:41");
        assert_eq!(duration(725_000), "12:05");
        assert_eq!(duration(3_723_000), "1:02:03");
    }
}

//! Turns snapshots of an evolution into text. Everything here is a pure function of the snapshot; `live` alone writes.

pub mod curves;
pub mod line;
pub mod live;
pub mod table;
pub mod tree;
pub mod verifiers;

use galapagos_domain::cluster::view::{Interval, Score};
use galapagos_domain::ids::Name;
use galapagos_domain::recipe::evaluate::Metric;
use galapagos_domain::task::dataset::Notes;

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
        Metric::PairAccuracy(pairs) => format!("pair accuracy of {}", pairs.by),
        Metric::Number(name) => name.to_string(),
        Metric::Search(name) => format!("search {name}"),
        Metric::Rerank(n) => format!("rerank@{n}"),
    }
}

/// `champion/sums greedy pass@1 0.740 ±0.061`; of searches also what a task cost, and whether they were told the right answer.
#[must_use]
pub fn score(score: &Score) -> String {
    let Score { called, tasks, value, .. } = score;
    let cost = score.tokens.map_or_else(String::new, |tokens| format!(" at {tokens:.0} tokens"));
    let knows = if score.knows { " (told)" } else { "" };
    format!("{called}/{tasks} {}{knows} {}{cost}", metric(&score.metric), interval(value))
}

/// What people should know of a data set that is used all the same; nothing of one that is clean.
#[must_use]
pub fn notes(set: &Name, notes: Notes) -> Option<String> {
    let said = [
        (notes.near_test, "rows of `test` are nearly copies of training rows"),
        (notes.near_val, "rows of `val` are nearly copies of training rows"),
        (notes.repeated, "rows repeat the prompt of another row of their split"),
    ];
    let said: Vec<String> =
        said.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    (!said.is_empty()).then(|| format!("note: data set `{set}`: {}", said.join("; ")))
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
    fn a_clean_data_set_is_not_worth_a_word() {
        let set = Name::new("sums").unwrap();
        assert_eq!(notes(&set, Notes::default()), None);
        let said = notes(&set, Notes { near_val: 0, near_test: 3, repeated: 1 }).unwrap();
        assert_eq!(
            said,
            "note: data set `sums`: 3 rows of `test` are nearly copies of training rows; 1 rows repeat the prompt of another row of their split"
        );
    }

    #[test]
    fn durations_read_as_a_clock() {
        assert_eq!(duration(41_900), "0:41");
        assert_eq!(duration(725_000), "12:05");
        assert_eq!(duration(3_723_000), "1:02:03");
    }
}

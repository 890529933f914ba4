//! `reproduce --list`: every experiment with what it claims, what it costs, and how far it is here.

use serde::Serialize;

use super::evidence::Known;
use crate::render::duration;
use crate::render::table::aligned;
use galapagos_domain::experiment::Outcome;

/// An experiment as it stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    pub name: String,
    pub claim: String,
    /// Runs that it needs, and those that are done in the folder that `reproduce` uses by itself.
    pub runs: usize,
    pub done: usize,
    pub seeds: usize,
    pub state: State,
    /// What all runs took when they were last made; absent if there is no evidence.
    pub seconds: Option<f64>,
    /// The day of the evidence.
    pub date: Option<String>,
}

/// What is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// There is no evidence.
    Unknown,
    /// There is, of an earlier form of the experiment or its recipe.
    OutOfDate,
    Holds,
    DoesNotHold,
}

impl Entry {
    /// What evidence there is, against the experiment's digest now.
    #[must_use]
    pub fn state(known: Option<&Known>, digest: &str) -> State {
        match known {
            None => State::Unknown,
            Some(known) if known.digest != digest => State::OutOfDate,
            Some(known) => match known.verdict {
                Outcome::Holds => State::Holds,
                Outcome::DoesNotHold => State::DoesNotHold,
            },
        }
    }
}

/// The list for people.
#[must_use]
pub fn listing(entries: &[Entry]) -> String {
    let heads = ["experiment", "state", "runs", "took", "claim"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    rows.extend(entries.iter().map(row));
    aligned(&rows)
}

fn row(entry: &Entry) -> Vec<String> {
    let state = match entry.state {
        State::Unknown => "not run".to_owned(),
        State::OutOfDate => "out of date".to_owned(),
        State::Holds => "holds".to_owned(),
        State::DoesNotHold => "does not hold here".to_owned(),
    };
    let state = match &entry.date {
        Some(date) => format!("{state} ({date})"),
        None => state,
    };
    let runs = if entry.done == 0 { entry.runs.to_string() } else { format!("{} of {}", entry.done, entry.runs) };
    let took = entry.seconds.map(|seconds| duration((seconds * 1000.0) as u64)).unwrap_or_default();
    vec![entry.name.clone(), state, runs, took, clipped(&entry.claim)]
}

/// As much of a claim as a line has room for.
fn clipped(claim: &str) -> String {
    const MOST: usize = 90;
    if claim.chars().count() <= MOST {
        return claim.to_owned();
    }
    let mut text: String = claim.chars().take(MOST - 1).collect();
    text.push('…');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_is_known_and_what_it_costs() {
        let entry = |state, done, date: Option<&str>| Entry {
            name: "tiny".into(),
            claim: "c".repeat(200),
            runs: 15,
            done,
            seeds: 5,
            state,
            seconds: date.map(|_| 600.0),
            date: date.map(str::to_owned),
        };
        let shown = listing(&[entry(State::Holds, 0, Some("2026-11-29")), entry(State::Unknown, 4, None)]);
        assert!(shown.contains("holds (2026-11-29)  15       10:00"), "{shown}");
        assert!(shown.contains("not run             4 of 15") && shown.contains("c…"), "{shown}");
    }
}

//! Finds what an id names and says why it is as it is. The facts are those that the decisions themselves read.

mod evolution;
mod job;
mod member;
mod round;
mod worker;

use super::explanation::{Explanation, Subject};
use super::{ClusterState, Evolution};
use crate::ids::{EvolutionId, JobId, RoundId, WorkerId};
use crate::time::Timestamp;

pub(super) fn explain(state: &ClusterState, now: Timestamp, id: &str) -> Option<Explanation> {
    let kinds = [
        ("evolution/", Subject::Evolution),
        ("job/", Subject::Job),
        ("round/", Subject::Round),
        ("member/", Subject::Member),
        ("worker/", Subject::Worker),
    ];
    let told = kinds.iter().find_map(|(prefix, kind)| Some((*kind, id.strip_prefix(prefix)?)));
    // An id without its kind is tried as each kind; a recipe may well be named `job`.
    let told = told.and_then(|(kind, bare)| state.explain_as(now, kind, bare));
    told.or_else(|| kinds.iter().find_map(|(_, kind)| state.explain_as(now, *kind, id)))
}

impl ClusterState {
    fn explain_as(&self, now: Timestamp, kind: Subject, id: &str) -> Option<Explanation> {
        match kind {
            Subject::Evolution => {
                let evolution = self.evolutions.get(&EvolutionId::new(id).ok()?)?;
                Some(self.explain_evolution(now, evolution))
            }
            Subject::Job => Some(self.explain_job(now, self.jobs.get(&JobId::new(id).ok()?)?)),
            Subject::Round => Some(self.explain_round(now, self.rounds.get(&RoundId::new(id).ok()?)?)),
            Subject::Member => self.explain_member(id),
            Subject::Worker => Some(self.explain_worker(now, self.roster.get(&WorkerId::new(id).ok()?)?)),
        }
    }

    /// What the running recipe step of an evolution waits for, if nothing of it runs.
    pub(super) fn waits_for(&self, now: Timestamp, evolution: &Evolution) -> Option<String> {
        self.waiting_on(now, evolution).map(|waiting| waiting.what)
    }
}

/// Why nothing happens.
struct Waiting {
    what: String,
    culprit: Option<String>,
    helps: Option<String>,
}

/// `850 ms`, `12 s`, `2m14s`, `3h05m`.
fn span(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0 => format!("{ms} ms"),
        1..60 => format!("{seconds} s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::span;

    #[test]
    fn spans_read_as_people_write_them() {
        let told: Vec<String> = [850, 12_300, 134_000, 11_100_000].into_iter().map(span).collect();
        assert_eq!(told, ["850 ms", "12 s", "2m14s", "3h05m"]);
    }
}

//! Why a round is where it is.

use super::{Explanation, Subject, span};
use crate::cluster::ClusterState;
use crate::cluster::round::{Round, RoundState};
use crate::time::Timestamp;

impl ClusterState {
    pub(super) fn explain_round(&self, now: Timestamp, round: &Round) -> Explanation {
        let mut facts: Vec<String> = round
            .failures
            .iter()
            .map(|failed| {
                let culprit = failed.culprit.as_ref();
                let whose =
                    culprit.map_or_else(String::new, |(rank, worker)| format!(" by rank {rank} on worker {worker}"));
                format!("try {} failed{whose}: {}", failed.token, failed.chain.join(": "))
            })
            .collect();
        if round.losses > 0 {
            facts.push(format!("{} tries lost a worker", round.losses));
        }
        facts
            .extend(round.saved.map(|saved| format!("in-round checkpoint after step {}: {}", saved.step, saved.state)));
        if let Some(lease) = round.table().and_then(|table| self.leases.round_try(table.token)) {
            for (rank, holder) in (0u32..).zip(&lease.ranks) {
                let said =
                    holder.progress.map(|said| format!("step {} of {}, loss {:.4}", said.step, said.steps, said.loss));
                let said = said.unwrap_or_else(|| "no step yet".to_owned());
                let heard = span(now.since(holder.heard));
                facts.push(format!("rank {rank} on worker {}: {said}, heard {heard} ago", holder.worker));
            }
        }
        let (waits_for, culprit, helps) =
            self.round_waits(now, round).map_or((None, None, None), |w| (Some(w.what), w.culprit, w.helps));
        Explanation {
            id: round.spec.id.to_string(),
            subject: Subject::Round,
            state: self.round_state(now, round),
            facts,
            waits_for,
            culprit,
            helps,
        }
    }

    fn round_state(&self, now: Timestamp, round: &Round) -> String {
        let tries = round.tries.len();
        let lease = round.table().and_then(|table| self.leases.round_try(table.token));
        let since = lease.map_or_else(String::new, |lease| format!(" for {}", span(now.since(lease.since))));
        match &round.state {
            RoundState::Waiting => format!("training of {}, waiting after {tries} tries", round.spec.role),
            RoundState::Preparing(preparing) => {
                let (ready, all) = (preparing.ready.len(), preparing.table.workers.len());
                format!("training of {}, try {tries}{since}: {ready} of {all} ranks ready", round.spec.role)
            }
            RoundState::Running(running) => {
                let (voted, all) = (running.votes.len(), running.table.workers.len());
                format!("training of {}, try {tries}{since}: {voted} of {all} ranks voted", round.spec.role)
            }
            RoundState::Committed(committed) => format!("committed {} in try {tries}", committed.member),
            RoundState::Failed(failed) => format!("failed: {}", failed.chain.join(": ")),
            RoundState::Revoked(revoked) => format!("revoked: {}", revoked.reason),
        }
    }
}

//! Why a round is where it is.

use super::{Explanation, Subject, span};
use crate::cluster::ClusterState;
use crate::cluster::round::{Round, RoundState};
use crate::round::RankProgress;
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
                let said = holder.progress.map_or_else(|| "no step yet".to_owned(), |said| told(&said, holder.rate));
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

/// `step 3 of 34, loss 0.4120, 1.31 s a step (forward 44%, backward 47%, communication 9%), 410 tok/s, 0.9 GiB`.
fn told(said: &RankProgress, rate: Option<f64>) -> String {
    let mut text = format!("step {} of {}, loss {:.4}", said.step, said.steps, said.loss);
    let total = said.time.total_ms();
    if total > 0 {
        let share = |ms: u32| 100 * u64::from(ms) / total;
        let parts = said.time.parts().into_iter().filter(|(_, ms)| share(*ms) > 0);
        let parts: Vec<String> = parts.map(|(part, ms)| format!("{part} {}%", share(ms))).collect();
        text += &format!(", {:.2} s a step ({})", total as f64 / 1e3, parts.join(", "));
    }
    if let Some(rate) = rate {
        text += &format!(", {rate:.0} tok/s");
    }
    if said.memory > 0 {
        text += &format!(", {:.1} GiB", said.memory as f64 / f64::from(1u32 << 30));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::round::StepTime;

    #[test]
    fn what_a_rank_told_is_one_short_phrase() {
        let begin = RankProgress { loss: 0.5, ..RankProgress::begin(3, 34) };
        assert_eq!(told(&begin, None), "step 3 of 34, loss 0.5000");
        let time = StepTime { data_ms: 1, forward_ms: 440, backward_ms: 470, communication_ms: 89, optimiser_ms: 0 };
        let said = RankProgress { time, memory: 3 << 29, ..begin };
        let expected = "step 3 of 34, loss 0.5000, 1.00 s a step (forward 44%, backward 47%, communication 8%), 410 tok/s, 1.5 GiB";
        assert_eq!(told(&said, Some(409.6)), expected);
    }
}

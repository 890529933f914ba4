//! Rounds under way in numbers: what their ranks last said. Decides nothing.

use super::ClusterState;
use super::lease::{RankLease, TryLease};
use super::round::Round;
use crate::ids::{EvolutionId, Name, RoundId, WorkerId};
use crate::round::{RankProgress, StepTime};

/// A round whose ranks train.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingView {
    pub round: RoundId,
    pub evolution: EvolutionId,
    pub role: Name,
    /// Ranks that have done a step in this try, in order.
    pub ranks: Vec<RankView>,
    /// Steps in the newest in-round checkpoint.
    pub saved_step: Option<u64>,
}

/// What one rank last said.
#[derive(Debug, Clone, PartialEq)]
pub struct RankView {
    pub rank: u32,
    pub worker: WorkerId,
    pub progress: RankProgress,
    /// Between its two latest reports of new steps.
    pub tokens_per_second: Option<f64>,
}

impl TrainingView {
    /// Tokens a second of all ranks together, once each has told two steps.
    #[must_use]
    pub fn tokens_per_second(&self) -> Option<f64> {
        self.ranks.iter().map(|rank| rank.tokens_per_second).sum()
    }
}

impl ClusterState {
    /// Every round under way whose ranks have said something, in order of id.
    #[must_use]
    pub fn training(&self) -> Vec<TrainingView> {
        self.rounds().filter_map(|round| self.training_of(round)).collect()
    }

    /// The same of one round; `None` while no rank has done a step.
    pub(super) fn training_of(&self, round: &Round) -> Option<TrainingView> {
        let lease = self.leases.round_try(round.table()?.token)?;
        let (ranks, spec) = (views(lease), &round.spec);
        (!ranks.is_empty()).then(|| TrainingView {
            round: spec.id.clone(),
            evolution: spec.evolution.clone(),
            role: spec.role.clone(),
            ranks,
            saved_step: round.saved.map(|saved| saved.step),
        })
    }
}

fn views(lease: &TryLease) -> Vec<RankView> {
    let view = |(rank, holder): (u32, &RankLease)| {
        let worker = holder.worker.clone();
        Some(RankView { rank, worker, progress: holder.progress?, tokens_per_second: holder.rate })
    };
    (0..).zip(&lease.ranks).filter_map(view).collect()
}

impl StepTime {
    /// Every part with its name, in milliseconds.
    #[must_use]
    pub fn parts(&self) -> [(&'static str, u32); 5] {
        [
            ("data", self.data_ms),
            ("forward", self.forward_ms),
            ("backward", self.backward_ms),
            ("communication", self.communication_ms),
            ("optimiser", self.optimiser_ms),
        ]
    }

    /// Milliseconds of the whole step.
    #[must_use]
    pub fn total_ms(&self) -> u64 {
        self.parts().iter().map(|(_, ms)| u64::from(*ms)).sum()
    }
}

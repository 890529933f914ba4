//! The metrics of rounds under way: what their ranks last said. The series of a round are gone from the scrape after it ended.

use std::sync::atomic::AtomicU64;

use galapagos_domain::cluster::training::{RankView, TrainingView};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RoundLabels {
    evolution: String,
    role: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RankLabels {
    evolution: String,
    role: String,
    rank: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PartLabels {
    evolution: String,
    role: String,
    rank: u32,
    part: &'static str,
}

type Real = Gauge<f64, AtomicU64>;

/// One family for each number.
#[derive(Default)]
pub(super) struct TrainingGauges {
    loss: Family<RoundLabels, Real>,
    grad_norm: Family<RoundLabels, Real>,
    lr: Family<RoundLabels, Real>,
    step: Family<RoundLabels, Gauge>,
    steps: Family<RoundLabels, Gauge>,
    saved_step: Family<RoundLabels, Gauge>,
    tokens_per_second: Family<RankLabels, Real>,
    memory_bytes: Family<RankLabels, Gauge>,
    step_seconds: Family<PartLabels, Real>,
}

impl TrainingGauges {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("round_loss", "Loss of a running round's latest step", self.loss.clone());
        registry.register("round_grad_norm", "Gradient norm of a running round's latest step", self.grad_norm.clone());
        registry.register("round_lr", "Learning rate of a running round's latest step", self.lr.clone());
        registry.register("round_step", "Optimiser steps that a running round has done", self.step.clone());
        registry.register("round_steps", "Optimiser steps that a running round has in all", self.steps.clone());
        let saved = "Steps in a running round's newest in-round checkpoint";
        registry.register("round_saved_step", saved, self.saved_step.clone());
        let tokens = "Tokens a second of a running rank, between its latest reports";
        registry.register("rank_tokens_per_second", tokens, self.tokens_per_second.clone());
        registry.register("rank_memory_bytes", "Resident memory of a running rank", self.memory_bytes.clone());
        let seconds = "Where the time of a running rank's latest step went";
        registry.register("rank_step_seconds", seconds, self.step_seconds.clone());
    }

    /// Shows these rounds and no others.
    pub(super) fn set(&self, training: &[TrainingView]) {
        [&self.loss, &self.grad_norm, &self.lr].into_iter().for_each(Family::clear);
        [&self.step, &self.steps, &self.saved_step].into_iter().for_each(Family::clear);
        self.tokens_per_second.clear();
        self.memory_bytes.clear();
        self.step_seconds.clear();
        for round in training {
            self.set_round(round);
            round.ranks.iter().for_each(|rank| self.set_rank(round, rank));
        }
    }

    /// Loss, gradient and rate are means over all ranks, so that any rank's will do: the first's.
    fn set_round(&self, round: &TrainingView) {
        let labels = RoundLabels { evolution: round.evolution.to_string(), role: round.role.to_string() };
        if let Some(said) = round.ranks.first().map(|rank| rank.progress) {
            self.loss.get_or_create(&labels).set(said.loss);
            self.grad_norm.get_or_create(&labels).set(said.grad_norm);
            self.lr.get_or_create(&labels).set(said.lr);
            self.step.get_or_create(&labels).set(whole(said.step));
            self.steps.get_or_create(&labels).set(whole(said.steps));
        }
        if let Some(step) = round.saved_step {
            self.saved_step.get_or_create(&labels).set(whole(step));
        }
    }

    fn set_rank(&self, round: &TrainingView, view: &RankView) {
        let (evolution, role, rank) = (round.evolution.to_string(), round.role.to_string(), view.rank);
        let labels = RankLabels { evolution: evolution.clone(), role: role.clone(), rank };
        if let Some(rate) = view.tokens_per_second {
            self.tokens_per_second.get_or_create(&labels).set(rate);
        }
        self.memory_bytes.get_or_create(&labels).set(whole(view.progress.memory));
        for (part, ms) in view.progress.time.parts() {
            let labels = PartLabels { evolution: evolution.clone(), role: role.clone(), rank, part };
            self.step_seconds.get_or_create(&labels).set(f64::from(ms) / 1e3);
        }
    }
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

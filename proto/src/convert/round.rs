//! `round.proto`: what ranks are told, and what they report.

use galapagos_domain::recipe::Head;
use galapagos_domain::round::{RankProgress, RankSpec, RoundSpec, Saved, StepTime, Vote};
use galapagos_domain::seed::Seed;

use super::{ConvertError, Fields, all, all_into, to_json};
use crate::v1;

impl From<Head> for v1::Head {
    fn from(head: Head) -> Self {
        match head {
            Head::Lm => Self::Lm,
            Head::Scalar => Self::Scalar,
            Head::Classes(_) => Self::Classes,
        }
    }
}

fn head(fields: Fields, value: i32, classes: u32) -> Result<Head, ConvertError> {
    match v1::Head::try_from(value) {
        Ok(v1::Head::Classes) if classes < 2 => Err(fields.out_of_range("head_classes", classes, "2 or more")),
        Ok(v1::Head::Classes) => Ok(Head::Classes(classes)),
        Ok(v1::Head::Lm) => Ok(Head::Lm),
        Ok(v1::Head::Scalar) => Ok(Head::Scalar),
        Ok(v1::Head::Unspecified) => Err(ConvertError::Missing { message: fields.0, field: "head" }),
        Err(_) => Err(fields.out_of_range("head", value, "the known heads")),
    }
}

impl From<RoundSpec> for v1::RoundSpec {
    fn from(spec: RoundSpec) -> Self {
        Self {
            round_id: spec.id.into(),
            evolution_id: spec.evolution.into(),
            role: spec.role.into(),
            head: v1::Head::from(spec.head).into(),
            start: Some(spec.start.into()),
            datasets: all_into(spec.datasets),
            train_json: to_json(&spec.train),
            seed: spec.seed.0,
            stall_limit_ms: spec.stall_limit_ms,
            head_classes: if let Head::Classes(classes) = spec.head { classes } else { 0 },
            optimiser: spec.optimiser.map(Into::into),
            reference: spec.reference.map(Into::into),
            critic: spec.critic.map(Into::into),
            mix: all_into(spec.mix),
        }
    }
}

impl TryFrom<v1::RoundSpec> for RoundSpec {
    type Error = ConvertError;
    fn try_from(wire: v1::RoundSpec) -> Result<Self, ConvertError> {
        let fields = Fields("RoundSpec");
        Ok(Self {
            id: fields.id("round_id", &wire.round_id)?,
            evolution: fields.id("evolution_id", &wire.evolution_id)?,
            role: fields.id("role", &wire.role)?,
            head: head(fields, wire.head, wire.head_classes)?,
            start: fields.digest("start", wire.start)?,
            datasets: all(wire.datasets)?,
            train: fields.fragment("train_json", &wire.train_json)?,
            seed: Seed(wire.seed),
            stall_limit_ms: wire.stall_limit_ms,
            optimiser: fields.optional_digest("optimiser", wire.optimiser)?,
            reference: fields.optional_digest("reference", wire.reference)?,
            critic: fields.optional_digest("critic", wire.critic)?,
            mix: all(wire.mix)?,
        })
    }
}

impl From<RankSpec> for v1::RankSpec {
    fn from(spec: RankSpec) -> Self {
        Self {
            round: Some(spec.round.into()),
            token: Some(spec.token.into()),
            rank: spec.rank,
            world_size: spec.world_size,
            resume: spec.resume.map(Into::into),
        }
    }
}

impl TryFrom<v1::RankSpec> for RankSpec {
    type Error = ConvertError;
    fn try_from(wire: v1::RankSpec) -> Result<Self, ConvertError> {
        let fields = Fields("RankSpec");
        if wire.rank >= wire.world_size {
            return Err(fields.out_of_range("rank", wire.rank, "0 to `world_size` - 1"));
        }
        Ok(Self {
            round: fields.message("round", wire.round)?,
            token: fields.token(wire.token)?,
            rank: wire.rank,
            world_size: wire.world_size,
            resume: wire.resume.map(TryInto::try_into).transpose()?,
        })
    }
}

impl From<Saved> for v1::Saved {
    fn from(saved: Saved) -> Self {
        Self { step: saved.step, state: Some(saved.state.into()) }
    }
}

impl TryFrom<v1::Saved> for Saved {
    type Error = ConvertError;
    fn try_from(wire: v1::Saved) -> Result<Self, ConvertError> {
        Ok(Self { step: wire.step, state: Fields("Saved").digest("state", wire.state)? })
    }
}

impl From<Vote> for v1::Vote {
    fn from(vote: Vote) -> Self {
        Self {
            weights: Some(vote.weights.into()),
            checkpoint: vote.checkpoint.map(Into::into),
            steps: vote.steps,
            final_loss: vote.final_loss,
            left_out: vote.left_out,
            optimiser: vote.optimiser.map(Into::into),
            ledger: vote.ledger.map(Into::into),
            guarded: vote.guarded,
            mismatch: vote.mismatch,
        }
    }
}

impl TryFrom<v1::Vote> for Vote {
    type Error = ConvertError;
    fn try_from(wire: v1::Vote) -> Result<Self, ConvertError> {
        let fields = Fields("Vote");
        Ok(Self {
            weights: fields.digest("weights", wire.weights)?,
            checkpoint: fields.optional_digest("checkpoint", wire.checkpoint)?,
            steps: wire.steps,
            final_loss: fields.finite("final_loss", wire.final_loss)?,
            left_out: wire.left_out,
            optimiser: fields.optional_digest("optimiser", wire.optimiser)?,
            ledger: fields.optional_digest("ledger", wire.ledger)?,
            guarded: wire.guarded,
            mismatch: wire.mismatch.map(|nats| fields.finite("mismatch", nats)).transpose()?,
        })
    }
}

impl From<RankProgress> for v1::RankProgress {
    fn from(progress: RankProgress) -> Self {
        let RankProgress { step, steps, loss, grad_norm, tokens, lr, time, memory, saved, guarded, mismatch } =
            progress;
        let StepTime { data_ms, forward_ms, backward_ms, communication_ms, optimiser_ms } = time;
        let saved = saved.map(Into::into);
        Self {
            step,
            steps,
            loss,
            grad_norm,
            tokens,
            lr,
            data_ms,
            forward_ms,
            backward_ms,
            communication_ms,
            optimiser_ms,
            memory,
            saved,
            guarded,
            mismatch,
        }
    }
}

impl TryFrom<v1::RankProgress> for RankProgress {
    type Error = ConvertError;
    fn try_from(wire: v1::RankProgress) -> Result<Self, ConvertError> {
        let fields = Fields("RankProgress");
        let v1::RankProgress { data_ms, forward_ms, backward_ms, communication_ms, optimiser_ms, .. } = wire;
        Ok(Self {
            step: wire.step,
            steps: wire.steps,
            loss: fields.finite("loss", wire.loss)?,
            grad_norm: fields.finite("grad_norm", wire.grad_norm)?,
            tokens: wire.tokens,
            lr: fields.finite("lr", wire.lr)?,
            time: StepTime { data_ms, forward_ms, backward_ms, communication_ms, optimiser_ms },
            memory: wire.memory,
            saved: wire.saved.map(TryInto::try_into).transpose()?,
            guarded: wire.guarded,
            mismatch: wire.mismatch.map(|nats| fields.finite("mismatch", nats)).transpose()?,
        })
    }
}

//! The frozen models of a round, and what they say of a batch before it is learned from: log-probabilities of reference and start,
//! values of a critic, and the advantages made of them.

use galapagos_domain::recipe::train::{
    Baseline, Credit, Kl, KlForm, KlPlace, Loss, PolicyGradient, Proximal, Scale, Train,
};
use tch::{Kind, Tensor};

use super::{Training, floats};
use crate::RankError;
use crate::advantage::{self, End, Gae, Moments};
use crate::data::batch::MicroBatch;
use crate::losses::{policy_gradient, preference};
use crate::objective::{Columns, Notes, Objective, kl_form};
use crate::subject::{Hidden, Subject, tensor};

/// What no optimiser moves in a round.
#[derive(Debug, Default)]
pub struct Frozen {
    /// Compared with by losses and penalties; the start itself, if absent.
    pub reference: Option<Subject>,
    /// The round's start: proximal policy, the critic's old values; and the target network, which the round moves after the weights.
    pub start: Option<Subject>,
    /// Values or classes of policy gradients.
    pub critic: Option<Subject>,
    /// Penalty in every token's reward.
    pub reward_kl: Option<(KlForm, f64)>,
}

impl Frozen {
    /// Whether a train step looks at the round's start while it moves away from it. `reference_is_start` where the reference is that.
    #[must_use]
    pub fn needs_start(train: &Train, reference_is_start: bool) -> bool {
        let compares = train.needs_reference() && reference_is_start;
        let of_loss = match &train.loss {
            Loss::Pg(pg) => matches!(pg.proximal, Proximal::Start { .. }),
            Loss::Value(_) | Loss::TdConservative(_) => true,
            _ => false,
        };
        compares || of_loss
    }

    /// The penalty that enters rewards.
    #[must_use]
    pub fn reward_kl(train: &Train) -> Option<(KlForm, f64)> {
        let penalty = train.kl.filter(|kl| kl.place == KlPlace::Reward);
        penalty.map(|Kl { form, weight, .. }| (form, weight))
    }

    fn reference(&self) -> Result<&Subject, RankError> {
        self.reference.as_ref().or(self.start.as_ref()).ok_or_else(|| missing("reference"))
    }

    fn start(&self) -> Result<&Subject, RankError> {
        self.start.as_ref().ok_or_else(|| missing("copy of its start"))
    }
}

fn missing(what: &str) -> RankError {
    RankError::Setting { what: format!("the round has no {what}, which its loss compares with") }
}

impl Training<'_> {
    /// What frozen models say of each of this rank's micro-batches.
    pub(super) fn annotate(&self, objective: &Objective, mine: &[&MicroBatch]) -> Result<Vec<Notes>, RankError> {
        let mut notes = mine.iter().map(|batch| self.note(objective, batch)).collect::<Result<Vec<_>, _>>()?;
        match &objective.loss {
            Loss::Pg(PolicyGradient { baseline: Baseline::Critic(critic), scale, .. }) => {
                let gae = Gae { gamma: critic.gamma, lambda: critic.lambda };
                let mut all = self.estimates(gae, mine, &mut notes, |advantage, _| advantage)?;
                if *scale != Scale::None {
                    self.whiten(&mut all)?;
                }
                self.store(&mut notes, all)?;
            }
            Loss::Value(value) => {
                let gae = Gae { gamma: value.gamma, lambda: value.lambda };
                let all = self.estimates(gae, mine, &mut notes, |_, return_| return_)?;
                self.store(&mut notes, all)?;
            }
            _ => {}
        }
        Ok(notes)
    }

    /// What judged records are compared with: how far the policy is from the reference on the mismatched answers of the whole batch, of
    /// which `beside` are this rank's; a scalar.
    pub(super) fn reference_point(&self, objective: &Objective, beside: &[MicroBatch]) -> Result<Tensor, RankError> {
        let failed = || tensor("compute the reference point");
        let mut sums = [0.0, 0.0];
        for batch in beside {
            let columns = Columns::new(batch, Notes::default(), self.subject.device())
                .map_err(tensor("lay out a micro-batch"))?;
            let log_probs =
                |subject: &Subject| self.log_probs(subject, &self.states(subject, objective, batch)?, &columns);
            let ratios = log_probs(self.subject)?.f_sub(&log_probs(self.frozen.reference()?)?).map_err(failed())?;
            sums[0] += floats(&ratios)?.iter().sum::<f64>();
            sums[1] += batch.lengths.len() as f64;
        }
        let sums = self.over_ranks(&sums)?;
        let mean = self.on_device(&[(sums[0] / sums[1]) as f32])?;
        preference::kto_reference_point(&mean).map_err(failed())
    }

    fn note(&self, objective: &Objective, batch: &MicroBatch) -> Result<Notes, RankError> {
        let mut notes = Notes::default();
        let frozen = self.frozen;
        let log_probs = |subject: &Subject| {
            let columns = Columns::new(batch, Notes::default(), self.subject.device())
                .map_err(tensor("lay out a micro-batch"))?;
            self.log_probs(subject, &self.states(subject, objective, batch)?, &columns)
        };
        if objective.compares() || (frozen.reward_kl.is_some() && objective.loss.value_critic().is_some()) {
            notes.reference = Some(log_probs(frozen.reference()?)?);
        }
        let head = |source| RankError::Forward { what: "the output head", source };
        let values = |subject: &Subject| {
            let hidden = self.states(subject, objective, batch)?;
            tch::no_grad(|| subject.model.scores_at(&hidden.states, &hidden.positions)).map_err(head)
        };
        match &objective.loss {
            Loss::Pg(pg) => {
                if matches!(pg.proximal, Proximal::Start { .. }) {
                    notes.proximal = Some(log_probs(frozen.start()?)?);
                }
                if let Baseline::Critic(_) = pg.baseline {
                    notes.old_values = Some(values(frozen.critic.as_ref().ok_or_else(|| missing("critic"))?)?);
                }
                if let Credit::CriticClass(_) = pg.credit {
                    notes.values = Some(self.by_class(objective, batch)?);
                }
            }
            Loss::Value(_) => notes.old_values = Some(values(frozen.start()?)?),
            Loss::TdConservative(_) => {
                let start = frozen.start()?;
                let hidden = self.states(start, objective, batch)?;
                let q = tch::no_grad(|| start.model.labels_at(&hidden.states, &hidden.positions)).map_err(head)?;
                notes.target_q = Some(q);
            }
            _ => {}
        }
        Ok(notes)
    }

    /// The advantages of marks, each times the probability that the critic gives its record's class behind the token itself.
    fn by_class(&self, objective: &Objective, batch: &MicroBatch) -> Result<Tensor, RankError> {
        let critic = self.frozen.critic.as_ref().ok_or_else(|| missing("critic"))?;
        let failed = || tensor("weigh tokens by the critic's classes");
        let hidden = self.states(critic, objective, batch)?;
        // A mark lies where its token is predicted; the state that has read the token is the next of the same sequence.
        let read = hidden.positions.f_add_scalar(1i64).map_err(failed())?;
        let logits = tch::no_grad(|| critic.model.labels_at(&hidden.states, &read));
        let logits = logits.map_err(|source| RankError::Forward { what: "the output head", source })?;
        let columns =
            Columns::new(batch, Notes::default(), self.subject.device()).map_err(tensor("lay out a micro-batch"))?;
        let classes = logits.size().last().copied().unwrap_or(0);
        if let Some(mark) = batch.marks.iter().find(|mark| mark.extra >= classes as f32) {
            let what = format!("a record has class {}, but the critic's classes are 0 to {}", mark.extra, classes - 1);
            return Err(RankError::Setting { what });
        }
        let weights = columns.extra.f_to_kind(Kind::Int64).and_then(|of| policy_gradient::class_credit(&logits, &of));
        weights.and_then(|weights| columns.values.f_mul(&weights)).map_err(failed())
    }

    fn states(&self, subject: &Subject, objective: &Objective, batch: &MicroBatch) -> Result<Hidden, RankError> {
        tch::no_grad(|| subject.hidden(batch, self.pass(objective)))
    }

    /// Advantages or returns of every mark, from its reward and the critic's values, sequence by sequence.
    fn estimates(
        &self,
        gae: Gae,
        mine: &[&MicroBatch],
        notes: &mut [Notes],
        choose: impl Fn(f64, f64) -> f64,
    ) -> Result<Vec<Vec<f64>>, RankError> {
        let failed = |source| RankError::Advantage { source };
        let mut all = Vec::with_capacity(mine.len());
        for (batch, notes) in mine.iter().zip(notes) {
            let values = notes.old_values.as_ref().map(floats).transpose()?.unwrap_or_default();
            let penalties = self.penalties(batch, notes)?;
            let mut of_batch = Vec::with_capacity(batch.marks.len());
            for range in batch.by_sequence() {
                let rewards: Vec<f64> = range
                    .clone()
                    .map(|i| f64::from(batch.marks[i].value) - penalties.get(i).copied().unwrap_or(0.0))
                    .collect();
                let (advantages, returns) =
                    advantage::gae(&rewards, &values[range], End::Terminated, gae).map_err(failed)?;
                of_batch
                    .extend(advantages.into_iter().zip(returns).map(|(advantage, return_)| choose(advantage, return_)));
            }
            all.push(of_batch);
        }
        Ok(all)
    }

    /// What the distance from the reference takes off each token's reward; empty without such a penalty.
    fn penalties(&self, batch: &MicroBatch, notes: &Notes) -> Result<Vec<f64>, RankError> {
        let (Some((form, weight)), Some(reference)) = (self.frozen.reward_kl, &notes.reference) else {
            return Ok(Vec::new());
        };
        let behaviour: Vec<f32> = batch.marks.iter().map(|mark| mark.behaviour).collect();
        let failed = || tensor("compute the penalty of rewards");
        let behaviour = self.on_device(&behaviour)?;
        let penalty = crate::losses::kl::kl(kl_form(form), &behaviour, reference).map_err(failed())?;
        Ok(floats(&penalty)?.into_iter().map(|penalty| weight * penalty).collect())
    }

    /// Advantages or returns become the values of the marks.
    fn store(&self, notes: &mut [Notes], all: Vec<Vec<f64>>) -> Result<(), RankError> {
        for (notes, values) in notes.iter_mut().zip(all) {
            let values: Vec<f32> = values.into_iter().map(|value| value as f32).collect();
            notes.values = Some(self.on_device(&values)?);
        }
        Ok(())
    }

    fn on_device(&self, values: &[f32]) -> Result<Tensor, RankError> {
        let made = Tensor::f_from_slice(values).and_then(|values| values.f_to_device(self.subject.device()));
        made.map_err(tensor("hold numbers"))
    }

    /// Mean 0 and deviation 1 over the whole batch.
    fn whiten(&self, all: &mut [Vec<f64>]) -> Result<(), RankError> {
        let failed = |source| RankError::Advantage { source };
        let mut here = Moments::default();
        for values in all.iter() {
            here = here + Moments::of(values, None).map_err(failed)?;
        }
        let Moments { count, sum, sum_of_squares } = here;
        let sums = self.over_ranks(&[count, sum, sum_of_squares])?;
        let everywhere = Moments { count: sums[0], sum: sums[1], sum_of_squares: sums[2] };
        for values in all {
            *values = advantage::whiten(values, None, everywhere, advantage::Whiten { centre: true, eps: 1e-8 })
                .map_err(failed)?;
        }
        Ok(())
    }
}

//! Forward and backward over a rank's micro-batches, with as little of the vocabulary's logits in memory at once as is efficient.
//!
//! The output projection and the loss of tokens are computed piece by piece behind a cut in the graph: each piece's backward leaves its
//! part of the gradient at the cut, from which one backward pass runs through the trunk. Gradients are those of the uncut graph.

use tch::{Kind, Tensor};

use super::{Spent, Training};
use crate::RankError;
use crate::data::batch::MicroBatch;
use crate::losses::likelihood;
use crate::objective::{Columns, Form, Notes, Objective, Part, Parts};
use crate::subject::{Hidden, Pass, Subject, forward, packed_positions, tensor};

/// What the backward passes of a step left beside the gradients: its sums, and of each micro-batch its loss per share and its records.
type Done = (Parts, Vec<(f64, Vec<u32>)>);

/// What the backward pass of one micro-batch is about.
#[derive(Clone, Copy)]
struct Work<'a> {
    objective: &'a Objective,
    batch: &'a MicroBatch,
    columns: &'a Columns,
    /// Factor of the loss.
    scale: f64,
    /// Whether it is the last of the step, whose gradients meet the other ranks'.
    reduces: bool,
}

impl Training<'_> {
    pub(super) fn gradients(
        &self,
        objective: &Objective,
        (mine, notes): (&[&MicroBatch], Vec<Notes>),
        scale: f64,
        spent: &mut Spent,
    ) -> Result<Done, RankError> {
        let (mut parts, mut losses) = (Parts::default(), Vec::new());
        if mine.is_empty() {
            self.backward.settle(|| self.zero_loss())?;
        }
        for (index, (batch, notes)) in mine.iter().zip(notes).enumerate() {
            let columns = Columns::new(batch, notes, self.subject.device()).map_err(tensor("lay out a micro-batch"))?;
            let reduces = index + 1 == mine.len();
            let work = Work { objective, batch, columns: &columns, scale, reduces };
            let of_batch = if self.recompute { self.recomputed(work, spent)? } else { self.kept(work, spent)? };
            losses.push((of_batch.get(Part::Loss) / batch.share, batch.rows.clone()));
            parts.merge(&of_batch);
        }
        Ok((parts, losses))
    }

    pub(super) fn pass(&self, objective: &Objective) -> Pass {
        Pass { precision: self.precision, layout: self.layout, both_sides: objective.both_sides() }
    }

    /// The usual way: what layers made is kept for the backward pass.
    fn kept(&self, work: Work<'_>, spent: &mut Spent) -> Result<Parts, RankError> {
        let hidden = self.subject.hidden(work.batch, self.pass(work.objective))?;
        spent.forward();
        let (cut, positions) = (leaf(&hidden.states)?, &hidden.positions);
        let (parts, last) = self.heads(work, (&cut, &hidden.states, positions), spent)?;
        let mut total = last;
        if let Some(gradient) = gradient(&cut)? {
            let through = hidden.states.f_mul(&gradient).and_then(|product| product.f_sum(Kind::Float));
            let through = through.map_err(tensor("join the graph at its cut"))?;
            total = total.f_add(&through).map_err(tensor("join the graph at its cut"))?;
        }
        if work.reduces {
            self.backward.last(&total)?;
        } else {
            self.backward.local(&total)?;
        }
        spent.backward();
        Ok(parts)
    }

    /// Layers are computed again, one after another from the last, and their gradients with them.
    fn recomputed(&self, work: Work<'_>, spent: &mut Spent) -> Result<Parts, RankError> {
        let pass = self.subject.packed(work.batch, self.pass(work.objective))?;
        let mut before = vec![tch::no_grad(|| pass.embedded()).map_err(forward)?];
        for layer in 0..pass.layers() {
            let x = before[layer].shallow_clone();
            before.push(tch::no_grad(|| pass.through(x, layer..layer + 1)).map_err(forward)?);
        }
        spent.forward();
        let top = leaf(&before.pop().unwrap_or_default())?;
        let hidden = pass.normed(&top).map_err(forward)?;
        let cut = leaf(&hidden)?;
        let positions = packed_positions(work.batch, self.subject.device())?;
        let (parts, last) = self.heads(work, (&cut, &cut, &positions), spent)?;
        self.backward.local(&last)?;
        let mut flowing = self.piece(&hidden, gradient(&cut)?, &top)?;
        for layer in (0..before.len()).rev() {
            let x = leaf(&before[layer])?;
            let y = pass.through(x.shallow_clone(), layer..layer + 1).map_err(forward)?;
            flowing = self.piece(&y, flowing, &x)?;
            before.truncate(layer);
        }
        let embedded = pass.embedded().map_err(forward)?;
        if embedded.requires_grad() {
            self.piece(&embedded, flowing, &embedded)?;
        }
        if work.reduces {
            // Every weight takes part once more, with a gradient of zero: that is what the reducer waits for.
            self.backward.settle(|| self.zero_loss())?;
        }
        spent.backward();
        Ok(parts)
    }

    /// Backward through what made `made` out of `from`, which `flowing` is the gradient of; returns that at `from`.
    fn piece(&self, made: &Tensor, flowing: Option<Tensor>, from: &Tensor) -> Result<Option<Tensor>, RankError> {
        let Some(flowing) = flowing else { return Ok(None) };
        let failed = || tensor("compute a layer's gradients");
        let total = made.f_mul(&flowing).and_then(|product| product.f_sum(Kind::Float)).map_err(failed())?;
        self.backward.local(&total)?;
        if from.is_leaf() { gradient(from) } else { Ok(None) }
    }

    /// The loss of a micro-batch times its scale: all but its last piece was run backward to `cut` already; the last reads `states`,
    /// and is returned.
    fn heads(
        &self,
        work: Work<'_>,
        (cut, states, positions): (&Tensor, &Tensor, &Tensor),
        spent: &mut Spent,
    ) -> Result<(Parts, Tensor), RankError> {
        let model = &self.subject.model;
        let of_head = |outputs: &Tensor| {
            let (sum, parts) = work.objective.of_head(outputs, work.columns).map_err(computed())?;
            Ok((parts, sum.f_mul_scalar(work.scale).map_err(computed())?))
        };
        match work.objective.form() {
            Form::Scalar => of_head(&model.scores_at(states, positions).map_err(head)?),
            Form::Classes => of_head(&model.labels_at(states, positions).map_err(head)?),
            Form::Hidden => {
                let (parts, sum) = of_head(&states.f_index_select(0, positions).map_err(computed())?)?;
                // A head that nothing reads must still bring a gradient.
                let zero = self.zero_loss().map_err(computed())?;
                Ok((parts, sum.f_add(&zero).map_err(computed())?))
            }
            Form::Tokens => {
                let piece = |states: &Tensor, (start, length)| {
                    let logits = self.logits(states, positions, (start, length))?;
                    let columns = work.columns.part(start, length).map_err(computed())?;
                    let (sum, parts) = work.objective.of_tokens(&logits, &columns).map_err(computed())?;
                    Ok((parts, sum.f_mul_scalar(work.scale).map_err(computed())?))
                };
                self.pieces((cut, states), work.columns.marks, piece, spent)
            }
            Form::Sequences => self.of_sequences(work, (cut, states, positions), spent),
        }
    }

    /// [`Training::heads`] of losses on whole sequences: the gradient at every log-probability is found first, without the logits'
    /// graph, and then carried through the logits piece by piece.
    fn of_sequences(
        &self,
        work: Work<'_>,
        (cut, states, positions): (&Tensor, &Tensor, &Tensor),
        spent: &mut Spent,
    ) -> Result<(Parts, Tensor), RankError> {
        let Work { objective, columns, scale, .. } = work;
        let hidden = Hidden { states: cut.f_detach().map_err(computed())?, positions: positions.shallow_clone() };
        let log_probs = leaf(&self.log_probs(self.subject, &hidden, columns)?)?;
        let (sum, mut parts) = objective.of_sequences(&log_probs, columns).map_err(computed())?;
        let sum = sum.f_mul_scalar(scale).map_err(computed())?;
        self.backward.local(&sum)?;
        let flowing = gradient(&log_probs)?
            .ok_or_else(|| RankError::Setting { what: "the loss does not depend on the policy".to_owned() })?;
        let piece = |states: &Tensor, (start, length)| {
            let logits = self.logits(states, positions, (start, length))?;
            let part = |column: &Tensor| column.f_narrow(0, start, length).map_err(computed());
            let log_probs = likelihood::token_log_probs(&logits, &part(&columns.targets)?).map_err(computed())?;
            let sum = log_probs.f_mul(&part(&flowing)?).and_then(|product| product.f_sum(Kind::Float));
            let sum = sum.map_err(computed())?;
            if objective.entropy == 0.0 {
                return Ok((Parts::default(), sum));
            }
            let (bonus, parts) = objective.of_entropy(&logits, &part(&columns.weights)?).map_err(computed())?;
            Ok((parts, bonus.f_mul_scalar(scale).and_then(|bonus| sum.f_add(&bonus)).map_err(computed())?))
        };
        let (of_pieces, last) = self.pieces((cut, states), columns.marks, piece, spent)?;
        parts.merge(&of_pieces);
        Ok((parts, last))
    }

    /// Logits of some of the marks.
    fn logits(&self, states: &Tensor, positions: &Tensor, (start, length): (i64, i64)) -> Result<Tensor, RankError> {
        let positions = positions.f_narrow(0, start, length).map_err(computed())?;
        self.subject.model.logits_at(states, &positions, self.precision).map_err(head)
    }

    /// Runs `piece` over marks and backward to `cut`, all but the last, which reads `states` and is returned.
    fn pieces(
        &self,
        (cut, states): (&Tensor, &Tensor),
        marks: i64,
        piece: impl Fn(&Tensor, (i64, i64)) -> Result<(Parts, Tensor), RankError>,
        spent: &mut Spent,
    ) -> Result<(Parts, Tensor), RankError> {
        let size = self.at_once(self.subject);
        let mut parts = Parts::default();
        let mut start = 0;
        while marks - start > size {
            let (more, sum) = piece(cut, (start, size))?;
            parts.merge(&more);
            spent.forward();
            self.backward.local(&sum)?;
            spent.backward();
            start += size;
        }
        let (more, last) = piece(states, (start, marks - start))?;
        parts.merge(&more);
        spent.forward();
        Ok((parts, last))
    }

    /// Marks whose logits by `subject` are computed at once.
    fn at_once(&self, subject: &Subject) -> i64 {
        (self.logits / subject.model.config().vocab_size.max(1)).clamp(1, 1 << 16) as i64
    }

    /// The log-probability of every mark's target `[marks]` by `subject`, without a graph.
    pub(super) fn log_probs(&self, subject: &Subject, hidden: &Hidden, columns: &Columns) -> Result<Tensor, RankError> {
        let computed = || tensor("compute log-probabilities");
        let size = self.at_once(subject);
        tch::no_grad(|| {
            let mut pieces = Vec::new();
            for start in (0..columns.marks).step_by(size as usize) {
                let length = size.min(columns.marks - start);
                let positions = hidden.positions.f_narrow(0, start, length).map_err(computed())?;
                let logits = subject.model.logits_at(&hidden.states, &positions, self.precision);
                let logits = logits.map_err(|source| RankError::Forward { what: "the output head", source })?;
                let targets = columns.targets.f_narrow(0, start, length).map_err(computed())?;
                pieces.push(likelihood::token_log_probs(&logits, &targets).map_err(computed())?);
            }
            Tensor::f_cat(&pieces, 0).map_err(computed())
        })
    }
}

/// A cut in the graph: the same numbers, from which gradients are collected.
fn leaf(tensor_: &Tensor) -> Result<Tensor, RankError> {
    tensor_.f_detach().and_then(|cut| cut.f_set_requires_grad(true)).map_err(tensor("cut the graph"))
}

/// The gradient that reached a cut.
fn gradient(cut: &Tensor) -> Result<Option<Tensor>, RankError> {
    let gradient = cut.f_grad().map_err(tensor("read a gradient"))?;
    Ok(gradient.defined().then_some(gradient))
}

fn computed() -> impl FnOnce(tch::TchError) -> RankError {
    tensor("compute the loss")
}

fn head(source: galapagos_model::ComputeError) -> RankError {
    RankError::Forward { what: "the output head", source }
}

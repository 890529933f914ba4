//! From what a model says of a micro-batch to the number that is minimised: a weighted sum over marks, sequences or pairs, which
//! the caller divides by the share of the whole batch. The mathematics of each loss stands in `losses`.
//!
//! `tokens` are losses of single tokens, computed piece by piece; `sequences` need whole sequences' log-probabilities; `heads`
//! read another head, or hidden states.

mod columns;
mod heads;
mod parts;
mod sequences;
mod tokens;

pub use columns::{Columns, Notes};
pub use parts::{Part, Parts};

use galapagos_domain::recipe::train::{Component, Kl, KlForm, KlPlace, Loss, PolicyGradient, Reads, Surrogate, Train};
use tch::{TchError, Tensor};

use crate::losses::kl;

/// What is minimised.
#[derive(Debug, Clone)]
pub struct Objective {
    pub(crate) loss: Loss,
    /// Penalty in the loss.
    pub(crate) kl: Option<Penalty>,
    pub(crate) entropy: f64,
}

/// A penalty on the distance from the reference, of each token.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Penalty {
    pub(crate) form: kl::KlForm,
    pub(crate) weight: f64,
    /// In place of `weight` on the tokens of the first learned part.
    pub(crate) first_turn: Option<f64>,
}

/// What an objective reads, and so how it is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Each token's logits, independent of the other tokens'.
    Tokens,
    /// The log-probabilities of all tokens of a sequence.
    Sequences,
    /// The scalar head.
    Scalar,
    /// The head with classes.
    Classes,
    /// Hidden states.
    Hidden,
}

impl Objective {
    /// The objective of a train step.
    #[must_use]
    pub fn new(train: &Train) -> Self {
        let penalty = train.kl.filter(|kl| kl.place == KlPlace::Loss);
        let kl = penalty.map(|Kl { form, weight, first_turn, .. }| Penalty { form: kl_form(form), weight, first_turn });
        Self { loss: train.loss.clone(), kl, entropy: train.entropy }
    }

    /// Plain likelihood, of data that is mixed in.
    #[must_use]
    pub fn likelihood() -> Self {
        Self { loss: Loss::Nll, kl: None, entropy: 0.0 }
    }

    /// How it is computed.
    #[must_use]
    pub fn form(&self) -> Form {
        match (&self.loss, self.loss.reads()) {
            (Loss::Dpo(_) | Loss::Kto(_) | Loss::DpoRegression(_) | Loss::Cpl(_), _)
            | (Loss::Pg(PolicyGradient { surrogate: Surrogate::SequenceClip(_), .. }), _) => Form::Sequences,
            (_, Reads::Tokens) => Form::Tokens,
            (_, Reads::Scalar) => Form::Scalar,
            (_, Reads::Classes) => Form::Classes,
            (_, Reads::Hidden) => Form::Hidden,
        }
    }

    /// Whether tokens see their whole sequence.
    #[must_use]
    pub fn both_sides(&self) -> bool {
        matches!(self.loss, Loss::Component(Component::Masked(_)))
    }

    /// Whether records are judged against a point that the whole batch's mismatched answers give: every second sequence is one.
    #[must_use]
    pub fn has_reference_point(&self) -> bool {
        matches!(self.loss, Loss::Kto(_))
    }

    /// Whether it needs the reference's log-probabilities.
    #[must_use]
    pub fn compares(&self) -> bool {
        self.kl.is_some() || self.loss.needs_reference()
    }

    /// The sum over tokens of their losses, from logits `[marks, vocabulary]`.
    ///
    /// # Errors
    /// If a column that the loss needs is missing, or a kernel fails.
    pub fn of_tokens(&self, logits: &Tensor, columns: &Columns) -> Result<(Tensor, Parts), TchError> {
        tokens::sum(self, logits, columns)
    }

    /// The sum over sequences or pairs, from the log-probability of every mark `[marks]`.
    ///
    /// # Errors
    /// As [`Objective::of_tokens`].
    pub fn of_sequences(&self, log_probs: &Tensor, columns: &Columns) -> Result<(Tensor, Parts), TchError> {
        sequences::sum(self, log_probs, columns)
    }

    /// The sum over tokens of what their entropy is rewarded with, for a sum over sequences to which it is added: from logits
    /// `[marks, vocabulary]` and the marks' weights.
    ///
    /// # Errors
    /// If a kernel fails.
    pub fn of_entropy(&self, logits: &Tensor, weights: &Tensor) -> Result<(Tensor, Parts), TchError> {
        tokens::entropy(self, logits, weights)
    }

    /// The sum over marks or pairs, from what a head says of every mark: `[marks]` of a scalar head, `[marks, classes]` of one with
    /// classes, `[marks, hidden]` of hidden states.
    ///
    /// # Errors
    /// As [`Objective::of_tokens`].
    pub fn of_head(&self, outputs: &Tensor, columns: &Columns) -> Result<(Tensor, Parts), TchError> {
        heads::sum(self, outputs, columns)
    }
}

pub(crate) fn kl_form(form: KlForm) -> kl::KlForm {
    match form {
        KlForm::K1 => kl::KlForm::K1,
        KlForm::K2 => kl::KlForm::K2,
        KlForm::K3 => kl::KlForm::K3,
    }
}

/// What came where an objective of another form was asked for.
fn misplaced(objective: &Objective) -> TchError {
    TchError::Shape(format!("`{}` cannot be computed from this", objective.loss.name()))
}

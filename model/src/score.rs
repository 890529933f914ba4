//! Scoring of whole sequences by a scalar model: critics, value and reward models.

use crate::compute::{ComputeError, Doing};
use crate::generate::prefill::prefill;
use crate::llama::fused::FusedModel;
use crate::{Llama, ModelKind, Precision};

/// A scalar model ready to score.
#[derive(Debug)]
pub struct ScalarModel {
    model: FusedModel,
}

/// Sequences whose keys and values are held at a time.
const SEQUENCES_AT_A_TIME: usize = 64;

impl ScalarModel {
    /// Copies the weights of `model` in the format of `precision`.
    ///
    /// # Errors
    /// [`ComputeError::WrongHead`] for a language model, [`ComputeError::Torch`] when libtorch cannot hold the copy.
    pub fn new(model: &Llama, precision: Precision) -> Result<Self, ComputeError> {
        if model.config().kind != ModelKind::Scalar {
            return Err(ComputeError::WrongHead { have: model.config().kind, need: ModelKind::Scalar });
        }
        Ok(Self { model: FusedModel::new(model, precision).doing("a copy of the weights")? })
    }

    /// The head's output (for outcome critics: the logit of success) at the last token of each sequence. A sequence's score
    /// does not depend on the others.
    ///
    /// # Errors
    /// [`ComputeError`] for an empty or too long sequence, an unknown token id, or a failing kernel.
    pub fn score(&self, sequences: &[Vec<u32>]) -> Result<Vec<f32>, ComputeError> {
        self.score_behind(&[], sequences)
    }

    /// As [`ScalarModel::score`], each sequence behind `prefix`, which is computed once.
    ///
    /// # Errors
    /// As [`ScalarModel::score`].
    pub fn score_behind(&self, prefix: &[u32], sequences: &[Vec<u32>]) -> Result<Vec<f32>, ComputeError> {
        self.check(prefix, sequences)?;
        let _no_gradients = tch::no_grad_guard();
        let shared = if prefix.is_empty() {
            None
        } else {
            prefill(&self.model, None, &[prefix]).doing("the shared prefix")?.key_values.into_iter().next()
        };
        let mut scores = Vec::with_capacity(sequences.len());
        for chunk in sequences.chunks(SEQUENCES_AT_A_TIME) {
            let run = || {
                let last = prefill(&self.model, shared.as_ref(), chunk)?.last;
                let scored = self.model.scores(&last)?;
                let missing = || tch::TchError::Shape("the model has no scalar head".to_owned());
                Vec::<f32>::try_from(&scored.ok_or_else(missing)?.f_to_device(tch::Device::Cpu)?)
            };
            scores.extend(run().doing("the scores")?);
        }
        Ok(scores)
    }

    fn check(&self, prefix: &[u32], sequences: &[Vec<u32>]) -> Result<(), ComputeError> {
        let config = self.model.config();
        for (index, sequence) in sequences.iter().enumerate() {
            let length = prefix.len() + sequence.len();
            if sequence.is_empty() {
                return Err(ComputeError::Empty { index });
            }
            if length > config.max_position_embeddings {
                return Err(ComputeError::TooLong { length, limit: config.max_position_embeddings });
            }
        }
        let mut all = prefix.iter().chain(sequences.iter().flatten());
        match all.find(|token| **token as usize >= config.vocab_size) {
            Some(token) => {
                Err(ComputeError::TokenOutOfRange { token: i64::from(*token), vocab_size: config.vocab_size })
            }
            None => Ok(()),
        }
    }
}

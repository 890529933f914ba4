//! An encoder that classifies sequences or tokens (BERT): judges, reward models of steps, text classifiers.
//!
//! Every token sees every real token of its sequence, before and after it. [`Encoder::classify`] takes lists of inputs and pads
//! nothing; training has padded batches, with padding on either side: positions count from the first column, padding included, as in
//! `transformers`.

use galapagos_kernels::AttentionSpec;
use tch::{Device, Kind, TchError, Tensor};

use crate::blocks::{Attend, Builder, Hold, Products, Projected, Rows};
use crate::compute::{ComputeError, Doing};
use crate::decoder::init;
use crate::decoder::network::Network;
use crate::weights::{Parameters, WeightsError};
use crate::{ModelConfig, ModelKind, Precision, family};

mod classify;

pub use classify::EncoderInput;

/// An encoder: configuration and weights. As in [`crate::Decoder`], an optimiser that changes the weights in place changes the
/// model.
#[derive(Debug)]
pub struct Encoder {
    config: ModelConfig,
    parameters: Parameters,
    network: Network,
}

/// Padded sequences, each tensor [batch, time] of 64-bit integers.
#[derive(Clone, Copy, Debug)]
pub struct EncoderBatch<'a> {
    /// Token ids; any valid id where there is padding.
    pub tokens: &'a Tensor,
    /// 1 for real tokens, 0 for padding; every sequence has a real token.
    pub mask: &'a Tensor,
    /// Segment of each token, as the tokenizer gives them for pairs of texts; `None` for all 0.
    pub types: Option<&'a Tensor>,
}

impl Encoder {
    /// A model of these weights, which must be exactly those `config` asks for.
    ///
    /// # Errors
    /// [`WeightsError`] names the first tensor that is missing, misshapen or not part of such a model, or says that the family is
    /// none of encoders.
    pub fn new(config: ModelConfig, parameters: Parameters) -> Result<Self, WeightsError> {
        if !config.family.is_encoder() {
            return Err(WeightsError::NotAnEncoder { family: config.family });
        }
        parameters.check(&config)?;
        let builder = Builder { parameters: &parameters, hold: Hold::Shared };
        let network =
            Network::new(&config, &family::plan(&config), &builder).map_err(|source| WeightsError::Build { source })?;
        Ok(Self { config, parameters, network })
    }

    /// A model with random weights, as [`crate::Decoder::init`].
    ///
    /// # Errors
    /// [`WeightsError::Tensor`] when libtorch cannot hold a tensor.
    pub fn init(config: ModelConfig, seed: u64, device: Device) -> Result<Self, WeightsError> {
        let parameters = init::parameters(&config, seed, device)?;
        Self::new(config, parameters)
    }

    /// The same trunk, copied, with a new random head of `kind` for `labels`.
    ///
    /// # Errors
    /// [`WeightsError::Tensor`] when libtorch cannot hold a tensor.
    pub fn with_head(&self, kind: ModelKind, labels: Vec<String>, seed: u64) -> Result<Self, WeightsError> {
        let config = ModelConfig { kind, labels, ..self.config.clone() };
        let parameters = init::new_head(&self.parameters, &config, seed)?;
        Self::new(config, parameters)
    }

    /// A copy with weights of `kind` on `device`, sharing nothing with this model.
    ///
    /// # Errors
    /// [`WeightsError::Tensor`] when libtorch cannot hold a tensor.
    pub fn copy_to(&self, kind: Kind, device: Device) -> Result<Self, WeightsError> {
        Self::new(self.config.clone(), self.parameters.copy_to(kind, device)?)
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The weights, in name order.
    #[must_use]
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Where the weights are.
    #[must_use]
    pub fn device(&self) -> Device {
        self.network.device()
    }

    /// Hidden states [batch, time, hidden]; those of padding mean nothing. Gradients flow if the weights are trainable.
    ///
    /// # Errors
    /// [`ComputeError`] for ids or segments the model has no embedding for, too many positions, a sequence without real tokens, or a
    /// failing kernel.
    pub fn hidden_states(&self, batch: &EncoderBatch<'_>, precision: Precision) -> Result<Tensor, ComputeError> {
        let (count, time) = batch.tokens.size2().doing("the shape of the tokens")?;
        let (length, limit) = (time as usize, self.config.max_position_embeddings);
        if length > limit {
            return Err(ComputeError::TooLong { length, limit });
        }
        let tokens = crate::compute::ids(batch.tokens, self.config.vocab_size, false)?;
        let types = match batch.types {
            Some(types) => crate::compute::ids(types, self.config.type_vocab_size, false)?,
            None => vec![0; tokens.len()],
        };
        let positions: Vec<u32> = (0..count).flat_map(|_| 0..time as u32).collect();
        let mut attend = BothWays { count, time, seen: self.seen(batch.mask, (count, time))? };
        let rows = Rows { tokens: &tokens, positions: &positions, ..Rows::default() };
        let mut forward = || {
            let products = Products::new(precision.kind());
            self.network.typed_trunk((&rows, &types), &mut attend, products)?.f_reshape([count, time, -1])
        };
        forward().doing("the hidden states")
    }

    /// What the head says [batch, labels] of whole sequences, in 32-bit floats, from [`Encoder::hidden_states`].
    ///
    /// # Errors
    /// [`ComputeError::WrongHead`] for a token classifier, or a failing kernel.
    pub fn sequence_logits(&self, hidden: &Tensor) -> Result<Tensor, ComputeError> {
        if self.config.kind == ModelKind::TokenClassifier {
            return Err(ComputeError::WrongHead { have: self.config.kind, need: ModelKind::SequenceClassifier });
        }
        self.labels(hidden.f_select(1, 0).doing("the first token's state")?)
    }

    /// What the head says [batch, time, labels] of each token, in 32-bit floats, from [`Encoder::hidden_states`].
    ///
    /// # Errors
    /// [`ComputeError::WrongHead`] for a classifier of sequences, or a failing kernel.
    pub fn token_logits(&self, hidden: &Tensor) -> Result<Tensor, ComputeError> {
        if self.config.kind != ModelKind::TokenClassifier {
            return Err(ComputeError::WrongHead { have: self.config.kind, need: ModelKind::TokenClassifier });
        }
        self.labels(hidden.shallow_clone())
    }

    fn labels(&self, states: Tensor) -> Result<Tensor, ComputeError> {
        let labels = self.network.labels(&states).doing("the labels")?;
        labels.ok_or(ComputeError::WrongHead { have: self.config.kind, need: ModelKind::SequenceClassifier })
    }

    /// The mask, checked, to be broadcast over heads and queries: [batch, 1, 1, time].
    fn seen(&self, mask: &Tensor, shape: (i64, i64)) -> Result<Tensor, ComputeError> {
        if mask.size2().doing("the shape of the mask")? != shape {
            return Err(TchError::Shape(format!("the mask is {:?}, the tokens are {shape:?}", mask.size())))
                .doing("the mask");
        }
        let counted = || {
            let real = mask.f_ne(0)?;
            let counts = real.f_sum_dim_intlist([1i64].as_slice(), false, Kind::Int64)?;
            Ok((Vec::<i64>::try_from(&counts.f_to_device(Device::Cpu)?)?, real.f_unsqueeze(1)?.f_unsqueeze(1)?))
        };
        let (counts, seen) = counted().doing("the mask")?;
        match counts.iter().position(|count| *count == 0) {
            Some(index) => Err(ComputeError::Empty { index }),
            None => Ok(seen),
        }
    }
}

/// Every row sees the real tokens of its sequence.
struct BothWays {
    count: i64,
    time: i64,
    seen: Tensor,
}

impl Attend for BothWays {
    fn attend(&mut self, _: usize, rows: &Projected, spec: &AttentionSpec) -> Result<Tensor, TchError> {
        attend_both_ways(rows, (self.count, self.time), Some(&self.seen), spec)
    }
}

/// The attention output of the rows of `count` sequences of `time` rows each, which see all of their sequence or what the mask, to be
/// broadcast over heads and queries, lets them see.
fn attend_both_ways(
    rows: &Projected,
    (count, time): (i64, i64),
    seen: Option<&Tensor>,
    spec: &AttentionSpec,
) -> Result<Tensor, TchError> {
    let (_, heads, head_dim) = rows.query.size3()?;
    let sequences = |rows: &Tensor| rows.f_reshape([count, time, -1, head_dim])?.f_transpose(1, 2);
    let mixed = Tensor::f_scaled_dot_product_attention(
        &sequences(&rows.query)?,
        &sequences(&rows.key)?,
        &sequences(&rows.value)?,
        seen,
        0.0,
        false,
        f64::from(spec.scale),
        false,
    )?;
    mixed.f_transpose(1, 2)?.f_reshape([count * time, heads, head_dim])
}

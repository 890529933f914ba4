//! A decoder of any family: its weights by name, its training forward and its heads.
//!
//! Training runs sequences one after another without padding (`packed`), or right-padded to a rectangle, through fused causal
//! attention; padding needs no mask, as no real position looks at a later one and the loss leaves padded positions out. Inference has copies of the weights and attention of its
//! own (`crate::inference`); the layers are the same.

use tch::{Device, Kind, TchError, Tensor};

use crate::blocks::{Builder, Hold, Products, Rows, WholeSequences};
use crate::compute::{ComputeError, Doing};
use crate::family;
use crate::lora::{Adapter, AdapterRange, AdapterRows, AppliedAdapter};
use crate::vision::{self, RowPatch};
use crate::weights::{Parameters, WeightsError};
use crate::{ModelConfig, ModelKind, Precision};

pub(crate) mod init;
pub(crate) mod network;
mod packed;

pub use packed::{PackedOptions, PackedPass};

use network::Network;

/// A model: configuration and weights.
///
/// The network holds second handles on the tensors of [`Decoder::parameters`], so an optimiser that changes those in place
/// changes the model.
#[derive(Debug)]
pub struct Decoder {
    config: ModelConfig,
    parameters: Parameters,
    network: Network,
}

impl Decoder {
    /// A model of these weights, which must be exactly those `config` asks for.
    ///
    /// # Errors
    /// [`WeightsError`] names the first tensor that is missing, misshapen or not part of such a model.
    pub fn new(config: ModelConfig, parameters: Parameters) -> Result<Self, WeightsError> {
        if config.family.is_encoder() {
            return Err(WeightsError::NotADecoder { family: config.family });
        }
        parameters.check(&config)?;
        let builder = Builder { parameters: &parameters, hold: Hold::Shared };
        let network =
            Network::new(&config, &family::plan(&config), &builder).map_err(|source| WeightsError::Build { source })?;
        Ok(Self { config, parameters, network })
    }

    /// A model with random weights: normal with deviation `initializer_range`, norms one, biases zero. The same seed gives
    /// the same bytes on every machine.
    ///
    /// # Errors
    /// [`WeightsError::Tensor`] when libtorch cannot hold a tensor.
    pub fn init(config: ModelConfig, seed: u64, device: Device) -> Result<Self, WeightsError> {
        let parameters = init::parameters(&config, seed, device)?;
        Self::new(config, parameters)
    }

    /// A scalar model on a copy of this model's trunk, with a new random head. This is how a critic starts from a policy.
    ///
    /// # Errors
    /// [`WeightsError::Tensor`] when libtorch cannot hold a tensor.
    pub fn to_scalar(&self, seed: u64) -> Result<Self, WeightsError> {
        self.with_head(ModelKind::Scalar, Vec::new(), seed)
    }

    /// A model with a new random head of `kind` for `labels` (of classifiers) on a copy of this model's trunk.
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

    /// Hidden states after the last norm, [batch, time, hidden], for `tokens` [batch, time] (64-bit integers, padded on the
    /// right with any valid id). Gradients flow if the weights are trainable. With [`Precision::Bf16`] the matrix products
    /// and attention run in bfloat16 on converted weights, and the residual stream, norms and gradients stay in 32 bits.
    ///
    /// # Errors
    /// [`ComputeError`] for ids outside the vocabulary, too many positions, or a failing kernel.
    pub fn hidden_states(&self, tokens: &Tensor, precision: Precision) -> Result<Tensor, ComputeError> {
        self.trunk(tokens, precision, None)
    }

    /// [`Decoder::hidden_states`] with `adapter` added to the projections it has updates for. To train the adapter alone, make its
    /// parameters trainable and this model's not.
    ///
    /// # Errors
    /// As [`Decoder::hidden_states`], and [`ComputeError::Adapter`] for an adapter of another base.
    pub fn adapted_hidden_states(
        &self,
        adapter: &Adapter,
        tokens: &Tensor,
        precision: Precision,
    ) -> Result<Tensor, ComputeError> {
        let applied = AppliedAdapter::shared(adapter, &self.config)
            .map_err(|source| ComputeError::Adapter { source: Box::new(source) })?;
        self.trunk(tokens, precision, Some(&applied))
    }

    fn trunk(
        &self,
        tokens: &Tensor,
        precision: Precision,
        adapter: Option<&AppliedAdapter>,
    ) -> Result<Tensor, ComputeError> {
        let (batch, time) = tokens.size2().doing("the shape of the tokens")?;
        let (ids, patches) = self.checked(tokens, time)?;
        let positions: Vec<u32> = (0..batch).flat_map(|_| 0..time as u32).collect();
        let range = adapter.map(|adapter| AdapterRange { rows: 0..ids.len(), adapter });
        let adapters = AdapterRows(range.as_slice());
        let rows = Rows { tokens: &ids, positions: &positions, adapters, patches: &patches };
        let forward = || {
            let x = self.network.trunk(&rows, &mut WholeSequences { batch, time }, Products::new(precision.kind()))?;
            self.network.normed(&x)?.f_reshape([batch, time, -1])
        };
        forward().doing("the hidden states")
    }

    /// Next-token logits `[n, vocabulary]` in 32-bit floats at chosen rows of the flattened hidden states: row `b * time + t`
    /// predicts token `t + 1` of sequence `b`. `rows` is `[n]`, 64-bit integers.
    ///
    /// # Errors
    /// [`ComputeError::WrongHead`] for a model without output projection, or a failing kernel.
    pub fn logits_at(&self, hidden: &Tensor, rows: &Tensor, precision: Precision) -> Result<Tensor, ComputeError> {
        let forward = || self.network.logits(&self.pick(hidden, rows)?, Products::new(precision.kind()));
        forward().doing("the logits")?.ok_or_else(|| self.wrong_head(ModelKind::CausalLm))
    }

    /// The scalar head's outputs `[n]` in 32-bit floats at chosen rows, as in [`Decoder::logits_at`].
    ///
    /// # Errors
    /// [`ComputeError::WrongHead`] for a language model, or a failing kernel.
    pub fn scores_at(&self, hidden: &Tensor, rows: &Tensor) -> Result<Tensor, ComputeError> {
        if self.config.kind != ModelKind::Scalar {
            return Err(self.wrong_head(ModelKind::Scalar));
        }
        let forward = || match self.network.labels(&self.pick(hidden, rows)?)? {
            Some(scores) => scores.f_squeeze_dim(-1).map(Some),
            None => Ok(None),
        };
        forward().doing("the scores")?.ok_or_else(|| self.wrong_head(ModelKind::Scalar))
    }

    /// What a classifier's head says `[n, labels]` in 32-bit floats at chosen rows, as in [`Decoder::logits_at`]: at every token
    /// of interest for token classifiers, at the last token of each sequence for sequence classifiers.
    ///
    /// # Errors
    /// [`ComputeError::WrongHead`] for a language model, or a failing kernel.
    pub fn labels_at(&self, hidden: &Tensor, rows: &Tensor) -> Result<Tensor, ComputeError> {
        let forward = || self.network.labels(&self.pick(hidden, rows)?);
        forward().doing("the labels")?.ok_or_else(|| self.wrong_head(ModelKind::SequenceClassifier))
    }

    /// Number format of the stored weights (the embedding's, if they differ).
    #[must_use]
    pub fn kind(&self) -> Kind {
        crate::weights::kind_of_weights(&self.parameters, &self.config)
    }

    fn pick(&self, hidden: &Tensor, rows: &Tensor) -> Result<Tensor, TchError> {
        hidden.f_reshape([-1, self.config.hidden_size as i64])?.f_index_select(0, rows)
    }

    fn wrong_head(&self, need: ModelKind) -> ComputeError {
        ComputeError::WrongHead { have: self.config.kind, need }
    }

    /// The token ids, row after row, and the patches among them, if the model has an embedding for each and positions enough.
    fn checked(&self, tokens: &Tensor, time: i64) -> Result<(Vec<u32>, Vec<RowPatch>), ComputeError> {
        let (length, limit) = (time as usize, self.config.max_position_embeddings);
        if length > limit {
            return Err(ComputeError::TooLong { length, limit });
        }
        let ids = crate::compute::ids(tokens, self.config.vocab_size, true)?;
        let patches = vision::patches(&self.config, ids.chunks_exact(length))?;
        Ok((ids, patches))
    }
}

//! The Llama transformer: its weights by name, its training forward and its heads.
//!
//! Training runs whole right-padded sequences through fused causal attention; padding needs no mask, as no real position
//! looks at a later one and the loss leaves padded positions out. Decoding has its own forward ([`crate::Generator`]),
//! made so that a row's result does not depend on what else is in the batch.

use tch::{Device, Kind, Tensor};

use crate::compute::{ComputeError, Doing};
use crate::weights::{Parameters, WeightsError, tensor_error};
use crate::{ModelConfig, ModelKind, Precision};

pub(crate) mod attention;
pub(crate) mod fused;
pub(crate) mod init;
pub(crate) mod layout;
pub(crate) mod linear;
mod mlp;
pub(crate) mod norm;
pub(crate) mod rope;

use attention::SelfAttention;
use linear::linear;
use mlp::Mlp;
use norm::rms_norm;
use rope::{Rope, Rotation};

/// A model: configuration and weights.
///
/// The blocks hold second handles on the tensors of [`Llama::parameters`], so an optimiser that changes those in place
/// changes the model.
#[derive(Debug)]
pub struct Llama {
    config: ModelConfig,
    parameters: Parameters,
    embedding: Tensor,
    blocks: Vec<Block>,
    final_norm: Tensor,
    head: Head,
}

#[derive(Debug)]
struct Block {
    input_norm: Tensor,
    attention: SelfAttention,
    post_norm: Tensor,
    mlp: Mlp,
}

#[derive(Debug)]
enum Head {
    /// The output projection [vocabulary, hidden].
    Vocabulary(Tensor),
    /// Weight [1, hidden] and bias [1].
    Scalar { weight: Tensor, bias: Tensor },
}

impl Llama {
    /// A model of these weights, which must be exactly those `config` asks for.
    ///
    /// # Errors
    /// [`WeightsError`] names the first tensor that is missing, misshapen or not part of such a model.
    pub fn new(config: ModelConfig, parameters: Parameters) -> Result<Self, WeightsError> {
        parameters.check(&config)?;
        let find = Finder { parameters: &parameters, config: &config };
        let blocks = (0..config.num_hidden_layers).map(|layer| find.block(layer)).collect::<Result<_, _>>()?;
        let head = match config.kind {
            ModelKind::CausalLm if config.tie_word_embeddings => Head::Vocabulary(find.tensor(layout::EMBEDDING)?),
            ModelKind::CausalLm => Head::Vocabulary(find.tensor(layout::LM_HEAD)?),
            ModelKind::Scalar => {
                Head::Scalar { weight: find.tensor(layout::SCORE_WEIGHT)?, bias: find.tensor(layout::SCORE_BIAS)? }
            }
        };
        let embedding = find.tensor(layout::EMBEDDING)?;
        let final_norm = find.tensor(layout::FINAL_NORM)?;
        Ok(Self { config, parameters, embedding, blocks, final_norm, head })
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
        let config = ModelConfig { kind: ModelKind::Scalar, ..self.config.clone() };
        let mut parameters = Parameters::new();
        for name in layout::expected(&config).into_keys() {
            if let Some(tensor) = self.parameters.get(&name) {
                let copy = tensor.f_detach().and_then(|tensor| tensor.f_to_dtype(tensor.kind(), false, true));
                parameters.insert(name.clone(), copy.map_err(|source| tensor_error("copying", &name, source))?);
            }
        }
        init::scalar_head(&config, seed, &self.embedding, &mut parameters)?;
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
        self.embedding.device()
    }

    /// Hidden states after the last norm, [batch, time, hidden], for `tokens` [batch, time] (64-bit integers, padded on the
    /// right with any valid id). Gradients flow if the weights are trainable. With [`Precision::Bf16`] the matrix products
    /// and attention run in bfloat16 on converted weights, and the residual stream, norms and gradients stay in 32 bits.
    ///
    /// # Errors
    /// [`ComputeError`] for ids outside the vocabulary, too many positions, or a failing kernel.
    pub fn hidden_states(&self, tokens: &Tensor, precision: Precision) -> Result<Tensor, ComputeError> {
        self.check_tokens(tokens)?;
        let forward = || {
            let (_, time) = tokens.size2()?;
            let positions = Tensor::f_arange(time, (Kind::Int64, tokens.device()))?;
            let rope = Rope::new(&self.config, time as usize, tokens.device())?;
            let rotation = rope.at(&positions, precision.kind())?;
            let mut x = Tensor::f_embedding(&self.embedding, tokens, -1, false, false)?.f_to_kind(Kind::Float)?;
            for block in &self.blocks {
                x = block.forward(&x, &rotation, self.config.rms_norm_eps, precision)?;
            }
            rms_norm(&x, &self.final_norm, self.config.rms_norm_eps)
        };
        forward().doing("the hidden states")
    }

    /// Next-token logits `[n, vocabulary]` in 32-bit floats at chosen rows of the flattened hidden states: row `b * time + t`
    /// predicts token `t + 1` of sequence `b`. `rows` is `[n]`, 64-bit integers.
    ///
    /// # Errors
    /// [`ComputeError::WrongHead`] for a scalar model, or a failing kernel.
    pub fn logits_at(&self, hidden: &Tensor, rows: &Tensor, precision: Precision) -> Result<Tensor, ComputeError> {
        let Head::Vocabulary(weight) = &self.head else { return Err(self.wrong_head(ModelKind::CausalLm)) };
        let forward = || linear(&self.pick(hidden, rows)?, weight, precision)?.f_to_kind(Kind::Float);
        forward().doing("the logits")
    }

    /// The scalar head's outputs `[n]` in 32-bit floats at chosen rows, as in [`Llama::logits_at`].
    ///
    /// # Errors
    /// [`ComputeError::WrongHead`] for a language model, or a failing kernel.
    pub fn scores_at(&self, hidden: &Tensor, rows: &Tensor) -> Result<Tensor, ComputeError> {
        let Head::Scalar { weight, bias } = &self.head else { return Err(self.wrong_head(ModelKind::Scalar)) };
        let forward = || {
            let picked = self.pick(hidden, rows)?;
            picked.f_linear(&weight.f_to_kind(Kind::Float)?, Some(bias.f_to_kind(Kind::Float)?))?.f_squeeze_dim(-1)
        };
        forward().doing("the scores")
    }

    fn pick(&self, hidden: &Tensor, rows: &Tensor) -> Result<Tensor, tch::TchError> {
        hidden.f_reshape([-1, self.config.hidden_size as i64])?.f_index_select(0, rows)
    }

    fn wrong_head(&self, need: ModelKind) -> ComputeError {
        ComputeError::WrongHead { have: self.config.kind, need }
    }

    fn check_tokens(&self, tokens: &Tensor) -> Result<(), ComputeError> {
        let (_, time) = tokens.size2().doing("the shape of the tokens")?;
        let (length, limit) = (time as usize, self.config.max_position_embeddings);
        if length > limit {
            return Err(ComputeError::TooLong { length, limit });
        }
        if tokens.numel() == 0 {
            return Err(ComputeError::Empty { index: 0 });
        }
        let extreme = |value: Result<Tensor, _>| value.and_then(|t: Tensor| t.f_int64_value(&[])).doing("token bounds");
        let (low, high) = (extreme(tokens.f_min())?, extreme(tokens.f_max())?);
        for token in [low, high] {
            if token < 0 || token >= self.config.vocab_size as i64 {
                return Err(ComputeError::TokenOutOfRange { token, vocab_size: self.config.vocab_size });
            }
        }
        Ok(())
    }
}

impl Block {
    fn forward(
        &self,
        x: &Tensor,
        rotation: &Rotation,
        eps: f64,
        precision: Precision,
    ) -> Result<Tensor, tch::TchError> {
        let x = x.f_add(&self.attention.forward(&rms_norm(x, &self.input_norm, eps)?, rotation, precision)?)?;
        x.f_add(&self.mlp.forward(&rms_norm(&x, &self.post_norm, eps)?, precision)?)
    }
}

/// Looks tensors up by name. [`Parameters::check`] has run, so an absent one is a bug that is still reported as an error.
struct Finder<'a> {
    parameters: &'a Parameters,
    config: &'a ModelConfig,
}

impl Finder<'_> {
    fn tensor(&self, name: &str) -> Result<Tensor, WeightsError> {
        match self.parameters.get(name) {
            Some(tensor) => Ok(tensor.shallow_clone()),
            None => Err(WeightsError::Missing { name: name.to_owned(), shape: Vec::new() }),
        }
    }

    fn block(&self, layer: usize) -> Result<Block, WeightsError> {
        let tensor = |name| self.tensor(&layout::in_layer(layer, name));
        Ok(Block {
            input_norm: tensor(layout::INPUT_NORM)?,
            attention: SelfAttention {
                query: tensor(layout::QUERY)?,
                key: tensor(layout::KEY)?,
                value: tensor(layout::VALUE)?,
                output: tensor(layout::OUTPUT)?,
                head_dim: self.config.head_dim as i64,
            },
            post_norm: tensor(layout::POST_NORM)?,
            mlp: Mlp { gate: tensor(layout::GATE)?, up: tensor(layout::UP)?, down: tensor(layout::DOWN)? },
        })
    }
}

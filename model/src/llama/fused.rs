//! The decoding forward: the trunk over rows (one row = one token of some sequence) with fused projections.
//!
//! Every product is over rows and padded so that a row's result does not depend on the other rows. How a row attends to
//! earlier ones is the caller's ([`Attend`]): whole prompts when prefilling, caches when decoding.

use tch::{Kind, TchError, Tensor};

use super::linear::row_stable_linear;
use super::norm::rms_norm;
use super::rope::Rope;
use super::{Head, Llama};
use crate::{ModelConfig, Precision};

/// One layer's queries, keys and values, each [rows, heads, `head_dim`], rotated to their positions.
#[derive(Debug)]
pub(crate) struct Projected {
    pub(crate) query: Tensor,
    pub(crate) key: Tensor,
    pub(crate) value: Tensor,
}

/// How rows look at earlier tokens.
pub(crate) trait Attend {
    /// The attention output [rows, query heads, `head_dim`] of layer `layer`.
    fn attend(&mut self, layer: usize, rows: &Projected) -> Result<Tensor, TchError>;
}

/// Weights in the format of the computation, with the projections that read the same input joined.
#[derive(Debug)]
pub(crate) struct FusedModel {
    config: ModelConfig,
    embedding: Tensor,
    blocks: Vec<FusedBlock>,
    final_norm: Tensor,
    head: FusedHead,
    rope: Rope,
    kind: Kind,
}

#[derive(Debug)]
struct FusedBlock {
    input_norm: Tensor,
    query_key_value: Tensor,
    output: Tensor,
    post_norm: Tensor,
    gate_up: Tensor,
    down: Tensor,
}

#[derive(Debug)]
enum FusedHead {
    Vocabulary(Tensor),
    Scalar { weight: Tensor, bias: Tensor },
}

impl FusedModel {
    /// Copies the weights of `model` in the format of `precision`.
    pub(crate) fn new(model: &Llama, precision: Precision) -> Result<Self, TchError> {
        let kind = precision.kind();
        let cast = |tensor: &Tensor| tensor.f_detach()?.f_to_kind(kind);
        let join = |tensors: &[&Tensor]| Tensor::f_cat(tensors, 0)?.f_detach()?.f_to_kind(kind);
        let blocks = model.blocks.iter().map(|block| {
            let (attention, mlp) = (&block.attention, &block.mlp);
            Ok(FusedBlock {
                input_norm: cast(&block.input_norm)?,
                query_key_value: join(&[&attention.query, &attention.key, &attention.value])?,
                output: cast(&attention.output)?,
                post_norm: cast(&block.post_norm)?,
                gate_up: join(&[&mlp.gate, &mlp.up])?,
                down: cast(&mlp.down)?,
            })
        });
        let embedding = cast(&model.embedding)?;
        let head = match &model.head {
            Head::Vocabulary(_) if model.config.tie_word_embeddings => FusedHead::Vocabulary(embedding.shallow_clone()),
            Head::Vocabulary(weight) => FusedHead::Vocabulary(cast(weight)?),
            Head::Scalar { weight, bias } => FusedHead::Scalar {
                weight: weight.f_detach()?.f_to_kind(Kind::Float)?,
                bias: bias.f_detach()?.f_to_kind(Kind::Float)?,
            },
        };
        Ok(Self {
            blocks: blocks.collect::<Result<_, TchError>>()?,
            final_norm: cast(&model.final_norm)?,
            head,
            rope: Rope::new(&model.config, model.config.max_position_embeddings, model.device())?,
            config: model.config.clone(),
            embedding,
            kind,
        })
    }

    pub(crate) fn config(&self) -> &ModelConfig {
        &self.config
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn device(&self) -> tch::Device {
        self.embedding.device()
    }

    /// Hidden states before the last norm, [rows, hidden], of tokens and their positions (both [rows]).
    pub(crate) fn trunk(
        &self,
        tokens: &Tensor,
        positions: &Tensor,
        attend: &mut dyn Attend,
    ) -> Result<Tensor, TchError> {
        let (queries, keys) = (self.config.num_attention_heads as i64, self.config.num_key_value_heads as i64);
        let (rows, head_dim, eps) = (tokens.size1()?, self.config.head_dim as i64, self.config.rms_norm_eps);
        let rotation = self.rope.at(positions, self.kind)?.unsqueeze(1)?;
        let mut x = self.embedding.f_index_select(0, tokens)?;
        for (layer, block) in self.blocks.iter().enumerate() {
            let joined = row_stable_linear(&rms_norm(&x, &block.input_norm, eps)?, &block.query_key_value)?;
            let heads = joined.f_reshape([rows, queries + 2 * keys, head_dim])?;
            let rotated = rotation.rotate(&heads.f_narrow(1, 0, queries + keys)?)?;
            let projected = Projected {
                query: rotated.f_narrow(1, 0, queries)?,
                key: rotated.f_narrow(1, queries, keys)?,
                value: heads.f_narrow(1, queries + keys, keys)?,
            };
            let mixed = attend.attend(layer, &projected)?.f_reshape([rows, queries * head_dim])?;
            x = x.f_add(&row_stable_linear(&mixed, &block.output)?)?;
            let gate_up = row_stable_linear(&rms_norm(&x, &block.post_norm, eps)?, &block.gate_up)?.f_chunk(2, -1)?;
            x = x.f_add(&row_stable_linear(&gate_up[0].f_silu()?.f_mul(&gate_up[1])?, &block.down)?)?;
        }
        Ok(x)
    }

    /// Next-token logits [rows, vocabulary] in 32-bit floats; `None` for a scalar model.
    pub(crate) fn logits(&self, x: &Tensor) -> Result<Option<Tensor>, TchError> {
        let FusedHead::Vocabulary(weight) = &self.head else { return Ok(None) };
        let x = rms_norm(x, &self.final_norm, self.config.rms_norm_eps)?;
        row_stable_linear(&x, weight)?.f_to_kind(Kind::Float).map(Some)
    }

    /// Scores [rows] in 32-bit floats; `None` for a language model.
    pub(crate) fn scores(&self, x: &Tensor) -> Result<Option<Tensor>, TchError> {
        let FusedHead::Scalar { weight, bias } = &self.head else { return Ok(None) };
        let x = rms_norm(x, &self.final_norm, self.config.rms_norm_eps)?.f_to_kind(Kind::Float)?;
        // A sum per row rather than a product: no kernel choice by the number of rows.
        x.f_mul(weight)?.f_sum_dim_intlist([-1i64].as_slice(), false, Kind::Float)?.f_add(bias).map(Some)
    }
}

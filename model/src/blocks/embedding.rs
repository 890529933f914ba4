//! Tokens to the first rows of the residual stream.

use tch::{Kind, TchError, Tensor};

use super::{Builder, Hold, Rows};
use crate::family::plan::EmbeddingPlan;

/// Embeddings of tokens and, in families that learn them, of positions.
#[derive(Debug)]
pub(crate) struct Embedding {
    tokens: Tensor,
    positions: Option<Tensor>,
    scale: Option<f64>,
}

impl Embedding {
    pub(crate) fn new(builder: &Builder<'_>, plan: &EmbeddingPlan) -> Result<Self, TchError> {
        let take = |name: &str| {
            let tensor = builder.tensor(name)?;
            match builder.hold {
                Hold::Shared => Ok(tensor),
                Hold::Copied(kind) => tensor.f_detach()?.f_to_dtype(kind, false, true),
            }
        };
        let positions = plan.positions.as_ref().map(|(name, _)| take(name)).transpose()?;
        Ok(Self { tokens: take(&plan.tokens)?, positions, scale: plan.scale })
    }

    /// The weight [vocabulary, hidden], for heads that are the embedding.
    pub(crate) fn weight(&self) -> &Tensor {
        &self.tokens
    }

    /// Rows [rows, hidden] in 32-bit floats.
    pub(crate) fn forward(&self, rows: &Rows<'_>) -> Result<Tensor, TchError> {
        let look_up = |table: &Tensor, ids: &[u32]| {
            let ids: Vec<i64> = ids.iter().map(|id| i64::from(*id)).collect();
            let ids = Tensor::f_from_slice(&ids)?.f_to_device(table.device())?;
            Tensor::f_embedding(table, &ids, -1, false, false)?.f_to_kind(Kind::Float)
        };
        let mut x = look_up(&self.tokens, rows.tokens)?;
        if let Some(scale) = self.scale {
            x = x.f_mul_scalar(scale)?;
        }
        match &self.positions {
            Some(positions) => x.f_add(&look_up(positions, rows.positions)?),
            None => Ok(x),
        }
    }
}

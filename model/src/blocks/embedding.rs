//! Tokens to the first rows of the residual stream.

use std::sync::Arc;

use galapagos_kernels::PackedMatrix;
use tch::{Device, Kind, TchError, Tensor};

use super::norm::Norm;
use super::{Builder, Hold, Rows, copy_of};
use crate::family::plan::EmbeddingPlan;
use crate::tensors::new_f32;

/// Embeddings of tokens and, in families that learn them, of positions.
#[derive(Debug)]
pub(crate) struct Embedding {
    tokens: Table,
    positions: Option<Tensor>,
    types: Option<Tensor>,
    scale: Option<f64>,
    norm: Option<Norm>,
    device: Device,
}

#[derive(Debug)]
enum Table {
    /// [vocabulary, hidden].
    Tensor(Tensor),
    /// The output projection's weight, held once.
    Packed(Arc<PackedMatrix>),
}

impl Embedding {
    /// `head` is the packed weight of an output projection that is the embedding.
    pub(crate) fn new(
        builder: &Builder<'_>,
        plan: &EmbeddingPlan,
        head: Option<&Arc<PackedMatrix>>,
    ) -> Result<Self, TchError> {
        let take = |name: &str| {
            let tensor = builder.tensor(name)?;
            match &builder.hold {
                Hold::Shared => Ok(tensor),
                Hold::Copied(kind) => copy_of(&tensor, *kind),
                Hold::Packed(format, _) => copy_of(&tensor, super::kind_of(*format)),
            }
        };
        let tokens = match head {
            Some(matrix) => Table::Packed(Arc::clone(matrix)),
            None => Table::Tensor(take(&plan.tokens)?),
        };
        let positions = plan.positions.as_ref().map(|(name, _)| take(name)).transpose()?;
        let types = plan.types.as_ref().map(|(name, _)| take(name)).transpose()?;
        let norm = plan.norm.as_ref().map(|norm| builder.norm(norm)).transpose()?;
        let device = builder.tensor(&plan.tokens)?.device();
        Ok(Self { tokens, positions, types, scale: plan.scale, norm, device })
    }

    pub(crate) fn device(&self) -> Device {
        self.device
    }

    /// The weight [vocabulary, hidden], unless it is packed.
    pub(crate) fn weight(&self) -> Option<&Tensor> {
        match &self.tokens {
            Table::Tensor(tensor) => Some(tensor),
            Table::Packed(_) => None,
        }
    }

    /// Rows [rows, hidden] in 32-bit floats. `types` are the segments of the rows, for families that tell them apart.
    pub(crate) fn forward(&self, rows: &Rows<'_>, types: &[u32]) -> Result<Tensor, TchError> {
        let mut x = match &self.tokens {
            Table::Tensor(table) => look_up(table, rows.tokens)?,
            Table::Packed(matrix) => new_f32(&[rows.tokens.len(), matrix.inputs()], |numbers| {
                for (token, row) in rows.tokens.iter().zip(numbers.chunks_exact_mut(matrix.inputs())) {
                    matrix.copy_row(*token as usize, row);
                }
                Ok(())
            })?,
        };
        if let Some(scale) = self.scale {
            x = x.f_mul_scalar(scale)?;
        }
        if let Some(types_table) = &self.types {
            x = x.f_add(&look_up(types_table, types)?)?;
        }
        if let Some(positions) = &self.positions {
            x = x.f_add(&look_up(positions, rows.positions)?)?;
        }
        match &self.norm {
            Some(norm) => norm.forward(&x),
            None => Ok(x),
        }
    }
}

fn look_up(table: &Tensor, ids: &[u32]) -> Result<Tensor, TchError> {
    let ids: Vec<i64> = ids.iter().map(|id| i64::from(*id)).collect();
    let ids = Tensor::f_from_slice(&ids)?.f_to_device(table.device())?;
    Tensor::f_embedding(table, &ids, -1, false, false)?.f_to_kind(Kind::Float)
}

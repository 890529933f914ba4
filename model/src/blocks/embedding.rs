//! Tokens, and patches of images, to the first rows of the residual stream.

use std::borrow::Cow;
use std::sync::Arc;

use galapagos_domain::image::{Patch, Place};
use galapagos_kernels::PackedMatrix;
use tch::{Device, Kind, TchError, Tensor};

use super::linear::Linear;
use super::norm::Norm;
use super::vision::Vision;
use super::{Builder, Hold, Rows, copy_of};
use crate::family::plan::EmbeddingPlan;
use crate::tensors::new_f32;
use crate::vision::RowPatch;

/// Embeddings of tokens and, in families that learn them, of positions.
#[derive(Debug)]
pub(crate) struct Embedding {
    tokens: Table,
    positions: Option<Tensor>,
    types: Option<Tensor>,
    scale: Option<f64>,
    norm: Option<Norm>,
    vision: Option<Vision>,
    /// Whether weights are followed by autograd.
    trains: bool,
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
        let vision = plan.vision.as_ref().map(|vision| Vision::new(builder, vision)).transpose()?;
        let trains = matches!(builder.hold, Hold::Shared);
        Ok(Self { tokens, positions, types, scale: plan.scale, norm, vision, trains, device })
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

    /// The products of the vision encoder, if there is one.
    pub(crate) fn linears(&self) -> impl Iterator<Item = &Linear> {
        self.vision.iter().flat_map(|vision| vision.linears())
    }

    /// Rows [rows, hidden] in 32-bit floats; products of a vision encoder are in `kind`. `types` are the segments of the rows, for families
    /// that tell them apart.
    pub(crate) fn forward(&self, rows: &Rows<'_>, types: &[u32], kind: Kind) -> Result<Tensor, TchError> {
        let tokens = without_patches(rows);
        let mut x = match &self.tokens {
            Table::Tensor(table) => look_up(table, &tokens)?,
            Table::Packed(matrix) => new_f32(&[tokens.len(), matrix.inputs()], |numbers| {
                for (token, row) in tokens.iter().zip(numbers.chunks_exact_mut(matrix.inputs())) {
                    matrix.copy_row(*token as usize, row);
                }
                Ok(())
            })?,
        };
        if let Some(vision) = &self.vision {
            x = self.seen(vision, x, rows, kind)?;
        }
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

    /// `x` with the rows of patches as the encoder sees them.
    fn seen(&self, vision: &Vision, x: Tensor, rows: &Rows<'_>, kind: Kind) -> Result<Tensor, TchError> {
        if !rows.patches.is_empty() {
            let at: Vec<i64> = rows.patches.iter().map(|at| at.row as i64).collect();
            let at = Tensor::f_from_slice(&at)?.f_to_device(self.device)?;
            return x.f_index_copy(0, &at, &vision.forward(rows.patches, kind)?);
        }
        if !self.trains {
            return Ok(x);
        }
        // Every weight takes part in every forward: what joins the gradients of several ranks waits for all of them.
        let (patch, place) = (Patch { pixels: 0, ends_row: true }, Place { row: 0, column: 0 });
        let unseen = vision.forward(&[RowPatch { row: 0, patch, place }], kind)?;
        x.f_add(&unseen.f_sum(Kind::Float)?.f_mul_scalar(0.0)?)
    }
}

/// The tokens with one of the vocabulary in place of each patch, whose row is written over.
fn without_patches<'a>(rows: &Rows<'a>) -> Cow<'a, [u32]> {
    if rows.patches.is_empty() {
        return Cow::Borrowed(rows.tokens);
    }
    let mut tokens = rows.tokens.to_vec();
    rows.patches.iter().for_each(|at| tokens[at.row] = 0);
    Cow::Owned(tokens)
}

/// Rows of a table of parameters, in 32-bit floats.
pub(super) fn look_up(table: &Tensor, ids: &[u32]) -> Result<Tensor, TchError> {
    let ids: Vec<i64> = ids.iter().map(|id| i64::from(*id)).collect();
    let ids = Tensor::f_from_slice(&ids)?.f_to_device(table.device())?;
    Tensor::f_embedding(table, &ids, -1, false, false)?.f_to_kind(Kind::Float)
}

//! The parts all families are made of. Each runs on libtorch tensors, with gradients if its weights are trainable; products
//! and norms of a model made for inference on the CPU run on packed weights in the kernels of `galapagos-kernels` instead.
//!
//! A block sees rows: one row is one token of some sequence, [rows, width]. What a row reads of other rows is decided by
//! [`Attend`] alone. The residual stream and norms are 32-bit floats, products are in the format of [`Products::kind`].

use std::sync::Arc;

use galapagos_kernels::{Format, Pool};
use tch::{Kind, TchError, Tensor};

use crate::family::plan::{LinearPlan, NormPlan};
use crate::lora::AdapterRows;
use crate::vision::RowPatch;
use crate::weights::Parameters;

pub(crate) mod attention;
pub(crate) mod embedding;
pub(crate) mod linear;
pub(crate) mod mlp;
pub(crate) mod norm;
pub(crate) mod rope;
pub(crate) mod vision;

pub(crate) use attention::{Attend, PackedSequences, Projected, Sight, WholeSequences};
pub(crate) use linear::Products;
use rope::Rotation;

/// Rows of one forward.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rows<'a> {
    /// Token ids, checked by the caller to be in the vocabulary or among `patches`.
    pub(crate) tokens: &'a [u32],
    /// The position of each token in its sequence.
    pub(crate) positions: &'a [u32],
    /// Which of them have an adapter.
    pub(crate) adapters: AdapterRows<'a>,
    /// Those that are patches of images, in order.
    pub(crate) patches: &'a [RowPatch],
}

/// What every block of one forward gets.
pub(crate) struct Pass<'a> {
    /// How products are computed.
    pub(crate) products: Products<'a>,
    /// The rows' rotations, for models that have them.
    pub(crate) rotation: Option<&'a Rotation>,
    /// How rows look at other rows.
    pub(crate) attend: &'a mut dyn Attend,
}

/// What weights a block holds.
#[derive(Clone, Debug)]
pub(crate) enum Hold {
    /// Training: second handles on the parameters. An optimiser that changes those changes the block.
    Shared,
    /// Inference on devices that libtorch knows: copies in this format.
    Copied(Kind),
    /// Inference on the CPU: packed in this format, computed by these threads.
    Packed(Format, Arc<Pool>),
}

/// Takes weights by name to build blocks.
#[derive(Clone, Debug)]
pub(crate) struct Builder<'a> {
    pub(crate) parameters: &'a Parameters,
    pub(crate) hold: Hold,
}

impl Builder<'_> {
    /// The tensor of that name; [`Parameters::check`] has run, so an absent one is a bug that is still reported as an error.
    pub(crate) fn tensor(&self, name: &str) -> Result<Tensor, TchError> {
        self.optional(name).ok_or_else(|| TchError::Shape(format!("tensor `{name}` is missing")))
    }

    /// The tensor of that name if there is one.
    pub(crate) fn optional(&self, name: &str) -> Option<Tensor> {
        self.parameters.get(name).map(Tensor::shallow_clone)
    }

    /// A small tensor: biases and weights of norms, in 32-bit floats when copied.
    pub(crate) fn small(&self, name: &str) -> Result<Tensor, TchError> {
        let tensor = self.tensor(name)?;
        match self.hold {
            Hold::Shared => Ok(tensor),
            Hold::Copied(_) | Hold::Packed(..) => copy_of(&tensor, Kind::Float),
        }
    }

    pub(crate) fn norm(&self, plan: &NormPlan) -> Result<norm::Norm, TchError> {
        norm::Norm::new(self, plan)
    }

    pub(crate) fn linear(&self, plan: &LinearPlan) -> Result<linear::Linear, TchError> {
        linear::Linear::new(self, plan)
    }
}

/// A detached, contiguous copy.
pub(crate) fn copy_of(tensor: &Tensor, kind: Kind) -> Result<Tensor, TchError> {
    tensor.f_detach()?.f_to_dtype(kind, false, true)?.f_contiguous()
}

/// The tensor kind of a format.
pub(crate) fn kind_of(format: Format) -> Kind {
    match format {
        Format::F32 => Kind::Float,
        Format::Bf16 => Kind::BFloat16,
    }
}

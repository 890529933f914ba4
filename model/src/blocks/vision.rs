//! Patches of images to rows of the residual stream: encoder and projector. Each patch is read alone, with its place; what patches make
//! together is for the decoder's attention.

use galapagos_domain::image::PATCH_PIXELS;
use tch::{Device, Kind, TchError, Tensor};

use super::embedding::look_up;
use super::linear::{Linear, Products};
use super::mlp::Mlp;
use super::norm::Norm;
use super::{Builder, Hold, copy_of};
use crate::family::vision::{VisionBlockPlan, VisionPlan};
use crate::vision::RowPatch;

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Vision {
    patch: Linear,
    rows: Tensor,
    columns: Tensor,
    blocks: Vec<Block>,
    norm: Norm,
    projector: Linear,
    device: Device,
}

#[derive(Debug)]
struct Block {
    norm: Norm,
    mlp: Mlp,
    down: Linear,
}

impl Vision {
    pub(crate) fn new(builder: &Builder<'_>, plan: &VisionPlan) -> Result<Self, TchError> {
        // Added to the stream in 32-bit floats, like norms.
        let places = |name: &str| match builder.hold {
            Hold::Shared => builder.tensor(name),
            Hold::Copied(_) | Hold::Packed(..) => copy_of(&builder.tensor(name)?, Kind::Float),
        };
        let block = |plan: &VisionBlockPlan| {
            let (mlp, down) = (Mlp::new(builder, &plan.mlp)?, builder.linear(&plan.mlp.down)?);
            Ok::<_, TchError>(Block { norm: builder.norm(&plan.norm)?, mlp, down })
        };
        Ok(Self {
            patch: builder.linear(&plan.patch)?,
            rows: places(&plan.rows.0)?,
            columns: places(&plan.columns.0)?,
            blocks: plan.blocks.iter().map(block).collect::<Result<_, _>>()?,
            norm: builder.norm(&plan.norm)?,
            projector: builder.linear(&plan.projector)?,
            device: builder.tensor(&plan.rows.0)?.device(),
        })
    }

    /// Every product.
    pub(crate) fn linears(&self) -> impl Iterator<Item = &Linear> {
        let blocks = self.blocks.iter().flat_map(|block| block.mlp.linears().iter().chain([&block.down]));
        [&self.patch].into_iter().chain(blocks).chain([&self.projector])
    }

    /// Rows [patches, hidden] in 32-bit floats, in the format of `kind`. `patches` is not empty.
    pub(crate) fn forward(&self, patches: &[RowPatch], kind: Kind) -> Result<Tensor, TchError> {
        // Adapters are of the decoder alone.
        let products = Products::new(kind);
        let float = |x: Tensor| x.f_to_kind(Kind::Float);
        let ids = |of: fn(&RowPatch) -> u32| patches.iter().map(of).collect::<Vec<_>>();
        let mut x = float(self.patch.forward(&self.pixels(patches)?, products)?)?;
        x = x.f_add(&look_up(&self.rows, &ids(|at| at.place.row))?)?;
        x = x.f_add(&look_up(&self.columns, &ids(|at| at.place.column))?)?;
        for block in &self.blocks {
            let inner = block.mlp.forward(&block.norm.forward(&x)?, products)?;
            x = block.down.add_to(x, &inner, products)?;
        }
        float(self.projector.forward(&self.norm.forward(&x)?, products)?)
    }

    /// Ink is 1, its absence -1.
    fn pixels(&self, patches: &[RowPatch]) -> Result<Tensor, TchError> {
        let bit = |pixels: u16, at: usize| if pixels >> at & 1 == 1 { 1.0f32 } else { -1.0 };
        let bits = patches.iter().flat_map(|at| (0..PATCH_PIXELS).map(move |pixel| bit(at.patch.pixels, pixel)));
        let bits = Tensor::f_from_slice(&bits.collect::<Vec<_>>())?;
        bits.f_reshape([patches.len() as i64, PATCH_PIXELS as i64])?.f_to_device(self.device)
    }
}

//! The vision encoder of a model as data: tensors below `model.vision.`, and how they follow each other.

use galapagos_domain::image::PATCH_PIXELS;
use galapagos_kernels::rows::Activation;

use super::plan::{Bias, LinearPlan, MlpPlan, NormKind, NormPlan};
use crate::ModelConfig;

/// `projector(norm(blocks(patch(pixels) + row + column)))`.
#[derive(Clone, Debug)]
pub(crate) struct VisionPlan {
    pub(crate) patch: LinearPlan,
    /// Learned places: tensor and number of them.
    pub(crate) rows: (String, usize),
    pub(crate) columns: (String, usize),
    pub(crate) blocks: Vec<VisionBlockPlan>,
    pub(crate) norm: NormPlan,
    /// To the width of the decoder.
    pub(crate) projector: LinearPlan,
}

/// `x + down(gelu(up(norm(x))))`.
#[derive(Clone, Debug)]
pub(crate) struct VisionBlockPlan {
    pub(crate) norm: NormPlan,
    pub(crate) mlp: MlpPlan,
}

/// The encoder of a configuration, if it has one.
pub(super) fn plan(config: &ModelConfig) -> Option<VisionPlan> {
    let vision = config.vision?;
    let (hidden, inner) = (vision.hidden_size, vision.intermediate_size);
    let module = |name: &str| format!("model.vision.{name}");
    let linear = |name: &str, inputs: usize, outputs: usize| LinearPlan {
        module: module(name),
        inputs,
        outputs,
        bias: Bias::Yes,
        transposed: false,
    };
    let norm =
        |name: &str| NormPlan { module: module(name), width: hidden, kind: NormKind::Layer, eps: config.rms_norm_eps };
    let block = |at: usize| VisionBlockPlan {
        norm: norm(&format!("blocks.{at}.norm")),
        mlp: MlpPlan {
            gate: None,
            up: linear(&format!("blocks.{at}.up"), hidden, inner),
            down: linear(&format!("blocks.{at}.down"), inner, hidden),
            activation: Activation::Gelu,
        },
    };
    Some(VisionPlan {
        patch: linear("patch", PATCH_PIXELS, hidden),
        rows: (module("rows.weight"), vision.rows),
        columns: (module("columns.weight"), vision.columns),
        blocks: (0..vision.num_hidden_layers).map(block).collect(),
        norm: norm("norm"),
        projector: linear("projector", hidden, config.hidden_size),
    })
}

impl VisionPlan {
    /// Its width.
    pub(crate) fn hidden(&self) -> usize {
        self.norm.width
    }

    /// Every product, in order.
    pub(crate) fn linears(&self) -> impl Iterator<Item = &LinearPlan> {
        let blocks = self.blocks.iter().flat_map(|block| [&block.mlp.up, &block.mlp.down]);
        [&self.patch].into_iter().chain(blocks).chain([&self.projector])
    }
}

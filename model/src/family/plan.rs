//! What a model consists of, as data: names, shapes and the way each layer computes. Made by a family, executed by
//! [`crate::decoder::network`], and the one source of the tensors a checkpoint must have.

use std::collections::BTreeMap;

use galapagos_kernels::AttentionSpec;
use galapagos_kernels::rows::Activation;

use super::vision::VisionPlan;

/// A whole model.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) embedding: EmbeddingPlan,
    pub(crate) layers: Vec<LayerPlan>,
    /// After the last layer; post-norm models have none.
    pub(crate) final_norm: Option<NormPlan>,
    pub(crate) head: HeadPlan,
}

/// Tokens to rows of the residual stream.
#[derive(Clone, Debug)]
pub(crate) struct EmbeddingPlan {
    /// Tensor [vocabulary, hidden].
    pub(crate) tokens: String,
    pub(crate) vocabulary: usize,
    pub(crate) hidden: usize,
    /// Learned positions: tensor and number of them.
    pub(crate) positions: Option<(String, usize)>,
    /// Learned segment types: tensor and number of them.
    pub(crate) types: Option<(String, usize)>,
    /// Multiplies the token's embedding.
    pub(crate) scale: Option<f64>,
    /// Of the sum.
    pub(crate) norm: Option<NormPlan>,
    /// What stands in place of the token's embedding where the token is a patch of an image.
    pub(crate) vision: Option<VisionPlan>,
}

/// One layer: attention, then the feed-forward part, each added to the residual stream.
#[derive(Clone, Debug)]
pub(crate) struct LayerPlan {
    pub(crate) attention: AttentionPlan,
    pub(crate) attention_norms: ResidualNorms,
    pub(crate) mlp: MlpPlan,
    pub(crate) mlp_norms: ResidualNorms,
}

/// Norms around a part of a layer: `sum(x + output(part(input(x))))`.
#[derive(Clone, Debug, Default)]
pub(crate) struct ResidualNorms {
    /// What the part reads.
    pub(crate) input: Option<NormPlan>,
    /// What is added to the stream.
    pub(crate) output: Option<NormPlan>,
    /// The stream after that.
    pub(crate) sum: Option<NormPlan>,
}

/// Projections and kind of attention.
#[derive(Clone, Debug)]
pub(crate) struct AttentionPlan {
    /// Three products, or one whose output is queries, keys and values side by side.
    pub(crate) query_key_value: Vec<LinearPlan>,
    pub(crate) output: LinearPlan,
    pub(crate) query_heads: usize,
    pub(crate) key_heads: usize,
    pub(crate) head_dim: usize,
    /// Norm of each query head, before rotation.
    pub(crate) query_norm: Option<NormPlan>,
    /// Norm of each key head, before rotation.
    pub(crate) key_norm: Option<NormPlan>,
    /// Whether queries and keys are rotated to their positions.
    pub(crate) rotary: bool,
    pub(crate) spec: AttentionSpec,
}

/// The feed-forward part.
#[derive(Clone, Debug)]
pub(crate) struct MlpPlan {
    /// `down(activation(gate(x)) * up(x))`; without a gate `down(activation(up(x)))`.
    pub(crate) gate: Option<LinearPlan>,
    pub(crate) up: LinearPlan,
    pub(crate) down: LinearPlan,
    pub(crate) activation: Activation,
}

/// A product with a weight, and a bias. The tensors are `{module}.weight` and `{module}.bias`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LinearPlan {
    /// Full name of the module in `transformers`, which is how adapters address it.
    pub(crate) module: String,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) bias: Bias,
    /// The weight is stored as [inputs, outputs] (GPT-2's `Conv1D`) and not as [outputs, inputs].
    pub(crate) transposed: bool,
}

/// Whether a product has a bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bias {
    No,
    Yes,
    /// Checkpoints with and without one exist.
    Optional,
}

impl From<bool> for Bias {
    fn from(there: bool) -> Self {
        if there { Self::Yes } else { Self::No }
    }
}

/// A norm of rows (or heads) of `width` numbers. The tensors are `{module}.weight` and, for a layer norm, `{module}.bias`.
#[derive(Clone, Debug)]
pub(crate) struct NormPlan {
    pub(crate) module: String,
    pub(crate) width: usize,
    pub(crate) kind: NormKind,
    pub(crate) eps: f64,
}

/// How a norm computes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum NormKind {
    /// `x / sqrt(mean(x^2) + eps) * (offset + weight)`; `offset` is 0, or 1 for Gemma.
    Rms { offset: f32 },
    /// `(x - mean) / sqrt(variance + eps) * weight + bias`.
    Layer,
}

/// What is made of the last hidden states.
#[derive(Clone, Debug)]
pub(crate) enum HeadPlan {
    /// Next-token logits; the weight may be the embedding.
    Vocabulary { product: LinearPlan, soft_cap: Option<f64> },
    /// One number per label, of any row.
    Labels(LinearPlan),
    /// One number per label of a sequence: `product(tanh(pooler(first row)))`.
    Pooled { pooler: LinearPlan, product: LinearPlan },
}

/// A tensor of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TensorPlan {
    pub(crate) shape: Vec<usize>,
    pub(crate) initial: Initial,
    /// Models without it exist.
    pub(crate) optional: bool,
}

/// Value of a tensor of a new model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Initial {
    /// Normal with the configuration's deviation.
    Normal,
    One,
    Zero,
}

impl Plan {
    /// Every tensor, by name.
    pub(crate) fn tensors(&self) -> BTreeMap<String, TensorPlan> {
        let mut all = Tensors(BTreeMap::new());
        let EmbeddingPlan { tokens, vocabulary, hidden, positions, types, norm, vision, .. } = &self.embedding;
        all.add(tokens.clone(), vec![*vocabulary, *hidden], Initial::Normal);
        for (name, count) in positions.iter().chain(types) {
            all.add(name.clone(), vec![*count, *hidden], Initial::Normal);
        }
        norm.iter().for_each(|norm| all.norm(norm));
        vision.iter().for_each(|vision| all.vision(vision));
        for layer in &self.layers {
            for norms in [&layer.attention_norms, &layer.mlp_norms] {
                norms.input.iter().chain(&norms.output).chain(&norms.sum).for_each(|norm| all.norm(norm));
            }
            let AttentionPlan { query_key_value, output, query_norm, key_norm, .. } = &layer.attention;
            query_norm.iter().chain(key_norm).for_each(|norm| all.norm(norm));
            query_key_value.iter().chain([output]).for_each(|linear| all.linear(linear));
            let MlpPlan { gate, up, down, .. } = &layer.mlp;
            gate.iter().chain([up, down]).for_each(|linear| all.linear(linear));
        }
        self.final_norm.iter().for_each(|norm| all.norm(norm));
        match &self.head {
            HeadPlan::Vocabulary { product, .. } | HeadPlan::Labels(product) => all.linear(product),
            HeadPlan::Pooled { pooler, product } => [pooler, product].into_iter().for_each(|linear| all.linear(linear)),
        }
        all.0
    }
}

/// Tensors under collection.
struct Tensors(BTreeMap<String, TensorPlan>);

impl Tensors {
    fn add(&mut self, name: String, shape: Vec<usize>, initial: Initial) {
        self.0.insert(name, TensorPlan { shape, initial, optional: false });
    }

    fn linear(&mut self, plan: &LinearPlan) {
        let shape = if plan.transposed { [plan.inputs, plan.outputs] } else { [plan.outputs, plan.inputs] };
        self.add(plan.weight(), shape.to_vec(), Initial::Normal);
        if plan.bias != Bias::No {
            let bias =
                TensorPlan { shape: vec![plan.outputs], initial: Initial::Zero, optional: plan.bias == Bias::Optional };
            self.0.insert(plan.bias_name(), bias);
        }
    }

    fn vision(&mut self, plan: &VisionPlan) {
        for (name, count) in [&plan.rows, &plan.columns] {
            self.add(name.clone(), vec![*count, plan.hidden()], Initial::Normal);
        }
        plan.linears().for_each(|linear| self.linear(linear));
        plan.blocks.iter().map(|block| &block.norm).chain([&plan.norm]).for_each(|norm| self.norm(norm));
    }

    fn norm(&mut self, plan: &NormPlan) {
        let initial = if plan.kind == (NormKind::Rms { offset: 1.0 }) { Initial::Zero } else { Initial::One };
        self.add(format!("{}.weight", plan.module), vec![plan.width], initial);
        if plan.kind == NormKind::Layer {
            self.add(format!("{}.bias", plan.module), vec![plan.width], Initial::Zero);
        }
    }
}

impl LinearPlan {
    /// Name of the weight.
    pub(crate) fn weight(&self) -> String {
        format!("{}.weight", self.module)
    }

    /// Name of the bias, if there is one.
    pub(crate) fn bias_name(&self) -> String {
        format!("{}.bias", self.module)
    }
}

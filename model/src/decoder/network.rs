//! The forward of every decoder: a [`Plan`] put together from blocks, for training (whole padded sequences, gradients) and for
//! inference (rows of many sequences) alike.

use std::ops::Range;
use std::sync::Arc;

use galapagos_kernels::{Format, PackedMatrix};
use tch::{Device, Kind, TchError, Tensor};

use crate::ModelConfig;
use crate::blocks::attention::Attention;
use crate::blocks::embedding::Embedding;
use crate::blocks::linear::Linear;
use crate::blocks::mlp::Mlp;
use crate::blocks::norm::Norm;
use crate::blocks::rope::{Rope, Rotation};
use crate::blocks::{Attend, Builder, Hold, Pass, Products, Rows};
use crate::family::plan::{HeadPlan, LayerPlan, Plan, ResidualNorms};

/// A model that computes.
#[derive(Debug)]
pub(crate) struct Network {
    embedding: Embedding,
    layers: Vec<Layer>,
    final_norm: Option<Norm>,
    head: Head,
    rope: Option<Rope>,
    /// Queries, keys and values are then in the format of the products, and in 32-bit floats otherwise.
    trains: bool,
}

#[derive(Debug)]
struct Layer {
    attention: Residual<Attention>,
    mlp: Residual<Mlp>,
}

/// A part of a layer, its last product, and the norms around it.
#[derive(Debug)]
struct Residual<P> {
    input_norm: Option<Norm>,
    part: P,
    output: Linear,
    output_norm: Option<Norm>,
    sum_norm: Option<Norm>,
}

#[derive(Debug)]
enum Head {
    /// Next-token logits.
    Vocabulary { product: Linear, soft_cap: Option<f64> },
    /// One number per label.
    Labels(Linear),
    /// One number per label of a sequence, from its first row.
    Pooled { pooler: Linear, product: Linear },
}

impl Network {
    /// Puts the blocks of `plan` together.
    pub(crate) fn new(config: &ModelConfig, plan: &Plan, builder: &Builder<'_>) -> Result<Self, TchError> {
        let device = builder.tensor(&plan.embedding.tokens)?.device();
        let rotary = plan.layers.iter().any(|layer| layer.attention.rotary);
        let rope = rotary.then(|| Rope::new(config, &builder.hold, device)).transpose()?;
        let layers = plan.layers.iter().enumerate().map(|(index, layer)| Layer::new(builder, index, layer));
        let (embedding, head) = ends(builder, plan)?;
        Ok(Self {
            layers: layers.collect::<Result<_, _>>()?,
            final_norm: plan.final_norm.as_ref().map(|norm| builder.norm(norm)).transpose()?,
            trains: matches!(builder.hold, Hold::Shared),
            embedding,
            head,
            rope,
        })
    }

    pub(crate) fn device(&self) -> Device {
        self.embedding.device()
    }

    /// The residual stream after the last layer, [rows, hidden] in 32-bit floats.
    pub(crate) fn trunk(
        &self,
        rows: &Rows<'_>,
        attend: &mut dyn Attend,
        products: Products<'_>,
    ) -> Result<Tensor, TchError> {
        self.typed_trunk((rows, &[]), attend, products)
    }

    /// [`Network::trunk`] of a family with segments: rows and the segment of each.
    pub(crate) fn typed_trunk(
        &self,
        (rows, types): (&Rows<'_>, &[u32]),
        attend: &mut dyn Attend,
        products: Products<'_>,
    ) -> Result<Tensor, TchError> {
        rows.adapters.check(rows.tokens.len())?;
        let rotation = self.rotation(rows.positions, products)?;
        let products = Products { adapters: rows.adapters, ..products };
        let mut pass = Pass { products, rotation: rotation.as_ref(), attend };
        let x = self.embedding.forward(rows, types, products.kind)?;
        self.through(x, 0..self.layers.len(), &mut pass)
    }

    /// The rotations of rows at `positions`, for models that have them.
    pub(crate) fn rotation(&self, positions: &[u32], products: Products<'_>) -> Result<Option<Rotation>, TchError> {
        let rotated = if self.trains { products.kind } else { Kind::Float };
        self.rope.as_ref().map(|rope| rope.at(positions, rotated)).transpose()
    }

    /// Number of layers.
    pub(crate) fn layers(&self) -> usize {
        self.layers.len()
    }

    /// The residual stream before the first layer.
    pub(crate) fn embedded(&self, rows: &Rows<'_>, kind: Kind) -> Result<Tensor, TchError> {
        self.embedding.forward(rows, &[], kind)
    }

    /// The residual stream after some of the layers.
    pub(crate) fn through(&self, x: Tensor, layers: Range<usize>, pass: &mut Pass<'_>) -> Result<Tensor, TchError> {
        self.layers[layers].iter().try_fold(x, |x, layer| layer.forward(x, pass))
    }

    /// The last norm, if the model has one.
    pub(crate) fn normed(&self, x: &Tensor) -> Result<Tensor, TchError> {
        match &self.final_norm {
            Some(norm) => norm.forward(x),
            None => Ok(x.shallow_clone()),
        }
    }

    /// Next-token logits [rows, vocabulary] in 32-bit floats of normed rows; `None` for another head.
    pub(crate) fn logits(&self, normed: &Tensor, products: Products<'_>) -> Result<Option<Tensor>, TchError> {
        let Head::Vocabulary { product, soft_cap } = &self.head else { return Ok(None) };
        let logits = product.forward(normed, products)?.f_to_kind(Kind::Float)?;
        match soft_cap {
            Some(cap) => logits.f_div_scalar(*cap)?.f_tanh()?.f_mul_scalar(*cap).map(Some),
            None => Ok(Some(logits)),
        }
    }

    /// The head's numbers [rows, labels], few and decisive and so never rounded, in 32-bit floats of normed rows; `None` for a language model.
    pub(crate) fn labels(&self, normed: &Tensor) -> Result<Option<Tensor>, TchError> {
        let exact = Products::new(Kind::Float);
        match &self.head {
            Head::Labels(product) => product.forward(normed, exact).map(Some),
            Head::Pooled { pooler, product } => {
                product.forward(&pooler.forward(normed, exact)?.f_tanh()?, exact).map(Some)
            }
            Head::Vocabulary { .. } => Ok(None),
        }
    }
}

impl Network {
    /// Every weight that is packed for the kernels.
    pub(crate) fn packed(&self) -> impl Iterator<Item = &PackedMatrix> {
        let head = match &self.head {
            Head::Vocabulary { product, .. } | Head::Labels(product) => vec![product],
            Head::Pooled { pooler, product } => vec![pooler, product],
        };
        let layer = |layer| {
            let layer: &Layer = layer;
            let inputs = layer.attention.part.linears().iter().chain(layer.mlp.part.linears());
            inputs.chain([&layer.attention.output, &layer.mlp.output]).collect::<Vec<_>>()
        };
        let linears = self.embedding.linears().chain(self.layers.iter().flat_map(layer)).chain(head);
        linears.filter_map(|linear| linear.packed().map(Arc::as_ref))
    }
}

/// Embedding and head, which may be one weight: it is then held once.
fn ends(builder: &Builder<'_>, plan: &Plan) -> Result<(Embedding, Head), TchError> {
    let vocabulary = |product, soft_cap: &Option<f64>| Head::Vocabulary { product, soft_cap: *soft_cap };
    match &plan.head {
        HeadPlan::Vocabulary { product, soft_cap } if product.weight() == plan.embedding.tokens => {
            if matches!(builder.hold, Hold::Packed(..)) {
                let product = builder.linear(product)?;
                let embedding = Embedding::new(builder, &plan.embedding, product.packed())?;
                return Ok((embedding, vocabulary(product, soft_cap)));
            }
            let embedding = Embedding::new(builder, &plan.embedding, None)?;
            let weight = embedding.weight().map(Tensor::shallow_clone);
            let weight = weight.ok_or_else(|| TchError::Shape("the embedding is packed".to_owned()))?;
            Ok((embedding, vocabulary(Linear::tied(&product.module, weight), soft_cap)))
        }
        HeadPlan::Vocabulary { product, soft_cap } => {
            let head = vocabulary(builder.linear(product)?, soft_cap);
            Ok((Embedding::new(builder, &plan.embedding, None)?, head))
        }
        HeadPlan::Labels(_) | HeadPlan::Pooled { .. } => {
            let hold = match &builder.hold {
                Hold::Shared => Hold::Shared,
                Hold::Copied(_) => Hold::Copied(Kind::Float),
                Hold::Packed(_, pool) => Hold::Packed(Format::F32, Arc::clone(pool)),
            };
            let exact = Builder { parameters: builder.parameters, hold };
            let head = match &plan.head {
                HeadPlan::Pooled { pooler, product } => {
                    Head::Pooled { pooler: exact.linear(pooler)?, product: exact.linear(product)? }
                }
                HeadPlan::Vocabulary { product, .. } | HeadPlan::Labels(product) => {
                    Head::Labels(exact.linear(product)?)
                }
            };
            Ok((Embedding::new(builder, &plan.embedding, None)?, head))
        }
    }
}

impl Layer {
    fn new(builder: &Builder<'_>, index: usize, plan: &LayerPlan) -> Result<Self, TchError> {
        let attention = Attention::new(builder, index, &plan.attention)?;
        let mlp = Mlp::new(builder, &plan.mlp)?;
        let (output, down) = (builder.linear(&plan.attention.output)?, builder.linear(&plan.mlp.down)?);
        Ok(Self {
            attention: Residual::new(builder, attention, output, &plan.attention_norms)?,
            mlp: Residual::new(builder, mlp, down, &plan.mlp_norms)?,
        })
    }

    fn forward(&self, x: Tensor, pass: &mut Pass<'_>) -> Result<Tensor, TchError> {
        let mixed = self.attention.part.forward(&self.attention.input(&x)?, pass)?;
        let x = self.attention.join(x, &mixed, pass)?;
        let inner = self.mlp.part.forward(&self.mlp.input(&x)?, pass.products)?;
        self.mlp.join(x, &inner, pass)
    }
}

impl<P> Residual<P> {
    fn new(builder: &Builder<'_>, part: P, output: Linear, norms: &ResidualNorms) -> Result<Self, TchError> {
        let input_norm = norms.input.as_ref().map(|norm| builder.norm(norm)).transpose()?;
        let output_norm = norms.output.as_ref().map(|norm| builder.norm(norm)).transpose()?;
        let sum_norm = norms.sum.as_ref().map(|norm| builder.norm(norm)).transpose()?;
        Ok(Self { input_norm, part, output, output_norm, sum_norm })
    }

    /// What the part reads.
    fn input(&self, x: &Tensor) -> Result<Tensor, TchError> {
        match &self.input_norm {
            Some(norm) => norm.forward(x),
            None => Ok(x.shallow_clone()),
        }
    }

    /// The residual stream with what the part made.
    fn join(&self, x: Tensor, made: &Tensor, pass: &Pass<'_>) -> Result<Tensor, TchError> {
        let sum = match &self.output_norm {
            Some(norm) => x.f_add(&norm.forward(&self.output.forward(made, pass.products)?)?)?,
            None => self.output.add_to(x, made, pass.products)?,
        };
        match &self.sum_norm {
            Some(norm) => norm.forward(&sum),
            None => Ok(sum),
        }
    }
}

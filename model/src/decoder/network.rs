//! The forward of every decoder: a [`Plan`] put together from blocks, for training (whole padded sequences, gradients) and for
//! inference (rows of many sequences) alike.

use tch::{Device, Kind, TchError, Tensor};

use crate::ModelConfig;
use crate::blocks::attention::Attention;
use crate::blocks::embedding::Embedding;
use crate::blocks::linear::Linear;
use crate::blocks::mlp::Mlp;
use crate::blocks::norm::Norm;
use crate::blocks::rope::Rope;
use crate::blocks::{Attend, Builder, Hold, Pass, Rows};
use crate::family::plan::{HeadPlan, LayerPlan, Plan, ResidualNorms};

/// A model that computes.
#[derive(Debug)]
pub(crate) struct Network {
    embedding: Embedding,
    layers: Vec<Layer>,
    final_norm: Option<Norm>,
    head: Head,
    rope: Option<Rope>,
    hold: Hold,
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
}

#[derive(Debug)]
enum Head {
    /// The output projection [vocabulary, hidden]; `None` is the embedding.
    Vocabulary { weight: Option<Tensor>, soft_cap: Option<f64> },
    /// Weight [labels, hidden] and bias [labels].
    Labels { weight: Tensor, bias: Option<Tensor> },
}

impl Network {
    /// Puts the blocks of `plan` together.
    pub(crate) fn new(config: &ModelConfig, plan: &Plan, builder: &Builder<'_>) -> Result<Self, TchError> {
        let embedding = Embedding::new(builder, &plan.embedding)?;
        let device = embedding.weight().device();
        let rotary = plan.layers.iter().any(|layer| layer.attention.rotary);
        let rope = match builder.hold {
            _ if !rotary => None,
            Hold::Shared => Some(Rope::new(config, device)?),
            Hold::Copied(_) => Some(Rope::with_table(config, device)?),
        };
        let layers = plan.layers.iter().enumerate().map(|(index, layer)| Layer::new(builder, index, layer));
        Ok(Self {
            layers: layers.collect::<Result<_, _>>()?,
            final_norm: plan.final_norm.as_ref().map(|norm| builder.norm(norm)).transpose()?,
            head: Head::new(builder, plan)?,
            rope,
            hold: builder.hold,
            embedding,
        })
    }

    pub(crate) fn device(&self) -> Device {
        self.embedding.weight().device()
    }

    pub(crate) fn kind(&self) -> Kind {
        self.embedding.weight().kind()
    }

    /// The residual stream after the last layer, [rows, hidden] in 32-bit floats. `kind` is the format of the products.
    pub(crate) fn trunk(&self, rows: &Rows<'_>, attend: &mut dyn Attend, kind: Kind) -> Result<Tensor, TchError> {
        let rotated = match self.hold {
            Hold::Shared => kind,
            Hold::Copied(_) => Kind::Float,
        };
        let rotation = self.rope.as_ref().map(|rope| rope.at(rows.positions, rotated)).transpose()?;
        let mut pass = Pass { kind, rotation, attend };
        let mut x = self.embedding.forward(rows)?;
        for layer in &self.layers {
            x = layer.forward(&x, &mut pass)?;
        }
        Ok(x)
    }

    /// The last norm, if the model has one.
    pub(crate) fn normed(&self, x: &Tensor) -> Result<Tensor, TchError> {
        match &self.final_norm {
            Some(norm) => norm.forward(x),
            None => Ok(x.shallow_clone()),
        }
    }

    /// Next-token logits [rows, vocabulary] in 32-bit floats of normed rows; `None` for another head. `product` is
    /// `x weight^T`.
    pub(crate) fn logits(
        &self,
        normed: &Tensor,
        product: impl FnOnce(&Tensor, &Tensor) -> Result<Tensor, TchError>,
    ) -> Result<Option<Tensor>, TchError> {
        let Head::Vocabulary { weight, soft_cap } = &self.head else { return Ok(None) };
        let weight = weight.as_ref().unwrap_or_else(|| self.embedding.weight());
        let logits = product(normed, weight)?.f_to_kind(Kind::Float)?;
        match soft_cap {
            Some(cap) => logits.f_div_scalar(*cap)?.f_tanh()?.f_mul_scalar(*cap).map(Some),
            None => Ok(Some(logits)),
        }
    }

    /// The head's numbers [rows, labels] in 32-bit floats of normed rows; `None` for a language model.
    pub(crate) fn labels(&self, normed: &Tensor) -> Result<Option<Tensor>, TchError> {
        let Head::Labels { weight, bias } = &self.head else { return Ok(None) };
        let bias = bias.as_ref().map(|bias| bias.f_to_kind(Kind::Float)).transpose()?;
        let weight = weight.f_to_kind(Kind::Float)?;
        match self.hold {
            Hold::Shared => normed.f_linear(&weight, bias.as_ref()),
            Hold::Copied(_) => row_stable_labels(normed, &weight, bias.as_ref()),
        }
        .map(Some)
    }
}

/// A sum per row rather than a product: no choice of kernels by the number of rows.
fn row_stable_labels(normed: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor, TchError> {
    let sums = normed.f_unsqueeze(1)?.f_mul(&weight.f_unsqueeze(0)?)?.f_sum_dim_intlist(
        [-1i64].as_slice(),
        false,
        Kind::Float,
    )?;
    match bias {
        Some(bias) => sums.f_add(bias),
        None => Ok(sums),
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

    fn forward(&self, x: &Tensor, pass: &mut Pass<'_>) -> Result<Tensor, TchError> {
        let mixed = self.attention.part.forward(&self.attention.input(x)?, pass)?;
        let x = self.attention.join(x, &mixed, pass)?;
        let inner = self.mlp.part.forward(&self.mlp.input(&x)?, pass)?;
        self.mlp.join(&x, &inner, pass)
    }
}

impl<P> Residual<P> {
    fn new(builder: &Builder<'_>, part: P, output: Linear, norms: &ResidualNorms) -> Result<Self, TchError> {
        let input_norm = norms.input.as_ref().map(|norm| builder.norm(norm)).transpose()?;
        let output_norm = norms.output.as_ref().map(|norm| builder.norm(norm)).transpose()?;
        Ok(Self { input_norm, part, output, output_norm })
    }

    /// What the part reads.
    fn input(&self, x: &Tensor) -> Result<Tensor, TchError> {
        match &self.input_norm {
            Some(norm) => norm.forward(x),
            None => Ok(x.shallow_clone()),
        }
    }

    /// The residual stream with what the part made.
    fn join(&self, x: &Tensor, made: &Tensor, pass: &Pass<'_>) -> Result<Tensor, TchError> {
        match &self.output_norm {
            Some(norm) => x.f_add(&norm.forward(&self.output.forward(made, pass)?)?),
            None => self.output.add_to(x, made, pass),
        }
    }
}

impl Head {
    fn new(builder: &Builder<'_>, plan: &Plan) -> Result<Self, TchError> {
        match &plan.head {
            HeadPlan::Vocabulary { weight, soft_cap } => {
                let own = (*weight != plan.embedding.tokens).then(|| {
                    let tensor = builder.tensor(weight)?;
                    match builder.hold {
                        Hold::Shared => Ok(tensor),
                        Hold::Copied(kind) => tensor.f_detach()?.f_to_dtype(kind, false, true),
                    }
                });
                Ok(Self::Vocabulary { weight: own.transpose()?, soft_cap: *soft_cap })
            }
            HeadPlan::Labels(linear) => {
                let bias = builder.optional(&linear.bias_name()).map(|_| builder.small(&linear.bias_name()));
                Ok(Self::Labels { weight: builder.small(&linear.weight())?, bias: bias.transpose()? })
            }
        }
    }
}

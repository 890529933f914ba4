//! Products with weights, and the one place where a projection's output of rows is made: [`Linear::forward_all`],
//! [`Linear::forward_gated`] and [`Linear::add_to`] know the names of the modules whose outputs they make.

use std::sync::Arc;

use galapagos_kernels::matrix::{Product, Source, multiply_all};
use galapagos_kernels::rows::{Activation, gated};
use galapagos_kernels::{Epilogue, Format, PackedMatrix, Pool};
use tch::{Kind, TchError, Tensor};

use super::{Builder, Hold, copy_of};
use crate::family::plan::LinearPlan;
use crate::lora::AdapterRows;
use crate::profile::{Phase, phase};
use crate::tensors::{bf16s, f32s, f32s_mut, zeros_f32};

/// How products are computed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Products<'a> {
    /// Format of inputs and weights; packed weights have their own.
    pub(crate) kind: Kind,
    /// Which rows have an adapter.
    pub(crate) adapters: AdapterRows<'a>,
}

impl Products<'_> {
    /// Without adapters.
    pub(crate) fn new(kind: Kind) -> Self {
        Self { kind, adapters: AdapterRows::default() }
    }
}

/// One product, whose output is that of one module, or of a gate and its up projection side by side.
#[derive(Debug)]
pub(crate) struct Linear {
    weight: Weight,
    parts: Vec<Part>,
}

/// The output columns of one module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// Full name in `transformers`, for example `model.layers.3.self_attn.q_proj`.
    pub(crate) module: String,
    /// Number of columns.
    pub(crate) outputs: usize,
}

#[derive(Debug)]
enum Weight {
    /// A parameter in whatever format it is stored, or a copy, and its layout; and the bias.
    Tensor(Tensor, Layout, Option<Tensor>),
    /// With its bias.
    Packed(Arc<PackedMatrix>, Arc<Pool>),
}

/// How the numbers of a weight lie.
#[derive(Clone, Copy, Debug)]
enum Layout {
    /// [outputs, inputs].
    Plain,
    /// [inputs, outputs]. A parameter in training is turned in each product anew: a view that was made before it asked for a gradient
    /// would never pass one on.
    Transposed,
}

impl Linear {
    /// The product of one module.
    pub(crate) fn new(builder: &Builder<'_>, plan: &LinearPlan) -> Result<Self, TchError> {
        let weight = match &builder.hold {
            Hold::Shared => {
                let layout = if plan.transposed { Layout::Transposed } else { Layout::Plain };
                Weight::Tensor(builder.tensor(&plan.weight())?, layout, bias(builder, plan)?)
            }
            Hold::Copied(kind) => {
                let copy = copy_of(&oriented(builder, plan)?, *kind)?;
                Weight::Tensor(copy, Layout::Plain, bias(builder, plan)?)
            }
            Hold::Packed(format, pool) => {
                let bias = packed_bias(builder, &[plan])?;
                let packed = with_bias(pack(&oriented(builder, plan)?, *format)?, bias);
                Weight::Packed(Arc::new(packed), Arc::clone(pool))
            }
        };
        Ok(Self { weight, parts: vec![Part::of(plan)] })
    }

    /// A gate and its up projection as one product, for [`Linear::forward_gated`]; `None` unless weights are packed.
    pub(crate) fn gated(builder: &Builder<'_>, gate: &LinearPlan, up: &LinearPlan) -> Result<Option<Self>, TchError> {
        let Hold::Packed(format, pool) = &builder.hold else { return Ok(None) };
        let (gates, ups) = (readable(&oriented(builder, gate)?)?, readable(&oriented(builder, up)?)?);
        let matrix = PackedMatrix::gated(source(&gates)?, source(&ups)?, gate.inputs, *format);
        let matrix = with_bias(matrix, packed_bias(builder, &[gate, up])?);
        let weight = Weight::Packed(Arc::new(matrix), Arc::clone(pool));
        Ok(Some(Self { weight, parts: vec![Part::of(gate), Part::of(up)] }))
    }

    /// The product with a weight that something else holds too.
    pub(crate) fn tied(module: &str, weight: Tensor) -> Self {
        let outputs = weight.size().first().map_or(0, |size| *size as usize);
        let parts = vec![Part { module: module.to_owned(), outputs }];
        Self { weight: Weight::Tensor(weight, Layout::Plain, None), parts }
    }

    /// The packed weight [outputs, inputs], if it is one.
    pub(crate) fn packed(&self) -> Option<&Arc<PackedMatrix>> {
        match &self.weight {
            Weight::Packed(matrix, _) => Some(matrix),
            Weight::Tensor(..) => None,
        }
    }

    /// `x weight^T + bias` for `x` [rows, inputs].
    pub(crate) fn forward(&self, x: &Tensor, products: Products<'_>) -> Result<Tensor, TchError> {
        let kind = products.kind;
        let out = phase(Phase::Products, || self.product(x, kind))?;
        products.adapters.add(&self.parts, x, out, kind)
    }

    fn product(&self, x: &Tensor, kind: Kind) -> Result<Tensor, TchError> {
        match &self.weight {
            Weight::Tensor(weight, layout, bias) => {
                let turned = match layout {
                    Layout::Plain => weight.shallow_clone(),
                    Layout::Transposed => weight.f_transpose(0, 1)?,
                };
                let bias = bias.as_ref().map(|bias| bias.f_to_kind(kind)).transpose()?;
                x.f_to_kind(kind)?.f_linear(&turned.f_to_kind(kind)?, bias)
            }
            Weight::Packed(matrix, pool) => {
                let mut out = zeros_f32(&[rows(x), matrix.outputs()])?;
                matrix.multiply(pool, f32s(x)?, Epilogue::Store, f32s_mut(&mut out)?);
                Ok(out)
            }
        }
    }

    /// [`Linear::forward`] of several products of one input, in one go where weights are packed.
    pub(crate) fn forward_all(linears: &[Self], x: &Tensor, products: Products<'_>) -> Result<Vec<Tensor>, TchError> {
        let packed: Vec<&PackedMatrix> = linears.iter().filter_map(|linear| linear.packed().map(Arc::as_ref)).collect();
        let pool = linears.iter().find_map(Self::pool);
        let Some(pool) = pool.filter(|_| packed.len() == linears.len()) else {
            // Converted once for all.
            let x = x.f_to_kind(products.kind)?;
            return linears.iter().map(|linear| linear.forward(&x, products)).collect();
        };
        let outputs = phase(Phase::Products, || multiply_packed(pool, &packed, x))?;
        let adapted = |(linear, out): (&Self, Tensor)| products.adapters.add(&linear.parts, x, out, products.kind);
        linears.iter().zip(outputs).map(adapted).collect()
    }

    /// `activation(gate(x)) * up(x)` of a product made by [`Linear::gated`].
    pub(crate) fn forward_gated(
        &self,
        x: &Tensor,
        activation: Activation,
        products: Products<'_>,
    ) -> Result<Tensor, TchError> {
        let Weight::Packed(matrix, pool) = &self.weight else {
            return Err(TchError::Shape("only packed weights are gated".to_owned()));
        };
        let width = matrix.outputs() / 2;
        let mut out = zeros_f32(&[rows(x), width])?;
        if products.adapters.have(&self.parts) {
            // The updates come before the activation. For rows without one the two ways give the same bits.
            let both = self.forward(x, products)?;
            gated(pool, activation, f32s(&both)?, width, f32s_mut(&mut out)?);
        } else {
            let (numbers, gated) = (f32s(x)?, f32s_mut(&mut out)?);
            phase(Phase::Products, || matrix.multiply(pool, numbers, Epilogue::Gate(activation), gated));
        }
        Ok(out)
    }

    /// `residual + x weight^T + bias`: a part of a layer joins the residual stream, in place if the weight is packed (nothing
    /// else may then have a handle on `residual`).
    pub(crate) fn add_to(&self, mut residual: Tensor, x: &Tensor, products: Products<'_>) -> Result<Tensor, TchError> {
        match &self.weight {
            Weight::Tensor(..) => residual.f_add(&self.forward(x, products)?),
            Weight::Packed(matrix, pool) => {
                let (numbers, sums) = (f32s(x)?, f32s_mut(&mut residual)?);
                phase(Phase::Products, || matrix.multiply(pool, numbers, Epilogue::Add, sums));
                products.adapters.add(&self.parts, x, residual, products.kind)
            }
        }
    }

    fn pool(&self) -> Option<&Arc<Pool>> {
        match &self.weight {
            Weight::Packed(_, pool) => Some(pool),
            Weight::Tensor(..) => None,
        }
    }
}

/// The products of `x` with each of the weights, in one fork.
fn multiply_packed(pool: &Pool, weights: &[&PackedMatrix], x: &Tensor) -> Result<Vec<Tensor>, TchError> {
    let outputs = weights.iter().map(|matrix| zeros_f32(&[rows(x), matrix.outputs()]));
    let mut outputs = outputs.collect::<Result<Vec<_>, _>>()?;
    let calls = weights.iter().zip(&mut outputs);
    let calls = calls.map(|(matrix, out)| Ok(Product { matrix, epilogue: Epilogue::Store, out: f32s_mut(out)? }));
    multiply_all(pool, f32s(x)?, &mut calls.collect::<Result<Vec<_>, TchError>>()?);
    Ok(outputs)
}

impl Part {
    fn of(plan: &LinearPlan) -> Self {
        Self { module: plan.module.clone(), outputs: plan.outputs }
    }
}

fn rows(x: &Tensor) -> usize {
    x.size().first().map_or(0, |rows| *rows as usize)
}

/// The weight as [outputs, inputs].
fn oriented(builder: &Builder<'_>, plan: &LinearPlan) -> Result<Tensor, TchError> {
    let weight = builder.tensor(&plan.weight())?;
    if plan.transposed { weight.f_transpose(0, 1) } else { Ok(weight) }
}

fn bias(builder: &Builder<'_>, plan: &LinearPlan) -> Result<Option<Tensor>, TchError> {
    let name = plan.bias_name();
    builder.optional(&name).map(|_| builder.small(&name)).transpose()
}

/// The biases of modules side by side; those without get zeros where another has one.
fn packed_bias(builder: &Builder<'_>, plans: &[&LinearPlan]) -> Result<Option<Vec<f32>>, TchError> {
    let (mut all, mut any) = (Vec::new(), false);
    for plan in plans {
        match bias(builder, plan)? {
            Some(bias) => {
                any = true;
                all.extend_from_slice(f32s(&bias)?);
            }
            None => all.resize(all.len() + plan.outputs, 0.0),
        }
    }
    Ok(any.then_some(all))
}

fn with_bias(matrix: PackedMatrix, bias: Option<Vec<f32>>) -> PackedMatrix {
    match bias {
        Some(bias) => matrix.with_bias(bias),
        None => matrix,
    }
}

/// Packs a weight [outputs, inputs] of the CPU.
pub(super) fn pack(weight: &Tensor, format: Format) -> Result<PackedMatrix, TchError> {
    let (outputs, inputs) = weight.size2()?;
    let numbers = readable(weight)?;
    Ok(PackedMatrix::pack(source(&numbers)?, outputs as usize, inputs as usize, format))
}

/// Detached, contiguous, and in a format that kernels read.
fn readable(weight: &Tensor) -> Result<Tensor, TchError> {
    let weight = weight.f_detach()?;
    let weight = if weight.kind() == Kind::BFloat16 { weight } else { weight.f_to_kind(Kind::Float)? };
    weight.f_contiguous()
}

fn source(numbers: &Tensor) -> Result<Source<'_>, TchError> {
    if numbers.kind() == Kind::BFloat16 { bf16s(numbers).map(Source::Bf16) } else { f32s(numbers).map(Source::F32) }
}

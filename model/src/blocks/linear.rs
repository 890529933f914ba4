//! Products with weights: the one place where a projection's output of rows is made ([`Linear::forward`] and
//! [`Linear::add_to`]), with the names of the modules whose output it is.

use tch::{Kind, TchError, Tensor};

use super::{Builder, Hold, Pass};
use crate::family::plan::LinearPlan;

/// Rows below which CPU kernels take another path and round differently (seen with 1 to 3 rows in 32-bit floats and with 1
/// row in bfloat16).
const MIN_ROWS: i64 = 4;

/// Multiplications up to which libtorch does a bfloat16 product itself instead of handing it to oneDNN
/// (`mkldnn_gemm_min_size`, 16 cubed). The two round differently, so products that must not depend on the batch are padded
/// to be larger even for one row.
const SMALL_PRODUCT: i64 = 16 * 16 * 16;

/// One product, whose output is that of one or more modules side by side.
#[derive(Debug)]
pub(crate) struct Linear {
    weight: Weight,
    bias: Option<Tensor>,
    #[expect(dead_code, reason = "the adapters that read it are being built")]
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
    /// A parameter [outputs, inputs] in whatever format it is stored.
    Shared(Tensor),
    /// [outputs, inputs] in the format of the product.
    Copied(Tensor),
}

impl Linear {
    /// Joins the weights of `plans`, which read the same input.
    pub(super) fn new(builder: &Builder<'_>, plans: &[LinearPlan]) -> Result<Self, TchError> {
        let parts = plans.iter().map(|plan| Part { module: plan.module.clone(), outputs: plan.outputs }).collect();
        let oriented = |plan: &LinearPlan| {
            let weight = builder.tensor(&plan.weight())?;
            if plan.transposed { weight.f_transpose(0, 1) } else { Ok(weight) }
        };
        let weights = plans.iter().map(oriented).collect::<Result<Vec<_>, _>>()?;
        let weight = match (builder.hold, weights.as_slice()) {
            (Hold::Shared, [weight]) => Weight::Shared(weight.shallow_clone()),
            (Hold::Shared, _) => return Err(TchError::Shape("parameters cannot be joined without a copy".to_owned())),
            (Hold::Copied(kind), _) => {
                let joined = Tensor::f_cat(&weights, 0)?.f_detach()?.f_to_dtype(kind, false, true)?;
                Weight::Copied(joined.f_contiguous()?)
            }
        };
        Ok(Self { weight, bias: bias(builder, plans)?, parts })
    }

    /// `x weight^T + bias` for `x` [rows, inputs].
    pub(crate) fn forward(&self, x: &Tensor, pass: &Pass<'_>) -> Result<Tensor, TchError> {
        let kind = pass.kind;
        let x = x.f_to_kind(kind)?;
        let bias = self.bias.as_ref().map(|bias| bias.f_to_kind(kind)).transpose()?;
        match &self.weight {
            Weight::Shared(weight) => x.f_linear(&weight.f_to_kind(kind)?, bias.as_ref()),
            Weight::Copied(weight) => padded_rows(&x, weight.numel() as i64, |x| x.f_linear(weight, bias.as_ref())),
        }
    }

    /// `residual + x weight^T + bias`: a part of a layer joins the residual stream.
    pub(crate) fn add_to(&self, residual: &Tensor, x: &Tensor, pass: &Pass<'_>) -> Result<Tensor, TchError> {
        residual.f_add(&self.forward(x, pass)?)
    }
}

/// The biases side by side; modules without one get zeros where another has one.
fn bias(builder: &Builder<'_>, plans: &[LinearPlan]) -> Result<Option<Tensor>, TchError> {
    let biases: Vec<Option<Tensor>> = plans.iter().map(|plan| builder.optional(&plan.bias_name())).collect();
    if biases.iter().all(Option::is_none) {
        return Ok(None);
    }
    if let (Hold::Shared, [Some(bias)]) = (builder.hold, biases.as_slice()) {
        return Ok(Some(bias.shallow_clone()));
    }
    let device = builder.tensor(&plans[0].weight())?.device();
    let part = |(plan, bias): (&LinearPlan, Option<Tensor>)| match bias {
        Some(bias) => bias.f_detach()?.f_to_kind(Kind::Float),
        None => Tensor::f_zeros([plan.outputs as i64], (Kind::Float, device)),
    };
    let parts = plans.iter().zip(biases).map(part).collect::<Result<Vec<_>, _>>()?;
    Tensor::f_cat(&parts, 0).map(Some)
}

/// The least size of a dimension, at least `least`, that makes a product large, when the other dimensions multiply to
/// `others`.
pub(crate) fn large_enough(least: i64, others: i64) -> i64 {
    least.max(SMALL_PRODUCT / others.max(1) + 1)
}

/// Runs `product` on `x` [.., rows, in] with at least as many rows as make its result independent of their number; the
/// other dimensions multiply to `others`.
pub(crate) fn padded_rows(
    x: &Tensor,
    others: i64,
    product: impl Fn(&Tensor) -> Result<Tensor, TchError>,
) -> Result<Tensor, TchError> {
    let rows = x.size().iter().rev().nth(1).copied().unwrap_or(0);
    let missing = large_enough(MIN_ROWS, others) - rows;
    if missing <= 0 {
        return product(x);
    }
    product(&x.f_constant_pad_nd([0, 0, 0, missing])?)?.f_narrow(-2, 0, rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_makes_products_large_and_no_larger() {
        assert_eq!(large_enough(4, 576 * 576), 4);
        assert_eq!(large_enough(4, 32 * 24), 6);
        assert_eq!(large_enough(4, 4096), 4);
        assert_eq!(large_enough(1, 4096), 2);
    }
}

//! The feed-forward part of a layer: `down(activation(gate(x)) * up(x))`, or `down(activation(up(x)))` without a gate. The
//! last product is the layer's, which adds it to the residual stream.

use std::sync::Arc;

use galapagos_kernels::Pool;
use galapagos_kernels::rows::{Activation, activate_all};
use tch::{TchError, Tensor};

use super::linear::{Linear, Products};
use super::{Builder, Hold};
use crate::family::plan::MlpPlan;
use crate::tensors::f32s_mut;

/// Everything but the last product.
#[derive(Debug)]
pub(crate) struct Mlp {
    inputs: Inputs,
    activation: Activation,
}

#[derive(Debug)]
enum Inputs {
    Plain(Linear),
    /// The same where the kernels compute: libtorch's activations round an element by its place in the batch.
    PlainByKernel(Linear, Arc<Pool>),
    /// Gate and up.
    Gated([Linear; 2]),
    /// Gate and up in one product that also applies the activation.
    GatedAtOnce(Linear),
}

impl Mlp {
    pub(crate) fn new(builder: &Builder<'_>, plan: &MlpPlan) -> Result<Self, TchError> {
        let inputs = match &plan.gate {
            None => match &builder.hold {
                Hold::Packed(_, pool) => Inputs::PlainByKernel(builder.linear(&plan.up)?, Arc::clone(pool)),
                Hold::Shared | Hold::Copied(_) => Inputs::Plain(builder.linear(&plan.up)?),
            },
            Some(gate) => match Linear::gated(builder, gate, &plan.up)? {
                Some(joined) => Inputs::GatedAtOnce(joined),
                None => Inputs::Gated([builder.linear(gate)?, builder.linear(&plan.up)?]),
            },
        };
        Ok(Self { inputs, activation: plan.activation })
    }

    /// Its products.
    pub(crate) fn linears(&self) -> &[Linear] {
        match &self.inputs {
            Inputs::Plain(linear) | Inputs::PlainByKernel(linear, _) | Inputs::GatedAtOnce(linear) => {
                std::slice::from_ref(linear)
            }
            Inputs::Gated(linears) => linears,
        }
    }

    /// `x` [rows, hidden] to [rows, inner].
    pub(crate) fn forward(&self, x: &Tensor, products: Products<'_>) -> Result<Tensor, TchError> {
        match &self.inputs {
            Inputs::Plain(up) => activate(self.activation, &up.forward(x, products)?),
            Inputs::PlainByKernel(up, pool) => {
                let mut inner = up.forward(x, products)?;
                activate_all(pool, self.activation, f32s_mut(&mut inner)?);
                Ok(inner)
            }
            Inputs::GatedAtOnce(joined) => joined.forward_gated(x, self.activation, products),
            Inputs::Gated(both) => match Linear::forward_all(both, x, products)?.as_slice() {
                [gate, up] => activate(self.activation, gate)?.f_mul(up),
                _ => Err(TchError::Shape("a gate and its up projection are two products".to_owned())),
            },
        }
    }
}

fn activate(activation: Activation, x: &Tensor) -> Result<Tensor, TchError> {
    match activation {
        Activation::Silu => x.f_silu(),
        Activation::GeluTanh => x.f_gelu("tanh"),
        Activation::Gelu => x.f_gelu("none"),
        Activation::Relu => x.f_relu(),
    }
}

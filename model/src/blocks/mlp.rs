//! The feed-forward part of a layer: `down(activation(gate(x)) * up(x))`, or `down(activation(up(x)))` without a gate. The
//! last product is the layer's, which adds it to the residual stream.

use galapagos_kernels::rows::Activation;
use tch::{TchError, Tensor};

use super::linear::Linear;
use super::{Builder, Pass};
use crate::family::plan::MlpPlan;

/// Everything but the last product.
#[derive(Debug)]
pub(crate) struct Mlp {
    /// Gate and up, as two products or as one.
    inputs: Vec<Linear>,
    gated: bool,
    activation: Activation,
}

impl Mlp {
    pub(crate) fn new(builder: &Builder<'_>, plan: &MlpPlan) -> Result<Self, TchError> {
        let inputs: Vec<_> = plan.gate.iter().chain([&plan.up]).cloned().collect();
        let gated = plan.gate.is_some();
        Ok(Self { inputs: builder.projections(&inputs)?, gated, activation: plan.activation })
    }

    /// `x` [rows, hidden] to [rows, inner].
    pub(crate) fn forward(&self, x: &Tensor, pass: &Pass<'_>) -> Result<Tensor, TchError> {
        let outputs = self.inputs.iter().map(|linear| linear.forward(x, pass)).collect::<Result<Vec<_>, _>>()?;
        match outputs.as_slice() {
            [gate, up] => activate(self.activation, gate)?.f_mul(up),
            [joined] if self.gated => {
                let halves = joined.f_chunk(2, -1)?;
                activate(self.activation, &halves[0])?.f_mul(&halves[1])
            }
            [up] => activate(self.activation, up),
            _ => Err(TchError::Shape("a feed-forward part has one or two inputs".to_owned())),
        }
    }
}

fn activate(activation: Activation, x: &Tensor) -> Result<Tensor, TchError> {
    match activation {
        Activation::Silu => x.f_silu(),
        Activation::GeluTanh => x.f_gelu("tanh"),
        Activation::Gelu => x.f_gelu("none"),
    }
}

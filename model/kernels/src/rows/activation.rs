//! The activations of feed-forward blocks.

use crate::isa::Isa;
use crate::loops::{Kernel, dispatch, exp, fma, polynomial};

/// The activation of a feed-forward block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `x * sigmoid(x)`.
    Silu,
    /// GELU by its tanh approximation (`gelu_new`, `gelu_pytorch_tanh`).
    GeluTanh,
    /// GELU by the error function: `x * Phi(x)`, `Phi` the normal distribution.
    Gelu,
    /// `max(x, 0)`.
    Relu,
}

/// Runs `$apply` with the activation as a function of one number; a loop for each, so that none asks within.
macro_rules! with_activation {
    ($activation:expr, $apply:expr) => {
        match $activation {
            Activation::Silu => $apply(silu::<FMA>),
            Activation::GeluTanh => $apply(gelu_tanh::<FMA>),
            Activation::Gelu => $apply(gelu::<FMA>),
            Activation::Relu => $apply(relu),
        }
    };
}

#[inline(always)]
fn silu<const FMA: bool>(x: f32) -> f32 {
    x / (1.0 + exp::<FMA>(-x))
}

/// `x / 2 (1 + tanh(u))` with `u = sqrt(2 / pi) (x + 0.044715 x^3)`; `1 + tanh(u) = 2 / (1 + exp(-2 u))`.
#[inline(always)]
fn gelu_tanh<const FMA: bool>(x: f32) -> f32 {
    /// 2 sqrt(2 / pi).
    const TWICE: f32 = std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::SQRT_2;
    let u = TWICE * fma::<FMA>(0.044_715 * x * x, x, x);
    x / (1.0 + exp::<FMA>(-u))
}

/// `Phi(-a) = exp(-a^2 / 2) m(a)` for `a >= 0`, where `m(a) = erfcx(a / sqrt(2)) / 2` is `t` times a polynomial of
/// `t = 1 / (1 + 0.35 a)`, fitted to a relative error of 4e-8.
#[inline(always)]
fn gelu<const FMA: bool>(x: f32) -> f32 {
    const TAIL: [f32; 9] = [
        -0.029_160_753,
        0.144_043_6,
        -0.255_862_47,
        0.159_343_32,
        -0.023_226_375,
        0.105_557_48,
        0.119_820_27,
        0.139_863_57,
        0.139_621_3,
    ];
    let a = x.abs();
    let t = 1.0 / fma::<FMA>(0.35, a, 1.0);
    let tail = t * polynomial::<FMA, 9>(t, TAIL) * exp::<FMA>(-0.5 * a * a);
    x * if x < 0.0 { tail } else { 1.0 - tail }
}

#[inline(always)]
fn relu(x: f32) -> f32 {
    if x < 0.0 { 0.0 } else { x }
}

/// `x = activation(x)`.
pub(super) struct InPlace<'a> {
    pub(super) activation: Activation,
    pub(super) x: &'a mut [f32],
}

impl Kernel for InPlace<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        #[inline(always)]
        fn apply(x: &mut [f32], function: impl Fn(f32) -> f32) {
            x.iter_mut().for_each(|x| *x = function(*x));
        }
        with_activation!(self.activation, |function| apply(self.x, function));
    }
}

/// `out = activation(gate) * up`.
pub(super) struct Gated<'a> {
    pub(super) activation: Activation,
    pub(super) gate: &'a [f32],
    pub(super) up: &'a [f32],
    pub(super) out: &'a mut [f32],
}

impl Kernel for Gated<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        #[inline(always)]
        fn apply(gated: Gated<'_>, function: impl Fn(f32) -> f32) {
            for ((out, gate), up) in gated.out.iter_mut().zip(gated.gate).zip(gated.up) {
                *out = function(*gate) * up;
            }
        }
        with_activation!(self.activation, |function| apply(self, function));
    }
}

/// `out = activation(gate) * up` for a few neighbouring outputs of one row.
pub(crate) fn gate_line(isa: Isa, activation: Activation, sums: (&[f32], &[f32]), out: &mut [f32]) {
    dispatch(isa, Gated { activation, gate: sums.0, up: sums.1, out });
}

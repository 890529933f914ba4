//! Rotary position embeddings in the "rotate half" layout of `transformers`: element `i` of a head is rotated with element
//! `i + head_dim / 2` by the angle `position * frequency[i]`; unscaled, `frequency[i] = theta^(-2 i / head_dim)`.

use std::f64::consts::TAU;
use std::sync::Arc;

use galapagos_kernels::Pool;
use galapagos_kernels::rows::rotate;
use tch::{Device, Kind, TchError, Tensor};

use super::Hold;
use crate::ModelConfig;
use crate::config::RopeScaling;
use crate::profile::{Phase, phase};
use crate::tensors::{f32s, f32s_mut};

/// The frequencies of a model; in inference with cosines and sines of all its positions.
#[derive(Debug)]
pub(crate) struct Rope {
    /// [`head_dim` / 2], 32-bit floats.
    frequencies: Tensor,
    /// Multiplies cosines and sines.
    scale: f64,
    /// Made once; without it as needed.
    table: Option<Table>,
    /// Set where the kernels compute.
    pool: Option<Arc<Pool>>,
}

/// Cosines and sines of the first positions, each [positions, `head_dim` / 2].
#[derive(Debug)]
struct Table {
    cos: Tensor,
    sin: Tensor,
}

impl Rope {
    pub(crate) fn new(config: &ModelConfig, hold: &Hold, device: Device) -> Result<Self, TchError> {
        let (frequencies, scale) = frequencies(config, device)?;
        let mut rope = Self { frequencies, scale, table: None, pool: None };
        match hold {
            Hold::Shared => return Ok(rope),
            Hold::Copied(_) => {}
            Hold::Packed(_, pool) => rope.pool = Some(Arc::clone(pool)),
        }
        rope.table = Some(rope.make_table(config.max_position_embeddings as i64)?);
        Ok(rope)
    }

    fn make_table(&self, positions: i64) -> Result<Table, TchError> {
        let positions = Tensor::f_arange(positions, (Kind::Float, self.frequencies.device()))?;
        let angles = positions.f_outer(&self.frequencies)?;
        let scaled = |table: Tensor| if self.scale == 1.0 { Ok(table) } else { table.f_mul_scalar(self.scale) };
        Ok(Table { cos: scaled(angles.f_cos()?)?, sin: scaled(angles.f_sin()?)? })
    }

    /// The rotations of rows at `positions`, in format `kind`.
    pub(crate) fn at(&self, positions: &[u32], kind: Kind) -> Result<Rotation, TchError> {
        let made;
        let table = match &self.table {
            Some(table) => table,
            None => {
                made = self.make_table(positions.iter().max().map_or(0, |most| i64::from(*most) + 1))?;
                &made
            }
        };
        let indices: Vec<i64> = positions.iter().map(|position| i64::from(*position)).collect();
        let indices = Tensor::f_from_slice(&indices)?.f_to_device(self.frequencies.device())?;
        let pick = |table: &Tensor| table.f_index_select(0, &indices)?.f_to_kind(kind);
        let (cos, sin) = (pick(&table.cos)?, pick(&table.sin)?);
        match &self.pool {
            Some(pool) => Ok(Rotation::Kernel { cos, sin, pool: Arc::clone(pool) }),
            None => {
                let whole = |half: Tensor| Tensor::f_cat(&[&half, &half], -1)?.f_unsqueeze(1);
                Ok(Rotation::Libtorch { cos: whole(cos)?, sin: whole(sin)? })
            }
        }
    }
}

/// Cosines and sines of some rows.
#[derive(Debug)]
pub(crate) enum Rotation {
    /// Each [rows, 1, `head_dim`].
    Libtorch {
        /// Cosines.
        cos: Tensor,
        /// Sines.
        sin: Tensor,
    },
    /// Each [rows, `head_dim` / 2].
    Kernel {
        /// Cosines.
        cos: Tensor,
        /// Sines.
        sin: Tensor,
        /// Who computes.
        pool: Arc<Pool>,
    },
}

impl Rotation {
    /// Rotates `x` [rows, heads, `head_dim`]; by kernels in place, so that nothing else may have a handle on it.
    pub(crate) fn rotate(&self, x: Tensor) -> Result<Tensor, TchError> {
        phase(Phase::Rows, || self.turned(x))
    }

    fn turned(&self, mut x: Tensor) -> Result<Tensor, TchError> {
        match self {
            Self::Libtorch { cos, sin } => {
                let halves = x.f_chunk(2, -1)?;
                let turned = Tensor::f_cat(&[&halves[1].f_neg()?, &halves[0]], -1)?;
                x.f_mul(cos)?.f_add(&turned.f_mul(sin)?)
            }
            Self::Kernel { cos, sin, pool } => {
                let head_dim = x.size3()?.2 as usize;
                rotate(pool, f32s_mut(&mut x)?, head_dim, f32s(cos)?, f32s(sin)?);
                Ok(x)
            }
        }
    }
}

/// Frequencies [`head_dim` / 2], in 32-bit floats as the reference computes them, and the factor on cosines and sines.
fn frequencies(config: &ModelConfig, device: Device) -> Result<(Tensor, f64), TchError> {
    let steps = Tensor::f_arange(config.head_dim as i64 / 2, (Kind::Float, device))?;
    let exponents = steps.f_mul_scalar(2.0)?.f_div_scalar(config.head_dim as f64)?;
    let powers = Tensor::f_pow_scalar(config.rope_theta, &exponents)?;
    let plain = powers.f_reciprocal()?;
    match config.rope_scaling {
        RopeScaling::None | RopeScaling::Dynamic { .. } => Ok((plain, 1.0)),
        RopeScaling::Linear { factor } => Ok((plain.f_div_scalar(factor)?, 1.0)),
        RopeScaling::Llama3 { .. } => Ok((llama3(&plain, &config.rope_scaling)?, 1.0)),
        RopeScaling::Yarn { attention_factor, .. } => Ok((yarn(&powers, &steps, config)?, attention_factor)),
    }
}

/// `_compute_llama3_parameters` of `transformers`.
fn llama3(plain: &Tensor, scaling: &RopeScaling) -> Result<Tensor, TchError> {
    let RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original } = *scaling else {
        return Ok(plain.shallow_clone());
    };
    let original = original as f64;
    let wavelength = plain.f_reciprocal()?.f_mul_scalar(TAU)?;
    let divided = plain.f_div_scalar(factor)?;
    // How much of the plain frequency is kept: 0 for long wavelengths, 1 for short ones.
    let kept = wavelength.f_reciprocal()?.f_mul_scalar(original)?.f_sub_scalar(low_freq_factor)?;
    let kept = kept.f_div_scalar(high_freq_factor - low_freq_factor)?.f_clamp(0.0, 1.0)?;
    mix(&divided, plain, &kept)
}

/// `_compute_yarn_parameters` of `transformers`.
fn yarn(powers: &Tensor, steps: &Tensor, config: &ModelConfig) -> Result<Tensor, TchError> {
    let RopeScaling::Yarn { factor, original, beta_fast, beta_slow, truncate, .. } = config.rope_scaling else {
        return powers.f_reciprocal();
    };
    let dim = config.head_dim as f64;
    let dimension = |rotations: f64| dim * (original as f64 / (rotations * TAU)).ln() / (2.0 * config.rope_theta.ln());
    let (low, high) = (dimension(beta_fast), dimension(beta_slow));
    let (low, high) = if truncate { (low.floor(), high.ceil()) } else { (low, high) };
    let (low, high) = (low.max(0.0), high.min(dim - 1.0));
    let width = if low == high { 0.001 } else { high - low };
    let kept = steps.f_sub_scalar(low)?.f_div_scalar(width)?.f_clamp(0.0, 1.0)?.f_neg()?.f_add_scalar(1.0)?;
    mix(&powers.f_mul_scalar(factor)?.f_reciprocal()?, &powers.f_reciprocal()?, &kept)
}

/// `a * (1 - share) + b * share`.
fn mix(a: &Tensor, b: &Tensor, share: &Tensor) -> Result<Tensor, TchError> {
    let rest = share.f_neg()?.f_add_scalar(1.0)?;
    a.f_mul(&rest)?.f_add(&b.f_mul(share)?)
}

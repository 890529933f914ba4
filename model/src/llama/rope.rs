//! Rotary position embeddings in the "rotate half" layout of `transformers`: element `i` of a head is rotated with element
//! `i + head_dim / 2` by the angle `position * theta^(-2 i / head_dim)`.

use tch::{Device, Kind, TchError, Tensor};

use crate::ModelConfig;

/// Cosines and sines for every position of a model, each [positions, `head_dim`].
#[derive(Debug)]
pub(crate) struct Rope {
    cos: Tensor,
    sin: Tensor,
}

impl Rope {
    /// Tables for the first `positions` positions, in 32-bit floats.
    pub(crate) fn new(config: &ModelConfig, positions: usize, device: Device) -> Result<Self, TchError> {
        let head_dim = config.head_dim as f64;
        let steps = Tensor::f_arange(config.head_dim as i64 / 2, (Kind::Float, device))?;
        // inv_freq = 1 / theta^(2 i / head_dim), in 32-bit floats as the reference computes it.
        let exponents = steps.f_mul_scalar(2.0)?.f_div_scalar(head_dim)?;
        let frequencies = Tensor::f_pow_scalar(config.rope_theta, &exponents)?.f_reciprocal()?;
        let angles = Tensor::f_arange(positions as i64, (Kind::Float, device))?.f_outer(&frequencies)?;
        let angles = Tensor::f_cat(&[&angles, &angles], -1)?;
        Ok(Self { cos: angles.f_cos()?, sin: angles.f_sin()? })
    }

    /// The rotations at `positions` (any shape, 64-bit integers), in format `kind`, with one more dimension at the end.
    pub(crate) fn at(&self, positions: &Tensor, kind: Kind) -> Result<Rotation, TchError> {
        let flat = positions.f_reshape([-1i64])?;
        let mut shape = positions.size();
        shape.push(-1);
        let pick = |table: &Tensor| table.f_index_select(0, &flat)?.f_to_kind(kind)?.f_reshape(&shape);
        Ok(Rotation { cos: pick(&self.cos)?, sin: pick(&self.sin)? })
    }
}

/// Cosines and sines of a few positions, broadcastable against heads.
#[derive(Debug)]
pub(crate) struct Rotation {
    cos: Tensor,
    sin: Tensor,
}

impl Rotation {
    /// Adds a dimension of size one at `dim`, to broadcast over heads.
    pub(crate) fn unsqueeze(&self, dim: i64) -> Result<Self, TchError> {
        Ok(Self { cos: self.cos.f_unsqueeze(dim)?, sin: self.sin.f_unsqueeze(dim)? })
    }

    /// Rotates `x`, whose last dimension is one head.
    pub(crate) fn rotate(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let halves = x.f_chunk(2, -1)?;
        let turned = Tensor::f_cat(&[&halves[1].f_neg()?, &halves[0]], -1)?;
        x.f_mul(&self.cos)?.f_add(&turned.f_mul(&self.sin)?)
    }
}

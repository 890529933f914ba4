//! Attention: projections of rows to queries, keys and values, and how rows look at one another.
//!
//! Query heads are grouped: heads `g * n .. g * n + n` share key and value head `g`. The product behind the attention is the
//! layer's, which adds it to the residual stream.

mod packed;

use galapagos_kernels::AttentionSpec;
use tch::{Device, Kind, TchError, Tensor};

use super::linear::Linear;
use super::norm::Norm;
use super::{Builder, Hold, Pass};
use crate::family::plan::AttentionPlan;

pub(crate) use packed::PackedSequences;

/// One layer's queries, keys and values, each [rows, heads, `head_dim`], contiguous, rotated to their positions: 32-bit floats in
/// inference, in the format of the pass in training.
#[derive(Debug)]
pub(crate) struct Projected {
    pub(crate) query: Tensor,
    pub(crate) key: Tensor,
    pub(crate) value: Tensor,
}

/// How rows look at other rows.
pub(crate) trait Attend {
    /// The attention output [rows, query heads, `head_dim`] of layer `layer`, in the format of the query. Keys and values of the
    /// rows themselves are to be kept for later rows.
    fn attend(&mut self, layer: usize, rows: &Projected, spec: &AttentionSpec) -> Result<Tensor, TchError>;
}

/// Everything but the last product.
#[derive(Debug)]
pub(crate) struct Attention {
    layer: usize,
    /// Queries, keys and values: three products, or one whose output they are side by side.
    projections: Vec<Linear>,
    query_norm: Option<Norm>,
    key_norm: Option<Norm>,
    query_heads: i64,
    key_heads: i64,
    head_dim: i64,
    rotary: bool,
    spec: AttentionSpec,
    /// Whether queries, keys and values are widened to 32-bit floats for the caller.
    widen: bool,
}

impl Attention {
    pub(crate) fn new(builder: &Builder<'_>, layer: usize, plan: &AttentionPlan) -> Result<Self, TchError> {
        Ok(Self {
            layer,
            projections: plan.query_key_value.iter().map(|plan| builder.linear(plan)).collect::<Result<_, _>>()?,
            query_norm: plan.query_norm.as_ref().map(|norm| builder.norm(norm)).transpose()?,
            key_norm: plan.key_norm.as_ref().map(|norm| builder.norm(norm)).transpose()?,
            query_heads: plan.query_heads as i64,
            key_heads: plan.key_heads as i64,
            head_dim: plan.head_dim as i64,
            rotary: plan.rotary,
            spec: plan.spec,
            widen: !matches!(builder.hold, Hold::Shared),
        })
    }

    /// Its products.
    pub(crate) fn linears(&self) -> &[Linear] {
        &self.projections
    }

    /// `x` [rows, hidden] to [rows, query heads * `head_dim`].
    pub(crate) fn forward(&self, x: &Tensor, pass: &mut Pass<'_>) -> Result<Tensor, TchError> {
        let projected = self.project(x, pass)?;
        let mixed = pass.attend.attend(self.layer, &projected, &self.spec)?;
        mixed.f_reshape([-1, self.query_heads * self.head_dim])
    }

    fn project(&self, x: &Tensor, pass: &Pass<'_>) -> Result<Projected, TchError> {
        let outputs = Linear::forward_all(&self.projections, x, pass.products)?;
        let heads = |tensor: &Tensor| {
            let heads = tensor.f_reshape([x.size()[0], -1, self.head_dim])?;
            if self.widen { heads.f_to_kind(Kind::Float) } else { Ok(heads) }
        };
        let (query, key, value) = match outputs.as_slice() {
            [query, key, value] => (heads(query)?, heads(key)?, heads(value)?),
            [joined] => {
                let all = heads(joined)?;
                let part = |start, count| all.f_narrow(1, start, count)?.f_contiguous();
                let (queries, keys) = (self.query_heads, self.key_heads);
                (part(0, queries)?, part(queries, keys)?, part(queries + keys, keys)?)
            }
            _ => return Err(TchError::Shape("attention has one or three projections".to_owned())),
        };
        drop(outputs);
        let turn = |heads: Tensor, norm: &Option<Norm>| {
            let heads = match norm {
                Some(norm) => norm.forward(&heads)?.f_to_kind(heads.kind())?,
                None => heads,
            };
            match pass.rotation.filter(|_| self.rotary) {
                Some(rotation) => rotation.rotate(heads),
                None => Ok(heads),
            }
        };
        Ok(Projected { query: turn(query, &self.query_norm)?, key: turn(key, &self.key_norm)?, value })
    }
}

/// Training: rows are `batch` whole sequences of `time` tokens each, one after another, and see what stands before them in their
/// sequence. Padding on the right needs no mask, as no real position looks at a later one.
#[derive(Debug)]
pub(crate) struct WholeSequences {
    pub(crate) batch: i64,
    pub(crate) time: i64,
}

impl Attend for WholeSequences {
    fn attend(&mut self, _: usize, rows: &Projected, spec: &AttentionSpec) -> Result<Tensor, TchError> {
        let Projected { query, key, value } = rows;
        mix((query, key, value), (self.batch, self.time), (spec, Sight::Past))
    }
}

/// What a position sees of its sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// Itself and what stands before it.
    Past,
    /// Everything, as for tokens that are predicted from both sides.
    All,
}

/// Attention of `batch` sequences of `time` tokens each: queries, keys and values [batch * time, heads, `head_dim`].
fn mix(
    (query, key, value): (&Tensor, &Tensor, &Tensor),
    (batch, time): (i64, i64),
    (spec, sight): (&AttentionSpec, Sight),
) -> Result<Tensor, TchError> {
    let (_, query_heads, head_dim) = query.size3()?;
    let sequences = |rows: &Tensor| rows.f_reshape([batch, time, -1, head_dim])?.f_transpose(1, 2);
    let (query, key, value) = (sequences(query)?, sequences(key)?, sequences(value)?);
    let window = spec.window.filter(|window| (*window as i64) < time);
    let mask = window.map(|window| seen(time, (Some(window), sight), query.device())).transpose()?;
    let mixed = match spec.soft_cap {
        None => Tensor::f_scaled_dot_product_attention(
            &query,
            &key,
            &value,
            mask.as_ref(),
            0.0,
            mask.is_none() && sight == Sight::Past,
            f64::from(spec.scale),
            query_heads != key.size()[1],
        )?,
        Some(cap) => {
            let seen = mask.map_or_else(|| seen(time, (None, sight), query.device()), Ok)?;
            capped(&query, &key, &value, (&seen, spec.scale, cap))?
        }
    };
    mixed.f_transpose(1, 2)?.f_reshape([batch * time, query_heads, head_dim])
}

/// Which positions (columns) each position (row) sees, [time, time].
fn seen(time: i64, (window, sight): (Option<usize>, Sight), device: Device) -> Result<Tensor, TchError> {
    let all = Tensor::f_ones([time, time], (Kind::Bool, device))?;
    let seen = if sight == Sight::Past { all.f_tril(0)? } else { all };
    match window {
        Some(window) if sight == Sight::Past => seen.f_triu(1 - window as i64),
        Some(window) => seen.f_triu(1 - window as i64)?.f_tril(window as i64 - 1),
        None => Ok(seen),
    }
}

/// Attention with a soft cap on the scores, written out: `query` [batch, heads, time, dim].
fn capped(
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    (seen, scale, cap): (&Tensor, f32, f32),
) -> Result<Tensor, TchError> {
    let (batch, heads, time, dim) = query.size4()?;
    let key_heads = key.size()[1];
    let query = query.f_reshape([batch, key_heads, heads / key_heads, time, dim])?;
    let scores = query.f_matmul(&key.f_unsqueeze(2)?.f_transpose(-2, -1)?)?.f_to_kind(Kind::Float)?;
    let scores = scores.f_mul_scalar(f64::from(scale / cap))?.f_tanh()?.f_mul_scalar(f64::from(cap))?;
    let weights = scores.f_masked_fill(&seen.f_logical_not()?, f64::NEG_INFINITY)?.f_softmax(-1, Kind::Float)?;
    weights.f_to_kind(value.kind())?.f_matmul(&value.f_unsqueeze(2)?)?.f_reshape([batch, heads, time, dim])
}

//! From items to the groups they belong to: tokens to sequences, steps to trajectories. Items of a segment need not be
//! neighbours. Gradients flow to every item that took part; nothing here knows what an item is.

use tch::{Kind, TchError, Tensor};

use super::check;

/// The sum of each segment: `out[s] = sum over i with segment[i] = s of values[i]`; 0 for a segment without items.
///
/// `values`: learned, `[n]`. `segment`: 64-bit integers, `[n]`, each in `0..count`. Returns `[count]`. Sums in the
/// order of the items on a CPU; on a GPU the order, and so the last bits, may differ from run to run.
///
/// # Errors
/// See the head of [`losses`](super).
pub fn sum_by(values: &Tensor, segment: &Tensor, count: i64) -> Result<Tensor, TchError> {
    let n = check::vector("values", values)?;
    check::indices("segment", segment, n, count)?;
    Tensor::f_zeros([count], (Kind::Float, values.device()))?.f_index_add(0, segment, values)
}

/// The mean of each segment: its sum divided by its number of items.
///
/// `values`: learned, `[n]`. `segment`: 64-bit integers, `[n]`, each in `0..count`. Returns `[count]`.
///
/// # Errors
/// See the head of [`losses`](super); also for a segment without items, whose mean is not a number.
pub fn mean_by(values: &Tensor, segment: &Tensor, count: i64) -> Result<Tensor, TchError> {
    let sums = sum_by(values, segment, count)?;
    sums.f_div(&members(segment, count)?)
}

/// The largest value of each segment in each column: `out[s, j] = max over i with segment[i] = s of values[i, j]`. The
/// max-pooling over token states of a sequence critic (Le et al., `CodeRL`, 2022).
///
/// `values`: learned, `[n, k]`. `segment`: 64-bit integers, `[n]`, each in `0..count`. Returns `[count, k]`. Items that
/// share the largest value share its gradient equally.
///
/// # Errors
/// See the head of [`losses`](super); also for a segment without items, which has no largest value.
pub fn max_by(values: &Tensor, segment: &Tensor, count: i64) -> Result<Tensor, TchError> {
    let (n, columns) = check::matrix("values", values)?;
    check::indices("segment", segment, n, count)?;
    drop(members(segment, count)?);
    let index = segment.f_unsqueeze(-1)?.f_expand([n, columns], false)?;
    let out = Tensor::f_zeros([count, columns], (Kind::Float, values.device()))?;
    out.f_internal_scatter_reduce(0, &index, values, "amax", false)
}

/// How many items each segment has, as integers `[count]`; refuses a segment without items.
fn members(segment: &Tensor, count: i64) -> Result<Tensor, TchError> {
    let members = segment.f_bincount(None::<&Tensor>, count)?;
    let empty = members.f_eq(0)?;
    if empty.f_any()?.f_int64_value(&[])? == 0 {
        return Ok(members);
    }
    let first = empty.f_to_kind(Kind::Int64)?.f_argmax(0, false)?.f_int64_value(&[])?;
    Err(TchError::Convert(format!("segment {first} of {count} has no items; each must have at least one")))
}

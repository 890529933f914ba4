//! What every loss asks of its arguments before it computes: the exact shape and kind, indices and labels in range,
//! options that mean something. libtorch would broadcast a wrong shape, promote a wrong kind, and on a GPU stop the
//! whole process at a wrong index.

use std::ops::{Bound, RangeBounds};

use tch::{Kind, TchError, Tensor};

/// The number of items of an f32 `[n]`.
pub(super) fn vector(what: &str, tensor: &Tensor) -> Result<i64, TchError> {
    kind(what, tensor, Kind::Float)?;
    match tensor.size()[..] {
        [n] => Ok(n),
        ref found => Err(TchError::Shape(format!("`{what}` is {found:?}; it must be [n], one number an item"))),
    }
}

/// Rows and columns of an f32 `[n, k]` with at least one column.
pub(super) fn matrix(what: &str, tensor: &Tensor) -> Result<(i64, i64), TchError> {
    kind(what, tensor, Kind::Float)?;
    match tensor.size()[..] {
        [n, k] if k > 0 => Ok((n, k)),
        ref found => Err(TchError::Shape(format!("`{what}` is {found:?}; it must be [n, k], a row an item, k > 0"))),
    }
}

/// An f32 tensor of exactly this shape.
pub(super) fn shape(what: &str, tensor: &Tensor, wanted: &[i64]) -> Result<(), TchError> {
    kind(what, tensor, Kind::Float)?;
    let found = tensor.size();
    if found == wanted {
        return Ok(());
    }
    Err(TchError::Shape(format!("`{what}` is {found:?}; it must be {wanted:?}, like the arguments before it")))
}

/// A 64-bit integer `[n]` with each value in `0..below`. Waits for the device.
pub(super) fn indices(what: &str, tensor: &Tensor, n: i64, below: i64) -> Result<(), TchError> {
    kind(what, tensor, Kind::Int64)?;
    let found = tensor.size();
    if found != [n] {
        return Err(TchError::Shape(format!("`{what}` is {found:?}; it must be [{n}], an index an item")));
    }
    if n == 0 {
        return Ok(());
    }
    let (least, most) = (tensor.f_min()?.f_int64_value(&[])?, tensor.f_max()?.f_int64_value(&[])?);
    if least >= 0 && most < below {
        return Ok(());
    }
    Err(TchError::Convert(format!("`{what}` holds {least} to {most}; each index must be in 0..{below}")))
}

/// An f32 `[n]` with each value in `range`. Waits for the device.
pub(super) fn within(what: &str, tensor: &Tensor, n: i64, range: impl RangeBounds<f64>) -> Result<(), TchError> {
    shape(what, tensor, &[n])?;
    if n == 0 {
        return Ok(());
    }
    let (least, most) = (tensor.f_min()?.f_double_value(&[])?, tensor.f_max()?.f_double_value(&[])?);
    if range.contains(&least) && range.contains(&most) {
        return Ok(());
    }
    Err(TchError::Convert(format!("`{what}` holds {least} to {most}; each must be {}", said(&range))))
}

/// An f32 `[n]` of zeros and ones. Waits for the device.
pub(super) fn flags(what: &str, tensor: &Tensor, n: i64) -> Result<(), TchError> {
    shape(what, tensor, &[n])?;
    let either = tensor.f_eq(0.0)?.f_logical_or(&tensor.f_eq(1.0)?)?.f_all()?;
    if either.f_int64_value(&[])? == 1 {
        return Ok(());
    }
    Err(TchError::Convert(format!("`{what}` holds something else than 0 and 1")))
}

/// An option that must lie in `range`; NaN lies in none.
pub(super) fn option(what: &str, value: f64, range: impl RangeBounds<f64>) -> Result<(), TchError> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(TchError::Convert(format!("the option `{what}` is {value}; it must be {}", said(&range))))
}

/// An option above zero and finite.
pub(super) fn positive(what: &str, value: f64) -> Result<(), TchError> {
    option(what, value, (Bound::Excluded(0.0), Bound::Excluded(f64::INFINITY)))
}

fn kind(what: &str, tensor: &Tensor, wanted: Kind) -> Result<(), TchError> {
    let found = tensor.f_kind()?;
    if found == wanted {
        return Ok(());
    }
    Err(TchError::Kind(format!("`{what}` holds {found:?}; it must hold {wanted:?}")))
}

fn said(range: &impl RangeBounds<f64>) -> String {
    let from = match range.start_bound() {
        Bound::Included(from) => format!("at least {from}"),
        Bound::Excluded(from) => format!("above {from}"),
        Bound::Unbounded => "anything".to_owned(),
    };
    match range.end_bound() {
        Bound::Included(to) => format!("{from} and at most {to}"),
        Bound::Excluded(to) => format!("{from} and below {to}"),
        Bound::Unbounded => from,
    }
}

//! Matrix products with a weight [out, in].

use tch::{TchError, Tensor};

use crate::Precision;

/// Rows below which CPU kernels take another path and round differently (seen with 1 to 3 rows in 32-bit floats and with 1
/// row in bfloat16). Products that must not depend on the batch are padded to this many rows.
pub(crate) const MIN_ROWS: i64 = 4;

/// `x weight^T` with both in the format of `precision`.
pub(crate) fn linear(x: &Tensor, weight: &Tensor, precision: Precision) -> Result<Tensor, TchError> {
    let kind = precision.kind();
    x.f_to_kind(kind)?.f_linear(&weight.f_to_kind(kind)?, None::<&Tensor>)
}

/// `x weight^T` for `x` [rows, in], such that a row's result does not depend on the number of rows.
pub(crate) fn row_stable_linear(x: &Tensor, weight: &Tensor) -> Result<Tensor, TchError> {
    let (rows, _) = x.size2()?;
    if rows >= MIN_ROWS {
        return x.f_linear(weight, None::<&Tensor>);
    }
    let padded = x.f_constant_pad_nd([0, 0, 0, MIN_ROWS - rows])?;
    padded.f_linear(weight, None::<&Tensor>)?.f_narrow(0, 0, rows)
}

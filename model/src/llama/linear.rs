//! Matrix products with a weight [out, in].

use tch::{TchError, Tensor};

use crate::Precision;

/// Rows below which CPU kernels take another path and round differently (seen with 1 to 3 rows in 32-bit floats and with 1
/// row in bfloat16).
const MIN_ROWS: i64 = 4;

/// Multiplications up to which libtorch does a bfloat16 product itself instead of handing it to oneDNN
/// (`mkldnn_gemm_min_size`, 16 cubed). The two round differently, so products that must not depend on the batch are padded
/// to be larger even for one row.
const SMALL_PRODUCT: i64 = 16 * 16 * 16;

/// The least size of a dimension, at least `least`, that makes a product large, when the other dimensions multiply to
/// `others`.
pub(crate) fn large_enough(least: i64, others: i64) -> i64 {
    least.max(SMALL_PRODUCT / others.max(1) + 1)
}

/// `x weight^T` with both in the format of `precision`.
pub(crate) fn linear(x: &Tensor, weight: &Tensor, precision: Precision) -> Result<Tensor, TchError> {
    let kind = precision.kind();
    x.f_to_kind(kind)?.f_linear(&weight.f_to_kind(kind)?, None::<&Tensor>)
}

/// `x weight^T` for `x` [rows, in], such that a row's result does not depend on the number of rows.
pub(crate) fn row_stable_linear(x: &Tensor, weight: &Tensor) -> Result<Tensor, TchError> {
    padded_rows(x, weight.numel() as i64, |x| x.f_linear(weight, None::<&Tensor>))
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

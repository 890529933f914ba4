//! Sixteen 32-bit floats at a time, on the instruction sets this crate has kernels for.
//!
//! [`Lanes`] is what a kernel written once for all of them sees. `exp2` and `tanh` are polynomials over [`Lanes`], so that a
//! lane's result depends on that lane alone. This file decides nothing about layouts or blocking.
//!
//! A generic function over [`Lanes`] is `#[inline(always)]` and called from a function with the `#[target_feature]`s of the
//! set, into which everything is inlined.

pub(crate) mod avx2;
pub(crate) mod avx512;

/// Sixteen 32-bit floats.
///
/// # Safety
/// Every method needs the instruction set of the implementation; those with a pointer need sixteen floats there
/// (any alignment).
pub(crate) trait Lanes: Copy {
    /// Vectors of a row in a block of sums, so that the block fits the registers.
    const COLUMNS: usize;

    unsafe fn splat(number: f32) -> Self;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn sub(self, other: Self) -> Self;
    unsafe fn mul(self, other: Self) -> Self;
    unsafe fn div(self, other: Self) -> Self;
    /// `self * factor + term`, rounded once.
    unsafe fn fused(self, factor: Self, term: Self) -> Self;
    /// The greater of each lane; `other` where one is not a number.
    unsafe fn most(self, other: Self) -> Self;
    /// The lesser of each lane; `other` where one is not a number.
    unsafe fn least(self, other: Self) -> Self;
    /// To the nearest whole number, ties to even.
    unsafe fn round(self) -> Self;
    /// `self * 2^exponent` for whole exponents from -126 to 127 and `self` in `[0.5, 2]`.
    unsafe fn scaled(self, exponent: Self) -> Self;
    /// `self` where `test` is not below `least` (so also where it is not a number), elsewhere 0.
    unsafe fn unless_below(self, test: Self, least: Self) -> Self;
    /// `self` in the lanes whose bit is set, `other` in the rest.
    unsafe fn select(self, bits: u16, other: Self) -> Self;
    /// The magnitude of `self` with the sign of `sign`.
    unsafe fn with_sign(self, sign: Self) -> Self;
    /// The greatest lane.
    unsafe fn reduce_most(self) -> f32;
    /// `self + a.0 * b.0 + a.1 * b.1`, each lane of `a` and `b` being the bits of a pair of bfloat16.
    unsafe fn dot_pairs(self, a: Self, b: Self) -> Self;
    /// The 32 numbers of `low` then `high`, rounded to bfloat16, as bits: lane i holds numbers 2i and 2i + 1.
    unsafe fn pack_pairs(low: Self, high: Self) -> Self;
    /// Keeps the lower number of each pair of bfloat16 (`keep_low`), the upper, or both; zeroes the rest.
    unsafe fn mask_pairs(self, keep_low: bool, keep_high: bool) -> Self;
}

/// `2^x`; 0 below -126, infinity from 128 on; error at most 1.5 units in the last place.
///
/// # Safety
/// The instruction set of `V`.
#[inline(always)]
pub(crate) unsafe fn exp2<V: Lanes>(x: V) -> V {
    // SAFETY: the caller's.
    unsafe {
        // Coefficients: minimax fit of 2^r on [-1/2, 1/2], relative error 2e-9 before rounding.
        let clamped = V::splat(128.0).least(clamp(x));
        let whole = clamped.round();
        let r = clamped.sub(whole);
        let p = V::splat(0.000_153_533_62);
        let p = p.fused(r, V::splat(0.001_339_887_4));
        let p = p.fused(r, V::splat(0.009_618_437));
        let p = p.fused(r, V::splat(0.055_503_324));
        let p = p.fused(r, V::splat(0.240_226_48));
        let p = p.fused(r, V::splat(std::f32::consts::LN_2));
        let p = p.fused(r, V::splat(1.0));
        p.scaled(whole).unless_below(x, V::splat(-126.0))
    }
}

/// `2^x` for results that are rounded to bfloat16: relative error 4e-6; 0 below -126. For `x <= 0`.
///
/// # Safety
/// The instruction set of `V`.
#[inline(always)]
pub(crate) unsafe fn exp2_rough<V: Lanes>(x: V) -> V {
    // SAFETY: the caller's.
    unsafe {
        let whole = clamp(x).round();
        let r = clamp(x).sub(whole);
        let p = V::splat(0.009_582_853);
        let p = p.fused(r, V::splat(0.055_906_426));
        let p = p.fused(r, V::splat(0.240_240_99));
        let p = p.fused(r, V::splat(0.693_124_2));
        let p = p.fused(r, V::splat(1.0));
        p.scaled(whole).unless_below(x, V::splat(-126.0))
    }
}

#[inline(always)]
unsafe fn clamp<V: Lanes>(x: V) -> V {
    // SAFETY: the caller's. `x` stands second so that what is not a number stays so.
    unsafe { V::splat(-126.0).most(x) }
}

/// `tanh(x)`, relative error below 4e-7 (5 units in the last place), odd, exactly +-1 from 9.1 on.
///
/// # Safety
/// The instruction set of `V`.
#[inline(always)]
pub(crate) unsafe fn tanh<V: Lanes>(x: V) -> V {
    // SAFETY: the caller's.
    unsafe {
        let size = V::splat(10.0).least(x.with_sign(V::splat(0.0)));
        let one = V::splat(1.0);
        // 1 - 2 / (e^2|x| + 1); e^2|x| as 2^(|x| 2 / ln 2).
        let power = exp2(size.mul(V::splat(2.0 * std::f32::consts::LOG2_E)));
        let far = one.sub(V::splat(2.0).div(power.add(one)));
        // Near 0 that cancels: Cephes' odd polynomial.
        let square = size.mul(size);
        let p = V::splat(-0.005_704_988_7);
        let p = p.fused(square, V::splat(0.020_639_088));
        let p = p.fused(square, V::splat(-0.053_739_716));
        let p = p.fused(square, V::splat(0.133_314_42));
        let p = p.fused(square, V::splat(-0.333_332_83));
        let near = p.mul(square).fused(size, size);
        // One of the two is zero in each lane.
        let far = far.unless_below(size, V::splat(0.625));
        let near = near.sub(near.unless_below(size, V::splat(0.625)));
        far.add(near).with_sign(x)
    }
}

#[cfg(test)]
mod tests;

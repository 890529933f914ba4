//! Plain loops compiled once for each form of the vector instructions, and the exponential they share.
//!
//! A [`Kernel`]'s body is ordinary Rust, inlined into a function for which the compiler may use those instructions. What it
//! computes for a number does not depend on where in a loop the number stands: vector and scalar instructions round alike,
//! and whether products are fused with sums is fixed by the form.

use crate::isa::{Form, Isa};

/// A loop. `run` must be `#[inline(always)]`.
pub(crate) trait Kernel {
    type Output;
    fn run<const FMA: bool>(self) -> Self::Output;
}

/// Runs a kernel in the given form.
pub(crate) fn dispatch<K: Kernel>(isa: Isa, kernel: K) -> K::Output {
    match isa.form() {
        // SAFETY: an `Isa` of this form proves that the CPU has its instructions.
        #[cfg(target_arch = "x86_64")]
        Form::Avx512 => unsafe { avx512(kernel) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Form::Avx2 => unsafe { avx2(kernel) },
        Form::Portable => kernel.run::<false>(),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,fma")]
fn avx512<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<true>()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<true>()
}

/// `a * b + c`, rounded once where the form has an instruction for it.
#[inline(always)]
pub(crate) fn fma<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// The polynomial with these coefficients, highest power first.
#[inline(always)]
pub(crate) fn polynomial<const FMA: bool, const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    let mut sum = coefficients[0];
    for coefficient in &coefficients[1..] {
        sum = fma::<FMA>(sum, x, *coefficient);
    }
    sum
}

/// `exp(x)` within 2 units in the last place. Infinite from 88.73 on, 0 below -104; not-a-number stays so.
///
/// Cody and Waite: `exp(x) = 2^n exp(r)` with `n` the nearest integer to `x / ln 2`, and a polynomial for `exp(r)`.
#[inline(always)]
pub(crate) fn exp<const FMA: bool>(x: f32) -> f32 {
    /// 1.5 x 2^23: adding it rounds to an integer, which then stands in the low bits.
    const ROUND: f32 = 12_582_912.0;
    /// The leading bits of ln 2: its product with an integer up to 2^15 is exact.
    const LN2_HIGH: f32 = 355.0 / 512.0;
    /// ln 2 - [`LN2_HIGH`].
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = if x < -104.0 { -104.0 } else { x };
    let x = if x > 89.0 { 89.0 } else { x };
    let rounded = x * std::f32::consts::LOG2_E + ROUND;
    let power = rounded - ROUND;
    let r = fma::<FMA>(power, -LN2_LOW, fma::<FMA>(power, -LN2_HIGH, x));
    // exp(r) = 1 + r + r^2 p(r), |r| <= ln(2) / 2, p fitted to a relative error of 6e-11.
    let p = polynomial::<FMA, 6>(r, EXP);
    let sum = fma::<FMA>(r * r, p, r) + 1.0;
    // Two factors, since 2^n may be out of range while the result is not.
    let n = rounded.to_bits().wrapping_sub(ROUND.to_bits()).cast_signed();
    let half = n >> 1;
    sum * power_of_two(half) * power_of_two(n.wrapping_sub(half))
}

/// Coefficients of `(exp(r) - 1 - r) / r^2`, highest power first.
const EXP: [f32; 6] = [1.978_92e-4, 1.394_573e-3, 8.333_504e-3, 4.166_628e-2, 1.666_666_6e-1, 5.0e-1];

#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127).cast_unsigned()) << 23)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Exponentials<'a>(&'a mut [f32]);

    impl Kernel for Exponentials<'_> {
        type Output = ();
        #[inline(always)]
        fn run<const FMA: bool>(self) {
            self.0.iter_mut().for_each(|x| *x = exp::<FMA>(*x));
        }
    }

    fn exponentials(isa: Isa, x: &[f32]) -> Vec<f32> {
        let mut out = x.to_vec();
        dispatch(isa, Exponentials(&mut out));
        out
    }

    #[test]
    fn exponentials_are_within_two_units_in_the_last_place() {
        let x: Vec<f32> = (0..2_000_000).map(|i| -87.3 + 176.0 * (i as f32 / 2e6)).collect();
        for isa in Isa::available() {
            let mut worst = 0.0f64;
            for (x, found) in x.iter().zip(exponentials(isa, &x)) {
                let exact = f64::from(*x).exp();
                let unit = f64::from((exact as f32).next_up()) - f64::from(exact as f32);
                worst = worst.max((f64::from(found) - exact).abs() / unit);
            }
            assert!(worst <= 2.0, "{worst} units with {}", isa.name());
        }
    }

    #[test]
    fn the_ends_of_the_range_are_infinity_zero_and_not_a_number() {
        let x = [f32::INFINITY, 88.8, f32::NEG_INFINITY, -105.0, 0.0, -0.0, f32::NAN, -100.0];
        for isa in Isa::available() {
            let found = exponentials(isa, &x);
            assert_eq!(found[..6], [f32::INFINITY, f32::INFINITY, 0.0, 0.0, 1.0, 1.0], "{}", isa.name());
            assert!(found[6].is_nan());
            assert!((f64::from(found[7]) / (-100.0f64).exp() - 1.0).abs() < 0.05, "subnormal {}", found[7]);
        }
    }

    #[test]
    fn a_number_has_one_result_wherever_it_stands() {
        let x: Vec<f32> = (0..67).map(|i| (i as f32 - 33.0) * 1.37).collect();
        for isa in Isa::available() {
            let together = exponentials(isa, &x);
            for (x, together) in x.iter().zip(together) {
                assert_eq!(exponentials(isa, &[*x])[0].to_bits(), together.to_bits());
            }
        }
    }
}

//! Accuracy of the vector functions, lane independence and rounding, on every set this CPU has.

use super::*;
use crate::Isa;
use crate::isa::Form;
use crate::matrix::cells::round_to_bf16;

/// Applies a function of 16 lanes to all numbers; the last block is filled up with zeros.
#[inline(always)]
unsafe fn map<V: Lanes>(function: Function, x: &mut [f32]) {
    for block in x.chunks_mut(16) {
        let mut lanes = [0.0; 16];
        lanes[..block.len()].copy_from_slice(block);
        // SAFETY: the caller's; `lanes` holds sixteen floats.
        unsafe {
            let x = V::load(lanes.as_ptr());
            let y = match function {
                Function::Exp2 => exp2(x),
                Function::Exp2Rough => exp2_rough(x),
                Function::Tanh => tanh(x),
            };
            y.store(lanes.as_mut_ptr());
        }
        block.copy_from_slice(&lanes[..block.len()]);
    }
}

#[derive(Clone, Copy)]
enum Function {
    Exp2,
    Exp2Rough,
    Tanh,
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")]
fn map_avx512(function: Function, x: &mut [f32]) {
    // SAFETY: this function's features.
    unsafe { map::<avx512::Avx512>(function, x) }
}

#[target_feature(enable = "avx2,fma")]
fn map_avx2(function: Function, x: &mut [f32]) {
    // SAFETY: this function's features.
    unsafe { map::<avx2::Avx2>(function, x) }
}

fn apply(isa: Isa, function: Function, x: &[f32]) -> Vec<f32> {
    let mut y = x.to_vec();
    // SAFETY: `isa` is one of those available.
    unsafe {
        match isa.form() {
            Form::Portable => {}
            Form::Avx2 => map_avx2(function, &mut y),
            Form::Avx512 => map_avx512(function, &mut y),
        }
    }
    y
}

fn vector_sets() -> impl Iterator<Item = Isa> {
    Isa::available().into_iter().filter(|isa| isa.form() != Form::Portable)
}

/// Greatest error in units of the last place of the result.
fn ulps(x: &[f32], y: &[f32], exact: fn(f64) -> f64) -> f64 {
    let errors = x.iter().zip(y).map(|(x, y)| {
        let exact = exact(f64::from(*x));
        let rounded = exact as f32;
        let unit = f64::from(f32::from_bits((rounded.abs().to_bits()) + 1)) - f64::from(rounded.abs());
        (f64::from(*y) - exact).abs() / unit
    });
    errors.fold(0.0, f64::max)
}

fn grid(low: f32, high: f32, points: usize) -> Vec<f32> {
    (0..points).map(|i| low + (high - low) * i as f32 / (points - 1) as f32).collect()
}

#[test]
fn exponentials_are_within_two_ulps() {
    for isa in vector_sets() {
        let x = grid(-125.9, 127.9, 400_003);
        assert!(ulps(&x, &apply(isa, Function::Exp2, &x), f64::exp2) <= 1.5, "exp2 on {isa:?}");
        let x = grid(-125.9, 0.0, 400_003);
        let rough = apply(isa, Function::Exp2Rough, &x);
        let worst =
            x.iter().zip(rough).map(|(x, y)| (f64::from(y) / f64::from(*x).exp2() - 1.0).abs()).fold(0.0, f64::max);
        assert!(worst < 4e-6, "exp2_rough on {isa:?}: {worst}");
    }
}

#[test]
fn tanh_is_accurate_and_odd() {
    for isa in vector_sets() {
        let x = grid(-12.0, 12.0, 400_003);
        let y = apply(isa, Function::Tanh, &x);
        let worst = ulps(&x, &y, f64::tanh);
        assert!(worst <= 5.0, "tanh on {isa:?}: {worst}");
        let negated: Vec<f32> = apply(isa, Function::Tanh, &x.iter().map(|x| -x).collect::<Vec<_>>());
        assert!(y.iter().zip(negated).all(|(y, n)| *y == -n));
        assert_eq!(apply(isa, Function::Tanh, &[f32::INFINITY, f32::NEG_INFINITY, 40.0]), [1.0, -1.0, 1.0]);
    }
}

#[test]
fn the_ends_of_the_range_flush_overflow_and_pass_on_what_is_not_a_number() {
    for isa in vector_sets() {
        let y = apply(isa, Function::Exp2, &[f32::NEG_INFINITY, -1e30, -200.0, 0.0, 200.0, f32::INFINITY, f32::NAN]);
        assert_eq!(y[..6], [0.0, 0.0, 0.0, 1.0, f32::INFINITY, f32::INFINITY], "{isa:?}");
        assert!(y[6].is_nan());
        let y = apply(isa, Function::Exp2Rough, &[f32::NEG_INFINITY, -1e30, -200.0, 0.0, f32::NAN]);
        assert_eq!(y[..4], [0.0, 0.0, 0.0, 1.0], "{isa:?}");
        assert!(y[4].is_nan());
    }
}

/// Both numbers of a pair, as the vector form packs them.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")]
fn pack_avx512(x: &[f32; 32]) -> [f32; 16] {
    let mut out = [0.0; 16];
    // SAFETY: this function's features and the lengths of the arrays.
    unsafe {
        avx512::Avx512::pack_pairs(Lanes::load(x.as_ptr()), Lanes::load(x[16..].as_ptr())).store(out.as_mut_ptr())
    };
    out
}

#[target_feature(enable = "avx2,fma")]
fn pack_avx2(x: &[f32; 32]) -> [f32; 16] {
    let mut out = [0.0; 16];
    // SAFETY: this function's features and the lengths of the arrays.
    unsafe { avx2::Avx2::pack_pairs(Lanes::load(x.as_ptr()), Lanes::load(x[16..].as_ptr())).store(out.as_mut_ptr()) };
    out
}

#[test]
fn packing_rounds_as_the_conversion_of_single_numbers_does() {
    let mut x = [0.0f32; 32];
    for (i, x) in x.iter_mut().enumerate() {
        // Ties in both directions, and the neighbourhood of overflow.
        *x = f32::from_bits(0x3f80_8000 + (i as u32) * 0x0000_4000);
    }
    (x[1], x[2], x[3], x[4]) = (f32::NAN, f32::INFINITY, f32::MAX, f32::from_bits(0x7fff_ffff));
    for isa in vector_sets() {
        // SAFETY: the set is available.
        let packed = unsafe {
            match isa.form() {
                Form::Portable => continue,
                Form::Avx2 => pack_avx2(&x),
                Form::Avx512 => pack_avx512(&x),
            }
        };
        for (pair, packed) in x.chunks(2).zip(packed) {
            let bits = packed.to_bits();
            for (x, bits) in pair.iter().zip([bits as u16, (bits >> 16) as u16]) {
                let (ours, theirs) = (f32::from_bits(round_to_bf16(*x)), f32::from_bits(u32::from(bits) << 16));
                assert!(ours == theirs || ours.is_nan() && theirs.is_nan(), "{x}: {ours} and {theirs} on {isa:?}");
            }
        }
    }
}

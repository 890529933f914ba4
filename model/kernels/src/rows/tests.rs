//! Rows of every form against 64-bit arithmetic, and the same bits however rows are grouped.

use super::*;

fn numbers(seed: u32, count: usize, size: f32) -> Vec<f32> {
    (0..count as u32)
        .map(|i| {
            let mixed = (i ^ seed.wrapping_mul(0x85eb_ca6b)).wrapping_mul(0x9e37_79b9);
            let mixed = (mixed ^ mixed >> 15).wrapping_mul(0x2c1b_3c6d);
            ((mixed >> 8) as f32 / 8_388_608.0 - 1.0) * size
        })
        .collect()
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

/// Largest error, as a part of `1 + |expected|`.
fn error(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).map(|(x, y)| (f64::from(*x) - y).abs() / (1.0 + y.abs())).fold(0.0, f64::max)
}

/// Tolerance: 2e-6 of the result's size, a dozen roundings; the sums have 16 chains.
#[test]
fn norms_are_near_the_exact_ones() {
    for (rows, width) in [(1, 576), (3, 17), (70, 100), (33, 576)] {
        let (x, weight, bias) = (numbers(1, rows * width, 3.0), numbers(2, width, 1.0), numbers(3, width, 1.0));
        let pool = Pool::new(2);
        for isa in Isa::available() {
            for offset in [0.0, 1.0] {
                let norm = RmsNorm { weight: &weight, eps: 1e-5, offset };
                let mut out = vec![f32::NAN; x.len()];
                rms_norm_by(isa, &pool, &norm, &x, &mut out);
                let exact = x.chunks(width).flat_map(|x| {
                    let square = x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / width as f64;
                    let scale = 1.0 / (square + 1e-5).sqrt();
                    x.iter().zip(&weight).map(move |(x, w)| f64::from(*x) * scale * f64::from(offset + w))
                });
                assert!(error(&out, &exact.collect::<Vec<_>>()) < 2e-6, "{rows} {width} {isa:?}");
            }
            let mut out = vec![f32::NAN; x.len()];
            layer_norm_by(isa, &pool, &LayerNorm { weight: &weight, bias: &bias, eps: 1e-5 }, &x, &mut out);
            let exact = x.chunks(width).flat_map(|x| {
                let mean = x.iter().map(|x| f64::from(*x)).sum::<f64>() / width as f64;
                let variance = x.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / width as f64;
                let scale = 1.0 / (variance + 1e-5).sqrt();
                let parts = x.iter().zip(&weight).zip(&bias);
                parts.map(move |((x, w), b)| (f64::from(*x) - mean) * scale * f64::from(*w) + f64::from(*b))
            });
            assert!(error(&out, &exact.collect::<Vec<_>>()) < 2e-6, "{rows} {width} {isa:?}");
        }
    }
}

#[test]
fn heads_are_rotated_by_their_rows_angle() {
    let (rows, heads, dim) = (5, 3, 8);
    let x = numbers(1, rows * heads * dim, 1.0);
    let angles = numbers(2, rows * dim / 2, 3.0);
    let (cos, sin): (Vec<f32>, Vec<f32>) = angles.iter().map(|angle| (angle.cos(), angle.sin())).unzip();
    for isa in Isa::available() {
        let mut out = x.clone();
        rotate_by(isa, &Pool::new(2), &mut out, Angles { head_dim: dim, cos: &cos, sin: &sin });
        for (at, found) in out.iter().enumerate() {
            let (row, i) = (at / (heads * dim), at % dim);
            let angle = f64::from(angles[row * dim / 2 + i % (dim / 2)]);
            let (other, sign) = if i < dim / 2 { (at + dim / 2, -1.0) } else { (at - dim / 2, 1.0) };
            let exact = f64::from(x[at]) * angle.cos() + sign * f64::from(x[other]) * angle.sin();
            assert!((f64::from(*found) - exact).abs() < 1e-6, "{at}: {found} for {exact}");
        }
    }
}

/// `erf` by its series, and by the continued fraction of `erfc` from 3 on: 64-bit, to 1e-15.
fn erf(x: f64) -> f64 {
    if x < 0.0 {
        return -erf(-x);
    }
    let two_over_root_pi = 2.0 / std::f64::consts::PI.sqrt();
    if x < 3.0 {
        let (mut term, mut sum, mut n) = (x, x, 0.0);
        while term.abs() > 1e-18 * sum {
            n += 1.0;
            term *= 2.0 * x * x / (2.0 * n + 1.0);
            sum += term;
        }
        return two_over_root_pi * (-x * x).exp() * sum;
    }
    let fraction = (1..200).rev().fold(0.0, |below, n| f64::from(n) / 2.0 / (x + below));
    1.0 - (-x * x).exp() / (x + fraction) / std::f64::consts::PI.sqrt()
}

/// Tolerances: 4e-7 of the result for positive numbers, 1e-7 absolute for negative ones.
#[test]
fn activations_are_near_the_exact_ones() {
    let x: Vec<f32> = (-60_000..60_000).map(|i| i as f32 / 4000.0).collect();
    let exact = |activation: Activation, x: f64| match activation {
        Activation::Silu => x / (1.0 + (-x).exp()),
        Activation::GeluTanh => {
            0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x)).tanh())
        }
        Activation::Gelu => 0.5 * x * (1.0 + erf(x / std::f64::consts::SQRT_2)),
        Activation::Relu => x.max(0.0),
    };
    for isa in Isa::available() {
        for activation in [Activation::Silu, Activation::GeluTanh, Activation::Gelu, Activation::Relu] {
            let mut out = x.clone();
            activate_all_by(isa, &Pool::new(2), activation, &mut out);
            for (x, found) in x.iter().zip(&out) {
                let exact = exact(activation, f64::from(*x));
                let bound = if *x > 0.0 { 4e-7 * exact } else { 1e-7 };
                assert!(
                    (f64::from(*found) - exact).abs() <= bound,
                    "{activation:?}({x}) is {found}, not {exact}, {isa:?}"
                );
            }
            let mut ends = [f32::NAN, f32::INFINITY, 0.0];
            activate_all_by(isa, &Pool::new(1), activation, &mut ends);
            assert!(ends[0].is_nan() && ends[1] == f32::INFINITY && ends[2] == 0.0, "{activation:?} {ends:?}");
        }
    }
}

#[test]
fn gates_multiply_the_activation_with_up() {
    let (rows, width) = (7, 37);
    let gate_up = numbers(1, rows * 2 * width, 4.0);
    for isa in Isa::available() {
        let mut out = vec![f32::NAN; rows * width];
        gated_by(isa, &Pool::new(2), Activation::Silu, (&gate_up, width), &mut out);
        for (row, out) in out.chunks(width).enumerate() {
            let (gate, up) = gate_up[row * 2 * width..][..2 * width].split_at(width);
            let mut active = gate.to_vec();
            activate_all_by(isa, &Pool::new(1), Activation::Silu, &mut active);
            assert!(out.iter().zip(active.iter().zip(up)).all(|(out, (active, up))| *out == active * up));
        }
    }
}

/// Tolerance: 1e-6 of the result's size.
#[test]
fn log_sums_are_near_the_exact_ones() {
    for (rows, width) in [(1, 49152), (3, 7), (40, 130)] {
        let logits = numbers(4, rows * width, 20.0);
        let mut out = vec![f32::NAN; rows];
        log_sum_exp(&Pool::new(2), &logits, width, &mut out);
        let exact = logits.chunks(width).map(|logits| logits.iter().map(|x| f64::from(*x).exp()).sum::<f64>().ln());
        assert!(error(&out, &exact.collect::<Vec<_>>()) < 1e-6, "{rows} {width}");
    }
}

/// Every function of this module on all rows at once with several threads and on each row alone.
#[test]
fn a_row_is_the_same_bits_alone_and_among_others() {
    let (rows, width, dim) = (130, 192, 64);
    let (x, weight, bias) = (numbers(1, rows * width, 3.0), numbers(2, width, 1.0), numbers(3, width, 1.0));
    let (cos, sin) = (numbers(4, rows * dim / 2, 1.0), numbers(5, rows * dim / 2, 1.0));
    for isa in Isa::available() {
        let all = |pool: &Pool, rows: std::ops::Range<usize>| {
            let x = &x[rows.start * width..rows.end * width];
            let (cos, sin) =
                (&cos[rows.start * dim / 2..rows.end * dim / 2], &sin[rows.start * dim / 2..rows.end * dim / 2]);
            let mut results = [(); 4].map(|()| x.to_vec());
            rms_norm_by(isa, pool, &RmsNorm { weight: &weight, eps: 1e-5, offset: 0.0 }, x, &mut results[0]);
            layer_norm_by(isa, pool, &LayerNorm { weight: &weight, bias: &bias, eps: 1e-5 }, x, &mut results[1]);
            rotate_by(isa, pool, &mut results[2], Angles { head_dim: dim, cos, sin });
            activate_all_by(isa, pool, Activation::Gelu, &mut results[3]);
            let mut gates = vec![0.0; x.len() / 2];
            gated_by(isa, pool, Activation::Silu, (x, width / 2), &mut gates);
            let mut sums = vec![0.0; rows.len()];
            log_sum_exp(pool, x, width, &mut sums);
            results.into_iter().chain([gates, sums]).collect::<Vec<_>>()
        };
        let alone: Vec<_> = (0..rows).map(|row| all(&Pool::new(1), row..row + 1)).collect();
        for threads in [1, 3] {
            for (index, together) in all(&Pool::new(threads), 0..rows).iter().enumerate() {
                let alone: Vec<f32> = alone.iter().flat_map(|results| results[index].clone()).collect();
                assert_eq!(bits(together), bits(&alone), "function {index} with {threads} threads, {isa:?}");
            }
        }
    }
}

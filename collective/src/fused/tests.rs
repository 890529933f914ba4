//! Updates against their formulas in f64, over lengths around the kernels' vectors, and everything that is refused.

use super::*;

const LENGTHS: [i64; 6] = [0, 1, 7, 64, 1000, 70_001];

const ADAMW: AdamwUpdate =
    AdamwUpdate { lr: 0.01, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.1, gradient_factor: 0.7, step: 3 };

const SGD: SgdUpdate = SgdUpdate { lr: 0.01, momentum: 0.9, nesterov: false, weight_decay: 0.1, gradient_factor: 0.7 };

/// Uneven numbers in 0..1, the same for the same `seed`.
fn noise(length: i64, seed: i64) -> Tensor {
    let numbers = Tensor::arange(length, (Kind::Double, Device::Cpu)) * 0.7 + 3.0 * (1 + seed) as f64;
    numbers.square().sin().square().to_kind(Kind::Float)
}

/// `N` tensors of each length; the weight requires a gradient, as in training.
fn tensors<const N: usize>() -> Vec<[Tensor; N]> {
    let made = LENGTHS.map(|length| {
        let made: [Tensor; N] = std::array::from_fn(|i| noise(length, i as i64));
        let _ = made[0].set_requires_grad(true);
        made
    });
    made.into()
}

fn borrowed<const N: usize>(tensors: &[[Tensor; N]]) -> Vec<[&Tensor; N]> {
    tensors.iter().map(|entry| entry.each_ref()).collect()
}

/// The largest difference, relative to 1 or the number itself.
fn off(found: &Tensor, wanted: &Tensor) -> f64 {
    if found.numel() == 0 {
        return 0.0;
    }
    ((wide(found) - wanted).abs() / (wanted.abs() + 1.0)).max().double_value(&[])
}

fn wide(tensor: &Tensor) -> Tensor {
    tensor.detach().to_kind(Kind::Double)
}

#[test]
fn adamw_is_its_formula() {
    for factor in [1.0, 0.7, -2.0, 0.0, 1e-42] {
        let (tensors, by) = (tensors::<4>(), AdamwUpdate { gradient_factor: factor, ..ADAMW });
        let before: Vec<[Tensor; 4]> = tensors.iter().map(|entry| entry.each_ref().map(wide)).collect();
        fused_adamw(&borrowed(&tensors), &by).unwrap();
        for ([weight, gradient, mean, square], [weight0, gradient0, mean0, square0]) in tensors.iter().zip(&before) {
            let scaled = gradient0 * factor;
            let (mean1, square1) = (mean0 * 0.9 + &scaled * 0.1, square0 * 0.95 + scaled.square() * 0.05);
            let root = (&square1 / (1.0 - 0.95f64.powi(3))).sqrt() + 1e-8;
            let weight1 = weight0 * (1.0 - 0.01 * 0.1) - &mean1 / (1.0 - 0.9f64.powi(3)) / root * 0.01;
            let offs = [off(mean, &mean1), off(square, &square1), off(weight, &weight1)];
            assert!(offs.iter().all(|off| *off < 1e-6), "{factor}: {offs:?}");
            assert!(off(gradient, gradient0) == 0.0 || off(gradient, &scaled) < 1e-6, "{factor}");
        }
    }
}

#[test]
fn sgd_is_its_formula() {
    for (momentum, nesterov) in [(0.0, false), (0.9, false), (0.9, true)] {
        let (tensors, by) = (tensors::<3>(), SgdUpdate { momentum, nesterov, ..SGD });
        let before: Vec<[Tensor; 3]> = tensors.iter().map(|entry| entry.each_ref().map(wide)).collect();
        let pairs: Vec<[&Tensor; 2]> = tensors.iter().map(|[weight, gradient, _]| [weight, gradient]).collect();
        let momenta: Vec<&Tensor> = tensors.iter().map(|[_, _, momentum]| momentum).collect();
        fused_sgd(&pairs, if momentum == 0.0 { &[] } else { &momenta }, &by).unwrap();
        for ([weight, _, velocity], [weight0, gradient0, velocity0]) in tensors.iter().zip(&before) {
            let scaled = gradient0 * 0.7;
            let velocity1 = if momentum == 0.0 { velocity0.copy() } else { velocity0 * momentum + &scaled };
            let moved = match (momentum == 0.0, nesterov) {
                (true, _) => scaled,
                (false, false) => velocity1.copy(),
                (false, true) => scaled + &velocity1 * momentum,
            };
            let offs = [off(velocity, &velocity1), off(weight, &(weight0 * (1.0 - 0.01 * 0.1) - moved * 0.01))];
            assert!(offs.iter().all(|off| *off < 1e-6), "{momentum} {nesterov}: {offs:?}");
        }
    }
}

#[test]
fn threads_and_neighbours_change_no_bit() {
    let threads = tch::get_num_threads();
    let run = |threads: i32, alone: bool| {
        tch::set_num_threads(threads);
        let tensors = tensors::<4>();
        let all = borrowed(&tensors);
        let calls: Vec<&[[&Tensor; 4]]> = if alone { all.chunks(1).collect() } else { vec![&all] };
        calls.iter().for_each(|entries| fused_adamw(entries, &ADAMW).unwrap());
        let norm = norm(&all.iter().flatten().copied().collect::<Vec<_>>()).unwrap();
        (tensors, norm)
    };
    let (first, of_first) = run(1, false);
    for (threads, alone) in [(1, true), (2, false), (3, true)] {
        let (other, of_other) = run(threads, alone);
        assert_eq!(of_first.to_bits(), of_other.to_bits());
        for (a, b) in first.iter().flatten().zip(other.iter().flatten()) {
            assert!(a.equal(b), "{threads} threads, one by one {alone}");
        }
    }
    tch::set_num_threads(threads);
}

#[test]
fn the_norm_is_taken_in_double_precision_over_all_tensors() {
    assert_eq!(norm(&[]).unwrap(), 0.0);
    for length in LENGTHS {
        let (a, b) = (noise(length, 1), noise(33, 2));
        let wanted = (wide(&a).square().sum(Kind::Double) + wide(&b).square().sum(Kind::Double)).sqrt();
        let found = norm(&[&a, &b]).unwrap();
        assert!((found / wanted.double_value(&[]) - 1.0).abs() < 1e-12, "{length}: {found}");
    }
    // In f32 the first would overflow, and the second vanish.
    for value in [3e30f32, 1e-30] {
        let tensor = Tensor::full([101], f64::from(value), (Kind::Float, Device::Cpu));
        assert!((norm(&[&tensor]).unwrap() / (f64::from(value) * 101f64.sqrt()) - 1.0).abs() < 1e-12);
    }
    for place in [0, 16, 36] {
        let tensor = noise(37, 0);
        let _ = tensor.narrow(0, place, 1).fill_(f64::NAN);
        assert!(norm(&[&tensor]).unwrap().is_nan());
        let _ = tensor.narrow(0, place, 1).fill_(f64::INFINITY);
        assert_eq!(norm(&[&tensor]).unwrap(), f64::INFINITY);
    }
}

#[test]
fn tensors_that_the_kernels_cannot_take_are_refused_and_nothing_moves() {
    let good = || std::array::from_fn::<Tensor, 4, _>(|i| noise(6, i as i64));
    for column in 0..4 {
        for (bad, word) in [
            (Tensor::new(), "undefined"),
            (noise(5, 0), "shape"),
            (noise(6, 0).reshape([2, 3]), "shape"),
            (noise(6, 0).to_kind(Kind::Double), "Double"),
            (noise(12, 0).slice(0, 0, 12, 2), "not contiguous"),
        ] {
            let (first, mut second) = (good(), good());
            second[column] = bad;
            let error = fused_adamw(&borrowed(&[first.each_ref().map(Tensor::shallow_clone), second]), &ADAMW);
            let error = error.unwrap_err().to_string();
            assert!(error.contains("weight 1") && error.contains(word), "{column}: {error}");
            assert!(first[0].equal(&noise(6, 0)));
        }
    }
    let [weight, gradient, mean, square] = good();
    let twice = fused_adamw(&[[&weight, &gradient, &mean, &square], [&weight, &gradient, &mean, &square]], &ADAMW);
    assert!(twice.unwrap_err().to_string().contains("shares memory"));
    let own = fused_adamw(&[[&weight, &gradient, &mean, &mean]], &ADAMW);
    assert!(own.unwrap_err().to_string().contains("shares memory"));
    let few = fused_sgd(&[[&weight, &gradient]], &[], &SGD).unwrap_err().to_string();
    assert!(few.contains("0 momenta came where 1 are needed"), "{few}");
    let many = fused_sgd(&[[&weight, &gradient]], &[&mean], &SgdUpdate { momentum: 0.0, ..SGD });
    assert!(many.unwrap_err().to_string().contains("1 momenta came where 0"));
    let kind = norm(&[&weight.to_kind(Kind::Half)]).unwrap_err().to_string();
    assert!(kind.contains("Half"), "{kind}");
    assert!(weight.equal(&noise(6, 0)) && gradient.equal(&noise(6, 1)));
}

#[test]
fn numbers_without_meaning_are_refused() {
    let [weight, gradient, mean, square]: [Tensor; 4] = std::array::from_fn(|i| noise(6, i as i64));
    for by in [
        AdamwUpdate { lr: f64::NAN, ..ADAMW },
        AdamwUpdate { gradient_factor: f64::INFINITY, ..ADAMW },
        AdamwUpdate { beta1: 1.0, ..ADAMW },
        AdamwUpdate { beta2: -0.1, ..ADAMW },
        AdamwUpdate { step: 0, ..ADAMW },
    ] {
        let error = fused_adamw(&[[&weight, &gradient, &mean, &square]], &by);
        assert!(matches!(error, Err(Error::Argument { .. })), "{by:?}");
    }
    for by in [SgdUpdate { momentum: 1.0, ..SGD }, SgdUpdate { weight_decay: f64::NAN, ..SGD }] {
        assert!(matches!(fused_sgd(&[[&weight, &gradient]], &[&mean], &by), Err(Error::Argument { .. })), "{by:?}");
    }
    assert!(weight.equal(&noise(6, 0)));
    fused_adamw(&[], &ADAMW).unwrap();
    fused_sgd(&[], &[], &SGD).unwrap();
}

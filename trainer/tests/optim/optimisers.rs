//! Twenty steps of each optimiser beside torch.optim's, from the same weights and gradients.

use std::collections::BTreeMap;
use std::path::Path;

use galapagos_collective::clear_grads;
use galapagos_trainer::optim::{Adamw, Ema, Muon, Optimiser, Settings, Sgd};
use tch::{Kind, Tensor};

use crate::python;

const STEPS: u32 = 20;

fn read(path: &Path) -> BTreeMap<String, Tensor> {
    Tensor::read_safetensors(path).unwrap().into_iter().collect()
}

/// Twenty steps with the script's gradients and learning rates; `after` sees the weights after each.
fn run(folder: &Path, settings: Settings, mut after: impl FnMut(&[(String, Tensor)])) -> Vec<(String, Tensor)> {
    let gradients = read(&folder.join("gradients.safetensors"));
    let weights: Vec<(String, Tensor)> = read(&folder.join("start.safetensors"))
        .into_iter()
        .map(|(name, weight)| (name, weight.set_requires_grad(true)))
        .collect();
    let tensors: Vec<Tensor> = weights.iter().map(|(_, weight)| weight.shallow_clone()).collect();
    let mut optimiser = Optimiser::new(&weights, settings, &vec![true; weights.len()]).unwrap();
    after(&weights);
    for step in 0..STEPS {
        clear_grads(&tensors).unwrap();
        for (name, weight) in &weights {
            // Four times the gradient, scaled by a quarter as clipping would: both exact.
            (weight * &gradients[&format!("{step}/{name}")] * 4.0).sum(Kind::Float).backward();
        }
        optimiser.step(0.01 / (1.0 + f64::from(step)), 0.25).unwrap();
        after(&weights);
    }
    weights
}

/// The largest absolute difference, and the largest of a tensor's difference in norm relative to how far it moved.
fn differences(folder: &Path, case: &str, found: &[(String, Tensor)]) -> (f64, f64) {
    let (start, wanted) = (read(&folder.join("start.safetensors")), read(&folder.join(format!("{case}.safetensors"))));
    let (mut largest, mut relative) = (0.0f64, 0.0f64);
    let norm = |tensor: Tensor| tensor.to_kind(Kind::Double).norm().double_value(&[]);
    assert_eq!(found.len(), wanted.len());
    for (name, weight) in found {
        let (start, wanted) = (&start[name], &wanted[name]);
        let moved = norm(wanted - start);
        assert!(moved > 1e-3 * norm(start.copy()), "{case}: {name} did not move");
        let off = weight.detach() - wanted;
        largest = largest.max(off.abs().max().double_value(&[]));
        relative = relative.max(norm(off) / moved);
    }
    println!("{case}: at most {largest:e} off, {relative:e} of the way");
    (largest, relative)
}

#[test]
fn optimisers_equal_the_reference_over_twenty_steps() {
    tch::set_num_threads(1);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    python("optimisers.py", folder);
    let sgd = |momentum, nesterov| Settings::Sgd(Sgd { momentum, nesterov, weight_decay: 0.1 });
    for (case, settings) in [
        ("adamw", Settings::Adamw(Adamw::new(0.1))),
        ("sgd", sgd(0.0, false)),
        ("sgd_momentum", sgd(0.9, false)),
        ("sgd_nesterov", sgd(0.9, true)),
    ] {
        let (largest, _) = differences(folder, case, &run(folder, settings, |_| {}));
        assert!(largest <= 1e-6, "{case} is off by {largest:e}");
    }

    // torch's fused kernel is the one that ours calls.
    let (largest, _) = differences(folder, "adamw_fused", &run(folder, Settings::Adamw(Adamw::new(0.1)), |_| {}));
    assert_eq!(largest, 0.0, "AdamW is not torch's fused one");

    let muon = Muon { adamw_lr_factor: 0.5, ..Muon::new(0.1) };
    let without_nesterov = Muon { nesterov: false, ..muon };
    // Against an iteration in f64: f32 alone is the difference.
    for (case, muon) in [("muon", muon), ("muon_without_nesterov", without_nesterov)] {
        let (largest, relative) = differences(folder, case, &run(folder, Settings::Muon(muon), |_| {}));
        assert!(largest <= 2e-6 && relative <= 1e-5, "{case} is off by {largest:e}, {relative:e} of the way");
    }
    // torch's own iteration is in bfloat16, and rounds to 2^-9 of each number. It multiplies single matrices, ours a batch of one: kernels
    // that agree on some processors and are up to 8e-5 apart on others.
    let beside_torchs = |bf16| {
        let (largest, _) =
            differences(folder, "muon_bf16", &run(folder, Settings::Muon(Muon { bf16, ..muon }), |_| {}));
        largest
    };
    let (same, finer) = (beside_torchs(true), beside_torchs(false));
    assert!(same <= 2e-4, "Muon in bfloat16 is off by {same:e}");
    assert!(same < finer && finer <= 1e-3, "Muon in f32 is off by {finer:e}, in bfloat16 by {same:e}");

    let mut ema = None;
    run(folder, Settings::Adamw(Adamw::new(0.1)), |weights| match &mut ema {
        None => ema = Some(Ema::new(weights, 0.8).unwrap()),
        Some(ema) => ema.update().unwrap(),
    });
    let (largest, _) = differences(folder, "ema", ema.unwrap().tensors());
    assert!(largest <= 1e-6, "the running mean is off by {largest:e}");
}

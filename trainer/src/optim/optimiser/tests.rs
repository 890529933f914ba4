//! Updates by hand, state out and in over different owners, refusals, and the memory formula against what is there.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use super::*;
use crate::optim::{Adamw, Muon, Sgd, partition, state_bytes};

fn leaf(values: &[f32]) -> Tensor {
    Tensor::from_slice(values).set_requires_grad(true)
}

/// Weights of every kind: an embedding, hidden matrices of which one is long enough for several threads, and vectors.
fn weights() -> Vec<(String, Tensor)> {
    let shapes: [(&str, &[i64]); 6] = [
        ("embed_tokens.weight", &[30, 8]),
        ("up.weight", &[24, 8]),
        ("down.weight", &[8, 24]),
        ("long.weight", &[2, 16391]),
        ("norm.weight", &[8]),
        ("bias", &[3]),
    ];
    shapes.map(|(name, shape)| (name.to_owned(), noise(shape, 0).set_requires_grad(true))).into()
}

/// Uneven numbers in -1..1, the same for the same `seed`: libtorch's own generator is shared with the tests beside this
/// one.
fn noise(shape: &[i64], seed: i64) -> Tensor {
    let count: i64 = shape.iter().product();
    let numbers = Tensor::arange(count, (Kind::Double, Device::Cpu)) * 0.7 + 3.0 * (1 + seed) as f64;
    numbers.square().sin().to_kind(Kind::Float).reshape(shape)
}

/// The same gradients for the same `number`, whatever the weights are.
fn set_gradients(weights: &[(String, Tensor)], number: i64) {
    for (index, (_, weight)) in weights.iter().enumerate() {
        let mut gradient = weight.grad();
        if gradient.defined() {
            let _ = gradient.zero_();
        }
        (weight * noise(&weight.size(), 10 * number + index as i64)).sum(Kind::Float).backward();
    }
}

fn values(weights: &[(String, Tensor)]) -> Vec<Vec<f32>> {
    weights.iter().map(|(_, weight)| Vec::try_from(weight.detach().flatten(0, -1)).unwrap()).collect()
}

fn all_settings() -> [Settings; 6] {
    let sgd = |momentum, nesterov| Settings::Sgd(Sgd { momentum, nesterov, weight_decay: 0.1 });
    let muon = Settings::Muon(Muon::new(0.1));
    let rounded = Settings::Muon(Muon { bf16: true, ..Muon::new(0.1) });
    [Settings::Adamw(Adamw::new(0.1)), sgd(0.0, false), sgd(0.9, false), sgd(0.9, true), muon, rounded]
}

/// One optimiser for each owner rank of a world, over the same weights: together they move every weight once.
struct World(Vec<Optimiser>);

impl World {
    fn new(weights: &[(String, Tensor)], settings: Settings, world_size: u32) -> Self {
        let sizes: Vec<u64> = weights.iter().map(|(_, weight)| weight.numel() as u64).collect();
        let owners = partition(&sizes, NonZeroU32::new(world_size).unwrap());
        let owned = |rank| owners.iter().map(|owner| *owner == rank).collect::<Vec<bool>>();
        Self((0..world_size).map(|rank| Optimiser::new(weights, settings, &owned(rank)).unwrap()).collect())
    }

    fn steps(&mut self, weights: &[(String, Tensor)], numbers: std::ops::Range<i64>) {
        for number in numbers {
            set_gradients(weights, number);
            for optimiser in &mut self.0 {
                optimiser.step(0.01, 0.7).unwrap();
            }
        }
    }

    fn saved(&self) -> BTreeMap<String, Tensor> {
        self.0.iter().flat_map(Optimiser::state).map(|(name, tensor)| (name, tensor.copy())).collect()
    }
}

#[test]
fn a_continued_run_equals_an_unbroken_one_bit_for_bit_over_any_owners() {
    for settings in all_settings() {
        let unbroken = weights();
        World::new(&unbroken, settings, 1).steps(&unbroken, 0..6);

        // Saved by one owner, continued by two, saved again and continued by one.
        let continued = weights();
        let mut first = World::new(&continued, settings, 1);
        first.steps(&continued, 0..2);
        let mut second = World::new(&continued, settings, 2);
        second.0.iter_mut().for_each(|optimiser| optimiser.restore(&first.saved(), 2).unwrap());
        second.steps(&continued, 2..4);
        let mut third = World::new(&continued, settings, 1);
        third.0[0].restore(&second.saved(), 4).unwrap();
        third.steps(&continued, 4..6);
        assert_eq!(third.0[0].steps(), 6);
        assert_eq!(values(&unbroken), values(&continued), "{settings:?}");
        assert_ne!(values(&unbroken), values(&weights()), "{settings:?}");
    }
}

#[test]
fn without_its_state_a_run_would_end_elsewhere() {
    for settings in
        all_settings().into_iter().filter(|settings| !matches!(settings, Settings::Sgd(Sgd { momentum: 0.0, .. })))
    {
        let (unbroken, forgetful) = (weights(), weights());
        World::new(&unbroken, settings, 1).steps(&unbroken, 0..4);
        World::new(&forgetful, settings, 1).steps(&forgetful, 0..2);
        World::new(&forgetful, settings, 1).steps(&forgetful, 2..4);
        assert_ne!(values(&unbroken), values(&forgetful), "{settings:?}");
    }
}

#[test]
fn the_memory_formula_is_what_is_there_and_ranks_add_up() {
    let weights = weights();
    let shapes: Vec<(String, Vec<i64>)> = weights.iter().map(|(name, weight)| (name.clone(), weight.size())).collect();
    for settings in all_settings() {
        let wanted = state_bytes(shapes.iter().map(|(name, shape)| (name.as_str(), shape.as_slice())), &settings);
        for world_size in [1, 2, 3, 9] {
            let world = World::new(&weights, settings, world_size);
            assert_eq!(
                world.0.iter().map(Optimiser::state_bytes).sum::<u64>(),
                wanted,
                "{settings:?} over {world_size}"
            );
            assert_eq!(world.saved().values().map(|tensor| 4 * tensor.numel() as u64).sum::<u64>(), wanted);
        }
    }
}

#[test]
fn adamws_first_step_moves_each_weight_by_the_learning_rate() {
    let weights = [("w".to_owned(), leaf(&[1.0, -2.0, 3.0]))];
    (&weights[0].1 * Tensor::from_slice(&[5.0f32, -0.01, 70.0])).sum(Kind::Float).backward();
    let mut optimiser = Optimiser::new(&weights, Settings::Adamw(Adamw::new(0.1)), &[true]).unwrap();
    optimiser.step(0.5, 1.0).unwrap();
    // Adam's first step is lr * sign(gradient); a vector is not decayed.
    for (value, wanted) in values(&weights)[0].iter().zip([0.5, -1.5, 2.5]) {
        assert!((value - wanted).abs() < 1e-4, "{value} is not {wanted}");
    }
}

#[test]
fn weights_without_gradient_or_of_other_ranks_stay() {
    for settings in all_settings() {
        let weights = [("a", 1.0), ("b", 2.0), ("c", 3.0)].map(|(name, value)| (name.to_owned(), leaf(&[value; 4])));
        for (_, weight) in &weights[1..] {
            weight.sum(Kind::Float).backward();
        }
        let mut optimiser = Optimiser::new(&weights, settings, &[true, false, true]).unwrap();
        optimiser.step(0.5, 1.0).unwrap();
        let values = values(&weights);
        assert_eq!((&values[0], &values[1]), (&vec![1.0; 4], &vec![2.0; 4]));
        assert!(values[2].iter().all(|value| *value < 2.9), "{values:?}");
        let of_b = optimiser.state().iter().filter(|(name, _)| name.starts_with("b/")).count();
        assert_eq!(of_b, 0);
    }
}

#[test]
fn a_learning_rate_of_zero_moves_the_state_alone() {
    for settings in all_settings() {
        let weights = weights();
        let before = values(&weights);
        set_gradients(&weights, 1);
        let mut optimiser = Optimiser::new(&weights, settings, &[true; 6]).unwrap();
        optimiser.step(0.0, 1.0).unwrap();
        assert_eq!(values(&weights), before, "{settings:?}");
        assert!(optimiser.state().iter().all(|(_, tensor)| tensor.abs().max().double_value(&[]) > 0.0), "{settings:?}");
    }
}

#[test]
fn a_state_that_does_not_fit_is_refused_by_name_and_nothing_changes() {
    let weights = weights();
    let owned = [true, true, true, false, true, true];
    let mut optimiser = Optimiser::new(&weights, Settings::Adamw(Adamw::new(0.1)), &owned).unwrap();
    set_gradients(&weights, 1);
    optimiser.step(0.1, 1.0).unwrap();
    let copied = |optimiser: &Optimiser| -> BTreeMap<String, Tensor> {
        optimiser.state().into_iter().map(|(name, tensor)| (name, tensor.copy())).collect()
    };
    let good = copied(&optimiser);
    let mut refused = |change: &dyn Fn(&mut BTreeMap<String, Tensor>)| {
        let mut state: BTreeMap<String, Tensor> = good.iter().map(|(n, t)| (n.clone(), t.ones_like())).collect();
        change(&mut state);
        optimiser.restore(&state, 9).unwrap_err().to_string()
    };
    let missing = refused(&|state| drop(state.remove("bias/square")));
    assert!(missing.contains("`bias/square` is missing"), "{missing}");
    let insert = |name: &'static str, tensor: Tensor| {
        move |state: &mut BTreeMap<String, Tensor>| drop(state.insert(name.to_owned(), tensor.shallow_clone()))
    };
    let shape = refused(&insert("bias/mean", Tensor::from_slice(&[1.0f32])));
    assert!(shape.contains("`bias/mean` has shape [1], but its weight has [3]"), "{shape}");
    let kind = refused(&insert("bias/mean", Tensor::from_slice(&[1.0f64; 3])));
    assert!(kind.contains("`bias/mean` is of Double"), "{kind}");
    let finite = refused(&insert("bias/mean", Tensor::from_slice(&[1.0, f32::NAN, 1.0])));
    assert!(finite.contains("`bias/mean` holds numbers that are not finite"), "{finite}");
    let other = refused(&insert("bias/momentum", Tensor::from_slice(&[1.0f32; 3])));
    assert!(other.contains("`bias/momentum` belongs to no weight"), "{other}");
    assert_eq!(optimiser.steps(), 1);
    for (name, tensor) in copied(&optimiser) {
        assert!(tensor.equal(&good[&name]), "{name} changed");
    }
    // What another rank owns may be there, in whatever form.
    let mut more: BTreeMap<String, Tensor> = good.iter().map(|(n, t)| (n.clone(), t.ones_like())).collect();
    more.insert("long.weight/mean".to_owned(), Tensor::from_slice(&[1.0f32]));
    optimiser.restore(&more, 9).unwrap();
    assert_eq!(optimiser.steps(), 9);
}

#[test]
fn weights_that_cannot_be_moved_are_refused_by_name() {
    let refused = |weights: &[(String, Tensor)], owned: &[bool]| {
        Optimiser::new(weights, Settings::Adamw(Adamw::new(0.0)), owned).unwrap_err().to_string()
    };
    let named = |name: &str, tensor: Tensor| (name.to_owned(), tensor);
    let good = || named("a", leaf(&[1.0]));
    assert!(refused(&[good()], &[]).contains("0 marks of ownership came for 1 weights"));
    assert!(refused(&[good(), good()], &[true; 2]).contains("`a` is given twice"));
    assert!(refused(&[named("d", Tensor::from_slice(&[1.0f64]))], &[true]).contains("`d` is of Double"));
    assert!(refused(&[named("c", leaf(&[1.0]) * 2.0)], &[true]).contains("`c` is computed from other tensors"));
    let turned = Tensor::zeros([2, 3], (Kind::Float, Device::Cpu)).transpose(0, 1);
    assert!(refused(&[good(), named("t", turned)], &[true; 2]).contains("`t` is not contiguous"));
}

#[test]
fn a_step_with_numbers_that_are_not_finite_does_nothing() {
    let weights = weights();
    set_gradients(&weights, 1);
    let before = values(&weights);
    let mut optimiser = Optimiser::new(&weights, Settings::Adamw(Adamw::new(0.0)), &[true; 6]).unwrap();
    for (lr, scale) in [(f64::NAN, 1.0), (-0.1, 1.0), (0.1, f64::INFINITY)] {
        assert!(matches!(optimiser.step(lr, scale), Err(OptimError::Setting { .. })));
    }
    assert_eq!((values(&weights), optimiser.steps()), (before, 0));
}

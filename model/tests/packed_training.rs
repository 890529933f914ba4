//! The training forward of sequences that lie one after another, for every family: each as if it were alone, in values and in the
//! gradient of every weight, whole or layer by layer.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

#[path = "common/families.rs"]
mod families;

use std::collections::BTreeMap;

use families::{VOCABULARY, configs, model};
use galapagos_model::lora::{Adapter, AdapterConfig, ModuleNames};
use galapagos_model::{ComputeError, Decoder, PackedOptions, Parameters, Precision};
use tch::{Device, Kind, Tensor};

/// Neighbours of equal length, a lone token, and more tokens than any window.
const LENGTHS: [usize; 6] = [33, 20, 20, 1, 64, 7];

fn tokens(seed: usize, length: usize) -> Vec<u32> {
    (0..length).map(|i| ((i * i + 7 * i * seed + 3 * seed) % VOCABULARY) as u32).collect()
}

fn sequences() -> Vec<Vec<u32>> {
    LENGTHS.iter().enumerate().map(|(seed, length)| tokens(seed + 1, *length)).collect()
}

fn row(sequence: &[u32]) -> Tensor {
    Tensor::from_slice(&sequence.iter().map(|token| i64::from(*token)).collect::<Vec<_>>()).unsqueeze(0)
}

/// A number of every logit, with factors of either sign that no two tokens share.
fn loss(model: &Decoder, hidden: &Tensor, first: usize) -> Tensor {
    let rows = hidden.size()[0];
    let all = Tensor::arange(rows, (Kind::Int64, Device::Cpu));
    let logits = model.logits_at(hidden, &all, Precision::F32).unwrap();
    let numbers = Tensor::arange(logits.numel() as i64, (Kind::Float, Device::Cpu)) + (first * VOCABULARY) as f64;
    (logits * (numbers * 0.7).sin().reshape([rows, -1])).sum(Kind::Float)
}

/// The gradients that are in `parameters`, which are then cleared.
#[expect(clippy::disallowed_methods, reason = "no reducer is here, so no gradient is a view into its buckets")]
fn take_gradients(parameters: &Parameters) -> BTreeMap<String, Tensor> {
    let take = |(name, weight): (&str, &Tensor)| {
        assert!(weight.grad().defined(), "{name} has no gradient");
        let gradient = weight.grad().copy();
        let mut weight = weight.shallow_clone();
        weight.zero_grad();
        (name.to_owned(), gradient)
    };
    parameters.iter().map(take).collect()
}

fn norm(tensor: &Tensor) -> f64 {
    tensor.to_kind(Kind::Double).norm().double_value(&[])
}

/// Every gradient relative to its norm, but none finer than the rounding of all of them.
fn assert_near(found: &BTreeMap<String, Tensor>, wanted: &BTreeMap<String, Tensor>, what: &str) {
    assert_eq!(found.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>());
    let whole = wanted.values().map(|gradient| norm(gradient).powi(2)).sum::<f64>().sqrt();
    assert!(whole > 1e-3, "{what}: there are no gradients");
    for (name, gradient) in found {
        let off = norm(&(gradient - &wanted[name])) / norm(&wanted[name]).max(1e-2 * whole);
        assert!(off <= 1e-5, "{what}: the gradient of {name} is off by {off:e}");
    }
}

#[test]
fn a_packed_sequence_is_as_if_it_were_alone() {
    let sequences = sequences();
    for config in configs() {
        let name = format!("{config:?}");
        let model = model(config);
        model.parameters().set_trainable(true).unwrap();
        let pass = model.packed(&sequences.concat(), &LENGTHS, PackedOptions::new(Precision::F32)).unwrap();
        let together = pass.hidden_states().unwrap();
        loss(&model, &together, 0).backward();
        let found = take_gradients(model.parameters());
        let mut first = 0;
        for sequence in &sequences {
            let hidden = model.hidden_states(&row(sequence), Precision::F32).unwrap().squeeze_dim(0);
            let own = together.narrow(0, first as i64, sequence.len() as i64);
            let off = norm(&(own.detach() - hidden.detach())) / norm(&hidden.detach());
            assert!(off <= 1e-5, "{name}: the sequence at {first} is off by {off:e}");
            loss(&model, &hidden, first).backward();
            first += sequence.len();
        }
        assert_near(&found, &take_gradients(model.parameters()), &name);
    }
}

#[test]
fn layer_by_layer_is_the_whole_bit_for_bit_and_both_sides_see_more() {
    let sequences = sequences();
    let _no_gradients = tch::no_grad_guard();
    for config in configs() {
        let model = model(config);
        let forward = |both_sides, tokens: &[u32], lengths: &[usize]| {
            let options = PackedOptions { both_sides, ..PackedOptions::new(Precision::F32) };
            let pass = model.packed(tokens, lengths, options).unwrap();
            let mut x = pass.embedded().unwrap();
            for layer in 0..pass.layers() {
                x = pass.through(x, layer..layer + 1).unwrap();
            }
            let whole = pass.hidden_states().unwrap();
            assert_eq!(whole, pass.normed(&x).unwrap());
            whole
        };
        let past = forward(false, &sequences.concat(), &LENGTHS);
        let all = forward(true, &sequences.concat(), &LENGTHS);
        // Without neighbours the same, to rounding.
        let mut first = 0;
        for sequence in &sequences {
            let length = sequence.len() as i64;
            let own = all.narrow(0, first, length);
            let alone = forward(true, sequence, &[sequence.len()]);
            let off = norm(&(&own - &alone)) / norm(&alone);
            assert!(off <= 1e-5, "{off:e}");
            let last_only = norm(&(own - past.narrow(0, first, length))) / norm(&alone);
            assert!((last_only > 1e-3) == (length > 1), "{length} tokens differ by {last_only:e}");
            first += length;
        }
        // A later token changes an earlier one only where tokens see both sides; with windows, near enough.
        let mut changed = sequences[5].clone();
        *changed.last_mut().unwrap() += 1;
        for both_sides in [false, true] {
            let before = |tokens: &[u32]| forward(both_sides, tokens, &[7]).narrow(0, 0, 6);
            let moved = norm(&(before(&sequences[5]) - before(&changed)));
            assert_eq!(moved > 1e-3, both_sides, "moved by {moved}");
        }
    }
}

#[test]
fn an_adapter_adds_to_packed_sequences_what_it_adds_to_each_alone() {
    let sequences = sequences();
    for config in configs() {
        let name = format!("{config:?}");
        let base = model(config);
        base.parameters().set_trainable(false).unwrap();
        let settings = AdapterConfig::new(3, 6.0, ModuleNames::AllLinear);
        let made = Adapter::init(settings.clone(), base.config(), 5, Device::Cpu).unwrap();
        let moved = made.parameters().iter().map(|(name, weight)| {
            let wave = Tensor::arange(weight.numel() as i64, (Kind::Float, Device::Cpu)) + name.len() as f64;
            (name.to_owned(), weight + wave.sin().reshape(weight.size()) * 0.05)
        });
        let adapter = Adapter::new(settings, moved.collect(), base.config()).unwrap();
        adapter.parameters().set_trainable(true).unwrap();
        let options = PackedOptions { adapter: Some(&adapter), ..PackedOptions::new(Precision::F32) };
        let together = base.packed(&sequences.concat(), &LENGTHS, options).unwrap().hidden_states().unwrap();
        loss(&base, &together, 0).backward();
        let found = take_gradients(adapter.parameters());
        let mut first = 0;
        for sequence in &sequences {
            let hidden = base.adapted_hidden_states(&adapter, &row(sequence), Precision::F32).unwrap().squeeze_dim(0);
            loss(&base, &hidden, first).backward();
            first += sequence.len();
        }
        assert_near(&found, &take_gradients(adapter.parameters()), &name);
    }
}

#[test]
fn what_cannot_be_packed_is_refused() {
    let model = model(configs().remove(0));
    let packed = |tokens: &[u32], lengths: &[usize]| {
        model.packed(tokens, lengths, PackedOptions::new(Precision::F32)).map(|_| ()).unwrap_err()
    };
    assert!(matches!(packed(&[1, 2], &[2, 0]), ComputeError::Empty { index: 1 }));
    assert!(matches!(packed(&[1, 2], &[1]), ComputeError::Lengths { tokens: 2, lengths: 1 }));
    assert!(matches!(packed(&[], &[]), ComputeError::Lengths { tokens: 0, lengths: 0 }));
    assert!(matches!(packed(&[1, 50], &[2]), ComputeError::TokenOutOfRange { token: 50, vocab_size: 50 }));
    assert!(matches!(packed(&[1; 300], &[300]), ComputeError::TooLong { length: 300, limit: 256 }));
}

//! Logits, losses and gradients of the training forward.

use std::collections::BTreeMap;
use std::path::Path;

use galapagos_model::{Decoder, ModelFolder, Precision};
use serde_json::json;
use tch::{Device, Kind, Tensor};

use crate::python::{Made, Shape, ask, max_difference, padded, sequences, smollm2, tensors};

/// Logits at every real position of each sequence, computed as one right-padded batch.
pub fn batch_logits(model: &Decoder, sequences: &[Vec<u32>], precision: Precision) -> Vec<Tensor> {
    let tokens = padded(sequences);
    let (_, time) = tokens.size2().unwrap();
    let hidden = model.hidden_states(&tokens, precision).unwrap();
    let rows = |(index, sequence): (i64, &Vec<u32>)| {
        let rows = Tensor::arange_start(index * time, index * time + sequence.len() as i64, (Kind::Int64, Device::Cpu));
        model.logits_at(&hidden, &rows, precision).unwrap()
    };
    (0i64..).zip(sequences).map(rows).collect()
}

fn check_logits(cases: &[(ModelFolder, Vec<Vec<u32>>)], tolerance: f64) {
    let out = tempfile::tempdir().unwrap();
    let file = |index: usize| out.path().join(index.to_string());
    let request = |(index, (folder, sequences)): (usize, &(ModelFolder, Vec<Vec<u32>>))| json!({"do": "logits", "folder": folder.path(), "sequences": sequences, "out": file(index)});
    ask(&cases.iter().enumerate().map(request).collect::<Vec<_>>());
    for (case, (folder, sequences)) in cases.iter().enumerate() {
        let expected = tensors(&file(case));
        let model = folder.load(Device::Cpu).unwrap().copy_to(Kind::Float, Device::Cpu).unwrap();
        for (index, found) in batch_logits(&model, sequences, Precision::F32).iter().enumerate() {
            let difference = max_difference(found, &expected[&index.to_string()]);
            assert!(difference <= tolerance, "model {case}, sequence {index}: logits differ by {difference}");
        }
    }
}

#[test]
fn reference_logits_of_random_models_in_a_padded_batch() {
    let made = Made::all([Shape::UNTIED, Shape::TIED, Shape::SINGLE_KEY]);
    let cases = made.each_ref().map(|made| {
        let folder = made.open();
        let sequences = sequences(folder.config().vocab_size, &[1, 17, 40]);
        (folder, sequences)
    });
    check_logits(&cases, 2e-4);
}

#[test]
fn reference_logits_of_smollm2() {
    let _no_gradients = tch::no_grad_guard();
    let folder = smollm2();
    let texts = ["The capital of France is", "def add(a, b):\n    return a + b\n\nprint(add(2, 3))  # 5"];
    let sequences: Vec<Vec<u32>> = texts.iter().map(|text| folder.tokenizer().encode(text).unwrap()).collect();
    check_logits(&[(folder, sequences)], 2e-4);
}

/// What `transformers` gives: the loss and the gradients by name.
fn expected_gradients(folder: &Path, batch: &[Vec<u32>], autocast: bool) -> (f64, BTreeMap<String, Tensor>) {
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("gradients.safetensors");
    let request = json!({"do": "gradients", "folder": folder, "tokens": batch, "autocast": autocast, "out": file});
    (ask(&[request])[0].as_f64().unwrap(), tensors(&file))
}

/// What we give.
fn gradients(folder: &ModelFolder, batch: &[Vec<u32>], precision: Precision) -> (f64, BTreeMap<String, Tensor>) {
    let model = folder.load(Device::Cpu).unwrap();
    model.parameters().set_trainable(true).unwrap();
    let loss = next_token_loss(&model, batch, precision);
    loss.backward();
    let gradients = model.parameters().iter().map(|(name, tensor)| (name.to_owned(), tensor.grad()));
    (loss.double_value(&[]), gradients.collect())
}

/// Sequences without token 0: transformers gives the padding token's embedding no gradient.
fn without_padding(vocabulary: usize, lengths: &[usize]) -> Vec<Vec<u32>> {
    let shift = |sequence: Vec<u32>| sequence.into_iter().map(|token| token + 1).collect();
    sequences(vocabulary - 1, lengths).into_iter().map(shift).collect()
}

#[test]
fn reference_gradients_of_the_training_loss() {
    for made in Made::all([Shape::UNTIED, Shape::TIED]) {
        let folder = made.open();
        let batch = without_padding(folder.config().vocab_size, &[24, 24, 24]);
        let (expected_loss, expected) = expected_gradients(made.path(), &batch, false);
        let (loss, found) = gradients(&folder, &batch, Precision::F32);
        assert!((loss - expected_loss).abs() < 1e-5, "{loss} and {expected_loss}");
        assert_eq!(found.len(), expected.len());
        for (name, found) in &found {
            let scale = expected[name].abs().max().double_value(&[]);
            let difference = max_difference(found, &expected[name]);
            assert!(difference <= 1e-4 * scale, "{name}: gradients differ by {difference}, the largest is {scale}");
        }
    }
}

/// bfloat16 rounds; how much is acceptable is what PyTorch's own autocast does to the same model.
#[test]
fn reference_gradients_in_bfloat16_are_as_good_as_autocast() {
    let [made] = Made::all([Shape::UNTIED]);
    let batch = without_padding(70, &[32, 32]);
    let (exact_loss, exact) = expected_gradients(made.path(), &batch, false);
    let (autocast_loss, autocast) = expected_gradients(made.path(), &batch, true);
    let (loss, found) = gradients(&made.open(), &batch, Precision::Bf16);
    let joined = |gradients: &BTreeMap<String, Tensor>| {
        let flat: Vec<Tensor> = gradients.values().map(|tensor| tensor.reshape([-1])).collect();
        assert!(flat.iter().all(|tensor| tensor.kind() == Kind::Float));
        Tensor::cat(&flat, 0)
    };
    let error = |gradients| (joined(gradients) - joined(&exact)).norm().double_value(&[]);
    let (ours, theirs) = (error(&found), error(&autocast));
    assert!(ours > 0.0, "nothing was rounded");
    assert!(ours <= 1.25 * theirs, "our gradients are off by {ours}, autocast's by {theirs}");
    assert!((loss - exact_loss).abs() <= 0.01 * exact_loss, "{loss}; exact {exact_loss}, autocast {autocast_loss}");
}

fn next_token_loss(model: &Decoder, batch: &[Vec<u32>], precision: Precision) -> Tensor {
    let tokens = padded(batch);
    let (count, time) = tokens.size2().unwrap();
    let hidden = model.hidden_states(&tokens, precision).unwrap();
    let rows: Vec<i64> = (0..count * time).filter(|row| row % time != time - 1).collect();
    let logits = model.logits_at(&hidden, &Tensor::from_slice(&rows), precision).unwrap();
    logits.cross_entropy_for_logits(&tokens.narrow(1, 1, time - 1).reshape([-1]))
}

//! A model that reads images, against the same encoder and projector written out in plain PyTorch before `transformers`' Llama.

use galapagos_domain::image::Image;
use galapagos_model::{Decoder, Engine, EngineOptions, ModelConfig, ModelFolder, Precision, RunControl, VisionConfig};
use galapagos_model::{ScoreRequest, Tokenizer};
use serde_json::json;
use tch::{Device, Kind, Tensor};

use crate::logits::batch_logits;
use crate::python::{ask, max_difference, single_thread, tensors};

const ALPHABET: &str = "0123456789:ab";

/// No weight at its trivial initial value.
fn model() -> Decoder {
    let config = ModelConfig {
        vocab_size: ALPHABET.len() + 2,
        hidden_size: 48,
        intermediate_size: 72,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim: 12,
        rms_norm_eps: 1e-5,
        max_position_embeddings: 128,
        initializer_range: 0.2,
        eos_token_ids: vec![1],
        pad_token_id: Some(0),
        vision: Some(VisionConfig::new(20, 3)),
        ..ModelConfig::default()
    };
    let model = Decoder::init(config, 5, Device::Cpu).unwrap();
    tch::no_grad(|| {
        for (name, weight) in model.parameters().iter().filter(|(_, weight)| weight.dim() == 1) {
            let numbers = Tensor::arange(weight.numel() as i64, (Kind::Float, Device::Cpu)) + name.len() as f64;
            let _ = weight.shallow_clone().f_add_(&(numbers.sin() * 0.3)).unwrap();
        }
    });
    model
}

fn image(columns: u32, rows: u32, seed: u32) -> String {
    let mut image = Image::blank(4 * columns, 4 * rows);
    for at in 0..image.width() * image.height() {
        if (at * at * 7 + at * seed + seed) % 11 < 4 {
            image.flip(at % image.width(), at / image.width());
        }
    }
    image.text()
}

#[test]
fn reference_logits_and_gradients_of_a_model_that_reads_images() {
    single_thread();
    let (model, place) = (model(), tempfile::tempdir().unwrap());
    let tokenizer = Tokenizer::characters_and_images(ALPHABET).unwrap();
    ModelFolder::save(place.path(), &model, &tokenizer).unwrap();
    let texts = [
        format!("ab{}:31", image(5, 3, 1)),
        format!("{}a{}:", image(2, 2, 3), image(7, 1, 4)),
        "ab:12".to_owned(),
        format!("{}:9{}", image(1, 4, 9), image(3, 2, 2)),
    ];
    let sequences: Vec<Vec<u32>> = texts.iter().map(|text| tokenizer.encode(text).unwrap()).collect();
    let out = place.path().join("seen");
    ask(&[json!({"do": "see", "folder": place.path(), "sequences": sequences, "out": out})]);
    let expected = tensors(&out);

    model.parameters().set_trainable(true).unwrap();
    let logits = batch_logits(&model, &sequences, Precision::F32);
    for (index, found) in logits.iter().enumerate() {
        let difference = max_difference(found, &expected[&format!("logits.{index}")]);
        assert!(difference <= 2e-4, "sequence {index}: logits differ by {difference}");
    }
    let last: Vec<Tensor> = logits.iter().map(|logits| logits.get(-1).log_softmax(-1, Kind::Float).get(3)).collect();
    Tensor::stack(&last, 0).sum(Kind::Float).backward();
    let mut vision = 0;
    for (name, weight) in model.parameters().iter() {
        let expected = &expected[&format!("gradient.{name}")];
        let scale = expected.abs().max().double_value(&[]);
        let difference = max_difference(&weight.grad(), expected);
        assert!(scale > 0.0 && difference <= 1e-4 * scale, "{name}: {difference} apart, the largest is {scale}");
        vision += usize::from(name.starts_with("model.vision."));
    }
    assert_eq!(vision, 2 + 2 + 3 * 6 + 2 + 2, "patch, places, blocks, norm, projector");

    let read =
        ScoreRequest::continuation(&sequences[0][..sequences[0].len() - 2], &sequences[0][sequences[0].len() - 2..]);
    let log_probs = expected["logits.0"].log_softmax(-1, Kind::Float);
    for (precision, tolerance) in [(Precision::F32, 2e-4), (Precision::Bf16, 0.1)] {
        let options = EngineOptions { precision, kv_bytes: 8 << 20, ..EngineOptions::default() };
        let mut engine = Engine::new(&model, options).unwrap();
        let found = engine.score(std::slice::from_ref(&read), &mut RunControl::default()).unwrap().concat();
        for (at, found) in (sequences[0].len() - 2..).zip(found) {
            let expected = log_probs.double_value(&[at as i64 - 1, i64::from(sequences[0][at])]);
            assert!((f64::from(found) - expected).abs() <= tolerance, "{precision:?}: {found}, not {expected}");
        }
    }
}

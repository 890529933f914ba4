//! Models that read images: the engine against the training forward, gradients of every weight, folders and probes, and that images are
//! learned from.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::sync::Arc;

use galapagos_domain::image::{Font, Image, Patch};
use galapagos_model::engine::Speculation;
use galapagos_model::probe::{Probe, ProbeError};
use galapagos_model::{
    ComputeError, Decoder, Engine, EngineOptions, ModelConfig, ModelFolder, PackedOptions, Precision, Request,
    RequestError, RunControl, Sampling, ScoreRequest, Tokenizer, UnreadableToken, VisionConfig, weights_digest,
};
use tch::{Device, Kind, Tensor};

const ALPHABET: &str = "0123456789:ab";

fn config(initializer_range: f64) -> ModelConfig {
    ModelConfig {
        vocab_size: ALPHABET.len() + 2,
        hidden_size: 32,
        intermediate_size: 64,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: 4,
        head_dim: 8,
        max_position_embeddings: 160,
        initializer_range,
        eos_token_ids: vec![1],
        pad_token_id: Some(0),
        vision: Some(VisionConfig::new(24, 2)),
        ..ModelConfig::default()
    }
}

fn model() -> Decoder {
    tch::set_num_threads(1);
    Decoder::init(config(0.2), 1, Device::Cpu).unwrap()
}

fn tokenizer() -> Tokenizer {
    Tokenizer::characters_and_images(ALPHABET).unwrap()
}

/// An image of so many patches with ink that `seed` decides.
fn image(columns: u32, rows: u32, seed: u32) -> String {
    let mut image = Image::blank(4 * columns, 4 * rows);
    for y in 0..image.height() {
        for x in 0..image.width() {
            if (x * x + 3 * y + seed * (x + 7 * y)) % 5 < 2 {
                image.flip(x, y);
            }
        }
    }
    image.text()
}

/// Texts whose images are longer than a page, follow others, and share beginnings.
fn texts() -> Vec<String> {
    let wide = image(12, 4, 1);
    vec![
        format!("{wide}:12"),
        format!("{wide}:90"),
        format!("ab{}a{}:7", image(3, 2, 2), image(3, 2, 3)),
        format!("ab{}a{}:7", image(3, 2, 2), image(2, 3, 3)),
        "ab:31".to_owned(),
    ]
}

fn row(sequence: &[u32]) -> Tensor {
    Tensor::from_slice(&sequence.iter().map(|token| i64::from(*token)).collect::<Vec<_>>()).unsqueeze(0)
}

/// Log-probabilities of the last tokens of a sequence by the training forward.
fn by_training(model: &Decoder, sequence: &[u32], last: usize) -> Vec<f64> {
    let hidden = model.hidden_states(&row(sequence), Precision::F32).unwrap();
    let (first, end) = (sequence.len() - last, sequence.len());
    let rows = Tensor::arange_start(first as i64 - 1, end as i64 - 1, (Kind::Int64, Device::Cpu));
    let log_probs = model.logits_at(&hidden, &rows, Precision::F32).unwrap().log_softmax(-1, Kind::Float);
    (0..last).map(|at| log_probs.double_value(&[at as i64, i64::from(sequence[first + at])])).collect()
}

#[test]
fn the_engine_sees_what_the_trainer_sees_however_rows_are_batched() {
    let _no_gradients = tch::no_grad_guard();
    let (model, tokenizer) = (model(), tokenizer());
    let sequences: Vec<Vec<u32>> = texts().iter().map(|text| tokenizer.encode(text).unwrap()).collect();
    let requests: Vec<ScoreRequest> = sequences
        .iter()
        .map(|sequence| {
            let context = sequence.len() - 2;
            ScoreRequest::continuation(&sequence[..context], &sequence[context..])
        })
        .collect();
    for (precision, tolerance) in [(Precision::F32, 1e-4), (Precision::Bf16, 0.1)] {
        let options = EngineOptions { precision, kv_bytes: 8 << 20, ..EngineOptions::default() };
        let narrow = EngineOptions { max_rows: 7, max_sequences: 3, ..options };
        let score =
            |options| Engine::new(&model, options).unwrap().score(&requests, &mut RunControl::default()).unwrap();
        let found = score(options);
        assert_eq!(score(narrow), found, "images are cut anywhere, and nothing changes");
        for (sequence, found) in sequences.iter().zip(found) {
            for (found, expected) in found.into_iter().zip(by_training(&model, sequence, 2)) {
                assert!((f64::from(found) - expected).abs() < tolerance, "{precision:?}: {found}, not {expected}");
            }
        }
    }
}

#[test]
fn another_image_is_another_answer_and_no_patch_is_ever_drawn() {
    let (model, tokenizer) = (model(), tokenizer());
    let mut engine = Engine::new(&model, EngineOptions { kv_bytes: 8 << 20, ..EngineOptions::default() }).unwrap();
    let prompt = tokenizer.encode(&format!("ab{}:ab{}:", image(3, 2, 2), image(3, 2, 2))).unwrap();
    let request = |speculation| Request {
        samples: 4,
        sampling: Arc::new(Sampling { temperature: 1.0, repetition_penalty: 1.3, ..Sampling::default() }),
        speculation,
        ..Request::greedy(prompt.clone(), 24)
    };
    let requests = [request(Speculation::Off), request(Speculation::PromptLookup { most: 8 })];
    let made = engine.generate(&requests, &mut RunControl::default()).unwrap();
    assert_eq!(made[0], made[1], "guesses from a prompt with images change nothing");
    assert!(made[0].iter().flat_map(|made| &made.tokens).all(|token| *token < model.config().vocab_size as u32));
    let score = |seed| {
        let tokens = tokenizer.encode(&format!("ab{}:1", image(3, 2, seed))).unwrap();
        by_training(&model, &tokens, 1)[0]
    };
    assert!((score(2) - score(3)).abs() > 1e-3);
}

#[test]
fn what_cannot_be_read_is_told() {
    let model = model();
    let mut engine = Engine::new(&model, EngineOptions { kv_bytes: 8 << 20, ..EngineOptions::default() }).unwrap();
    let large: Vec<u32> = image(65, 1, 1).chars().map(u32::from).collect();
    let error = engine.submit(Request::greedy(large.clone(), 4)).unwrap_err();
    assert!(matches!(error, RequestError::Image(UnreadableToken::Large { rows: 16, columns: 64 })), "{error}");
    let patch = Patch { pixels: 1, ends_row: true }.code();
    let error = engine.submit_score(&ScoreRequest::continuation(&[2, 3], &[patch])).unwrap_err();
    assert!(matches!(error, RequestError::Token { token, .. } if token == patch), "{error}");
    let blind = Decoder::init(ModelConfig { vision: None, ..config(0.2) }, 1, Device::Cpu).unwrap();
    let error = blind.packed(&large, &[large.len()], PackedOptions::new(Precision::F32)).unwrap_err();
    assert!(matches!(error, ComputeError::Image(UnreadableToken::Blind)), "{error}");
}

#[test]
fn every_weight_of_encoder_and_projector_has_a_gradient_and_none_where_nothing_is_seen() {
    let (model, tokenizer) = (model(), tokenizer());
    model.parameters().set_trainable(true).unwrap();
    let weights: Vec<(String, Tensor)> =
        model.parameters().iter().map(|(name, weight)| (name.to_owned(), weight.shallow_clone())).collect();
    let tensors: Vec<Tensor> = weights.iter().map(|(_, weight)| weight.shallow_clone()).collect();
    let gradients = |texts: &[&str]| {
        let sequences: Vec<Vec<u32>> = texts.iter().map(|text| tokenizer.encode(text).unwrap()).collect();
        let lengths: Vec<usize> = sequences.iter().map(Vec::len).collect();
        let pass = model.packed(&sequences.concat(), &lengths, PackedOptions::new(Precision::F32)).unwrap();
        let hidden = pass.hidden_states().unwrap();
        let last = Tensor::from_slice(&[hidden.size()[0] - 1]);
        let logits = model.logits_at(&hidden, &last, Precision::F32).unwrap();
        let loss = logits.log_softmax(-1, Kind::Float).get(0).get(3).neg();
        let found = Tensor::run_backward(&[loss], &tensors, false, false);
        weights
            .iter()
            .zip(found)
            .map(|((name, _), found)| (name.clone(), found.abs().sum(Kind::Float).double_value(&[])))
            .collect::<Vec<_>>()
    };
    let seen = format!("a{}:", image(3, 2, 2));
    for (name, size) in gradients(&["ab:", &seen]) {
        assert!(size > 0.0, "{name} learns nothing of an image");
    }
    for (name, size) in gradients(&["ab:"]) {
        assert_eq!(size == 0.0, name.starts_with("model.vision."), "{name}: {size}");
    }
}

#[test]
fn a_folder_keeps_the_encoder_and_its_probe_proves_it() {
    let _no_gradients = tch::no_grad_guard();
    let (model, place) = (model(), tempfile::tempdir().unwrap());
    ModelFolder::save(place.path(), &model, &tokenizer()).unwrap();
    let probe = Probe::of(&model, None).unwrap();
    assert!(probe.tokens.iter().filter(|token| Patch::is_code(**token)).count() >= 4, "a probe shows an image");
    probe.write(place.path()).unwrap();
    let folder = ModelFolder::open(place.path()).unwrap();
    assert_eq!((folder.ignored_keys().len(), folder.config()), (0, model.config()));
    let loaded = folder.load(Device::Cpu).unwrap();
    let digest = |model: &Decoder| weights_digest(model.parameters()).unwrap();
    assert_eq!(digest(&loaded), digest(&model));
    let options = || EngineOptions { kv_bytes: 8 << 20, ..EngineOptions::default() };
    assert!(Probe::check_folder(place.path(), &mut Engine::new(&loaded, options()).unwrap(), None).unwrap());
    let mut projector = loaded.parameters().get("model.vision.projector.weight").unwrap().shallow_clone();
    let _ = projector.f_mul_scalar_(-1.0).unwrap();
    assert_ne!(digest(&loaded), digest(&model));
    let error = Probe::check_folder(place.path(), &mut Engine::new(&loaded, options()).unwrap(), None).unwrap_err();
    assert!(matches!(error, ProbeError::Differs { .. }), "{error}");
    let blind = Tokenizer::characters(ALPHABET).unwrap();
    let error = ModelFolder::save(place.path(), &model, &blind).unwrap_err().to_string();
    assert!(error.contains("has a vision encoder") && error.contains("reads_image_patches"), "{error}");
}

/// A digit in an image, by a stream of numbers: font, shifts and a pixel turned over.
fn digit_image(digit: u32, next: &mut impl FnMut(u32) -> u32) -> String {
    let mut image = Image::blank(8, 8);
    let font = Font::ALL[next(3) as usize];
    let (left, top) = (next(3), next(2));
    image.print(font.glyph(char::from_digit(digit, 10).unwrap()).unwrap(), left, top);
    image.flip(next(8), next(8));
    image.text()
}

/// The mean loss of the digit behind `image:`, of so many of each.
fn digit_loss(model: &Decoder, batch: &[(u32, String)]) -> Tensor {
    let tokenizer = tokenizer();
    let sequences: Vec<Vec<u32>> =
        batch.iter().map(|(_, image)| tokenizer.encode(&format!("{image}:")).unwrap()).collect();
    let lengths: Vec<usize> = sequences.iter().map(Vec::len).collect();
    let pass = model.packed(&sequences.concat(), &lengths, PackedOptions::new(Precision::F32)).unwrap();
    let ends: Vec<i64> = (1..=batch.len() as i64).map(|number| number * lengths[0] as i64 - 1).collect();
    let logits = model.logits_at(&pass.hidden_states().unwrap(), &Tensor::from_slice(&ends), Precision::F32).unwrap();
    // The digits are the first characters of the alphabet, behind two special tokens.
    let digits: Vec<i64> = batch.iter().map(|(digit, _)| i64::from(*digit) + 2).collect();
    logits.cross_entropy_for_logits(&Tensor::from_slice(&digits))
}

#[test]
fn a_small_model_learns_to_read_digits_and_reads_nothing_off_other_images() {
    tch::set_num_threads(1);
    let model = Decoder::init(config(0.02), 3, Device::Cpu).unwrap();
    model.parameters().set_trainable(true).unwrap();
    let weights: Vec<Tensor> = model.parameters().iter().map(|(_, weight)| weight.shallow_clone()).collect();
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = |below: u32| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 33) as u32 % below
    };
    let mut draw = |count: u32| -> Vec<(u32, String)> {
        (0..count).map(|at| (at % 10, digit_image(at % 10, &mut next))).collect()
    };
    let mut moments: Vec<[Tensor; 2]> =
        weights.iter().map(|weight| [weight.zeros_like(), weight.zeros_like()]).collect();
    for step in 1..=700 {
        let loss = digit_loss(&model, &draw(40));
        let gradients = Tensor::run_backward(&[loss], &weights, false, false);
        tch::no_grad(|| {
            for ((weight, gradient), [first, second]) in weights.iter().zip(&gradients).zip(&mut moments) {
                *first = &*first * 0.9 + gradient * 0.1;
                *second = &*second * 0.99 + gradient.square() * 0.01;
                let (mean, square) = (&*first / (1.0 - 0.9f64.powi(step)), &*second / (1.0 - 0.99f64.powi(step)));
                let _ = weight.shallow_clone().f_sub_(&(mean / (square.sqrt() + 1e-8) * 3e-3)).unwrap();
            }
        });
    }
    let seen = draw(400);
    // Each digit with the image of the next.
    let other: Vec<(u32, String)> = seen.iter().zip(&seen[1..]).map(|(one, next)| (one.0, next.1.clone())).collect();
    let value = |batch: &[(u32, String)]| tch::no_grad(|| digit_loss(&model, batch).double_value(&[]));
    let (seen, other) = (value(&seen), value(&other));
    let guessing = 10f64.ln();
    assert!(seen < guessing / 4.0, "a guess costs {guessing}, and what is seen {seen}");
    assert!(other > guessing, "another image tells nothing: {other}");
}

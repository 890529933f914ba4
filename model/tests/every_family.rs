//! What changes nothing, for every family of decoders and the character transformers of recipes: padding in training, and in the
//! engine who is computed beside whom, in which pieces, and what is known already.
//!
//! The engine has no padding: its rows are tokens. So padding on the left exists for encoders alone (`tests/reference`).
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

#[path = "common/families.rs"]
mod families;

use std::sync::Arc;

use galapagos_model::{
    Completion, Decoder, Engine, EngineOptions, Precision, Request, RunControl, Sampling, ScoreRequest,
};
use tch::{Device, Kind, Tensor};

use families::{VOCABULARY, configs, model};

fn tokens(seed: u32, length: usize) -> Vec<u32> {
    (0..length as u32).map(|i| (i * i * 7 + i * seed + seed * 13) % VOCABULARY as u32).collect()
}

/// Log-probabilities [time, vocabulary] of each sequence by the training forward, in one batch of `time` columns filled with `filler`.
fn trained(model: &Decoder, sequences: &[Vec<u32>], time: usize, filler: u32) -> Vec<Tensor> {
    let row = |sequence: &Vec<u32>| -> Vec<i64> {
        sequence.iter().chain(std::iter::repeat(&filler)).take(time).map(|token| i64::from(*token)).collect()
    };
    let batch = Tensor::from_slice2(&sequences.iter().map(row).collect::<Vec<_>>());
    let hidden = model.hidden_states(&batch, Precision::F32).unwrap();
    let of = |(index, sequence): (usize, &Vec<u32>)| {
        let first = (index * time) as i64;
        let rows = Tensor::arange_start(first, first + sequence.len() as i64, (Kind::Int64, Device::Cpu));
        model.logits_at(&hidden, &rows, Precision::F32).unwrap().log_softmax(-1, Kind::Float)
    };
    sequences.iter().enumerate().map(of).collect()
}

#[test]
fn padding_and_batch_mates_change_nothing_in_training() {
    let _no_gradients = tch::no_grad_guard();
    let sequences: Vec<Vec<u32>> = [33, 1, 20, 64].iter().map(|length| tokens(*length as u32, *length)).collect();
    for config in configs() {
        let name = format!("{config:?}");
        let model = model(config);
        let together = trained(&model, &sequences, 64, 0);
        let wide = trained(&model, &sequences, 90, 17);
        for (index, sequence) in sequences.iter().enumerate() {
            let alone = trained(&model, std::slice::from_ref(sequence), sequence.len(), 0).remove(0);
            for other in [&together[index], &wide[index]] {
                let difference = (other - &alone).abs().max().double_value(&[]);
                assert!(difference <= 1e-4, "{name}, sequence {index}: {difference}");
            }
        }
    }
}

fn requests() -> Vec<Request> {
    let request = |seed: u32| Request {
        prompt: [tokens(40, 37), tokens(seed, [1, 30, 33, 61][seed as usize % 4])].concat(),
        samples: 2,
        sampling: Arc::new(if seed.is_multiple_of(2) { Sampling::GREEDY } else { Sampling::at(1.0) }),
        max_new_tokens: 10 + 7 * (seed as usize % 3),
        seed: u64::from(seed),
        ..Request::greedy(Vec::new(), 1)
    };
    (1..7).map(request).collect()
}

fn options(precision: Precision) -> EngineOptions {
    EngineOptions { precision, kv_bytes: 16 << 20, ..EngineOptions::default() }
}

fn run(engine: &mut Engine, requests: &[Request]) -> Vec<Vec<Completion>> {
    engine.generate(requests, &mut RunControl::default()).unwrap()
}

/// Bit for bit.
#[test]
fn batch_mates_pieces_and_known_pages_change_nothing_in_the_engine() {
    let requests = requests();
    for config in configs() {
        let name = format!("{config:?}");
        let model = model(config);
        for precision in [Precision::F32, Precision::Bf16] {
            let whole = options(precision);
            let mut engine = Engine::new(&model, whole).unwrap();
            let together = run(&mut engine, &requests);
            let cold = engine.stats().computed_tokens;
            assert!(run(&mut engine, &requests) == together, "with pages known: {precision:?}, {name}");
            assert!(engine.stats().computed_tokens < 2 * cold, "nothing was known");
            for (what, options) in [
                ("small pieces", EngineOptions { max_rows: 7, max_sequences: 3, ..whole }),
                ("nothing shared", EngineOptions { share_prefixes: false, ..whole }),
                ("one after the other", EngineOptions { max_sequences: 1, ..whole }),
            ] {
                let other = run(&mut Engine::new(&model, options).unwrap(), &requests);
                assert!(other == together, "{what}: {precision:?}, {name}");
            }
        }
    }
}

/// The engine against the training forward: log-probabilities of given sequences, some of them beginnings of others.
#[test]
fn the_engine_agrees_with_the_training_forward() {
    let _no_gradients = tch::no_grad_guard();
    let long = tokens(5, 150);
    let sequences = [long[..40].to_vec(), long.clone(), long[..97].to_vec(), tokens(9, 31)];
    for config in configs() {
        let name = format!("{config:?}");
        let model = model(config);
        let expected = trained(&model, &sequences, 150, 0);
        let asked = sequences.iter().map(|tokens| ScoreRequest::continuation(&tokens[..1], &tokens[1..]));
        let mut engine =
            Engine::new(&model, EngineOptions { max_rows: 50, max_sequences: 8, ..options(Precision::F32) }).unwrap();
        let found = engine.score(&asked.collect::<Vec<_>>(), &mut RunControl::default()).unwrap();
        for ((sequence, expected), found) in sequences.iter().zip(&expected).zip(&found) {
            for (position, found) in found.iter().enumerate() {
                let expected = expected.double_value(&[position as i64, i64::from(sequence[position + 1])]);
                let difference = (f64::from(*found) - expected).abs();
                assert!(difference <= 1e-4, "{name}, position {position}: {difference}");
            }
        }
    }
}

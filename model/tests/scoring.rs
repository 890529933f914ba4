//! Scores of given sequences: log-probabilities of continuations, and what scalar heads and classifiers say at chosen positions.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use galapagos_model::engine::{Masks, Read};
use galapagos_model::{
    Decoder, Engine, EngineOptions, GenerateError, ModelConfig, ModelKind, Precision, Request, RunControl, Sampling,
    ScoreRequest,
};
use tch::{Device, Tensor};

const VOCABULARY: usize = 50;

fn model() -> Decoder {
    tch::set_num_threads(1);
    let config = ModelConfig {
        kind: ModelKind::CausalLm,
        vocab_size: VOCABULARY,
        hidden_size: 96,
        intermediate_size: 200,
        num_hidden_layers: 3,
        num_attention_heads: 6,
        num_key_value_heads: 2,
        head_dim: 16,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        max_position_embeddings: 600,
        tie_word_embeddings: true,
        initializer_range: 0.2,
        bos_token_id: None,
        eos_token_ids: vec![1],
        pad_token_id: Some(0),
        ..ModelConfig::default()
    };
    Decoder::init(config, 1, Device::Cpu).unwrap()
}

fn tokens(seed: u32, length: usize) -> Vec<u32> {
    (0..length as u32).map(|i| (i * i * 7 + i * seed + seed * 13) % VOCABULARY as u32).collect()
}

fn options(precision: Precision) -> EngineOptions {
    EngineOptions { precision, kv_bytes: 64 << 20, ..EngineOptions::default() }
}

fn score(engine: &mut Engine, requests: &[ScoreRequest]) -> Vec<Vec<f32>> {
    engine.score(requests, &mut RunControl::default()).unwrap()
}

/// The scalar head at every position by the training forward, in 32-bit floats.
fn training_values(critic: &Decoder, sequence: &[u32]) -> Vec<f32> {
    let all: Vec<i64> = sequence.iter().map(|token| i64::from(*token)).collect();
    let hidden = critic.hidden_states(&Tensor::from_slice(&all).unsqueeze(0), Precision::F32).unwrap();
    let rows = Tensor::arange(all.len() as i64, (tch::Kind::Int64, Device::Cpu));
    Vec::try_from(critic.scores_at(&hidden, &rows).unwrap()).unwrap()
}

#[test]
fn values_do_not_depend_on_the_batch_and_agree_with_the_training_forward() {
    let _no_gradients = tch::no_grad_guard();
    let critic = model().to_scalar(2).unwrap();
    let sequences: Vec<Vec<u32>> = (1..70).map(|seed| tokens(seed, 1 + seed as usize * 37 % 90)).collect();
    let requests: Vec<ScoreRequest> = sequences.iter().cloned().map(ScoreRequest::last_value).collect();
    for precision in [Precision::F32, Precision::Bf16] {
        let together = score(&mut Engine::new(&critic, options(precision)).unwrap(), &requests);
        let small = EngineOptions { max_rows: 9, max_sequences: 3, kv_bytes: 4 * 24_576, ..options(precision) };
        assert_eq!(score(&mut Engine::new(&critic, small).unwrap(), &requests), together, "{precision:?}");
        let mut alone = Engine::new(&critic, options(precision)).unwrap();
        for (request, expected) in requests.iter().zip(&together).step_by(3) {
            assert_eq!(score(&mut alone, std::slice::from_ref(request)), std::slice::from_ref(expected));
        }
        let training: Vec<f64> =
            sequences.iter().map(|sequence| f64::from(*training_values(&critic, sequence).last().unwrap())).collect();
        let squares = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>();
        let errors = squares(&mut training.iter().zip(together.iter().flatten()).map(|(a, b)| a - f64::from(*b)));
        let relative = (errors / squares(&mut training.iter().copied())).sqrt();
        // Root mean square error against 32-bit floats; bfloat16 has 8 bits.
        let tolerance = if precision == Precision::F32 { 1e-5 } else { 0.05 };
        assert!(relative < tolerance, "{precision:?}: {relative}");
    }
}

#[test]
fn values_at_step_ends_are_those_of_the_prefixes() {
    let _no_gradients = tch::no_grad_guard();
    let critic = model().to_scalar(2).unwrap();
    let mut engine = Engine::new(&critic, options(Precision::F32)).unwrap();
    let sequence = tokens(7, 140);
    let positions = vec![3, 31, 32, 33, 100, 139];
    let read = Read::Values { positions: positions.clone() };
    let found = score(&mut engine, &[ScoreRequest { tokens: sequence.clone(), adapter: None, read }]).remove(0);
    let expected = training_values(&critic, &sequence);
    for (position, found) in positions.iter().zip(&found) {
        assert!((found - expected[*position]).abs() < 1e-4, "position {position}");
        let prefix = ScoreRequest::last_value(sequence[..=*position].to_vec());
        assert_eq!(score(&mut engine, &[prefix]), [[*found]], "position {position}");
    }
}

/// A judge of steps and one of whole solutions, with two and more classes: siblings of a search tree share their beginnings.
#[test]
fn labels_at_step_ends_do_not_depend_on_the_batch_and_agree_with_the_training_forward() {
    let _no_gradients = tch::no_grad_guard();
    let stem = tokens(7, 70);
    let siblings = |seed: u32| -> Vec<u32> { [&stem, &tokens(seed % 5, 40)[..], &tokens(seed, 25)[..]].concat() };
    let sequences: Vec<Vec<u32>> = (0..20).map(siblings).collect();
    for (kind, count) in [(ModelKind::TokenClassifier, 2), (ModelKind::SequenceClassifier, 5)] {
        let labels = (0..count).map(|label| format!("LABEL_{label}")).collect();
        let judge = model().with_head(kind, labels, 2).unwrap();
        let positions = match kind {
            ModelKind::TokenClassifier => vec![70, 95, 96, 109, 134],
            _ => vec![134],
        };
        let read = Read::Values { positions: positions.clone() };
        let request = |tokens: &Vec<u32>| ScoreRequest { tokens: tokens.clone(), adapter: None, read: read.clone() };
        let requests: Vec<ScoreRequest> = sequences.iter().map(request).collect();
        let mut whole = Engine::new(&judge, options(Precision::F32)).unwrap();
        let together = score(&mut whole, &requests);
        let computed = whole.stats().computed_tokens;
        assert!(computed < 1500, "{computed} of 2700 tokens were computed");
        let small = EngineOptions { max_rows: 9, max_sequences: 3, kv_bytes: 12 * 24_576, ..options(Precision::F32) };
        let unshared = EngineOptions { share_prefixes: false, ..options(Precision::F32) };
        for options in [small, unshared] {
            assert_eq!(score(&mut Engine::new(&judge, options).unwrap(), &requests), together, "{options:?}");
        }
        for (sequence, found) in sequences.iter().zip(&together) {
            assert_eq!(found.len(), positions.len() * count);
            let all: Vec<i64> = sequence.iter().map(|token| i64::from(*token)).collect();
            let hidden = judge.hidden_states(&Tensor::from_slice(&all).unsqueeze(0), Precision::F32).unwrap();
            let rows: Vec<i64> = positions.iter().map(|position| *position as i64).collect();
            let expected = judge.labels_at(&hidden, &Tensor::from_slice(&rows)).unwrap();
            let found = Tensor::from_slice(found).view_as(&expected);
            let difference = (found - &expected).abs().max().double_value(&[]);
            // Two f32 kernels sum in other orders, and how they do depends on the processor: relative to the largest label.
            let largest = expected.abs().max().double_value(&[]);
            assert!(difference <= 1e-5 * largest.max(1.0), "{kind:?}: {difference} of {largest}");
        }
    }
}

/// Log-probabilities of a completion are those it was drawn with, bit for bit, and the context is computed once.
#[test]
fn log_probs_of_continuations_are_those_of_drawing_them() {
    let model = model();
    for precision in [Precision::F32, Precision::Bf16] {
        let mut engine = Engine::new(&model, options(precision)).unwrap();
        let sampling = std::sync::Arc::new(Sampling::at(1.0));
        let request = Request { samples: 8, sampling, seed: 3, ..Request::greedy(tokens(5, 210), 30) };
        let drawn = engine.generate(std::slice::from_ref(&request), &mut RunControl::default()).unwrap().remove(0);
        let asked: Vec<ScoreRequest> =
            drawn.iter().map(|completion| ScoreRequest::continuation(&request.prompt, &completion.tokens)).collect();
        let mut fresh = Engine::new(&model, EngineOptions { max_rows: 64, ..options(precision) }).unwrap();
        for engine in [&mut engine, &mut fresh] {
            let found = score(engine, &asked);
            let expected: Vec<Vec<f32>> = drawn.iter().map(|completion| completion.log_probs.clone()).collect();
            assert_eq!(found, expected, "{precision:?}");
        }
        assert_eq!(fresh.stats().computed_tokens, 210 + 7 + 8 * 29, "the context once, and its last row for each");
    }
}

#[test]
fn scores_that_cannot_be_had_are_refused() {
    let model = model();
    let critic = model.to_scalar(2).unwrap();
    let (mut policy, mut critic) =
        (Engine::new(&model, options(Precision::F32)).unwrap(), Engine::new(&critic, options(Precision::F32)).unwrap());
    let refused = |engine: &mut Engine, request: ScoreRequest| {
        let result = engine.score(&[request], &mut RunControl::default());
        assert!(matches!(result, Err(GenerateError::Request { index: 0, .. })), "{result:?}");
    };
    let values = |positions| ScoreRequest { tokens: tokens(1, 9), adapter: None, read: Read::Values { positions } };
    refused(&mut critic, ScoreRequest::last_value(vec![]));
    refused(&mut critic, ScoreRequest::last_value(vec![VOCABULARY as u32]));
    refused(&mut critic, values(vec![]));
    refused(&mut critic, values(vec![9]));
    refused(&mut critic, values(vec![4, 4]));
    refused(&mut critic, ScoreRequest::continuation(&[1], &[2]));
    refused(&mut policy, values(vec![1]));
    let error = policy.score(&[values(vec![1])], &mut RunControl::default()).unwrap_err();
    let text = std::error::Error::source(&error).unwrap().to_string();
    assert!(text.contains("language-model") && text.contains("scalar or classification"), "{text}");
    refused(&mut policy, ScoreRequest::continuation(&[], &[2]));
    refused(&mut policy, ScoreRequest::continuation(&[1], &[]));
    let generated = critic.generate(&[Request::greedy(vec![1], 1)], &mut RunControl::default());
    assert!(matches!(generated, Err(GenerateError::Request { .. })));
}

#[test]
fn tokens_that_may_come_next_are_weighed_in_one_request_as_one_by_one() {
    let _no_gradients = tch::no_grad_guard();
    let model = model();
    let mut engine = Engine::new(&model, options(Precision::F32)).unwrap();
    let context = tokens(3, 40);
    let next: Vec<u32> = (0..VOCABULARY as u32).collect();
    let together = score(&mut engine, &[ScoreRequest::next(context.clone(), next.clone())]);
    let one_by_one: Vec<ScoreRequest> =
        next.iter().map(|token| ScoreRequest::continuation(&context, &[*token])).collect();
    let mut alone = Engine::new(&model, options(Precision::F32)).unwrap();
    let one_by_one: Vec<f32> = score(&mut alone, &one_by_one).into_iter().flatten().collect();
    assert_eq!(together, [one_by_one]);
    let mass: f64 = together[0].iter().map(|log_prob| f64::from(*log_prob).exp()).sum();
    assert!((mass - 1.0).abs() < 1e-5, "{mass}");
    let twice = score(&mut engine, &[ScoreRequest::next(context.clone(), vec![7, 7, 3])]);
    assert_eq!(twice[0], [together[0][7], together[0][7], together[0][3]]);
    // As many tokens as rows that are computed: they are still all of the last row.
    let short = context[..4].to_vec();
    let all = score(&mut engine, &[ScoreRequest::next(short.clone(), next)]);
    let mut fresh = Engine::new(&model, options(Precision::F32)).unwrap();
    let few = score(&mut fresh, &[ScoreRequest::next(short, vec![5, 6, 7, 8])]);
    assert_eq!(few[0], all[0][5..9]);
    for wrong in [vec![], vec![VOCABULARY as u32]] {
        let error = engine.score(&[ScoreRequest::next(context.clone(), wrong)], &mut RunControl::default());
        assert!(matches!(error, Err(GenerateError::Request { .. })), "{error:?}");
    }
}

fn masked(tokens: &[u32], rate: f64, count: usize, seed: u64) -> ScoreRequest {
    ScoreRequest::masked(tokens.to_vec(), Masks { rate, count, seed })
}

/// Monte-Carlo dropout before the head: nothing left out is the plain number; the same seed gives the same numbers in any batch; their
/// mean is the plain number.
#[test]
fn numbers_under_masks_are_seeded_and_their_mean_is_the_plain_number() {
    let _no_gradients = tch::no_grad_guard();
    let labels = (0..2).map(|label| format!("LABEL_{label}")).collect();
    let judge = model().with_head(ModelKind::SequenceClassifier, labels, 2).unwrap();
    for (critic, width) in [(model().to_scalar(2).unwrap(), 1), (judge, 2)] {
        let mut engine = Engine::new(&critic, options(Precision::F32)).unwrap();
        let sequence = tokens(3, 40);
        let plain = score(&mut engine, &[ScoreRequest::last_value(sequence.clone())]).remove(0);
        assert_eq!(plain.len(), width);
        for whole in score(&mut engine, &[masked(&sequence, 0.0, 3, 1)])[0].chunks(width) {
            for (whole, plain) in whole.iter().zip(&plain) {
                assert!((whole - plain).abs() < 1e-6, "{whole} and {plain}");
            }
        }
        let one = score(&mut engine, &[masked(&sequence, 0.3, 5, 7)]).remove(0);
        let others: Vec<_> = (0..9).map(|seed| masked(&tokens(seed, 30), 0.5, 2, 7)).collect();
        let among = [&others[..], &[masked(&sequence, 0.3, 5, 7), ScoreRequest::last_value(sequence.clone())]].concat();
        let small = EngineOptions { max_rows: 9, max_sequences: 3, ..options(Precision::F32) };
        let mut fresh = Engine::new(&critic, small).unwrap();
        let among = score(&mut fresh, &among);
        assert_eq!((&among[9], &among[10]), (&one, &plain));
        assert_ne!(score(&mut engine, &[masked(&sequence, 0.3, 5, 8)])[0], one);
        let count = 4000;
        let many = score(&mut engine, &[masked(&sequence, 0.3, count, 11)]).remove(0);
        for (label, plain) in plain.iter().enumerate() {
            let said: Vec<f64> = many.chunks(width).map(|said| f64::from(said[label])).collect();
            let mean = said.iter().sum::<f64>() / count as f64;
            let deviation = (said.iter().map(|number| (number - mean).powi(2)).sum::<f64>() / count as f64).sqrt();
            assert!(deviation > 1e-4, "the masks do nothing: {deviation}");
            let error = (mean - f64::from(*plain)).abs();
            assert!(error < 5.0 * deviation / (count as f64).sqrt(), "{mean} and {plain}: {error} of {deviation}");
        }
    }
}

#[test]
fn masks_that_leave_nothing_are_refused() {
    let model = model();
    let mut critic = Engine::new(&model.to_scalar(2).unwrap(), options(Precision::F32)).unwrap();
    let mut policy = Engine::new(&model, options(Precision::F32)).unwrap();
    let refused = |engine: &mut Engine, rate, count| {
        let result = engine.score(&[masked(&[1, 2], rate, count, 1)], &mut RunControl::default());
        assert!(matches!(result, Err(GenerateError::Request { index: 0, .. })), "{result:?}");
    };
    refused(&mut critic, 1.0, 2);
    refused(&mut critic, -0.1, 2);
    refused(&mut critic, f64::NAN, 2);
    refused(&mut critic, 0.5, 0);
    refused(&mut policy, 0.5, 2);
}

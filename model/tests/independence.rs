//! A completion is a function of its request alone: not of batch mates, batch size, sample count or a warm prefix.
//!
//! All comparisons of one precision are exact, bit for bit.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use galapagos_model::{
    Completion, Finish, GenerateError, Generator, GeneratorOptions, Llama, ModelConfig, ModelKind, Precision, Request,
    RunControl, Sampling, ScalarModel,
};
use tch::{Device, Kind, Tensor};

const VOCABULARY: usize = 50;

fn config(heads: usize, key_heads: usize, head_dim: usize) -> ModelConfig {
    ModelConfig {
        kind: ModelKind::CausalLm,
        vocab_size: VOCABULARY,
        hidden_size: 96,
        intermediate_size: 200,
        num_hidden_layers: 3,
        num_attention_heads: heads,
        num_key_value_heads: key_heads,
        head_dim,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        max_position_embeddings: 600,
        tie_word_embeddings: true,
        initializer_range: 0.2,
        bos_token_id: None,
        eos_token_ids: vec![1],
        pad_token_id: Some(0),
    }
}

fn model(heads: usize, key_heads: usize, head_dim: usize) -> Llama {
    tch::set_num_threads(1);
    Llama::init(config(heads, key_heads, head_dim), 1, Device::Cpu).unwrap()
}

fn tokens(seed: u32, length: usize) -> Vec<u32> {
    (0..length as u32).map(|i| (i * i * 7 + i * seed + seed * 13) % VOCABULARY as u32).collect()
}

fn request(seed: u32, prefix: &[u32], length: usize) -> Request {
    Request {
        prefix: prefix.into(),
        prompt: tokens(seed, length),
        samples: 2,
        sampling: Sampling::at(1.0),
        max_new_tokens: 12 + 5 * (seed as usize % 3),
        stop_tokens: Arc::new(BTreeSet::from([3, 4])),
        seed: u64::from(seed),
    }
}

fn generator(model: &Llama, precision: Precision, max_rows: usize) -> Generator {
    Generator::new(model, GeneratorOptions { precision, max_rows }).unwrap()
}

fn run(generator: &Generator, requests: &[Request]) -> Vec<Completion> {
    generator.generate(requests, &mut RunControl::default()).unwrap()
}

/// Requests of many lengths, so that rows enter and leave at different times and columns grow.
fn mixed(prefix: &[u32]) -> Vec<Request> {
    (1..10).map(|seed| request(seed, prefix, [1, 3, 9, 30, 33, 61, 150][seed as usize % 7])).collect()
}

#[test]
fn completions_do_not_depend_on_the_batch() {
    for (heads, key_heads, head_dim) in [(6, 2, 16), (4, 4, 32), (9, 3, 64), (4, 1, 32), (2, 2, 8)] {
        let model = model(heads, key_heads, head_dim);
        for precision in [Precision::F32, Precision::Bf16] {
            for prefix in [vec![], tokens(40, 1), tokens(40, 37)] {
                let requests = mixed(&prefix);
                let together = run(&generator(&model, precision, 64), &requests);
                let crowded = run(&generator(&model, precision, 5), &requests);
                assert!(together == crowded, "{precision:?}, {heads} heads, prefix of {}", prefix.len());
                let one_row = generator(&model, precision, 1);
                for (index, alone) in requests.iter().enumerate().step_by(4) {
                    let mut alone = run(&one_row, std::slice::from_ref(alone));
                    alone.iter_mut().for_each(|completion| completion.request = index);
                    let same = together[index * 2..][..2] == alone;
                    assert!(same, "{precision:?}, {heads} heads, prefix of {}, request {index}", prefix.len());
                }
            }
        }
    }
}

#[test]
fn more_samples_leave_the_first_ones_as_they_are_and_differ_among_themselves() {
    let model = model(6, 2, 16);
    let generator = generator(&model, Precision::F32, 16);
    let few = request(5, &tokens(2, 20), 10);
    let many = Request { samples: 40, ..few.clone() };
    let (few, many) = (run(&generator, &[few]), run(&generator, &[many]));
    assert_eq!(few, many[..2]);
    let distinct: BTreeSet<&Vec<u32>> = many.iter().map(|completion| &completion.tokens).collect();
    assert!(distinct.len() > 30, "{} distinct completions of 40", distinct.len());
}

#[test]
fn another_seed_gives_other_tokens_and_greedy_ignores_it() {
    let model = model(6, 2, 16);
    let generator = generator(&model, Precision::F32, 16);
    let with = |seed, sampling| {
        let request = Request { seed, sampling, stop_tokens: Arc::default(), ..request(5, &[], 10) };
        run(&generator, &[request])
    };
    assert_ne!(with(1, Sampling::at(1.0)), with(2, Sampling::at(1.0)));
    let greedy = with(1, Sampling::GREEDY);
    assert_eq!(greedy, with(2, Sampling::GREEDY));
    assert_eq!(greedy[0].tokens, with(3, Sampling { temperature: 1.0, top_p: 1.0, top_k: Some(1) })[0].tokens);
}

/// A prefix is attended to as a part of its own, so a split prompt may round differently, but no more than that.
#[test]
fn a_shared_prefix_is_the_same_prompt() {
    let model = model(6, 2, 16);
    let generator = generator(&model, Precision::F32, 16);
    let whole = request(5, &[], 40);
    let split = Request { prefix: whole.prompt[..25].into(), prompt: whole.prompt[25..].to_vec(), ..whole.clone() };
    for (whole, split) in run(&generator, &[whole]).iter().zip(run(&generator, &[split])) {
        assert_eq!(whole.tokens, split.tokens);
        for (a, b) in whole.log_probs.iter().zip(&split.log_probs) {
            assert!((a - b).abs() < 1e-4, "{a} and {b}");
        }
    }
}

/// The cache path against the training forward on the completed sequence.
#[test]
fn log_probs_are_those_of_the_training_forward() {
    let _no_gradients = tch::no_grad_guard();
    let model = model(6, 2, 16);
    let prefix = tokens(9, 33);
    let requests = mixed(&prefix);
    for completion in run(&generator(&model, Precision::F32, 7), &requests) {
        let request = &requests[completion.request];
        let start = prefix.len() + request.prompt.len();
        let all: Vec<i64> =
            prefix.iter().chain(&request.prompt).chain(&completion.tokens).map(|token| i64::from(*token)).collect();
        let hidden = model.hidden_states(&Tensor::from_slice(&all).unsqueeze(0), Precision::F32).unwrap();
        let rows: Vec<i64> = (0..completion.tokens.len()).map(|i| (start + i - 1) as i64).collect();
        let logits = model.logits_at(&hidden, &Tensor::from_slice(&rows), Precision::F32).unwrap();
        let expected = logits.log_softmax(-1, Kind::Float);
        for (step, (token, found)) in completion.tokens.iter().zip(&completion.log_probs).enumerate() {
            let expected = expected.double_value(&[step as i64, i64::from(*token)]);
            assert!((f64::from(*found) - expected).abs() < 2e-4, "step {step}: {found} and {expected}");
        }
    }
}

#[test]
fn completions_end_at_stop_tokens_or_at_the_limit() {
    let model = model(6, 2, 16);
    let requests = mixed(&[]);
    let mut seen = BTreeSet::new();
    for completion in run(&generator(&model, Precision::F32, 64), &requests) {
        let request = &requests[completion.request];
        let (last, before) = completion.tokens.split_last().unwrap();
        assert!(before.iter().all(|token| !request.stop_tokens.contains(token)));
        assert_eq!(completion.log_probs.len(), completion.tokens.len());
        match completion.finish {
            Finish::Stop => assert!(request.stop_tokens.contains(last)),
            Finish::Length => {
                assert!(!request.stop_tokens.contains(last));
                assert_eq!(completion.tokens.len(), request.max_new_tokens);
            }
        }
        seen.insert(completion.finish == Finish::Stop);
    }
    assert_eq!(seen.len(), 2, "both ways of ending must occur for this test to say anything");
}

#[test]
fn progress_counts_every_token_and_cancelling_stops() {
    let model = model(6, 2, 16);
    let generator = generator(&model, Precision::F32, 4);
    let requests = mixed(&[]);
    let mut reports = Vec::new();
    let mut progress = |tokens| reports.push(tokens);
    let mut control = RunControl { cancel: None, progress: Some(&mut progress) };
    let completions = generator.generate(&requests, &mut control).unwrap();
    let total: usize = completions.iter().map(|completion| completion.tokens.len()).sum();
    assert!(reports.is_sorted());
    assert_eq!(reports.last(), Some(&(total as u64)));

    let cancel = AtomicBool::new(false);
    let mut steps = 0;
    let mut progress = |_| {
        steps += 1;
        cancel.store(steps == 3, Ordering::Relaxed);
    };
    let mut control = RunControl { cancel: Some(&cancel), progress: Some(&mut progress) };
    assert!(matches!(generator.generate(&requests, &mut control), Err(GenerateError::Cancelled)));
    assert_eq!(steps, 3);
}

/// Engines live on threads of their own.
#[test]
fn models_can_move_to_another_thread() {
    fn sendable<T: Send>() {}
    sendable::<Llama>();
    sendable::<Generator>();
    sendable::<ScalarModel>();
}

#[test]
fn requests_that_cannot_run_are_refused_by_index() {
    let model = model(6, 2, 16);
    let generator = generator(&model, Precision::F32, 4);
    let good = request(1, &[], 5);
    let bad = [
        Request { prompt: vec![], ..good.clone() },
        Request { prompt: vec![VOCABULARY as u32], ..good.clone() },
        Request { max_new_tokens: 596, ..good.clone() },
        Request { samples: 0, ..good.clone() },
        Request { sampling: Sampling::at(-1.0), ..good.clone() },
        Request { sampling: Sampling { temperature: 1.0, top_p: 0.0, top_k: None }, ..good.clone() },
    ];
    for bad in bad {
        let result = generator.generate(&[good.clone(), bad.clone()], &mut RunControl::default());
        assert!(matches!(result, Err(GenerateError::Request { index: 1, .. })), "{bad:?}");
    }
    let scalar = model.to_scalar(1).unwrap();
    assert!(Generator::new(&scalar, GeneratorOptions::default()).is_err());
}

#[test]
fn scores_do_not_depend_on_the_batch_and_agree_with_the_training_forward() {
    let _no_gradients = tch::no_grad_guard();
    let critic = model(6, 2, 16).to_scalar(2).unwrap();
    let sequences: Vec<Vec<u32>> = (1..70).map(|seed| tokens(seed, 1 + seed as usize * 37 % 90)).collect();
    for precision in [Precision::F32, Precision::Bf16] {
        let scorer = ScalarModel::new(&critic, precision).unwrap();
        let together = scorer.score(&sequences).unwrap();
        for (sequence, score) in sequences.iter().zip(&together).step_by(3) {
            assert_eq!(scorer.score(std::slice::from_ref(sequence)).unwrap(), [*score]);
        }
        let training: Vec<f64> = sequences.iter().map(|sequence| training_score(&critic, sequence)).collect();
        let squares = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>();
        let errors = squares(&mut training.iter().zip(&together).map(|(a, b)| a - f64::from(*b)));
        let relative = (errors / squares(&mut training.iter().copied())).sqrt();
        // Root mean square error against 32-bit floats; bfloat16 has 8 bits.
        let tolerance = if precision == Precision::F32 { 1e-5 } else { 0.05 };
        assert!(relative < tolerance, "{precision:?}: {relative}");
    }
    let scorer = ScalarModel::new(&critic, Precision::F32).unwrap();
    let whole: Vec<Vec<u32>> = sequences[4..6].iter().map(|s| [&sequences[3][..], s].concat()).collect();
    let behind = scorer.score_behind(&sequences[3], &sequences[4..6]).unwrap();
    for (a, b) in behind.iter().zip(scorer.score(&whole).unwrap()) {
        assert!((a - b).abs() < 1e-4, "{a} and {b}");
    }
    assert!(scorer_refuses(&critic));
}

fn scorer_refuses(critic: &Llama) -> bool {
    let scorer = ScalarModel::new(critic, Precision::F32).unwrap();
    scorer.score(&[vec![]]).is_err() && scorer.score(&[vec![VOCABULARY as u32]]).is_err()
}

/// The scalar head at the last token by the training forward, in 32-bit floats.
fn training_score(critic: &Llama, sequence: &[u32]) -> f64 {
    let all: Vec<i64> = sequence.iter().map(|token| i64::from(*token)).collect();
    let hidden = critic.hidden_states(&Tensor::from_slice(&all).unsqueeze(0), Precision::F32).unwrap();
    let last = Tensor::from_slice(&[all.len() as i64 - 1]);
    critic.scores_at(&hidden, &last).unwrap().double_value(&[0])
}

//! A completion is a function of its request alone: not of batch mates, batch size, chunks, sharing, budgets or what was computed
//! before.
//!
//! All comparisons of one precision are exact, bit for bit.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use galapagos_model::engine::{Invariance, Made, Stats, SwapPolicy, WeightVersion};
use galapagos_model::{
    Completion, Decoder, Engine, EngineError, EngineOptions, Event, Finish, GenerateError, ModelConfig, ModelKind,
    Precision, Request, RequestError, RunControl, Sampling,
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
        ..ModelConfig::default()
    }
}

fn model(heads: usize, key_heads: usize, head_dim: usize) -> Decoder {
    tch::set_num_threads(1);
    Decoder::init(config(heads, key_heads, head_dim), 1, Device::Cpu).unwrap()
}

fn tokens(seed: u32, length: usize) -> Vec<u32> {
    (0..length as u32).map(|i| (i * i * 7 + i * seed + seed * 13) % VOCABULARY as u32).collect()
}

fn request(seed: u32, prefix: &[u32], length: usize) -> Request {
    Request {
        prompt: [prefix, &tokens(seed, length)].concat(),
        samples: 2,
        sampling: Arc::new(Sampling::at(1.0)),
        max_new_tokens: 12 + 5 * (seed as usize % 3),
        stop_tokens: Arc::new(BTreeSet::from([3, 4])),
        seed: u64::from(seed),
        ..Request::greedy(Vec::new(), 1)
    }
}

fn options(precision: Precision) -> EngineOptions {
    EngineOptions { precision, kv_bytes: 64 << 20, ..EngineOptions::default() }
}

fn engine(model: &Decoder, options: EngineOptions) -> Engine {
    Engine::new(model, options).unwrap()
}

fn run(engine: &mut Engine, requests: &[Request]) -> Vec<Vec<Completion>> {
    engine.generate(requests, &mut RunControl::default()).unwrap()
}

/// Requests of many lengths, so that sequences enter and leave at different times.
fn mixed(prefix: &[u32]) -> Vec<Request> {
    (1..10).map(|seed| request(seed, prefix, [1, 3, 9, 30, 33, 61, 150][seed as usize % 7])).collect()
}

/// Bytes of keys and values of `tokens` tokens.
fn bytes(tokens: usize, heads: usize, dim: usize, precision: Precision) -> usize {
    let number = if precision == Precision::F32 { 4 } else { 2 };
    tokens * 2 * 3 * heads * dim * number
}

#[test]
fn completions_do_not_depend_on_batch_chunks_sharing_or_budget() {
    let mut preemptions = 0;
    for (heads, key_heads, head_dim) in [(6, 2, 16), (9, 3, 64)] {
        let model = model(heads, key_heads, head_dim);
        for precision in [Precision::F32, Precision::Bf16] {
            for prefix in [vec![], tokens(40, 37)] {
                let requests = mixed(&prefix);
                let whole = options(precision);
                // The longest request needs all of it.
                let tight = bytes(7 * 32, key_heads, head_dim, precision);
                let together = run(&mut engine(&model, whole), &requests);
                for (what, options) in [
                    ("small chunks", EngineOptions { max_rows: 7, max_sequences: 5, ..whole }),
                    ("odd chunks", EngineOptions { max_rows: 50, max_sequences: 16, ..whole }),
                    ("sharing off", EngineOptions { share_prefixes: false, ..whole }),
                    ("a tight budget", EngineOptions { kv_bytes: tight, ..whole }),
                    ("two threads", EngineOptions { threads: 2, ..whole }),
                ] {
                    let mut engine = engine(&model, options);
                    let other = run(&mut engine, &requests);
                    assert!(together == other, "{what}: {precision:?}, {heads} heads, prefix of {}", prefix.len());
                    let stats: Stats = engine.stats();
                    assert_eq!((stats.pages.used, stats.active, stats.waiting), (0, 0, 0));
                    preemptions += stats.preemptions;
                }
                let mut alone = engine(&model, EngineOptions { max_sequences: 1, ..whole });
                for (request, expected) in requests.iter().zip(&together).step_by(4) {
                    assert!(run(&mut alone, std::slice::from_ref(request)) == [expected.clone()]);
                }
            }
        }
    }
    assert!(preemptions > 0, "the tight budget was not tight");
}

#[test]
fn a_warm_cache_changes_nothing_but_the_work() {
    let model = model(6, 2, 16);
    let mut engine = engine(&model, options(Precision::F32));
    let requests = mixed(&tokens(40, 37));
    let cold = run(&mut engine, &requests);
    let computed = engine.stats().computed_tokens;
    assert!(run(&mut engine, &requests) == cold);
    let again = engine.stats().computed_tokens - computed;
    assert!(again * 2 < computed, "{again} tokens computed after {computed}");
}

/// The same prompt under new weights meets none of the old keys and values.
#[test]
fn new_weights_never_meet_a_stale_cache() {
    let old = model(6, 2, 16);
    let new = Decoder::init(config(6, 2, 16), 2, Device::Cpu).unwrap();
    let requests = mixed(&tokens(40, 37));
    let fresh = |completions: Vec<Vec<Completion>>| -> Vec<Completion> {
        let version = |completion| Completion { version: WeightVersion(1), ..completion };
        completions.into_iter().flatten().map(version).collect()
    };
    let expected = fresh(run(&mut engine(&new, options(Precision::F32)), &requests));
    for policy in [SwapPolicy::Finish, SwapPolicy::Restart] {
        let mut engine = engine(&old, options(Precision::F32));
        let before = run(&mut engine, &requests);
        assert_eq!(engine.swap(&new, policy).unwrap(), WeightVersion(1));
        assert_eq!(engine.stats().pages.cached, 0);
        let after = run(&mut engine, &requests);
        assert!(before.iter().flatten().all(|completion| completion.version == WeightVersion(0)));
        assert!(after.into_iter().flatten().collect::<Vec<_>>() == expected);
    }
}

/// Requests that have begun go on with their weights, or begin again, while others come with the new ones.
#[test]
fn a_swap_in_the_middle_follows_its_policy() {
    let (old, new) = (model(6, 2, 16), Decoder::init(config(6, 2, 16), 2, Device::Cpu).unwrap());
    let asked = Request { stop_tokens: Arc::default(), ..request(5, &[], 40) };
    let with_old = run(&mut engine(&old, options(Precision::F32)), std::slice::from_ref(&asked)).remove(0);
    let with_new = run(&mut engine(&new, options(Precision::F32)), std::slice::from_ref(&asked)).remove(0);
    for (policy, expected) in [(SwapPolicy::Finish, &with_old), (SwapPolicy::Restart, &with_new)] {
        let mut engine = engine(&old, options(Precision::F32));
        let early = engine.submit(asked.clone()).unwrap();
        for _ in 0..5 {
            engine.step().unwrap();
        }
        engine.swap(&new, policy).unwrap();
        let late = engine.submit(asked.clone()).unwrap();
        let (mut made, mut restarted) = (Vec::new(), 0);
        while !engine.is_idle() {
            for event in engine.step().unwrap() {
                match event {
                    Event::Finished { request, sample, completion } => made.push((request, sample, completion)),
                    Event::Restarted { request, .. } => {
                        assert_eq!(request, early);
                        restarted += 1;
                    }
                    Event::Token(_) | Event::Scored { .. } | Event::Failed { .. } => {}
                }
            }
        }
        made.sort_by_key(|(request, sample, _)| (*request, *sample));
        assert_eq!(restarted, if policy == SwapPolicy::Restart { 2 } else { 0 });
        for (request, sample, completion) in made {
            let (expected, version) = match (request == late, policy) {
                (false, SwapPolicy::Finish) => (&expected[sample], WeightVersion(0)),
                (false, SwapPolicy::Restart) | (true, _) => (&with_new[sample], WeightVersion(1)),
            };
            assert_eq!((&completion.tokens, &completion.log_probs), (&expected.tokens, &expected.log_probs));
            assert_eq!(completion.version, version);
        }
    }
}

#[test]
fn more_samples_leave_the_first_ones_as_they_are_and_differ_among_themselves() {
    let model = model(6, 2, 16);
    let mut engine = engine(&model, options(Precision::F32));
    let few = request(5, &tokens(2, 20), 10);
    let many = Request { samples: 40, ..few.clone() };
    let (few, many) = (run(&mut engine, &[few]).remove(0), run(&mut engine, &[many]).remove(0));
    assert_eq!(few, many[..2]);
    let distinct: BTreeSet<&Vec<u32>> = many.iter().map(|completion| &completion.tokens).collect();
    assert!(distinct.len() > 30, "{} distinct completions of 40", distinct.len());
}

#[test]
fn another_seed_gives_other_tokens_and_greedy_ignores_it() {
    let model = model(6, 2, 16);
    let mut engine = engine(&model, options(Precision::F32));
    let mut with = |seed, sampling: Sampling| {
        let sampling = Arc::new(sampling);
        let request = Request { seed, sampling, stop_tokens: Arc::default(), ..request(5, &[], 10) };
        run(&mut engine, &[request]).remove(0)
    };
    assert_ne!(with(1, Sampling::at(1.0)), with(2, Sampling::at(1.0)));
    let greedy = with(1, Sampling::GREEDY);
    assert_eq!(greedy, with(2, Sampling::GREEDY));
    assert_eq!(greedy[0].tokens, with(3, Sampling { top_k: Some(1), ..Sampling::at(1.0) })[0].tokens);
}

/// The paged path against the training forward on the completed sequence.
#[test]
fn log_probs_are_those_of_the_training_forward() {
    let _no_gradients = tch::no_grad_guard();
    let model = model(6, 2, 16);
    let requests = mixed(&tokens(9, 33));
    let mut engine = engine(&model, EngineOptions { max_sequences: 7, ..options(Precision::F32) });
    for (request, completions) in requests.iter().zip(run(&mut engine, &requests)) {
        for completion in completions {
            let start = request.prompt.len();
            let all: Vec<i64> =
                request.prompt.iter().chain(&completion.tokens).map(|token| i64::from(*token)).collect();
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
}

#[test]
fn completions_end_at_stop_tokens_or_at_the_limit() {
    let model = model(6, 2, 16);
    let requests = mixed(&[]);
    let mut seen = BTreeSet::new();
    for (request, completions) in requests.iter().zip(run(&mut engine(&model, options(Precision::F32)), &requests)) {
        for completion in completions {
            let (last, before) = completion.tokens.split_last().unwrap();
            assert!(before.iter().all(|token| !request.stop_tokens.contains(token)));
            assert_eq!(completion.log_probs.len(), completion.tokens.len());
            match completion.finish {
                Finish::StopToken => assert!(request.stop_tokens.contains(last)),
                Finish::Length => {
                    assert!(!request.stop_tokens.contains(last));
                    assert_eq!(completion.tokens.len(), request.max_new_tokens);
                }
                Finish::StopString(_) | Finish::Guide => panic!("nobody asked for that"),
            }
            seen.insert(completion.finish == Finish::StopToken);
        }
    }
    assert_eq!(seen.len(), 2, "both ways of ending must occur for this test to say anything");
}

#[test]
fn progress_counts_every_token_and_cancelling_frees_everything() {
    let model = model(6, 2, 16);
    let mut engine = engine(&model, EngineOptions { max_sequences: 4, max_waiting: 3, ..options(Precision::F32) });
    let requests = mixed(&[]);
    let mut reports = Vec::new();
    let mut progress = |made: Made| reports.push((made.tokens, made.ended));
    let mut control = RunControl { cancel: None, progress: Some(&mut progress) };
    let completions = engine.generate(&requests, &mut control).unwrap();
    let total: usize = completions.iter().flatten().map(|completion| completion.tokens.len()).sum();
    assert!(reports.is_sorted() && reports.iter().map(|(_, ended)| ended).is_sorted());
    assert_eq!(reports.last(), Some(&(total as u64, 18)));

    let cancel = AtomicBool::new(false);
    let mut steps = 0;
    let mut progress = |_| {
        steps += 1;
        cancel.store(steps == 3, Ordering::Relaxed);
    };
    let mut control = RunControl { cancel: Some(&cancel), progress: Some(&mut progress) };
    assert!(matches!(engine.generate(&requests, &mut control), Err(GenerateError::Cancelled)));
    assert_eq!(steps, 3);
    let stats = engine.stats();
    assert_eq!((stats.active, stats.waiting, stats.pages.used), (0, 0, 0));
    assert!(run(&mut engine, &requests) == completions, "what was cancelled leaves no trace");
}

#[test]
fn the_self_test_finds_the_kernels_invariant() {
    let model = model(9, 3, 64);
    for precision in [Precision::F32, Precision::Bf16] {
        let engine = engine(&model, EngineOptions { threads: 2, ..options(precision) });
        assert_eq!(engine.invariance(), Invariance::Proven);
    }
}

/// Engines live on threads of their own.
#[test]
fn models_can_move_to_another_thread() {
    fn sendable<T: Send>() {}
    sendable::<Decoder>();
    sendable::<Engine>();
}

#[test]
fn requests_that_cannot_run_are_refused_with_the_reason() {
    let model = model(6, 2, 16);
    let kv_bytes = bytes(100, 2, 16, Precision::F32);
    let limits = EngineOptions { kv_bytes, max_waiting: 5, ..options(Precision::F32) };
    let mut engine = engine(&model, limits);
    let good = request(1, &[], 5);
    let sampling = |sampling| Request { sampling: Arc::new(sampling), ..good.clone() };
    let bad = [
        Request { prompt: vec![], ..good.clone() },
        Request { prompt: vec![VOCABULARY as u32], ..good.clone() },
        Request { max_new_tokens: 596, ..good.clone() },
        Request { samples: 0, ..good.clone() },
        sampling(Sampling::at(-1.0)),
        sampling(Sampling { top_p: 0.0, ..Sampling::at(1.0) }),
        Request { max_new_tokens: 95, ..good.clone() },
    ];
    for bad in &bad {
        let result = engine.generate(&[good.clone(), bad.clone()], &mut RunControl::default());
        assert!(matches!(result, Err(GenerateError::Request { index: 1, .. })), "{bad:?}");
    }
    // 99 positions are four pages; 100 tokens' bytes hold three.
    let Err(RequestError::Memory { tokens, needed_bytes, budget_bytes }) = engine.submit(bad[6].clone()) else {
        panic!("the budget is not checked")
    };
    assert_eq!((tokens, needed_bytes, budget_bytes), (99, 128 * 768, 96 * 768));
    for _ in 0..2 {
        engine.submit(good.clone()).unwrap();
    }
    let full = engine.submit(good.clone());
    assert!(matches!(full, Err(RequestError::Full { waiting: 4, asked: 2, limit: 5 })), "{full:?}");
    let little = EngineOptions { kv_bytes: 1000, ..limits };
    assert!(matches!(Engine::new(&model, little), Err(EngineError::Option { name: "kv_bytes", .. })));
}

#[test]
fn the_budget_is_the_formula_and_is_never_exceeded() {
    let model = model(6, 2, 16);
    for precision in [Precision::F32, Precision::Bf16] {
        let kv_bytes = bytes(10 * 32, 2, 16, precision);
        let mut engine = engine(&model, EngineOptions { kv_bytes, ..options(precision) });
        assert_eq!(engine.stats().page_bytes, bytes(32, 2, 16, precision));
        for request in mixed(&tokens(40, 37)) {
            engine.submit(request).unwrap();
        }
        while !engine.is_idle() {
            engine.step().unwrap();
            let pages = engine.stats().pages;
            assert_eq!(pages.limit, 10);
            assert!(pages.made <= 10 && pages.used + pages.cached + pages.free == pages.made, "{pages:?}");
        }
    }
}

//! The whole engine by libtorch's operators, as on devices without kernels of ours, against the engine by the kernels: both on the
//! CPU. Nothing here has run on a GPU.

use super::*;
use crate::lora::test_base::trained;
use crate::lora::{Adapter, AdapterConfig, ModuleNames};
use crate::{Activation, Family, Precision};

/// What the order of 32-bit sums may change of a log-probability.
const NEAR: f32 = 1e-4;

fn llama() -> ModelConfig {
    ModelConfig { max_position_embeddings: 200, ..crate::lora::test_base::base() }
}

/// Windows, soft caps and grouped heads at once.
fn gemma() -> ModelConfig {
    ModelConfig {
        family: Family::Gemma2,
        activation: Activation::GeluTanh,
        windows: vec![Some(40), None],
        attn_logit_softcapping: Some(2.0),
        final_logit_softcapping: Some(5.0),
        query_pre_attn_scalar: Some(6.0),
        ..llama()
    }
}

fn model(config: ModelConfig) -> Decoder {
    tch::set_num_threads(1);
    config.validate().unwrap();
    Decoder::init(config, 1, tch::Device::Cpu).unwrap()
}

/// Far from one another in what they predict.
fn wide(config: ModelConfig) -> ModelConfig {
    ModelConfig { initializer_range: 0.3, ..config }
}

fn options(precision: Precision) -> EngineOptions {
    EngineOptions { precision, kv_bytes: 8 << 20, max_rows: 40, max_sequences: 8, ..EngineOptions::default() }
}

fn both(model: &Decoder, precision: Precision) -> [Engine; 2] {
    let operators = InferenceModel::by_operators(model, precision).unwrap();
    let by_operators = Engine::on(operators, Arc::new(Pool::new(1)), options(precision)).unwrap();
    assert!(matches!(by_operators.store, Store::Tensors(_)));
    assert_eq!(by_operators.invariance(), Invariance::NotPromised);
    [Engine::new(model, options(precision)).unwrap(), by_operators]
}

/// Prompts over several pages that begin alike, so that pages are shared, copied in part and computed in chunks.
fn prompt(seed: u32) -> Vec<u32> {
    let own = (0..5 + 11 * seed).map(|i| (i * i * 3 + seed * 7) % 20);
    (0..45).map(|i| (i * 7 + 1) % 20).chain(own).collect()
}

fn requests(adapters: &[Option<AdapterId>]) -> Vec<Request> {
    let one = |(seed, adapter): (u32, &Option<AdapterId>)| Request {
        samples: 2,
        sampling: Arc::new(crate::Sampling::at(1.0)),
        seed: u64::from(seed),
        adapter: *adapter,
        ..Request::greedy(prompt(seed), 30)
    };
    (0..).zip(adapters).map(one).collect()
}

fn run(engine: &mut Engine, requests: &[Request]) -> Vec<Completion> {
    let made = engine.generate(requests, &mut RunControl::default()).unwrap();
    made.into_iter().flatten().collect()
}

/// Log-probabilities of given completions, so that a token that was drawn otherwise hides nothing behind it.
fn scores(engine: &mut Engine, requests: &[Request], made: &[Completion]) -> Vec<Vec<f32>> {
    let asked: Vec<ScoreRequest> = made
        .iter()
        .enumerate()
        .map(|(index, made)| {
            let request = &requests[index / 2];
            ScoreRequest { adapter: request.adapter, ..ScoreRequest::continuation(&request.prompt, &made.tokens) }
        })
        .collect();
    engine.score(&asked, &mut RunControl::default()).unwrap()
}

fn largest_difference(a: &[Vec<f32>], b: &[Vec<f32>]) -> f32 {
    let pairs = a.iter().flatten().zip(b.iter().flatten());
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn adapters(model: &Decoder) -> [Adapter; 2] {
    let settings = |modules: &[&str], rank| {
        let names = modules.iter().map(|name| (*name).to_owned()).collect();
        AdapterConfig::new(rank, 8.0, ModuleNames::List(names))
    };
    assert_eq!(model.config().hidden_size, crate::lora::test_base::base().hidden_size);
    [trained(settings(&["q_proj", "v_proj", "gate_proj"], 3), 1), trained(settings(&["o_proj", "down_proj"], 2), 2)]
}

#[test]
fn the_engine_by_operators_computes_what_the_engine_by_kernels_does() {
    for config in [llama(), gemma()] {
        let model = model(wide(config));
        let [mut kernels, mut operators] = both(&model, Precision::F32);
        let asked = requests(&[None; 5]);
        let (a, b) = (run(&mut kernels, &asked), run(&mut operators, &asked));
        let (tokens, log_probs): (Vec<_>, Vec<_>) = a.iter().map(|made| (&made.tokens, &made.log_probs)).unzip();
        assert_eq!(tokens, b.iter().map(|made| &made.tokens).collect::<Vec<_>>());
        let log_probs: Vec<Vec<f32>> = log_probs.into_iter().cloned().collect();
        let others: Vec<Vec<f32>> = b.iter().map(|made| made.log_probs.clone()).collect();
        assert!(largest_difference(&log_probs, &others) < NEAR, "{:?}", model.config().family);
        assert!(largest_difference(&log_probs, &scores(&mut operators, &asked, &a)) < NEAR);
        assert!(operators.stats().reused_tokens > 0, "no page was shared");
    }
}

#[test]
fn adapters_of_one_batch_are_computed_by_operators_as_by_kernels() {
    let model = model(wide(llama()));
    let [mut kernels, mut operators] = both(&model, Precision::F32);
    let [first, second] = adapters(&model);
    let mut add = |adapter: &Adapter| {
        let ids = [kernels.add_adapter(adapter).unwrap(), operators.add_adapter(adapter).unwrap()];
        assert_eq!(ids[0], ids[1]);
        Some(ids[0])
    };
    let (first, second) = (add(&first), add(&second));
    let asked = requests(&[first, None, second, first, second]);
    let (a, b) = (run(&mut kernels, &asked), run(&mut operators, &asked));
    for (a, b) in a.iter().zip(&b) {
        assert_eq!(a.tokens, b.tokens);
    }
    let [by_kernels, by_operators] = [&mut kernels, &mut operators].map(|engine| scores(engine, &asked, &a));
    let difference = largest_difference(&by_kernels, &by_operators);
    assert!(difference < NEAR, "{difference}");
    let without = scores(&mut operators, &requests(&[None; 5]), &a);
    assert!(largest_difference(&by_operators, &without) > 0.05, "the adapters changed nothing");
}

#[test]
fn in_bfloat16_the_two_differ_by_rounding_alone() {
    let model = model(llama());
    let [mut kernels, mut operators] = both(&model, Precision::Bf16);
    let asked = requests(&[None; 4]);
    let made = run(&mut kernels, &asked);
    let exact = scores(&mut both(&model, Precision::F32)[0], &asked, &made);
    for engine in [&mut kernels, &mut operators] {
        let difference = largest_difference(&exact, &scores(engine, &asked, &made));
        assert!(difference > 0.0 && difference < 0.05, "{difference}");
    }
}

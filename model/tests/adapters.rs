//! Requests with different adapters in one batch: each as if it were alone, and as if its adapter were merged into the base.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::sync::Arc;

use galapagos_model::engine::{AdapterId, SwapPolicy};
use galapagos_model::lora::{Adapter, AdapterConfig, merge};
use galapagos_model::{
    Completion, Decoder, Engine, EngineOptions, ModelConfig, ModelKind, Precision, Request, RequestError, RunControl,
    Sampling, ScoreRequest,
};
use tch::{Device, Kind, Tensor};

const ADAPTERS: u64 = 4;

fn base() -> Decoder {
    tch::set_num_threads(1);
    let config = ModelConfig {
        kind: ModelKind::CausalLm,
        vocab_size: 50,
        hidden_size: 48,
        intermediate_size: 80,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim: 12,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        max_position_embeddings: 300,
        tie_word_embeddings: true,
        initializer_range: 0.2,
        ..ModelConfig::default()
    };
    Decoder::init(config, 1, Device::Cpu).unwrap()
}

/// An adapter whose update is not zero.
fn adapter(base: &Decoder, seed: u64) -> Adapter {
    let text = r#"{"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj", "down_proj", "gate_proj"]}"#;
    let config = AdapterConfig::from_json(text).unwrap();
    let adapter = Adapter::init(config, base.config(), seed, Device::Cpu).unwrap();
    for (name, tensor) in adapter.parameters().iter().filter(|(name, _)| name.contains("lora_B")) {
        let values = Tensor::arange(tensor.numel() as i64, (Kind::Float, Device::Cpu)) * 0.37;
        let values = (values + name.len() as f64 + seed as f64).sin() * 0.2;
        tensor.shallow_clone().copy_(&values.reshape(tensor.size()));
    }
    adapter
}

fn options(precision: Precision) -> EngineOptions {
    EngineOptions { precision, kv_bytes: 16 << 20, ..EngineOptions::default() }
}

fn request(seed: u64, adapter: Option<AdapterId>) -> Request {
    let prompt = (0..70).map(|i| (i * i + 3) % 50).collect();
    let sampling = Arc::new(Sampling::at(1.0));
    Request { samples: 2, seed, adapter, sampling, ..Request::greedy(prompt, 20) }
}

fn run(engine: &mut Engine, requests: &[Request]) -> Vec<Vec<Completion>> {
    engine.generate(requests, &mut RunControl::default()).unwrap()
}

#[test]
fn adapters_in_one_batch_change_nothing_for_one_another() {
    let base = base();
    for precision in [Precision::F32, Precision::Bf16] {
        let mut engine = Engine::new(&base, options(precision)).unwrap();
        let ids: Vec<Option<AdapterId>> =
            (0..ADAPTERS).map(|seed| Some(engine.add_adapter(&adapter(&base, seed)).unwrap())).chain([None]).collect();
        // The same prompt and seeds for all, in an order that mixes them.
        let requests: Vec<Request> = (0..3).flat_map(|seed| ids.iter().map(move |id| request(seed, *id))).collect();
        let together = run(&mut engine, &requests);
        for (index, expected) in together.iter().enumerate() {
            let mut alone =
                Engine::new(&base, EngineOptions { max_rows: 9, max_sequences: 2, ..options(precision) }).unwrap();
            let own = (index as u64 % (ADAPTERS + 1) < ADAPTERS).then(|| adapter(&base, index as u64 % (ADAPTERS + 1)));
            let own = own.map(|own| alone.add_adapter(&own).unwrap());
            let asked = Request { adapter: own, ..requests[index].clone() };
            assert!(run(&mut alone, &[asked]) == [expected.clone()], "{precision:?}: request {index}");
        }
        for (index, completions) in together.iter().enumerate() {
            let others = together.iter().enumerate().filter(|(other, _)| *other != index);
            assert!(
                others.into_iter().all(|(_, other)| other != completions),
                "request {index} has another's completions"
            );
        }
    }
}

#[test]
fn an_adapter_computes_what_the_merged_model_does() {
    let base = base();
    let mut engine = Engine::new(&base, options(Precision::F32)).unwrap();
    for seed in 0..ADAPTERS {
        let adapter = adapter(&base, seed);
        let id = engine.add_adapter(&adapter).unwrap();
        let completion = run(&mut engine, &[request(seed, Some(id))]).remove(0).remove(0);
        let merged = merge(&base, &adapter).unwrap();
        let mut whole = Engine::new(merged.model(), options(Precision::F32)).unwrap();
        let asked = ScoreRequest::continuation(&request(seed, None).prompt, &completion.tokens);
        let found = whole.score(&[asked], &mut RunControl::default()).unwrap().remove(0);
        for (a, b) in completion.log_probs.iter().zip(found) {
            assert!((a - b).abs() < 2e-4, "{a} and {b}");
        }
    }
}

#[test]
fn a_removed_adapter_is_refused_and_running_requests_finish_with_it() {
    let base = base();
    let mut engine = Engine::new(&base, options(Precision::F32)).unwrap();
    let id = engine.add_adapter(&adapter(&base, 1)).unwrap();
    let expected = run(&mut engine, &[request(5, Some(id))]).remove(0);
    let running = engine.submit(request(5, Some(id))).unwrap();
    engine.step().unwrap();
    assert!(engine.remove_adapter(id));
    assert!(!engine.remove_adapter(id));
    assert!(matches!(engine.submit(request(5, Some(id))), Err(RequestError::NoAdapter { .. })));
    let mut ended = 0;
    while !engine.is_idle() {
        for event in engine.step().unwrap() {
            if let galapagos_model::Event::Finished { request, sample, completion } = event {
                assert_eq!(request, running);
                assert_eq!(completion, expected[sample]);
                ended += 1;
            }
        }
    }
    assert_eq!((ended, engine.stats().pages.cached), (2, 0), "its pages are gone with it");
    let other = engine.add_adapter(&adapter(&base, 2)).unwrap();
    assert_ne!(other, id, "ids are never used twice");
    engine.swap(&base, SwapPolicy::Finish).unwrap();
    assert!(engine.submit(request(5, Some(other))).is_ok(), "adapters outlive a swap of the base");
}

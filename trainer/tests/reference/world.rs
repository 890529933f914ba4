//! Small models of every head, their frozen relatives, and the records that all cases are computed on. Everything is arithmetic on
//! small numbers: the same on every machine.

use std::path::Path;

use galapagos_domain::ids::{Digest, JobId, Name};
use galapagos_domain::trajectory::{Credit, Outcome, Side, Span, Trajectory, Verdict};
use galapagos_model::lora::{Adapter, AdapterConfig, ModuleNames};
use galapagos_model::{Decoder, ModelConfig, ModelKind, PackedOptions, Parameters, Precision};
use tch::{Device, Kind, Tensor};

pub const VOCABULARY: u32 = 50;
pub const CLASSES: u32 = 4;
pub const RECORDS: u32 = 11;
const PREFIX: [u32; 3] = [9, 21, 33];

/// Two layers, with grouped heads.
pub fn config(model: &str) -> ModelConfig {
    let kind = match model {
        "scalar" => ModelKind::Scalar,
        "classes" => ModelKind::TokenClassifier,
        _ => ModelKind::CausalLm,
    };
    let labels = if model == "classes" { CLASSES } else { 0 };
    ModelConfig {
        kind,
        labels: (0..labels).map(|label| format!("LABEL_{label}")).collect(),
        vocab_size: VOCABULARY as usize,
        hidden_size: 32,
        intermediate_size: 64,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim: 8,
        max_position_embeddings: 96,
        initializer_range: 0.2,
        tie_word_embeddings: model != "untied",
        ..ModelConfig::default()
    }
}

/// The same for `transformers`.
pub fn config_json() -> serde_json::Value {
    let ModelConfig { rms_norm_eps, rope_theta, .. } = config("tied");
    serde_json::json!({
        "vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 96,
        "rms_norm_eps": rms_norm_eps, "rope_parameters": {"rope_type": "default", "rope_theta": rope_theta},
        "pad_token_id": null, "bos_token_id": null, "eos_token_id": null,
    })
}

/// Weights a little away from `weights`, in a direction of their own.
fn moved(weights: &Parameters, direction: f64, amount: f64) -> Parameters {
    let shifted = |(name, weight): (&str, &Tensor)| {
        let wave = Tensor::arange(weight.numel() as i64, (Kind::Float, Device::Cpu)) * 1.7 + name.len() as f64;
        (name.to_owned(), weight.detach() + (wave * direction).sin().reshape(weight.size()) * amount)
    };
    weights.iter().map(shifted).collect()
}

/// Weights of a model by role: `policy` is trained, `start` is near it, `reference` further off, `critic` another.
pub fn weights(model: &str, role: &str) -> Parameters {
    let made = Decoder::init(config(model), 7, Device::Cpu).unwrap();
    // No norm is one and no bias zero.
    let policy = moved(made.parameters(), 1.0, 0.05);
    match role {
        "policy" => policy,
        "start" => moved(&policy, 1.3, 0.006),
        "reference" => moved(&policy, -0.7, 0.02),
        "critic" => moved(&policy, 0.3, 0.05),
        _ => panic!("no role {role}"),
    }
}

pub fn decoder(model: &str, role: &str) -> Decoder {
    Decoder::new(config(model), weights(model, role)).unwrap()
}

/// An adapter whose update is not zero, and its scale.
pub fn adapter(model: &str, rank: u32) -> (Adapter, f64) {
    let config = AdapterConfig::new(rank as usize, 2.0 * f64::from(rank), ModuleNames::AllLinear);
    let made = Adapter::init(config.clone(), &self::config(model), 3, Device::Cpu).unwrap();
    (Adapter::new(config, moved(made.parameters(), 1.1, 0.05), &self::config(model)).unwrap(), 2.0)
}

pub fn save(weights: &Parameters, path: &Path) {
    let named: Vec<(&str, &Tensor)> = weights.iter().collect();
    Tensor::write_safetensors(&named, path).unwrap();
}

/// Log-probabilities of a record's completion by a policy near the start.
fn behaviour(policy: &Decoder, tokens: &[u32], completion: usize) -> Vec<f32> {
    let _no_gradients = tch::no_grad_guard();
    let pass = policy.packed(tokens, &[tokens.len()], PackedOptions::new(Precision::F32)).unwrap();
    let first = (tokens.len() - completion) as i64;
    let rows = Tensor::arange_start(first - 1, tokens.len() as i64 - 1, (Kind::Int64, Device::Cpu));
    let logits = policy.logits_at(&pass.hidden_states().unwrap(), &rows, Precision::F32).unwrap();
    let targets: Vec<i64> = tokens[first as usize..].iter().map(|token| i64::from(*token)).collect();
    let found = logits.log_softmax(-1, Kind::Float).gather(-1, &Tensor::from_slice(&targets).unsqueeze(-1), false);
    Vec::try_from(found.squeeze_dim(-1)).unwrap()
}

/// Records of unequal length and weight with all kinds of verdicts, of three tasks. With `parts`, they have turns, labels, actions,
/// observations and named pairs.
pub fn records(parts: bool) -> Vec<Trajectory> {
    use Outcome::{Error, Fail, Pass, Timeout};
    let outcomes = [Pass, Fail, Error, Fail, Pass, Timeout, Pass, Fail, Pass, Fail, Pass];
    let rewards = [None, Some(0.25), None, None, Some(0.75), Some(1.0), Some(1.0), None, None, Some(0.0), Some(0.5)];
    let weights = [1.0, 1.0, 2.0, 0.5, 1.0, 1.0, 1.5, 1.0, 0.0, 1.0, 1.0];
    let policy = Decoder::new(config("tied"), moved(&self::weights("tied", "policy"), 2.1, 0.012)).unwrap();
    let record = |n: u32| {
        let i = n as usize;
        let question = 2 + (n * 3) % 7;
        let completion = 5 + (n * 5) % 6;
        let prompt: Vec<u32> = PREFIX.into_iter().chain((0..question).map(|k| 5 + (k * 7 + n * 11) % 45)).collect();
        let completion: Vec<u32> = (0..completion).map(|k| 5 + (k * 13 + n * 5) % 45).collect();
        let all = [prompt.as_slice(), &completion].concat();
        let pair = Side { pair: format!("pair-{}", n % 3), chosen: n.is_multiple_of(2) };
        Trajectory {
            job: JobId::new("e/g1/samples/0").unwrap(),
            task_set: Name::new("numbers").unwrap(),
            task: format!("train/{}", n % 3),
            sample: n,
            policy: Digest::of(b"start"),
            prefix_len: PREFIX.len() as u32,
            log_probs: behaviour(&policy, &all, completion.len()),
            prompt_tokens: prompt,
            completion: String::new(),
            verdict: Verdict::new(outcomes[i], String::new()),
            scores: Vec::new(),
            leaf: None,
            credit: Credit {
                reward: rewards[i],
                weight: weights[i],
                spans: if parts { spans(n, completion.len() as u32) } else { Vec::new() },
                pair: parts.then_some(pair).filter(|_| n != 7),
                greedy: false,
            },
            completion_tokens: completion,
        }
    };
    (0..RECORDS).map(record).collect()
}

/// The plain records, each of a class; the first of each task is greedy, and that of the last task was not decided.
pub fn graded() -> Vec<Trajectory> {
    let mut records = records(false);
    for (n, record) in (0..).zip(&mut records) {
        let end = record.completion_tokens.len() as u32;
        let class = Some((n * n + 1) % CLASSES);
        record.credit.spans = vec![Span { start: 0, end, learn: true, value: None, class }];
        record.credit.greedy = n < 3;
    }
    records
}

/// Two turns with an observation between them, or one with a gap behind it.
fn spans(n: u32, length: u32) -> Vec<Span> {
    let turn = |start, end, value: u32, class| Span {
        start,
        end,
        learn: true,
        value: Some(f64::from(value % 5) as f32 / 4.0),
        class: Some(class % CLASSES),
    };
    if n % 4 == 3 {
        return vec![turn(0, length - 1, n, n)];
    }
    let observed = Span { start: 2, end: 3, learn: false, value: None, class: None };
    vec![turn(0, 2, n, n), observed, turn(3, length, n + 2, n * n + 1)]
}

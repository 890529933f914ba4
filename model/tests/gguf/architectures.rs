//! Models of every architecture: made by `transformers`, written as GGUF by the rules of llama.cpp's converter, imported
//! here; the folder must hold the same tensors and, to `transformers`, be the same model.

use std::path::Path;

use galapagos_model::gguf::StoredType;
use serde_json::{Value, json};
use tch::Kind;

use crate::python::{ask, import, tensors};

/// Gemma's norms are stored plus 1, in f32: the sum is rounded to 2^-24 of values below 4.
const NORM_TOLERANCE: f64 = 2.5e-7;

fn config(model_type: &str, rope: &Value, more: &Value) -> Value {
    let mut config = json!({
        "model_type": model_type, "vocab_size": 272, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 512, "initializer_range": 0.2,
        "rms_norm_eps": 1e-5, "rope_parameters": rope, "tie_word_embeddings": true, "eos_token_id": 257,
        "pad_token_id": 256, "bos_token_id": null,
    });
    let more = more.as_object().unwrap().clone();
    config.as_object_mut().unwrap().extend(more);
    config
}

fn plain(base: f64) -> Value {
    json!({"rope_type": "default", "rope_theta": base})
}

/// A model to be made: a name for errors, its configuration, and whether GGUF stores its norms plus 1.
struct Case(&'static str, Value, bool);

/// Makes, imports and compares; the answer of `agree` must have no difference. Python is started twice for all cases.
fn check(cases: &[Case]) {
    let folder = tempfile::tempdir().unwrap();
    let path = |case: &Case, end: &str| folder.path().join(format!("{}-{end}", case.0));
    let make = |case: &Case| {
        let (made, file) = (path(case, "made"), path(case, "gguf"));
        json!({"do": "model", "seed": 5, "config": case.1, "folder": made, "file": file, "pre": "gpt-2"})
    };
    ask(&cases.iter().map(make).collect::<Vec<_>>());
    for case in cases {
        let (made, imported) = (path(case, "made"), path(case, "imported"));
        import(&path(case, "gguf"), &imported, StoredType::F32);
        same_tensors(case.0, &made, &imported, case.2);
    }
    let agree = |case: &Case| json!({"do": "agree", "folder": path(case, "made"), "imported": path(case, "imported")});
    let answers = ask(&cases.iter().map(agree).collect::<Vec<_>>());
    for (Case(name, _, norms_shifted), answer) in cases.iter().zip(answers) {
        assert_eq!(answer["differ"], json!([]), "{name}");
        let tolerance = if *norms_shifted { 1e-4 } else { 1e-5 };
        assert!(answer["logits"].as_f64().unwrap() <= tolerance, "{name}: {answer}");
    }
}

fn same_tensors(name: &str, made: &Path, imported: &Path, norms_shifted: bool) {
    let (expected, found) = (tensors(&made.join("model.safetensors")), tensors(&imported.join("model.safetensors")));
    assert_eq!(expected.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>(), "{name}");
    for (tensor, expected) in &expected {
        let found = &found[tensor];
        if norms_shifted && tensor.contains("norm") {
            let difference = (found - expected).abs().max().double_value(&[]);
            assert!(difference <= NORM_TOLERANCE, "{name}: {tensor} differs by {difference}");
        } else {
            assert!(found.view_dtype(Kind::Int).equal(&expected.view_dtype(Kind::Int)), "{name}: {tensor}");
        }
    }
}

#[test]
fn reference_llama_with_every_rope() {
    let untied = json!({"tie_word_embeddings": false, "head_dim": 32});
    let llama3 = json!({
        "rope_type": "llama3", "rope_theta": 10_000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 1024,
    });
    let linear = json!({"rope_type": "linear", "rope_theta": 10_000.0, "factor": 4.0});
    let yarn = json!({
        "rope_type": "yarn", "rope_theta": 10_000.0, "factor": 4.0, "original_max_position_embeddings": 128,
    });
    check(&[
        Case("tied", config("llama", &plain(10_000.0), &json!({})), false),
        Case("untied-with-wide-heads", config("llama", &plain(500_000.0), &untied), false),
        Case("llama3", config("llama", &llama3, &json!({"head_dim": 64})), false),
        Case("linear", config("llama", &linear, &json!({})), false),
        Case("yarn", config("llama", &yarn, &json!({})), false),
    ]);
}

#[test]
fn reference_qwen_and_gemma() {
    let gemma = json!({
        "head_dim": 32, "query_pre_attn_scalar": 32, "sliding_window": 24, "attn_logit_softcapping": 20.0,
        "final_logit_softcapping": 10.0,
    });
    check(&[
        Case("qwen2", config("qwen2", &plain(1_000_000.0), &json!({})), false),
        Case("qwen3", config("qwen3", &plain(1_000_000.0), &json!({"head_dim": 32})), false),
        Case("gemma2", config("gemma2", &plain(10_000.0), &gemma), true),
    ]);
}

#[test]
fn reference_gpt2() {
    let config = |more: &Value| {
        let mut config = json!({
            "model_type": "gpt2", "vocab_size": 272, "n_embd": 64, "n_layer": 3, "n_head": 4, "n_positions": 512,
            "n_inner": 96, "initializer_range": 0.2, "eos_token_id": 257, "pad_token_id": 256, "bos_token_id": null,
        });
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        config
    };
    check(&[
        Case("gpt2", config(&json!({})), false),
        Case("gpt2-untied", config(&json!({"tie_word_embeddings": false, "layer_norm_epsilon": 1e-4})), false),
    ]);
}

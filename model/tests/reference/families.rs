//! Every family of decoders: random models made by `transformers`, in several shapes, through the training forward and the engine; and
//! folders written here, read again on both sides.

use std::path::{Path, PathBuf};

use galapagos_model::{
    Decoder, Engine, EngineOptions, ModelFolder, Precision, Request, RunControl, ScoreRequest, weights_digest,
};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

use crate::logits::batch_logits;
use crate::python::{Reference, max_difference, sequences, single_thread, tensors, write_tokenizer};

const VOCABULARY: usize = 41;
const NEW_TOKENS: usize = 200;

/// Indices in [`models`]: one of each family, with windows, caps and biases where it has them.
const GREEDY: [usize; 6] = [0, 6, 9, 10, 13, 15];

/// What the shapes have in common; `extra` replaces and adds keys.
fn config(extra: &Value) -> Value {
    let mut config = json!({
        "vocab_size": VOCABULARY, "hidden_size": 48, "intermediate_size": 72, "num_hidden_layers": 3,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 256,
        "initializer_range": 0.1, "rms_norm_eps": 1e-5, "bos_token_id": null, "eos_token_id": 1, "pad_token_id": 0,
    });
    for (key, value) in extra.as_object().unwrap() {
        config[key] = value.clone();
    }
    // Absent means hidden size / heads, which null does not to every class.
    if config["head_dim"].is_null() {
        config.as_object_mut().unwrap().remove("head_dim");
    }
    config
}

/// Class, configuration and stored format of each model.
fn models() -> Vec<(&'static str, Value, &'static str)> {
    let rope = |parameters: Value| json!({"rope_parameters": parameters, "tie_word_embeddings": false});
    let llama3 = json!({
        "rope_type": "llama3", "rope_theta": 500.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 32,
    });
    let yarn = json!({
        "rope_type": "yarn", "rope_theta": 1000.0, "factor": 4.0, "original_max_position_embeddings": 64,
    });
    let other_yarn = json!({
        "rope_type": "yarn", "rope_theta": 1000.0, "factor": 4.0, "original_max_position_embeddings": 64,
        "attention_factor": 1.3, "beta_fast": 8.0, "beta_slow": 2.0, "truncate": false,
    });
    let gpt2 = json!({
        "vocab_size": VOCABULARY, "n_embd": 48, "n_layer": 3, "n_head": 4, "n_positions": 256, "initializer_range": 0.1,
        "bos_token_id": null, "eos_token_id": 1, "pad_token_id": 0,
    });
    let mut wide_gpt2 = gpt2.clone();
    wide_gpt2["n_inner"] = 60.into();
    wide_gpt2["activation_function"] = "gelu".into();
    wide_gpt2["tie_word_embeddings"] = false.into();
    let mut unscaled_gpt2 = gpt2.clone();
    unscaled_gpt2["scale_attn_weights"] = false.into();
    // Half the deviation, so that scores four times as great leave attention undecided.
    unscaled_gpt2["initializer_range"] = 0.05.into();
    let mut scaled_gpt2 = gpt2.clone();
    scaled_gpt2["scale_attn_by_inverse_layer_idx"] = true.into();
    vec![
        ("Llama", config(&json!({"attention_bias": true, "mlp_bias": true, "tie_word_embeddings": false})), "float32"),
        ("Llama", config(&rope(json!({"rope_type": "linear", "rope_theta": 5000.0, "factor": 4.0}))), "float16"),
        ("Llama", config(&rope(json!({"rope_type": "dynamic", "rope_theta": 5000.0, "factor": 2.0}))), "float32"),
        ("Llama", config(&rope(llama3)), "float32"),
        ("Llama", config(&rope(yarn)), "float32"),
        ("Llama", config(&rope(other_yarn)), "float32"),
        ("Mistral", config(&json!({"sliding_window": 7})), "bfloat16"),
        ("Mistral", config(&json!({"sliding_window": null, "tie_word_embeddings": true})), "float32"),
        ("Qwen2", config(&json!({"tie_word_embeddings": true, "head_dim": null, "num_key_value_heads": 1})), "float32"),
        (
            "Qwen2",
            config(&json!({
                "head_dim": null, "use_sliding_window": true, "sliding_window": 6, "max_window_layers": 1,
                "rope_parameters": {"rope_type": "default", "rope_theta": 1000000.0},
            })),
            "float32",
        ),
        ("Qwen3", config(&json!({"tie_word_embeddings": true})), "float32"),
        ("Qwen3", config(&json!({"attention_bias": true, "num_key_value_heads": 4})), "bfloat16"),
        ("Gemma2", config(&json!({"sliding_window": 6, "query_pre_attn_scalar": 24})), "float32"),
        (
            "Gemma2",
            config(&json!({
                "sliding_window": 9, "attn_logit_softcapping": 1.5, "final_logit_softcapping": 2.0,
                "attention_bias": true, "tie_word_embeddings": false,
            })),
            "float32",
        ),
        ("Gemma2", config(&json!({"attn_logit_softcapping": null, "final_logit_softcapping": null})), "float32"),
        ("GPT2", gpt2, "float32"),
        ("GPT2", wide_gpt2, "float32"),
        ("GPT2", unscaled_gpt2, "float32"),
        ("GPT2", scaled_gpt2, "float32"),
    ]
}

struct Case {
    name: String,
    made: PathBuf,
    saved: PathBuf,
    /// Set for one model of each family: what is continued greedily.
    prompt: Option<Vec<u32>>,
}

impl Case {
    fn logits(&self, folder: &Path) -> PathBuf {
        folder.join("expected.logits")
    }
}

fn logits_request(folder: &Path, case: &Case, sequences: &[Vec<u32>]) -> Value {
    json!({"do": "logits", "folder": folder, "sequences": sequences, "out": case.logits(folder)})
}

fn greedy_request(case: &Case) -> Value {
    let prompts: Vec<&Vec<u32>> = case.prompt.iter().collect();
    json!({"do": "greedy", "folder": case.made, "prompts": prompts, "new_tokens": NEW_TOKENS})
}

#[test]
fn reference_families_compute_and_are_stored_as_in_transformers() {
    single_thread();
    let mut reference = Reference::start();
    let _no_gradients = tch::no_grad_guard();
    let root = tempfile::tempdir().unwrap();
    let sequences = sequences(VOCABULARY, &[1, 17, 40]);
    let case = |(index, (class, config, dtype)): (usize, &(&str, Value, &str))| Case {
        name: format!("model {index}, {class} {dtype} {config}"),
        made: root.path().join(format!("made{index}")),
        saved: root.path().join(format!("saved{index}")),
        prompt: GREEDY.contains(&index).then(|| sequences[1][..9].to_vec()),
    };
    let models = models();
    let cases: Vec<Case> = models.iter().enumerate().map(case).collect();
    let make = |(case, (class, config, dtype)): (&Case, &(&str, Value, &str))| {
        let head = if *class == "GPT2" { "LMHeadModel" } else { "ForCausalLM" };
        json!({
            "do": "make_model", "folder": case.made, "seed": 5, "dtype": dtype, "config": config,
            "class": format!("{class}{head}"), "config_class": format!("{class}Config"),
        })
    };
    let made = cases.iter().zip(&models).map(make);
    let logits = cases.iter().map(|case| logits_request(&case.made, case, &sequences));
    let answers = reference.ask(&made.chain(logits).chain(cases.iter().map(greedy_request)).collect::<Vec<_>>());
    for (index, case) in cases.iter().enumerate() {
        write_tokenizer(&case.made, VOCABULARY);
        let model = checked_folder(case);
        let expected = tensors(&case.logits(&case.made));
        check_logits(case, &model, &sequences, &expected);
        let greedy: Vec<Vec<u32>> = serde_json::from_value(answers[2 * models.len() + index].clone()).unwrap();
        check_engine(case, &model, (&sequences[2], &expected["2"]), greedy.first());
    }
    reference.ask(&cases.iter().map(|case| logits_request(&case.saved, case, &sequences)).collect::<Vec<_>>());
    for case in &cases {
        let [before, after] = [&case.made, &case.saved].map(|folder| tensors(&case.logits(folder)));
        for (sequence, before) in &before {
            assert_eq!(max_difference(before, &after[sequence]), 0.0, "{}: saved and read by transformers", case.name);
        }
    }
}

/// The model in the folder `transformers` made, which comes back the same from a folder written here; as 32-bit floats.
fn checked_folder(case: &Case) -> Decoder {
    let folder = ModelFolder::open(&case.made).unwrap_or_else(|error| panic!("{}: {error:?}", case.name));
    assert_eq!(folder.ignored_keys(), Vec::<String>::new(), "{}", case.name);
    let stored = folder.load(Device::Cpu).unwrap();
    ModelFolder::save(&case.saved, &stored, folder.tokenizer()).unwrap();
    let reopened = ModelFolder::open(&case.saved).unwrap();
    assert_eq!(reopened.config(), folder.config(), "{}", case.name);
    let digest = |model: &Decoder| weights_digest(model.parameters()).unwrap();
    assert_eq!(digest(&reopened.load(Device::Cpu).unwrap()), digest(&stored), "{}", case.name);
    stored.copy_to(Kind::Float, Device::Cpu).unwrap()
}

fn divergence(expected: &Tensor, found: &Tensor) -> f64 {
    let [expected, found] = [expected, found].map(|logits| logits.log_softmax(-1, Kind::Float));
    let each = (expected.exp() * (&expected - found)).sum_dim_intlist([-1i64].as_slice(), false, Kind::Float);
    each.max().double_value(&[])
}

/// The training forward in a right-padded batch.
fn check_logits(
    case: &Case,
    model: &Decoder,
    sequences: &[Vec<u32>],
    expected: &std::collections::BTreeMap<String, Tensor>,
) {
    let exact = batch_logits(model, sequences, Precision::F32);
    let rounded = batch_logits(model, sequences, Precision::Bf16);
    for (index, (exact, rounded)) in exact.iter().zip(&rounded).enumerate() {
        let expected = &expected[&index.to_string()];
        let difference = max_difference(exact, expected);
        assert!(difference <= 2e-4, "{}, sequence {index}: logits differ by {difference}", case.name);
        let divergence = divergence(expected, rounded);
        assert!(divergence <= 1e-3, "{}, sequence {index}: the divergence in bfloat16 is {divergence}", case.name);
    }
}

/// The forward of inference: log-probabilities of a whole sequence, and greedy tokens.
fn check_engine(case: &Case, model: &Decoder, (sequence, logits): (&[u32], &Tensor), greedy: Option<&Vec<u32>>) {
    let log_probs = logits.log_softmax(-1, Kind::Float);
    for (precision, tolerance) in [(Precision::F32, 2e-4), (Precision::Bf16, 0.1)] {
        let options = EngineOptions { precision, max_rows: 16, max_sequences: 8, ..EngineOptions::default() };
        let mut engine = Engine::new(model, options).unwrap();
        let request = ScoreRequest::continuation(&sequence[..1], &sequence[1..]);
        let found = engine.score(&[request], &mut RunControl::default()).unwrap().remove(0);
        assert_eq!(found.len(), sequence.len() - 1);
        for (position, found) in found.into_iter().enumerate() {
            let expected = log_probs.double_value(&[position as i64, i64::from(sequence[position + 1])]);
            let difference = (f64::from(found) - expected).abs();
            assert!(
                difference <= tolerance,
                "{}, {precision:?}, position {position}: {found}, not {expected}",
                case.name
            );
        }
        if let (Precision::F32, Some(prompt)) = (precision, &case.prompt) {
            let request = Request::greedy(prompt.clone(), NEW_TOKENS);
            let made = engine.generate(&[request], &mut RunControl::default()).unwrap();
            assert_eq!(Some(&made[0][0].tokens), greedy, "{}", case.name);
        }
    }
}

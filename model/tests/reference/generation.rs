//! Greedy tokens of the engine, and scores of the scalar head.

use galapagos_model::{
    Decoder, Engine, EngineOptions, ModelConfig, ModelFolder, Precision, Request, RunControl, ScoreRequest,
};
use serde_json::json;
use tch::Device;

use crate::python::{Made, Shape, ask, character_tokenizer, sequences, single_thread, smollm2};

const NEW_TOKENS: usize = 200;

fn engine(model: &Decoder) -> Engine {
    // Fewer sequences than prompts and small chunks, so that rows leave and enter.
    let options =
        EngineOptions { precision: Precision::F32, max_sequences: 3, max_rows: 16, ..EngineOptions::default() };
    Engine::new(model, options).unwrap()
}

fn greedy(model: &Decoder, prompts: &[Vec<u32>]) -> Vec<Vec<u32>> {
    let requests: Vec<Request> = prompts.iter().map(|prompt| Request::greedy(prompt.clone(), NEW_TOKENS)).collect();
    let completions = engine(model).generate(&requests, &mut RunControl::default()).unwrap();
    completions.into_iter().flatten().map(|completion| completion.tokens).collect()
}

fn check_greedy(folders: &[ModelFolder], prompts: impl Fn(&ModelFolder) -> Vec<Vec<u32>>) {
    let prompts: Vec<Vec<Vec<u32>>> = folders.iter().map(prompts).collect();
    let request = |(folder, prompts): (&ModelFolder, &Vec<Vec<u32>>)| json!({"do": "greedy", "folder": folder.path(), "prompts": prompts, "new_tokens": NEW_TOKENS});
    let answers = ask(&folders.iter().zip(&prompts).map(request).collect::<Vec<_>>());
    for ((folder, prompts), answer) in folders.iter().zip(&prompts).zip(answers) {
        let expected: Vec<Vec<u32>> = serde_json::from_value(answer).unwrap();
        let model = folder.load(Device::Cpu).unwrap();
        assert_eq!(greedy(&model, prompts), expected);
    }
}

#[test]
fn reference_greedy_tokens_of_random_models() {
    let made = Made::all([Shape::UNTIED, Shape::TIED]);
    let folders = made.each_ref().map(Made::open);
    check_greedy(&folders, |folder| {
        let mut prompts = sequences(folder.config().vocab_size, &[9, 5, 40, 7]);
        let shared = [&prompts[2][..33], &prompts[0]].concat();
        prompts.push(shared);
        prompts
    });
}

/// As recipes make them, but for larger weights, so that tokens differ clearly.
#[test]
fn reference_greedy_tokens_of_a_character_transformer() {
    single_thread();
    let tokenizer = character_tokenizer(30);
    let config = ModelConfig {
        vocab_size: tokenizer.vocab_size(),
        hidden_size: 64,
        intermediate_size: 128,
        num_hidden_layers: 3,
        num_attention_heads: 4,
        num_key_value_heads: 4,
        head_dim: 16,
        rms_norm_eps: 1e-5,
        max_position_embeddings: 256,
        initializer_range: 0.2,
        eos_token_ids: tokenizer.eos().into_iter().collect(),
        pad_token_id: tokenizer.pad(),
        ..ModelConfig::default()
    };
    config.validate().unwrap();
    let folder = tempfile::tempdir().unwrap();
    ModelFolder::save(folder.path(), &Decoder::init(config, 7, Device::Cpu).unwrap(), &tokenizer).unwrap();
    check_greedy(&[ModelFolder::open(folder.path()).unwrap()], |folder| {
        sequences(folder.config().vocab_size, &[9, 1, 40, 33])
    });
}

#[test]
fn reference_greedy_tokens_of_smollm2() {
    let texts = ["The capital of France is", "Q: Largest of 3, 71, 22, 50, 9?\nA:"];
    check_greedy(&[smollm2()], |folder| texts.map(|text| folder.tokenizer().encode(text).unwrap()).to_vec());
}

#[test]
fn reference_scores_of_a_saved_scalar_model() {
    let [made] = Made::all([Shape::UNTIED]);
    let folder = made.open();
    let critic = folder.load(Device::Cpu).unwrap().to_scalar(5).unwrap();
    let saved = tempfile::tempdir().unwrap();
    ModelFolder::save(saved.path(), &critic, folder.tokenizer()).unwrap();

    let sequences = sequences(70, &[12, 1, 30]);
    let answer = ask(&[json!({"do": "scores", "folder": saved.path(), "sequences": sequences})]).remove(0);
    let expected: Vec<[f64; 1]> = serde_json::from_value(answer).unwrap();
    let requests: Vec<ScoreRequest> = sequences.into_iter().map(ScoreRequest::last_value).collect();
    let found = engine(&critic).score(&requests, &mut RunControl::default()).unwrap();
    for (found, [expected]) in found.iter().flatten().zip(&expected) {
        // The new head's bias is zero; transformers has none.
        assert!((f64::from(*found) - expected).abs() < 1e-4, "{found} and {expected}");
    }
    assert!((expected[0][0] - expected[2][0]).abs() > 1e-3, "the scores must tell sequences apart: {expected:?}");
}

//! Greedy tokens of the decoding forward, and scores of the scalar head.

use std::sync::Arc;

use galapagos_model::{
    Generator, GeneratorOptions, Llama, ModelFolder, Precision, Request, RunControl, Sampling, ScalarModel,
};
use serde_json::json;
use tch::Device;

use crate::python::{Made, Shape, ask, sequences, smollm2};

const NEW_TOKENS: usize = 40;

/// All prompts in one batch that is too small for them, so that rows also leave and enter.
fn greedy(model: &Llama, prompts: &[Vec<u32>], split: usize) -> Vec<Vec<u32>> {
    let options = GeneratorOptions { precision: Precision::F32, max_rows: 3 };
    let generator = Generator::new(model, options).unwrap();
    let request = |prompt: &Vec<u32>| Request {
        prefix: Arc::from(&prompt[..split]),
        prompt: prompt[split..].to_vec(),
        samples: 1,
        sampling: Sampling::GREEDY,
        max_new_tokens: NEW_TOKENS,
        stop_tokens: Arc::default(),
        seed: 0,
    };
    let requests: Vec<Request> = prompts.iter().map(request).collect();
    let completions = generator.generate(&requests, &mut RunControl::default()).unwrap();
    completions.into_iter().map(|completion| completion.tokens).collect()
}

fn check_greedy(folder: &ModelFolder, prompts: &[Vec<u32>]) {
    let request = json!({"do": "greedy", "folder": folder.path(), "prompts": prompts, "new_tokens": NEW_TOKENS});
    let expected: Vec<Vec<u32>> = serde_json::from_value(ask(&[request]).remove(0)).unwrap();
    let model = folder.load(Device::Cpu).unwrap();
    assert_eq!(greedy(&model, prompts, 0), expected, "prompts alone");
    let shared: Vec<Vec<u32>> = prompts.iter().map(|prompt| [&prompts[0][..4], prompt].concat()).collect();
    let request = json!({"do": "greedy", "folder": folder.path(), "prompts": shared, "new_tokens": NEW_TOKENS});
    let expected: Vec<Vec<u32>> = serde_json::from_value(ask(&[request]).remove(0)).unwrap();
    assert_eq!(greedy(&model, &shared, 4), expected, "prompts behind a shared prefix");
}

#[test]
fn reference_greedy_tokens_of_random_models() {
    for made in Made::all([Shape::UNTIED, Shape::TIED]) {
        let folder = made.open();
        check_greedy(&folder, &sequences(folder.config().vocab_size, &[9, 5, 20, 7]));
    }
}

#[test]
fn reference_greedy_tokens_of_smollm2() {
    let folder = smollm2();
    let texts =
        ["The capital of France is", "Q: Largest of 3, 71, 22, 50, 9?\nA:", "Once upon a time, in a small house"];
    let prompts: Vec<Vec<u32>> = texts.iter().map(|text| folder.tokenizer().encode(text).unwrap()).collect();
    check_greedy(&folder, &prompts);
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
    let found = ScalarModel::new(&critic, Precision::F32).unwrap().score(&sequences).unwrap();
    for (found, [expected]) in found.iter().zip(&expected) {
        // The new head's bias is zero; transformers has none.
        assert!((f64::from(*found) - expected).abs() < 1e-4, "{found} and {expected}");
    }
    assert!((expected[0][0] - expected[2][0]).abs() > 1e-3, "the scores must tell sequences apart: {expected:?}");
}

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

fn check_greedy(folders: &[ModelFolder], prompts: impl Fn(&ModelFolder) -> Vec<Vec<u32>>) {
    let cases: Vec<[Vec<Vec<u32>>; 2]> = folders
        .iter()
        .map(|folder| {
            let alone = prompts(folder);
            let behind = alone.iter().map(|prompt| [&alone[0][..4], prompt].concat()).collect();
            [alone, behind]
        })
        .collect();
    let request = |(folder, [alone, behind]): (&ModelFolder, &[Vec<Vec<u32>>; 2])| {
        let prompts = [&alone[..], behind].concat();
        json!({"do": "greedy", "folder": folder.path(), "prompts": prompts, "new_tokens": NEW_TOKENS})
    };
    let answers = ask(&folders.iter().zip(&cases).map(request).collect::<Vec<_>>());
    for ((folder, [alone, behind]), answer) in folders.iter().zip(&cases).zip(answers) {
        let expected: Vec<Vec<u32>> = serde_json::from_value(answer).unwrap();
        let (expected_alone, expected_behind) = expected.split_at(alone.len());
        let model = folder.load(Device::Cpu).unwrap();
        assert_eq!(greedy(&model, alone, 0), expected_alone, "prompts alone");
        assert_eq!(greedy(&model, behind, 4), expected_behind, "prompts behind a shared prefix");
    }
}

#[test]
fn reference_greedy_tokens_of_random_models() {
    let made = Made::all([Shape::UNTIED, Shape::TIED]);
    let folders = made.each_ref().map(Made::open);
    check_greedy(&folders, |folder| sequences(folder.config().vocab_size, &[9, 5, 20, 7]));
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
    let found = ScalarModel::new(&critic, Precision::F32).unwrap().score(&sequences).unwrap();
    for (found, [expected]) in found.iter().zip(&expected) {
        // The new head's bias is zero; transformers has none.
        assert!((f64::from(*found) - expected).abs() < 1e-4, "{found} and {expected}");
    }
    assert!((expected[0][0] - expected[2][0]).abs() > 1e-3, "the scores must tell sequences apart: {expected:?}");
}

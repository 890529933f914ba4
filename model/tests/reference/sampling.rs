//! The sampler's distribution against the logits processors of `transformers`.

use std::collections::BTreeMap;
use std::sync::Arc;

use galapagos_model::sampling::{Sampler, Sampling, Scratch};
use serde::Deserialize;
use serde_json::json;

use crate::python::{ask, sequences};

#[derive(Deserialize)]
struct Left {
    tokens: Vec<u32>,
    probabilities: Vec<f64>,
}

/// Rows of roughly normal logits, always the same.
fn logits(vocabulary: usize, rows: usize, spread: f32) -> Vec<Vec<f32>> {
    let unit = |number: &u32| *number as f32 / (1 << 20) as f32 - 0.5;
    let row = |numbers: Vec<u32>| numbers.chunks(3).map(|three| three.iter().map(unit).sum::<f32>() * spread).collect();
    sequences(1 << 20, &vec![3 * vocabulary; rows]).into_iter().map(row).collect()
}

fn settings() -> Vec<Sampling> {
    let plain = || Sampling::at(1.0);
    vec![
        plain(),
        Sampling::at(0.4),
        Sampling { top_k: Some(40), ..Sampling::at(0.7) },
        Sampling { top_k: Some(300), ..plain() },
        Sampling { top_p: 0.9, ..plain() },
        Sampling { top_p: 0.3, ..Sampling::at(1.5) },
        Sampling { min_p: 0.1, ..plain() },
        Sampling { top_k: Some(50), top_p: 0.8, ..Sampling::at(0.8) },
        Sampling { top_p: 0.95, min_p: 0.05, ..Sampling::at(1.2) },
        Sampling { top_k: Some(100), top_p: 0.9, min_p: 0.02, repetition_penalty: 1.3, ..Sampling::at(0.6) },
        Sampling { repetition_penalty: 0.7, ..plain() },
        Sampling { top_k: Some(1), ..plain() },
    ]
}

#[test]
fn what_is_left_and_its_probabilities_are_those_of_transformers() {
    let mut cases = Vec::new();
    for (vocabulary, spread) in [(50, 8.0), (1000, 12.0), (4000, 20.0)] {
        let history = sequences(vocabulary, &[60]).remove(0);
        for (sampling, row) in settings().into_iter().zip(logits(vocabulary, settings().len(), spread)) {
            cases.push((sampling, row, history.clone()));
        }
    }
    let case = |(sampling, logits, history): &(Sampling, Vec<f32>, Vec<u32>)| {
        json!({
            "logits": logits, "history": history, "temperature": sampling.temperature, "top_k": sampling.top_k,
            "top_p": sampling.top_p, "min_p": sampling.min_p, "repetition_penalty": sampling.repetition_penalty,
        })
    };
    let request = json!({"do": "processors", "cases": cases.iter().map(case).collect::<Vec<_>>()});
    let answers: Vec<Left> = serde_json::from_value(ask(&[request]).remove(0)).unwrap();
    for ((sampling, logits, history), left) in cases.into_iter().zip(answers) {
        // Half of the history is prompt, half completion.
        let (prompt, completion) = history.split_at(history.len() / 2);
        let mut sampler = Sampler::new(Arc::new(sampling.clone()), (0, 0), prompt);
        completion.iter().for_each(|token| sampler.push(*token));
        let ours: BTreeMap<u32, f64> =
            sampler.distribution(&logits, None, &mut Scratch::default()).unwrap().into_iter().collect();
        let theirs: BTreeMap<u32, f64> = left.tokens.into_iter().zip(left.probabilities).collect();
        // Our weights end at e^-87 of the greatest one.
        let likely = |map: &BTreeMap<u32, f64>| -> Vec<u32> {
            map.iter().filter(|(_, probability)| **probability > 1e-30).map(|(token, _)| *token).collect()
        };
        let kept = likely(&theirs);
        assert_eq!(likely(&ours), kept, "{sampling:?}");
        for token in kept {
            let (ours, theirs) = (ours[&token], theirs[&token]);
            assert!((ours - theirs).abs() <= 1e-5 * theirs, "{sampling:?}: token {token} has {ours} and not {theirs}");
        }
    }
}

//! Random records for property tests: few tasks and few completions, so that duplicates and full tasks are common.

use galapagos_domain::ids::{Digest, JobId, Name};
use galapagos_domain::trajectory::{Credit, Outcome, Trajectory, Verdict};
use proptest::prelude::*;

/// Up to 40 records; `sample` is the place in the list, so that every record can be told from the others.
pub(super) fn records() -> impl Strategy<Value = Vec<Trajectory>> {
    prop::collection::vec((0..4u32, 0..3u32, 0..5usize), 0..40).prop_map(|rows| {
        rows.into_iter().zip(0..).map(|((task, answer, outcome), place)| record(task, answer, outcome, place)).collect()
    })
}

fn record(task: u32, answer: u32, outcome: usize, place: u32) -> Trajectory {
    const OUTCOMES: [Outcome; 5] = [Outcome::Pass, Outcome::Fail, Outcome::Error, Outcome::Timeout, Outcome::Suspect];
    Trajectory {
        job: JobId::new("evolution/g1/samples/0").unwrap(),
        task_set: Name::new("numbers").unwrap(),
        task: format!("train/{task}"),
        sample: place,
        policy: Digest::of(b"policy"),
        prompt_tokens: vec![1, task],
        prefix_len: 1,
        completion_tokens: vec![answer],
        log_probs: vec![-0.5],
        completion: answer.to_string(),
        verdict: Verdict::new(OUTCOMES[outcome], format!("verdict of {place}")),
        scores: Vec::new(),
        leaf: None,
        credit: Credit::default(),
    }
}

//! Speculation changes no token: against decoding without it, and against the exact distribution of a toy model.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::sampling::Sampling;

const VOCABULARY: usize = 4;
const LENGTH: usize = 3;

/// Logits of a toy model: a function of the whole history.
fn logits(history: &[u32], model: u64) -> Vec<f32> {
    let mix = |state: u64, token: u64| (state ^ token).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    let state = history.iter().fold(mix(model, 11), |state, token| mix(state, u64::from(*token) + 3));
    (0..VOCABULARY as u64).map(|token| (mix(state, token + 99) >> 40) as f32 / (1 << 24) as f32 * 1.2).collect()
}

/// How a completion is drafted.
#[derive(Clone, Copy, Debug)]
enum Draft {
    None,
    Lookup,
    /// By another toy model, with the target's draws.
    Model(u64),
    /// Always these tokens.
    Fixed([u32; 2]),
}

/// A completion, and how many drafted tokens were right.
fn complete(sampling: &Sampling, seed: u64, draft: Draft, length: usize) -> (Vec<u32>, usize) {
    let mut history = vec![1, 2, 1];
    let mut sampler = Sampler::new(Arc::new(sampling.clone()), (seed, 0), &history);
    let mut lookup = PromptLookup::default();
    let mut scratch = Scratch::default();
    let (prompt, mut right) = (history.len(), 0);
    while history.len() < prompt + length {
        let most = prompt + length - history.len() - 1;
        let mut tokens = match draft {
            Draft::None => Vec::new(),
            Draft::Lookup => lookup.draft(&history, most),
            Draft::Fixed(tokens) => tokens.to_vec(),
            Draft::Model(model) => {
                let mut coupled = CoupledDraft::new(&sampler, None);
                while coupled.tokens().len() < most.min(3) {
                    let row = logits(&[&history, coupled.tokens()].concat(), model);
                    coupled.propose(&row, &mut scratch).unwrap();
                }
                coupled.tokens().to_vec()
            }
        };
        tokens.truncate(most);
        let rows: Vec<f32> =
            (0..=tokens.len()).flat_map(|count| logits(&[&history, &tokens[..count]].concat(), 0)).collect();
        let rows = SequenceRows { sampler: &mut sampler, guide: None, draft: &tokens, logits: &rows, top: 0 };
        let chosen = verify(rows, &mut scratch).unwrap();
        right += chosen.len() - 1;
        lookup.checked(tokens.len(), chosen.len() - 1);
        history.extend(chosen.iter().map(|chosen| chosen.token));
    }
    (history.split_off(prompt), right)
}

fn drafts() -> [Draft; 5] {
    [Draft::Lookup, Draft::Model(0), Draft::Model(7), Draft::Fixed([0, 3]), Draft::Fixed([2, 2])]
}

proptest! {
    #[test]
    fn completions_are_the_same_with_and_without(
        seed in any::<u64>(), temperature in 0.0f64..2.0, top_p in 0.3f64..=1.0, repetition_penalty in 0.8f64..1.5,
    ) {
        let sampling = Sampling { top_p, repetition_penalty, frequency_penalty: 0.2, ..Sampling::at(temperature) };
        let (plain, _) = complete(&sampling, seed, Draft::None, 24);
        for draft in drafts() {
            prop_assert_eq!(&complete(&sampling, seed, draft, 24).0, &plain, "{:?}", draft);
        }
    }
}

#[test]
fn a_draft_by_the_target_itself_is_always_right() {
    for seed in 0..50 {
        // 24 tokens by steps of at most 3 drafted and 1 of its own.
        assert_eq!(complete(&Sampling::at(1.0), seed, Draft::Model(0), 24).1, 18);
    }
}

/// Probability of each completion of `LENGTH` tokens, as a number in base `VOCABULARY`.
fn exactly() -> Vec<f64> {
    let probability = |number: usize| {
        let digits = (0..LENGTH).rev().map(|place| (number / VOCABULARY.pow(place as u32) % VOCABULARY) as u32);
        let mut history = vec![1, 2, 1];
        digits.fold(1.0, |product, token| {
            let row: Vec<f64> = logits(&history, 0).into_iter().map(|logit| f64::from(logit).exp()).collect();
            history.push(token);
            product * row[token as usize] / row.iter().sum::<f64>()
        })
    };
    (0..VOCABULARY.pow(LENGTH as u32)).map(probability).collect()
}

#[test]
fn completions_follow_the_exact_distribution() {
    const SAMPLES: u64 = 6000;
    let expected = exactly();
    for draft in [Draft::None, Draft::Lookup, Draft::Model(7), Draft::Fixed([2, 2])] {
        let mut counts = vec![0.0; expected.len()];
        for seed in 0..SAMPLES {
            let (tokens, _) = complete(&Sampling::at(1.0), seed, draft, LENGTH);
            counts[tokens.iter().fold(0, |number, token| number * VOCABULARY + *token as usize)] += 1.0;
        }
        let statistic: f64 = counts
            .iter()
            .zip(&expected)
            .map(|(count, p)| (count - p * SAMPLES as f64).powi(2) / (p * SAMPLES as f64))
            .sum();
        // The 99.9th percentile of chi-square with 63 degrees of freedom.
        assert!(statistic < 103.44, "{draft:?}: {statistic}");
        assert!(expected.iter().all(|p| p * SAMPLES as f64 > 5.0), "too few expected for the test");
    }
}

#[test]
fn lookup_prefers_the_longest_and_latest_match() {
    let mut lookup = PromptLookup::default();
    assert_eq!(lookup.draft(&[5, 6, 7], 4), Vec::<u32>::new());
    assert_eq!(lookup.draft(&[5, 6, 7, 8, 5], 4), [6, 7, 8, 5]);
    assert_eq!(lookup.draft(&[5, 6, 7, 8, 5, 9, 6, 7], 2), [8, 5]);
    assert_eq!(lookup.draft(&[5, 6, 7, 8, 5, 9, 6, 7, 5], 1), [9]);
    // Another, shorter sequence: nothing is left of the one before.
    assert_eq!(lookup.draft(&[9, 1], 4), Vec::<u32>::new());
    assert_eq!(lookup.draft(&[], 4), Vec::<u32>::new());
}

#[test]
fn lookup_grows_when_right_and_rests_when_wrong() {
    let history: Vec<u32> = (0..40).chain(0..3).collect();
    let mut lookup = PromptLookup::default();
    let mut drafted = || lookup.draft(&history, 100).len();
    assert_eq!(drafted(), 4);
    lookup.checked(4, 4);
    assert_eq!(lookup.draft(&history, 100).len(), 8);
    lookup.checked(8, 3);
    assert_eq!(lookup.draft(&history, 100).len(), 3);
    lookup.checked(3, 0);
    assert_eq!([0; 3].map(|_| lookup.draft(&history, 100).len()), [0, 1, 1]);
    lookup.checked(1, 0);
    assert_eq!([0; 4].map(|_| lookup.draft(&history, 100).len()), [0, 0, 0, 1]);
    lookup.checked(1, 1);
    assert_eq!(lookup.draft(&history, 100).len(), 2);
}

#[test]
fn sequences_are_checked_alone_on_any_number_of_threads() {
    let rows: Vec<Vec<f32>> = (0..7u32).map(|at| [logits(&[at], 0), logits(&[at, 2], 0)].concat()).collect();
    let run = |threads: usize| {
        let mut samplers: Vec<Sampler> =
            (0..7).map(|sample| Sampler::new(Arc::new(Sampling::at(1.0)), (3, sample), &[])).collect();
        let sequences = samplers
            .iter_mut()
            .zip(&rows)
            .map(|(sampler, logits)| SequenceRows { sampler, guide: None, draft: &[2], logits, top: 1 })
            .collect();
        let found = verify_all(&Pool::new(threads), sequences, &mut Vec::new());
        found.into_iter().map(Result::unwrap).collect::<Vec<_>>()
    };
    let alone = run(1);
    assert_eq!(alone.len(), 7);
    assert!(alone.iter().all(|chosen| (chosen[0].token == 2) == (chosen.len() == 2)));
    for threads in [2, 3, 9] {
        assert_eq!(run(threads), alone);
    }
}

//! Certainty by hand: a role that says of each text what a table says.

use galapagos_domain::ids::Name;
use galapagos_domain::recipe::curate::JoinPairs;
use galapagos_domain::trajectory::{Side, Trajectory};

use super::super::joined;
use super::super::test_records::plain;
use super::*;
use crate::engine::mock::CharacterCodec;

/// Prefers what stands first by this much, whatever it is, under two masks.
struct First(Vec<f64>, usize);

impl Estimate for First {
    fn under_masks(
        &self,
        role: &Name,
        texts: Vec<Joined>,
        dropout: Dropout,
    ) -> Result<Vec<Option<Vec<f64>>>, OperatorError> {
        assert_eq!((role.as_str(), dropout.samples, texts.len()), ("estimator", 2, 2 * self.1));
        assert_ne!(texts[0].seed, texts[1].seed);
        Ok(texts.into_iter().map(|text| (text.tokens.len() < 99).then(|| self.0.clone())).collect())
    }
}

fn sure() -> Certainty {
    serde_json::from_str(r#"{"role": "estimator", "between": "|", "samples": 2}"#).unwrap()
}

fn answer(sample: u32, text: &str) -> Trajectory {
    let tokens: Vec<u32> = text.chars().map(u32::from).collect();
    let (completion, log_probs) = (text.to_owned(), vec![-0.5; tokens.len()]);
    Trajectory { completion_tokens: tokens, completion, log_probs, ..plain(0, 0, sample) }
}

fn side(sample: u32, text: &str, pair: &str, chosen: bool) -> Trajectory {
    let mut record = answer(sample, text);
    record.credit.spans.clear();
    record.credit.pair = Some(Side { pair: pair.to_owned(), chosen });
    record
}

#[test]
fn masks_that_disagree_are_uncertain_and_masks_that_are_unsure_are_not() {
    let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} is not {b}");
    let sure = said(&[1.0, 1.0]).unwrap();
    assert_eq!((sure.agrees, sure.preferred, sure.bald), (1.0, 1.0, 0.0));
    let torn = said(&[1.0, 0.0]).unwrap();
    assert_eq!(
        (torn.agrees, torn.preferred, torn.bald),
        (0.5, 0.5, 1.0),
        "one bit: each mask knows, and another thing"
    );
    let unsure = said(&[0.5, 0.5]).unwrap();
    assert_eq!((unsure.agrees, unsure.preferred, unsure.bald), (0.5, 0.5, 0.0), "no mask knows");
    // H(0.75) = 0.811278; H(0.5) = 1, H(1) = 0: 0.811278 - 0.5.
    let mixed = said(&[0.5, 1.0]).unwrap();
    close(mixed.bald, 0.311_278_124_459_132_8);
    assert_eq!((mixed.agrees, mixed.preferred), (0.75, 0.75));
    assert_eq!((said(&[]), said(&[f64::NAN])), (None, None));
}

#[test]
fn both_sides_get_the_numbers_of_both_orders() {
    let sure = sure();
    let rows = vec![side(0, "ab", "p", true), side(1, "c", "p", false), answer(2, "x")];
    let estimator = First(vec![0.75, 1.0], 1);
    let mut certain = of_pairs(&sure, (&CharacterCodec, &estimator), Seed(1)).unwrap();
    let out = certain(rows).unwrap();
    assert_eq!(out.iter().map(|(place, _)| *place).collect::<Vec<_>>(), [0, 1, 2]);
    let scores = |record: &Trajectory| -> Vec<(String, f32)> {
        record.scores.iter().map(|score| (score.by.clone(), score.value)).collect()
    };
    // A role that only likes the first place says 0.75, 1, 0.25, 0 of the chosen answer.
    let of = scores(&out[0].1);
    assert_eq!((of[0].clone(), of[1].clone()), (("agrees/1".to_owned(), 0.5), ("preferred/1".to_owned(), 0.5)));
    // 1 - (2 * 0.811278 + 0) / 4.
    assert!(of[2].0 == "bald/1" && (of[2].1 - 0.594_361).abs() < 1e-6, "{of:?}");
    assert_eq!((scores(&out[1].1), scores(&out[2].1)), (of, Vec::new()));

    let broken = vec![side(0, "ab", "p", true)];
    let error = of_pairs(&sure, (&CharacterCodec, &estimator), Seed(1)).unwrap()(broken).unwrap_err();
    assert!(error.to_string().contains("right behind `pair`"), "{error}");
    let long = "a".repeat(99);
    let rows = vec![side(0, &long, "p", true), side(1, "c", "p", false)];
    let out = of_pairs(&sure, (&CharacterCodec, &estimator), Seed(1)).unwrap()(rows).unwrap();
    assert!(out.iter().all(|(_, record)| record.scores.is_empty()), "what it cannot read it says nothing of");
}

#[test]
fn preferences_are_written_down_in_both_orders_with_their_class() {
    let join: JoinPairs = serde_json::from_str(r#"{"between": "|", "behind": "?"}"#).unwrap();
    // The line break ends the first answer and is no part of its text.
    let mut rows = vec![side(0, "ab\n", "p", true), side(1, "c", "p", false), answer(2, "x")];
    rows[0].completion = "ab".to_owned();
    let out = joined::of_pairs(&join, &CharacterCodec).unwrap()(rows).unwrap();
    let made: Vec<_> = out
        .iter()
        .map(|(place, record)| {
            let tokens: String = record.completion_tokens.iter().filter_map(|token| char::from_u32(*token)).collect();
            assert_eq!((&tokens, record.credit.spans.len(), &record.credit.pair), (&record.completion, 1, &None));
            (*place, tokens, record.credit.spans[0].class)
        })
        .collect();
    assert_eq!(made, [(0, "ab|c?".to_owned(), Some(1)), (0, "c|ab?".to_owned(), Some(0))]);
}

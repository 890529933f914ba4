//! All operators together: counts, seeds, and that streams give what memory gives. Then each by an example counted by hand.

mod examples;
mod wooden;

use std::collections::BTreeMap;

use galapagos_domain::ids::Name;
use galapagos_domain::recipe::curate::{
    BalanceBy, DedupeBy, Filter, FirstError, LabelFrom, LabelSource, LabelValue, Linearise, Mask, Measure, Mix,
    Normalise, Of, Operator, Over, Pair, PairBy, PairFrom, Per, Relabel, Repairs, RewardSum, RewardTerm, ShapeTurns,
    Splice, Subsample, TopK,
};
use galapagos_domain::recipe::{Number, Shuffled};
use galapagos_domain::seed::Seed;
use galapagos_domain::trajectory::{Outcome, Trajectory};
use proptest::prelude::*;

use super::stream::{Limits, stream};
use super::test_records::{Shelf, records, trees, with_means};
use super::*;
use crate::cancel::Cancel;

fn label(value: LabelValue, from: LabelSource) -> LabelFrom {
    LabelFrom { value, from, drop_penalty: 1.0, soft_dip: false, threshold: Some(0.25), clip: None }
}

fn pair(from: PairFrom, by: Option<PairBy>) -> Pair {
    Pair { from, by, each_side: 2, margin: 0.0, step_margin: 0.0, above: None, edit_distance: 0 }
}

fn at_least(by: Measure, bound: f64) -> Operator {
    Operator::Filter(Filter { by, above: None, at_least: Some(Number::Value(bound)), below: None, at_most: None })
}

fn term(of: Measure) -> RewardTerm {
    RewardTerm { of, weight: 0.5, pass: None, fail: None, saturate: None }
}

fn simple() -> impl Strategy<Value = Operator> {
    prop_oneof![
        Just(Operator::Keep { verdict: Outcome::Pass }),
        Just(Operator::Drop { contains: "b".to_owned() }),
        (-2i8..3).prop_map(|bound| at_least(Measure::Score("prm".to_owned()), f64::from(bound) / 2.0)),
        (1..4u32).prop_map(|k| Operator::TopK(TopK {
            k,
            per: Over::Task,
            by: vec![Measure::MeanQ, Measure::Shortest]
        })),
        (1..9u32).prop_map(|k| Operator::TopK(TopK { k, per: Over::Dataset, by: vec![Measure::Confidence] })),
        Just(Operator::Dedupe),
        Just(Operator::DedupeBy(DedupeBy::Answer)),
        (1..3u32).prop_map(|ngram| Operator::DedupeBy(DedupeBy::Near { ngram, threshold: 0.5 })),
        (0..4u32).prop_map(|max| Operator::Cap { per: Per::Task, max }),
        Just(Operator::Balance(BalanceBy::Verdict)),
        Just(Operator::Balance(BalanceBy::Task)),
        (0..30u32, any::<bool>()).prop_map(|(n, weighted)| {
            let by = weighted.then_some(Measure::Length);
            Operator::Subsample(Subsample { n, by, complement: false })
        }),
        Just(Operator::RepeatVerify { times: 4, min_pass: 2 }),
    ]
}

fn changing() -> impl Strategy<Value = Operator> {
    let of = || prop_oneof![Just(Of::Reward), Just(Of::Values)];
    let mix = BTreeMap::from([(Name::new("older").unwrap(), 0.5)]);
    prop_oneof![
        Just(Operator::Shuffle(Shuffled::Verdicts)),
        Just(Operator::Shuffle(Shuffled::Scores)),
        Just(Operator::Shuffle(Shuffled::Labels)),
        Just(Operator::Shuffle(Shuffled::Prompts)),
        Just(Operator::Pair(pair(PairFrom::Samples, None))),
        Just(Operator::LabelFrom(label(LabelValue::Q, LabelSource::Records))),
        Just(Operator::LabelFrom(label(LabelValue::Vote, LabelSource::Records))),
        Just(Operator::LabelFrom(label(LabelValue::Outcome, LabelSource::Records))),
        Just(Operator::Relabel(Relabel { classes: Some(vec![-1.0, 1.0]), ..Relabel::default() })),
        Just(Operator::Splice(Splice {
            first_error: FirstError::LowestQ,
            shown: false,
            revision: "Wait. ".to_owned(),
            per_step: Some("Back. ".to_owned()),
            mask_bad: true
        })),
        Just(Operator::Repairs(Repairs { ask: "{prompt}/{answer}/{error}".to_owned(), chat: false })),
        Just(Operator::Mask(Mask::Prefix(0.5))),
        Just(Operator::Mix(Mix { with: mix })),
        Just(Operator::Relabel(Relabel { pass: Some(1.0), fail: Some(-1.0), ..Relabel::default() })),
        Just(Operator::Noise { flip: 0.5 }),
        Just(Operator::ShapeTurns(ShapeTurns { bonus: 2.0, first: 0.5 })),
        Just(Operator::Reward(RewardSum { sum: vec![term(Measure::Verdict), term(Measure::Confidence)] })),
        Just(Operator::Normalise(Normalise::SiblingCenter)),
        of().prop_map(|of| Operator::Normalise(Normalise::PerPrompt(of))),
        of().prop_map(|of| Operator::Normalise(Normalise::PerTree(of))),
        of().prop_map(|of| Operator::Normalise(Normalise::Whiten(of))),
    ]
}

fn wooden() -> impl Strategy<Value = Operator> {
    let from = prop_oneof![Just(PairFrom::Siblings), Just(PairFrom::Leaves), Just(PairFrom::SameDepth)];
    prop_oneof![
        from.prop_map(|from| Operator::Pair(pair(from, None))),
        Just(Operator::LabelFrom(label(LabelValue::Rollout, LabelSource::Trees))),
        Just(Operator::Linearise(Linearise {
            dead_ends: 2,
            text_back: "No. ".to_owned(),
            per_step: Some("Back. ".to_owned()),
            killed: true,
        })),
    ]
}

/// An operator on trees now and then, then some others.
fn operators() -> impl Strategy<Value = Vec<Operator>> {
    let others = prop::collection::vec(prop_oneof![simple(), changing()], 0..6);
    (prop::option::weighted(0.3, wooden()), others)
        .prop_map(|(first, others)| first.into_iter().chain(others).collect())
}

/// A dataset to mix in, and trees.
fn shelf() -> impl Strategy<Value = Shelf> {
    (records(), trees()).prop_map(|(older, trees)| {
        let datasets = BTreeMap::from([(Name::new("older").unwrap(), older)]);
        Shelf { datasets, trees }
    })
}

fn applied(
    operators: &[Operator],
    records: Vec<Trajectory>,
    shelf: &Shelf,
) -> (Vec<Trajectory>, Vec<galapagos_domain::job::OperatorCount>) {
    with_means(shelf, |means| apply(operators, records, Seed(3), means)).unwrap()
}

proptest! {
    #[test]
    fn counts_form_a_chain_and_the_same_seed_gives_the_same_records(
        operators in operators(), records in records(), shelf in shelf(),
    ) {
        let (out, counts) = applied(&operators, records.clone(), &shelf);
        let mut expected_in = records.len() as u64;
        for count in &counts {
            prop_assert_eq!(count.records_in, expected_in);
            prop_assert!(count.without <= count.records_in);
            expected_in = count.records_out;
        }
        prop_assert_eq!(out.len() as u64, expected_in);
        prop_assert_eq!(applied(&operators, records, &shelf), (out, counts));
    }

    #[test]
    fn streams_in_tiny_pieces_give_what_memory_gives(
        operators in operators(), records in records(), shelf in shelf(), held_bytes in 0..4000u64, fan in 2..5usize,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let cancel = Cancel::default();
        let limits = Limits { held_bytes, fan, ..Limits::new(folder.path(), &cancel) };
        let expected = applied(&operators, records.clone(), &shelf);
        let given = with_means(&shelf, |means| {
            let records = Box::new(records.into_iter().map(Ok));
            let mut streamed = stream(&operators, records, Seed(3), means, limits).unwrap();
            let out: Result<Vec<_>, _> = streamed.by_ref().collect();
            (out.unwrap(), streamed.counts())
        });
        prop_assert_eq!(given, expected);
    }

    #[test]
    fn choosing_keeps_records_as_they_are_and_in_order(operator in simple(), records in records()) {
        let (out, counts) = applied(&[operator], records.clone(), &Shelf::default());
        prop_assert!(out.is_sorted_by_key(|record| record.sample));
        prop_assert!(out.iter().all(|record| records[record.sample as usize] == *record));
        prop_assert!(counts[0].records_out + counts[0].without <= counts[0].records_in);
    }

    #[test]
    fn what_is_chosen_is_chosen_again(operator in simple(), records in records()) {
        let once = applied(std::slice::from_ref(&operator), records, &Shelf::default()).0;
        prop_assert_eq!(applied(&[operator], once.clone(), &Shelf::default()).0, once);
    }

    #[test]
    fn every_task_keeps_its_earliest_records_up_to_the_cap(records in records(), max in 0..4u32) {
        let capped = applied(&[Operator::Cap { per: Per::Task, max }], records.clone(), &Shelf::default()).0;
        for task in (0..4).map(|task| format!("train/{task}")) {
            let of_task = |from: &[Trajectory]| -> Vec<u32> {
                from.iter().filter(|record| record.task == task).map(|record| record.sample).collect()
            };
            let mut earliest = of_task(&records);
            earliest.truncate(max as usize);
            prop_assert_eq!(of_task(&capped), earliest);
        }
    }

    #[test]
    fn a_balance_leaves_as_many_of_each_as_the_rarest_has(records in records()) {
        let count = |from: &[Trajectory], outcome| from.iter().filter(|r| r.verdict.outcome == outcome).count();
        let rarer = count(&records, Outcome::Pass).min(count(&records, Outcome::Fail));
        let verdicts = applied(&[Operator::Balance(BalanceBy::Verdict)], records.clone(), &Shelf::default()).0;
        prop_assert_eq!((count(&verdicts, Outcome::Pass), count(&verdicts, Outcome::Fail)), (rarer, rarer));
        prop_assert_eq!(verdicts.len(), 2 * rarer);
        let tasks = |from: &[Trajectory]| {
            let mut tasks: BTreeMap<String, usize> = BTreeMap::new();
            from.iter().for_each(|record| *tasks.entry(record.task.clone()).or_default() += 1);
            tasks
        };
        let before = tasks(&records);
        let after = tasks(&applied(&[Operator::Balance(BalanceBy::Task)], records, &Shelf::default()).0);
        let rarest = before.values().min().copied();
        prop_assert!(after.values().all(|count| Some(*count) == rarest) && after.len() == before.len());
    }

    #[test]
    fn labels_are_permuted_and_nothing_else_changes(records in records()) {
        let shuffled = applied(&[Operator::Shuffle(Shuffled::Labels)], records.clone(), &Shelf::default()).0;
        let labels = |from: &[Trajectory]| {
            let values = from.iter().flat_map(|record| record.credit.spans.iter().filter_map(|span| span.value));
            let mut values: Vec<f32> = values.collect();
            values.sort_by(f32::total_cmp);
            values
        };
        prop_assert_eq!(labels(&records), labels(&shuffled));
        for (record, shuffled) in records.iter().zip(&shuffled) {
            let mut restored = shuffled.clone();
            for (span, before) in restored.credit.spans.iter_mut().zip(&record.credit.spans) {
                prop_assert_eq!(span.value.is_some(), before.value.is_some());
                span.value = before.value;
            }
            prop_assert_eq!(&restored, record);
        }
    }

    #[test]
    fn prompts_are_permuted_with_their_tasks_and_nothing_else_changes(records in records()) {
        let shuffled = applied(&[Operator::Shuffle(Shuffled::Prompts)], records.clone(), &Shelf::default()).0;
        let asked = |of: &Trajectory| (of.task_set.clone(), of.task.clone(), of.prompt_tokens.clone(), of.prefix_len);
        let all = |from: &[Trajectory]| {
            let mut all: Vec<_> = from.iter().map(asked).collect();
            all.sort();
            all
        };
        prop_assert_eq!(all(&records), all(&shuffled));
        for (record, shuffled) in records.iter().zip(&shuffled) {
            let (task_set, task, prompt_tokens, prefix_len) = asked(record);
            prop_assert_eq!(&Trajectory { task_set, task, prompt_tokens, prefix_len, ..shuffled.clone() }, record);
        }
    }

    #[test]
    fn scores_are_permuted_with_rewards_and_verdicts_keep_what_they_decided(records in records()) {
        let shuffled = applied(&[Operator::Shuffle(Shuffled::Scores)], records.clone(), &Shelf::default()).0;
        let given = |of: &Trajectory| {
            let scores: Vec<_> = of.scores.iter().map(|score| (score.by.clone(), score.value.to_bits())).collect();
            (scores, of.credit.reward.map(f32::to_bits), of.verdict.score.map(f32::to_bits))
        };
        let all = |from: &[Trajectory]| {
            let mut all: Vec<_> = from.iter().map(given).collect();
            all.sort();
            all
        };
        prop_assert_eq!(all(&records), all(&shuffled));
        for (record, shuffled) in records.iter().zip(&shuffled) {
            let mut restored = Trajectory { scores: record.scores.clone(), ..shuffled.clone() };
            restored.credit.reward = record.credit.reward;
            restored.verdict.score = record.verdict.score;
            prop_assert_eq!(&restored, record);
        }
    }

    #[test]
    fn verdicts_are_permuted_and_nothing_else_changes(records in records()) {
        let shuffled = applied(&[Operator::Shuffle(Shuffled::Verdicts)], records.clone(), &Shelf::default()).0;
        let reasons = |from: &[Trajectory]| {
            let mut reasons: Vec<_> = from.iter().map(|record| record.verdict.reason.clone()).collect();
            reasons.sort();
            reasons
        };
        prop_assert_eq!(reasons(&records), reasons(&shuffled));
        for (record, shuffled) in records.iter().zip(&shuffled) {
            let restored = Trajectory { verdict: record.verdict.clone(), ..shuffled.clone() };
            prop_assert_eq!(&restored, record);
        }
    }
}

#[test]
fn a_cancelled_stream_ends_at_the_next_record_that_it_reads_back() {
    let folder = tempfile::tempdir().unwrap();
    let cancel = Cancel::default();
    let limits = Limits { held_bytes: 0, ..Limits::new(folder.path(), &cancel) };
    let records = (0..9).map(|place| Ok(super::test_records::plain(0, 0, place)));
    let (shelf, operators) = (Shelf::default(), [Operator::Dedupe]);
    with_means(&shelf, |means| {
        let mut streamed = stream(&operators, Box::new(records), Seed(3), means, limits).unwrap();
        assert!(streamed.next().unwrap().is_ok());
        cancel.raise();
        // The next one is in memory already.
        let ends = streamed.take(3).find_map(Result::err);
        assert!(matches!(ends, Some(OperatorError::Cancelled)), "{ends:?}");
    });
}

#[test]
fn every_place_is_drawn_about_equally_often() {
    let mut hits = [0u32; 10];
    for seed in 0..2000 {
        for (place, chosen) in sample::choose(10, 3, Seed(seed)).into_iter().enumerate() {
            hits[place] += u32::from(chosen);
        }
    }
    // 600 expected, standard deviation 20.5: five of them either way.
    assert!(hits.iter().all(|hits| (497..=703).contains(hits)), "{hits:?}");
}

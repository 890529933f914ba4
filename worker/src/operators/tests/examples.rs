//! Operators on records, counted by hand.

use std::collections::BTreeMap;

use galapagos_domain::ids::Name;
use galapagos_domain::recipe::curate::{
    FirstError, LabelFrom, LabelSource, LabelValue, Measure, Mix, Normalise, Of, Operator, Over, PairFrom, Relabel,
    Repairs, RewardSum, RewardTerm, ShapeTurns, Splice, TopK,
};
use galapagos_domain::recipe::{Number, Shuffled};
use galapagos_domain::trajectory::{Outcome, Score, Trajectory};
use proptest::prelude::*;

use super::super::test_records::{Shelf, plain, span, with_means};
use super::super::{OperatorError, apply};
use super::{applied, at_least, label, pair, term};
use galapagos_domain::seed::Seed;

const PASS: usize = 0;
const FAIL: usize = 1;
const ERROR: usize = 2;

/// A record of a task with one part for each letter and value.
fn steps(place: u32, outcome: usize, letters: &str, values: &[f32]) -> Trajectory {
    let mut record = plain(0, outcome, place);
    record.completion_tokens = letters.chars().map(u32::from).collect();
    record.log_probs = vec![-0.5; letters.len()];
    record.completion = letters.trim_end().to_owned();
    record.credit.spans = (0..).zip(values).map(|(at, value)| span(at, at + 1, Some(*value))).collect();
    record
}

fn scored(place: u32, outcome: usize, score: f32) -> Trajectory {
    Trajectory { scores: vec![Score { by: "prm/1".to_owned(), value: score }], ..plain(0, outcome, place) }
}

fn run(operator: Operator, records: Vec<Trajectory>) -> Vec<Trajectory> {
    applied(&[operator], records, &Shelf::default()).0
}

fn places(records: &[Trajectory]) -> Vec<u32> {
    records.iter().map(|record| record.sample).collect()
}

fn rewards(records: &[Trajectory]) -> Vec<Option<f64>> {
    records.iter().map(Trajectory::reward).collect()
}

#[test]
fn a_filter_counts_what_has_no_number_and_what_the_verdicts_say_of_it() {
    let records = vec![
        scored(0, PASS, 0.75),
        scored(1, FAIL, 0.25),
        plain(0, PASS, 2),
        scored(3, FAIL, 0.5),
        scored(4, ERROR, 1.0),
        scored(5, FAIL, 0.0),
    ];
    let filter = at_least(Measure::Score("prm".to_owned()), 0.5);
    let (left, counts) = applied(std::slice::from_ref(&filter), records.clone(), &Shelf::default());
    assert_eq!(places(&left), [0, 3, 4]);
    let count = &counts[0];
    assert_eq!((count.operator.as_str(), count.records_in, count.records_out, count.without), ("filter", 6, 3, 1));
    // Two of five decided pass before, one of two after.
    assert_eq!(count.oracle.unwrap().precision(), Some((0.4, 0.5)));
    let shuffled = applied(&[Operator::Shuffle(Shuffled::Verdicts), filter], records.clone(), &Shelf::default()).1;
    assert_eq!(shuffled[1].oracle, None, "a shuffled verdict says nothing");
    let by_reward = applied(&[at_least(Measure::Reward, 0.5)], records, &Shelf::default()).1;
    assert_eq!(by_reward[0].oracle, None, "the reward is the verdict's own");
}

#[test]
fn the_bounds_of_a_filter_are_strict_or_not_as_they_say() {
    let records: Vec<_> = (0..4).map(|place| scored(place, PASS, place as f32)).collect();
    let Operator::Filter(plain) = at_least(Measure::Score("prm/1".to_owned()), 0.0) else { panic!() };
    let bound = |value: f64| Some(Number::Value(value));
    let open = Operator::Filter(galapagos_domain::recipe::curate::Filter {
        at_least: None,
        above: bound(0.0),
        below: bound(3.0),
        ..plain.clone()
    });
    assert_eq!(places(&run(open, records.clone())), [1, 2]);
    let closed =
        galapagos_domain::recipe::curate::Filter { at_least: bound(1.0), at_most: bound(3.0), ..plain.clone() };
    assert_eq!(places(&run(Operator::Filter(closed), records)), [1, 2, 3]);
    let open = galapagos_domain::recipe::curate::Filter { above: Some(Number::Variable("$t".to_owned())), ..plain };
    let error = with_means(&Shelf::default(), |means| apply(&[Operator::Filter(open)], Vec::new(), Seed(0), means));
    assert!(matches!(error, Err(OperatorError::Variable(_))), "{error:?}");
}

#[test]
fn the_best_two_by_mean_then_least_value_with_ties_to_the_earliest() {
    let records = vec![
        steps(0, PASS, "ab", &[0.5, 0.5]),
        steps(1, PASS, "ab", &[0.25, 0.75]),
        steps(2, PASS, "ab", &[0.5, 0.5]),
        steps(3, PASS, "ab", &[0.0, 0.25]),
        steps(4, PASS, "ab", &[]),
    ];
    let top = |k, per, by: &[Measure]| Operator::TopK(TopK { k, per, by: by.to_vec() });
    let by = [Measure::MeanQ, Measure::MinQ];
    assert_eq!(places(&run(top(2, Over::Task, &by), records.clone())), [0, 2]);
    assert_eq!(places(&run(top(1, Over::Dataset, &by), records.clone())), [0]);
    assert_eq!(places(&run(top(2, Over::Task, &[Measure::LastQ]), records.clone())), [0, 1]);
    // What has no value is behind all that have one.
    assert_eq!(places(&run(top(4, Over::Dataset, &by), records)), [0, 1, 2, 3]);
}

#[test]
fn the_passed_and_the_failed_of_one_task_are_paired() {
    let mut records =
        vec![plain(0, FAIL, 0), plain(1, PASS, 1), plain(0, PASS, 2), plain(0, PASS, 3), plain(0, ERROR, 4)];
    records[0].completion = "a long text".to_owned();
    let pairs = run(Operator::Pair(pair(PairFrom::Samples, None)), records.clone());
    assert_eq!(places(&pairs), [2, 0, 3, 0], "task 1 has no fail");
    assert!(pairs.iter().all(|record| (record.credit.weight - 0.5).abs() < 1e-6));
    let chosen: Vec<_> = pairs.iter().map(|record| record.credit.pair.as_ref().unwrap().chosen).collect();
    assert_eq!(chosen, [true, false, true, false]);
    let far = galapagos_domain::recipe::curate::Pair { edit_distance: 12, ..pair(PairFrom::Samples, None) };
    assert!(run(Operator::Pair(far), records).is_empty());
}

#[test]
fn votes_become_rewards() {
    let mut records: Vec<_> = (0..4).map(|place| plain(0, FAIL, place)).collect();
    for (record, text) in records.iter_mut().zip(["so\n7", "7 ", "8", "7"]) {
        record.completion = text.to_owned();
    }
    let share = LabelFrom { threshold: None, ..label(LabelValue::Vote, LabelSource::Records) };
    assert_eq!(
        rewards(&run(Operator::LabelFrom(share), records.clone())),
        [Some(0.75), Some(0.75), Some(0.25), Some(0.75)]
    );
    let most = LabelFrom { threshold: Some(0.5), ..label(LabelValue::Vote, LabelSource::Records) };
    assert_eq!(rewards(&run(Operator::LabelFrom(most), records)), [Some(1.0), Some(1.0), Some(0.0), Some(1.0)]);
}

#[test]
fn labels_of_a_record_are_made_of_its_values_and_records_without_are_dropped() {
    let records = vec![steps(0, PASS, "abc", &[0.5, 0.25, 1.0]), steps(1, PASS, "abc", &[])];
    let made = LabelFrom { threshold: Some(0.5), ..label(LabelValue::Q, LabelSource::Records) };
    let (left, counts) = applied(&[Operator::LabelFrom(made)], records, &Shelf::default());
    // 0.5, 0.25 - 0.25, 1 + 0.75, of which the last alone is above a half.
    let said: Vec<_> = left[0].credit.spans.iter().map(|span| (span.value, span.class)).collect();
    assert_eq!(said, [(Some(0.0), Some(0)), (Some(0.0), Some(0)), (Some(1.0), Some(1))]);
    assert_eq!((left.len(), counts[0].without), (1, 1));
}

fn splice(first_error: FirstError, mask_bad: bool) -> Operator {
    Operator::Splice(Splice { first_error, revision: "Wait.".to_owned(), per_step: None, mask_bad, shown: false })
}

#[test]
fn a_failed_record_goes_on_right_behind_its_first_error() {
    // They share `ab`; the failed one errs at `d`; the passed one ends with a line break.
    let bad = steps(0, FAIL, "abcde\n", &[0.5, -1.0, 0.5, -0.5, 0.0, 0.0]);
    let good = steps(1, PASS, "abxyz\n", &[0.5, 0.5, 0.75, 1.0, 1.0, 1.0]);
    let other = steps(2, PASS, "q\n", &[1.0, 1.0]);
    let records = vec![bad, other, good];
    let made = run(splice(FirstError::LowestQ, true), records.clone());
    assert_eq!(made.len(), 1);
    let text = |record: &Trajectory| -> String {
        record.completion_tokens.iter().filter_map(|token| char::from_u32(*token)).collect()
    };
    // The lowest value of all is that of `b`, which the right one has too: what counts is behind the parting.
    assert_eq!((text(&made[0]).as_str(), made[0].completion.as_str()), ("abcdWait.xyz\n", "abcdWait.xyz"));
    assert_eq!((made[0].verdict.outcome, made[0].sample, made[0].log_probs.len()), (Outcome::Pass, 0, 0));
    let spans: Vec<_> = made[0].credit.spans.iter().map(|span| (span.start, span.end, span.learn)).collect();
    let hidden = [(0, 1, false), (1, 2, false), (2, 3, false), (3, 4, false)];
    let learned = [(4, 9, true), (9, 10, true), (10, 11, true), (11, 12, true), (12, 13, true)];
    assert_eq!(spans, [hidden.as_slice(), &learned].concat());
    let open = run(splice(FirstError::Below(0.75), false), records.clone());
    assert_eq!(open[0].completion, "abcWait.xyz", "`c` is the first below 0.75 behind the parting");
    assert!(open[0].credit.spans.iter().all(|span| span.learn));
    let whole = run(splice(FirstError::Verdict, true), records.clone());
    assert_eq!(whole[0].completion, "abcdeWait.xyz", "the line break of the failed one is gone");
    assert!(run(splice(FirstError::Below(-2.0), true), records).is_empty());
}

#[test]
fn a_failed_record_is_cut_where_somebody_named_its_first_error_or_anywhere() {
    let mut bad = steps(0, FAIL, "abcde", &[0.5, 0.5, 0.5, 0.5, 0.5]);
    // `c` was right and `d` wrong; `e` is what was shown behind it.
    for (span, class) in bad.credit.spans.iter_mut().zip([Some(1), Some(1), Some(1), Some(0), None]) {
        span.class = class;
    }
    bad.credit.spans[4].learn = false;
    let good = steps(1, PASS, "abxy", &[0.5, 0.5, 0.5, 0.5]);
    let spliced = |first_error, shown| {
        let splice = Splice { first_error, revision: "Wait.".to_owned(), per_step: None, mask_bad: true, shown };
        run(Operator::Splice(splice), vec![bad.clone(), good.clone()])
    };
    assert_eq!(spliced(FirstError::Judged, false)[0].completion, "abcdWait.xy");
    assert_eq!(spliced(FirstError::Judged, true)[0].completion, "abcdeWait.xy");
    let random = spliced(FirstError::Random, false);
    assert!(["abcWait.xy", "abcdWait.xy"].contains(&random[0].completion.as_str()), "{}", random[0].completion);
    assert_eq!(spliced(FirstError::Random, false), random, "by seed");
    let mut early = bad.clone();
    early.credit.spans[0].class = Some(0);
    early.credit.spans[3].class = None;
    let splice = Splice {
        first_error: FirstError::Judged,
        revision: String::new(),
        per_step: None,
        mask_bad: true,
        shown: false,
    };
    assert!(run(Operator::Splice(splice), vec![early, good]).is_empty(), "an error that the passed record has, too");
}

#[test]
fn what_is_said_again_is_said_for_every_further_step_behind_the_parting() {
    // They share `ab`; `c`, `d` and `e` are wrong steps, of which `e` was shown and not taken.
    let mut bad = steps(0, FAIL, "abcdef", &[0.5, 0.5, 0.5, 0.25, 0.5, 0.5]);
    bad.credit.spans[4].learn = false;
    let good = steps(1, PASS, "abxy", &[0.5, 0.5, 0.5, 0.5]);
    let mut stopped = steps(0, FAIL, "abcd\n", &[0.5, 0.5, 0.5, 0.5]);
    stopped.credit.spans[3].end = 5;
    let per_step = Some("-".to_owned());
    let splice =
        Splice { first_error: FirstError::Verdict, revision: "<".to_owned(), per_step, mask_bad: true, shown: false };
    let made = run(Operator::Splice(splice), vec![stopped, good.clone()]);
    assert_eq!(made[0].completion, "abcd<-xy", "the last step counts without what stopped it");
    for (first_error, shown, completion) in [
        (FirstError::Below(0.75), false, "abc<xy"),
        (FirstError::LowestQ, false, "abcd<-xy"),
        (FirstError::LowestQ, true, "abcde<-xy"),
        (FirstError::Verdict, false, "abcdef<--xy"),
    ] {
        let per_step = Some("-".to_owned());
        let splice = Splice { first_error, revision: "<".to_owned(), per_step, mask_bad: true, shown };
        let made = run(Operator::Splice(splice), vec![bad.clone(), good.clone()]);
        assert_eq!(made[0].completion, completion);
        let learned: u32 =
            made[0].credit.spans.iter().filter(|span| span.learn).map(|span| span.end - span.start).sum();
        let said = completion.chars().filter(|sign| "<-xy".contains(*sign)).count();
        assert_eq!((learned as usize, made[0].completion_tokens.len()), (said, completion.len()), "{completion}");
    }
}

#[test]
fn a_failed_record_is_asked_to_become_the_passed_one_that_is_most_like_it() {
    let of = |place, outcome, completion: &str, reason: &str| {
        let mut record = steps(place, outcome, &format!("{completion}\n"), &[]);
        (record.verdict.reason, record.prompt_tokens, record.prefix_len) = (reason.to_owned(), vec![33, 113, 63], 1);
        record
    };
    let rows = vec![
        of(0, FAIL, "abc", "one short"),
        of(1, PASS, "xyz", ""),
        of(2, PASS, "abd", ""),
        of(3, ERROR, "abe", "nobody knows"),
        of(4, FAIL, "xyw", "wrong"),
        // The same question in another split, and another question.
        Trajectory { task: "demonstrations/7".to_owned(), ..of(5, PASS, "xyv", "") },
        Trajectory { prompt_tokens: vec![33, 114, 63], ..of(6, PASS, "abc", "") },
    ];
    let ask = |ask: &str, chat| Operator::Repairs(Repairs { ask: ask.to_owned(), chat });
    let made = run(ask("{prompt}{answer}({error})", false), rows.clone());
    let said = |record: &Trajectory| {
        let prompt: String = record.prompt_tokens.iter().filter_map(|token| char::from_u32(*token)).collect();
        (record.sample, prompt, record.completion.clone(), record.completion_tokens.len())
    };
    let told = |sample, prompt: &str, completion: &str| (sample, prompt.to_owned(), completion.to_owned(), 4);
    // The few-shot prefix `!` is none of the question.
    let expected = [told(0, "q?abc(one short)", "abd"), told(4, "q?xyw(wrong)", "xyz")];
    assert_eq!(made.iter().map(said).collect::<Vec<_>>(), expected);
    for record in &made {
        assert_eq!((record.verdict.outcome, record.prefix_len, record.log_probs.len()), (Outcome::Pass, 0, 0));
    }
    assert_eq!(run(ask("{answer}", true), rows.clone()).len(), 2);
    let failed: Vec<_> = rows.into_iter().filter(|row| row.verdict.outcome == Outcome::Fail).collect();
    assert!(run(ask("{answer}", false), failed.clone()).is_empty(), "nobody knows what would be right");
    let shown = Trajectory { task: "demonstrations/7".to_owned(), ..of(5, PASS, "xyv", "") };
    let made = run(ask("{answer}", false), failed.into_iter().chain([shown]).collect());
    assert_eq!(made.iter().map(|record| record.completion.as_str()).collect::<Vec<_>>(), ["xyv", "xyv"]);
    assert!(made.iter().all(|record| record.task != "demonstrations/7"), "they stay with the task that was failed");
}

#[test]
fn answers_in_one_piece_are_begun_anew() {
    let made = run(splice(FirstError::Verdict, true), vec![steps(0, FAIL, "abc", &[]), steps(1, PASS, "abd", &[])]);
    assert_eq!(made[0].completion, "abcWait.abd");
    let spans: Vec<_> = made[0].credit.spans.iter().map(|span| (span.start, span.end, span.learn)).collect();
    assert_eq!(spans, [(0, 3, false), (3, 8, true), (8, 11, true)]);
}

#[test]
fn a_text_needs_a_tokenizer() {
    let operators = [splice(FirstError::Verdict, true)];
    let failed = with_means(&Shelf::default(), |means| {
        apply(&operators, Vec::new(), Seed(0), super::super::Means { text: None, ..means }).unwrap_err()
    });
    assert!(matches!(failed, OperatorError::NoTokenizer { operator: "splice" }), "{failed:?}");
}

#[test]
fn rewards_follow_verdicts_and_scores() {
    let mut records = vec![plain(0, PASS, 0), plain(0, FAIL, 1), plain(0, ERROR, 2), plain(0, FAIL, 3)];
    records[3].verdict.score = Some(0.25);
    let relabel = |by_score| Operator::Relabel(Relabel { pass: Some(1.0), fail: Some(-1.0), by_score, classes: None });
    assert_eq!(rewards(&run(relabel(false), records.clone())), [Some(1.0), Some(-1.0), None, Some(-1.0)]);
    assert_eq!(rewards(&run(relabel(true), records.clone())), [Some(1.0), Some(-1.0), None, Some(-0.5)]);
    assert_eq!(rewards(&run(Operator::Noise { flip: 1.0 }, records.clone())), [Some(0.0), Some(1.0), None, Some(0.75)]);
    assert_eq!(run(Operator::Noise { flip: 0.0 }, records.clone()), records);
}

#[test]
fn classes_of_verdicts_become_classes_of_records_and_their_rewards() {
    let mut records = vec![steps(0, FAIL, "ab", &[]), steps(1, PASS, "cd", &[0.5, 1.0]), plain(0, FAIL, 2)];
    (records[0].verdict.class, records[1].verdict.class, records[2].verdict.class) = (Some(1), Some(3), None);
    let classes = |records: &[Trajectory]| {
        let spans =
            |record: &Trajectory| record.credit.spans.iter().map(|s| (s.start, s.end, s.class)).collect::<Vec<_>>();
        records.iter().map(spans).collect::<Vec<_>>()
    };
    let plain = LabelFrom { threshold: None, drop_penalty: 0.0, ..label(LabelValue::Outcome, LabelSource::Records) };
    let labelled = run(Operator::LabelFrom(plain), records.clone());
    assert_eq!(classes(&labelled), [vec![(0, 2, Some(1))], vec![(0, 1, None), (1, 2, Some(3))]]);
    let relabel =
        |classes: &[f64]| Operator::Relabel(Relabel { classes: Some(classes.to_vec()), ..Relabel::default() });
    let paid = run(relabel(&[-1.0, -0.5, -0.25, 1.0]), records.clone());
    assert_eq!((places(&paid), rewards(&paid)), (vec![0, 1], vec![Some(-0.5), Some(1.0)]));
    assert_eq!(places(&run(relabel(&[-1.0, -0.5]), records)), [0], "class 3 is given no reward");
}

#[test]
fn noise_turns_the_asked_share_and_both_sides_of_a_preference() {
    let records: Vec<_> = (0..4000).map(|place| plain(0, PASS, place)).collect();
    let noisy = run(Operator::Noise { flip: 0.25 }, records);
    let turned = noisy.iter().filter(|record| record.reward() == Some(0.0)).count();
    // 1000 expected, standard deviation 27.4: five of them either way.
    assert!((863..=1137).contains(&turned), "{turned}");
    let pairs: Vec<_> = (0..50)
        .flat_map(|number| {
            let both = vec![plain(number, PASS, 2 * number), plain(number, FAIL, 2 * number + 1)];
            run(Operator::Pair(pair(PairFrom::Samples, None)), both)
        })
        .collect();
    let noisy = run(Operator::Noise { flip: 0.5 }, pairs);
    let turned = noisy.chunks(2).filter(|two| {
        let chosen = |record: &Trajectory| record.credit.pair.as_ref().unwrap().chosen;
        assert_ne!(chosen(&two[0]), chosen(&two[1]));
        chosen(&two[1])
    });
    let turned = turned.count();
    assert!((7..=43).contains(&turned), "{turned} of 50");
}

#[test]
fn a_record_is_verified_until_it_is_known() {
    // The verifier of these tests passes a record as often as it has tokens.
    let records = vec![steps(0, PASS, "a", &[]), steps(1, PASS, "abc", &[]), steps(2, PASS, "ab", &[])];
    assert_eq!(places(&run(Operator::RepeatVerify { times: 3, min_pass: 2 }, records.clone())), [1, 2]);
    assert_eq!(places(&run(Operator::RepeatVerify { times: 2, min_pass: 2 }, records.clone())), [1, 2]);
    assert_eq!(places(&run(Operator::RepeatVerify { times: 5, min_pass: 4 }, records)), Vec::<u32>::new());
}

#[test]
fn rewards_and_values_on_one_scale() {
    let mut records: Vec<_> = (0..4).map(|place| plain(place / 2, PASS, place)).collect();
    for (record, reward) in records.iter_mut().zip([1.0, 3.0, 5.0, 5.0]) {
        (record.credit.reward, record.leaf) = (Some(reward), None);
    }
    let on = |how| rewards(&run(Operator::Normalise(how), records.clone()));
    assert_eq!(on(Normalise::PerPrompt(Of::Reward)), [Some(-1.0), Some(1.0), Some(0.0), Some(0.0)]);
    assert_eq!(on(Normalise::PerTree(Of::Reward)), [Some(0.0), Some(1.0), Some(0.5), Some(0.5)]);
    // Mean 3.5, variance (6.25 + 0.25 + 2.25 + 2.25) / 4 = 2.75.
    let expected = [-2.5, -0.5, 1.5, 1.5].map(|distance| distance / 2.75f64.sqrt());
    for (got, expected) in on(Normalise::Whiten(Of::Reward)).into_iter().zip(expected) {
        assert!((got.unwrap() - expected).abs() < 1e-6, "{got:?} {expected}");
    }
    let errors = run(Operator::Normalise(Normalise::Whiten(Of::Reward)), vec![plain(0, ERROR, 0)]);
    assert_eq!(rewards(&errors), [None]);
}

#[test]
fn a_step_is_centred_among_those_that_go_on_from_the_same() {
    // `a` goes on with b (1), c (0.5) and, in a second record that counts once, b again.
    let records = vec![
        steps(0, PASS, "ab", &[0.5, 1.0]),
        steps(1, FAIL, "ac", &[0.5, 0.5]),
        steps(2, PASS, "abd", &[0.5, 1.0, 0.25]),
        steps(3, FAIL, "e", &[0.25]),
    ];
    let centred = run(Operator::Normalise(Normalise::SiblingCenter), records);
    let values: Vec<Vec<_>> =
        centred.iter().map(|record| record.credit.spans.iter().filter_map(|span| span.value).collect()).collect();
    // First steps: a 0.5 and e 0.25, mean 0.375. Behind a: b 1 and c 0.5, mean 0.75. d is alone.
    assert_eq!(values, [vec![0.125, 0.25], vec![0.125, -0.25], vec![0.125, 0.25, 0.0], vec![-0.125]]);
}

#[test]
fn other_datasets_are_mixed_in_exact_proportion_behind_the_own_records() {
    let (older, own) = (Name::new("older").unwrap(), (0..10).map(|place| plain(0, PASS, place)).collect::<Vec<_>>());
    let older_rows: Vec<_> = (100..103).map(|place| plain(1, FAIL, place)).collect();
    let shelf = Shelf { datasets: BTreeMap::from([(older.clone(), older_rows)]), ..Shelf::default() };
    let mix = |ratio| [Operator::Mix(Mix { with: BTreeMap::from([(older.clone(), ratio)]) })];
    let (mixed, counts) = applied(&mix(0.5), own.clone(), &shelf);
    assert_eq!((counts[0].records_in, counts[0].records_out), (10, 9), "three of it want six of the own");
    assert_eq!(places(&mixed)[6..], [100, 101, 102]);
    assert!(places(&mixed).is_sorted());
    let (mixed, _) = applied(&mix(0.2), own, &shelf);
    assert_eq!((mixed.len(), places(&mixed)[..10].to_vec()), (12, (0..10).collect()));
}

/// 0.8 (1 or -0.5) + 0.2 score + 2 / (2 + 6) of two tokens.
#[test]
fn a_reward_is_the_weighted_sum_of_its_terms_and_records_without_a_number_are_counted_apart() {
    let verdict = RewardTerm { weight: 0.8, pass: Some(1.0), fail: Some(-0.5), ..term(Measure::Verdict) };
    let score = RewardTerm { weight: 0.2, ..term(Measure::Score("prm".to_owned())) };
    let length = RewardTerm { weight: 1.0, saturate: Some(6.0), ..term(Measure::Length) };
    let long = |record: Trajectory| Trajectory { completion_tokens: vec![97, 98], ..record };
    let records = vec![
        long(scored(0, PASS, 0.5)),
        long(scored(1, FAIL, 0.5)),
        long(plain(0, PASS, 2)),
        long(scored(3, ERROR, 0.5)),
    ];
    let sum = Operator::Reward(RewardSum { sum: vec![verdict, score, length] });
    let (left, counts) = applied(&[sum], records.clone(), &Shelf::default());
    let near = |record: &Trajectory, reward: f32| (record.credit.reward.unwrap() - reward).abs() < 1e-6;
    assert_eq!(places(&left), [0, 1]);
    assert!(near(&left[0], 0.8 + 0.1 + 0.25) && near(&left[1], -0.4 + 0.1 + 0.25), "{:?}", rewards(&left));
    assert_eq!((counts[0].operator.as_str(), counts[0].records_in, counts[0].without), ("reward", 4, 2));
    let negative = RewardTerm { weight: 1.0, saturate: Some(1.0), ..term(Measure::Shortest) };
    assert_eq!(rewards(&run(Operator::Reward(RewardSum { sum: vec![negative] }), records[..1].to_vec())), [Some(0.0)]);
}

/// Instructions lie between the turns; they have no value and are not learned.
#[test]
fn turns_get_the_bonus_of_what_they_are_better() {
    let mut record = steps(0, PASS, "abcde", &[1.0, 0.0, 0.0, 0.0, 1.0]);
    for shown in [1, 3] {
        record.credit.spans[shown].learn = false;
        record.credit.spans[shown].value = None;
    }
    let mut unknown = record.clone();
    unknown.credit.spans[2].value = None;
    let shape = Operator::ShapeTurns(ShapeTurns { bonus: 10.0, first: 1.0 });
    let (left, counts) = applied(&[shape], vec![record.clone(), unknown, plain(0, PASS, 2)], &Shelf::default());
    let values: Vec<_> = left[0].credit.spans.iter().map(|span| span.value).collect();
    assert_eq!(values, [Some(1.0), None, Some(-10.0), None, Some(11.0)]);
    assert_eq!((counts[0].records_in, counts[0].records_out, counts[0].without), (3, 1, 2));
    let first_stage = run(Operator::ShapeTurns(ShapeTurns { bonus: 0.0, first: 0.0 }), vec![record]);
    let values: Vec<_> = first_stage[0].credit.spans.iter().map(|span| span.value).collect();
    assert_eq!(values, [Some(0.0), None, Some(0.0), None, Some(1.0)]);
}

proptest! {
    /// What bonuses add up to depends on the first and the last turn alone, and nothing but values changes.
    #[test]
    fn bonuses_of_turns_telescope(values in prop::collection::vec(-4i8..5, 1..6), bonus in 0u8..20) {
        let values: Vec<f32> = values.into_iter().map(f32::from).collect();
        let letters = &"abcde"[..values.len()];
        let record = steps(0, PASS, letters, &values);
        let shape = Operator::ShapeTurns(ShapeTurns { bonus: f64::from(bonus), first: 1.0 });
        let [mut shaped] = run(shape, vec![record.clone()]).try_into().unwrap();
        let sum = |record: &Trajectory| record.credit.spans.iter().filter_map(|span| span.value).sum::<f32>();
        let gain = values[values.len() - 1] - values[0];
        prop_assert_eq!(sum(&shaped), sum(&record) + f32::from(bonus) * gain);
        prop_assert_eq!(shaped.credit.spans[0].value, Some(values[0]));
        shaped.credit = record.credit.clone();
        prop_assert_eq!(shaped, record);
    }
}

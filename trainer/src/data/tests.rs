//! Properties of the data path over random records, each against what the records themselves say: nothing here reads how items are
//! built. Every token of a record carries the record's number, so that what a mark is about can be read off its target.

mod batches;
mod policy;
mod preferences;
mod refusals;
mod scores;
mod tokens;

use galapagos_domain::ids::{Digest, JobId, Name};
use galapagos_domain::recipe::train::Precision;
use galapagos_domain::trajectory::{Credit, Outcome, Side, Span, Verdict};
use proptest::prelude::*;

use super::*;

pub(crate) const START: &[u8] = b"start";
const CLASSES: u32 = 4;
/// Completion token `k` of record `n` is `COMPLETION + PER_RECORD * n + k`, each of its question's `QUESTION + n`.
const QUESTION: u32 = 1_000;
const COMPLETION: u32 = 10_000;
const PER_RECORD: u32 = 100;
const VOCABULARY: usize = 100_000;

pub(crate) fn limits() -> Limits {
    Limits { positions: 10_000, vocabulary: VOCABULARY, images: false, classes: CLASSES, start: Digest::of(START) }
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(crate) fn train(loss: Loss) -> Train {
    let train = Train::new(name("policy"), name("samples"), loss, 1e-3);
    Train { batch: 4, micro_batch: 2, data_epochs: 2, precision: Precision::F32, ..train }
}

/// Record `n` of task `n`, passed, sampled by the round's start.
pub(crate) fn record(n: u32, prefix: &[u32], (question, completion): (usize, usize)) -> Trajectory {
    Trajectory {
        job: JobId::new("e/g1/samples/0").unwrap(),
        task_set: name("numbers"),
        task: format!("train/{n}"),
        sample: n,
        policy: Digest::of(START),
        prompt_tokens: [prefix, &vec![QUESTION + n; question]].concat(),
        prefix_len: prefix.len() as u32,
        completion_tokens: (0..completion as u32).map(|k| COMPLETION + PER_RECORD * n + k).collect(),
        log_probs: (0..completion).map(|k| -0.1 - n as f32 - 0.01 * k as f32).collect(),
        completion: String::new(),
        verdict: Verdict::pass(String::new()),
        scores: Vec::new(),
        leaf: None,
        credit: Credit::default(),
    }
}

/// What a record is drawn from, beside its number.
#[derive(Debug, Clone)]
struct Drawn {
    prefix: usize,
    lengths: (usize, usize),
    task: u32,
    outcome: Outcome,
    credit: Credit,
    /// Tokens before a part, its length, and what is said of it.
    parts: Vec<(u32, u32, Span)>,
    /// Whether the round's start, another policy or nobody sampled it.
    sampled: u8,
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let outcomes = vec![Outcome::Pass, Outcome::Fail, Outcome::Pass, Outcome::Fail, Outcome::Error, Outcome::Suspect];
    let reward = proptest::option::of(proptest::sample::select(vec![0.0f32, 0.3, 0.5, 0.7, 1.0]));
    let weight = proptest::sample::select(vec![1.0f32, 1.0, 0.5, 2.0, 0.0]);
    let pair = proptest::option::weighted(0.8, (0..4u32, any::<bool>()));
    let value = proptest::option::of(proptest::sample::select(vec![0.0f32, 0.25, 1.0]));
    let span = (any::<bool>(), value, proptest::option::of(0..CLASSES)).prop_map(|(learn, value, class)| Span {
        start: 0,
        end: 0,
        learn,
        value,
        class,
    });
    let parts = proptest::collection::vec((0..3u32, 1..4u32, span), 0..4);
    let shape = (0..3usize, (1..6usize, 1..9usize), 0..5u32);
    let said = (proptest::sample::select(outcomes), reward, weight, pair);
    (shape, said, parts, 0..3u8).prop_map(
        |((prefix, lengths, task), (outcome, reward, weight, pair), parts, sampled)| Drawn {
            prefix,
            lengths,
            task,
            outcome,
            credit: Credit {
                reward,
                weight,
                spans: Vec::new(),
                pair: pair.map(|(pair, chosen)| Side { pair: format!("pair-{pair}"), chosen }),
                greedy: false,
            },
            parts,
            sampled,
        },
    )
}

/// The record that was drawn; its first part, if it has parts, is always learned from.
fn made(n: u32, drawn: Drawn) -> Trajectory {
    let prefixes: [&[u32]; 3] = [&[], &[7, 7, 7], &[8]];
    let mut record = record(n, prefixes[drawn.prefix], drawn.lengths);
    record.task = format!("train/{}", drawn.task);
    record.verdict.outcome = drawn.outcome;
    record.credit = drawn.credit;
    let mut at = 0;
    for (gap, length, span) in drawn.parts {
        let (start, end) = (at + gap, at + gap + length);
        if end as usize <= drawn.lengths.1 {
            let learn = span.learn || record.credit.spans.is_empty();
            record.credit.spans.push(Span { start, end, learn, ..span });
            at = end;
        }
    }
    match drawn.sampled {
        0 => {}
        1 => record.policy = Digest::of(b"another"),
        _ => record.log_probs.clear(),
    }
    record
}

/// Up to 30 records of few tasks, prefixes and pairs, with every kind of verdict, part and credit.
fn records() -> impl Strategy<Value = Vec<Trajectory>> {
    proptest::collection::vec(drawn(), 1..30)
        .prop_map(|drawn| (0..).zip(drawn).map(|(n, drawn)| made(n, drawn)).collect())
}

/// Records that policies sampled.
fn sampled() -> impl Strategy<Value = Vec<Trajectory>> {
    records().prop_map(|mut records| {
        for (n, record) in records.iter_mut().enumerate() {
            let own = record.completion_tokens.len();
            record.log_probs = (0..own).map(|k| -0.1 - n as f32 - 0.01 * k as f32).collect();
        }
        records
    })
}

/// Number of the record that a completion token is of, and its place.
fn place(token: u32) -> (usize, usize) {
    (((token - COMPLETION) / PER_RECORD) as usize, ((token - COMPLETION) % PER_RECORD) as usize)
}

/// Places of the completion tokens that the policy answers for.
fn learned(record: &Trajectory) -> Vec<usize> {
    let spans = &record.credit.spans;
    let answers = |k: &usize| spans.iter().any(|s| s.learn && (s.start as usize..s.end as usize).contains(k));
    (0..record.completion_tokens.len()).filter(|k| spans.is_empty() || answers(k)).collect()
}

/// The dataset, of which exactly the records that `used` names are learned from, and all others counted; none if there are no such.
fn dataset(records: &[Trajectory], train: &Train, used: impl Fn(&Trajectory) -> bool) -> Option<Dataset> {
    let wanted: Vec<u32> = (0..).zip(records).filter(|(_, record)| used(record)).map(|(n, _)| n).collect();
    match Dataset::new(records, train, limits(), Seed(5)) {
        Ok(data) => {
            assert_eq!(data.rows(), wanted);
            assert_eq!(data.records() + data.left_out() as usize, records.len());
            Some(data)
        }
        Err(DataError::Empty { .. } | DataError::Weightless) => {
            assert!(wanted.is_empty(), "{wanted:?} should be learned from");
            None
        }
        Err(other) => panic!("{other}"),
    }
}

/// The items of the first data epoch.
fn items(data: &Dataset) -> Vec<Item> {
    data.batches(0).take(data.steps_of_epoch() as usize).flatten().collect()
}

fn weighs(record: &Trajectory) -> bool {
    record.credit.weight > 0.0
}

fn near(found: f64, wanted: f64) -> bool {
    (found - wanted).abs() <= 1e-5 * wanted.abs().max(1.0)
}

//! Random records for property tests: few tasks and few completions, so that duplicates and full tasks are common; and small trees.

use std::collections::BTreeMap;

use galapagos_domain::ids::{Digest, JobId, Name};
use galapagos_domain::trajectory::{Credit, Leaf, Outcome, Score, Span, Trajectory, Verdict};
use galapagos_domain::tree::{NodeEnd, NodePart, TreeNode};
use proptest::prelude::*;

use super::error::OperatorError;
use super::stage::{Means, Records, Reverify, Sources, Trees};
use crate::engine::mock::CharacterCodec;

pub(super) const OUTCOMES: [Outcome; 5] =
    [Outcome::Pass, Outcome::Fail, Outcome::Error, Outcome::Timeout, Outcome::Suspect];

/// Up to 40 records; `sample` is the place in the list, so that every record can be told from the others.
pub(super) fn records() -> impl Strategy<Value = Vec<Trajectory>> {
    let row = (0..4u32, prop::collection::vec(0..3u32, 1..4), 0..5usize, prop::option::of(-2i8..3));
    prop::collection::vec(row, 0..40).prop_map(|rows| {
        let record = |((task, answer, outcome, number), place): ((u32, Vec<u32>, usize, Option<i8>), u32)| {
            record(task, &answer, outcome, (number, place))
        };
        rows.into_iter().zip(0..).map(record).collect()
    })
}

/// A record of one token.
pub(super) fn plain(task: u32, outcome: usize, place: u32) -> Trajectory {
    record(task, &[place], outcome, (None, place))
}

pub(super) fn span(start: u32, end: u32, value: Option<f32>) -> Span {
    Span { start, end, learn: true, value, class: None }
}

fn letter(token: u32) -> char {
    char::from_u32(u32::from('a') + token % 26).unwrap()
}

/// Each token is a letter and a part, whose value follows from it.
fn record(task: u32, tokens: &[u32], outcome: usize, (number, place): (Option<i8>, u32)) -> Trajectory {
    let tokens: Vec<u32> = tokens.iter().map(|token| u32::from(letter(*token))).collect();
    let value = |token: u32| (!token.is_multiple_of(3)).then(|| (token % 5) as f32 / 4.0);
    let number = number.map(|number| f32::from(number) / 2.0);
    let mut verdict = Verdict::new(OUTCOMES[outcome], format!("verdict of {place}"));
    verdict.confidence = number;
    Trajectory {
        job: JobId::new("evolution/g1/samples/0").unwrap(),
        task_set: Name::new("numbers").unwrap(),
        task: format!("train/{task}"),
        sample: place,
        policy: Digest::of(b"policy"),
        prompt_tokens: vec![1, task],
        prefix_len: 1,
        completion: tokens.iter().filter_map(|token| char::from_u32(*token)).collect(),
        log_probs: vec![-0.5; tokens.len()],
        verdict,
        scores: number.map(|value| Score { by: "prm/1".to_owned(), value }).into_iter().collect(),
        leaf: (place % 2 == 0).then(|| Leaf { tree: format!("numbers/train/{task}"), node: place }),
        credit: Credit {
            spans: (0..).zip(&tokens).map(|(at, token)| span(at, at + 1, value(*token))).collect(),
            ..Credit::default()
        },
        completion_tokens: tokens,
    }
}

/// A node behind `parent`, with Q and perhaps a verdict; its text and token is a letter of its own.
pub(crate) fn node(number: u32, parent: Option<u32>, q: f64, outcome: Option<Outcome>) -> TreeNode {
    TreeNode {
        job: JobId::new("evolution/g1/forest/0").unwrap(),
        tree: "numbers/train/0".to_owned(),
        task_set: Name::new("numbers").unwrap(),
        task: "train/0".to_owned(),
        policy: Digest::of(b"policy"),
        node: number,
        parent,
        depth: 0,
        part: NodePart::Step,
        guidance: None,
        tokens: vec![u32::from(letter(number))],
        prefix_len: u32::from(number == 0),
        log_probs: vec![-0.5],
        text: letter(number).to_string(),
        turn: None,
        end: outcome.map(|_| NodeEnd::Answered),
        closed: false,
        visits: 1.0,
        sum: q,
        q,
        own: Some(q / 2.0),
        verdict: outcome.map(|outcome| Verdict::new(outcome, "judged")),
        scores: vec![Score { by: "mc_rollout/1".to_owned(), value: q as f32 }],
        errors: 0,
        asked: 0,
        again: 0,
        batch: 0,
        found: false,
    }
}

/// Nodes from (parent, Q, outcome), the root first; depths follow.
pub(super) fn tree(nodes: &[(u32, f64, Option<Outcome>)]) -> Vec<TreeNode> {
    let mut made: Vec<TreeNode> = Vec::new();
    for (number, (parent, q, outcome)) in (0..).zip(nodes) {
        let parent = (number > 0).then_some(*parent);
        let depth = parent.map_or(0, |parent| made[parent as usize].depth + 1);
        made.push(TreeNode { depth, ..node(number, parent, *q, *outcome) });
    }
    made
}

/// Up to three trees of up to 12 nodes.
pub(super) fn trees() -> impl Strategy<Value = Vec<Vec<TreeNode>>> {
    let node = (any::<prop::sample::Index>(), -4i8..5, prop::option::of(0..2usize));
    let nodes = prop::collection::vec(node, 1..12).prop_map(|nodes| {
        let known: Vec<_> = (0..)
            .zip(nodes)
            .map(|(number, (parent, q, outcome))| {
                let parent = parent.index((number as usize).max(1)) as u32;
                (parent, f64::from(q) / 4.0, outcome.map(|outcome| OUTCOMES[outcome]).filter(|_| number > 0))
            })
            .collect();
        tree(&known)
    });
    prop::collection::vec(nodes, 0..3).prop_map(|trees| {
        let named = |(nodes, number): (Vec<TreeNode>, u32)| {
            let task = format!("train/{number}");
            let rename = |node| TreeNode { tree: format!("numbers/{task}"), task: task.clone(), ..node };
            nodes.into_iter().map(rename).collect()
        };
        trees.into_iter().zip(0..).map(named).collect()
    })
}

/// Datasets and trees in memory.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    pub datasets: BTreeMap<Name, Vec<Trajectory>>,
    pub trees: Vec<Vec<TreeNode>>,
}

impl Sources for Shelf {
    fn dataset(&self, name: &Name) -> Result<(u64, Records<'_>), OperatorError> {
        let rows = self.datasets.get(name).ok_or_else(|| OperatorError::NoDataset(name.clone()))?;
        Ok((rows.len() as u64, Box::new(rows.iter().cloned().map(Ok))))
    }

    fn trees(&self) -> Result<Trees<'_>, OperatorError> {
        Ok(Box::new(self.trees.iter().cloned().map(Ok)))
    }
}

/// A verifier that passes a record as often as it has tokens.
#[derive(Debug)]
pub(super) struct SoOften;

impl Reverify for SoOften {
    fn passes(&self, record: &Trajectory, time: u32) -> Result<bool, OperatorError> {
        Ok((time as usize) < record.completion_tokens.len())
    }
}

pub(super) fn with_means<T>(shelf: &Shelf, work: impl FnOnce(Means<'_>) -> T) -> T {
    work(Means {
        sources: shelf,
        text: Some(&CharacterCodec),
        rules: Some(&SoOften),
        worlds: None,
        estimators: None,
        scratch: None,
    })
}

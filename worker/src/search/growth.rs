//! Trees that grow: Monte-Carlo tree search, best-first search and step beams as one loop over selector, proposer, evaluators,
//! backup, budget and extractor.
//!
//! One turn of the loop is a batch: nodes are chosen, advice is given where it is asked for, their continuations drawn (again, where
//! siblings were merged), every evaluator is asked in order about what is new, values are backed up. Nothing of a batch shows before all of it is there, so a tree does not
//! depend on which answer came first.

mod advice;
mod choices;
mod ending;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use galapagos_domain::recipe::search::{Select, Unit};
use galapagos_domain::seed::Seed;
use galapagos_domain::trajectory::Verdict;
use galapagos_domain::tree::Guidance;

use serde::{Deserialize, Serialize};

pub use self::advice::Advice;
use self::choices::{Choices, Front};
use super::budget::{self, Spent};
use super::episodes::{self, replica};
use super::extract::extract;
use super::select::Selector;
use super::strategy::{Answer, Draw, Drawn, Question, Several, Strategy, Want, acts, draws, verdicts};
use super::tree::{End, NodeId, Part, Piece, Tree};
use super::value::{Given, applies, take};
use super::width::{resamples, twin, width};
use crate::engine::EngineError;

/// Where the loop is.
#[derive(Debug, Clone, PartialEq)]
enum Stage {
    Choosing,
    /// Advice is being written for the nodes `advised` of those that are to grow.
    Advising {
        asked: Vec<(NodeId, u32)>,
        advised: Vec<(NodeId, String)>,
    },
    Drawing(Drawing),
    /// New actions that wait for the environment.
    Acting(Vec<NodeId>),
    Judging(Judging),
    Done,
}

/// Continuations that are on their way.
#[derive(Debug, Clone, PartialEq)]
struct Drawing {
    /// Nodes and how many continuations of each.
    asked: Vec<(NodeId, u32)>,
    /// How often merged ones were drawn anew.
    again: u32,
    new: Vec<NodeId>,
    /// What the policy is shown before it goes on from these nodes.
    guidance: BTreeMap<NodeId, Guidance>,
}

/// Verdicts that are on their way.
#[derive(Debug, Clone, PartialEq)]
struct Judging {
    /// The evaluator that is asked.
    place: usize,
    asked: Vec<NodeId>,
    new: Vec<(NodeId, Given)>,
}

/// See the head of this file.
#[derive(Debug, Clone)]
pub struct Growth {
    choices: Choices,
    /// Of the task.
    seed: Seed,
    /// What nodes draw from.
    stream: Seed,
    /// Nodes that another job grows; what is below them may be this one's.
    others: BTreeSet<NodeId>,
    tree: Tree,
    stage: Stage,
    spent: Spent,
    batch: u32,
    /// Where the simulations under way stand, or the nodes of the beam.
    front: Vec<NodeId>,
    /// Nodes that grow in this batch.
    growing: Vec<NodeId>,
    /// Where the search stood when the last batch had ended.
    before: Standing,
}

/// What a search knows between two batches beside its tree.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Standing {
    pub spent: Spent,
    /// Where the simulations under way stand, or the nodes of the beam.
    pub front: Vec<NodeId>,
}

impl Growth {
    fn new(choices: Choices, seed: Seed) -> Self {
        let (tree, stage, spent) = (Tree::default(), Stage::Choosing, Spent::default());
        Self {
            choices,
            seed,
            stream: seed,
            others: BTreeSet::new(),
            tree,
            stage,
            spent,
            batch: 0,
            front: Vec::new(),
            growing: Vec::new(),
            before: Standing::default(),
        }
    }

    fn width(&self, node: NodeId) -> u32 {
        if self.others.contains(&node) {
            return 0;
        }
        width(&self.tree, node, self.choices.width, self.choices.propose.n)
    }

    fn may_grow(&self, node: NodeId) -> bool {
        let of = &self.tree[node];
        let room = of.depth < self.choices.budget.depth && of.asked < self.width(node);
        !of.closed && of.end.is_none() && room && !self.growing.contains(&node)
    }

    /// Chooses the nodes of the next batch. Nothing can grow: the search is done.
    fn choose(&mut self) -> Result<Vec<Want>, EngineError> {
        self.before = Standing { spent: self.spent, front: self.front.clone() };
        let mut left = budget::left(&self.choices.budget, &self.tree, &mut self.spent);
        self.growing.clear();
        if left > 0 {
            match self.choices.front.clone() {
                Front::Beam(_) => self.growing.clone_from(&self.front),
                Front::Selected { selector, leaves, .. } => self.simulate(&selector, leaves),
            }
        }
        let mut asked = Vec::new();
        for node in self.growing.clone() {
            let count = (self.width(node) - self.tree[node].asked).min(self.choices.propose.n).min(left);
            if count > 0 {
                left -= count;
                asked.push((node, count));
            }
        }
        if asked.is_empty() {
            self.stage = Stage::Done;
            return Ok(Vec::new());
        }
        self.batch += 1;
        self.advise(asked)
    }

    /// Asks for the continuations of the chosen nodes.
    fn draw(&mut self, asked: Vec<(NodeId, u32)>, guidance: BTreeMap<NodeId, Guidance>) -> Vec<Want> {
        let drawing = Drawing { asked, again: 0, new: Vec::new(), guidance };
        let wants = self.wants(&drawing);
        for (node, count) in &drawing.asked {
            self.tree[*node].asked += count;
        }
        self.stage = Stage::Drawing(drawing);
        wants
    }

    /// Sends so many simulations down the tree; those that stand somewhere go on from there.
    fn simulate(&mut self, selector: &Selector, leaves: u32) {
        let mut standing = std::mem::take(&mut self.front).into_iter();
        for _ in 0..leaves {
            let from = standing.next().unwrap_or(NodeId::ROOT);
            let found = match selector.select {
                Select::BestFirst(_) => selector.anywhere(&self.tree, |node| self.may_grow(node)),
                Select::Uct(_) | Select::Puct(_) => self.descend(selector, from).or_else(|| {
                    // Nothing is left where it stood: the simulation ends, and the next one starts at the root.
                    let again = from != NodeId::ROOT;
                    self.spent.simulations += u32::from(again);
                    if again { self.descend(selector, NodeId::ROOT) } else { None }
                }),
            };
            let Some(node) = found else { break };
            for above in self.tree.upwards(node).collect::<Vec<_>>() {
                self.tree[above].pending += 1;
            }
            self.growing.push(node);
        }
    }

    fn descend(&self, selector: &Selector, from: NodeId) -> Option<NodeId> {
        let mut at = from;
        while !self.may_grow(at) {
            at = selector.child(&self.tree, at)?;
        }
        Some(at)
    }

    fn wants(&self, drawing: &Drawing) -> Vec<Want> {
        let want = |(node, samples): &(NodeId, u32)| {
            let before = self.tree[*node].asked;
            let seed = match (*node, before, drawing.again) {
                // As independent samples draw.
                (NodeId::ROOT, 0, 0) => self.seed,
                (node, before, 0) => self.stream.derive(&format!("node/{}/{before}", node.0)),
                (node, before, again) => self.stream.derive(&format!("node/{}/{before}/again/{again}", node.0)),
            };
            let shown = drawing.guidance.get(node).map_or(&[][..], |guidance| guidance.tokens.as_slice());
            Want::Draw(Draw {
                behind: [&self.tree.path(*node).tokens[..], shown].concat(),
                samples: *samples,
                seed,
                sampling: Arc::clone(&self.choices.sampling),
                unit: self.choices.propose.unit.clone(),
                max_tokens: self.choices.propose.max_tokens,
            })
        };
        drawing.asked.iter().map(want).collect()
    }

    /// Adds what was drawn; asks again for what fell on siblings, if it may.
    fn drawn(&mut self, mut drawing: Drawing, answers: Vec<Answer>) -> Result<Vec<Want>, EngineError> {
        let mut missing = Vec::new();
        for ((node, _), drawn) in drawing.asked.iter().zip(draws(answers)) {
            let mut merged = 0;
            for drawn in drawn {
                self.spent.tokens += drawn.tokens.len() as u64;
                match twin(&self.tree, *node, &drawn.text, self.choices.propose.merge) {
                    Some(twin) => {
                        self.tree[twin].again += 1;
                        merged += 1;
                    }
                    None => {
                        let new = self.grow(*node, drawn);
                        self.tree[new].guidance = drawing.guidance.get(node).cloned();
                        drawing.new.push(new);
                    }
                }
            }
            if merged > 0 {
                missing.push((*node, merged));
            }
        }
        if !missing.is_empty() && drawing.again < resamples(self.choices.propose.merge) {
            drawing.again += 1;
            drawing.asked = missing;
            let wants = self.wants(&drawing);
            self.stage = Stage::Drawing(drawing);
            return Ok(wants);
        }
        if self.choices.plays.is_some() {
            let act = |node: &NodeId| Want::Act(episodes::act(&self.tree, *node, replica(self.seed)));
            let wants: Vec<Want> = drawing.new.iter().filter(|node| self.tree[**node].end.is_none()).map(act).collect();
            if !wants.is_empty() {
                self.stage = Stage::Acting(drawing.new);
                return Ok(wants);
            }
        }
        self.ask(drawing.new)
    }

    /// Writes down what the environment made of new actions. One that was refused ends its path, and so does a failure of the
    /// environment, which has no value.
    fn acted(&mut self, new: Vec<NodeId>, answers: Vec<Answer>) -> Result<Vec<Want>, EngineError> {
        let Some(limits) = self.choices.plays else { return self.ask(new) };
        let acting: Vec<NodeId> = new.iter().copied().filter(|node| self.tree[*node].end.is_none()).collect();
        for (node, acted) in acting.into_iter().zip(acts(answers)) {
            let refused = acted.as_ref().ok().and_then(|acted| acted.refused.clone());
            let failed = acted.as_ref().err().cloned();
            let goes_on = episodes::write(&mut self.tree, node, acted, limits);
            let of = &mut self.tree[node];
            match refused {
                Some(why) if of.end != Some(End::Answered) => {
                    of.end = Some(End::Killed);
                    of.verdict = Some(Verdict::fail(format!("refused: {why}")).by("env/1"));
                }
                Some(_) | None if goes_on && of.depth >= limits.turns => of.end = Some(End::Cut),
                Some(_) | None => of.verdict = failed,
            }
        }
        self.ask(new)
    }

    /// Has new nodes judged.
    fn ask(&mut self, new: Vec<NodeId>) -> Result<Vec<Want>, EngineError> {
        let new = new.into_iter().map(|node| (node, Given::default())).collect();
        self.judge(Judging { place: 0, asked: Vec::new(), new })
    }

    fn grow(&mut self, parent: NodeId, drawn: Drawn) -> NodeId {
        let whole = matches!(self.choices.propose.unit, Unit::Answer | Unit::Turn);
        let deepest = self.tree[parent].depth + 1 >= self.choices.budget.depth;
        let plays = self.choices.plays.is_some();
        let end = match (drawn.tokens.is_empty(), (drawn.answered || whole) && !plays) {
            (true, _) => Some(End::Empty),
            (false, true) => Some(End::Answered),
            (false, false) => (deepest && !plays).then_some(End::Cut),
        };
        let piece = Piece { part: Part::Step, tokens: drawn.tokens, log_probs: drawn.log_probs, text: drawn.text };
        let node = self.tree.add(parent, piece, self.batch);
        self.tree[node].end = end;
        node
    }

    /// Asks the next evaluator that has something to say; after the last one the batch ends.
    fn judge(&mut self, mut judging: Judging) -> Result<Vec<Want>, EngineError> {
        while let Some((evaluate, verifier)) = self.choices.evaluate.get(judging.place) {
            let new = judging.new.iter().map(|(node, _)| *node);
            judging.asked = new.filter(|node| applies(evaluate, &self.tree, *node)).collect();
            if judging.asked.is_empty() {
                judging.place += 1;
                continue;
            }
            let question = |node: &NodeId| {
                Want::Judge(Question {
                    verifier: Arc::clone(verifier),
                    path: self.tree.path(*node),
                    answered: self.tree[*node].end == Some(End::Answered),
                    seed: self.stream.derive(&format!("judge/{}/{}", judging.place, node.0)),
                })
            };
            let wants = judging.asked.iter().map(question).collect();
            self.stage = Stage::Judging(judging);
            return Ok(wants);
        }
        self.end_batch(&judging.new);
        self.choose()
    }

    fn judged(&mut self, mut judging: Judging, answers: Vec<Answer>) -> Result<Vec<Want>, EngineError> {
        if let Some((evaluate, _)) = self.choices.evaluate.get(judging.place) {
            for (node, verdict) in judging.asked.iter().zip(verdicts(answers)) {
                let (Some(verdict), Some((_, given))) = (verdict, judging.new.iter_mut().find(|(new, _)| new == node))
                else {
                    continue;
                };
                self.spent.tokens += verdict.cost;
                take(&mut self.tree, *node, evaluate, verdict, given);
            }
        }
        judging.place += 1;
        self.judge(judging)
    }
}

impl Several for Growth {
    fn tree_mut(&mut self) -> &mut Tree {
        &mut self.tree
    }
}

impl Strategy for Growth {
    fn next(&mut self, answers: Vec<Answer>) -> Result<Vec<Want>, EngineError> {
        match std::mem::replace(&mut self.stage, Stage::Choosing) {
            Stage::Choosing => self.choose(),
            Stage::Advising { asked, advised } => self.advised(asked, advised, answers),
            Stage::Drawing(drawing) => self.drawn(drawing, answers),
            Stage::Acting(new) => self.acted(new, answers),
            Stage::Judging(judging) => self.judged(judging, answers),
            Stage::Done => {
                self.stage = Stage::Done;
                Ok(Vec::new())
            }
        }
    }

    fn tree(&self) -> &Tree {
        &self.tree
    }

    fn committed(&self) -> Option<(Tree, Standing)> {
        match &self.stage {
            // Whoever goes on from here asks for advice again.
            Stage::Advising { .. } => {
                let mut tree = self.tree.clone();
                tree.settle();
                Some((tree, self.before.clone()))
            }
            Stage::Drawing(drawing) if drawing.again == 0 && drawing.new.is_empty() && !self.is_advised(drawing) => {
                let mut tree = self.tree.clone();
                for (node, count) in &drawing.asked {
                    tree[*node].asked -= count;
                }
                tree.settle();
                Some((tree, self.before.clone()))
            }
            Stage::Drawing(_) | Stage::Acting(_) | Stage::Judging(_) | Stage::Choosing => None,
            Stage::Done => Some((self.tree.clone(), self.before.clone())),
        }
    }

    fn is_settled(&self) -> bool {
        match &self.stage {
            Stage::Drawing(drawing) => drawing.again == 0 && drawing.new.is_empty(),
            Stage::Acting(_) | Stage::Judging(_) | Stage::Choosing => false,
            Stage::Advising { .. } | Stage::Done => true,
        }
    }

    fn resume(&mut self, tree: Tree, standing: Standing) {
        self.batch = tree.iter().map(|(_, node)| node.batch).max().unwrap_or(0);
        self.spent = standing.spent;
        self.front.clone_from(&standing.front);
        self.before = standing;
        self.tree = tree;
    }

    fn found(&self) -> Vec<NodeId> {
        extract(&self.tree, &self.choices.extract)
    }
}

#[cfg(test)]
mod tests;

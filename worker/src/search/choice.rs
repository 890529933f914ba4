//! One of several answers or episodes: by evaluators (best of n), or by the votes of the answers themselves. An episode that the
//! environment failed is never chosen before one that was played, and is told beside the chosen one.

use std::sync::Arc;

use galapagos_domain::recipe::search::{Evaluate, Pool};
use galapagos_domain::recipe::verify::Verifier;
use galapagos_domain::seed::Seed;

use super::extract::{best, elect};
use super::strategy::{Answer, Moment, Question, Several, Strategy, Want, verdicts};
use super::tree::{End, NodeId, Tree};
use super::value::{Given, take};
use crate::engine::EngineError;
use crate::verify::consistency::pool;

/// What an answer is to a vote: equal texts are votes for the same; `None` does not vote.
pub type Key = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Where the steps of an answer end, in tokens.
pub type Ends = Arc<dyn Fn(&[u32]) -> Vec<usize> + Send + Sync>;

/// How one is chosen.
pub enum Choose {
    /// By the sum of what these give.
    Best(Vec<Evaluate>),
    /// By votes.
    Vote { key: Key, weigh: Option<Weigh> },
}

/// What a vote weighs: what `verifier` gives the steps of an answer, pooled.
pub struct Weigh {
    pub verifier: Verifier,
    pub pool: Pool,
    /// Where the steps of an answer end, in tokens; the last one at the answer's end.
    pub ends: Ends,
}

/// Answers of which one is kept.
pub struct Chosen {
    several: Box<dyn Several>,
    choose: Choose,
    seed: Seed,
    /// Evaluators that were asked; `None` while answers are drawn.
    asked: Option<usize>,
    given: Vec<Given>,
    /// The answer that each verdict under way is about.
    places: Vec<usize>,
    /// Scores of the steps of each answer.
    steps: Vec<Vec<f64>>,
    /// What verifiers sampled for each answer.
    costs: Vec<u64>,
}

impl std::fmt::Debug for Chosen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chosen").field("tree", self.several.tree()).field("given", &self.given).finish_non_exhaustive()
    }
}

impl Chosen {
    /// One of `several`.
    #[must_use]
    pub(super) fn new(several: impl Several + 'static, choose: Choose, seed: Seed) -> Self {
        let several = Box::new(several);
        let (given, places, steps, costs) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { several, choose, seed, asked: None, given, places, steps, costs }
    }

    fn verifiers(&self) -> Vec<Verifier> {
        match &self.choose {
            Choose::Best(by) => by.iter().map(|evaluate| evaluate.verifier.clone()).collect(),
            Choose::Vote { weigh, .. } => weigh.iter().map(|weigh| weigh.verifier.clone()).collect(),
        }
    }

    fn ask(&mut self, place: usize) -> Vec<Want> {
        self.asked = Some(place);
        let Some(verifier) = self.verifiers().into_iter().nth(place).map(Arc::new) else { return Vec::new() };
        self.places.clear();
        let mut wants = Vec::new();
        for (at, node) in self.several.found().into_iter().enumerate() {
            let path = self.several.tree().path(node);
            for end in self.ends(&path.tokens) {
                let whole = end == path.tokens.len();
                let seed = self.seed.derive(&format!("judge/{place}/{}/{end}", node.0));
                let path = if whole { path.clone() } else { path.clone().cut(end) };
                self.places.push(at);
                wants.push(Want::Judge(Question { verifier: Arc::clone(&verifier), path, answered: whole, seed }));
            }
        }
        wants
    }

    fn ends(&self, tokens: &[u32]) -> Vec<usize> {
        match &self.choose {
            Choose::Vote { weigh: Some(weigh), .. } => (weigh.ends)(tokens),
            Choose::Vote { weigh: None, .. } | Choose::Best(_) => vec![tokens.len()],
        }
    }

    fn judged(&mut self, place: usize, answers: Vec<Answer>) {
        let found = self.several.found();
        self.given.resize(found.len(), Given::default());
        self.steps.resize(found.len(), Vec::new());
        self.costs.resize(found.len(), 0);
        for (at, verdict) in std::mem::take(&mut self.places).into_iter().zip(verdicts(answers)) {
            let (Some(verdict), node) = (verdict, found[at]) else { continue };
            self.costs[at] += verdict.cost;
            match &self.choose {
                Choose::Best(by) => {
                    let (evaluate, given) = (by[place].clone(), &mut self.given[at]);
                    take(self.several.tree_mut(), node, &evaluate, verdict, given);
                    let all = self.given[at].all();
                    self.several.tree_mut()[node].own = all;
                }
                Choose::Vote { .. } => self.steps[at].extend(verdict.score.map(f64::from)),
            }
        }
    }
}

impl Strategy for Chosen {
    fn next(&mut self, answers: Vec<Answer>) -> Result<Vec<Want>, EngineError> {
        let wants = match self.asked {
            None => {
                let wants = self.several.next(answers)?;
                if !wants.is_empty() {
                    return Ok(wants);
                }
                self.ask(0)
            }
            Some(place) => {
                self.judged(place, answers);
                self.ask(place + 1)
            }
        };
        Ok(wants)
    }

    fn tree(&self) -> &Tree {
        self.several.tree()
    }

    fn found(&self) -> Vec<NodeId> {
        let winner = self.winner(usize::MAX);
        let failed = self.several.found().into_iter().filter(|node| self.is_failed(*node) && Some(*node) != winner);
        winner.into_iter().chain(failed).collect()
    }

    fn moments(&self) -> Option<Vec<Moment>> {
        let mut tokens = 0;
        let moment = |(at, node): (usize, NodeId)| {
            tokens += self.several.tree().path(node).spent() + self.costs.get(at).copied().unwrap_or(0);
            Moment { tokens, found: self.winner(at + 1).into_iter().collect() }
        };
        Some(self.several.found().into_iter().enumerate().map(moment).collect())
    }
}

impl Chosen {
    fn is_failed(&self, node: NodeId) -> bool {
        self.several.tree()[node].end == Some(End::Failed)
    }

    /// Which of the first `count` answers is kept. A sample does not depend on how many there are.
    fn winner(&self, count: usize) -> Option<NodeId> {
        let mut found = self.several.found();
        found.truncate(count);
        let winner = match &self.choose {
            Choose::Best(_) => {
                let given = found.iter().zip(&self.given).map(|(node, given)| (*node, given.all()));
                best(given.filter(|(node, _)| !self.is_failed(*node)))
            }
            Choose::Vote { key, weigh } => {
                let weight = |at: usize| match weigh {
                    None => Some(1.0),
                    Some(weigh) => self.steps.get(at).and_then(|steps| pool(steps, weigh.pool)),
                };
                let ballots = found.iter().enumerate().map(|(at, node)| {
                    let class = key(&self.several.tree().path(*node).answer);
                    let weight = weight(at);
                    (*node, class.filter(|_| weight.is_some()), weight.unwrap_or(0.0))
                });
                elect(&ballots.collect::<Vec<_>>())
            }
        };
        // Without any vote the first answer stands for the task, and its verdict says what it is worth.
        winner.or_else(|| found.first().copied())
    }
}

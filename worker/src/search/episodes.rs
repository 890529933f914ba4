//! Episodes: `n` of one task, each a chain of actions with what the environment showed behind them. The first actions are drawn as one
//! request, so that they share the prompt; from then on every episode goes its own way, and none depends on how many others there are.
//! An episode that the environment fails ends with that failure, and the others go on.

use std::sync::Arc;

use galapagos_domain::job::Sampling;
use galapagos_domain::recipe::search::Unit;
use galapagos_domain::seed::Seed;
use galapagos_domain::trajectory::Verdict;
use galapagos_domain::tree::{PlayedTurn, TreeTurn};

use super::strategy::{Act, Acted, Answer, Draw, Moment, Several, Strategy, Want, acts, draws, with_each};
use super::tree::{End, NodeId, Part, Piece, Tree};
use crate::engine::EngineError;

/// How long an episode may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Actions.
    pub turns: u32,
    /// Tokens of one action.
    pub action: u32,
    /// Tokens behind the prompt.
    pub tokens: u32,
}

impl Limits {
    /// Whether `more` tokens fit behind so many.
    pub(super) fn fit(self, tokens: usize, more: usize) -> bool {
        tokens + more <= self.tokens as usize
    }
}

/// What is asked of an episode at a node: its actions from the first on.
#[must_use]
pub(super) fn act(tree: &Tree, node: NodeId, replica: u32) -> Act {
    let path = tree.path(node);
    let actions = path.steps.iter().map(|step| step.trim().to_owned()).collect();
    Act { replica, actions, last: tree[node].piece.tokens.last().copied() }
}

/// Writes what came of an action into its node. Whether the episode may go on: it is not over, and another action fits.
pub(super) fn write(tree: &mut Tree, node: NodeId, acted: Result<Acted, Verdict>, limits: Limits) -> bool {
    let before = tree.path(node).tokens.len();
    let of = &mut tree[node];
    let Acted { reward, score, refused, over, text, tokens } = match acted {
        Ok(acted) => acted,
        Err(verdict) => {
            of.turn = Some(TreeTurn::Failed(verdict));
            of.end = Some(End::Failed);
            return false;
        }
    };
    let shown = limits.fit(before, tokens.len());
    let goes_on = !over && shown && limits.fit(before + tokens.len(), limits.action as usize);
    let text = if shown { text } else { String::new() };
    if shown {
        of.piece.tokens.extend(tokens);
    }
    of.turn = Some(TreeTurn::Played(PlayedTurn { reward, score, refused, over, shown: text }));
    match (over, goes_on) {
        (true, _) => of.end = Some(End::Answered),
        (false, true) => {}
        (false, false) => of.end = Some(End::Cut),
    }
    goes_on
}

/// Where the episodes are.
#[derive(Debug, Clone, PartialEq)]
enum Stage {
    Begin,
    /// These are being continued by an action.
    Writing(Vec<usize>),
    /// These wait for the environment.
    Acting(Vec<usize>),
    Done,
}

/// See the head of this file.
#[derive(Debug)]
pub struct Episodes {
    limits: Limits,
    sampling: Arc<Sampling>,
    seed: Seed,
    tree: Tree,
    /// The last node of each.
    ends: Vec<NodeId>,
    stage: Stage,
    turn: u32,
    /// Of the first; the others count on from there.
    replica: u32,
}

impl Episodes {
    /// `n` episodes.
    #[must_use]
    pub fn new(n: u32, limits: Limits, sampling: Arc<Sampling>, seed: Seed) -> Self {
        let ends = vec![NodeId::ROOT; n as usize];
        let replica = replica(seed);
        Self { limits, sampling, seed, tree: Tree::default(), ends, stage: Stage::Begin, turn: 0, replica }
    }

    /// `n` episodes that could not even begin.
    #[must_use]
    pub fn failed(n: u32, verdict: &Verdict) -> Self {
        let limits = Limits { turns: 0, action: 0, tokens: 0 };
        let mut episodes = Self::new(0, limits, Arc::new(Sampling::at(0.0)), Seed(0));
        for _ in 0..n {
            let nothing = Piece { part: Part::Shown, tokens: Vec::new(), log_probs: Vec::new(), text: String::new() };
            let node = episodes.tree.add(NodeId::ROOT, nothing, 0);
            write(&mut episodes.tree, node, Err(verdict.clone()), limits);
            episodes.ends.push(node);
        }
        episodes.stage = Stage::Done;
        episodes
    }

    fn draw(&self, behind: Vec<u32>, samples: u32, seed: Seed) -> Want {
        let max_tokens = Some(self.limits.action);
        let sampling = Arc::clone(&self.sampling);
        Want::Draw(Draw { behind, samples, seed, sampling, unit: Unit::Turn, max_tokens })
    }

    /// All episodes begin alike.
    fn begin(&mut self) -> Vec<Want> {
        let n = u32::try_from(self.ends.len()).unwrap_or(u32::MAX);
        self.turn = 1;
        self.tree[NodeId::ROOT].asked = n;
        self.stage = Stage::Writing((0..self.ends.len()).collect());
        vec![self.draw(Vec::new(), n, self.seed)]
    }

    fn written(&mut self, episodes: Vec<usize>, answers: Vec<Answer>) -> Vec<Want> {
        let mut drawn = draws(answers).flatten();
        for episode in &episodes {
            let Some(drawn) = drawn.next() else { break };
            let parent = self.ends[*episode];
            let piece = Piece { part: Part::Step, tokens: drawn.tokens, log_probs: drawn.log_probs, text: drawn.text };
            let node = self.tree.add(parent, piece, self.turn);
            if parent != NodeId::ROOT {
                self.tree[parent].asked = 1;
            }
            self.ends[*episode] = node;
        }
        let want = |episode: &usize| {
            let replica = self.replica.wrapping_add(u32::try_from(*episode).unwrap_or(u32::MAX));
            Want::Act(act(&self.tree, self.ends[*episode], replica))
        };
        let wants = episodes.iter().map(want).collect();
        self.stage = Stage::Acting(episodes);
        wants
    }

    fn acted(&mut self, episodes: Vec<usize>, answers: Vec<Answer>) -> Vec<Want> {
        let mut open = Vec::new();
        for (episode, acted) in episodes.into_iter().zip(acts(answers)) {
            let node = self.ends[episode];
            let goes_on = write(&mut self.tree, node, acted, self.limits);
            if goes_on && self.turn < self.limits.turns {
                open.push(episode);
                continue;
            }
            self.tree[node].closed = true;
            if goes_on {
                self.tree[node].end = Some(End::Cut);
            }
        }
        self.turn += 1;
        let want = |episode: &usize| {
            let seed = self.seed.derive(&format!("episode/{episode}/{}", self.turn));
            self.draw(self.tree.path(self.ends[*episode]).tokens, 1, seed)
        };
        let wants: Vec<Want> = open.iter().map(want).collect();
        self.stage = if open.is_empty() { Stage::Done } else { Stage::Writing(open) };
        wants
    }
}

/// The playing of the instance that a search of this seed sees: another one in every generation, the same in every attempt.
#[must_use]
pub fn replica(seed: Seed) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "any bits of it will do")]
    let low = seed.derive("replica").0 as u32;
    low
}

impl Strategy for Episodes {
    fn next(&mut self, answers: Vec<Answer>) -> Result<Vec<Want>, EngineError> {
        Ok(match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Begin => self.begin(),
            Stage::Writing(episodes) => self.written(episodes, answers),
            Stage::Acting(episodes) => self.acted(episodes, answers),
            Stage::Done => Vec::new(),
        })
    }

    fn tree(&self) -> &Tree {
        &self.tree
    }

    fn found(&self) -> Vec<NodeId> {
        self.ends.clone()
    }

    /// With each episode, in order of their numbers, whichever ended first.
    fn moments(&self) -> Option<Vec<Moment>> {
        Some(with_each(&self.tree, &self.ends))
    }
}

impl Several for Episodes {
    fn tree_mut(&mut self) -> &mut Tree {
        &mut self.tree
    }
}

#[cfg(test)]
mod tests;

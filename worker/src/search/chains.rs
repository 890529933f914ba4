//! Searches without branches: `n` answers to one task, each looked at again as its script says. The first answers are drawn as one
//! request, so that they share the prompt; from then on every chain goes its own way.

use std::sync::Arc;

use galapagos_domain::job::Sampling;
use galapagos_domain::recipe::search::Unit;
use galapagos_domain::seed::Seed;

use super::strategy::{Answer, Draw, Drawn, Moment, Several, Strategy, Want, draws, with_each};
use super::tree::{End, NodeId, Part, Piece, Tree};
use crate::engine::EngineError;

/// Text with its tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    pub text: String,
    pub tokens: Vec<u32>,
}

/// What happens next in a chain.
#[derive(Debug, Clone, PartialEq)]
pub enum Move {
    /// The policy writes; at most so many tokens, the family's longest answer when absent.
    Write { part: Part, max_tokens: Option<u32> },
    /// It is shown a text.
    Show(Text),
    /// The chain has ended.
    Stop,
}

/// The rule of a chain: what comes next, from what was written so far.
pub trait Script: Send {
    /// `chain` has the nodes from the top; the first move is that of the empty chain.
    fn next(&self, tree: &Tree, chain: &[NodeId]) -> Move;
}

/// See the head of this file.
pub struct Chains {
    script: Box<dyn Script>,
    sampling: Arc<Sampling>,
    n: u32,
    /// How one more chain is drawn, at the most probable tokens; it is the last.
    greedy: Option<Arc<Sampling>>,
    seed: Seed,
    tree: Tree,
    /// Nodes of each chain from the top.
    chains: Vec<Vec<NodeId>>,
    /// The chains that wait for what they write, and as which part; `None` before the first answers.
    writing: Option<Vec<(usize, Part)>>,
    batch: u32,
}

impl std::fmt::Debug for Chains {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chains").field("tree", &self.tree).field("chains", &self.chains).finish_non_exhaustive()
    }
}

impl Chains {
    /// `n` chains.
    #[must_use]
    pub fn new(script: Box<dyn Script>, n: u32, sampling: Arc<Sampling>, seed: Seed) -> Self {
        let (tree, chains) = (Tree::default(), vec![Vec::new(); n as usize]);
        Self { script, sampling, n, greedy: None, seed, tree, chains, writing: None, batch: 1 }
    }

    /// The same with one more answer: the most probable one. For scripts that write once.
    #[must_use]
    pub fn beside_greedy(mut self) -> Self {
        self.greedy = Some(Arc::new(self.sampling.greedy()));
        self.chains.push(Vec::new());
        self
    }

    fn draw(&self, behind: Vec<u32>, samples: u32, seed: Seed, max_tokens: Option<u32>) -> Want {
        Want::Draw(Draw { behind, samples, seed, sampling: Arc::clone(&self.sampling), unit: Unit::Answer, max_tokens })
    }

    fn begin(&mut self) -> Vec<Want> {
        let (part, max_tokens) = match self.script.next(&self.tree, &[]) {
            Move::Write { part, max_tokens } => (part, max_tokens),
            Move::Show(_) | Move::Stop => return Vec::new(),
        };
        self.writing = Some((0..self.chains.len()).map(|chain| (chain, part)).collect());
        self.tree[NodeId::ROOT].asked = self.n;
        // As independent samples draw.
        let mut wants = vec![self.draw(Vec::new(), self.n, self.seed, max_tokens)];
        if let Some(sampling) = &self.greedy {
            let (behind, sampling, unit) = (Vec::new(), Arc::clone(sampling), Unit::Answer);
            wants.push(Want::Draw(Draw { behind, samples: 1, seed: self.seed, sampling, unit, max_tokens }));
        }
        wants
    }

    /// Adds a node to a chain.
    fn put(&mut self, chain: usize, piece: Piece) {
        let parent = self.chains[chain].last().copied().unwrap_or(NodeId::ROOT);
        let node = self.tree.add(parent, piece, self.batch);
        if parent != NodeId::ROOT {
            self.tree[parent].asked = 1;
        }
        self.chains[chain].push(node);
    }

    /// Shows what is to be shown, and asks for what is to be written.
    fn go_on(&mut self) -> Vec<Want> {
        self.batch += 1;
        let (mut wants, mut writing) = (Vec::new(), Vec::new());
        for chain in 0..self.chains.len() {
            loop {
                match self.script.next(&self.tree, &self.chains[chain]) {
                    Move::Show(Text { text, tokens }) => {
                        self.put(chain, Piece { part: Part::Shown, tokens, log_probs: Vec::new(), text });
                    }
                    Move::Write { part, max_tokens } => {
                        let end = self.chains[chain].last().copied().unwrap_or(NodeId::ROOT);
                        let seed = self.seed.derive(&format!("node/{}/0", end.0));
                        wants.push(self.draw(self.tree.path(end).tokens, 1, seed, max_tokens));
                        writing.push((chain, part));
                        break;
                    }
                    Move::Stop => {
                        if let Some(end) = self.chains[chain].last() {
                            self.tree[*end].end = Some(End::Answered);
                            self.tree[*end].closed = true;
                        }
                        break;
                    }
                }
            }
        }
        self.writing = Some(writing);
        wants
    }
}

impl Several for Chains {
    fn tree_mut(&mut self) -> &mut Tree {
        &mut self.tree
    }
}

impl Strategy for Chains {
    fn next(&mut self, answers: Vec<Answer>) -> Result<Vec<Want>, EngineError> {
        let Some(writing) = self.writing.take() else { return Ok(self.begin()) };
        let drawn: Vec<Drawn> = draws(answers).flatten().collect();
        for ((chain, part), Drawn { tokens, log_probs, text, .. }) in writing.into_iter().zip(drawn) {
            self.put(chain, Piece { part, tokens, log_probs, text });
        }
        Ok(self.go_on())
    }

    fn tree(&self) -> &Tree {
        &self.tree
    }

    fn found(&self) -> Vec<NodeId> {
        self.chains.iter().filter_map(|chain| chain.last().copied()).collect()
    }

    /// Of answers in one piece, with each of them; others are seen batch by batch.
    fn moments(&self) -> Option<Vec<Moment>> {
        let samples = self.chains.iter().all(|chain| chain.len() == 1);
        samples.then(|| with_each(&self.tree, &self.found()))
    }
}

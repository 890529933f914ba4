//! A search tree as data: what each node adds, what is known of it, and how it ended. Decides nothing; selectors, backups and
//! extractors read and write it.

use galapagos_domain::trajectory::{Outcome, Score, Verdict};
use galapagos_domain::tree::{Guidance, TreeTurn};
pub use galapagos_domain::tree::{NodeEnd as End, NodePart as Part};
use serde::{Deserialize, Serialize};

/// A node's number: its place in order of making, the root 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(pub u32);

impl NodeId {
    /// The node of the prompt, which adds nothing.
    pub const ROOT: Self = Self(0);
}

/// What a node adds to its parent's text.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    pub part: Part,
    /// As they were sampled: never tokenised again. Of an action, what the environment showed behind it, too.
    pub tokens: Vec<u32>,
    /// One for each token that the policy sampled, which come first; empty for what was shown.
    pub log_probs: Vec<f32>,
    /// What the tokens say, up to what ends an answer.
    pub text: String,
}

impl Piece {
    /// Whether the policy sampled token number `place`, and was not shown it.
    #[must_use]
    pub fn is_sampled(&self, place: usize) -> bool {
        self.part.is_sampled() && place < self.log_probs.len()
    }
}

/// One node.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub parent: Option<NodeId>,
    /// In order of making.
    pub children: Vec<NodeId>,
    /// Steps from the root.
    pub depth: u32,
    /// What the policy was shown before it wrote the piece.
    pub guidance: Option<Guidance>,
    pub piece: Piece,
    /// Of an action: what the environment made of it.
    pub turn: Option<TreeTurn>,
    pub end: Option<End>,
    /// Nothing below it is left to be tried, or it was given up.
    pub closed: bool,
    /// N.
    pub visits: f64,
    /// W, where a backup sums.
    pub sum: f64,
    /// Q, as the backup defines it; 0 before the first value.
    pub q: f64,
    /// What evaluators gave the node itself, weighted and added.
    pub own: Option<f64>,
    /// What decides whether it is right.
    pub verdict: Option<Verdict>,
    pub scores: Vec<Score>,
    /// Refused steps in a row that end here.
    pub errors: u32,
    /// Continuations asked for so far.
    pub asked: u32,
    /// Later proposals that were merged into it.
    pub again: u32,
    /// The batch of expansions that made it.
    pub batch: u32,
    /// Simulations under way through it; no part of the tree as data.
    pub pending: u32,
}

impl Node {
    fn new(parent: Option<NodeId>, depth: u32, batch: u32, piece: Piece) -> Self {
        Self {
            parent,
            children: Vec::new(),
            depth,
            guidance: None,
            piece,
            turn: None,
            end: None,
            closed: false,
            visits: 0.0,
            sum: 0.0,
            q: 0.0,
            own: None,
            verdict: None,
            scores: Vec::new(),
            errors: 0,
            asked: 0,
            again: 0,
            batch,
            pending: 0,
        }
    }
}

/// A tree with at least its root.
#[derive(Debug, Clone, PartialEq)]
pub struct Tree {
    nodes: Vec<Node>,
}

impl Default for Tree {
    fn default() -> Self {
        let nothing = Piece { part: Part::Shown, tokens: Vec::new(), log_probs: Vec::new(), text: String::new() };
        Self { nodes: vec![Node::new(None, 0, 0, nothing)] }
    }
}

/// The way from the root to a node.
#[derive(Debug, Clone, PartialEq)]
pub struct Path {
    /// Nodes below the root, from the top.
    pub nodes: Vec<NodeId>,
    /// Their tokens.
    pub tokens: Vec<u32>,
    /// One for each token; 0 for those that the policy did not sample.
    pub log_probs: Vec<f32>,
    /// Whether the policy sampled the token.
    pub sampled: Vec<bool>,
    /// All that was written.
    pub text: String,
    /// What the policy wrote as steps, piece by piece.
    pub steps: Vec<String>,
    /// The last answer: what the policy wrote as steps since something was last shown to it.
    pub answer: String,
    /// What an environment made of the actions.
    pub turns: Vec<TreeTurn>,
}

impl Path {
    /// An answer in one piece that no search found.
    #[must_use]
    pub fn told(tokens: Vec<u32>, answer: &str) -> Self {
        Self {
            nodes: Vec::new(),
            log_probs: vec![0.0; tokens.len()],
            sampled: vec![false; tokens.len()],
            tokens,
            text: answer.to_owned(),
            steps: vec![answer.to_owned()],
            answer: answer.to_owned(),
            turns: Vec::new(),
        }
    }

    /// Tokens of it that the policy sampled.
    #[must_use]
    pub fn spent(&self) -> u64 {
        self.sampled.iter().filter(|sampled| **sampled).count() as u64
    }

    /// The first `tokens` tokens of it; the texts stay whole.
    #[must_use]
    pub fn cut(mut self, tokens: usize) -> Self {
        self.tokens.truncate(tokens);
        self.log_probs.truncate(tokens);
        self.sampled.truncate(tokens);
        self
    }
}

impl Tree {
    /// Adds a child that nobody has valued yet.
    pub fn add(&mut self, parent: NodeId, piece: Piece, batch: u32) -> NodeId {
        let id = NodeId(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        let above = &mut self[parent];
        above.children.push(id);
        let (depth, errors) = (above.depth + 1, above.errors);
        self.nodes.push(Node { errors, ..Node::new(Some(parent), depth, batch, piece) });
        id
    }

    /// Puts back a node that was read from a table; parents come before their children.
    pub fn put(&mut self, node: Node) -> NodeId {
        let id = NodeId(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        if let Some(parent) = node.parent {
            self[parent].children.push(id);
        }
        self.nodes.push(node);
        id
    }

    /// Says at the root that nothing of its values and verdicts is believed, and why.
    pub fn doubt(&mut self, reason: &str) {
        self[NodeId::ROOT].verdict = Some(Verdict::new(Outcome::Suspect, reason));
    }

    /// Why nothing of its values and verdicts is believed, if so.
    #[must_use]
    pub fn doubted(&self) -> Option<&str> {
        let verdict = self[NodeId::ROOT].verdict.as_ref();
        verdict.filter(|verdict| verdict.outcome == Outcome::Suspect).map(|verdict| verdict.reason.as_str())
    }

    /// Forgets the simulations under way.
    pub fn settle(&mut self) {
        self.nodes.iter_mut().for_each(|node| node.pending = 0);
    }

    /// Nodes, the root counted.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a tree has a root")]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Every node in order of making.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (NodeId, &Node)> {
        let number = |place: usize| NodeId(u32::try_from(place).unwrap_or(u32::MAX));
        self.nodes.iter().enumerate().map(move |(place, node)| (number(place), node))
    }

    /// The node and all above it, from the node up to the root.
    pub fn upwards(&self, from: NodeId) -> impl Iterator<Item = NodeId> {
        std::iter::successors(Some(from), |node| self[*node].parent)
    }

    /// The way to a node.
    #[must_use]
    pub fn path(&self, to: NodeId) -> Path {
        let mut nodes: Vec<NodeId> = self.upwards(to).filter(|node| *node != NodeId::ROOT).collect();
        nodes.reverse();
        let mut path = Path {
            nodes,
            tokens: Vec::new(),
            log_probs: Vec::new(),
            sampled: Vec::new(),
            steps: Vec::new(),
            text: String::new(),
            answer: String::new(),
            turns: Vec::new(),
        };
        let mut fresh = true;
        for node in &path.nodes {
            let Node { guidance, piece, turn, .. } = &self[*node];
            if let Some(Guidance { text, tokens }) = guidance {
                path.tokens.extend_from_slice(tokens);
                path.log_probs.resize(path.tokens.len(), 0.0);
                path.sampled.resize(path.tokens.len(), false);
                path.text.push_str(text);
            }
            path.tokens.extend_from_slice(&piece.tokens);
            path.log_probs.extend((0..piece.tokens.len()).map(|i| piece.log_probs.get(i).copied().unwrap_or(0.0)));
            path.sampled.extend((0..piece.tokens.len()).map(|i| piece.is_sampled(i)));
            path.text.push_str(&piece.text);
            if piece.part == Part::Step {
                path.steps.push(piece.text.clone());
            }
            match piece.part {
                Part::Step if fresh => {
                    path.answer.clone_from(&piece.text);
                    fresh = false;
                }
                Part::Step => path.answer.push_str(&piece.text),
                Part::Shown => fresh = true,
                Part::Aside => {}
            }
            if let Some(turn) = turn {
                if let TreeTurn::Played(played) = turn {
                    path.text.push_str(&played.shown);
                }
                path.turns.push(turn.clone());
                fresh = true;
            }
        }
        path
    }

    /// Tokens that were sampled for the whole tree, merged proposals not counted.
    #[must_use]
    pub fn sampled(&self) -> u64 {
        self.nodes.iter().map(|node| node.piece.log_probs.len() as u64).sum()
    }

    /// Marks as closed what has nothing left to try, from `from` upwards: ends, and nodes that have all the children they may
    /// have, every one closed. `width` says how many proposals a node may ask for.
    pub fn close_upwards(&mut self, from: NodeId, width: impl Fn(&Self, NodeId) -> u32) {
        let mut at = Some(from);
        while let Some(id) = at {
            if !self.is_spent(id, width(self, id)) {
                return;
            }
            self[id].closed = true;
            at = self[id].parent;
        }
    }

    /// Whether nothing is left to try at and below a node that may ask for `width` proposals.
    #[must_use]
    pub fn is_spent(&self, id: NodeId, width: u32) -> bool {
        let node = &self[id];
        let asked = node.asked >= width && node.asked > 0;
        node.end.is_some() || (asked && node.children.iter().all(|child| self[*child].closed))
    }
}

impl std::ops::Index<NodeId> for Tree {
    type Output = Node;
    fn index(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }
}

impl std::ops::IndexMut<NodeId> for Tree {
    fn index_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id.0 as usize]
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A step of one token, its first character.
    pub(in crate::search) fn step(text: &str) -> Piece {
        let tokens: Vec<u32> = text.chars().take(1).map(u32::from).collect();
        let log_probs = vec![-0.5; tokens.len()];
        Piece { part: Part::Step, tokens, log_probs, text: text.to_owned() }
    }

    #[test]
    fn a_path_holds_all_that_was_written_and_the_last_answer_apart() {
        let mut tree = Tree::default();
        let shown = |text: &str| Piece { part: Part::Shown, log_probs: Vec::new(), ..step(text) };
        let aside = |text: &str| Piece { part: Part::Aside, ..step(text) };
        let mut at = NodeId::ROOT;
        for piece in [step("4"), step("2"), shown("why?"), aside("because"), shown("again:"), step("43"), step("!")] {
            at = tree.add(at, piece, 0);
        }
        let path = tree.path(at);
        assert_eq!((path.text.as_str(), path.answer.as_str()), ("42why?becauseagain:43!", "43!"));
        assert_eq!(path.tokens.len(), 7);
        assert_eq!(path.log_probs, [-0.5, -0.5, 0.0, -0.5, 0.0, -0.5, -0.5]);
        let feedback = tree.path(NodeId(4));
        assert_eq!(feedback.answer, "42", "feedback is no answer");
    }

    #[test]
    fn guidance_stands_before_its_node_and_belongs_to_no_answer() {
        let mut tree = Tree::default();
        let a = tree.add(NodeId::ROOT, step("4"), 0);
        let b = tree.add(a, step("2"), 0);
        tree[b].guidance = Some(Guidance { text: "(not 3)".to_owned(), tokens: vec![7, 8] });
        let path = tree.path(b);
        assert_eq!((path.text.as_str(), path.answer.as_str()), ("4(not 3)2", "42"));
        assert_eq!(path.tokens, [u32::from('4'), 7, 8, u32::from('2')]);
        assert_eq!(path.log_probs, [-0.5, 0.0, 0.0, -0.5]);
        assert_eq!((path.sampled.as_slice(), path.spent()), ([true, false, false, true].as_slice(), 2));
        assert_eq!(tree.path(a).text, "4", "the parent was not shown it");
    }

    #[test]
    fn a_node_closes_when_all_below_it_is_tried() {
        let mut tree = Tree::default();
        let (a, b) = (tree.add(NodeId::ROOT, step("a"), 1), tree.add(NodeId::ROOT, step("b"), 1));
        tree[NodeId::ROOT].asked = 2;
        tree[a].end = Some(End::Answered);
        tree.close_upwards(a, |_, _| 2);
        assert!(tree[a].closed && !tree[NodeId::ROOT].closed);
        tree[b].end = Some(End::Cut);
        tree.close_upwards(b, |_, _| 3);
        assert!(tree[b].closed && !tree[NodeId::ROOT].closed, "a third child may come");
        tree.close_upwards(NodeId::ROOT, |_, _| 2);
        assert!(tree[NodeId::ROOT].closed);
    }
}

//! Cutting what is open of a tree into parts of about equal weight.

use std::collections::BTreeSet;

use crate::search::tree::{NodeId, Tree};

/// Pieces for each part before they are given out: more of them weigh out better, and cut deeper.
const PIECES: usize = 4;

/// What one job of a wave has.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Part {
    pieces: Vec<Piece>,
    /// Nodes that others have, with all below them.
    pub closed: BTreeSet<NodeId>,
    /// Nodes above pieces of several parts; the part does not grow them itself.
    pub others: BTreeSet<NodeId>,
}

impl Part {
    /// Whether it has nothing to grow.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }
}

/// What is given to one part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Piece {
    /// A node with all below it.
    Subtree(NodeId),
    /// New children of a node whose old ones are pieces of their own.
    Node(NodeId),
}

/// Cuts the open part of the tree into `count` parts: the heaviest piece is cut at its root until there are enough, and each piece,
/// the heaviest first, goes to the part that weighs least. The weight of a subtree is its visits: a selector has been there that often.
pub fn parts(tree: &Tree, count: u32, may_grow: &impl Fn(&Tree, NodeId) -> bool) -> Vec<Part> {
    let count = count as usize;
    let mut cut = BTreeSet::new();
    let mut pieces: Vec<(f64, Piece)> = Vec::new();
    if has_open(tree, NodeId::ROOT, may_grow) {
        pieces.push((weight(tree, NodeId::ROOT), Piece::Subtree(NodeId::ROOT)));
    }
    while pieces.len() < count * PIECES {
        let divisible = |piece: &(f64, Piece)| match piece.1 {
            Piece::Subtree(node) => tree[node].children.iter().any(|child| has_open(tree, *child, may_grow)),
            Piece::Node(_) => false,
        };
        let heaviest = (0..pieces.len())
            .filter(|place| divisible(&pieces[*place]))
            .max_by(|a, b| pieces[*a].0.total_cmp(&pieces[*b].0).then(pieces[*b].1.cmp(&pieces[*a].1)));
        let Some(place) = heaviest else { break };
        let (_, piece) = pieces.swap_remove(place);
        let (Piece::Subtree(node) | Piece::Node(node)) = piece;
        cut.insert(node);
        let open = tree[node].children.iter().copied().filter(|child| has_open(tree, *child, may_grow));
        pieces.extend(open.map(|child| (weight(tree, child), Piece::Subtree(child))));
        if may_grow(tree, node) {
            pieces.push((1.0, Piece::Node(node)));
        }
    }
    pieces.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let mut given: Vec<(f64, Vec<Piece>)> = vec![(0.0, Vec::new()); count];
    for (weight, piece) in pieces {
        let least = (0..count).min_by(|a, b| given[*a].0.total_cmp(&given[*b].0).then(a.cmp(b)));
        if let Some(least) = least {
            given[least].0 += weight;
            given[least].1.push(piece);
        }
    }
    let part = |own: &Vec<Piece>| {
        let foreign = given.iter().filter(|(_, pieces)| pieces != own).flat_map(|(_, pieces)| pieces);
        let mut closed = BTreeSet::new();
        for piece in foreign {
            if let Piece::Subtree(node) = piece {
                below(tree, *node, &mut closed);
            }
        }
        let others: BTreeSet<NodeId> = cut.iter().copied().filter(|node| !own.contains(&Piece::Node(*node))).collect();
        // Nothing of the part is below these. Children come after their parents.
        for node in others.iter().rev() {
            if tree[*node].children.iter().all(|child| tree[*child].closed || closed.contains(child)) {
                closed.insert(*node);
            }
        }
        Part { pieces: own.clone(), closed, others }
    };
    given.iter().map(|(_, own)| part(own)).collect()
}

/// A subtree that nobody visited counts too.
fn weight(tree: &Tree, node: NodeId) -> f64 {
    1.0 + tree[node].visits
}

/// Whether something can grow at or below the node.
fn has_open(tree: &Tree, node: NodeId, may_grow: &impl Fn(&Tree, NodeId) -> bool) -> bool {
    let mut rest = vec![node];
    while let Some(node) = rest.pop() {
        if may_grow(tree, node) {
            return true;
        }
        rest.extend(tree[node].children.iter().filter(|child| !tree[**child].closed));
    }
    false
}

fn below(tree: &Tree, node: NodeId, all: &mut BTreeSet<NodeId>) {
    let mut rest = vec![node];
    while let Some(node) = rest.pop() {
        all.insert(node);
        rest.extend(&tree[node].children);
    }
}

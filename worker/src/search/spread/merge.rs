//! Putting the parts of a wave together.

use std::collections::BTreeMap;

use super::Spreading;
use crate::search::backup::renew;
use crate::search::budget::Spent;
use crate::search::forest::Kept;
use crate::search::growth::Standing;
use crate::search::tree::{Node, NodeId, Tree};

/// Why trees are not parts of one tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpreadError {
    #[error("part {part} has {has} nodes, and the tree that it went on from has {of}")]
    Short { part: usize, has: usize, of: usize },
    #[error("node {node} of part {part} is another one than in the tree that it went on from")]
    Other { part: usize, node: u32 },
}

impl Spreading<'_> {
    /// The tree from which a wave went on, with all that its parts found. New nodes stand in order of their parts. A node that one part
    /// changed is as it is there; in one that several changed visits and sums are added, and Q follows from them or from its children.
    ///
    /// # Errors
    /// [`SpreadError`] if a part did not go on from `whole`.
    pub fn merge(&self, whole: &Kept, parts: &[Kept]) -> Result<Kept, SpreadError> {
        let old = whole.tree.len();
        for (part, kept) in parts.iter().enumerate() {
            went_on(&whole.tree, &kept.tree, part)?;
        }
        let mut tree = whole.tree.clone();
        let (mut standing, mut heard) =
            (Standing { spent: whole.standing.spent, front: Vec::new() }, whole.heard.clone());
        for Kept { tree: part, standing: stood, heard: of_part } in parts {
            heard.add(of_part);
            let shift = tree.len() - old;
            let moved = |node: NodeId| {
                let new = node.0 as usize >= old;
                if new { NodeId(node.0 + u32::try_from(shift).unwrap_or(u32::MAX)) } else { node }
            };
            for (_, node) in part.iter().skip(old) {
                tree.put(Node { parent: node.parent.map(moved), children: Vec::new(), ..node.clone() });
            }
            standing.front.extend(stood.front.iter().copied().map(moved));
            add(&mut standing.spent, whole.standing.spent, stood.spent);
        }
        self.share(&mut tree, &whole.tree, parts);
        self.close(&mut tree, old);
        tree.settle();
        Ok(Kept { tree, standing, heard })
    }

    /// What the parts changed in the old nodes. Children come after their parents, so Q is renewed from the last one on.
    fn share(&self, tree: &mut Tree, before: &Tree, parts: &[Kept]) {
        let mut changed: BTreeMap<NodeId, Vec<usize>> = BTreeMap::new();
        for (id, old) in before.iter() {
            for (place, Kept { tree: part, .. }) in parts.iter().enumerate() {
                let new = &part[id];
                let now = (new.visits, new.sum, new.q, new.asked, new.again);
                if now != (old.visits, old.sum, old.q, old.asked, old.again) {
                    changed.entry(id).or_default().push(place);
                }
            }
        }
        for (id, places) in changed.into_iter().rev() {
            for place in &places {
                let (old, new) = (&before[id], &parts[*place].tree[id]);
                let node = &mut tree[id];
                node.visits += new.visits - old.visits;
                node.sum += new.sum - old.sum;
                node.asked += new.asked.saturating_sub(old.asked);
                node.again += new.again.saturating_sub(old.again);
            }
            match places.as_slice() {
                [only] => {
                    let new = &parts[*only].tree[id];
                    (tree[id].visits, tree[id].sum, tree[id].q) = (new.visits, new.sum, new.q);
                }
                _ => renew(tree, self.mcts.backup, id),
            }
        }
    }

    /// Each part closed what others have, so the old nodes are looked at anew.
    fn close(&self, tree: &mut Tree, old: usize) {
        for place in (0..old).rev() {
            let id = NodeId(u32::try_from(place).unwrap_or(u32::MAX));
            let width = self.width(tree, id);
            tree[id].closed |= tree.is_spent(id, width);
        }
    }
}

/// Whether `part` begins with all nodes of `whole`.
fn went_on(whole: &Tree, part: &Tree, number: usize) -> Result<(), SpreadError> {
    if part.len() < whole.len() {
        return Err(SpreadError::Short { part: number, has: part.len(), of: whole.len() });
    }
    let says = |node: &Node| (node.parent, node.guidance.clone(), node.piece.clone());
    let other = whole.iter().zip(part.iter()).find(|((_, a), (_, b))| says(a) != says(b));
    match other {
        Some(((node, _), _)) => Err(SpreadError::Other { part: number, node: node.0 }),
        None => Ok(()),
    }
}

fn add(sum: &mut Spent, before: Spent, after: Spent) {
    sum.simulations += after.simulations.saturating_sub(before.simulations);
    sum.tokens += after.tokens.saturating_sub(before.tokens);
    sum.escalated |= after.escalated;
}

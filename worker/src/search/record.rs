//! Trees to records and back.

use galapagos_domain::ids::{Digest, JobId, Name};
use galapagos_domain::tree::{NodePart, TreeNode};

use super::tree::{Node, NodeId, Piece, Tree};

/// What all records of a tree have in common.
#[derive(Debug, Clone)]
pub struct Origin {
    pub job: JobId,
    pub task_set: Name,
    pub task: String,
    pub policy: Digest,
    /// Few-shot prefix and question.
    pub prompt: Vec<u32>,
    pub prefix_len: u32,
    pub prompt_text: String,
}

impl Origin {
    /// The tree's name.
    #[must_use]
    pub fn tree(&self) -> String {
        format!("{}/{}", self.task_set, self.task)
    }
}

/// One record for each node; trajectories end at `found`.
#[must_use]
pub fn records(tree: &Tree, origin: &Origin, found: &[NodeId]) -> Vec<TreeNode> {
    let record = |(id, node): (NodeId, &Node)| {
        let root = id == NodeId::ROOT;
        let (tokens, text) = if root {
            (origin.prompt.clone(), origin.prompt_text.clone())
        } else {
            (node.piece.tokens.clone(), node.piece.text.clone())
        };
        TreeNode {
            job: origin.job.clone(),
            tree: origin.tree(),
            task_set: origin.task_set.clone(),
            task: origin.task.clone(),
            policy: origin.policy,
            node: id.0,
            parent: node.parent.map(|parent| parent.0),
            depth: node.depth,
            part: node.piece.part,
            guidance: node.guidance.clone(),
            tokens,
            prefix_len: if root { origin.prefix_len } else { 0 },
            log_probs: node.piece.log_probs.clone(),
            text,
            turn: node.turn.clone(),
            end: node.end,
            closed: node.closed,
            visits: node.visits,
            sum: node.sum,
            q: node.q,
            own: node.own,
            verdict: node.verdict.clone(),
            scores: node.scores.clone(),
            errors: node.errors,
            asked: node.asked,
            again: node.again,
            batch: node.batch,
            found: found.contains(&id),
        }
    };
    tree.iter().map(record).collect()
}

/// The tree of the records of one tree, in their order.
///
/// # Errors
/// What is wrong with them, for people.
pub fn tree(records: &[TreeNode]) -> Result<Tree, String> {
    let Some((root, below)) = records.split_first() else { return Err("a tree has no record".to_owned()) };
    if (root.node, root.parent) != (0, None) {
        return Err(format!("the tree {} does not begin with its root", root.tree));
    }
    let mut tree = Tree::default();
    tree[NodeId::ROOT] = Node { piece: tree[NodeId::ROOT].piece.clone(), ..node(root) };
    for (place, record) in (1..).zip(below) {
        let parent = record.parent.filter(|parent| *parent < place);
        if record.node != place || parent.is_none() {
            let parent = record.parent;
            return Err(format!("record {place} of the tree {} is node {} below {parent:?}", record.tree, record.node));
        }
        tree.put(node(record));
    }
    Ok(tree)
}

fn node(record: &TreeNode) -> Node {
    let root = record.parent.is_none();
    let part = if root { NodePart::Shown } else { record.part };
    let piece =
        Piece { part, tokens: record.tokens.clone(), log_probs: record.log_probs.clone(), text: record.text.clone() };
    Node {
        parent: record.parent.map(NodeId),
        children: Vec::new(),
        depth: record.depth,
        piece,
        guidance: record.guidance.clone(),
        turn: record.turn.clone(),
        end: record.end,
        closed: record.closed,
        visits: record.visits,
        sum: record.sum,
        q: record.q,
        own: record.own,
        verdict: record.verdict.clone(),
        scores: record.scores.clone(),
        errors: record.errors,
        asked: record.asked,
        again: record.again,
        batch: record.batch,
        pending: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tree::tests::step;
    use super::*;

    #[test]
    fn a_tree_comes_back_from_its_records_and_a_broken_one_is_refused() {
        let mut tree = Tree::default();
        let a = tree.add(NodeId::ROOT, step("a"), 1);
        let b = tree.add(a, step("b"), 2);
        tree.add(NodeId::ROOT, step("c"), 2);
        tree[b].verdict = Some(galapagos_domain::trajectory::Verdict::pass("yes").scored(0.5));
        tree[b].guidance = Some(galapagos_domain::tree::Guidance { text: "so".to_owned(), tokens: vec![3] });
        (tree[a].visits, tree[a].q, tree[a].own, tree[a].asked) = (2.0, 0.25, Some(0.5), 3);
        let origin = Origin {
            job: JobId::new("e/g1/forest/0").unwrap(),
            task_set: Name::new("math").unwrap(),
            task: "train/3".to_owned(),
            policy: Digest::of(b"p"),
            prompt: vec![7, 8],
            prefix_len: 1,
            prompt_text: "2+2=".to_owned(),
        };
        let records = records(&tree, &origin, &[b]);
        assert_eq!((records[0].tokens.as_slice(), records[0].prefix_len), ([7, 8].as_slice(), 1));
        assert_eq!(records.iter().map(|record| record.found).collect::<Vec<_>>(), [false, false, true, false]);
        assert_eq!(super::tree(&records).unwrap(), tree);
        assert!(super::tree(&[]).is_err());
        assert!(super::tree(&records[1..]).unwrap_err().contains("math/train/3 does not begin"));
        let gap = [records[0].clone(), records[2].clone()];
        assert!(super::tree(&gap).unwrap_err().contains("is node 2"));
    }
}

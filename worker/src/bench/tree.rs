//! Search trees of a given size and random shape: which node each expansion continues, known before anything is generated,
//! so that both sides do the same work whatever they sample.

use std::collections::BTreeSet;

use galapagos_domain::seed::Seed;
use rand::Rng;

/// How large the trees are.
#[derive(Debug, Clone, Copy)]
pub struct TreeShape {
    /// New nodes per problem.
    pub expansions: usize,
    /// Expansions of one problem in one round: they run side by side.
    pub at_a_time: usize,
    /// Most nodes on a path below the prompt.
    pub depth: usize,
    /// Fewest and most tokens of a node.
    pub new_tokens: (usize, usize),
}

/// One new node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expansion {
    pub problem: usize,
    /// The node it continues, counted through all rounds; `None` is the problem's prompt.
    pub parent: Option<usize>,
    pub new_tokens: usize,
}

/// Prompts and the rounds in which their trees grow.
#[derive(Debug, Clone, PartialEq)]
pub struct Tree {
    pub prompts: Vec<Vec<u32>>,
    /// A round's expansions continue nodes of earlier rounds only.
    pub rounds: Vec<Vec<Expansion>>,
}

impl Tree {
    /// Draws parents evenly from the nodes that are there and not yet at the full depth.
    #[must_use]
    pub fn grow(prompts: Vec<Vec<u32>>, shape: &TreeShape, seed: u64) -> Self {
        let mut stream = Seed(seed).stream();
        let mut below = |count: usize| (stream.next_u64() % count.max(1) as u64) as usize;
        // Of each problem, the places that may be continued: a node and its depth.
        let mut open: Vec<Vec<(Option<usize>, usize)>> = vec![vec![(None, 0)]; prompts.len()];
        let (mut rounds, mut nodes, mut left) = (Vec::new(), 0, shape.expansions);
        while left > 0 {
            let width = left.min(shape.at_a_time);
            let mut round = Vec::with_capacity(width * prompts.len());
            for (problem, open) in open.iter_mut().enumerate() {
                let there = open.len();
                for _ in 0..width {
                    let (parent, depth) = open[below(there)];
                    let (least, most) = shape.new_tokens;
                    round.push(Expansion { problem, parent, new_tokens: least + below(most - least + 1) });
                    if depth + 1 < shape.depth {
                        open.push((Some(nodes), depth + 1));
                    }
                    nodes += 1;
                }
            }
            rounds.push(round);
            left -= width;
        }
        Self { prompts, rounds }
    }

    /// All expansions in order; the place of one is its node's number.
    pub fn expansions(&self) -> impl Iterator<Item = &Expansion> {
        self.rounds.iter().flatten()
    }

    /// Nodes on the path from the prompt to `node`, itself included, nearest first.
    pub fn path(&self, node: Option<usize>) -> impl Iterator<Item = usize> {
        let all: Vec<Option<usize>> = self.expansions().map(|expansion| expansion.parent).collect();
        std::iter::successors(node, move |node| all[*node])
    }

    /// Positions of the longest sequence.
    #[must_use]
    pub fn longest(&self) -> usize {
        let all: Vec<&Expansion> = self.expansions().collect();
        let mut ends: Vec<usize> = Vec::with_capacity(all.len());
        for expansion in &all {
            let begin = expansion.parent.map_or(self.prompts[expansion.problem].len(), |parent| ends[parent]);
            ends.push(begin + expansion.new_tokens);
        }
        ends.into_iter().max().unwrap_or(0)
    }

    /// Distinct context tokens of a round's expansions: every prompt and every node of a path counts once.
    #[must_use]
    pub fn distinct_context(&self, round: &[Expansion]) -> usize {
        let all: Vec<&Expansion> = self.expansions().collect();
        let problems: BTreeSet<usize> = round.iter().map(|expansion| expansion.problem).collect();
        let mut nodes = BTreeSet::new();
        for expansion in round {
            let mut at = expansion.parent;
            while let Some(node) = at
                && nodes.insert(node)
            {
                at = all[node].parent;
            }
        }
        problems.into_iter().map(|problem| self.prompts[problem].len()).sum::<usize>()
            + nodes.into_iter().map(|node| all[node].new_tokens).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: TreeShape = TreeShape { expansions: 48, at_a_time: 4, depth: 8, new_tokens: (16, 24) };

    fn tree(seed: u64) -> Tree {
        Tree::grow(vec![vec![1; 300]; 3], &SHAPE, seed)
    }

    #[test]
    fn trees_have_their_size_and_never_pass_their_depth() {
        let tree = tree(1);
        assert_eq!(tree.expansions().count(), 3 * 48);
        let mut deepest = 0;
        for (node, expansion) in tree.expansions().enumerate() {
            assert!((16..=24).contains(&expansion.new_tokens));
            deepest = deepest.max(tree.path(Some(node)).count());
        }
        assert!((4..=8).contains(&deepest), "{deepest}");
        assert!(tree.longest() <= 300 + 8 * 24);
    }

    #[test]
    fn a_parent_is_of_the_same_problem_and_of_an_earlier_round() {
        let tree = tree(2);
        let all: Vec<&Expansion> = tree.expansions().collect();
        let mut before = 0;
        for round in &tree.rounds {
            for expansion in round {
                if let Some(parent) = expansion.parent {
                    assert!(parent < before);
                    assert_eq!(all[parent].problem, expansion.problem);
                }
            }
            before += round.len();
        }
    }

    #[test]
    fn another_seed_is_another_tree_and_the_same_seed_the_same() {
        assert_eq!(tree(1), tree(1));
        assert_ne!(tree(1), tree(2));
    }

    #[test]
    fn shared_context_counts_once() {
        let node = |parent, new_tokens| Expansion { problem: 0, parent, new_tokens };
        let rounds = vec![vec![node(None, 5)], vec![node(Some(0), 7)], vec![node(Some(1), 1), node(Some(0), 1)]];
        let tree = Tree { prompts: vec![vec![1; 10]], rounds };
        assert_eq!(tree.distinct_context(&tree.rounds[2]), 10 + 7 + 5);
        assert_eq!(tree.distinct_context(&tree.rounds[0]), 10);
        assert_eq!(tree.longest(), 10 + 5 + 7 + 1);
    }
}

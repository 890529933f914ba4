//! Budgets: whether a tree may grow, and by how much.

use galapagos_domain::recipe::search::Budget;
use galapagos_domain::trajectory::Outcome;
use serde::{Deserialize, Serialize};

use super::tree::Tree;

/// What a tree used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Spent {
    pub simulations: u32,
    /// Sampled, by the policy and by verifiers, merged proposals counted.
    pub tokens: u64,
    /// Whether the tree has its larger budget already.
    pub escalated: bool,
}

/// Answers that pass.
#[must_use]
pub fn correct(tree: &Tree) -> u32 {
    let passes = tree.iter().filter(|(_, node)| node.verdict.as_ref().is_some_and(|v| v.outcome == Outcome::Pass));
    u32::try_from(passes.count()).unwrap_or(u32::MAX)
}

/// Nodes that may still be made; 0 if the tree is done. Gives a tree without a right answer its larger budget, once, if there is one.
pub fn left(budget: &Budget, tree: &Tree, spent: &mut Spent) -> u32 {
    if budget.correct_leaves.is_some_and(|enough| correct(tree) >= enough) {
        return 0;
    }
    let nodes = within(budget, tree, spent);
    match budget.escalate_unsolved {
        Some(_) if nodes == 0 && !spent.escalated && correct(tree) == 0 => {
            spent.escalated = true;
            within(budget, tree, spent)
        }
        Some(_) | None => nodes,
    }
}

fn within(budget: &Budget, tree: &Tree, spent: &Spent) -> u32 {
    let factor = match budget.escalate_unsolved {
        Some(more) if spent.escalated => more.factor,
        Some(_) | None => 1,
    };
    let simulations = budget.simulations.is_some_and(|most| spent.simulations >= most.saturating_mul(factor));
    let tokens = budget.tokens.is_some_and(|most| spent.tokens >= most.saturating_mul(u64::from(factor)));
    if simulations || tokens {
        return 0;
    }
    let made = u32::try_from(tree.len() - 1).unwrap_or(u32::MAX);
    budget.nodes.map_or(u32::MAX, |most| most.saturating_mul(factor).saturating_sub(made))
}

#[cfg(test)]
mod tests {
    use galapagos_domain::recipe::search::Escalate;
    use galapagos_domain::trajectory::Verdict;

    use super::super::tree::NodeId;
    use super::super::tree::tests::step;
    use super::*;

    fn budget() -> Budget {
        Budget { simulations: None, nodes: None, tokens: None, correct_leaves: None, depth: 4, escalate_unsolved: None }
    }

    #[test]
    fn each_limit_ends_a_tree() {
        let mut tree = Tree::default();
        let leaf = tree.add(NodeId::ROOT, step("a"), 1);
        let spent = Spent { simulations: 3, tokens: 10, escalated: false };
        let left = |budget: Budget, tree: &Tree| left(&budget, tree, &mut spent.clone());
        assert_eq!(left(budget(), &tree), u32::MAX);
        assert_eq!(left(Budget { simulations: Some(3), ..budget() }, &tree), 0);
        assert_eq!(left(Budget { simulations: Some(4), ..budget() }, &tree), u32::MAX);
        assert_eq!(left(Budget { tokens: Some(10), ..budget() }, &tree), 0);
        assert_eq!(left(Budget { nodes: Some(5), ..budget() }, &tree), 4);
        let one = Budget { correct_leaves: Some(1), ..budget() };
        assert_eq!(left(one.clone(), &tree), u32::MAX);
        tree[leaf].verdict = Some(Verdict::pass(""));
        assert_eq!(left(one, &tree), 0);
    }

    #[test]
    fn a_tree_without_a_right_answer_gets_more_once() {
        let mut tree = Tree::default();
        let leaf = tree.add(NodeId::ROOT, step("a"), 1);
        let hard =
            Budget { nodes: Some(1), escalate_unsolved: Some(Escalate { from_generation: 1, factor: 4 }), ..budget() };
        let mut spent = Spent::default();
        assert_eq!((left(&hard, &tree, &mut spent), spent.escalated), (3, true));
        for text in ["b", "c", "d"] {
            tree.add(NodeId::ROOT, step(text), 2);
        }
        assert_eq!(left(&hard, &tree, &mut spent), 0);
        let mut spent = Spent::default();
        tree[leaf].verdict = Some(Verdict::pass(""));
        assert_eq!((left(&hard, &tree, &mut spent), spent.escalated), (0, false), "it is solved");
    }
}

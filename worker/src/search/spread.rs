//! One tree over several jobs: which part of it a job grows, within which budget, and how the parts become one tree again.
//!
//! A first job grows the trunk. In each wave what is open is cut into parts (`parts`); the job of a part sees the whole tree with all
//! else closed, and grows it as one job would. Then the parts are put together (`merge`): their nodes, and what they changed in the
//! nodes that they share. All of it is a function of the recipe, the seed and the number of parts: of no worker, and of no timing.

mod merge;
mod parts;

use std::collections::BTreeSet;

use galapagos_domain::recipe::search::{Budget, Mcts, Spread};
use galapagos_domain::trajectory::Audit;

use self::parts::{Part, parts};
use super::budget::{Spent, correct};
use super::forest::Kept;
use super::growth::Standing;
use super::tree::{NodeId, Tree};
use super::width::width;

pub use self::merge::SpreadError;

/// What a job may grow of the tree of one task.
#[derive(Debug, Clone, PartialEq)]
pub struct Portion {
    /// In place of the search's: what was spent before and this job's share of the rest.
    pub budget: Budget,
    /// Open nodes that others grow, or nobody in this wave; what is below them may be this job's.
    pub others: BTreeSet<NodeId>,
    /// What the random streams of the part are called; the trunk draws as a tree of one job.
    pub stream: Option<String>,
    /// What was spent before, elsewhere.
    pub before: Spent,
}

/// How the trees of a search are spread.
#[derive(Debug, Clone, Copy)]
pub struct Spreading<'a> {
    mcts: &'a Mcts,
    spread: Spread,
}

impl<'a> Spreading<'a> {
    /// `None` if the search is not spread.
    #[must_use]
    pub fn of(mcts: &'a Mcts) -> Option<Self> {
        Some(Self { mcts, spread: mcts.spread? })
    }

    /// The job that grows the trunk, before there is a tree.
    #[must_use]
    pub fn trunk(&self) -> Portion {
        let (others, before) = (BTreeSet::new(), Spent::default());
        let budget = share(&self.mcts.budget, 1, (0, before), self.spread.growths());
        Portion { budget, others, stream: None, before }
    }

    /// What the job of part `part` in wave `wave` (from 1) goes on from, and what it may do.
    #[must_use]
    pub fn part(&self, whole: &Kept, wave: u32, part: u32) -> (Kept, Portion) {
        let Kept { tree, standing, .. } = whole;
        let all = parts(tree, self.spread.parts(wave), &|tree, node| self.may_grow(tree, node));
        let busy = all.iter().filter(|part| !part.is_empty()).count();
        let last = wave >= self.spread.waves;
        let budget = match all.get(part as usize).filter(|part| !part.is_empty()) {
            None => nothing(),
            Some(_) => {
                let jobs = u32::try_from(busy).unwrap_or(u32::MAX) * (1 + self.spread.waves.saturating_sub(wave));
                let hard = self.mcts.budget.escalate_unsolved.filter(|_| last && correct(tree) == 0);
                share(&self.mcts.budget, hard.map_or(1, |more| more.factor), (tree.len() - 1, standing.spent), jobs)
            }
        };
        let Part { closed, others, .. } = all.into_iter().nth(part as usize).unwrap_or_default();
        let mut tree = tree.clone();
        for node in closed {
            tree[node].closed = true;
        }
        let open = |node: &NodeId| !tree[*node].closed && !others.contains(node);
        let front = standing.front.iter().copied().filter(open).collect();
        let before = standing.spent;
        let stream = Some(format!("wave/{wave}/{part}"));
        // What was heard before is in the whole already.
        let (standing, heard) = (Standing { spent: before, front }, Audit::default());
        (Kept { tree, standing, heard }, Portion { budget, others, stream, before })
    }

    /// The job that takes what was found: nothing more is grown.
    #[must_use]
    pub fn end(&self, whole: &Kept) -> Portion {
        Portion { budget: nothing(), others: BTreeSet::new(), stream: None, before: whole.standing.spent }
    }

    fn width(&self, tree: &Tree, node: NodeId) -> u32 {
        width(tree, node, self.mcts.width, self.mcts.propose.n)
    }

    fn may_grow(&self, tree: &Tree, node: NodeId) -> bool {
        let of = &tree[node];
        let room = of.depth < self.mcts.budget.depth && of.asked < self.width(tree, node);
        !of.closed && of.end.is_none() && room
    }
}

/// No growth at all.
fn nothing() -> Budget {
    Budget { simulations: None, nodes: Some(0), tokens: None, correct_leaves: None, depth: 0, escalate_unsolved: None }
}

/// What was spent, and one of `jobs` equal shares of what is left of `factor` times the budget.
fn share(budget: &Budget, factor: u32, (made, spent): (usize, Spent), jobs: u32) -> Budget {
    let of = |most: u64, used: u64| {
        let left = most.saturating_mul(u64::from(factor)).saturating_sub(used);
        used + left.div_ceil(u64::from(jobs.max(1)))
    };
    let count =
        |most: Option<u32>, used: u64| most.map(|most| u32::try_from(of(most.into(), used)).unwrap_or(u32::MAX));
    Budget {
        simulations: count(budget.simulations, spent.simulations.into()),
        nodes: count(budget.nodes, made as u64),
        tokens: budget.tokens.map(|most| of(most, spent.tokens)),
        escalate_unsolved: None,
        ..budget.clone()
    }
}

#[cfg(test)]
mod tests;

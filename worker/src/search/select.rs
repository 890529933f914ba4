//! Selectors: which node comes next. Pure functions of the tree; ties go to the node made first.
//!
//! A simulation under way through a node counts as a visit of value minus the virtual loss, whatever the backup is.

use galapagos_domain::recipe::search::{BestFirst, Extra, Prior, Puct, Select, Uct, Unvisited};
use strsim::normalized_levenshtein;

use super::tree::{NodeId, Tree};

/// A selector with its numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Selector {
    pub select: Select,
    pub virtual_loss: f64,
}

/// N and Q with the simulations under way.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Standing {
    visits: f64,
    q: f64,
}

impl Selector {
    /// The child of `at` to go down to; `None` if all are closed, or for a selector that looks at the whole tree.
    #[must_use]
    pub fn child(&self, tree: &Tree, at: NodeId) -> Option<NodeId> {
        let open = tree[at].children.iter().copied().filter(|child| !tree[*child].closed);
        match &self.select {
            Select::Uct(uct) => first_best(open, |child| self.uct(tree, uct, child)),
            Select::Puct(puct) => {
                let priors = priors(tree, at, puct.prior);
                let prior = |child: NodeId| {
                    let place = tree[at].children.iter().position(|sibling| *sibling == child);
                    place.map_or(0.0, |place| priors[place])
                };
                first_best(open, |child| self.puct(tree, puct, (child, prior(child))))
            }
            Select::BestFirst(_) => None,
        }
    }

    /// The node of the whole tree to grow next, among those that may.
    #[must_use]
    pub fn anywhere(&self, tree: &Tree, may_grow: impl Fn(NodeId) -> bool) -> Option<NodeId> {
        let Select::BestFirst(best) = &self.select else { return None };
        let open = tree.iter().filter(|(_, node)| !node.closed).map(|(id, _)| id).filter(|id| may_grow(*id));
        first_best(open, |node| self.best_first(tree, best, node))
    }

    fn standing(&self, tree: &Tree, node: NodeId) -> Standing {
        let (node, pending) = (&tree[node], f64::from(tree[node].pending));
        let visits = node.visits + pending;
        let q = if pending == 0.0 { node.q } else { (node.q * node.visits - self.virtual_loss * pending) / visits };
        Standing { visits, q }
    }

    fn uct(&self, tree: &Tree, uct: &Uct, child: NodeId) -> f64 {
        let Standing { visits, q } = self.standing(tree, child);
        let extra = extras(tree, child, &uct.extra);
        let c = uct.c.value().unwrap_or(0.0);
        match (visits == 0.0, uct.unvisited) {
            (true, Unvisited::Infinity) => f64::INFINITY,
            (true, Unvisited::Constant(score)) => score + extra,
            (true, Unvisited::Zero) => q + extra,
            (false, _) => q + c * self.exploration(tree, child, visits) + extra,
        }
    }

    /// sqrt(ln N(parent) / N(node)); 0 for a parent that was visited once or never.
    fn exploration(&self, tree: &Tree, node: NodeId, visits: f64) -> f64 {
        let parent = tree[node].parent.map_or(0.0, |parent| self.standing(tree, parent).visits);
        (parent.max(1.0).ln() / visits).sqrt()
    }

    fn puct(&self, tree: &Tree, puct: &Puct, (child, prior): (NodeId, f64)) -> f64 {
        let Standing { visits, q } = self.standing(tree, child);
        let parent = tree[child].parent.map_or(0.0, |parent| self.standing(tree, parent).visits);
        let q = match (visits == 0.0, puct.unvisited) {
            (true, Unvisited::Infinity) => return f64::INFINITY,
            (true, Unvisited::Constant(value)) => value,
            (true, Unvisited::Zero) | (false, _) => q,
        };
        q + puct.c.value().unwrap_or(0.0) * prior * parent.sqrt() / (1.0 + visits) + extras(tree, child, &puct.extra)
    }

    fn best_first(&self, tree: &Tree, best: &BestFirst, node: NodeId) -> f64 {
        let Standing { visits, q } = self.standing(tree, node);
        let c = best.c.value().unwrap_or(0.0);
        let exploration = if visits == 0.0 { 0.0 } else { self.exploration(tree, node, visits) };
        q + c * exploration + extras(tree, node, &best.extra)
    }
}

/// The first of those with the highest score.
fn first_best(nodes: impl Iterator<Item = NodeId>, score: impl Fn(NodeId) -> f64) -> Option<NodeId> {
    let mut best: Option<(NodeId, f64)> = None;
    for node in nodes {
        let score = score(node);
        if best.is_none_or(|(_, highest)| score > highest) {
            best = Some((node, score));
        }
    }
    best.map(|(node, _)| node)
}

/// P of every child of `at`, in their order; they add up to 1.
fn priors(tree: &Tree, at: NodeId, prior: Prior) -> Vec<f64> {
    let weight = |child: &NodeId| match prior {
        Prior::Uniform => 1.0,
        Prior::LogProb => {
            let node = &tree[*child];
            let log_probs = &node.piece.log_probs;
            let mean =
                log_probs.iter().map(|log_prob| f64::from(*log_prob)).sum::<f64>() / log_probs.len().max(1) as f64;
            mean.exp() * f64::from(1 + node.again)
        }
    };
    let weights: Vec<f64> = tree[at].children.iter().map(weight).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| if sum > 0.0 { weight / sum } else { 1.0 / weights.len() as f64 }).collect()
}

fn extras(tree: &Tree, node: NodeId, extra: &[Extra]) -> f64 {
    extra.iter().map(|extra| term(tree, node, *extra)).sum()
}

fn term(tree: &Tree, id: NodeId, extra: Extra) -> f64 {
    let node = &tree[id];
    match extra {
        Extra::Depth { alpha, beta, gamma } => {
            let depth = f64::from(node.depth);
            alpha * (-beta * (depth - 1.0)).exp() - gamma * depth.sqrt()
        }
        Extra::Diversity(weight) => weight * (1.0 - likeness(tree, id)),
        Extra::Finished(weight) => {
            let finished = has_answer(tree, id);
            if finished { -weight } else { 0.0 }
        }
        Extra::Duplicate(weight) => {
            let again: u32 = node.children.iter().map(|child| tree[*child].again).sum();
            -weight * f64::from(again) * f64::from(again)
        }
        Extra::Hindsight(weight) => match (node.own, node.children.as_slice()) {
            (Some(own), [only]) => weight * tree[*only].own.map_or(0.0, |child| (own - child).max(0.0)),
            _ => 0.0,
        },
    }
}

/// The mean likeness of a node's step to its siblings' steps, 0 without any.
fn likeness(tree: &Tree, id: NodeId) -> f64 {
    let Some(parent) = tree[id].parent else { return 0.0 };
    let siblings = tree[parent].children.iter().filter(|sibling| **sibling != id);
    let alike: Vec<f64> =
        siblings.map(|sibling| normalized_levenshtein(&tree[id].piece.text, &tree[*sibling].piece.text)).collect();
    if alike.is_empty() { 0.0 } else { alike.iter().sum::<f64>() / alike.len() as f64 }
}

fn has_answer(tree: &Tree, id: NodeId) -> bool {
    let mut below = vec![id];
    while let Some(node) = below.pop() {
        if tree[node].end == Some(super::tree::End::Answered) {
            return true;
        }
        below.extend_from_slice(&tree[node].children);
    }
    false
}

#[cfg(test)]
mod tests {
    use galapagos_domain::recipe::Number;

    use super::super::tree::tests::step;
    use super::super::tree::{End, Piece};
    use super::*;

    /// A root visited 4 times with three children: Q 0.5 in 3 visits, Q 0.2 in 1, none.
    fn tree() -> (Tree, [NodeId; 3]) {
        let mut tree = Tree::default();
        let ids = ["a", "b", "c"].map(|text| tree.add(NodeId::ROOT, step(text), 1));
        tree[NodeId::ROOT].visits = 4.0;
        for (id, visits, q) in [(ids[0], 3.0, 0.5), (ids[1], 1.0, 0.2)] {
            (tree[id].visits, tree[id].q) = (visits, q);
        }
        (tree, ids)
    }

    fn uct(c: f64, unvisited: Unvisited, extra: Vec<Extra>) -> Selector {
        Selector { select: Select::Uct(Uct { c: Number::Value(c), unvisited, extra }), virtual_loss: 1.0 }
    }

    fn puct(c: f64, prior: Prior, unvisited: Unvisited) -> Selector {
        let puct = Puct { c: Number::Value(c), prior, unvisited, extra: Vec::new() };
        Selector { select: Select::Puct(puct), virtual_loss: 1.0 }
    }

    #[test]
    fn what_an_unvisited_child_counts_as_decides_the_shape() {
        let (tree, [a, b, c]) = tree();
        // With c = 1: a 0.5 + sqrt(ln 4 / 3) = 1.180, b 0.2 + sqrt(ln 4) = 1.377.
        assert_eq!(uct(1.0, Unvisited::Zero, vec![]).child(&tree, NodeId::ROOT), Some(b));
        assert_eq!(uct(0.0, Unvisited::Zero, vec![]).child(&tree, NodeId::ROOT), Some(a));
        assert_eq!(uct(1.0, Unvisited::Infinity, vec![]).child(&tree, NodeId::ROOT), Some(c));
        assert_eq!(uct(1.0, Unvisited::Constant(1.376), vec![]).child(&tree, NodeId::ROOT), Some(b));
        assert_eq!(uct(1.0, Unvisited::Constant(1.378), vec![]).child(&tree, NodeId::ROOT), Some(c));
    }

    #[test]
    fn ties_go_to_the_first_child_and_closed_ones_are_skipped() {
        let mut tree = Tree::default();
        let [a, b] = ["a", "b"].map(|text| tree.add(NodeId::ROOT, step(text), 1));
        let selector = uct(2.0, Unvisited::Zero, vec![]);
        assert_eq!(selector.child(&tree, NodeId::ROOT), Some(a));
        tree[a].closed = true;
        assert_eq!(selector.child(&tree, NodeId::ROOT), Some(b));
        tree[b].closed = true;
        assert_eq!(selector.child(&tree, NodeId::ROOT), None);
    }

    #[test]
    fn puct_spends_its_exploration_by_the_prior() {
        let (mut tree, [a, b, c]) = tree();
        for (id, log_prob) in [(a, 0.25f32.ln()), (b, 0.25f32.ln()), (c, 0.5f32.ln())] {
            tree[id].piece.log_probs = vec![log_prob];
        }
        // With c = 1 and N = 4: a 0.5 + 0.25 * 2 / 4 = 0.625, b 0.2 + 0.25 * 2 / 2 = 0.45, c 0 + 0.5 * 2 / 1 = 1.
        assert_eq!(puct(1.0, Prior::LogProb, Unvisited::Zero).child(&tree, NodeId::ROOT), Some(c));
        assert_eq!(puct(0.6, Prior::LogProb, Unvisited::Zero).child(&tree, NodeId::ROOT), Some(c), "0.575 and 0.6");
        assert_eq!(puct(0.5, Prior::LogProb, Unvisited::Zero).child(&tree, NodeId::ROOT), Some(a), "0.5625 and 0.5");
        assert_eq!(puct(0.6, Prior::Uniform, Unvisited::Zero).child(&tree, NodeId::ROOT), Some(a), "0.6 and 0.4");
        assert_eq!(puct(0.0, Prior::Uniform, Unvisited::Constant(0.6)).child(&tree, NodeId::ROOT), Some(c));
        assert_eq!(puct(0.0, Prior::Uniform, Unvisited::Infinity).child(&tree, NodeId::ROOT), Some(c));
        tree[a].again = 5;
        let weights = priors(&tree, NodeId::ROOT, Prior::LogProb);
        assert!((weights[0] - 1.5 / 2.25).abs() < 1e-6, "a step that came six times: {weights:?}");
    }

    #[test]
    fn virtual_losses_send_simulations_different_ways() {
        let (mut tree, [a, b, _]) = tree();
        let selector = uct(0.0, Unvisited::Zero, vec![]);
        assert_eq!(selector.child(&tree, NodeId::ROOT), Some(a));
        tree[a].pending = 1;
        // (0.5 * 3 - 1) / 4 = 0.125.
        assert_eq!(selector.standing(&tree, a), Standing { visits: 4.0, q: 0.125 });
        assert_eq!(selector.child(&tree, NodeId::ROOT), Some(b));
        let gentle = Selector { virtual_loss: 0.0, ..selector };
        assert_eq!(gentle.child(&tree, NodeId::ROOT), Some(a), "0.375 still beats 0.2");
    }

    #[test]
    fn best_first_looks_at_the_whole_tree() {
        let (mut tree, [a, b, c]) = tree();
        let deep = tree.add(b, step("d"), 2);
        (tree[deep].visits, tree[deep].q) = (1.0, 0.7);
        let of = |c: f64, extra: Vec<Extra>| Selector {
            select: Select::BestFirst(BestFirst { c: Number::Value(c), extra }),
            virtual_loss: 1.0,
        };
        let all = |_: NodeId| true;
        assert_eq!(of(0.0, vec![]).anywhere(&tree, all), Some(deep));
        assert_eq!(of(0.0, vec![]).anywhere(&tree, |id| id != deep), Some(a));
        assert_eq!(of(0.0, vec![]).child(&tree, NodeId::ROOT), None, "it does not go down");
        // ln of the parent's visits: b was visited once, so its child gets no exploration; b gets sqrt(ln 4).
        assert_eq!(of(1.0, vec![]).anywhere(&tree, all), Some(b));
        let shallow = Extra::Depth { alpha: 0.0, beta: 0.0, gamma: 1.0 };
        assert_eq!(
            of(0.0, vec![shallow]).anywhere(&tree, |id| id != NodeId::ROOT),
            Some(a),
            "0.7 - sqrt 2 and 0.5 - 1"
        );
        assert_eq!(uct(0.0, Unvisited::Zero, vec![]).anywhere(&tree, all), None);
        tree[c].closed = true;
    }

    #[test]
    fn every_extra_term_is_what_it_says() {
        let mut tree = Tree::default();
        let a = tree.add(NodeId::ROOT, step("abcd"), 1);
        let b = tree.add(NodeId::ROOT, step("abce"), 1);
        let below = tree.add(a, step("x"), 2);
        assert_eq!(term(&tree, below, Extra::Depth { alpha: 3.0, beta: 0.0, gamma: 1.0 }), 3.0 - 2f64.sqrt());
        let depth = Extra::Depth { alpha: 2.0, beta: 1.0, gamma: 0.0 };
        assert_eq!((term(&tree, a, depth), term(&tree, below, depth)), (2.0, 2.0 * (-1f64).exp()));
        assert_eq!(term(&tree, a, Extra::Diversity(8.0)), 2.0, "one of four characters differs");
        assert_eq!(term(&tree, below, Extra::Diversity(8.0)), 8.0, "an only child is like nothing");
        assert_eq!(term(&tree, a, Extra::Finished(5.0)), 0.0);
        tree[below].end = Some(End::Answered);
        assert_eq!((term(&tree, a, Extra::Finished(5.0)), term(&tree, b, Extra::Finished(5.0))), (-5.0, 0.0));
        tree[below].again = 3;
        assert_eq!(term(&tree, a, Extra::Duplicate(2.0)), -18.0);
        (tree[a].own, tree[below].own) = (Some(0.75), Some(0.5));
        assert_eq!(term(&tree, a, Extra::Hindsight(4.0)), 1.0);
        let better = tree.add(a, step("y"), 3);
        assert_eq!(term(&tree, a, Extra::Hindsight(4.0)), 0.0, "two children: it had its second try");
        tree[better].own = Some(1.0);
        let selector = uct(0.0, Unvisited::Zero, vec![Extra::Finished(5.0)]);
        assert_eq!(selector.child(&tree, NodeId::ROOT), Some(b), "terms enter the choice");
        let plain: Piece = step("z");
        assert_eq!(plain.tokens.len(), 1);
    }
}

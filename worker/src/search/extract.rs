//! Extractors: what is taken from a finished search as trajectories.

use std::cmp::Reverse;

use galapagos_domain::recipe::search::Extract;
use galapagos_domain::trajectory::Outcome;

use super::tree::{End, NodeId, Tree};

/// The nodes at which trajectories end, in order of making; of [`Extract::Top`] the best first.
#[must_use]
pub fn extract(tree: &Tree, how: &Extract) -> Vec<NodeId> {
    let with = |wanted: &dyn Fn(NodeId) -> bool| -> Vec<NodeId> {
        tree.iter().map(|(id, _)| id).filter(|id| wanted(*id)).collect()
    };
    let answered = |id: NodeId| tree[id].end == Some(End::Answered);
    match how {
        // What an environment failed is told as an error.
        Extract::Answers => with(&|id| answered(id) || tree[id].end == Some(End::Failed)),
        Extract::Ends => with(&|id| tree[id].end.is_some()),
        Extract::Correct => {
            with(&|id| answered(id) && tree[id].verdict.as_ref().is_some_and(|v| v.outcome == Outcome::Pass))
        }
        Extract::Top(count) => top(tree, *count),
        // Before anybody has looked at them.
        Extract::Discriminate(_) => top(tree, 1),
    }
}

/// The answers with the highest Q, the best first; ties go to the earliest.
#[must_use]
pub fn top(tree: &Tree, count: u32) -> Vec<NodeId> {
    let answered = tree.iter().filter(|(_, node)| node.end == Some(End::Answered));
    let mut best: Vec<NodeId> = answered.map(|(id, _)| id).collect();
    best.sort_by(|a, b| tree[*b].q.total_cmp(&tree[*a].q).then(a.cmp(b)));
    best.truncate(count as usize);
    best
}

/// The candidate with the highest score; ties go to the earliest, and those without a score come last.
#[must_use]
pub fn best(candidates: impl Iterator<Item = (NodeId, Option<f64>)>) -> Option<NodeId> {
    candidates
        .max_by(|(a, one), (b, other)| {
            let score = |score: &Option<f64>| score.unwrap_or(f64::NEG_INFINITY);
            score(one).total_cmp(&score(other)).then(Reverse(a).cmp(&Reverse(b)))
        })
        .map(|(node, _)| node)
}

/// Of the class with the most weight the ballot that weighs most; ties, among classes too, go to the earliest. Ballots are (node,
/// class, weight); those without a class do not count.
#[must_use]
pub fn elect(ballots: &[(NodeId, Option<String>, f64)]) -> Option<NodeId> {
    let mut classes: Vec<(&str, f64)> = Vec::new();
    for (_, class, weight) in ballots {
        let Some(class) = class else { continue };
        match classes.iter_mut().find(|(known, _)| known == class) {
            Some((_, sum)) => *sum += weight,
            None => classes.push((class, *weight)),
        }
    }
    let (winner, _) = classes.iter().copied().rev().max_by(|a, b| a.1.total_cmp(&b.1))?;
    let of_it = ballots.iter().filter(|(_, class, _)| class.as_deref() == Some(winner));
    best(of_it.map(|(node, _, weight)| (*node, Some(*weight))))
}

#[cfg(test)]
mod tests {
    use galapagos_domain::trajectory::Verdict;

    use super::super::tree::tests::step;
    use super::*;

    #[test]
    fn what_is_kept_is_what_was_asked_for() {
        let mut tree = Tree::default();
        let ids = ["a", "b", "c", "d"].map(|text| tree.add(NodeId::ROOT, step(text), 1));
        let ends = [End::Answered, End::Cut, End::Answered, End::Answered];
        for ((id, end), q) in ids.into_iter().zip(ends).zip([0.2, 9.0, 0.7, 0.7]) {
            (tree[id].end, tree[id].q) = (Some(end), q);
        }
        tree[ids[0]].verdict = Some(Verdict::pass(""));
        tree[ids[2]].verdict = Some(Verdict::fail(""));
        assert_eq!(extract(&tree, &Extract::Answers), [ids[0], ids[2], ids[3]]);
        assert_eq!(extract(&tree, &Extract::Ends), ids);
        assert_eq!(extract(&tree, &Extract::Correct), [ids[0]]);
        assert_eq!(extract(&tree, &Extract::Top(2)), [ids[2], ids[3]], "ties go to the earliest");
    }

    #[test]
    fn a_class_wins_by_weight_and_ties_go_to_the_earliest() {
        let class = |text: &str| Some(text.to_owned());
        let of = |classes: [(Option<String>, f64); 4]| {
            let ballots: Vec<_> =
                (0..).map(NodeId).zip(classes).map(|(id, (class, weight))| (id, class, weight)).collect();
            elect(&ballots)
        };
        assert_eq!(of([(class("7"), 1.0), (class("8"), 1.0), (class("8"), 1.0), (None, 9.0)]), Some(NodeId(1)));
        assert_eq!(of([(class("7"), 1.0), (class("8"), 1.0), (class("8"), 0.0), (class("7"), 0.0)]), Some(NodeId(0)));
        assert_eq!(of([(class("7"), 0.5), (class("8"), 0.2), (class("8"), 0.4), (class("9"), 0.1)]), Some(NodeId(2)));
        assert_eq!(of([(None, 1.0), (None, 1.0), (None, 1.0), (None, 1.0)]), None);
        assert_eq!(
            best([(NodeId(0), None), (NodeId(1), Some(-1.0)), (NodeId(2), Some(-1.0))].into_iter()),
            Some(NodeId(1))
        );
    }
}

//! Backups: what a new value changes in the node it belongs to and in those above. Every way keeps N, W and Q consistent, so that
//! selectors need to know none of them.

use galapagos_domain::recipe::search::{Backup, Reach};

use super::tree::{NodeId, Tree};

/// A value of one node.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Value {
    pub of: NodeId,
    pub value: f64,
    pub reach: Reach,
    /// Whether the node is an end.
    pub terminal: bool,
}

/// Takes `value` in.
pub fn back_up(tree: &mut Tree, how: Backup, value: Value) {
    match (value.reach, how) {
        (Reach::Local, _) => visit(tree, value.of, value.value),
        (Reach::Propagated, Backup::SumMean) => sum(tree, value),
        (Reach::Propagated, Backup::TerminalOnly) if value.terminal => sum(tree, value),
        (Reach::Propagated, Backup::TerminalOnly) => {}
        (Reach::Propagated, Backup::HalfOwnHalfChildren | Backup::Max) => {
            begin(tree, value);
            for node in tree.upwards(value.of).skip(1).collect::<Vec<_>>() {
                renew(tree, how, node);
            }
        }
        (Reach::Propagated, Backup::Product) => {
            begin(tree, value);
            let product = tree.upwards(value.of).filter_map(|node| tree[node].own).product();
            tree[value.of].q = product;
        }
    }
}

/// Sets Q of a node above those of which something changed: from its sum, or from its children, whose Q are right.
pub fn renew(tree: &mut Tree, how: Backup, node: NodeId) {
    let of = &tree[node];
    let q = match how {
        Backup::SumMean | Backup::TerminalOnly => {
            if of.visits > 0.0 {
                of.sum / of.visits
            } else {
                of.q
            }
        }
        Backup::HalfOwnHalfChildren => match (of.own, children_mean(tree, node)) {
            (Some(own), Some(children)) => f64::midpoint(own, children),
            (None, Some(children)) => children,
            (own, None) => own.unwrap_or(0.0),
        },
        Backup::Max => {
            let valued = of.children.iter().filter(|child| tree[**child].visits > 0.0);
            valued.map(|child| tree[*child].q).fold(f64::NEG_INFINITY, f64::max)
        }
        // It comes from above, where nothing changes.
        Backup::Product => of.q,
    };
    tree[node].q = q;
}

/// One visit of a node by itself.
fn visit(tree: &mut Tree, node: NodeId, value: f64) {
    let node = &mut tree[node];
    node.visits += 1.0;
    node.sum += value;
    node.q = node.sum / node.visits;
}

fn sum(tree: &mut Tree, value: Value) {
    for node in tree.upwards(value.of).collect::<Vec<_>>() {
        visit(tree, node, value.value);
    }
}

/// Counts the visit on the whole path; the node's own Q is its value.
fn begin(tree: &mut Tree, value: Value) {
    for node in tree.upwards(value.of).collect::<Vec<_>>() {
        tree[node].visits += 1.0;
    }
    tree[value.of].q = value.value;
}

/// The mean Q of the children, weighted by visits.
fn children_mean(tree: &Tree, node: NodeId) -> Option<f64> {
    let children = || tree[node].children.iter().map(|child| &tree[*child]);
    let visits: f64 = children().map(|child| child.visits).sum();
    (visits > 0.0).then(|| children().map(|child| child.visits * child.q).sum::<f64>() / visits)
}

#[cfg(test)]
mod tests {
    use super::super::tree::tests::step;
    use super::*;

    /// root - a - {b, c}.
    fn tree() -> (Tree, [NodeId; 3]) {
        let mut tree = Tree::default();
        let a = tree.add(NodeId::ROOT, step("a"), 1);
        let (b, c) = (tree.add(a, step("b"), 2), tree.add(a, step("c"), 2));
        (tree, [a, b, c])
    }

    fn give(tree: &mut Tree, how: Backup, of: NodeId, value: f64, terminal: bool) {
        tree[of].own = Some(value);
        back_up(tree, how, Value { of, value, reach: Reach::Propagated, terminal });
    }

    fn of(tree: &Tree, node: NodeId) -> (f64, f64) {
        (tree[node].visits, tree[node].q)
    }

    #[test]
    fn sums_and_means_count_every_value_on_the_way_up() {
        let (mut tree, [a, b, c]) = tree();
        give(&mut tree, Backup::SumMean, a, 0.5, false);
        give(&mut tree, Backup::SumMean, b, 1.0, true);
        give(&mut tree, Backup::SumMean, c, -1.0, true);
        assert_eq!((of(&tree, b), of(&tree, c)), ((1.0, 1.0), (1.0, -1.0)));
        assert_eq!(of(&tree, a), (3.0, 0.5 / 3.0));
        assert_eq!(of(&tree, NodeId::ROOT), (3.0, 0.5 / 3.0));
    }

    #[test]
    fn terminal_only_leaves_other_values_where_they_are() {
        let (mut tree, [a, b, c]) = tree();
        give(&mut tree, Backup::TerminalOnly, a, 0.5, false);
        assert_eq!(of(&tree, a), (0.0, 0.0));
        give(&mut tree, Backup::TerminalOnly, b, 1.0, true);
        give(&mut tree, Backup::TerminalOnly, c, -1.0, true);
        assert_eq!((of(&tree, a), of(&tree, NodeId::ROOT)), ((2.0, 0.0), (2.0, 0.0)));
    }

    #[test]
    fn half_of_its_own_and_half_of_its_children_stops_a_prefix_from_keeping_its_promise() {
        let how = Backup::HalfOwnHalfChildren;
        let (mut tree, [a, b, c]) = tree();
        give(&mut tree, how, a, 1.0, false);
        assert_eq!((of(&tree, a), of(&tree, NodeId::ROOT)), ((1.0, 1.0), (1.0, 1.0)), "the root has no own value");
        give(&mut tree, how, b, 0.0, true);
        assert_eq!(of(&tree, a), (2.0, 0.5), "half of 1 and half of 0");
        give(&mut tree, how, c, 0.5, true);
        assert_eq!(of(&tree, a), (3.0, 0.5 * 1.0 + 0.5 * 0.25));
        give(&mut tree, how, c, 0.5, true);
        assert_eq!(tree[a].q, 0.5 + 0.5 * (0.0 + 2.0 * 0.5) / 3.0, "children weigh by their visits");
        assert_eq!(tree[NodeId::ROOT].q, tree[a].q);
    }

    #[test]
    fn the_best_child_is_the_value_of_its_parents() {
        let (mut tree, [a, b, c]) = tree();
        give(&mut tree, Backup::Max, a, 0.9, false);
        give(&mut tree, Backup::Max, b, -0.5, true);
        assert_eq!(of(&tree, a), (2.0, -0.5), "not its own value once there are children");
        give(&mut tree, Backup::Max, c, 0.25, true);
        assert_eq!((of(&tree, a), of(&tree, NodeId::ROOT)), ((3.0, 0.25), (3.0, 0.25)));
    }

    #[test]
    fn a_product_goes_down_the_path() {
        let (mut tree, [a, b, c]) = tree();
        give(&mut tree, Backup::Product, a, 0.5, false);
        give(&mut tree, Backup::Product, b, 0.5, false);
        give(&mut tree, Backup::Product, c, 0.25, true);
        assert_eq!((tree[a].q, tree[b].q, tree[c].q), (0.5, 0.25, 0.125));
        assert_eq!((tree[a].visits, tree[NodeId::ROOT].visits, tree[NodeId::ROOT].q), (3.0, 3.0, 0.0));
    }

    #[test]
    fn a_local_value_is_one_visit_and_goes_no_further() {
        for how in [Backup::SumMean, Backup::TerminalOnly, Backup::HalfOwnHalfChildren, Backup::Max, Backup::Product] {
            let (mut tree, [a, b, _]) = tree();
            back_up(&mut tree, how, Value { of: b, value: 0.75, reach: Reach::Local, terminal: false });
            assert_eq!((of(&tree, b), of(&tree, a)), ((1.0, 0.75), (0.0, 0.0)), "{how:?}");
        }
        let (mut tree, [a, b, _]) = tree();
        back_up(&mut tree, Backup::SumMean, Value { of: b, value: 0.5, reach: Reach::Local, terminal: false });
        give(&mut tree, Backup::SumMean, b, 1.0, true);
        assert_eq!(
            (of(&tree, b), of(&tree, a)),
            ((2.0, 0.75), (1.0, 1.0)),
            "the trap of rStar-Math: local ones stay below"
        );
    }
}

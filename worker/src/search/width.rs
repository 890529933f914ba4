//! How many children a node may have, and which proposals count as the same child.

use galapagos_domain::recipe::search::{Merge, Width};
use strsim::levenshtein;

use super::tree::{NodeId, Tree};

/// Proposals that the node may ask for; `n` is what `propose` asks for at once.
///
/// Adaptive: max(min, min(floor(alpha I) + 1, max)) with the importance I = max over valued children of |Q(child) - Q(node)|
/// (AlphaLLM, "importance-based width"); before there is one, `min`. The root
/// has a minimum of its own.
#[must_use]
pub fn width(tree: &Tree, node: NodeId, width: Width, n: u32) -> u32 {
    match width {
        Width::Fixed => n,
        Width::UpTo(most) => most,
        Width::Adaptive { alpha, min, max, root } => {
            let min = min.max(root.filter(|_| node == NodeId::ROOT).unwrap_or(0));
            let valued = tree[node].children.iter().filter(|child| tree[**child].visits > 0.0);
            let importance = valued.map(|child| (tree[*child].q - tree[node].q).abs()).fold(0.0, f64::max);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative, and saturates")]
            let wanted = (alpha * importance).floor() as u32;
            wanted.saturating_add(1).min(max).max(min)
        }
    }
}

/// The earlier sibling that a step with this text falls on.
#[must_use]
pub fn twin(tree: &Tree, parent: NodeId, text: &str, merge: Merge) -> Option<NodeId> {
    let same = |other: &str| match merge {
        Merge::None => false,
        Merge::Exact => other == text,
        Merge::EditDistance { below, .. } => {
            // A difference in length is a distance already; long texts are not compared for nothing.
            let lengths = other.chars().count().abs_diff(text.chars().count());
            lengths < below as usize && levenshtein(other, text) < below as usize
        }
    };
    tree[parent].children.iter().copied().find(|child| same(&tree[*child].piece.text))
}

/// How often proposals that fell on siblings may be drawn anew.
#[must_use]
pub fn resamples(merge: Merge) -> u32 {
    match merge {
        Merge::None | Merge::Exact => 0,
        Merge::EditDistance { resample, .. } => resample,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tree::tests::step;
    use super::*;

    #[test]
    fn importance_widens_a_node_within_its_bounds() {
        let adaptive = Width::Adaptive { alpha: 2.0, min: 3, max: 10, root: None };
        let mut tree = Tree::default();
        assert_eq!(width(&tree, NodeId::ROOT, Width::Fixed, 5), 5);
        assert_eq!(width(&tree, NodeId::ROOT, adaptive, 5), 3);
        let [a, b] = ["a", "b"].map(|text| tree.add(NodeId::ROOT, step(text), 1));
        tree[NodeId::ROOT].q = 1.0;
        tree[a].q = 9.0;
        assert_eq!(width(&tree, NodeId::ROOT, adaptive, 5), 3, "a child without visits says nothing");
        (tree[a].visits, tree[a].q) = (1.0, 2.9);
        assert_eq!(width(&tree, NodeId::ROOT, adaptive, 5), 4, "floor(2 * 1.9) + 1");
        (tree[b].visits, tree[b].q) = (1.0, -7.0);
        assert_eq!(width(&tree, NodeId::ROOT, adaptive, 5), 10);
        let wide = Width::Adaptive { alpha: 2.0, min: 3, max: 10, root: Some(40) };
        assert_eq!((width(&tree, NodeId::ROOT, wide, 5), width(&tree, a, wide, 5)), (40, 3));
    }

    #[test]
    fn steps_merge_as_they_are_told_to() {
        let mut tree = Tree::default();
        let a = tree.add(NodeId::ROOT, step("3 + 4 = 7"), 1);
        let twin = |text: &str, merge| twin(&tree, NodeId::ROOT, text, merge);
        let near = |below| Merge::EditDistance { below, resample: 2 };
        assert_eq!(twin("3 + 4 = 7", Merge::None), None);
        assert_eq!((twin("3 + 4 = 7", Merge::Exact), twin("3 + 4 = 8", Merge::Exact)), (Some(a), None));
        assert_eq!((twin("3 + 4 = 8", near(2)), twin("3 + 4 = 8", near(1))), (Some(a), None));
        assert_eq!(twin("3 + 4 = 7, which is prime", near(5)), None);
        assert_eq!((resamples(near(2)), resamples(Merge::Exact)), (2, 0));
    }
}

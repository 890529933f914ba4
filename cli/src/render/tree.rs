//! A search tree in the terminal: one node a line, what is known of it before what it says.

use std::borrow::Cow;

use galapagos_domain::image;
use galapagos_domain::trajectory::Outcome;
use galapagos_domain::tree::{NodeEnd, TreeNode, doubted};

/// Characters of a step that are shown.
const TEXT: usize = 72;

/// What a tree consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    /// The root not counted.
    pub nodes: usize,
    /// Sampled, merged proposals not counted.
    pub tokens: usize,
    pub answers: usize,
    pub passed: usize,
    pub depth: u32,
}

impl Totals {
    /// Of the nodes of one tree.
    #[must_use]
    pub fn of(tree: &[TreeNode]) -> Self {
        let answered = || tree.iter().filter(|node| node.end == Some(NodeEnd::Answered));
        Self {
            nodes: tree.len().saturating_sub(1),
            tokens: tree.iter().map(|node| node.log_probs.len()).sum(),
            answers: answered().count(),
            passed: answered().filter(|node| passes(node)).count(),
            depth: tree.iter().map(|node| node.depth).max().unwrap_or(0),
        }
    }
}

/// Whether the node is an answer that was judged right.
#[must_use]
pub fn passes(node: &TreeNode) -> bool {
    node.verdict.as_ref().is_some_and(|verdict| verdict.outcome == Outcome::Pass)
}

/// How a node ended, in words; empty if it did not.
#[must_use]
pub fn ending(node: &TreeNode) -> String {
    let end = NodeEnd::NAMES.iter().find(|(end, _)| Some(*end) == node.end).map_or("", |(_, name)| name);
    match &node.verdict {
        Some(verdict) => format!("{end}: {} ({})", format!("{:?}", verdict.outcome).to_lowercase(), verdict.reason),
        None => end.to_owned(),
    }
}

/// N, Q and the own value, as far as there are any.
#[must_use]
pub fn numbers(node: &TreeNode) -> String {
    let mut text = format!("N {}", node.visits);
    if node.visits > 0.0 {
        text.push_str(&format!("  Q {:+.3}", node.q));
    }
    if let Some(own) = node.own {
        text.push_str(&format!("  own {own:+.3}"));
    }
    if node.again > 0 {
        text.push_str(&format!("  came {} times", node.again + 1));
    }
    text
}

/// The children of each node, in order; `tree` has parents before children.
#[must_use]
pub fn children(tree: &[TreeNode]) -> Vec<Vec<usize>> {
    let mut children = vec![Vec::new(); tree.len()];
    for (place, node) in tree.iter().enumerate() {
        if let Some(list) = node.parent.and_then(|parent| children.get_mut(parent as usize)) {
            list.push(place);
        }
    }
    children
}

/// The whole tree down to `depth`; what lies deeper is counted where it begins.
#[must_use]
pub fn text(tree: &[TreeNode], depth: u32) -> String {
    let Some(root) = tree.first() else { return String::new() };
    let Totals { nodes, tokens, answers, passed, depth: deepest } = Totals::of(tree);
    let mut out = format!("{}  of {}\n", root.tree, root.job);
    out.push_str(&format!("{nodes} nodes, {tokens} tokens, {deepest} deep; {answers} answers, {passed} pass\n"));
    if let Some(reason) = doubted(tree) {
        out.push_str(&format!("NOT BELIEVED: {reason}\n"));
    }
    out.push_str(&format!("{}\n", asked(&root.text)));
    let children = children(tree);
    // What is still to be shown, the next one last: its place, and what stands before it.
    let mut open: Vec<(usize, String, bool)> = below(&children[0], "");
    while let Some((place, before, last)) = open.pop() {
        let node = &tree[place];
        let mark = if node.found { "*" } else { " " };
        let end = ending(node);
        let end = if end.is_empty() { end } else { format!("  {end}") };
        let branch = if last { "└─" } else { "├─" };
        out.push_str(&format!("{before}{branch}{mark}{}  {}  {}{end}\n", node.node, numbers(node), quoted(&node.text)));
        let before = format!("{before}{}", if last { "  " } else { "│ " });
        let hidden = children[place].len();
        if node.depth < depth {
            open.extend(below(&children[place], &before));
        } else if hidden > 0 {
            out.push_str(&format!("{before}└─ {hidden} below; --depth {} shows them\n", node.depth + 1));
        }
    }
    out
}

fn below(children: &[usize], before: &str) -> Vec<(usize, String, bool)> {
    let last = children.last().copied();
    children.iter().rev().map(|place| (*place, before.to_owned(), Some(*place) == last)).collect()
}

/// What a tree's root asks: in quotes, or, with images, as they are drawn.
fn asked(text: &str) -> String {
    match image::drawn(text) {
        Cow::Borrowed(text) => format!("{text:?}"),
        Cow::Owned(drawn) => drawn,
    }
}

fn quoted(text: &str) -> String {
    let text = &*image::named(text);
    let short: String = text.chars().take(TEXT).collect();
    if short.len() < text.len() { format!("{short:?}...") } else { format!("{short:?}") }
}

#[cfg(test)]
pub mod tests {
    use galapagos_domain::trajectory::Verdict;
    use galapagos_domain::tree::NodePart;

    use super::*;

    /// A root with an open node, below it a right answer, and a wrong one beside it.
    pub fn example() -> Vec<TreeNode> {
        let node = |node: u32, parent: Option<u32>, depth, text: &str| TreeNode {
            job: "e-1/g1/forest/0".parse().unwrap(),
            tree: "math/train/7".to_owned(),
            task_set: "math".parse().unwrap(),
            task: "train/7".to_owned(),
            policy: galapagos_domain::ids::Digest::of(b"p"),
            node,
            parent,
            depth,
            part: if node == 0 { NodePart::Shown } else { NodePart::Step },
            guidance: None,
            tokens: vec![node],
            prefix_len: 0,
            log_probs: if node == 0 { Vec::new() } else { vec![-0.5] },
            text: text.to_owned(),
            turn: None,
            end: None,
            closed: true,
            visits: f64::from(4 - node),
            sum: 0.0,
            q: 0.25,
            own: None,
            verdict: None,
            scores: Vec::new(),
            errors: 0,
            asked: 2,
            again: 0,
            batch: depth,
            found: false,
        };
        let answer = |verdict| {
            move |node| TreeNode { end: Some(NodeEnd::Answered), verdict: Some(verdict), found: true, ..node }
        };
        vec![
            node(0, None, 0, "2 + 2 <= ?"),
            TreeNode { own: Some(0.5), again: 2, ..node(1, Some(0), 1, "two & two") },
            answer(Verdict::pass("read 4"))(node(2, Some(1), 2, "4")),
            answer(Verdict::fail("read 5"))(node(3, Some(0), 1, "5")),
        ]
    }

    #[test]
    fn every_node_stands_below_its_parent_with_its_numbers() {
        let expected = "math/train/7  of e-1/g1/forest/0\n\
            3 nodes, 3 tokens, 2 deep; 2 answers, 1 pass\n\
            \"2 + 2 <= ?\"\n\
            ├─ 1  N 3  Q +0.250  own +0.500  came 3 times  \"two & two\"\n\
            │ └─*2  N 2  Q +0.250  \"4\"  answered: pass (read 4)\n\
            └─*3  N 1  Q +0.250  \"5\"  answered: fail (read 5)\n";
        assert_eq!(text(&example(), 9), expected);
        let shallow = text(&example(), 1);
        assert!(shallow.contains("│ └─ 1 below; --depth 2 shows them\n") && !shallow.contains("read 4"), "{shallow}");
        assert_eq!(text(&[], 1), "");
        let mut seen = example();
        seen[0].text = "Q: \u{F8001}\u{100001}\nA:".to_owned();
        seen[1].text = "is \u{F8001}\u{100001} it?".to_owned();
        let seen = text(&seen, 9);
        assert!(seen.contains("Q: \n▀   ▀\n   ▄\n\nA:\n") && seen.contains("\"is [image 8x4] it?\""), "{seen}");
        let mut distrusted = example();
        distrusted[0].verdict = Some(Verdict::new(Outcome::Suspect, "`math` is suspended"));
        assert!(text(&distrusted, 9).contains("1 pass\nNOT BELIEVED: `math` is suspended\n\"2 + 2"));
    }
}

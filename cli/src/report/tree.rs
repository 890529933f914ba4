//! Search trees on a page: nested nodes that open and close, with a switch for the ways to right answers. One self-contained page,
//! or a section of the report.

use std::collections::BTreeSet;

use galapagos_domain::image;
use galapagos_domain::tree::{TreeNode, doubted};

use super::chart::escape;
use crate::render::tree::{Totals, children, ending, numbers, passes};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("tree.js");

/// A page of one tree or several; each slice is one tree, root first.
#[must_use]
pub fn page(trees: &[&[TreeNode]]) -> String {
    let title = trees.first().and_then(|tree| tree.first()).map_or("no tree", |root| root.tree.as_str());
    let title = if trees.len() == 1 { title.to_owned() } else { format!("{} trees", trees.len()) };
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title><style>{STYLE}</style></head>\n<body><h1>{title}</h1>\n{}</body></html>\n",
        section(trees),
        title = escape(&title)
    )
}

/// The trees with what makes them open and close; empty without trees.
#[must_use]
pub fn section(trees: &[&[TreeNode]]) -> String {
    if trees.is_empty() {
        return String::new();
    }
    let alone = trees.len() == 1;
    let trees: String = trees.iter().map(|tree| one(tree, alone)).collect();
    format!(
        "<div class=\"trees\"><p class=\"controls\"><button data-show=\"all\">open all</button> \
         <button data-show=\"none\">close all</button> <button data-show=\"right\">ways to right answers</button></p>\
         {trees}</div><script>{SCRIPT}</script>"
    )
}

fn one(tree: &[TreeNode], open: bool) -> String {
    let Some(root) = tree.first() else { return String::new() };
    let Totals { nodes, tokens, answers, passed, depth } = Totals::of(tree);
    let right = on_right_ways(tree);
    let children = children(tree);
    let mut html = format!(
        "<details class=\"tree\"{}><summary><b>{}</b> {nodes} nodes, {tokens} tokens, {depth} deep; {answers} answers, {passed} pass</summary>\
         {}<pre>{}</pre>",
        if open { " open" } else { "" },
        escape(&root.tree),
        doubted(tree).map_or_else(String::new, |reason| format!("<p><b>not believed</b>: {}</p>", escape(reason))),
        escape(&image::drawn(&root.text))
    );
    // Nodes to open, and marks of where one closes.
    let mut open: Vec<Option<usize>> = children[0].iter().rev().map(|place| Some(*place)).collect();
    while let Some(next) = open.pop() {
        let Some(place) = next else {
            html.push_str("</details>");
            continue;
        };
        html.push_str(&node(&tree[place], right.contains(&place), children[place].is_empty()));
        if !children[place].is_empty() {
            open.push(None);
            open.extend(children[place].iter().rev().map(|place| Some(*place)));
        }
    }
    html.push_str("</details>");
    html
}

/// A leaf is whole, any other node is left open for what is below it.
fn node(node: &TreeNode, right: bool, leaf: bool) -> String {
    let mut class = String::from(if leaf { "leaf" } else { "inner" });
    if right {
        class.push_str(" right");
    }
    let verdict = match &node.verdict {
        Some(_) if passes(node) => " class=\"pass\"",
        Some(_) => " class=\"fail\"",
        None => "",
    };
    let head = format!(
        "<code>{}</code> <span class=\"numbers\">#{} {}</span> <span{verdict}>{}</span>",
        if node.text.is_empty() { "(the end)".to_owned() } else { escape(&image::named(&node.text)) },
        node.node,
        escape(&numbers(node)),
        escape(&ending(node))
    );
    if leaf {
        format!("<div class=\"{class}\">{head}</div>")
    } else {
        format!("<details class=\"{class}\"><summary>{head}</summary>")
    }
}

/// Right answers and all above them.
fn on_right_ways(tree: &[TreeNode]) -> BTreeSet<usize> {
    let mut right = BTreeSet::new();
    for (place, _) in tree.iter().enumerate().filter(|(_, node)| passes(node)) {
        let mut at = Some(place);
        while let Some(place) = at {
            right.insert(place);
            at = tree.get(place).and_then(|node| node.parent).map(|parent| parent as usize);
        }
    }
    right
}

#[cfg(test)]
mod tests {
    use galapagos_domain::trajectory::{Outcome, Verdict};

    use super::*;
    use crate::render::tree::tests::example;

    #[test]
    fn a_page_nests_nodes_marks_right_ways_and_escapes_what_models_write() {
        let tree = example();
        let page = page(&[&tree]);
        assert!(page.contains("<title>math/train/7</title>") && page.contains("2 + 2 &lt;= ?"), "{page}");
        assert!(page.contains("<details class=\"inner right\"><summary><code>two &amp; two</code>"), "{page}");
        assert!(
            page.contains("<div class=\"leaf right\"><code>4</code>")
                && page.contains("<div class=\"leaf\"><code>5</code>")
        );
        assert_eq!(page.matches("<details").count(), page.matches("</details>").count());
        assert!(page.contains("class=\"pass\">answered: pass (read 4)"), "{page}");
        assert_eq!(section(&[]), "");
        assert!(!page.contains("not believed"));
        let mut distrusted = tree.clone();
        distrusted[0].verdict = Some(Verdict::new(Outcome::Suspect, "`math` is <suspended>"));
        assert!(section(&[&distrusted]).contains("<b>not believed</b>: `math` is &lt;suspended&gt;"));
        let bad = TreeNode { text: "<script>alert(1)</script>".to_owned(), ..tree[3].clone() };
        assert!(!section(&[&[tree[0].clone(), TreeNode { node: 1, ..bad }]]).contains("<script>alert"));
    }
}

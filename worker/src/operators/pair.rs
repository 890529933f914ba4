//! `pair`: preferences between records of a task, or between nodes of a search tree.
//!
//! Siblings are paired as rStar-Math pairs them, nodes of one depth as MedS3 does, leaves as Agent-R does (paper notes, sections 1, 2, 6).

use std::collections::BTreeMap;

use galapagos_domain::recipe::curate::{Measure, Pair, PairBy, PairFrom};
use galapagos_domain::trajectory::{Outcome, Side, Trajectory};

use super::measure::{mean_q, measure};
use super::stage::{Fell, Group};
use super::wood::Wood;

/// Something that may be a side: which, and its value.
type Valued = (usize, f64);

/// The best first, or the worst first; of equals the earliest.
fn ordered(mut valued: Vec<Valued>, best_first: bool) -> Vec<Valued> {
    valued.sort_by(|a, b| {
        let by_value = if best_first { b.1.total_cmp(&a.1) } else { a.1.total_cmp(&b.1) };
        by_value.then(a.0.cmp(&b.0))
    });
    valued
}

/// Whether two texts are so many characters apart.
fn apart(a: &str, b: &str, least: u32) -> bool {
    least == 0 || strsim::levenshtein(a, b) >= least as usize
}

/// One record of a preference among `count` at its prompt.
fn side(mut record: Trajectory, name: &str, chosen: bool, count: usize) -> Trajectory {
    record.credit.pair = Some(Side { pair: name.to_owned(), chosen });
    record.credit.weight /= count as f32;
    record
}

/// Records of one task: the best against the worst.
pub(super) fn samples(pair: &Pair) -> Group<'_> {
    Box::new(move |rows| {
        let value = |row: &Trajectory| match &pair.by {
            None | Some(PairBy::Reward) => measure(row, &Measure::Reward),
            Some(PairBy::Q) => mean_q(row),
            Some(PairBy::Score(name)) => measure(row, &Measure::Score(name.clone())),
            Some(PairBy::Own) => None,
        };
        let valued: Vec<Valued> =
            rows.iter().enumerate().filter_map(|(place, row)| Some((place, value(row)?))).collect();
        let each = pair.each_side as usize;
        let found = against(valued, each, |a, b| {
            a.1 - b.1 > pair.margin.max(0.0) && apart(&rows[a.0].completion, &rows[b.0].completion, pair.edit_distance)
        });
        let mut out = Vec::with_capacity(2 * found.len());
        for (a, b) in &found {
            let (better, worse) = (&rows[*a], &rows[*b]);
            let name = format!("{}#{a}>{}#{b}:{}/{}", better.job, worse.job, better.task_set, better.task);
            out.push((0, side(better.clone(), &name, true, found.len())));
            out.push((0, side(worse.clone(), &name, false, found.len())));
        }
        Ok(out)
    })
}

/// The `each` best against the `each` worst, as far as `holds` of both.
fn against(valued: Vec<Valued>, each: usize, holds: impl Fn(Valued, Valued) -> bool) -> Vec<(usize, usize)> {
    let worst = ordered(valued.clone(), false);
    let mut found = Vec::new();
    for better in ordered(valued, true).into_iter().take(each) {
        found.extend(worst.iter().take(each).filter(|worse| holds(better, **worse)).map(|worse| (better.0, worse.0)));
    }
    found
}

pub(super) fn of_trees(pair: &Pair) -> Fell<'_> {
    Box::new(move |nodes| {
        let wood = Wood::of(nodes)?;
        Ok(match pair.from {
            PairFrom::Siblings => siblings(&wood, pair),
            PairFrom::Leaves => leaves(&wood, pair),
            PairFrom::SameDepth => same_depth(&wood, pair),
            PairFrom::Samples => Vec::new(),
        })
    })
}

/// The value that trees are compared by.
fn by(pair: &Pair) -> &PairBy {
    pair.by.as_ref().unwrap_or(&PairBy::Q)
}

fn siblings(wood: &Wood<'_>, pair: &Pair) -> Vec<Trajectory> {
    let mut out = Vec::new();
    for parent in 0..wood.nodes.len() {
        let found = at_node(wood, parent, pair);
        let shown = wood.path(parent).len();
        out.extend(written(wood, &found, |node| wood.record(&wood.path(node), shown)));
    }
    out
}

/// The preferences among the children of one node.
fn at_node(wood: &Wood<'_>, parent: usize, pair: &Pair) -> Vec<(usize, usize)> {
    let with = |side: &[bool]| -> Vec<Valued> {
        let steps = wood.children[parent].iter().copied().filter(|child| wood.is_step(*child) && side[*child]);
        steps.filter_map(|child| Some((child, wood.value(child, by(pair))?))).collect()
    };
    let (mut right, mut wrong) = (ordered(with(&wood.right), true), ordered(with(&wood.wrong), false));
    // A lone step on one side is paired with as many of the other as two on each side would make pairs.
    let (each, all) = (pair.each_side as usize, (pair.each_side as usize).saturating_pow(2));
    let alone = (right.len() == 1, wrong.len() == 1);
    right.truncate(if alone.1 { all } else { each });
    wrong.truncate(if alone.0 { all } else { each });
    let mut found = Vec::new();
    for better in &right {
        let best = wood.finals(better.0, Outcome::Pass).into_iter();
        let best = best.filter_map(|end| through(wood, better.0, end)).reduce(f64::max);
        for worse in wrong.iter().filter(|worse| worse.0 != better.0) {
            let worst = wood.finals(worse.0, Outcome::Fail).into_iter();
            let worst = worst.filter_map(|end| through(wood, worse.0, end)).reduce(f64::min);
            let step = better.1 - worse.1;
            let path = best.zip(worst).is_some_and(|(best, worst)| best - worst > pair.margin);
            let texts = [better.0, worse.0].map(|node| wood.nodes[node].text.as_str());
            if step > 0.0 && step >= pair.step_margin && path && apart(texts[0], texts[1], pair.edit_distance) {
                found.push((better.0, worse.0));
            }
        }
    }
    found
}

/// Mean Q from `node` to `end` below it.
fn through(wood: &Wood<'_>, node: usize, end: usize) -> Option<f64> {
    let path = wood.path(end);
    let from = path.iter().position(|at| *at == node)?;
    wood.mean_q(&path[from..])
}

/// Answers of the tree: the best that are above the bound against the worst.
fn leaves(wood: &Wood<'_>, pair: &Pair) -> Vec<Trajectory> {
    let judged = (1..wood.nodes.len()).filter(|node| wood.outcome(*node).is_some_and(Outcome::is_decided));
    let valued = judged.filter_map(|node| Some((node, wood.value(node, by(pair))?))).collect();
    let texts = |node: usize| wood.record(&wood.path(node), 0).completion;
    let found = against(valued, pair.each_side as usize, |a, b| {
        pair.above.is_none_or(|above| a.1 > above)
            && a.1 - b.1 > pair.margin.max(0.0)
            && (pair.edit_distance == 0 || apart(&texts(a.0), &texts(b.0), pair.edit_distance))
    });
    written(wood, &found, |node| wood.record(&wood.path(node), 0))
}

/// The widest gaps first; no node is more than `each_side` times on one side.
fn same_depth(wood: &Wood<'_>, pair: &Pair) -> Vec<Trajectory> {
    let mut depths: BTreeMap<u32, Vec<(usize, f64)>> = BTreeMap::new();
    for node in (1..wood.nodes.len()).filter(|node| wood.is_step(*node)) {
        let parent = wood.nodes[node].parent.map_or(0, |parent| parent as usize);
        if let Some(value) = wood.value(node, by(pair)).filter(|_| wood.children[parent].len() > 1) {
            depths.entry(wood.nodes[node].depth).or_default().push((node, value));
        }
    }
    let mut out = Vec::new();
    for valued in depths.values() {
        let found = widest(wood, valued, pair);
        out.extend(written(wood, &found, |node| wood.record(&wood.path(node), 0)));
    }
    out
}

fn widest(wood: &Wood<'_>, valued: &[Valued], pair: &Pair) -> Vec<(usize, usize)> {
    let mut gaps = Vec::new();
    for better in valued {
        let others = valued.iter().filter(|worse| wood.nodes[better.0].parent != wood.nodes[worse.0].parent);
        let wide = others.filter(|worse| better.1 - worse.1 > pair.margin.max(0.0));
        gaps.extend(wide.map(|worse| (better.1 - worse.1, better.0, worse.0)));
    }
    gaps.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    let (mut better, mut worse) = (BTreeMap::<usize, u32>::new(), BTreeMap::<usize, u32>::new());
    let mut found = Vec::new();
    for (_, a, b) in gaps {
        let (used_a, used_b) = (better.entry(a).or_default(), worse.entry(b).or_default());
        let far = apart(&wood.nodes[a].text, &wood.nodes[b].text, pair.edit_distance);
        if *used_a < pair.each_side && *used_b < pair.each_side && far {
            (*used_a, *used_b) = (*used_a + 1, *used_b + 1);
            found.push((a, b));
        }
    }
    found
}

/// Both records of each preference.
fn written(wood: &Wood<'_>, found: &[(usize, usize)], record: impl Fn(usize) -> Trajectory) -> Vec<Trajectory> {
    let mut out = Vec::with_capacity(2 * found.len());
    for (better, worse) in found {
        let name = format!("{}:{}#{better}>{worse}", wood.nodes[0].job, wood.nodes[0].tree);
        out.push(side(record(*better), &name, true, found.len()));
        out.push(side(record(*worse), &name, false, found.len()));
    }
    out
}

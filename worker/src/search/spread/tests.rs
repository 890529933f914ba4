//! Trees over several jobs: cut as computed by hand, and put together to what any tree must be.

use std::collections::BTreeSet;
use std::sync::Arc;

use galapagos_domain::ids::Digest;
use galapagos_domain::job::Sampling;
use galapagos_domain::recipe::search::{Backup, Mcts};
use galapagos_domain::recipe::verify::Verifier;
use galapagos_domain::seed::Seed;
use galapagos_domain::trajectory::Verdict;
use proptest::prelude::*;

use super::*;
use crate::search::growth::Growth;
use crate::search::strategy::{Answer, Drawn, Strategy, Want};
use crate::search::tree::tests::step;
use crate::search::tree::{End, Node};

/// A search that never runs out of things to say: what comes behind a path is drawn from the path and the seed, one step in five ends an
/// answer, a path is right or not and has a score by its text alone.
fn answer(want: &Want) -> Answer {
    let draw = |of: &[u8], below: u64| u64::from_str_radix(&Digest::of(of).hex()[..8], 16).unwrap() % below;
    match want {
        Want::Draw(asked) => {
            let one = |sample: u32| {
                let seed = [asked.seed.0.to_le_bytes().as_slice(), &sample.to_le_bytes()].concat();
                let letter = char::from(b'a' + u8::try_from(draw(&seed, 20)).unwrap());
                let answered = draw(&[seed.as_slice(), b"end"].concat(), 5) == 0;
                let text = if answered { format!("{letter}.") } else { letter.to_string() };
                let tokens: Vec<u32> = text.chars().map(u32::from).collect();
                Drawn { log_probs: vec![-1.0; tokens.len()], tokens, text, answered }
            };
            Answer::Drawn((0..asked.samples).map(one).collect())
        }
        Want::Judge(question) => {
            let text = question.path.text.as_bytes();
            Answer::Judged(match *question.verifier {
                Verifier::Rule if draw(text, 3) == 0 => Verdict::pass("right").by("rule/1"),
                Verifier::Rule => Verdict::fail("wrong").by("rule/1"),
                _ => Verdict::pass("").scored(draw(text, 100) as f32 / 100.0).by("prm/1"),
            })
        }
        Want::Act(_) | Want::Write(_) => panic!("{want:?}"),
    }
}

fn mcts(spread: &str, options: &str) -> Mcts {
    let text = format!(
        r#"{{"propose": {{"n": 2, "unit": "line", "merge": "exact"}},
            "evaluate": [{{"verifier": "rule"}}, {{"verifier": {{"prm": "critic"}}, "when": "leaf"}}],
            "spread": {spread}, {options}}}"#
    );
    serde_json::from_str(&text).unwrap()
}

/// What one job leaves of one tree.
fn job(mcts: &Mcts, start: Option<Kept>, portion: &Portion) -> Kept {
    let mut growth = Growth::mcts(mcts, Arc::new(Sampling::at(1.0)), Seed(7)).within(portion);
    let mut heard = Audit::default();
    if let Some(start) = start {
        growth.resume(start.tree, start.standing);
        heard = start.heard;
    }
    let mut answers = Vec::new();
    loop {
        let wants = growth.next(answers).unwrap();
        if wants.is_empty() {
            let (tree, standing) = growth.committed().unwrap();
            return Kept { tree, standing, heard };
        }
        answers = wants.iter().map(answer).collect();
        for (want, answer) in wants.iter().zip(&answers) {
            if let (Some(verifier), Answer::Judged(verdict)) = (want.asks(), answer) {
                heard.hear(verifier, verdict);
            }
        }
    }
}

/// All waves; of each, what its parts left.
fn all(mcts: &Mcts) -> (Kept, Vec<Vec<Kept>>) {
    let spreading = Spreading::of(mcts).unwrap();
    let spread = mcts.spread.unwrap();
    let mut whole = job(mcts, None, &spreading.trunk());
    let mut waves = vec![vec![whole.clone()]];
    for wave in 1..=spread.waves {
        let part = |part| {
            let (start, portion) = spreading.part(&whole, wave, part);
            job(mcts, Some(start), &portion)
        };
        let parts: Vec<Kept> = (0..spread.parts(wave)).map(part).collect();
        whole = spreading.merge(&whole, &parts).unwrap();
        waves.push(parts);
    }
    (whole, waves)
}

fn made(kept: &Kept) -> usize {
    kept.tree.len() - 1
}

/// Numbers that any tree has, however it was grown.
fn check(mcts: &Mcts, kept: &Kept) {
    let tree = &kept.tree;
    for (id, node) in tree.iter() {
        assert!(node.parent.is_none_or(|parent| parent < id && tree[parent].children.contains(&id)));
        assert!(node.asked <= mcts.propose.n, "{id:?} was grown by several parts");
        let children = || node.children.iter().map(|child| &tree[*child]);
        let visits = f64::from(u8::from(node.own.is_some())) + children().map(|child| child.visits).sum::<f64>();
        assert!((node.visits - visits).abs() < 1e-9, "{id:?}: {} visits, not {visits}", node.visits);
        let q = match mcts.backup {
            Backup::SumMean => {
                let sum = node.own.unwrap_or(0.0) + children().map(|child| child.sum).sum::<f64>();
                assert!((node.sum - sum).abs() < 1e-9);
                sum / visits.max(1.0)
            }
            Backup::Max if node.children.is_empty() => node.own.unwrap_or(0.0),
            Backup::Max => children().map(|child| child.q).fold(f64::NEG_INFINITY, f64::max),
            Backup::Product => {
                if node.own.is_none() {
                    continue;
                }
                tree.upwards(id).filter_map(|above| tree[above].own).product()
            }
            Backup::HalfOwnHalfChildren => {
                let below = children().map(|child| child.visits * child.q).sum::<f64>();
                let weight: f64 = children().map(|child| child.visits).sum();
                match (node.own, weight > 0.0) {
                    (Some(own), true) => f64::midpoint(own, below / weight),
                    (None, true) => below / weight,
                    (own, false) => own.unwrap_or(0.0),
                }
            }
            Backup::TerminalOnly => continue,
        };
        assert!((node.q - q).abs() < 1e-9, "{id:?}: Q is {}, not {q}", node.q);
        assert_eq!(node.closed, tree.is_spent(id, mcts.propose.n), "{id:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn the_parts_of_a_tree_make_one_tree_within_its_budget(
        jobs in 2u32..6,
        waves in 1u32..4,
        backup in proptest::sample::select(vec!["sum_mean", "max", "product", "half_own_half_children"]),
        select in proptest::sample::select(vec![r#"{"uct": {}}"#, r#"{"puct": {}}"#, r#"{"best_first": {}}"#]),
        leaves in 1u32..4,
        nodes in 20u32..160,
    ) {
        let options = format!(
            r#""backup": "{backup}", "select": {select}, "parallel": {{"leaves": {leaves}}}, "budget": {{"nodes": {nodes}, "depth": 9}}"#
        );
        let mcts = mcts(&format!(r#"{{"jobs": {jobs}, "waves": {waves}}}"#), &options);
        let (whole, parts) = all(&mcts);
        check(&mcts, &whole);
        let tokens: u64 = whole.tree.iter().map(|(_, node)| node.piece.tokens.len() as u64).sum();
        prop_assert!(whole.standing.spent.tokens >= tokens, "merged proposals count too");
        // Each job may be above its share by less than one.
        let most = nodes as usize + (jobs * waves) as usize;
        prop_assert!(made(&whole) <= most, "{} of {nodes} nodes", made(&whole));
        let spreading = Spreading::of(&mcts).unwrap();
        for (part, kept) in (0..).zip(&parts[1]) {
            let (_, portion) = spreading.part(&parts[0][0], 1, part);
            prop_assert_eq!(portion.budget != nothing(), made(kept) > made(&parts[0][0]), "part {}", part);
        }
        let again = all(&mcts);
        prop_assert!(again.0 == whole && again.1 == parts, "another time it is another tree");
    }
}

#[test]
fn the_heaviest_piece_is_cut_and_pieces_weigh_out() {
    let mut tree = Tree::default();
    let [a, b, c] = ["a", "b", "c"].map(|text| tree.add(NodeId::ROOT, step(text), 1));
    let [d, e] = ["d", "e"].map(|text| tree.add(a, step(text), 2));
    for (node, visits) in [(NodeId::ROOT, 12.0), (a, 8.0), (b, 3.0), (c, 1.0), (d, 5.0), (e, 2.0)] {
        tree[node].visits = visits;
    }
    (tree[NodeId::ROOT].asked, tree[a].asked) = (3, 2);
    let (_, open) = (NodeId::ROOT, |tree: &Tree, node: NodeId| tree[node].asked == 0 && !tree[node].closed);
    let two = parts(&tree, 2, &open);
    // The pieces are d (6), b (4), e (3) and c (2): d and c on one side, b and e on the other.
    assert_eq!(two[0].closed, BTreeSet::from([b, e]));
    assert_eq!(two[1].closed, BTreeSet::from([c, d]));
    assert_eq!(two[0].others, BTreeSet::from([NodeId::ROOT, a]));
    // A node that may have more children is a piece too: here with b, which weighs least with it.
    let wider = |tree: &Tree, node: NodeId| open(tree, node) || node == a;
    let two = parts(&tree, 2, &wider);
    let own = two.iter().filter(|part| !part.others.contains(&a)).count();
    assert_eq!(own, 1, "one part alone grows it");
    // What ended is nobody's.
    for node in [b, c, d, e] {
        (tree[node].closed, tree[node].end) = (true, Some(End::Answered));
    }
    assert!(parts(&tree, 2, &open).iter().all(Part::is_empty));
}

#[test]
fn every_job_has_an_equal_share_and_a_hard_tree_gets_more_in_the_last_wave() {
    let mcts = mcts(
        r#"{"jobs": 3, "waves": 2}"#,
        r#""budget": {"simulations": 70, "tokens": 700, "depth": 4, "escalate_unsolved": {"factor": 2}}"#,
    );
    let spreading = Spreading::of(&mcts).unwrap();
    let trunk = spreading.trunk().budget;
    assert_eq!((trunk.simulations, trunk.tokens, trunk.nodes), (Some(10), Some(100), None), "one of seven jobs");
    let mut tree = Tree::default();
    for text in ["a", "b", "c"] {
        tree.add(NodeId::ROOT, step(text), 1);
    }
    tree[NodeId::ROOT].asked = 2;
    let spent = Spent { simulations: 10, tokens: 100, escalated: false };
    let mut whole = Kept { tree, standing: Standing { spent, front: Vec::new() }, heard: Audit::default() };
    let budget = |whole: &Kept, wave| spreading.part(whole, wave, 1).1.budget;
    assert_eq!(budget(&whole, 1).simulations, Some(20), "60 are left for six jobs");
    assert_eq!(
        (budget(&whole, 2).simulations, budget(&whole, 2).tokens),
        (Some(10 + 130 / 3 + 1), Some(100 + 1300 / 3 + 1))
    );
    whole.tree[NodeId(1)].verdict = Some(Verdict::pass(""));
    assert_eq!(budget(&whole, 2).simulations, Some(30), "it is solved");
    whole.tree[NodeId(2)].closed = true;
    assert_eq!(budget(&whole, 2).simulations, Some(40), "two parts share what three would have had");
    assert_eq!(spreading.part(&whole, 2, 2).1.budget, nothing(), "the third has nothing to grow");
    assert_eq!(spreading.end(&whole).budget, nothing());
}

#[test]
fn what_was_heard_is_that_of_all_jobs_once() {
    let mcts = mcts(r#"{"jobs": 3, "waves": 2}"#, r#""budget": {"simulations": 40, "depth": 5}"#);
    let (whole, waves) = all(&mcts);
    let counts = |kept: &Kept| kept.heard.evaluators.iter().map(|heard| heard.verdicts).sum::<u64>();
    let of_jobs: Vec<u64> = waves.iter().flatten().map(counts).collect();
    assert!(of_jobs.iter().filter(|count| **count > 0).count() > 2, "{of_jobs:?}");
    assert_eq!(counts(&whole), of_jobs.iter().sum::<u64>());
    let names: Vec<_> = whole.heard.evaluators.iter().map(|heard| heard.verifier.as_str()).collect();
    assert_eq!(names, ["prm", "rule"]);
}

#[test]
fn parts_of_another_tree_are_refused() {
    let mcts = mcts(r#"{"jobs": 2}"#, r#""budget": {"nodes": 12}"#);
    let spreading = Spreading::of(&mcts).unwrap();
    let (whole, waves) = all(&mcts);
    let trunk = &waves[0][0];
    let mut other = waves[1].clone();
    let last = NodeId(u32::try_from(trunk.tree.len() - 1).unwrap());
    let changed = Node { piece: step("?"), ..other[1].tree[last].clone() };
    other[1].tree[last] = changed;
    assert_eq!(spreading.merge(trunk, &other), Err(SpreadError::Other { part: 1, node: last.0 }));
    let short = [Kept { tree: Tree::default(), ..waves[1][0].clone() }];
    let error = spreading.merge(trunk, &short).unwrap_err();
    assert_eq!(error, SpreadError::Short { part: 0, has: 1, of: trunk.tree.len() });
    assert_eq!(spreading.merge(trunk, &waves[1]), Ok(whole));
}

#[test]
fn a_trunk_is_what_one_job_would_have_grown_until_then() {
    let mcts = mcts(r#"{"jobs": 4}"#, r#""budget": {"simulations": 25, "depth": 6}"#);
    let alone = Mcts { spread: None, ..mcts.clone() };
    let trunk = job(&mcts, None, &Spreading::of(&mcts).unwrap().trunk());
    let unbound =
        Portion { budget: alone.budget.clone(), others: BTreeSet::new(), stream: None, before: Spent::default() };
    let whole = job(&alone, None, &unbound);
    let same =
        trunk.tree.iter().zip(whole.tree.iter()).all(|((_, a), (_, b))| a.piece == b.piece && a.parent == b.parent);
    assert!(same && trunk.tree.len() < whole.tree.len());
}

//! Operators on trees, counted by hand. Nodes are letters: node 1 is `b`, node 2 `c`, and so on.

use galapagos_domain::recipe::curate::{LabelFrom, LabelSource, LabelValue, Linearise, Operator, Pair, PairFrom};
use galapagos_domain::trajectory::{Outcome, Trajectory};
use galapagos_domain::tree::{NodeEnd, NodePart, TreeNode};

use super::super::test_records::{Shelf, tree};
use super::{applied, label, pair};

const PASS: Option<Outcome> = Some(Outcome::Pass);
const FAIL: Option<Outcome> = Some(Outcome::Fail);

/// ```text
///           root
///      b 0.75     c -0.25     d 0.5
///   e 1 f -1      g -1       h 1 i -1
/// ```
/// `e` and `h` pass; `f`, `g` and `i` fail.
fn grown() -> Vec<TreeNode> {
    tree(&[
        (0, 0.0, None),
        (0, 0.75, None),
        (0, -0.25, None),
        (0, 0.5, None),
        (1, 1.0, PASS),
        (1, -1.0, FAIL),
        (2, -1.0, FAIL),
        (3, 1.0, PASS),
        (3, -1.0, FAIL),
    ])
}

fn of(nodes: Vec<TreeNode>, operator: Operator) -> Vec<Trajectory> {
    applied(&[operator], Vec::new(), &Shelf { trees: vec![nodes], ..Shelf::default() }).0
}

/// Each preference as chosen and rejected completion, with the weight of its records.
fn preferences(records: &[Trajectory]) -> Vec<(&str, &str, f32)> {
    let sides = records.chunks(2).map(|two| {
        let [better, worse] = two else { panic!("{two:?}") };
        let (a, b) = (better.credit.pair.as_ref().unwrap(), worse.credit.pair.as_ref().unwrap());
        assert!(a.chosen && !b.chosen && a.pair == b.pair);
        assert!((better.credit.weight - worse.credit.weight).abs() < 1e-6);
        (better.completion.as_str(), worse.completion.as_str(), better.credit.weight)
    });
    sides.collect()
}

#[test]
fn siblings_are_paired_two_by_two_where_step_and_path_agree() {
    let records = of(grown(), Operator::Pair(pair(PairFrom::Siblings, None)));
    // At the root b (0.75) and d (0.5) have right answers below them, and all three wrong ones: the worst two are c and d.
    // The paths: best through b (0.75 + 1) / 2, through d (0.5 + 1) / 2; worst through c (-0.25 - 1) / 2, through d (0.5 - 1) / 2.
    // d is not paired with itself. Below b and d the right answer stands against the wrong one; below c nothing is right.
    let third = 1.0 / 3.0;
    assert_eq!(
        preferences(&records),
        [("b", "c", third), ("b", "d", third), ("d", "c", third), ("e", "f", 1.0), ("h", "i", 1.0)]
    );
    let names: std::collections::BTreeSet<_> =
        records.iter().map(|record| record.credit.pair.as_ref().unwrap().pair.as_str()).collect();
    assert_eq!(names.len(), 5);
    let letters = |record: &Trajectory| -> String {
        record.prompt_tokens.iter().filter_map(|token| char::from_u32(*token)).collect()
    };
    assert_eq!((letters(&records[0]), letters(&records[6]), records[6].prefix_len), ("a".into(), "ab".into(), 1));
    assert_eq!(records[6].verdict.outcome, Outcome::Pass);
    assert_eq!((records[0].verdict.outcome, records[0].reward()), (Outcome::Error, None), "a step has no verdict");
}

#[test]
fn margins_and_texts_that_are_too_near_drop_preferences() {
    let asked = |change: fn(&mut Pair)| {
        let mut pair = pair(PairFrom::Siblings, None);
        change(&mut pair);
        let records = of(grown(), Operator::Pair(pair));
        preferences(&records).into_iter().map(|(a, b, _)| format!("{a}{b}")).collect::<Vec<_>>()
    };
    // Steps: b - c 1, b - d 0.25, d - c 0.75, e - f 2, h - i 2.
    assert_eq!(asked(|pair| pair.step_margin = 0.75), ["bc", "dc", "ef", "hi"]);
    // Paths: b - c 1.5, b - d 1.125, d - c 1.375; strictly above.
    assert_eq!(asked(|pair| pair.margin = 1.375), ["bc", "ef", "hi"]);
    assert_eq!(asked(|pair| pair.edit_distance = 1).len(), 5, "different letters are one apart");
    assert!(asked(|pair| pair.edit_distance = 2).is_empty());
    assert_eq!(asked(|pair| pair.each_side = 1), ["bc", "ef", "hi"]);
}

#[test]
fn a_lone_right_step_is_paired_with_four_wrong_ones() {
    let mut nodes = vec![(0, 0.0, None), (0, 1.0, PASS)];
    nodes.extend((0..6).map(|i| (0, -0.125 * f64::from(i), FAIL)));
    let records = of(tree(&nodes), Operator::Pair(pair(PairFrom::Siblings, None)));
    let worst_first = [("b", "h", 0.25), ("b", "g", 0.25), ("b", "f", 0.25), ("b", "e", 0.25)];
    assert_eq!(preferences(&records), worst_first);
}

#[test]
fn what_the_policy_did_not_write_is_no_side() {
    let mut nodes = grown();
    nodes[1].part = NodePart::Shown;
    let records = of(nodes, Operator::Pair(pair(PairFrom::Siblings, None)));
    assert!(preferences(&records).iter().all(|(a, b, _)| !format!("{a}{b}").contains('b')));
}

#[test]
fn leaves_are_whole_answers_and_the_good_one_is_above_its_bound() {
    let records = of(grown(), Operator::Pair(Pair { margin: 1.0, ..pair(PairFrom::Leaves, None) }));
    // The best two are e and h with 1, the worst two f and g with -1, by number.
    let quarter = 0.25;
    assert_eq!(
        preferences(&records),
        [("be", "bf", quarter), ("be", "cg", quarter), ("dh", "bf", quarter), ("dh", "cg", quarter)]
    );
    assert_eq!(records[0].credit.spans.len(), 2);
    let none = Pair { above: Some(1.0), ..pair(PairFrom::Leaves, None) };
    assert!(of(grown(), Operator::Pair(none)).is_empty(), "no leaf is above 1");
}

#[test]
fn nodes_of_one_depth_differ_in_parents_that_have_other_children() {
    let records = of(grown(), Operator::Pair(Pair { margin: 0.8, each_side: 1, ..pair(PairFrom::SameDepth, None) }));
    // At depth 1 all have one parent. At depth 2 the only child of c does not count: e - i and h - f are 2 apart.
    assert_eq!(preferences(&records), [("be", "di", 0.5), ("dh", "bf", 0.5)]);
    let wide = Pair { margin: 2.0, ..pair(PairFrom::SameDepth, None) };
    assert!(of(grown(), Operator::Pair(wide)).is_empty(), "a gap of 2 is not above 2");
}

fn labelled(label: LabelFrom) -> Vec<(String, Vec<Option<f32>>)> {
    let values = |record: Trajectory| {
        let values = record.credit.spans.iter().map(|span| span.value).collect();
        (record.completion, values)
    };
    of(grown(), Operator::LabelFrom(label)).into_iter().map(values).collect()
}

#[test]
fn every_node_of_a_tree_is_labelled_once() {
    let plain = LabelFrom { drop_penalty: 1.0, threshold: None, ..label(LabelValue::Q, LabelSource::Trees) };
    let some = |text: &str, values: [Option<f32>; 2]| (text.to_owned(), values.to_vec());
    assert_eq!(
        labelled(plain.clone()),
        [
            some("be", [Some(0.75), Some(1.25)]),
            some("bf", [None, Some(-2.75)]),
            some("cg", [Some(-0.25), Some(-1.75)]),
            some("dh", [Some(0.5), Some(1.5)]),
            some("di", [None, Some(-2.5)]),
        ]
    );
    let own = LabelFrom { value: LabelValue::Own, drop_penalty: 0.0, ..plain };
    assert_eq!(labelled(own)[0], some("be", [Some(0.375), Some(0.5)]));
    let rollout = labelled(LabelFrom { value: LabelValue::Rollout, ..label(LabelValue::Q, LabelSource::Trees) });
    assert_eq!(rollout[2], some("cg", [Some(0.0), Some(0.0)]), "both below the threshold");
}

#[test]
fn a_journey_goes_through_one_wrong_branch_at_each_node_and_comes_back() {
    let journey = |dead_ends, per_step| {
        Operator::Linearise(Linearise { dead_ends, text_back: "No. ".to_owned(), per_step, killed: true })
    };
    let linearise = |dead_ends| journey(dead_ends, None);
    let mut nodes = grown();
    // The answer of g ends with a line break that is no part of its text.
    nodes[6].tokens.push(u32::from('\n'));
    nodes[6].log_probs.push(-0.5);
    let step_by_step = of(nodes.clone(), journey(1, Some("Back. ".to_owned())));
    assert_eq!(
        step_by_step[0].completion, "cgNo. Back. bfNo. e",
        "c and g are taken back, and of the other branch f alone"
    );
    let records = of(nodes, linearise(1));
    // The right path with the highest mean Q is b e (0.875). At the root c is wrong all the way (d is not), below b it is f.
    assert_eq!(records.len(), 1);
    let record = &records[0];
    assert_eq!(record.completion, "cgNo. bfNo. e");
    let text: String = record.completion_tokens.iter().filter_map(|token| char::from_u32(*token)).collect();
    assert_eq!(text, record.completion);
    let spans: Vec<_> = record.credit.spans.iter().map(|span| (span.start, span.end, span.value)).collect();
    assert_eq!(
        spans,
        [
            (0, 1, Some(-0.25)),
            (1, 2, Some(-1.0)),
            (2, 6, None),
            (6, 7, Some(0.75)),
            (7, 8, Some(-1.0)),
            (8, 12, None),
            (12, 13, Some(1.0))
        ]
    );
    assert!(record.credit.spans.iter().all(|span| span.learn) && record.log_probs.is_empty());
    assert_eq!(record.verdict.outcome, Outcome::Pass);
    let unsolved = tree(&[(0, 0.0, None), (0, 0.5, FAIL)]);
    assert!(of(unsolved, linearise(1)).is_empty());
}

#[test]
fn a_step_that_could_not_be_done_is_left_out_of_a_journey() {
    let mut nodes = grown();
    nodes[6].end = Some(NodeEnd::Killed);
    let journey = |text_back: &str| {
        let (text_back, per_step) = (text_back.to_owned(), Some("Back. ".to_owned()));
        of(nodes.clone(), Operator::Linearise(Linearise { dead_ends: 1, text_back, per_step, killed: false }))
    };
    assert_eq!(journey("No. ")[0].completion, "cNo. bfNo. e", "g is gone, and one step is taken back");
    assert_eq!(journey("\nNo. ")[0].completion, "c\nNo. bf\nNo. e");
    let mut lines = nodes.clone();
    (lines[2].text, lines[2].tokens) = ("\n".to_owned(), vec![u32::from('\n')]);
    let record = of(
        lines,
        Operator::Linearise(Linearise { dead_ends: 1, text_back: "\nNo. ".to_owned(), per_step: None, killed: false }),
    );
    assert_eq!(record[0].completion, "\nNo. bf\nNo. e", "a line that has ended needs no other break");
    // Below b, f alone is wrong: nothing is left of that branch.
    nodes[5].end = Some(NodeEnd::Killed);
    assert_eq!(
        of(
            nodes,
            Operator::Linearise(Linearise {
                dead_ends: 1,
                text_back: "No. ".to_owned(),
                per_step: None,
                killed: false
            })
        )[0]
        .completion,
        "cNo. be"
    );
}

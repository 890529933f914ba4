//! Hand-computed trees: a policy that says what a table says, a judge that gives what a table gives.

use std::collections::BTreeMap;

use galapagos_domain::job::Sampling;
use galapagos_domain::recipe::Number;
use galapagos_domain::recipe::search::{
    Evaluate, Extra, Mcts, Merge, Parallel, Propose, Reach, Select, Simulate, StepBeam, Uct, Unvisited, When, Width,
    Worth,
};
use galapagos_domain::recipe::verify::Verifier;
use galapagos_domain::recipe::verify::{Model, Squash};
use galapagos_domain::trajectory::Verdict;

use super::*;

/// What follows each text; a step that ends with `.` is an answer. Values are of whole texts.
#[derive(Clone, Default)]
struct World {
    says: BTreeMap<&'static str, Vec<&'static str>>,
    worth: BTreeMap<&'static str, f32>,
}

impl World {
    /// The world of the tests below: `a.` right, `b` a way to one right and one wrong answer, `c` a way to nothing.
    fn small() -> Self {
        let says = BTreeMap::from([
            ("", vec!["b", "c"]),
            ("b", vec!["x.", "y."]),
            ("c", vec!["d", "e"]),
            ("cd", vec!["z.", "w."]),
            ("ce", vec!["z.", "w."]),
        ]);
        Self { says, worth: BTreeMap::from([("bx.", 1.0), ("b", 0.6), ("c", 0.2), ("cd", 0.1), ("ce", 0.3)]) }
    }

    fn answer(&self, want: &Want) -> Answer {
        let text = |tokens: &[u32]| tokens.iter().filter_map(|token| char::from_u32(*token)).collect::<String>();
        match want {
            Want::Draw(draw) => {
                let says = self.says.get(text(&draw.behind).as_str()).cloned().unwrap_or_default();
                let step = |step: &&str| {
                    let tokens: Vec<u32> = step.chars().map(u32::from).collect();
                    let log_probs = vec![-0.5; tokens.len()];
                    Drawn { tokens, log_probs, text: (*step).to_owned(), answered: step.ends_with('.') }
                };
                let all = says.iter().cycle().take(draw.samples as usize * usize::from(!says.is_empty()));
                Answer::Drawn(all.map(step).collect())
            }
            Want::Judge(question) => {
                let worth = self.worth.get(text(&question.path.tokens).as_str()).copied();
                Answer::Judged(match (&*question.verifier, worth) {
                    (Verifier::Rule, Some(worth)) if worth >= 1.0 => Verdict::pass("right").by("rule/1"),
                    (Verifier::Rule, _) => Verdict::fail("wrong").by("rule/1"),
                    (_, worth) => Verdict::pass("").scored(worth.unwrap_or(0.0)).by("prm/1"),
                })
            }
            Want::Act(_) | Want::Write(_) => panic!("{want:?}"),
        }
    }

    /// Runs a search to its end; gives the texts that grew, batch by batch.
    fn run(&self, growth: &mut Growth) -> Vec<Vec<String>> {
        let (mut grown, mut answers) = (Vec::new(), Vec::new());
        loop {
            let wants = growth.next(answers).unwrap();
            if wants.is_empty() {
                return grown;
            }
            let text = |draw: &Draw| draw.behind.iter().filter_map(|token| char::from_u32(*token)).collect();
            let behind: Vec<String> = wants
                .iter()
                .filter_map(|want| match want {
                    Want::Draw(draw) => Some(text(draw)),
                    Want::Judge(_) | Want::Act(_) | Want::Write(_) => None,
                })
                .collect();
            if !behind.is_empty() {
                grown.push(behind);
            }
            answers = wants.iter().map(|want| self.answer(want)).collect();
        }
    }
}

fn search(budget: &str) -> Mcts {
    let text =
        format!(r#"{{"propose": {{"n": 2, "unit": "line"}}, "select": {{"uct": {{"c": 1.0}}}}, "budget": {budget}}}"#);
    serde_json::from_str(&text).unwrap()
}

fn prm(reach: Reach) -> Evaluate {
    let model = Model { role: "ppm".parse().unwrap(), squash: Squash::None, pass_at: None };
    Evaluate { when: When::Leaf, backup: reach, ..Evaluate::terminal(Verifier::Prm(model)) }
}

fn signed() -> Evaluate {
    Evaluate { map: Some(Worth { pass: 1.0, fail: -1.0 }), ..Evaluate::terminal(Verifier::Rule) }
}

fn grow(search: &Mcts) -> Growth {
    Growth::mcts(search, Arc::new(Sampling::at(1.0)), Seed(1))
}

fn of(growth: &Growth, text: &str) -> (f64, f64) {
    let (_, node) = growth.tree().iter().find(|(id, _)| growth.tree().path(*id).text == text).unwrap();
    (node.visits, node.q)
}

fn found(growth: &Growth) -> Vec<String> {
    growth.found().into_iter().map(|node| growth.tree().path(node).text).collect()
}

#[test]
fn ends_send_their_worth_up_and_a_simulation_goes_on_until_there_is_one() {
    let mut growth = grow(&Mcts { evaluate: vec![signed()], ..search(r#"{"simulations": 2}"#) });
    let grown = World::small().run(&mut growth);
    // Root; its first child b, which brings answers and ends the first simulation; the second one goes to c, for b is closed, and on
    // to d below it.
    assert_eq!(grown, [[""], ["b"], ["c"], ["cd"]]);
    assert_eq!((of(&growth, "b"), of(&growth, "bx."), of(&growth, "by.")), ((2.0, 0.0), (1.0, 1.0), (1.0, -1.0)));
    assert_eq!((of(&growth, "c"), of(&growth, "cd"), of(&growth, "ce")), ((2.0, -1.0), (2.0, -1.0), (0.0, 0.0)));
    assert_eq!(of(&growth, ""), (4.0, -0.5));
    assert_eq!(found(&growth), ["bx.", "by.", "cdz.", "cdw."]);
}

#[test]
fn local_values_steer_and_do_not_count_above() {
    let plain = search(r#"{"simulations": 1}"#);
    let local = Mcts { evaluate: vec![signed(), prm(Reach::Local)], ..plain.clone() };
    let mut growth = grow(&local);
    let mut world = World::small();
    world.worth.insert("c", 0.9);
    let grown = world.run(&mut growth);
    assert_eq!(grown, [vec![""], vec!["c"], vec!["ce"]], "the higher local value first, at each depth");
    assert_eq!((of(&growth, "b"), of(&growth, "c").0), ((1.0, 0.6f32.into()), 3.0));
    assert_eq!(of(&growth, "").0, 2.0, "the root counts the two ends alone");
    let mut growth = grow(&Mcts { evaluate: vec![signed(), prm(Reach::Propagated)], ..plain });
    world.run(&mut growth);
    assert_eq!(of(&growth, "").0, 6.0, "propagated ones count: b, c, d, e and two ends");
}

#[test]
fn one_growth_is_one_simulation_where_that_is_asked_for() {
    let plain = search(r#"{"simulations": 2}"#);
    let mut growth =
        grow(&Mcts { simulate: Simulate::OneGrowth, evaluate: vec![signed(), prm(Reach::Propagated)], ..plain });
    assert_eq!(World::small().run(&mut growth), [[""], ["b"]]);
    assert_eq!(growth.before.spent.simulations, 2);
}

#[test]
fn the_shape_depends_on_what_an_unvisited_child_counts_as() {
    let with = |unvisited| {
        let select = Select::Uct(Uct { c: Number::Value(0.0), unvisited, extra: Vec::new() });
        let plain = search(r#"{"simulations": 3}"#);
        let mut growth = grow(&Mcts {
            select,
            simulate: Simulate::OneGrowth,
            evaluate: vec![signed()],
            propose: Propose { n: 1, ..plain.propose.clone() },
            width: Width::UpTo(2),
            ..plain
        });
        let mut world = World::small();
        world.says.insert("", vec!["c"]);
        world.says.insert("c", vec!["d"]);
        world.run(&mut growth)
    };
    assert_eq!(with(Unvisited::Zero), [[""], [""], ["c"]], "a node grows to its width before its children do");
    assert_eq!(with(Unvisited::Infinity), with(Unvisited::Zero));
}

#[test]
fn best_first_takes_the_best_of_the_whole_tree() {
    let best: Mcts = serde_json::from_str(
        r#"{"propose": {"n": 2, "unit": "line"}, "select": {"best_first": {}}, "budget": {"simulations": 3}}"#,
    )
    .unwrap();
    let mut world = World::small();
    world.worth.insert("cd", 0.5);
    world.worth.insert("c", 0.7);
    let mut growth = grow(&Mcts { evaluate: vec![prm(Reach::Local)], ..best.clone() });
    assert_eq!(world.run(&mut growth), [[""], ["c"], ["b"]], "0.7, then 0.6 before 0.5 below");
    world.worth.insert("cd", 0.65);
    let mut growth = grow(&Mcts { evaluate: vec![prm(Reach::Local)], ..best });
    assert_eq!(world.run(&mut growth), [[""], ["c"], ["cd"]]);
}

#[test]
fn simulations_at_once_take_different_ways() {
    let plain = search(r#"{"simulations": 4}"#);
    let parallel = Parallel { leaves: 2, virtual_loss: 1.0 };
    let mut growth = grow(&Mcts { parallel, evaluate: vec![signed(), prm(Reach::Local)], ..plain.clone() });
    assert_eq!(World::small().run(&mut growth)[1], ["b", "c"]);
    let mut growth =
        grow(&Mcts { parallel: Parallel { leaves: 8, virtual_loss: 1.0 }, evaluate: vec![signed()], ..plain });
    let grown = World::small().run(&mut growth);
    assert!(grown.iter().all(|batch| batch.iter().collect::<std::collections::BTreeSet<_>>().len() == batch.len()));
    assert!(growth.tree().iter().all(|(_, node)| node.pending == 0), "no virtual loss is left");
    assert!(growth.tree()[NodeId::ROOT].closed, "the whole world was searched");
}

#[test]
fn merged_siblings_are_drawn_anew_and_remembered() {
    let plain = search(r#"{"simulations": 1, "depth": 1}"#);
    let of = |merge: Merge, n: u32| {
        let propose = Propose { n, merge, ..plain.propose.clone() };
        let mut growth = grow(&Mcts { propose, ..plain.clone() });
        let grown = World::small().run(&mut growth);
        let again: Vec<u32> = growth.tree().iter().map(|(_, node)| node.again).collect();
        (growth.tree().len() - 1, grown.len(), again)
    };
    assert_eq!(of(Merge::None, 4), (4, 1, vec![0; 5]));
    assert_eq!(of(Merge::Exact, 4), (2, 1, vec![0, 1, 1]));
    let near = Merge::EditDistance { below: 2, resample: 3 };
    assert_eq!(of(near, 2), (1, 4, vec![0, 4]), "b and c are one edit apart: three more tries, all the same");
}

#[test]
fn budgets_end_a_tree_where_they_say() {
    let with = |budget: &str| {
        let mut growth = grow(&Mcts { evaluate: vec![signed()], ..search(budget) });
        World::small().run(&mut growth);
        growth
    };
    assert_eq!(with(r#"{"nodes": 5}"#).tree().len(), 6);
    let tokens = with(r#"{"tokens": 3}"#);
    assert_eq!((tokens.before.spent.tokens, tokens.tree().len()), (6, 5), "a batch that began is finished");
    assert_eq!(with(r#"{"nodes": 99, "correct_leaves": 1}"#).tree().len(), 5);
    let shallow = with(r#"{"nodes": 99, "depth": 1}"#);
    assert!(shallow.tree().iter().skip(1).all(|(_, node)| node.end == Some(End::Cut) && node.closed));
    assert!(found(&shallow).is_empty());
    let all = with(r#"{"nodes": 99}"#);
    assert_eq!((all.tree().len(), all.tree()[NodeId::ROOT].closed), (11, true), "a tree that is all known ends");
}

#[test]
fn a_beam_keeps_the_best_of_each_depth() {
    let beam: StepBeam =
        serde_json::from_str(r#"{"propose": {"n": 2, "unit": "line"}, "beam": 1, "budget": {}}"#).unwrap();
    let evaluate = vec![prm(Reach::Propagated), signed()];
    let beam = StepBeam { evaluate, ..beam };
    let run = |beam: &StepBeam, world: &World| {
        let mut growth = Growth::beam(beam, Arc::new(Sampling::at(1.0)), Seed(1));
        let grown = world.run(&mut growth);
        (grown, found(&growth))
    };
    let mut world = World::small();
    assert_eq!(run(&beam, &world).0, [[""], ["b"]]);
    world.worth.insert("c", 0.9);
    let (grown, answers) = run(&beam, &world);
    assert_eq!(
        (grown, answers),
        (
            vec![vec![String::new()], vec!["c".to_owned()], vec!["ce".to_owned()]],
            vec!["cez.".to_owned(), "cew.".to_owned()]
        )
    );
    let wide = StepBeam { beam: 2, ..beam };
    assert_eq!(run(&wide, &world).0, [vec![""], vec!["c", "b"], vec!["ce", "cd"]], "best first");
}

#[test]
fn an_undecided_answer_has_no_value_and_is_not_tried_again() {
    let mut growth = grow(&Mcts { evaluate: vec![signed()], ..search(r#"{"simulations": 1}"#) });
    let world = World::small();
    let mut answers = Vec::new();
    loop {
        let wants = growth.next(answers).unwrap();
        if wants.is_empty() {
            break;
        }
        let answer = |want: &Want| match want {
            Want::Draw(_) | Want::Act(_) | Want::Write(_) => world.answer(want),
            Want::Judge(_) => Answer::Judged(Verdict::new(galapagos_domain::trajectory::Outcome::Timeout, "slow")),
        };
        answers = wants.iter().map(answer).collect();
    }
    assert_eq!(of(&growth, "bx."), (0.0, 0.0));
    assert_eq!((of(&growth, "b").0, of(&growth, "").0), (0.0, 0.0), "not a single visit of value 0");
}

/// A search that is stopped between any two batches and goes on elsewhere ends as one that was not.
#[test]
fn a_tree_goes_on_from_its_last_committed_batch() {
    for leaves in [1, 2] {
        let parallel = Parallel { leaves, virtual_loss: 1.0 };
        let extra = vec![Extra::Diversity(0.1)];
        let select = Select::Uct(Uct { c: Number::Value(0.7), unvisited: Unvisited::Zero, extra });
        let spec =
            Mcts { parallel, select, evaluate: vec![signed(), prm(Reach::Local)], ..search(r#"{"simulations": 5}"#) };
        let world = World::small();
        let mut whole = grow(&spec);
        world.run(&mut whole);
        let (mut growth, mut answers, mut stops) = (grow(&spec), Vec::new(), 0);
        loop {
            let wants = growth.next(answers).unwrap();
            if wants.is_empty() {
                break;
            }
            answers = wants.iter().map(|want| world.answer(want)).collect();
            if let Some((tree, standing)) = growth.committed() {
                stops += 1;
                let text = serde_json::to_string(&standing).unwrap();
                let mut elsewhere = grow(&spec);
                elsewhere.resume(tree, serde_json::from_str(&text).unwrap());
                world.run(&mut elsewhere);
                assert_eq!(elsewhere.tree(), whole.tree(), "stopped before batch {stops} of {leaves} at once");
            }
        }
        assert!(stops >= 3, "{stops}");
    }
}

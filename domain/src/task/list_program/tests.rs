//! What list programs promise: grades, hidden examples, what the options do, and how many forms there are.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::task::Family;
use crate::task::split::Part;

fn example(input: &[i64], output: Value) -> Example {
    Example { input: input.to_vec(), output }
}

#[test]
fn the_four_grades() {
    let examples = [example(&[3, 1, 2], Value::Number(3)), example(&[5], Value::Number(5))];
    assert_eq!(grade("max", &examples), Grade::Passed);
    assert_eq!(grade("first", &examples), Grade::Passed, "not told apart by these two");
    assert_eq!(grade("last", &examples), Grade::Failed { passed: 1, of: 2 });
    assert_eq!(grade("last", &examples).score(), 0.5);
    assert!(matches!(grade("maximum", &examples), Grade::CompileError(_)));
    let stopped = grade("drop 1 | max", &[example(&[1, 3], Value::Number(3)), example(&[5], Value::Number(5))]);
    assert_eq!(stopped.to_string(), "runtime error: `max` of an empty list; 1 of 2 right");
    let classes = ["maximum", "drop 1 | max", "last", "max"].map(|text| grade(text, &examples).class().number());
    assert_eq!(classes, [0, 1, 2, 3]);
    assert_eq!(ProgramClass::COUNT, 4);
}

#[test]
fn a_problem_is_graded_by_its_hidden_examples_alone() {
    let mut rng = Seed(3).stream();
    let (mut overfitted, mut drawn) = (0, 0);
    while drawn < 40 {
        let draft = draw(Shape::DEFAULT, &mut rng);
        let problem =
            Problem { key: "t/0".to_owned(), prompt: draft.prompt, answer: draft.answer, canonical: draft.canonical };
        assert_eq!(grade_problem(&problem, &problem.answer), Some(Grade::Passed));
        assert_eq!(verify(&problem, &problem.answer).class, Some(3));
        assert_eq!(verify(&problem, " no program").class, Some(0));
        assert_eq!(check_shown(&problem, &problem.answer).outcome, Outcome::Pass);
        assert_eq!(check_shown(&problem, " no program").class, Some(0));
        for wrong in ["sort", "reverse", "take 1"].iter().filter(|wrong| !problem.answer.contains(*wrong)) {
            overfitted += usize::from(grade_problem(&problem, wrong) == Some(Grade::Passed));
        }
        drawn += 1;
    }
    assert_eq!(overfitted, 0, "no one-stage program passes for another program");
    let foreign = Problem {
        key: "t/1".to_owned(),
        prompt: "Q: x\nA:".to_owned(),
        answer: " sort".to_owned(),
        canonical: String::new(),
    };
    assert_eq!((verify(&foreign, " sort").outcome, verify(&foreign, " sort").class), (Outcome::Error, None));
}

#[test]
fn the_option_says_which_numbers_are_shown_and_hidden_ones_stay() {
    let small = Shape { values: (0, 9), ..Shape::DEFAULT };
    let mut rng = Seed(5).stream();
    let task = ListTask::draw(&mut rng, small).unwrap();
    let numbers = |examples: &[Example]| examples.iter().flat_map(|example| example.input.clone()).collect::<Vec<_>>();
    assert!(numbers(&task.visible).iter().all(|number| (0..=9).contains(number)));
    assert!(numbers(&task.hidden).iter().any(|number| !(0..=9).contains(number)));
    for (values, message) in [((0, 100), "out of range"), ((3, 3), "too few numbers"), ((4, 1), "out of range")] {
        let faults = Shape { values, ..Shape::DEFAULT }.faults();
        assert!(faults.iter().any(|fault| fault.field == "values" && fault.message.contains(message)), "{faults:?}");
        assert!(ListTask::draw(&mut rng, Shape { values, ..Shape::DEFAULT }).is_none());
    }
}

#[test]
fn without_calculations_no_program_has_one() {
    let plain = Shape { calculations: false, ..Shape::DEFAULT };
    let mut rng = Seed(7).stream();
    let without: Vec<String> = (0..200).map(|_| ListTask::draw(&mut rng, plain).unwrap().program.to_string()).collect();
    let calculates = |text: &String| ["map", "sum", "filter >", "filter <"].iter().any(|word| text.contains(word));
    assert!(!without.iter().any(calculates), "{without:?}");
    for stage in ["sort", "reverse", "unique", "take", "drop", "repeat", "filter even", "max", "count", "first"] {
        assert!(without.iter().any(|text| text.contains(stage)), "{stage}");
    }
    let mut rng = Seed(7).stream();
    let with: Vec<String> =
        (0..200).map(|_| ListTask::draw(&mut rng, Shape::DEFAULT).unwrap().program.to_string()).collect();
    assert!(with.iter().filter(|text| calculates(text)).count() > 100);
}

#[test]
fn a_question_that_tells_is_checked_by_the_same_examples() {
    let told = Shape { told: true, ..Shape::DEFAULT };
    let mut rng = Seed(11).stream();
    for _ in 0..40 {
        let draft = draw(told, &mut rng);
        let words = draft.prompt.strip_prefix("Q: ").unwrap().split_once(". [").expect("words, then examples").0;
        assert!(words.starts_with(char::is_alphabetic), "{words}");
        let bare = draft.prompt.replacen(&format!("{words}. "), "", 1);
        let problem = |prompt: String| Problem {
            key: "t/0".to_owned(),
            prompt,
            answer: draft.answer.clone(),
            canonical: draft.canonical.clone(),
        };
        let (told, bare) = (problem(draft.prompt.clone()), problem(bare));
        assert_eq!(grade_problem(&told, &told.answer), Some(Grade::Passed));
        assert_eq!(check_shown(&told, &told.answer).outcome, Outcome::Pass);
        for text in ["sort", "reverse | take 1", "drop 9 | max", "no program"] {
            assert_eq!(grade_problem(&told, text), grade_problem(&bare, text), "{text}");
            assert_eq!(check_shown(&told, text), check_shown(&bare, text), "{text}");
        }
    }
}

#[test]
fn six_stages_that_only_rearrange_are_found_and_none_can_be_left_out() {
    let long = Shape { calculations: false, stages: (6, 6), length: (8, 12), ..Shape::DEFAULT };
    let task = ListTask::draw(&mut Seed(1).stream(), long).unwrap();
    assert_eq!(task.program.to_string().split(" | ").count(), 6);
}

#[test]
fn every_part_holds_the_forms_that_its_space_says() {
    let mut rng = Seed(1).stream();
    let mut parts: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let Space::Counted { forms, .. } = space() else { panic!("counted") };
    for _ in 0..200_000 {
        let canonical = draw(Shape::DEFAULT, &mut rng).canonical;
        parts
            .entry(Part::of_form(Family::ListProgram(Shape::DEFAULT), &canonical).label())
            .or_default()
            .insert(canonical);
        if parts.len() == 4 && parts.values().all(|part| part.len() as u64 >= forms) {
            return;
        }
    }
    panic!("{:?}", parts.iter().map(|(part, forms)| (*part, forms.len())).collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn tasks_hold_together(seed in 0u64..) {
        let task = ListTask::draw(&mut Seed(seed).stream(), Shape { told: seed % 2 == 0, ..Shape::default() }).unwrap();
        prop_assert_eq!((task.visible.len(), task.hidden.len()), (VISIBLE, HIDDEN));
        let text = task.program.to_string();
        prop_assert_eq!(grade(&text, &task.visible), Grade::Passed);
        prop_assert_eq!(grade(&text, &task.hidden), Grade::Passed);
        let again = ListTask { program: Program::compile(&text).unwrap(), ..task.clone() };
        prop_assert_eq!(again.canonical(), task.canonical());
    }
}

//! Lines of working by hand, and against a replay of its own.

use std::collections::BTreeSet;

use proptest::prelude::*;
use rand::RngExt;

use super::*;
use crate::seed::Seed;

fn problem(prompt: &str) -> Problem {
    Problem { key: "train/0".to_owned(), prompt: prompt.to_owned(), answer: String::new(), canonical: String::new() }
}

fn judged(prompt: &str, completion: &str) -> (Outcome, String) {
    let verdict = verify(&problem(prompt), completion);
    (verdict.outcome, verdict.reason)
}

#[test]
fn workings_are_replayed_line_by_line() {
    let prompt = "24: 3 5 9\n";
    let passes = [
        "3*5=15\n15+9=24",
        " 5 * 3 = 15 \n\n9+15=24\n",
        "9-3=6\nundo\n3*5=15\n....\n15+9=24\ncheck",
        "check\n3*5=15\n15+9=24\nundo\n9+15=24",
    ];
    for text in passes {
        assert_eq!(judged(prompt, text).0, Outcome::Pass, "{text:?}: {}", judged(prompt, text).1);
    }
    let fails = [
        ("", "3 numbers are left"),
        ("3*5=15", "2 numbers are left"),
        ("3*5=15\n15-9=6", "the working ends at 6, not 24"),
        ("3*5=16\n16+8=24", "line 1: 3 * 5 is 15, not 16"),
        ("3*5=15\nundo\n15+9=24", "line 3: 15 is not among 3, 5, 9"),
        ("3-5=-2", "line 1: a line is"),
        ("3-5=0", "line 1: 3 - 5 gives no whole number"),
        ("9/5=1", "line 1: 9 / 5 gives no whole number"),
        ("undo\n3*5=15\n15+9=24", "line 1: there is no operation to undo"),
        ("3*5=15\n15+9=24\nundo\nundo\nundo", "line 5: there is no operation to undo"),
        ("3*5\n15+9=24", "line 1: a line is"),
        ("24", "line 1: a line is"),
        ("3*5=15\n15+9=24\ndone", "line 3: a line is"),
    ];
    for (text, reason) in fails {
        let (outcome, found) = judged(prompt, text);
        assert!(outcome == Outcome::Fail && found.contains(reason), "{text:?}: {found}");
    }
    assert_eq!(judged("24 from 3", "3*5=15").0, Outcome::Error);
}

#[test]
fn what_a_prompt_has_begun_stands_until_it_is_undone() {
    let prompt = "24: 3 5 9\n9-3=6\n";
    assert_eq!(judged(prompt, "undo\n3*5=15\n15+9=24").0, Outcome::Pass);
    assert_eq!(judged(prompt, "3*5=15\n15+9=24").1, "line 1: 3 is not among 5, 6");
    assert_eq!(judged(prompt, "6*5=30").1, "the working ends at 30, not 24");
}

#[test]
fn a_reading_is_what_stands() {
    assert_eq!(read("9 - 3 = 6\nundo\n...\n3*5=15\n\n15+9=24\ncheck\n"), Some("3*5=15\n15+9=24".to_owned()));
    assert_eq!(read("undo\n3*5=15"), Some("undo\n3*5=15".to_owned()));
    assert_eq!(read("..\ncheck\n1+1=2\nundo"), None);
}

/// Every working of the numbers without a detour, and whether it ends at the target: by trying all.
fn all_workings(pool: &[i64], target: i64) -> Vec<(String, bool)> {
    if let [only] = pool {
        return vec![(String::new(), *only == target)];
    }
    let mut all = Vec::new();
    for i in 0..pool.len() {
        for j in (0..pool.len()).filter(|j| *j != i) {
            let (a, b) = (pool[i], pool[j]);
            let results = [
                ('+', Some(a + b)),
                ('-', Some(a - b)),
                ('*', Some(a * b)),
                ('/', (b != 0 && a % b == 0).then(|| a / b)),
            ];
            for (sign, result) in
                results.into_iter().filter_map(|(sign, result)| Some((sign, result.filter(|r| *r >= 0)?)))
            {
                let mut left: Vec<i64> = (0..pool.len()).filter(|at| *at != i && *at != j).map(|at| pool[at]).collect();
                left.push(result);
                all.extend(
                    all_workings(&left, target)
                        .into_iter()
                        .map(|(rest, right)| (format!("{a}{sign}{b}={result}\n{rest}"), right)),
                );
            }
        }
    }
    all
}

#[test]
fn the_checker_and_the_solver_agree_with_trying_everything() {
    for (target, numbers) in
        [(24, vec![3, 5, 9]), (50, vec![1, 1, 1]), (6, vec![2, 2, 2]), (10, vec![10, 1, 1]), (7, vec![3, 4])]
    {
        let listed: Vec<String> = numbers.iter().map(i64::to_string).collect();
        let prompt = format!("{target}: {}\n", listed.join(" "));
        let workings = all_workings(&numbers, target);
        for (text, right) in &workings {
            let (outcome, reason) = judged(&prompt, text);
            assert_eq!(outcome == Outcome::Pass, *right, "{prompt}{text}{reason}");
        }
        let (instance, _) = of_prompt(&prompt).unwrap();
        assert_eq!(instance.solve().is_some(), workings.iter().any(|(_, right)| *right), "{prompt}");
    }
}

fn shapes() -> impl Strategy<Value = Shape> {
    (2u32..=5, 0u32..=3, 3u32..=200, 10u32..=500, any::<bool>()).prop_map(|(least, more, largest, target, products)| {
        Shape { count: (least, (least + more).min(5)), largest, target, products }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn detours_that_are_taken_back_change_nothing(seed in 0u64.., shape in shapes()) {
        let mut rng = Seed(seed).stream();
        let draft = draw(&mut rng, shape);
        let (instance, working) = of_prompt(&draft.prompt).unwrap();
        prop_assert_eq!(working.pool(), &instance.numbers);
        prop_assert_eq!(instance.canonical(), draft.canonical);
        let mut text = String::new();
        let mut working = Working::new(instance.numbers);
        for right in draft.answer.lines() {
            for _ in 0..rng.random_range(0..3) {
                let moves: Vec<Step> = super::super::countdown::moves(working.pool()).into_iter().collect();
                text += &format!("{}\ncheck\n..\nundo\n", line(moves[rng.random_range(0..moves.len())]));
            }
            text += &format!("{right}\n");
            working.line(right).unwrap();
        }
        prop_assert_eq!(judged(&draft.prompt, &text).0, Outcome::Pass, "{}", text);
        prop_assert_eq!(read(&text), Some(draft.answer.clone()));
        prop_assert_eq!(steps_of(&draft.answer).into_iter().map(line).collect::<Vec<_>>().join("\n"), draft.answer.clone());
        let most = longest(shape);
        prop_assert!(draft.prompt.len() <= most.prompt as usize && draft.answer.len() <= most.direct as usize);
    }

    #[test]
    fn no_text_breaks_the_checker(text in "[-+*/=0-9 undochek.é\n]{0,40}") {
        let _verdict = (judged("24: 3 5 9\n", &text), read(&text));
    }
}

#[test]
fn different_problems_are_drawn() {
    let drawn: BTreeSet<String> = (0..50).map(|seed| draw(&mut Seed(seed).stream(), Shape::DEFAULT).prompt).collect();
    assert!(drawn.len() > 45);
}

#[test]
fn a_part_of_a_working_is_checked_for_what_can_be_done_alone() {
    let checked = |text: &str| check(&problem("24: 3 5 9\n"), text).outcome;
    for fine in ["", "9-3=6\n", "9-3=6\n6*5=30\n", "9-3=6\nundo\n"] {
        assert_eq!(checked(fine), Outcome::Pass, "{fine:?}: nothing is asked of where it leads");
    }
    for impossible in ["9-3=5\n", "9-4=5\n", "undo\n", "3*5=15\n3+9=12\n"] {
        assert_eq!(checked(impossible), Outcome::Fail, "{impossible:?}");
    }
}

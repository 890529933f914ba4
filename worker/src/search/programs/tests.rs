//! Critic sampling by hand: steps end with `;`, answers with `.`.

use super::super::strategy::Written;
use super::*;
use crate::engine::mock::CharacterCodec;

fn search(rest: &str) -> Programs {
    let search: CriticSampling = serde_json::from_str(&format!(
        r#"{{"propose": {{"n": 2}}, "tests": {{"unit_tests": {{"examples": 1}}}}, "critic": {{"value": "critic"}}, {rest}}}"#
    ))
    .unwrap();
    let ends = |tokens: &[u32]| {
        let ends = tokens.iter().enumerate().filter(|(_, token)| **token == u32::from(';'));
        ends.map(|(at, _)| at + 1).chain([tokens.len()]).collect()
    };
    Programs::new(search, Arc::new(Sampling::at(1.0)), (Arc::new(CharacterCodec), Arc::new(ends)), Seed(1))
}

fn drawn(texts: &[&str]) -> Answer {
    let drawn = |text: &&str| {
        let tokens: Vec<u32> = text.chars().map(u32::from).collect();
        Drawn { log_probs: vec![-0.5; tokens.len()], tokens, text: (*text).to_owned(), answered: true }
    };
    Answer::Drawn(texts.iter().map(drawn).collect())
}

fn pass() -> Answer {
    Answer::Judged(Verdict::pass("").scored(1.0))
}

fn fail(why: &str) -> Answer {
    Answer::Judged(Verdict::fail(why).scored(0.0))
}

fn score(score: f32) -> Answer {
    Answer::Judged(Verdict::pass("").scored(score))
}

/// Who is asked about what, and whether as a whole.
fn asked(wants: &[Want]) -> Vec<(&'static str, String, bool)> {
    let of = |want: &Want| match want {
        Want::Judge(question) => (question.verifier.name(), question.path.answer.clone(), question.answered),
        other => panic!("{other:?}"),
    };
    wants.iter().map(of).collect()
}

fn found(search: &Programs) -> Vec<String> {
    search.found().into_iter().map(|node| search.tree().path(node).answer).collect()
}

#[test]
fn what_passes_is_cut_where_the_critic_says_and_gone_on_from() {
    let mut search = search(r#""refine": {"seeds": 1, "n": 2}"#);
    let wants = search.next(Vec::new()).unwrap();
    let [Want::Draw(first)] = wants.as_slice() else { panic!("{wants:?}") };
    assert_eq!((first.samples, first.seed, first.behind.len()), (2, Seed(1), 0));
    let wants = search.next(vec![drawn(&["a;b;c.", "d;e."])]).unwrap();
    let tests = |text: &str| ("unit_tests", text.to_owned(), true);
    assert_eq!(asked(&wants), [tests("a;b;c."), tests("d;e.")]);
    assert!(found(&search).is_empty(), "nothing is tested yet");
    let wants = search.next(vec![pass(), fail("failed")]).unwrap();
    assert_eq!(asked(&wants), [("value", "a;".to_owned(), false), ("value", "a;b;".to_owned(), false)]);
    assert_eq!(found(&search), ["a;b;c."]);
    let wants = search.next(vec![score(0.3), score(0.8)]).unwrap();
    let [Want::Draw(again)] = wants.as_slice() else { panic!("{wants:?}") };
    assert_eq!((again.samples, again.behind.clone()), (2, "a;b;".chars().map(u32::from).collect()));
    let wants = search.next(vec![drawn(&["x.", "y."])]).unwrap();
    assert_eq!(asked(&wants), [tests("a;b;x."), tests("a;b;y.")]);
    let wants = search.next(vec![pass(), fail("failed")]).unwrap();
    let whole = |text: &str| ("value", text.to_owned(), true);
    assert_eq!(asked(&wants), [whole("a;b;c."), whole("a;b;x.")], "of those that pass one is the answer");
    assert!(search.next(vec![score(0.2), score(0.9)]).unwrap().is_empty());
    assert_eq!(found(&search), ["a;b;x."]);
    let path = search.tree().path(search.found()[0]);
    assert_eq!((path.spent(), path.nodes.len()), (6, 2), "the policy wrote both parts");
    assert!(search.next(Vec::new()).unwrap().is_empty());
}

#[test]
fn where_nothing_passes_the_best_failures_are_repaired_by_who_reads_what_went_wrong() {
    let mut search =
        search(r#""repair": {"programs": 1, "n": 2, "write": {"role": "fixer", "ask": "{answer}{error}"}}"#);
    search.next(Vec::new()).unwrap();
    search.next(vec![drawn(&["a.", "b."])]).unwrap();
    let wants = search.next(vec![fail("compile error"), fail("runtime error: x")]).unwrap();
    assert_eq!(asked(&wants).len(), 2);
    let wants = search.next(vec![score(0.1), score(0.6)]).unwrap();
    let shown = |want: &Want| match want {
        Want::Write(asked) => (asked.what, asked.shown[&Blank::Answer].clone(), asked.shown[&Blank::Error].clone()),
        other => panic!("{other:?}"),
    };
    let repair = ("repair", "b.".to_owned(), "runtime error: x".to_owned());
    assert_eq!(wants.iter().map(shown).collect::<Vec<_>>(), [repair.clone(), repair]);
    let seeds: Vec<_> = wants.iter().map(|want| matches!(want, Want::Write(asked) if asked.seed == Seed(1))).collect();
    assert_eq!(seeds, [false, false]);
    let lost = Answer::Written(Err(Verdict::new(Outcome::Error, "too long")));
    let made = Answer::Written(Ok(Written { text: "c.".to_owned(), cost: 7 }));
    let wants = search.next(vec![lost, made]).unwrap();
    assert_eq!(asked(&wants), [("unit_tests", "c.".to_owned(), true)]);
    assert!(search.next(vec![pass()]).unwrap().is_empty(), "a single one that passes is the answer");
    assert_eq!(found(&search), ["c."]);
    assert_eq!(search.tree().path(search.found()[0]).spent(), 0, "the policy did not write it");
}

#[test]
fn what_is_not_known_is_neither_repaired_nor_preferred() {
    let mut search =
        search(r#""repair": {"programs": 2, "write": {"ask": "{answer}"}}, "refine": {"seeds": 1, "n": 1}"#);
    search.next(Vec::new()).unwrap();
    search.next(vec![drawn(&["a.", "b."])]).unwrap();
    let late = Answer::Judged(Verdict::new(Outcome::Timeout, "late"));
    let wants = search.next(vec![late, fail("failed")]).unwrap();
    assert_eq!(asked(&wants), [("value", "b.".to_owned(), true)], "a timeout is no failure");
    let wants = search.next(vec![Answer::Judged(Verdict::new(Outcome::Error, "gone"))]).unwrap();
    assert_eq!(wants.len(), 1, "without a score it is the last, and there is no other");
    let lost = Answer::Written(Err(Verdict::new(Outcome::Error, "too long")));
    assert!(search.next(vec![lost]).unwrap().is_empty());
    assert_eq!(found(&search), ["b."]);
}

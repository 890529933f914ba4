//! Choices by hand among two answers: `a.` with Q 0.5, `b.` with Q 0.25.

use galapagos_domain::job::Sampling;
use galapagos_domain::recipe::search::{Extract, Mcts};
use galapagos_domain::trajectory::Verdict;

use super::super::strategy::{Drawn, Written};
use super::*;

/// Grown to its end; what it wants then.
fn grown(by: &str) -> (Discriminated, Vec<Want>) {
    let search: Mcts = serde_json::from_str(&format!(
        r#"{{"propose": {{"n": 2, "unit": "line"}}, "budget": {{"nodes": 2, "depth": 1}},
            "evaluate": [{{"verifier": {{"prm": "critic"}}}}], "extract": {{"discriminate": {{"by": {by}}}}}}}"#
    ))
    .unwrap();
    let Extract::Discriminate(choice) = search.extract.clone() else { panic!() };
    let growth = Growth::mcts(&search, Arc::new(Sampling::at(1.0)), Seed(1));
    let mut search = Discriminated::new(growth, choice, false, Seed(1));
    search.next(Vec::new()).unwrap();
    let drawn = |text: &str| {
        let tokens: Vec<u32> = text.chars().map(u32::from).collect();
        Drawn { log_probs: vec![-0.5; tokens.len()], tokens, text: text.to_owned(), answered: true }
    };
    search.next(vec![Answer::Drawn(vec![drawn("a."), drawn("b.")])]).unwrap();
    let wants = search.next([0.5, 0.25].map(score).to_vec()).unwrap();
    (search, wants)
}

fn score(score: f32) -> Answer {
    Answer::Judged(Verdict::pass("").scored(score).by("orm/1"))
}

fn written(text: &str) -> Answer {
    Answer::Written(Ok(Written { text: text.to_owned(), cost: 4 }))
}

fn found(search: &Discriminated) -> Vec<String> {
    search.found().into_iter().map(|node| search.tree().path(node).answer).collect()
}

fn votes(search: &Discriminated) -> Vec<f32> {
    let of = |node: &NodeId| search.tree()[*node].scores.iter().find(|score| score.by == "discriminate/1");
    search.candidates.iter().filter_map(of).map(|score| score.value).collect()
}

#[test]
fn a_verifier_overrules_the_tree_and_its_errors_do_not() {
    let by = r#"{"verifier": {"orm": "critic"}}"#;
    let (mut search, wants) = grown(by);
    assert_eq!((wants.len(), found(&search)), (2, vec!["a.".to_owned()]), "until then the highest Q");
    assert!(search.is_settled() && search.committed().is_none());
    assert!(search.next(vec![score(0.1), score(0.9)]).unwrap().is_empty());
    assert_eq!((found(&search), votes(&search)), (vec!["b.".to_owned()], vec![0.1, 0.9]));
    let (mut same, _) = grown(by);
    same.next(vec![score(0.4), score(0.4)]).unwrap();
    assert_eq!(found(&same), ["a."]);
    let (mut lost, _) = grown(by);
    let error = || Answer::Judged(Verdict::new(Outcome::Error, "gone"));
    lost.next(vec![error(), score(0.0)]).unwrap();
    assert_eq!(found(&lost), ["b."], "an error is no score");
    let (mut all, _) = grown(by);
    all.next(vec![error(), error()]).unwrap();
    assert_eq!(found(&all), ["a."]);
}

#[test]
fn agents_read_all_answers_and_each_other_and_vote() {
    let by = r#"{"argue": {"agents": 3, "rounds": 2, "write": {"ask": "{prompt}{solutions}{others}"}}}"#;
    let (mut search, wants) = grown(by);
    let shown = |wants: &[Want]| -> Vec<String> {
        let others = |want: &Want| match want {
            Want::Write(asked) => asked.shown[&Blank::Others].clone(),
            other => panic!("{other:?}"),
        };
        wants.iter().map(others).collect()
    };
    assert_eq!(shown(&wants), ["", "", ""]);
    let Want::Write(asked) = &wants[0] else { panic!() };
    let listed =
        "Solution 1:\n<answer-to-judge>a.</answer-to-judge>\nSolution 2:\n<answer-to-judge>b.</answer-to-judge>\n";
    assert_eq!(asked.shown[&Blank::Solutions], listed);
    let error = Answer::Written(Err(Verdict::new(Outcome::Error, "gone")));
    let wants = search.next(vec![written("one"), error, written("three")]).unwrap();
    assert_eq!(shown(&wants), ["Agent 3:\nthree\n", "Agent 1:\none\nAgent 3:\nthree\n", "Agent 1:\none\n"]);
    let said = ["I say\nChoice: 2", "**choice: 2**", "choice: 1"].map(written);
    assert!(search.next(said.to_vec()).unwrap().is_empty());
    assert_eq!((found(&search), votes(&search)), (vec!["b.".to_owned()], vec![1.0, 2.0]));

    let vote = |said: [&str; 3]| {
        let (mut search, _) = grown(by);
        search.next(["", "", ""].map(written).to_vec()).unwrap();
        search.next(said.map(written).to_vec()).unwrap();
        found(&search)
    };
    assert_eq!(vote(["choice: 1", "choice: 2", "choice: 3"]), ["a."], "a tie, and a solution that is not there");
    assert_eq!(vote(["", "I cannot say", "choice: b"]), ["a."], "nobody voted");
}

#[test]
fn a_conclusion_decides_where_one_is_asked_for() {
    let by =
        r#"{"argue": {"agents": 1, "rounds": 1, "write": {"ask": "{solutions}"}, "conclude": {"ask": "{others}"}}}"#;
    let (mut search, _) = grown(by);
    let wants = search.next(vec![written("choice: 1")]).unwrap();
    let [Want::Write(asked)] = wants.as_slice() else { panic!("{wants:?}") };
    assert_eq!((asked.write.ask.as_str(), asked.shown[&Blank::Others].as_str()), ("{others}", "Agent 1:\nchoice: 1\n"));
    assert!(search.next(vec![written("choice: 2")]).unwrap().is_empty());
    assert_eq!(found(&search), ["b."]);
}

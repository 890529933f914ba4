//! Advice by hand: what is listed, what is asked, what the policy reads, and what stays of it.

use galapagos_domain::job::Sampling;
use galapagos_domain::recipe::search::Mcts;
use galapagos_domain::seed::Seed;
use galapagos_domain::trajectory::{Outcome, Verdict};

use super::*;
use crate::engine::mock::CharacterCodec;
use crate::search::strategy::{Drawn, Strategy, Written};

fn grow(feedback: &str) -> Growth {
    let search: Mcts = serde_json::from_str(&format!(
        r#"{{"propose": {{"n": 1, "unit": "line"}}, "width": {{"up_to": 2}}, "budget": {{"nodes": 2, "depth": 1}},
            "evaluate": [{{"verifier": {{"prm": "critic"}}, "when": "every"}}], "feedback": {feedback}}}"#
    ))
    .unwrap();
    let advice = Advice::new(search.feedback.as_ref().unwrap(), Arc::new(CharacterCodec), "").unwrap();
    Growth::mcts(&search, Arc::new(Sampling::at(1.0)), Seed(1)).advised_by(advice)
}

fn drawn(step: &str) -> Vec<Answer> {
    let tokens: Vec<u32> = step.chars().map(u32::from).collect();
    let log_probs = vec![-0.5; tokens.len()];
    vec![Answer::Drawn(vec![Drawn { tokens, log_probs, text: step.to_owned(), answered: false }])]
}

fn worth(score: f32) -> Vec<Answer> {
    vec![Answer::Judged(Verdict::pass("").scored(score).by("prm/1"))]
}

fn behind(wants: &[Want]) -> String {
    let [Want::Draw(draw)] = wants else { panic!("{wants:?}") };
    draw.behind.iter().filter_map(|token| char::from_u32(*token)).collect()
}

#[test]
fn the_second_child_is_drawn_behind_what_came_of_the_first() {
    let mut growth = grow(r#"{"each": "{step}={value};", "show": "[{siblings}]"}"#);
    assert_eq!(behind(&growth.next(Vec::new()).unwrap()), "", "the first has no siblings");
    growth.next(drawn("b")).unwrap();
    let wants = growth.next(worth(0.25)).unwrap();
    assert_eq!(behind(&wants), "[b=0.25;]");
    assert!(growth.committed().is_some(), "a list can be made again");
    growth.next(drawn("c")).unwrap();
    assert!(growth.next(worth(0.5)).unwrap().is_empty());
    let guided: Vec<_> =
        growth.tree().iter().map(|(_, node)| node.guidance.as_ref().map(|g| g.text.as_str())).collect();
    assert_eq!(guided, [None, None, Some("[b=0.25;]")]);
    let path = growth.tree().path(NodeId(2));
    assert_eq!((path.text.as_str(), path.answer.as_str(), path.spent()), ("[b=0.25;]c", "c", 1));
    assert_eq!(growth.before.spent.tokens, 2, "a list costs nothing");
}

#[test]
fn advice_is_written_by_somebody_who_reads_the_list_and_its_tokens_count() {
    let feedback =
        r#"{"each": "{step}={value};", "show": "({advice})", "write": {"ask": "{siblings}?", "max_tokens": 9}}"#;
    let mut growth = grow(feedback);
    growth.next(Vec::new()).unwrap();
    growth.next(drawn("b")).unwrap();
    let wants = growth.next(worth(0.25)).unwrap();
    let [Want::Write(asked)] = wants.as_slice() else { panic!("{wants:?}") };
    assert_eq!((asked.what, asked.write.ask.as_str()), ("feedback", "{siblings}?"));
    let shown = [(Blank::Answer, String::new()), (Blank::Siblings, "b=0.25;".to_owned())];
    assert_eq!(asked.shown, BTreeMap::from(shown));

    let (tree, standing) = growth.committed().unwrap();
    let mut elsewhere = grow(feedback);
    elsewhere.resume(tree, standing);
    assert_eq!(elsewhere.next(Vec::new()).unwrap(), wants, "another attempt asks the same");

    let written = |text: &str| vec![Answer::Written(Ok(Written { text: text.to_owned(), cost: 3 }))];
    assert_eq!(behind(&growth.next(written("not b")).unwrap()), "(not b)");
    assert!(growth.committed().is_none(), "what was written is not kept");
    growth.next(drawn("c")).unwrap();
    growth.next(worth(0.5)).unwrap();
    assert_eq!(growth.before.spent.tokens, 1 + 3 + 1);

    let lost = Answer::Written(Err(Verdict::new(Outcome::Error, "too long")));
    assert_eq!(behind(&elsewhere.next(vec![lost]).unwrap()), "", "without advice it goes on as it was");
}

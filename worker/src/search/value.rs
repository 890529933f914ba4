//! What evaluators say of new nodes, and what that is worth. A verdict that says nothing about a step gives it no value at all: an
//! error is never a zero.

use galapagos_domain::recipe::search::{Evaluate, Reach, When};
use galapagos_domain::trajectory::{Outcome, Score, Verdict};

use super::tree::{End, NodeId, Tree};

/// Whether `evaluate` is asked about the node.
#[must_use]
pub fn applies(evaluate: &Evaluate, tree: &Tree, node: NodeId) -> bool {
    let node = &tree[node];
    if node.closed || !node.piece.part.is_sampled() {
        return false;
    }
    match (evaluate.when, node.end) {
        (_, Some(End::Killed | End::Empty | End::Failed)) => false,
        (When::Terminal, end) => end == Some(End::Answered),
        (When::Every, _) => true,
        (When::Leaf, end) => end != Some(End::Answered),
    }
}

/// What a verdict is worth; `None` if it says nothing, or only serves to end paths.
#[must_use]
pub fn worth(evaluate: &Evaluate, verdict: &Verdict) -> Option<f64> {
    if !verdict.outcome.is_decided() {
        return None;
    }
    let plain = match (evaluate.map, verdict.score, verdict.outcome) {
        (Some(map), _, Outcome::Pass) => map.pass,
        (Some(map), _, _) => map.fail,
        (None, _, _) if evaluate.kill_after.is_some() => return None,
        (None, Some(score), _) => f64::from(score),
        (None, None, Outcome::Pass) => 1.0,
        (None, None, _) => 0.0,
    };
    Some(plain * evaluate.weight)
}

/// What the evaluators gave a new node so far.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Given {
    /// The sum of what goes up to the root.
    pub propagated: Option<f64>,
    /// The sum of what stays.
    pub local: Option<f64>,
}

impl Given {
    /// Both together.
    #[must_use]
    pub fn all(self) -> Option<f64> {
        match (self.propagated, self.local) {
            (None, None) => None,
            (a, b) => Some(a.unwrap_or(0.0) + b.unwrap_or(0.0)),
        }
    }
}

/// Writes a verdict into its node: score, decision, errors in a row, and the end of a path that has too many of them.
pub fn take(tree: &mut Tree, node: NodeId, evaluate: &Evaluate, verdict: Verdict, given: &mut Given) {
    if let Some(worth) = worth(evaluate, &verdict) {
        let sum = match evaluate.backup {
            Reach::Propagated => &mut given.propagated,
            Reach::Local => &mut given.local,
        };
        *sum = Some(sum.unwrap_or(0.0) + worth);
    }
    let node = &mut tree[node];
    if let Some(score) = verdict.score {
        node.scores.push(Score { by: verdict.verifier.clone(), value: score });
    }
    if let Some(limit) = evaluate.kill_after {
        match verdict.outcome {
            Outcome::Pass => node.errors = 0,
            Outcome::Fail => node.errors += 1,
            Outcome::Error | Outcome::Timeout | Outcome::Suspect => {}
        }
        if node.errors >= limit {
            node.end = Some(End::Killed);
        }
    }
    // Only what checks answers says that one is right; whatever did not pass before stands.
    let decides = match node.end {
        Some(End::Answered) => evaluate.verifier.checks_answers(),
        Some(End::Killed) => evaluate.verifier.decides(),
        Some(End::Cut | End::Empty | End::Failed) | None => false,
    };
    if decides && node.verdict.as_ref().is_none_or(|before| before.outcome == Outcome::Pass) {
        node.verdict = Some(verdict);
    }
}

#[cfg(test)]
mod tests {
    use galapagos_domain::recipe::search::Worth;
    use galapagos_domain::recipe::verify::Verifier;

    use super::super::tree::tests::step;
    use super::*;

    fn rule() -> Evaluate {
        Evaluate::terminal(Verifier::Rule)
    }

    #[test]
    fn a_verdict_is_worth_what_the_recipe_says_and_an_error_nothing() {
        let mapped = Evaluate { map: Some(Worth { pass: 1.0, fail: -1.0 }), ..rule() };
        assert_eq!(worth(&mapped, &Verdict::fail("")), Some(-1.0));
        assert_eq!(worth(&rule(), &Verdict::fail("")), Some(0.0));
        assert_eq!(worth(&rule(), &Verdict::fail("").scored(0.3)).map(|v| (v * 10.0).round()), Some(3.0));
        assert_eq!(worth(&Evaluate { weight: 0.5, ..rule() }, &Verdict::pass("")), Some(0.5));
        assert_eq!(worth(&Evaluate { kill_after: Some(1), ..rule() }, &Verdict::pass("")), None);
        for outcome in [Outcome::Error, Outcome::Timeout, Outcome::Suspect] {
            assert_eq!(worth(&mapped, &Verdict::new(outcome, "").scored(0.9)), None, "{outcome:?}");
        }
    }

    #[test]
    fn so_many_refused_steps_in_a_row_end_a_path() {
        let executor = Evaluate { when: When::Every, kill_after: Some(2), ..rule() };
        let mut tree = Tree::default();
        let mut at = NodeId::ROOT;
        let mut given = Given::default();
        let verdicts = [Verdict::fail("1"), Verdict::pass("2"), Verdict::fail("3"), Verdict::new(Outcome::Error, "4")];
        for (place, verdict) in verdicts.into_iter().enumerate() {
            at = tree.add(at, step("s"), 1);
            take(&mut tree, at, &executor, verdict, &mut given);
            assert_eq!(tree[at].end, None, "step {place}");
        }
        assert_eq!(tree[at].errors, 1, "an error of the verifier is none of the step");
        at = tree.add(at, step("s"), 1);
        take(&mut tree, at, &executor, Verdict::fail("5"), &mut given);
        assert_eq!((tree[at].end, given), (Some(End::Killed), Given::default()));
        assert!(!applies(&rule(), &tree, at), "a killed path is not asked for its answer");
    }

    #[test]
    fn an_answer_is_right_if_all_that_check_answers_pass_it() {
        let executor = Evaluate::terminal(serde_json::from_str(r#"{"step_executor": {}}"#).unwrap());
        let exact = Evaluate::terminal(serde_json::from_str(r#"{"exact": {}}"#).unwrap());
        let judged = |said: &[(&Evaluate, Verdict)]| {
            let mut tree = Tree::default();
            let node = tree.add(NodeId::ROOT, step("4"), 1);
            tree[node].end = Some(End::Answered);
            for (evaluate, verdict) in said {
                take(&mut tree, node, evaluate, verdict.clone(), &mut Given::default());
            }
            tree[node].verdict.clone().map(|verdict| verdict.outcome)
        };
        let rule = rule();
        assert_eq!(judged(&[(&executor, Verdict::pass(""))]), None, "code that runs is not yet right");
        assert_eq!(judged(&[(&rule, Verdict::fail("")), (&executor, Verdict::pass(""))]), Some(Outcome::Fail));
        assert_eq!(judged(&[(&rule, Verdict::pass("")), (&exact, Verdict::fail(""))]), Some(Outcome::Fail));
        assert_eq!(judged(&[(&rule, Verdict::fail("")), (&exact, Verdict::pass(""))]), Some(Outcome::Fail));
        assert_eq!(judged(&[(&rule, Verdict::pass("")), (&exact, Verdict::pass(""))]), Some(Outcome::Pass));
    }

    #[test]
    fn evaluators_are_asked_where_they_are_to_be() {
        let mut tree = Tree::default();
        let (open, answered) = (tree.add(NodeId::ROOT, step("a"), 1), tree.add(NodeId::ROOT, step("b"), 1));
        tree[answered].end = Some(End::Answered);
        let asked = |when| {
            let evaluate = Evaluate { when, ..rule() };
            (applies(&evaluate, &tree, open), applies(&evaluate, &tree, answered))
        };
        assert_eq!(asked(When::Terminal), (false, true));
        assert_eq!(asked(When::Every), (true, true));
        assert_eq!(asked(When::Leaf), (true, false));
    }
}

//! Answers of several turns that are all judged: when the chains are written, the task's rule is asked about each answer, and the value
//! of its turn is what it gives. What is found does not depend on it.

use std::sync::Arc;

use galapagos_domain::recipe::search::Evaluate;
use galapagos_domain::recipe::verify::Verifier;
use galapagos_domain::seed::Seed;

use super::strategy::{Answer, Question, Several, Strategy, Want, verdicts};
use super::tree::{NodeId, Part, Tree};
use super::value::worth;
use crate::engine::EngineError;

/// See the head of this file.
pub struct Judged {
    chains: Box<dyn Several>,
    rule: Evaluate,
    seed: Seed,
    /// The answers that are judged, in order; `None` while they are written.
    asked: Option<Vec<NodeId>>,
}

impl std::fmt::Debug for Judged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Judged").field("tree", self.chains.tree()).field("asked", &self.asked).finish_non_exhaustive()
    }
}

impl Judged {
    /// The answers of `chains`.
    #[must_use]
    pub(super) fn new(chains: impl Several + 'static, seed: Seed) -> Self {
        Self { chains: Box::new(chains), rule: Evaluate::terminal(Verifier::Rule), seed, asked: None }
    }

    fn ask(&mut self) -> Vec<Want> {
        let tree = self.chains.tree();
        let answers: Vec<NodeId> =
            tree.iter().filter(|(_, node)| node.piece.part == Part::Step).map(|(id, _)| id).collect();
        let verifier = Arc::new(self.rule.verifier.clone());
        let question = |node: &NodeId| {
            let seed = self.seed.derive(&format!("turn/{}", node.0));
            Want::Judge(Question { verifier: Arc::clone(&verifier), path: tree.path(*node), answered: true, seed })
        };
        let wants = answers.iter().map(question).collect();
        self.asked = Some(answers);
        wants
    }

    fn judged(&mut self, asked: &[NodeId], answers: Vec<Answer>) {
        for (node, verdict) in asked.iter().zip(verdicts(answers)) {
            let of = &mut self.chains.tree_mut()[*node];
            of.own = verdict.as_ref().and_then(|verdict| worth(&self.rule, verdict));
            of.verdict = verdict;
        }
    }
}

impl Strategy for Judged {
    fn next(&mut self, answers: Vec<Answer>) -> Result<Vec<Want>, EngineError> {
        match self.asked.take() {
            None => {
                let wants = self.chains.next(answers)?;
                Ok(if wants.is_empty() { self.ask() } else { wants })
            }
            Some(asked) => {
                self.judged(&asked, answers);
                self.asked = Some(Vec::new());
                Ok(Vec::new())
            }
        }
    }

    fn tree(&self) -> &Tree {
        self.chains.tree()
    }

    fn found(&self) -> Vec<NodeId> {
        self.chains.found()
    }
}

#[cfg(test)]
mod tests {
    use galapagos_domain::job::Sampling;
    use galapagos_domain::trajectory::{Outcome, Verdict};

    use super::super::chains::{Chains, Text};
    use super::super::scripts::Turns;
    use super::super::strategy::Drawn;
    use super::*;

    fn drawn(said: &str) -> Drawn {
        Drawn { tokens: vec![1], log_probs: vec![-1.0], text: said.to_owned(), answered: true }
    }

    #[test]
    fn each_answer_is_judged_by_itself_and_an_error_is_no_zero() {
        let instruction = Text { text: "|again:".to_owned(), tokens: vec![9] };
        let script = Turns { turns: 2, instruction, max_tokens: None };
        let chains = Chains::new(Box::new(script), 2, Arc::new(Sampling::at(1.0)), Seed(1));
        let mut judged = Judged::new(chains, Seed(1));
        assert_eq!(judged.next(Vec::new()).unwrap().len(), 1);
        judged.next(vec![Answer::Drawn(vec![drawn("a"), drawn("b")])]).unwrap();
        let asked = judged.next(vec![Answer::Drawn(vec![drawn("c")]), Answer::Drawn(vec![drawn("d")])]).unwrap();
        let answers: Vec<_> = asked
            .iter()
            .map(|want| match want {
                Want::Judge(question) => question.path.answer.as_str(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(answers, ["a", "b", "c", "d"]);
        let said =
            [Verdict::pass(""), Verdict::new(Outcome::Timeout, ""), Verdict::fail("").scored(0.25), Verdict::fail("")];
        assert!(judged.next(said.map(Answer::Judged).to_vec()).unwrap().is_empty());
        assert!(judged.next(Vec::new()).unwrap().is_empty(), "it is asked once");
        let values =
            |end: NodeId| judged.tree().path(end).nodes.iter().map(|at| judged.tree()[*at].own).collect::<Vec<_>>();
        let [first, second] = judged.found()[..] else { panic!() };
        assert_eq!(values(first), [Some(1.0), None, Some(0.25)]);
        assert_eq!(values(second), [None, None, Some(0.0)]);
    }
}

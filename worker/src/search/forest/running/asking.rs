//! What searches and verifiers want, sent to whoever can answer it: the engine, the threads of checks, or nobody if it is known.

use std::sync::Arc;

use galapagos_domain::recipe::search::Unit;
use galapagos_domain::recipe::verify::Verifier;
use galapagos_domain::trajectory::{Outcome, Verdict};
use galapagos_domain::tree::TreeTurn;

use super::hearing::Hearing;
use super::slot::Judging;
use super::{Pending, Purpose, Running};
use crate::engine::CheckpointDir;
use crate::engine::stream::{Asked, Continue, Stop, Wanted};
use crate::search::canaries::{Canary, plan};
use crate::search::checker;
use crate::search::forest::ForestError;
use crate::search::forest::inquiry::Place;
use crate::search::referee::{Check, Need};
use crate::search::strategy::{Answer, Draw, Question, Want};
use crate::search::tree::Path;

impl Running<'_> {
    /// Asks what said nothing by chance once more.
    pub(super) fn ask_again(&mut self) -> Result<(), ForestError> {
        while let Some((task, to, question)) = self.again.pop_front() {
            let slot = &mut self.slots[task];
            match slot.judging {
                Some(_) => self.retried += 1,
                None => slot.heard.hear_again(question.verifier.name()),
            }
            self.question(task, to, question)?;
        }
        Ok(())
    }

    /// What the recipe's verifiers are asked about everything that a search left, and about known answers.
    pub(super) fn judge(&mut self, task: usize) -> Result<Vec<Want>, ForestError> {
        let strategy = &self.slots[task].strategy;
        let (found, tree) = (strategy.found(), strategy.tree());
        let seed = self.forest.tasks.items[task].seed;
        let mut wants = Vec::new();
        for node in &found {
            for (place, verifier) in self.examinees.verify().iter().enumerate() {
                let seed = seed.derive(&format!("verify/{place}/{}", node.0));
                let (verifier, path) = (Arc::clone(verifier), tree.path(*node));
                wants.push(Want::Judge(Question { verifier, path, answered: true, seed }));
            }
        }
        let mut canaries = Vec::new();
        let planned = self.forest.trust.canaries.as_ref();
        for canary in planned.map(|rate| plan(rate, &self.examinees.all, (task, seed), found.len())).unwrap_or_default()
        {
            let verifier = &self.examinees.all[canary.verifier];
            let Some(answer) = self.known_answer(task, verifier, canary) else { continue };
            let tokens = self
                .forest
                .codec
                .encode(&format!("{answer}{}", self.forest.tasks.terminator.map_or_else(String::new, String::from)))?;
            let (verifier, path) = (Arc::clone(verifier), Path::told(tokens, &answer));
            wants.push(Want::Judge(Question { verifier, path, answered: true, seed: canary.seed }));
            canaries.push((canary, answer));
        }
        self.slots[task].judging = Some(Judging { found, canaries });
        Ok(wants)
    }

    /// A known answer to the task: a program where `verifier` runs it, else one of the kind that the task's rule knows.
    fn known_answer(&self, task: usize, verifier: &Verifier, canary: Canary) -> Option<String> {
        let (tasks, item) = (self.forest.tasks, &self.forest.tasks.items[task]);
        let programs =
            tasks.rule.unit_tests().is_some() || verifier.holds(&|part| matches!(part, Verifier::UnitTests(_)));
        if programs {
            return canary.program(&item.given.completion);
        }
        canary.answer(&item.problem.answer, &|answer| self.referee.rule(task, answer).outcome)
    }

    pub(super) fn dispatch(&mut self, task: usize, want: Place, what: Want) -> Result<(), ForestError> {
        match what {
            Want::Draw(draw) => self.draw(draw, Pending { task, want, purpose: Purpose::Draw, unit: Unit::Answer }),
            Want::Act(act) => self.act(task, want, act),
            Want::Write(commission) => self.commission(task, want, commission),
            Want::Judge(question) => {
                // What an environment failed is decided, and asked once.
                if !matches!(question.path.turns.last(), Some(TreeTurn::Failed(_))) {
                    self.inquiries.begin(task, want, &question);
                }
                self.question(task, want, question)
            }
        }
    }

    pub(super) fn question(&mut self, task: usize, want: Place, question: Question) -> Result<(), ForestError> {
        let pending = |purpose| Pending { task, want, purpose, unit: Unit::Answer };
        match self.referee.needs(task, &question, Some(self.slots[task].strategy.tree())) {
            Need::Decided(verdict) => {
                self.fill(task, want, Answer::Judged(verdict));
                Ok(())
            }
            Need::Spread { critic, tokens, model, dropout, uncertainty } => {
                let (checkpoint, seed) = (Arc::clone(&critic.checkpoint), question.seed);
                let purpose = Purpose::Spread { critic, model, uncertainty };
                self.ask(checkpoint, Wanted::Masked { tokens, dropout, seed }, pending(purpose))
            }
            Need::Parts(parts) => self.parts(task, want, question, (parts, 0)),
            Need::Number { critic, tokens, model, pass_at } => {
                let (checkpoint, word) = (Arc::clone(&critic.checkpoint), question.verifier.name());
                let purpose = Purpose::Number { critic, model, word, pass_at };
                self.ask(checkpoint, Wanted::Numbers(tokens), pending(purpose))
            }
            Need::Group => {
                // Filled in when the search is over: [`Running::conclude`].
                self.fill(task, want, Answer::Judged(Verdict::new(Outcome::Error, "the group is not known yet")));
                Ok(())
            }
            // [`Running::compare`] fills it in.
            Need::Later => Ok(()),
            Need::Inquire(inquiry) => self.hear(Hearing::new(task, vec![want], (question.verifier, inquiry))),
            Need::Check(check) => self.check(task, want, check),
            Need::Answers(draw, speaker) => {
                let checkpoint = speaker.unwrap_or_else(|| Arc::clone(&self.forest.policy));
                self.draw_by(checkpoint, draw, pending(Purpose::Share(Box::new(question))))
            }
        }
    }

    /// Asks the parts of a question, for which `cost` tokens were sampled before.
    pub(super) fn parts(
        &mut self,
        task: usize,
        want: Place,
        question: Question,
        (parts, cost): (Vec<Question>, u64),
    ) -> Result<(), ForestError> {
        let places = self.inquiries.open(want, question, parts.len(), cost);
        for (place, part) in places.into_iter().zip(parts) {
            self.dispatch(task, place, Want::Judge(part))?;
        }
        Ok(())
    }

    pub(super) fn check(&mut self, task: usize, want: Place, check: Check) -> Result<(), ForestError> {
        self.forest.code.check().map_err(ForestError::Code)?;
        let checker = match self.checker.take() {
            Some(checker) => checker,
            None => checker::start(self.forest.code).map_err(ForestError::Spawn)?,
        };
        let id = self.next;
        self.next += 1;
        self.pending.insert(id, Pending { task, want, purpose: Purpose::Check, unit: Unit::Answer });
        self.checker.insert(checker).ask(id, check);
        Ok(())
    }

    pub(super) fn draw(&mut self, draw: Draw, pending: Pending) -> Result<(), ForestError> {
        self.draw_by(Arc::clone(&self.forest.policy), draw, pending)
    }

    /// Continuations of this checkpoint.
    fn draw_by(&mut self, checkpoint: Arc<CheckpointDir>, draw: Draw, pending: Pending) -> Result<(), ForestError> {
        let unit = draw.unit.clone();
        let wanted = self.wanted(pending.task, draw)?;
        self.ask(checkpoint, wanted, Pending { unit, ..pending })
    }

    /// Continuations of the policy, as an engine is asked for them.
    pub(super) fn wanted(&mut self, task: usize, draw: Draw) -> Result<Wanted, ForestError> {
        let tasks = self.forest.tasks;
        let longest = draw.max_tokens.unwrap_or(tasks.max_tokens);
        let max_tokens = match draw.unit {
            Unit::Tokens(count) => count.min(longest),
            Unit::Answer | Unit::Turn | Unit::Line | Unit::Step(_) | Unit::CodeBlock => longest,
        };
        let stop = self.stop(&draw.unit)?;
        let prompt = [tasks.full_prompt(task), draw.behind].concat();
        let (samples, seed, sampling) = (draw.samples, draw.seed, draw.sampling);
        Ok(Wanted::Completions(Continue { prompt, samples, seed, sampling, stop, max_tokens }))
    }

    /// What ends a step: what ends the answer, and the text of the unit. Single characters are found by their tokens, which every
    /// engine can do.
    pub(super) fn stop(&mut self, unit: &Unit) -> Result<Arc<Stop>, ForestError> {
        let text = unit.ends_with().unwrap_or_default();
        if let Some(known) = self.stops.get(text) {
            return Ok(Arc::clone(known));
        }
        let tasks = self.forest.tasks;
        let mut stop = Stop { tokens: tasks.stop.clone(), terminator: tasks.terminator, texts: Vec::new() };
        let mut characters = text.chars();
        match (characters.next(), characters.next()) {
            (None, _) => {}
            (Some(one), None) => {
                if Some(one) != tasks.terminator {
                    stop.tokens.extend(self.forest.codec.stop_tokens(Some(one))?);
                    stop.tokens.sort_unstable();
                    stop.tokens.dedup();
                    stop.terminator = None;
                }
            }
            (Some(_), Some(_)) => stop.texts.push(text.to_owned()),
        }
        let stop = Arc::new(stop);
        self.stops.insert(text.to_owned(), Arc::clone(&stop));
        Ok(stop)
    }

    pub(super) fn ask(
        &mut self,
        checkpoint: Arc<CheckpointDir>,
        what: Wanted,
        pending: Pending,
    ) -> Result<(), ForestError> {
        let id = self.next;
        self.next += 1;
        self.pending.insert(id, pending);
        self.stream.ask(Asked { id, checkpoint, what }, &mut self.early)?;
        Ok(())
    }
}

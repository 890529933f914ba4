//! What came back, read and brought to the want that it answers; and the end of a search.

use galapagos_domain::recipe::search::Unit;
use galapagos_domain::recipe::verify::Verifier;
use galapagos_domain::trajectory::{Outcome, Verdict};

use super::slot::Judging;
use super::{Pending, Purpose, Running};
use crate::engine::stream::Given;
use crate::engine::{Completion, EngineError};
use crate::search::canaries::{Said, Sung};
use crate::search::composite;
use crate::search::forest::ForestError;
use crate::search::forest::decision::agreement;
use crate::search::forest::ending::Ended;
use crate::search::forest::inquiry::{Next, Place};
use crate::search::referee::{at_least, read, read_masked};
use crate::search::strategy::{Answer, Drawn, verdicts};

impl Running<'_> {
    pub(super) fn answered(&mut self, pending: Pending, given: Given) -> Result<(), ForestError> {
        let Pending { task, want, purpose, unit } = pending;
        let answer = match (purpose, given) {
            (Purpose::Inquiry { number, place, draws }, given) => {
                return self.heard((number, place, draws), &unit, given);
            }
            (Purpose::Draw | Purpose::Check | Purpose::Act { .. }, Given::Refused(why)) => {
                let (checkpoint, source) = (self.forest.policy.checkpoint, why.into());
                return Err(ForestError::Engine(EngineError::Request { checkpoint, source }));
            }
            (Purpose::Share(_) | Purpose::Number { .. } | Purpose::Spread { .. }, Given::Refused(why)) => {
                Answer::Judged(Verdict::new(Outcome::Error, format!("the model cannot be asked: {why}")))
            }
            (Purpose::Write { .. }, Given::Refused(why)) => {
                let reason = format!("the model cannot be asked: {why}");
                Answer::Written(Err(Verdict::new(Outcome::Error, reason)))
            }
            (Purpose::Write { scribe }, Given::Completions(made)) => Answer::Written(self.written(&scribe, &made)?),
            (Purpose::Draw, Given::Completions(made)) => Answer::Drawn(self.read(&unit, made)?),
            (Purpose::Share(question), Given::Completions(made)) => {
                let drawn = self.read(&unit, made)?;
                if let Some(parts) = composite::continuations(&question, &drawn) {
                    let cost = drawn.iter().map(|drawn| drawn.tokens.len() as u64).sum();
                    return self.parts(task, want, *question, (parts, cost));
                }
                if let Some(check) = self.referee.share_of_programs(task, &question.path, &drawn) {
                    return self.check(task, want, check);
                }
                Answer::Judged(self.referee.share(task, &question.path, &drawn))
            }
            (Purpose::Number { critic, model, word, pass_at }, Given::Numbers(numbers)) => {
                Answer::Judged(at_least(read(&numbers, &critic, &model, word), pass_at))
            }
            (Purpose::Spread { critic, model, uncertainty }, Given::Numbers(numbers)) => {
                Answer::Judged(read_masked(&numbers, &critic, &model, &uncertainty))
            }
            (
                Purpose::Draw | Purpose::Share(_) | Purpose::Check | Purpose::Act { .. } | Purpose::Write { .. },
                Given::Numbers(_),
            )
            | (
                Purpose::Number { .. } | Purpose::Spread { .. } | Purpose::Check | Purpose::Act { .. },
                Given::Completions(_),
            ) => {
                return Err(ForestError::Engine(EngineError::Panicked));
            }
        };
        self.fill(task, want, answer);
        Ok(())
    }

    /// Takes an answer, or puts its question back to be asked once more.
    pub(super) fn fill(&mut self, task: usize, want: Place, answer: Answer) {
        let (want, answer) = match (answer, want) {
            (Answer::Judged(verdict), to) => match self.inquiries.take(task, to, verdict) {
                Next::Answer(want, verdict) => (want, Answer::Judged(verdict)),
                Next::Again(to, question) => return self.again.push_back((task, to, question)),
                Next::Wait => return,
            },
            (made @ (Answer::Drawn(_) | Answer::Acted(_) | Answer::Written(_)), Place::Want(want)) => (want, made),
            (Answer::Drawn(_) | Answer::Acted(_) | Answer::Written(_), Place::Part { .. }) => return,
        };
        let slot = &mut self.slots[task];
        if slot.judging.is_none() {
            slot.spent += match &answer {
                Answer::Drawn(drawn) => drawn.iter().map(|drawn| drawn.tokens.len() as u64).sum(),
                Answer::Judged(verdict) => verdict.cost,
                Answer::Written(Ok(written)) => written.cost,
                Answer::Acted(_) | Answer::Written(Err(_)) => 0,
            };
        }
        slot.answers[want] = Some(answer);
        slot.missing -= 1;
    }

    pub(super) fn read(&self, unit: &Unit, made: Vec<Completion>) -> Result<Vec<Drawn>, EngineError> {
        let tasks = self.forest.tasks;
        let drawn = |Completion { tokens, log_probs }: Completion| {
            self.forest.meter.add(0, tokens.len() as u64);
            let mut text = self.forest.codec.decode(&tokens)?;
            let mut answered = tokens.last().is_some_and(|last| tasks.stop.binary_search(last).is_ok());
            if let Some(end) = tasks.terminator.and_then(|end| text.find(end)) {
                text.truncate(end);
                answered = true;
            }
            let whole = matches!(unit, Unit::Answer | Unit::Turn);
            Ok(Drawn { tokens, log_probs, text, answered: answered || whole })
        };
        made.into_iter().map(drawn).collect()
    }

    /// The end of a search: everything that was said about its trajectories and about known answers.
    pub(super) fn conclude(&mut self, task: usize, Judging { found, canaries }: Judging, answers: Vec<Answer>) {
        let mut verdicts = verdicts(answers)
            .map(|verdict| verdict.unwrap_or_else(|| Verdict::new(Outcome::Error, "the verifier gave no verdict")));
        let slot = &mut self.slots[task];
        let tree = slot.strategy.tree().clone();
        let key = self.forest.tasks.key();
        let classes: Vec<Option<String>> = found.iter().map(|node| key(&tree.path(*node).answer)).collect();
        let mut of_each = Vec::with_capacity(found.len());
        for place in 0..found.len() {
            let mut said: Vec<Verdict> = verdicts.by_ref().take(self.examinees.verify().len()).collect();
            for (said, verifier) in said.iter_mut().zip(self.examinees.verify()) {
                if let Verifier::Consistency(what) = **verifier {
                    *said = agreement(what, &classes, place);
                }
            }
            of_each.push(said);
        }
        let sung = canaries.into_iter().zip(verdicts);
        let canaries = sung.map(|((canary, answer), verdict)| Sung { canary, answer, verdict }).collect();
        let units = self.forest.search.trajectories().map_or(1, |_| found.len() as u64);
        self.forest.meter.add(units, 0);
        let task = self.forest.tasks.items[task].problem.key.clone();
        let said = Said { task, verdicts: of_each, canaries, ..Said::default() };
        let heard = std::mem::take(&mut slot.heard);
        slot.done = Some(Ended { tree, found, said, heard });
    }
}

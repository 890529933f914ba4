//! Inquiries of a forest under way: each turn's calls join the stream with everything else, and the next turn comes when all of its
//! replies are there.

use std::sync::Arc;

use galapagos_domain::recipe::search::Unit;
use galapagos_domain::recipe::verify::Verifier;
use galapagos_domain::trajectory::{Outcome, Verdict};

use super::{Pending, Purpose, Running};
use crate::engine::stream::Given;
use crate::search::court::inquiry::{Call, Inquiry, Reply, Turn};
use crate::search::forest::ForestError;
use crate::search::forest::inquiry::Place;
use crate::search::strategy::Answer;

/// An inquiry that waits.
pub(super) struct Hearing {
    task: usize,
    /// Wants of its task that its verdicts fill, in order.
    wants: Vec<Place>,
    verifier: Arc<Verifier>,
    inquiry: Box<dyn Inquiry>,
    replies: Vec<Option<Reply>>,
}

impl Hearing {
    /// One that has not been asked yet.
    pub(super) fn new(task: usize, wants: Vec<Place>, (verifier, inquiry): (Arc<Verifier>, Box<dyn Inquiry>)) -> Self {
        Self { task, wants, verifier, inquiry, replies: Vec::new() }
    }
}

impl Running<'_> {
    /// An inquiry's next turn.
    pub(super) fn hear(&mut self, mut hearing: Hearing) -> Result<(), ForestError> {
        let replies = hearing.replies.drain(..).flatten().collect();
        match hearing.inquiry.next(&self.referee, replies) {
            Turn::Done(verdicts) => {
                let mut verdicts = verdicts.into_iter();
                for want in hearing.wants {
                    let none = || Verdict::new(Outcome::Error, "the verifier gave no verdict");
                    let verdict = self.referee.court.sealed(&hearing.verifier, verdicts.next().unwrap_or_else(none));
                    self.fill(hearing.task, want, Answer::Judged(verdict));
                }
                Ok(())
            }
            Turn::Ask(calls) => {
                let (number, task) = (self.next, hearing.task);
                self.next += 1;
                hearing.replies = calls.iter().map(|_| None).collect();
                self.hearings.insert(number, hearing);
                for (place, call) in calls.into_iter().enumerate() {
                    let draws = matches!(call, Call::Draw(_));
                    let (checkpoint, what, unit) = match call {
                        Call::Ask { checkpoint, what } => (checkpoint, what, Unit::Answer),
                        Call::Draw(draw) => {
                            let unit = draw.unit.clone();
                            (Arc::clone(&self.forest.policy), self.wanted(task, draw)?, unit)
                        }
                    };
                    let purpose = Purpose::Inquiry { number, place, draws };
                    self.ask(checkpoint, what, Pending { task, want: Place::Want(0), purpose, unit })?;
                }
                Ok(())
            }
        }
    }

    /// Takes a reply to the call at `place`; with the last one comes the next turn.
    pub(super) fn heard(
        &mut self,
        (number, place, draws): (u64, usize, bool),
        unit: &Unit,
        given: Given,
    ) -> Result<(), ForestError> {
        let reply = match given {
            Given::Numbers(numbers) => Reply::Numbers(numbers),
            Given::Refused(why) => Reply::Refused(why),
            Given::Completions(made) if draws => Reply::Drawn(self.read(unit, made)?),
            Given::Completions(made) => {
                self.forest.meter.add(0, made.iter().map(|made| made.tokens.len() as u64).sum());
                Reply::Made(made)
            }
        };
        let Some(hearing) = self.hearings.get_mut(&number) else { return Ok(()) };
        hearing.replies[place] = Some(reply);
        if hearing.replies.iter().all(Option::is_some)
            && let Some(hearing) = self.hearings.remove(&number)
        {
            return self.hear(hearing);
        }
        Ok(())
    }

    /// Begins what is asked about all trajectories of a task together, once its search has left them.
    pub(super) fn compare(&mut self, task: usize) -> Result<(), ForestError> {
        let Some(found) = self.slots[task].judging.as_ref().map(|judging| judging.found.clone()) else { return Ok(()) };
        let verifiers: Vec<_> = self.examinees.verify().iter().cloned().enumerate().collect();
        let pairing = verifiers.iter().filter(|(_, verifier)| matches!(**verifier, Verifier::JudgePair(_)));
        for (place, verifier) in pairing {
            let tree = self.slots[task].strategy.tree();
            let wants = found.iter().enumerate().map(|(number, node)| (*node, number * verifiers.len() + place));
            // Of an episode that the environment failed it is decided that nothing is known.
            let open: Vec<_> = wants.filter(|(_, want)| self.slots[task].answers[*want].is_none()).collect();
            if open.is_empty() {
                continue;
            }
            let answers: Vec<String> = open.iter().map(|(node, _)| self.referee.shown(&tree.path(*node))).collect();
            let wants: Vec<Place> = open.into_iter().map(|(_, want)| Place::Want(want)).collect();
            let item = &self.forest.tasks.items[task];
            let seed = item.seed.derive(&format!("verify/{place}"));
            let asked = (item.problem.prompt.as_str(), item.problem.answer.as_str());
            match self.referee.court.pair_up(verifier, asked, answers, seed) {
                Some(inquiry) => self.hear(Hearing::new(task, wants, (Arc::clone(verifier), inquiry)))?,
                None => {
                    let none = Verdict::new(Outcome::Error, "the job brought no such judge");
                    wants.into_iter().for_each(|want| self.fill(task, want, Answer::Judged(none.clone())));
                }
            }
        }
        Ok(())
    }
}

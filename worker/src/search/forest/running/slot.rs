//! The search of one task within a forest: what it waits for, what it left, and what it would have found before.

use galapagos_domain::trajectory::{Audit, Verdict};

use crate::search::canaries::Canary;
use crate::search::forest::ending::Ended;
use crate::search::strategy::{Answer, Moment, Strategy};
use crate::search::tree::NodeId;

/// The search of one task.
pub(super) struct Slot {
    pub(super) strategy: Box<dyn Strategy>,
    pub(super) answers: Vec<Option<Answer>>,
    pub(super) missing: usize,
    /// Of each want of the search, the verifier that it asks, or what is to be written, if it does.
    pub(super) asked: Vec<Option<&'static str>>,
    /// What the search heard of its evaluators.
    pub(super) heard: Audit,
    /// What the search left, once its trajectories are being judged.
    pub(super) judging: Option<Judging>,
    pub(super) done: Option<Ended>,
    /// Tokens that the search has cost.
    pub(super) spent: u64,
    /// What it would have found if it had ended with one of its batches; one for each change.
    pub(super) moments: Vec<Moment>,
}

impl Slot {
    pub(super) fn new(strategy: Box<dyn Strategy>) -> Self {
        let (answers, moments) = (Vec::new(), Vec::new());
        let (asked, heard) = (Vec::new(), Audit::default());
        Self { strategy, answers, missing: 0, asked, heard, judging: None, done: None, spent: 0, moments }
    }

    /// Notes the answers to what the search wanted, in order, whenever each of them came.
    pub(super) fn hear(&mut self, answers: &[Answer]) {
        for (asked, answer) in self.asked.drain(..).zip(answers) {
            match (asked, answer) {
                (Some(verifier), Answer::Judged(verdict)) => self.heard.hear(verifier, verdict),
                (Some(what), Answer::Written(Err(verdict))) => self.heard.hear(what, verdict),
                (Some(what), Answer::Written(Ok(_))) => self.heard.hear(what, &Verdict::pass("")),
                (Some(_) | None, _) => {}
            }
        }
    }

    /// After every step of the search; only what whole batches left counts.
    pub(super) fn note(&mut self) {
        if !self.strategy.is_settled() {
            return;
        }
        let found = self.strategy.found();
        let known = match self.moments.last() {
            None => found.is_empty(),
            Some(last) => last.found == found,
        };
        if !known {
            self.moments.push(Moment { tokens: self.spent, found });
        }
    }

    /// What is known of the search's way, the end of it counted.
    pub(super) fn moments(&mut self) -> Vec<Moment> {
        let mut moments = self.strategy.moments().unwrap_or_else(|| std::mem::take(&mut self.moments));
        moments.push(Moment { tokens: self.spent, found: self.strategy.found() });
        // Of those with equal tokens the last one counts.
        moments.reverse();
        moments.dedup_by_key(|moment| moment.tokens);
        moments.reverse();
        moments
    }
}

/// Trajectories that are being judged, and the known answers among them.
pub(super) struct Judging {
    pub(super) found: Vec<NodeId>,
    pub(super) canaries: Vec<(Canary, String)>,
}

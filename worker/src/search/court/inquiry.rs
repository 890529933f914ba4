//! Inquiries: questions that take several answers of the engine, each perhaps only known when the last ones are there. Who drives one
//! computes what it asks, brings all the replies in order, and asks what comes next.

use std::sync::Arc;

use galapagos_domain::recipe::verify::Model;
use galapagos_domain::trajectory::{Outcome, Verdict};

use crate::engine::stream::Wanted;
use crate::engine::{CheckpointDir, Completion};
use crate::search::referee::{Critic, Referee, at_least, read};
use crate::search::strategy::{Draw, Drawn, Question};

/// What an inquiry needs.
#[derive(Debug)]
pub(in crate::search) enum Call {
    /// Of a model.
    Ask { checkpoint: Arc<CheckpointDir>, what: Wanted },
    /// Of the policy, to go on.
    Draw(Draw),
}

/// What came.
#[derive(Debug)]
pub(in crate::search) enum Reply {
    Numbers(Vec<f32>),
    /// In order of sample.
    Made(Vec<Completion>),
    Drawn(Vec<Drawn>),
    /// It could not be computed, and why: too long for the model.
    Refused(String),
}

/// What an inquiry says.
#[derive(Debug)]
pub(in crate::search) enum Turn {
    /// Never empty.
    Ask(Vec<Call>),
    /// One verdict, or one for each answer that was to be judged.
    Done(Vec<Verdict>),
}

impl Turn {
    pub(super) fn done(verdict: Verdict) -> Self {
        Self::Done(vec![verdict])
    }
}

/// See the head of this file.
pub(in crate::search) trait Inquiry {
    /// Takes the replies to what it asked last, none the first time.
    fn next(&mut self, referee: &Referee<'_>, replies: Vec<Reply>) -> Turn;
}

/// What a critic says of a path.
pub(super) struct OfCritic {
    pub(super) critic: Critic,
    pub(super) tokens: Vec<u32>,
    pub(super) model: Model,
    pub(super) word: &'static str,
    pub(super) pass_at: Option<f64>,
}

impl Inquiry for OfCritic {
    fn next(&mut self, _: &Referee<'_>, mut replies: Vec<Reply>) -> Turn {
        Turn::done(match replies.pop() {
            None => {
                let (checkpoint, tokens) = (Arc::clone(&self.critic.checkpoint), std::mem::take(&mut self.tokens));
                return Turn::Ask(vec![Call::Ask { checkpoint, what: Wanted::Numbers(tokens) }]);
            }
            Some(Reply::Numbers(numbers)) => {
                at_least(read(&numbers, &self.critic, &self.model, self.word), self.pass_at)
            }
            Some(other) => unasked(&other).by(self.word),
        })
    }
}

/// How many continuations of a path the rule passes.
pub(super) struct OfShare {
    pub(super) place: usize,
    pub(super) question: Question,
    pub(super) draw: Option<Draw>,
}

impl Inquiry for OfShare {
    fn next(&mut self, referee: &Referee<'_>, mut replies: Vec<Reply>) -> Turn {
        if let Some(draw) = self.draw.take() {
            return Turn::Ask(vec![Call::Draw(draw)]);
        }
        Turn::done(match replies.pop() {
            Some(Reply::Drawn(drawn)) => referee.share(self.place, &self.question.path, &drawn),
            Some(other) => unasked(&other),
            None => Verdict::new(Outcome::Error, "no continuation came"),
        })
    }
}

/// The verdict where a model could not be asked.
pub(super) fn unasked(reply: &Reply) -> Verdict {
    let reason = match reply {
        Reply::Refused(why) => format!("the model cannot be asked: {why}"),
        Reply::Numbers(_) | Reply::Made(_) | Reply::Drawn(_) => "the model gave something else".to_owned(),
    };
    Verdict::new(Outcome::Error, reason)
}

//! One trajectory as far as a loss cares for it. Decides which verdicts a loss can use, and nothing about order.

use galapagos_domain::recipe::train::{Loss, Pointwise, Train};
use galapagos_domain::trajectory::{Outcome, Trajectory};

use super::DataError;

/// A question with its answer, and what is to be learned from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Names the record in messages.
    pub task: String,
    pub sample: u32,
    /// Shared few-shot prefix; empty when the recipe drops it.
    pub prefix: Vec<u32>,
    pub question: Vec<u32>,
    pub completion: Vec<u32>,
    pub aim: Aim,
}

/// What a record teaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// Each completion token, from what stands before it.
    Tokens,
    /// The label, from the hidden state at the last completion token.
    Label(u32),
}

impl Record {
    /// The record of `trajectory`, or none if its verdict says nothing that the loss can use.
    pub fn new(trajectory: &Trajectory, train: &Train) -> Result<Option<Self>, DataError> {
        let Some(aim) = aim(train.loss, trajectory.verdict.outcome) else { return Ok(None) };
        let Trajectory { prompt_tokens, prefix_len, completion_tokens, sample, .. } = trajectory;
        let name = || (format!("{}/{}", trajectory.task_set, trajectory.task), *sample);
        let blank = |what| {
            let (task, sample) = name();
            Err(DataError::Blank { task, sample, what })
        };
        let Some((prefix, question)) = prompt_tokens.split_at_checked(*prefix_len as usize) else {
            let (task, sample) = name();
            return Err(DataError::Prefix { task, sample, prefix: *prefix_len, prompt: prompt_tokens.len() });
        };
        if question.is_empty() {
            return blank("question tokens");
        }
        if completion_tokens.is_empty() {
            return blank("completion tokens");
        }
        let (task, sample) = name();
        let prefix = if train.shots { prefix.to_vec() } else { Vec::new() };
        Ok(Some(Self { task, sample, prefix, question: question.to_vec(), completion: completion_tokens.clone(), aim }))
    }

    /// Tokens after the prefix.
    pub fn body_len(&self) -> usize {
        self.question.len() + self.completion.len()
    }
}

/// Nll trains on whatever curation chose; a pointwise loss needs a verdict about the completion itself.
fn aim(loss: Loss, outcome: Outcome) -> Option<Aim> {
    match (loss, outcome) {
        (Loss::Nll, _) => Some(Aim::Tokens),
        (Loss::Pointwise(Pointwise::Bce), Outcome::Pass) => Some(Aim::Label(1)),
        (Loss::Pointwise(Pointwise::Bce), Outcome::Fail) => Some(Aim::Label(0)),
        (Loss::Pointwise(Pointwise::Bce), Outcome::Error | Outcome::Timeout | Outcome::Suspect) => None,
    }
}

/// Checks that every token has an embedding.
pub(super) fn check_tokens(records: &[Record], vocabulary: usize) -> Result<(), DataError> {
    for record in records {
        let mut tokens = record.prefix.iter().chain(&record.question).chain(&record.completion);
        if let Some(token) = tokens.find(|token| **token as usize >= vocabulary) {
            let task = record.task.clone();
            return Err(DataError::Token { task, sample: record.sample, token: *token, vocabulary });
        }
    }
    Ok(())
}

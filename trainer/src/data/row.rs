//! One trajectory as far as training cares: its tokens, what the policy answers for, and what was said of it. Checks everything
//! that a loss will rely on; decides nothing about losses.

use galapagos_domain::ids::Digest;
use galapagos_domain::trajectory::{Side, Span, Trajectory};

use super::DataError;

/// A checked trajectory.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its place among all rows of the round's files, in order: its name in the ledger.
    pub number: u32,
    /// `SET/TASK`, the group that it is compared within.
    pub task: String,
    pub sample: u32,
    /// Checkpoint of the policy that made it.
    pub policy: Digest,
    /// Shared few-shot prefix; empty when the recipe drops it.
    pub prefix: Vec<u32>,
    /// Whether it had a prefix that the recipe drops: its log-probabilities are then not those of these tokens alone.
    pub shortened: bool,
    pub question: Vec<u32>,
    pub completion: Vec<u32>,
    /// Natural log-probability of each completion token under `policy`; empty if none sampled it.
    pub log_probs: Vec<f32>,
    /// None when the verdict says nothing about the completion.
    pub reward: Option<f64>,
    pub weight: f32,
    /// In order and apart, within the completion. None: it is one part.
    pub spans: Vec<Span>,
    pub pair: Option<Side>,
    /// Whether it is compared with, as the policy's most probable completion.
    pub greedy: bool,
}

impl Row {
    /// The row of a trajectory; without `shots` its shared prefix is dropped.
    ///
    /// # Errors
    /// [`DataError`] names the record and what is wrong with it.
    pub fn new(number: u32, trajectory: &Trajectory, shots: bool) -> Result<Self, DataError> {
        let Trajectory { prompt_tokens, prefix_len, completion_tokens, sample, credit, log_probs, .. } = trajectory;
        let task = format!("{}/{}", trajectory.task_set, trajectory.task);
        let wrong = |what: String| Err(DataError::Record { task: task.clone(), sample: *sample, what });
        let Some((prefix, question)) = prompt_tokens.split_at_checked(*prefix_len as usize) else {
            let prompt = prompt_tokens.len();
            return wrong(format!(
                "says its first {prefix_len} tokens are the shared prefix, but its prompt has {prompt}"
            ));
        };
        if question.is_empty() {
            return wrong("has no question tokens; nothing can be learned from it".to_owned());
        }
        if completion_tokens.is_empty() {
            return wrong("has no completion tokens; nothing can be learned from it".to_owned());
        }
        let length = completion_tokens.len();
        if !log_probs.is_empty() && log_probs.len() != length {
            return wrong(format!("has {} log-probabilities for {length} completion tokens", log_probs.len()));
        }
        // A kernel may round that of a certain token to a little above 0.
        if let Some(at) = log_probs.iter().position(|log_prob| !(log_prob.is_finite() && *log_prob <= 1e-3)) {
            return wrong(format!("has the log-probability {} at completion token {at}", log_probs[at]));
        }
        if !(credit.weight.is_finite() && credit.weight >= 0.0) {
            return wrong(format!("has the weight {}; it must be 0 or more", credit.weight));
        }
        let reward = trajectory.reward();
        if reward.is_some_and(|reward| !reward.is_finite()) {
            return wrong("has a reward that is no number".to_owned());
        }
        if let Err(what) = check_spans(&credit.spans, length) {
            return wrong(what);
        }
        let shortened = !shots && !prefix.is_empty();
        let prefix = if shots { prefix.to_vec() } else { Vec::new() };
        Ok(Self {
            number,
            sample: *sample,
            policy: trajectory.policy,
            prefix,
            shortened,
            question: question.to_vec(),
            completion: completion_tokens.clone(),
            log_probs: log_probs.clone(),
            reward,
            weight: credit.weight,
            spans: credit.spans.clone(),
            pair: credit.pair.clone(),
            greedy: credit.greedy,
            task,
        })
    }

    /// Prefix, question and completion.
    #[must_use]
    pub fn tokens(&self) -> Vec<u32> {
        [self.prefix.as_slice(), &self.question, &self.completion].concat()
    }

    /// Where the completion begins.
    #[must_use]
    pub fn start(&self) -> usize {
        self.prefix.len() + self.question.len()
    }

    /// The parts of the completion; the whole, learned from, if it has none.
    #[must_use]
    pub fn parts(&self) -> Vec<Span> {
        if self.spans.is_empty() {
            let end = self.completion.len() as u32;
            return vec![Span { start: 0, end, learn: true, value: None, class: None }];
        }
        self.spans.clone()
    }

    /// Indices of the completion tokens that the policy answers for, each with the index of its part.
    pub fn learned(&self) -> impl Iterator<Item = (usize, usize)> {
        let parts = self.parts().into_iter().enumerate().filter(|(_, part)| part.learn);
        parts.flat_map(|(index, part)| (part.start as usize..part.end as usize).map(move |at| (at, index)))
    }

    /// The class that is said of its whole: that of its last part with one.
    #[must_use]
    pub fn class(&self) -> Option<u32> {
        self.spans.iter().rev().find_map(|span| span.class)
    }

    /// The error of this row.
    #[must_use]
    pub fn wrong(&self, what: impl Into<String>) -> DataError {
        DataError::Record { task: self.task.clone(), sample: self.sample, what: what.into() }
    }
}

fn check_spans(spans: &[Span], length: usize) -> Result<(), String> {
    let mut done = 0;
    for (i, span) in spans.iter().enumerate() {
        let Span { start, end, value, .. } = *span;
        if start < done || end <= start || end as usize > length {
            return Err(format!(
                "has part {i} at tokens {start}..{end}; parts are in order, apart, not empty and within {length} tokens"
            ));
        }
        if value.is_some_and(|value| !value.is_finite()) {
            return Err(format!("has a value of part {i} that is no number"));
        }
        done = end;
    }
    Ok(())
}

//! What a completion's past does to its logits: repetition penalty (as in `transformers`), presence and frequency penalty (as
//! in the OpenAI API). Keeps nothing when no penalty is set.

use std::collections::HashMap;

use super::Sampling;

/// Tokens of prompt and completion that a penalty may change.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    /// How often each is in the completion; 0 for one that is in the prompt alone.
    counts: HashMap<u32, u32>,
}

impl History {
    pub(super) fn new(sampling: &Sampling, prompt: &[u32]) -> Self {
        let repetition = sampling.repetition_penalty != 1.0;
        let counts = prompt.iter().filter(|_| repetition).map(|token| (*token, 0)).collect();
        Self { counts }
    }

    pub(super) fn push(&mut self, sampling: &Sampling, token: u32) {
        let Sampling { repetition_penalty, presence_penalty, frequency_penalty, .. } = sampling;
        if *repetition_penalty != 1.0 || *presence_penalty != 0.0 || *frequency_penalty != 0.0 {
            *self.counts.entry(token).or_default() += 1;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// The tokens whose logits a penalty may change.
    pub(super) fn tokens(&self) -> impl Iterator<Item = &u32> {
        self.counts.keys()
    }

    /// Each token's logit depends on that token alone, so the order of the map does not matter.
    pub(super) fn penalise(&self, sampling: &Sampling, row: &mut [f32]) {
        let repetition = sampling.repetition_penalty as f32;
        for (token, count) in &self.counts {
            let Some(logit) = row.get_mut(*token as usize) else { continue };
            *logit = if *logit < 0.0 { *logit * repetition } else { *logit / repetition };
            if *count > 0 {
                *logit -= (sampling.presence_penalty + sampling.frequency_penalty * f64::from(*count)) as f32;
            }
        }
    }
}

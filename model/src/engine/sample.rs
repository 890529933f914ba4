//! A completion in the making: what an engine keeps of a sequence that draws, besides its tokens and pages.

use std::sync::Arc;

use galapagos_domain::image::Patch;

use super::event::{Completion, SampleError};
use super::ids::{RequestId, WeightVersion};
use super::request::{Request, Speculation};
use super::score::Score;
use crate::detokenize::TokenTexts;
use crate::guide::Guide;
use crate::sampling::{Chosen, Sampler};
use crate::speculate::{Drafter, PromptLookup};
use crate::stop::{CompletionText, Finish, StopRules, StopStrings, TextStep};

/// What a sequence is computed for.
#[derive(Debug)]
pub(super) enum Work {
    Sample(Box<Sample>),
    Score(Box<Score>),
}

/// A request and what its samples share.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) request: Request,
    pub(super) stops: Arc<StopStrings>,
    pub(super) texts: Option<Arc<TokenTexts>>,
}

/// One completion of a request.
pub(super) struct Sample {
    pub(super) request: RequestId,
    /// Its index in the request.
    pub(super) index: usize,
    pub(super) asked: Arc<Asked>,
    /// Away while a step's tokens are chosen.
    pub(super) chooser: Option<Chooser>,
    /// Makes the text if there is a tokenizer.
    text: Option<CompletionText>,
    lookup: Option<Lookup>,
    log_probs: Vec<f32>,
    top: Vec<Vec<(u32, f32)>>,
    written: String,
}

/// What chooses the tokens of a sample; moves on with each.
#[derive(Debug)]
pub(super) struct Chooser {
    pub(super) sampler: Sampler,
    pub(super) guide: Option<Guide>,
}

/// Drafts from the sequence itself.
struct Lookup {
    drafter: PromptLookup,
    history: Vec<u32>,
}

impl std::fmt::Debug for Sample {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (request, index, made) = (self.request, self.index, self.made());
        f.debug_struct("Sample")
            .field("request", &request)
            .field("index", &index)
            .field("made", &made)
            .finish_non_exhaustive()
    }
}

impl Sample {
    pub(super) fn new(id: RequestId, index: usize, asked: &Arc<Asked>) -> Self {
        let request = &asked.request;
        let sampler = Sampler::new(Arc::clone(&request.sampling), (request.seed, index), &request.prompt);
        let (tokens, strings) = (Arc::clone(&request.stop_tokens), Arc::clone(&asked.stops));
        let rules = StopRules { tokens, strings, max_new_tokens: request.max_new_tokens };
        let text = asked.texts.as_ref().map(|texts| CompletionText::new(rules, Arc::clone(texts), &request.prompt));
        let lookup = match request.speculation {
            Speculation::PromptLookup { .. } => {
                Some(Lookup { drafter: PromptLookup::default(), history: request.prompt.clone() })
            }
            Speculation::Off | Speculation::DraftModel { .. } => None,
        };
        Self {
            request: id,
            index,
            asked: Arc::clone(asked),
            chooser: Some(Chooser { sampler, guide: request.guide.clone() }),
            text,
            lookup,
            log_probs: Vec::new(),
            top: Vec::new(),
            written: String::new(),
        }
    }

    /// Tokens so far.
    pub(super) fn made(&self) -> usize {
        self.log_probs.len()
    }

    /// At most `most` guesses of the next tokens: what the draft model found, or what a guide forces, or what stood here before. Never
    /// so many that the completion would be longer than asked for.
    pub(super) fn draft(&mut self, found: Option<Vec<u32>>, most: usize) -> Vec<u32> {
        let most = most.min(self.drafts());
        if let Some(mut found) = found {
            found.truncate(most);
            return found;
        }
        let Some(lookup) = self.lookup.as_mut().filter(|_| most > 0) else { return Vec::new() };
        let guide = self.chooser.as_mut().and_then(|chooser| chooser.guide.as_mut());
        let forced = guide.map(|guide| guide.draft(most)).unwrap_or_default();
        if !forced.is_empty() {
            return forced;
        }
        let found = lookup.drafter.draft(&lookup.history, most);
        // No patch is ever drawn.
        found.into_iter().take_while(|token| !Patch::is_code(*token)).collect()
    }

    /// How many guesses the draft model is asked for.
    pub(super) fn model_drafts(&self) -> usize {
        match self.asked.request.speculation {
            Speculation::DraftModel { .. } => self.drafts(),
            Speculation::PromptLookup { .. } | Speculation::Off => 0,
        }
    }

    /// How many guesses are of use.
    fn drafts(&self) -> usize {
        let request = &self.asked.request;
        let most = match request.speculation {
            Speculation::Off => 0,
            Speculation::PromptLookup { most } | Speculation::DraftModel { most } => most,
        };
        most.min(request.max_new_tokens.saturating_sub(self.made() + 1))
    }

    /// Tells how many of the last draft's tokens were right.
    pub(super) fn drafted(&mut self, drafts: usize, accepted: usize) {
        if let Some(lookup) = &mut self.lookup {
            lookup.drafter.checked(drafts, accepted);
        }
    }

    /// Adds a token that was chosen: what it makes of the text, and whether it is the last. `guided` says that its guide allows
    /// nothing behind it.
    pub(super) fn push(&mut self, chosen: &Chosen, guided: bool) -> Result<TextStep, SampleError> {
        self.log_probs.push(chosen.log_prob);
        let request = &self.asked.request;
        if request.top_log_probs > 0 {
            self.top.push(chosen.top.clone());
        }
        if let Some(lookup) = &mut self.lookup {
            lookup.history.push(chosen.token);
        }
        let step = match &mut self.text {
            Some(text) => text.push(chosen.token).map_err(|source| SampleError::Text { source })?,
            None => {
                let stops = request.stop_tokens.contains(&chosen.token).then_some(Finish::StopToken);
                let full = (self.log_probs.len() >= request.max_new_tokens).then_some(Finish::Length);
                TextStep { text: String::new(), finish: stops.or(full) }
            }
        };
        self.written.push_str(&step.text);
        match step.finish {
            None if guided => {
                let end = self.end_guide()?;
                Ok(TextStep { text: step.text + &end.text, ..end })
            }
            Some(_) | None => Ok(step),
        }
    }

    /// Ends the completion because its guide allows nothing more; gives the text that was held back.
    fn end_guide(&mut self) -> Result<TextStep, SampleError> {
        let step = match &mut self.text {
            Some(text) => text.finish(Finish::Guide).map_err(|source| SampleError::Text { source })?,
            None => TextStep { text: String::new(), finish: Some(Finish::Guide) },
        };
        self.written.push_str(&step.text);
        Ok(step)
    }

    /// The completion that ended, given its tokens.
    pub(super) fn complete(self, tokens: Vec<u32>, version: WeightVersion, finish: Finish) -> Completion {
        Completion { tokens, log_probs: self.log_probs, top: self.top, text: self.written, version, finish }
    }
}

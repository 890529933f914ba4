//! Texts that somebody writes for a search: the policy, or another role, behind a template that is filled in.

use std::collections::BTreeMap;
use std::sync::Arc;

use galapagos_domain::ids::Name;
use galapagos_domain::job::Sampling;
use galapagos_domain::recipe::search::{Unit, Write};
use galapagos_domain::recipe::verify::{Blank, Template};
use galapagos_domain::trajectory::{Outcome, Verdict};
use galapagos_model::ChatMessage;
use galapagos_telemetry::ErrorChain;

use super::{Pending, Purpose, Running};
use crate::engine::stream::{Continue, Stop, Wanted};
use crate::engine::{CheckpointDir, Codec, Completion, EngineError};
use crate::search::forest::inquiry::Place;
use crate::search::forest::{Forest, ForestError};
use crate::search::strategy::{Answer, Commission, Written};

/// Somebody who writes.
#[derive(Debug)]
pub(super) struct Scribe {
    checkpoint: Arc<CheckpointDir>,
    codec: Arc<dyn Codec>,
    /// What ends a text.
    until: Option<String>,
    stop: Arc<Stop>,
}

/// Who writes, by role and by what ends a text.
pub(super) type Scribes = BTreeMap<(Option<Name>, Option<String>), Arc<Scribe>>;

impl Scribe {
    /// All who write for a search: a role's codec is the engine's to give, which has no time for that once a stream runs.
    pub(super) fn all(forest: &Forest<'_>) -> Result<Scribes, ForestError> {
        let open = |write: &Write| Ok((Self::key(write), Arc::new(Self::open(forest, write)?)));
        forest.search.writers().into_iter().map(open).collect()
    }

    fn key(write: &Write) -> (Option<Name>, Option<String>) {
        (write.role.clone(), write.until.clone())
    }

    fn open(forest: &Forest<'_>, write: &Write) -> Result<Self, ForestError> {
        let (checkpoint, codec) = match &write.role {
            None => (Arc::clone(&forest.policy), Arc::clone(&forest.codec)),
            Some(role) => {
                let critic = forest.critics.get(role).ok_or_else(|| ForestError::NoRole(role.clone()))?;
                (Arc::clone(&critic.checkpoint), forest.engine.codec(&critic.checkpoint)?)
            }
        };
        let stop = Arc::new(Stop::at(codec.as_ref(), write.until.as_deref())?);
        Ok(Self { checkpoint, codec, until: write.until.clone(), stop })
    }
}

impl Running<'_> {
    /// Has a text written.
    pub(super) fn commission(&mut self, task: usize, want: Place, commission: Commission) -> Result<(), ForestError> {
        let Commission { write, mut shown, seed, .. } = commission;
        let scribe = self.scribe(&write)?;
        shown.insert(Blank::Prompt, self.forest.tasks.items[task].problem.prompt.clone());
        let prompt = match prompt(&scribe, &write, &shown) {
            Ok(prompt) => prompt,
            Err(verdict) => {
                self.fill(task, want, Answer::Written(Err(verdict)));
                return Ok(());
            }
        };
        let sampling = Arc::new(Sampling::at(write.temperature));
        let (stop, max_tokens) = (Arc::clone(&scribe.stop), write.max_tokens);
        let what = Wanted::Completions(Continue { prompt, samples: 1, seed, sampling, stop, max_tokens });
        let checkpoint = Arc::clone(&scribe.checkpoint);
        let pending = Pending { task, want, purpose: Purpose::Write { scribe }, unit: Unit::Answer };
        self.ask(checkpoint, what, pending)
    }

    fn scribe(&mut self, write: &Write) -> Result<Arc<Scribe>, ForestError> {
        let key = Scribe::key(write);
        if let Some(known) = self.scribes.get(&key) {
            return Ok(Arc::clone(known));
        }
        let scribe = Arc::new(Scribe::open(self.forest, write)?);
        self.scribes.insert(key, Arc::clone(&scribe));
        Ok(scribe)
    }

    /// What was written, without what ended it.
    pub(super) fn written(
        &self,
        scribe: &Scribe,
        made: &[Completion],
    ) -> Result<Result<Written, Verdict>, EngineError> {
        let Some(Completion { tokens, .. }) = made.first() else {
            return Ok(Err(Verdict::new(Outcome::Error, "the model wrote nothing")));
        };
        let cost = tokens.len() as u64;
        self.forest.meter.add(0, cost);
        let mut text = scribe.codec.decode(tokens)?;
        if let Some(end) = scribe.until.as_ref().and_then(|until| text.find(until)) {
            text.truncate(end);
        }
        Ok(Ok(Written { text: text.trim().to_owned(), cost }))
    }
}

/// The tokens of the filled-in template.
fn prompt(scribe: &Scribe, write: &Write, shown: &BTreeMap<Blank, String>) -> Result<Vec<u32>, Verdict> {
    let failed = |reason: String| Verdict::new(Outcome::Error, reason);
    let template = Template::parse(&write.ask).map_err(|error| failed(error.to_string()))?;
    let text = template.filled(|blank| shown.get(&blank).cloned().unwrap_or_default());
    let tokens = if write.chat {
        scribe.codec.conversation(&[ChatMessage::new("user", text.as_str())])
    } else {
        scribe.codec.encode(&text)
    };
    tokens.map_err(|error| failed(format!("the template cannot be written in tokens: {}", ErrorChain::new(&error))))
}

//! Roles that a curation asks which of two answers is better: by their last hidden state under masks, through the job's engine.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use galapagos_domain::ids::Name;
use galapagos_domain::recipe::Head;
use galapagos_domain::recipe::verify::Dropout;
use galapagos_telemetry::ErrorChain;

use super::meter::Meter;
use crate::engine::stream::{Asked, Given, Wanted};
use crate::engine::{EngineError, EngineHandle};
use crate::operators::{Estimate, Joined, OperatorError};
use crate::search::Critic;

/// See the head of this file.
pub(super) struct Estimators<'a> {
    pub(super) engine: &'a EngineHandle,
    pub(super) critics: BTreeMap<Name, Critic>,
    pub(super) meter: &'a Meter,
}

impl Estimators<'_> {
    fn ask(&self, critic: &Critic, texts: Vec<Joined>, dropout: Dropout) -> Result<Vec<Given>, EngineError> {
        let stream = self.engine.stream(self.meter.glance())?;
        let (count, mut early) = (texts.len(), VecDeque::new());
        for (id, text) in (0..).zip(texts) {
            let from = if critic.shots { 0 } else { text.prefix };
            let (tokens, seed) = (text.tokens[from..].to_vec(), text.seed);
            let what = Wanted::Masked { tokens, dropout, seed };
            stream.ask(Asked { id, checkpoint: Arc::clone(&critic.checkpoint), what }, &mut early)?;
        }
        let mut given: Vec<(u64, Given)> = early.into();
        while given.len() < count {
            given.push(stream.answer()?);
        }
        stream.finish()?;
        given.sort_by_key(|(id, _)| *id);
        Ok(given.into_iter().map(|(_, given)| given).collect())
    }
}

impl Estimate for Estimators<'_> {
    fn under_masks(
        &self,
        role: &Name,
        texts: Vec<Joined>,
        dropout: Dropout,
    ) -> Result<Vec<Option<Vec<f64>>>, OperatorError> {
        let failed =
            |reason: String, transient: bool| OperatorError::Certainty { role: role.clone(), reason, transient };
        let critic =
            self.critics.get(role).ok_or_else(|| failed("the job brought no weights for it".to_owned(), false))?;
        if critic.head != Head::Classes(2) {
            return Err(failed(format!("its head is {}, and two classes are asked for", critic.head), false));
        }
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        let given = self.ask(critic, texts, dropout).map_err(|error| match error {
            EngineError::Cancelled => OperatorError::Cancelled,
            error => {
                let transient = error.class() == galapagos_domain::job::FailureClass::Transient;
                failed(ErrorChain::new(&error).to_string(), transient)
            }
        })?;
        let read = |given: Given| match given {
            Given::Numbers(numbers) => {
                let second = |pair: &[f32]| 1.0 / (1.0 + (f64::from(pair[0]) - f64::from(pair[1])).exp());
                Ok(Some(numbers.chunks_exact(2).map(second).collect()))
            }
            // Too long for the role.
            Given::Refused(_) => Ok(None),
            Given::Completions(_) => Err(failed("it gave texts where numbers were asked for".to_owned(), false)),
        };
        given.into_iter().map(read).collect()
    }
}

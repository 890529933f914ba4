//! New weights while requests run. Old weights stay until the last request that began with them has ended.

use std::sync::Arc;

use super::event::Event;
use super::ids::WeightVersion;
use super::sample::{Sample, Work};
use super::{Engine, EngineError};
use crate::Decoder;
use crate::compute::Doing;
use crate::inference::InferenceModel;

/// What becomes of requests that have begun when new weights come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwapPolicy {
    /// They go on with the weights they began with.
    Finish,
    /// They begin again with the new weights; see [`Event::Restarted`].
    Restart,
}

impl Engine {
    /// Requests begin with the weights of `model` from now on. What was computed with the old ones is never used for them.
    ///
    /// # Errors
    /// [`EngineError::OtherShape`] for a model of another shape, [`EngineError::Compute`] when libtorch cannot hold the copy; then
    /// nothing has changed.
    pub fn swap(&mut self, model: &Decoder, policy: SwapPolicy) -> Result<WeightVersion, EngineError> {
        let _no_gradients = tch::no_grad_guard();
        if *model.config() != self.config {
            return Err(EngineError::OtherShape { what: "the configuration" });
        }
        let copy = InferenceModel::new(model, self.options.precision, Arc::clone(&self.pool));
        let copy = copy.doing("a copy of the new weights")?;
        self.current = WeightVersion(self.current.0 + 1);
        self.models.insert(self.current, copy);
        if let Some(draft) = self.draft.as_mut().filter(|_| policy == SwapPolicy::Restart) {
            draft.forget_all();
        }
        for id in self.scheduler.swap(self.current, policy == SwapPolicy::Restart) {
            match self.works.get_mut(&id) {
                Some(Work::Sample(sample)) if sample.made() > 0 => {
                    let (request, index) = (sample.request, sample.index);
                    let fresh = Sample::new(request, index, &sample.asked);
                    **sample = fresh;
                    self.events.push(Event::Restarted { request, sample: index });
                }
                Some(Work::Score(score)) => score.restart(),
                Some(Work::Sample(_)) | None => {}
            }
        }
        self.clean();
        Ok(self.current)
    }

    /// Drops weights, adapters and cached pages that no request can ask for any more.
    pub(super) fn clean(&mut self) {
        self.adapters.clean(&|id| self.scheduler.uses(id));
        let needed = self.scheduler.clean(&|id| self.adapters.holds(id));
        self.models.retain(|version, _| needed.binary_search(version).is_ok());
    }
}

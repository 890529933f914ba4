//! Low-rank adapters that requests choose from: registered, applied to the rows of a step, and given up when nobody needs them.

use std::collections::BTreeMap;

use super::ids::AdapterId;
use super::layout::Layout;
use super::{Engine, EngineError};
use crate::lora::{Adapter, AdapterRange, AppliedAdapter};

/// The adapters of an engine.
#[derive(Debug, Default)]
pub(super) struct Adapters {
    /// Those that requests may name, and those that only running ones still need.
    known: BTreeMap<AdapterId, Known>,
    next: u32,
}

#[derive(Debug)]
struct Known {
    applied: AppliedAdapter,
    removed: bool,
}

impl Adapters {
    /// Whether requests may name it.
    pub(super) fn offers(&self, id: AdapterId) -> bool {
        self.known.get(&id).is_some_and(|known| !known.removed)
    }

    /// Whether its weights are here.
    pub(super) fn holds(&self, id: AdapterId) -> bool {
        self.known.contains_key(&id)
    }

    /// Whether some are here only for requests that run.
    pub(super) fn any_removed(&self) -> bool {
        self.known.values().any(|known| known.removed)
    }

    /// Drops those that were removed and that `used` says nobody uses.
    pub(super) fn clean(&mut self, used: &dyn Fn(AdapterId) -> bool) {
        self.known.retain(|id, known| !known.removed || used(*id));
    }

    /// Which rows of a step have which adapter.
    pub(super) fn ranges(&self, layout: &Layout) -> Vec<AdapterRange<'_>> {
        let range = |(adapter, rows): &(Option<AdapterId>, std::ops::Range<usize>)| {
            let known = self.known.get(&(*adapter)?)?;
            Some(AdapterRange { rows: rows.clone(), adapter: &known.applied })
        };
        layout.adapters.iter().filter_map(range).collect()
    }
}

impl Engine {
    /// Lets requests name an adapter of the engine's base: a copy of its weights is added to the base's rows of those requests, also
    /// after a swap of the base. Any number of them run in one batch.
    ///
    /// # Errors
    /// [`EngineError::Adapter`] when it is not an adapter of this base.
    pub fn add_adapter(&mut self, adapter: &Adapter) -> Result<AdapterId, EngineError> {
        let _no_gradients = tch::no_grad_guard();
        let model = &self.models[&self.current];
        let applied =
            model.adapter(adapter, &self.pool).map_err(|source| EngineError::Adapter { source: Box::new(source) })?;
        let id = AdapterId(self.adapters.next);
        self.adapters.next += 1;
        self.adapters.known.insert(id, Known { applied, removed: false });
        Ok(id)
    }

    /// Refuses new requests for an adapter; those in the engine finish with it. False if there is none of this id.
    pub fn remove_adapter(&mut self, id: AdapterId) -> bool {
        let offered = self.adapters.offers(id);
        if let Some(known) = self.adapters.known.get_mut(&id) {
            known.removed = true;
        }
        self.clean();
        offered
    }
}

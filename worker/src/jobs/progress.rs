//! Searches of a job under way, kept in the artifact store now and then: an attempt that is lost costs what was searched since, and
//! another one on any worker goes on from the last whole batch of every tree. The output is the same as without.

use std::collections::BTreeMap;

use galapagos_domain::ids::{Digest, JobId};
use galapagos_domain::job::JobSpec;
use galapagos_telemetry::{ErrorChain, clock};

use super::{Workshop, kept};
use crate::search::{Keeper, Kept, Origin};

/// Of the time that passes, at most one part in so many goes into keeping.
const SHARE: u64 = 20;

/// The keeper of one attempt.
pub(super) struct Progress<'a> {
    shop: &'a Workshop,
    job: &'a JobId,
    spec: Digest,
    origins: &'a [Origin],
    /// Milliseconds of the monotonic clock.
    next: u64,
}

impl<'a> Progress<'a> {
    /// Of the searches whose trees are called as `origins` say, in order of the tasks.
    pub(super) fn new(shop: &'a Workshop, job: &'a JobSpec, origins: &'a [Origin]) -> Self {
        let text = serde_json::to_vec(&(&job.kind, job.seed)).unwrap_or_default();
        let next = clock::monotonic_ms() + shop.keep_every_ms;
        Self { shop, job: &job.id, spec: Digest::of(&text), origins, next }
    }

    /// What an earlier attempt kept, by the place of the task; nothing if it cannot be used, which is told and costs only time.
    pub(super) fn begun(&self) -> BTreeMap<usize, Kept> {
        let read = self.shop.runtime.block_on(self.shop.store.progress(self.job));
        let bytes = match read {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return BTreeMap::new(),
            Err(error) => return self.unusable(&ErrorChain::new(&error).to_string()),
        };
        match kept::decode(bytes, self.spec, self.origins) {
            Ok(begun) => {
                tracing::info!("{} goes on from {} trees", self.job, begun.len());
                begun
            }
            Err(error) => self.unusable(&ErrorChain::new(&error).to_string()),
        }
    }

    fn unusable(&self, problem: &str) -> BTreeMap<usize, Kept> {
        tracing::warn!("what an earlier attempt of {} kept cannot be used, it begins anew: {problem}", self.job);
        BTreeMap::new()
    }

    fn write(&self, searches: &BTreeMap<usize, Kept>) -> Result<(), Box<galapagos_artifacts::Error>> {
        let (bytes, _) = kept::encode(self.spec, self.origins, searches.iter().map(|(place, kept)| (*place, kept)))?;
        self.shop.runtime.block_on(self.shop.store.save_progress(self.job, bytes)).map_err(Box::new)
    }
}

impl Keeper for Progress<'_> {
    fn due(&mut self) -> bool {
        clock::monotonic_ms() >= self.next
    }

    fn keep(&mut self, searches: &BTreeMap<usize, Kept>) {
        let began = clock::monotonic_ms();
        if !searches.is_empty()
            && let Err(error) = self.write(searches)
        {
            // The attempt itself is none the worse.
            tracing::warn!("the searches of {} could not be kept: {}", self.job, ErrorChain::new(error.as_ref()));
        }
        let now = clock::monotonic_ms();
        self.next = now + self.shop.keep_every_ms.max((now - began) * SHARE);
    }
}

/// Drops what was kept: the output is known.
pub(super) fn forget(shop: &Workshop, job: &JobId) {
    if let Err(error) = shop.runtime.block_on(shop.store.drop_progress(job)) {
        tracing::warn!("the kept searches of {job} could not be dropped: {}", ErrorChain::new(&error));
    }
}

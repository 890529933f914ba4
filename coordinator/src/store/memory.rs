//! A store in memory, for tests of what stands above it. It can be told to fail.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;
use galapagos_domain::fence::LeaderEpoch;

use super::{Entry, MetaStore, StoreError};

/// The map and the term.
#[derive(Debug, Default)]
pub(crate) struct MemoryStore(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    term: u64,
    values: BTreeMap<String, Vec<u8>>,
    full: bool,
}

impl MemoryStore {
    /// From now on every commit fails as on a full disk.
    pub(crate) fn fill(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).full = true;
    }
}

impl MetaStore for MemoryStore {
    fn start_term(&self) -> BoxFuture<'_, Result<LeaderEpoch, StoreError>> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.term += 1;
        futures::future::ok(LeaderEpoch(inner.term)).boxed()
    }

    fn load(&self) -> BoxFuture<'_, Result<Vec<Entry>, StoreError>> {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all = inner.values.clone().into_iter().map(|(key, value)| Entry { key, value });
        futures::future::ok(all.collect()).boxed()
    }

    fn commit(&self, term: LeaderEpoch, puts: Vec<Entry>) -> BoxFuture<'_, Result<(), StoreError>> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.full {
            let source = Box::new(redb::Error::Io(io::ErrorKind::StorageFull.into()));
            return futures::future::err(StoreError::Full { path: PathBuf::from("memory"), source }).boxed();
        }
        if term.0 != inner.term {
            let newest = LeaderEpoch(inner.term);
            return futures::future::err(StoreError::Deposed { term, newest }).boxed();
        }
        inner.values.extend(puts.into_iter().map(|put| (put.key, put.value)));
        futures::future::ok(()).boxed()
    }
}

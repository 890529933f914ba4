//! The metadata store: a small ordered map that survives every crash. It knows nothing of what the values mean.
//!
//! The contract, checked by one suite on every implementation: a commit is all or nothing; it is durable once it returned
//! `Ok`; only the newest term may commit; terms grow with every start.

#[cfg(test)]
mod contract;
pub(crate) mod embedded;
#[cfg(test)]
pub(crate) mod memory;

use std::fmt::Debug;
use std::io;
use std::path::PathBuf;

use futures::future::BoxFuture;
use galapagos_domain::fence::LeaderEpoch;

/// A key and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub key: String,
    pub value: Vec<u8>,
}

/// Where a coordinator keeps its decisions.
pub(crate) trait MetaStore: Debug + Send + Sync {
    /// Starts a new term: durably the highest so far plus one, the first being 1. Commits of earlier terms are refused
    /// from then on.
    fn start_term(&self) -> BoxFuture<'_, Result<LeaderEpoch, StoreError>>;

    /// Everything, in order of key.
    fn load(&self) -> BoxFuture<'_, Result<Vec<Entry>, StoreError>>;

    /// Writes all of `puts` or nothing, durably, if `term` is the newest. The last of several puts of one key stays.
    fn commit(&self, term: LeaderEpoch, puts: Vec<Entry>) -> BoxFuture<'_, Result<(), StoreError>>;
}

/// The store refused or failed. After a failed commit nothing of it is to be believed written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the store folder {} cannot be made or written", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error(
        "the store {} is in use by another coordinator{}; stop that one, or choose another folder",
        path.display(),
        holder.map_or_else(String::new, |pid| format!(" (process {pid})"))
    )]
    InUse { path: PathBuf, holder: Option<u32> },
    #[error(
        "the store {} has format version {found}, but this program reads up to version {supported}; \
         start the newer Galapagos that wrote it, or choose another folder",
        path.display()
    )]
    Newer { path: PathBuf, found: u64, supported: u64 },
    #[error("the store {} cannot be opened; if it is not a Galapagos store, choose another folder", path.display())]
    Open { path: PathBuf, source: Box<redb::Error> },
    #[error("no space left for the store {}; free some space and start again, nothing acknowledged is lost", path.display())]
    Full { path: PathBuf, source: Box<redb::Error> },
    #[error("the store {} cannot be read", path.display())]
    Read { path: PathBuf, source: Box<redb::Error> },
    #[error("the store {} cannot be written", path.display())]
    Write { path: PathBuf, source: Box<redb::Error> },
    #[error("a newer coordinator (term {newest}) took over the store; this one (term {term}) must not write any more", newest = newest.0, term = term.0)]
    Deposed { term: LeaderEpoch, newest: LeaderEpoch },
    #[error("the program was ending while the store {} was at work", path.display())]
    Interrupted { path: PathBuf },
}

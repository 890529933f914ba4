//! The store in one file of a folder (redb). Every commit is synced to the disk before it returns; the file's lock keeps a
//! second coordinator out; a file of a newer format is refused untouched.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use galapagos_domain::fence::LeaderEpoch;
use redb::{
    Database, DatabaseError, Durability, ReadableDatabase, ReadableTable, TableDefinition, TableError, WriteTransaction,
};

use super::{Entry, MetaStore, StoreError};

/// Format of the file: which tables it has and what their keys mean.
const FORMAT_VERSION: u64 = 1;

const FILE: &str = "cluster.redb";
const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
const RECORDS: TableDefinition<&str, &[u8]> = TableDefinition::new("records");
const FORMAT_KEY: &str = "format_version";
const TERM_KEY: &str = "leader_epoch";

/// An open store; closing the process by any means gives the lock back.
#[derive(Debug, Clone)]
pub(crate) struct EmbeddedStore {
    path: PathBuf,
    database: Arc<Database>,
}

impl EmbeddedStore {
    /// Opens the store in `folder`, making both if missing.
    ///
    /// # Errors
    /// If another process has it open, it is of a newer format, or the disk fails.
    pub(crate) fn open(folder: &Path) -> Result<Self, StoreError> {
        let no_folder = |source| StoreError::Folder { path: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(no_folder)?;
        let path = folder.join(FILE);
        let database = match Database::create(&path) {
            Ok(database) => database,
            Err(DatabaseError::DatabaseAlreadyOpen) => return Err(StoreError::InUse { path, holder: None }),
            Err(error) => return Err(opening(path, error.into())),
        };
        let store = Self::with(path, database)?;
        // The file's name must survive a power cut as its bytes do.
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(no_folder)?;
        Ok(store)
    }

    fn with(path: PathBuf, database: Database) -> Result<Self, StoreError> {
        let found = match format(&database) {
            Ok(found) => found,
            Err(error) => return Err(opening(path, error)),
        };
        match found {
            Some(found) if found > FORMAT_VERSION => Err(StoreError::Newer { path, found, supported: FORMAT_VERSION }),
            Some(_) => Ok(Self { path, database: Arc::new(database) }),
            None => match create_tables(&database) {
                Ok(()) => Ok(Self { path, database: Arc::new(database) }),
                Err(error) => Err(opening(path, error)),
            },
        }
    }

    /// Runs blocking work where it may block.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Database, &Path) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let Self { path, database } = self.clone();
        let place = path.clone();
        match tokio::task::spawn_blocking(move || work(&database, &path)).await {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_cancelled) => Err(StoreError::Interrupted { path: place }),
            },
        }
    }
}

impl MetaStore for EmbeddedStore {
    fn start_term(&self) -> BoxFuture<'_, Result<LeaderEpoch, StoreError>> {
        self.blocking(|database, path| start_term(database).map_err(|error| writing(path, error))).boxed()
    }

    fn load(&self) -> BoxFuture<'_, Result<Vec<Entry>, StoreError>> {
        self.blocking(|database, path| {
            load(database).map_err(|source| StoreError::Read { path: path.to_owned(), source: Box::new(source) })
        })
        .boxed()
    }

    fn commit(&self, term: LeaderEpoch, puts: Vec<Entry>) -> BoxFuture<'_, Result<(), StoreError>> {
        self.blocking(move |database, path| match commit(database, term, &puts) {
            Ok(None) => Ok(()),
            Ok(Some(newest)) => Err(StoreError::Deposed { term, newest }),
            Err(error) => Err(writing(path, error)),
        })
        .boxed()
    }
}

/// The format of a file that has one; `None` for a file made just now.
fn format(database: &Database) -> Result<Option<u64>, redb::Error> {
    let read = database.begin_read()?;
    match read.open_table(META) {
        Ok(meta) => Ok(meta.get(FORMAT_KEY)?.map(|value| value.value())),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn create_tables(database: &Database) -> Result<(), redb::Error> {
    let write = begin(database)?;
    write.open_table(META)?.insert(FORMAT_KEY, FORMAT_VERSION)?;
    write.open_table(RECORDS)?;
    Ok(write.commit()?)
}

fn start_term(database: &Database) -> Result<LeaderEpoch, redb::Error> {
    let write = begin(database)?;
    let term = {
        let mut meta = write.open_table(META)?;
        let term = meta.get(TERM_KEY)?.map_or(0, |value| value.value()) + 1;
        meta.insert(TERM_KEY, term)?;
        term
    };
    write.commit()?;
    Ok(LeaderEpoch(term))
}

fn load(database: &Database) -> Result<Vec<Entry>, redb::Error> {
    let read = database.begin_read()?;
    let records = read.open_table(RECORDS)?;
    let mut all = Vec::new();
    for entry in records.iter()? {
        let (key, value) = entry?;
        all.push(Entry { key: key.value().to_owned(), value: value.value().to_vec() });
    }
    Ok(all)
}

/// Commits, or tells the newest term when `term` is not it.
fn commit(database: &Database, term: LeaderEpoch, puts: &[Entry]) -> Result<Option<LeaderEpoch>, redb::Error> {
    let write = begin(database)?;
    let newest = write.open_table(META)?.get(TERM_KEY)?.map_or(0, |value| value.value());
    if newest != term.0 {
        return Ok(Some(LeaderEpoch(newest)));
    }
    {
        let mut records = write.open_table(RECORDS)?;
        for put in puts {
            records.insert(put.key.as_str(), put.value.as_slice())?;
        }
    }
    write.commit()?;
    Ok(None)
}

fn begin(database: &Database) -> Result<WriteTransaction, redb::Error> {
    let mut write = database.begin_write()?;
    write.set_durability(Durability::Immediate)?;
    Ok(write)
}

fn opening(path: PathBuf, error: redb::Error) -> StoreError {
    let source = Box::new(error);
    if is_full(&source) { StoreError::Full { path, source } } else { StoreError::Open { path, source } }
}

fn writing(path: &Path, error: redb::Error) -> StoreError {
    let (path, source) = (path.to_owned(), Box::new(error));
    if is_full(&source) { StoreError::Full { path, source } } else { StoreError::Write { path, source } }
}

fn is_full(error: &redb::Error) -> bool {
    let redb::Error::Io(error) = error else { return false };
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
#[path = "embedded_tests.rs"]
mod tests;

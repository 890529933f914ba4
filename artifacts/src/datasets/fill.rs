//! Fills in what a recipe's data sets are: reads their files, and notes the digests of the rows in the recipe. The rows stay here until
//! somebody stores them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bytes::Bytes;
use galapagos_domain::artifact::ArtifactRef;
use galapagos_domain::ids::{Digest, Name};
use galapagos_domain::recipe::Recipe;
use galapagos_domain::recipe::path::Path as Place;
use galapagos_domain::recipe::tasks::TaskSet;
use galapagos_domain::recipe::tasks::files::{Longest, RowCounts, Stored};
use galapagos_domain::recipe::validate::BrokenRule;
use galapagos_domain::task::dataset::{Assembled, Notes, Row, encode};

use crate::{ArtifactStore, Error};

/// Reads data sets, and keeps their rows.
#[derive(Debug, Default)]
pub struct Shelves {
    /// The recipe's folder: paths are relative to it.
    root: PathBuf,
    tables: BTreeMap<Digest, Bytes>,
    /// Of every data set that was read: what people should know.
    notes: Vec<(Name, Notes)>,
    /// Files that the recipe names by digest and that were not read here.
    named: Vec<(Name, ArtifactRef)>,
    /// Whether a data set that is not there is taken to have the rows that the recipe names.
    planning: bool,
    absent: Vec<Name>,
}

impl Shelves {
    /// Nothing read yet.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), ..Self::default() }
    }

    /// For a plan that nobody runs: data sets that are not there have as many rows as the recipe names, and nothing in them.
    #[must_use]
    pub fn for_planning(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), planning: true, ..Self::default() }
    }

    /// The data sets that were not there.
    #[must_use]
    pub fn absent(&self) -> &[Name] {
        &self.absent
    }

    /// Reads every data set of a recipe that has not been read, and says what cannot be used.
    pub fn fill(&mut self, recipe: &mut Recipe) -> Vec<BrokenRule> {
        let mut broken = Vec::new();
        for (name, set) in &mut recipe.tasks {
            let TaskSet::Files(files) = set else { continue };
            if let Some(stored) = &files.stored {
                self.named.extend(stored.all().into_iter().map(|file| (name.clone(), file.clone())));
                continue;
            }
            if let Some(rows) = files.rows.filter(|_| self.planning && !self.root.join(&files.path).exists()) {
                self.absent.push(name.clone());
                files.stored = Some(declared(rows));
                continue;
            }
            match super::load(files, &self.root) {
                Ok(made) => {
                    self.notes.push((name.clone(), made.notes));
                    files.stored = Some(self.keep(&made));
                }
                Err(fault) => {
                    let path = Place::root().key("tasks").key(name).key("files").key(fault.field);
                    broken.push(BrokenRule { path, message: fault.to_string(), help: Some(fault.help) });
                }
            }
        }
        broken
    }

    fn keep(&mut self, made: &Assembled) -> Stored {
        let mut put = |rows: &[Row]| {
            let bytes = Bytes::from(encode(rows));
            let digest = Digest::of(&bytes);
            let artifact = ArtifactRef { digest, bytes: bytes.len() as u64, rows: rows.len() as u64 };
            self.tables.insert(digest, bytes);
            artifact
        };
        Stored {
            train: put(&made.train),
            val: put(&made.val),
            test: put(&made.test),
            shots: put(&made.shots),
            longest: made.longest,
            characters: made.characters.clone(),
        }
    }

    /// The rows that were read, by digest.
    #[must_use]
    pub fn tables(&self) -> &BTreeMap<Digest, Bytes> {
        &self.tables
    }

    /// What people should know of the data sets that were read.
    #[must_use]
    pub fn notes(&self) -> &[(Name, Notes)] {
        &self.notes
    }

    /// Whether a recipe has data sets at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty() && self.named.is_empty()
    }

    /// Stores the rows that were read, and makes sure that those which the recipe names by digest are there.
    ///
    /// # Errors
    /// Those of the store; [`Error::Absent`] for rows that are neither here nor there.
    pub async fn store(&self, store: &ArtifactStore) -> Result<(), Error> {
        for bytes in self.tables.values() {
            let rows = bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
            store.put(bytes.clone(), rows).await?;
        }
        for (_, file) in &self.named {
            if store.length(&file.digest).await?.is_none() {
                return Err(Error::Absent { digest: file.digest });
            }
        }
        Ok(())
    }
}

/// Rows that are counted and not there.
fn declared(rows: RowCounts) -> Stored {
    let file = |rows: u32| ArtifactRef { digest: Digest::of(b""), bytes: 0, rows: u64::from(rows) };
    Stored {
        train: file(rows.train),
        val: file(rows.val),
        test: file(rows.test),
        shots: file(0),
        longest: Longest::default(),
        characters: String::new(),
    }
}

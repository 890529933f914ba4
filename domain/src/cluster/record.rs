//! What is durable: one record per key of the metadata store. A cluster state is rebuilt from its records alone.

use serde::{Deserialize, Serialize};

use super::evolution::Evolution;
use super::job::Job;
use super::roster::KnownWorker;
use super::round::Round;
use crate::fence::Mint;

/// One durable value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    Mint(Mint),
    Evolution(Box<Evolution>),
    Job(Box<Job>),
    Round(Box<Round>),
    Worker(KnownWorker),
}

impl Record {
    /// The store key, for example `job/quickstart-1/g1/samples/0`.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::Mint(_) => "mint".to_owned(),
            Self::Evolution(e) => format!("evolution/{}", e.id),
            Self::Job(j) => format!("job/{}", j.spec.id),
            Self::Round(r) => format!("round/{}", r.spec.id),
            Self::Worker(w) => format!("worker/{}", w.id),
        }
    }
}

/// One write of a transaction.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    Put(Record),
}

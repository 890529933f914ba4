//! The artifact store: immutable files named by the BLAKE3 digest of their bytes.
//!
//! `store` puts and gets blobs, `checkpoint` maps Hugging Face folders to blobs and back, `delta` writes a child's weights as their
//! difference to its parent's, `trajectories` (feature) is the documented Parquet table of trajectories, `trees` that of search trees,
//! `tables` writes plain tables of
//! whole numbers beside it, `datasets` (feature) reads people's data sets. Every read is checked against its digest: wrong bytes are an error, never a
//! result. Which artifacts exist in the sense of the cluster is decided by the metadata store, not here.
#![forbid(unsafe_code)]

pub mod checkpoint;
#[cfg(feature = "datasets")]
pub mod datasets;
pub mod delta;
mod error;
mod hashing;
mod store;
#[cfg(feature = "trajectories")]
pub mod tables;
#[cfg(feature = "trajectories")]
pub mod trajectories;
#[cfg(feature = "trajectories")]
pub mod trees;

pub use error::Error;
pub use hashing::{Checks, checks};
pub use store::ArtifactStore;

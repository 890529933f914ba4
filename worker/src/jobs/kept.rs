//! Tables of searches between two batches: trees, and what a search knows beside its tree. An attempt keeps its own now and then
//! (`progress`), and jobs that grow one tree hand it on (`grow`).

use std::collections::BTreeMap;

use bytes::Bytes;
use galapagos_artifacts::trees;
use galapagos_domain::ids::Digest;
use galapagos_domain::trajectory::Audit;
use galapagos_domain::tree::TreeNode;
use serde::{Deserialize, Serialize};

use crate::search::{Kept, Origin, Standing, records, tree_of};

/// What a table of kept trees says beside them.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    /// Digest of what was specified: another specification would make other trees.
    spec: Digest,
    /// One for each tree, in order.
    standings: Vec<Standing>,
    /// What each heard of its evaluators.
    heard: Vec<Audit>,
}

/// Why a table is not what one goes on from.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    #[error("it cannot be read")]
    Table(#[source] Box<galapagos_artifacts::Error>),
    #[error("its note cannot be read")]
    Note(#[source] serde_json::Error),
    #[error("it belongs to another specification")]
    Specification,
    #[error("it has {trees} trees and notes on {notes}")]
    Notes { trees: usize, notes: usize },
    #[error("the job has no tree {0}")]
    NoTree(String),
    #[error("a tree in it is damaged: {0}")]
    Tree(String),
}

/// The table of searches by the place of their task, and how many nodes it has.
///
/// # Errors
/// [`galapagos_artifacts::Error`] if it cannot be written.
pub(super) fn encode<'a>(
    spec: Digest,
    origins: &[Origin],
    searches: impl Iterator<Item = (usize, &'a Kept)>,
) -> Result<(Bytes, u64), Box<galapagos_artifacts::Error>> {
    let (mut nodes, mut standings, mut heard): (Vec<TreeNode>, _, _) = (Vec::new(), Vec::new(), Vec::new());
    for (place, kept) in searches {
        nodes.extend(records(&kept.tree, &origins[place], &[]));
        standings.push(kept.standing.clone());
        heard.push(kept.heard.clone());
    }
    let note = serde_json::to_string(&Note { spec, standings, heard }).unwrap_or_default();
    Ok((trees::encode(&nodes, Some(&note))?, nodes.len() as u64))
}

/// The searches of a table by the place of their task; `origins` has the names of the job's trees.
///
/// # Errors
/// [`KeptError`] if it belongs to something else, or is damaged.
pub(super) fn decode(bytes: Bytes, spec: Digest, origins: &[Origin]) -> Result<BTreeMap<usize, Kept>, KeptError> {
    let (nodes, note) = trees::decode(bytes).map_err(|error| KeptError::Table(Box::new(error)))?;
    let note: Note = serde_json::from_str(note.as_deref().unwrap_or_default()).map_err(KeptError::Note)?;
    if note.spec != spec {
        return Err(KeptError::Specification);
    }
    let trees: Vec<&[TreeNode]> = nodes.chunk_by(|a, b| a.tree == b.tree).collect();
    for notes in [note.standings.len(), note.heard.len()] {
        if trees.len() != notes {
            return Err(KeptError::Notes { trees: trees.len(), notes });
        }
    }
    let mut searches = BTreeMap::new();
    for ((records, standing), heard) in trees.into_iter().zip(note.standings).zip(note.heard) {
        let name = &records[0].tree;
        let place = origins.iter().position(|origin| origin.tree() == *name);
        let place = place.ok_or_else(|| KeptError::NoTree(name.clone()))?;
        searches.insert(place, Kept { tree: tree_of(records).map_err(KeptError::Tree)?, standing, heard });
    }
    Ok(searches)
}

//! The end of a rank's work: the digest of its weights, and from rank 0 the checkpoint, uploaded before it is named. Whether the
//! votes agree is the coordinator's to decide.

use std::io;
use std::path::Path;

use galapagos_artifacts::{ArtifactStore, checkpoint};
use galapagos_domain::ids::Digest;
use galapagos_domain::round::Vote;
use galapagos_model::{Decoder, ModelFolder, Tokenizer};
use tempfile::TempDir;

use crate::RankError;

/// Mean of the last tenth of `losses`, rounded up to a whole number of steps.
#[must_use]
pub fn final_loss(losses: &[f64]) -> f64 {
    let last = &losses[losses.len() - losses.len().div_ceil(10)..];
    last.iter().sum::<f64>() / last.len() as f64
}

/// Writes the model as a folder inside `cache`, which is removed when the result is dropped.
///
/// # Errors
/// If the folder cannot be written.
pub fn save(model: &Decoder, tokenizer: &Tokenizer, cache: &Path) -> Result<TempDir, RankError> {
    let folder = unfinished_folder(cache)
        .map_err(|source| RankError::Io { what: format!("make a folder in {}", cache.display()), source })?;
    ModelFolder::save(folder.path(), model, tokenizer)
        .map_err(|source| RankError::Folder { what: "save the trained model".to_owned(), source: Box::new(source) })?;
    Ok(folder)
}

/// Uploads a saved model whose tensors hash to `weights`; returns the checkpoint's digest.
///
/// # Errors
/// If the store cannot take it.
pub async fn upload(folder: &TempDir, weights: Digest, store: &ArtifactStore) -> Result<Digest, RankError> {
    let failed =
        |source| RankError::Artifact { what: "upload the trained checkpoint".to_owned(), source: Box::new(source) };
    checkpoint::upload(store, folder.path(), weights).await.map_err(failed)
}

fn unfinished_folder(cache: &Path) -> io::Result<TempDir> {
    std::fs::create_dir_all(cache)?;
    tempfile::Builder::new().prefix("unfinished-").tempdir_in(cache)
}

/// The vote of a rank that did `losses.len()` steps.
#[must_use]
pub fn vote(weights: Digest, checkpoint: Option<Digest>, losses: &[f64], left_out: u64) -> Vote {
    Vote { weights, checkpoint, steps: losses.len() as u64, final_loss: final_loss(losses), left_out }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_final_loss_is_that_of_the_last_tenth() {
        let losses: Vec<f64> = (0..20).map(f64::from).collect();
        assert_eq!(final_loss(&losses), 18.5);
        assert_eq!(final_loss(&losses[..11]), 9.5);
        assert_eq!(final_loss(&losses[..1]), 0.0);
    }
}

//! The end of a rank's work: the digest of its weights, and from rank 0 the checkpoint, uploaded before it is named. Whether the
//! votes agree is the coordinator's to decide.

use std::io;
use std::path::Path;

use galapagos_artifacts::{ArtifactStore, checkpoint};
use galapagos_domain::ids::Digest;
use galapagos_domain::round::Vote;
use galapagos_model::probe::Probe;
use galapagos_model::{ModelFolder, Tokenizer};
use tempfile::TempDir;

use crate::RankError;
use crate::subject::Subject;

/// Mean of the last tenth of `losses`, rounded up to a whole number of steps.
#[must_use]
pub fn final_loss(losses: &[f64]) -> f64 {
    if losses.is_empty() {
        return 0.0;
    }
    let last = &losses[losses.len() - losses.len().div_ceil(10)..];
    last.iter().sum::<f64>() / last.len() as f64
}

/// Writes the trained model, or its adapter alone, as a folder inside `cache`, which is removed when the result is dropped. With it goes
/// a probe: what it computes for fixed tokens, which every later load is compared with.
///
/// # Errors
/// If the folder cannot be written.
pub fn save(subject: &Subject, tokenizer: &Tokenizer, cache: &Path) -> Result<TempDir, RankError> {
    let folder = unfinished_folder(cache)
        .map_err(|source| RankError::Io { what: format!("make a folder in {}", cache.display()), source })?;
    match &subject.adapter {
        Some(adapter) => adapter
            .save(folder.path())
            .map_err(|source| RankError::Adapter { what: "save the trained adapter", source: Box::new(source) })?,
        None => ModelFolder::save(folder.path(), &subject.model, tokenizer).map_err(|source| RankError::Folder {
            what: "save the trained model".to_owned(),
            source: Box::new(source),
        })?,
    }
    let probed = Probe::of(&subject.model, subject.adapter.as_ref())
        .map_err(|source| RankError::Forward { what: "the probe of the trained model", source })?;
    probed.write(folder.path()).map_err(|source| RankError::Io {
        what: format!("write the probe into {}", folder.path().display()),
        source,
    })?;
    Ok(folder)
}

/// Uploads a saved model whose tensors hash to `weights`, as a difference to its start where that is smaller; returns the checkpoint's
/// digest. `base` is the whole model that an adapter stands on.
///
/// # Errors
/// If the store cannot take it.
pub async fn upload(
    folder: &TempDir,
    (weights, is_adapter): (Digest, bool),
    (start, base): (&Digest, &Digest),
    (store, cache): (&ArtifactStore, &Path),
) -> Result<Digest, RankError> {
    let failed =
        |source| RankError::Artifact { what: "upload the trained checkpoint".to_owned(), source: Box::new(source) };
    if is_adapter && start == base {
        return checkpoint::upload_adapter(store, folder.path(), weights, base).await.map_err(failed);
    }
    let uploaded = checkpoint::upload_child(store, folder.path(), weights, start, cache).await.map_err(failed)?;
    tracing::info!(
        whole_bytes = uploaded.whole_bytes, stored_bytes = uploaded.stored_bytes, form = ?uploaded.form,
        "stored the trained checkpoint"
    );
    Ok(uploaded.checkpoint)
}

fn unfinished_folder(cache: &Path) -> io::Result<TempDir> {
    std::fs::create_dir_all(cache)?;
    tempfile::Builder::new().prefix("unfinished-").tempdir_in(cache)
}

/// The vote of a rank whose updates had these losses, without what rank 0 adds.
#[must_use]
pub fn vote(weights: Digest, losses: &[f64], left_out: u64) -> Vote {
    Vote { left_out, ..Vote::new(weights, losses.len() as u64, final_loss(losses)) }
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

//! States of rounds under way: large, many, and of no use once a newer one is known or the round is over. Nothing outside shares
//! their bytes, so dropping one cannot take anything from a member.

use galapagos_domain::ids::RoundId;

use super::{ArtifactStore, blocking};
use crate::error::Error;

/// The place of all states.
const ROUNDS: &str = "rounds";

impl ArtifactStore {
    /// The place of the state of `round` after `step`: a store of its own in the same folder. What is put there is found there alone.
    #[must_use]
    pub fn state(&self, round: &RoundId, step: u64) -> Self {
        Self { place: format!("{ROUNDS}/{}/{step}", folder(round)).into(), ..self.clone() }
    }

    /// Drops the states of `round` after steps below `before`, or all of them. Returns how many.
    ///
    /// # Errors
    /// [`Error::File`] if a folder cannot be read or removed.
    pub async fn drop_states(&self, round: &RoundId, before: Option<u64>) -> Result<u64, Error> {
        let folder = self.root.join(ROUNDS).join(folder(round));
        blocking(move || {
            let entries = match std::fs::read_dir(&folder) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
                entries => entries.map_err(Error::file("read", &folder))?,
            };
            let mut dropped = 0;
            for entry in entries {
                let path = entry.map_err(Error::file("read", &folder))?.path();
                let step: Option<u64> = path.file_name().and_then(|name| name.to_str()?.parse().ok());
                if step.is_some_and(|step| before.is_none_or(|before| step < before)) {
                    std::fs::remove_dir_all(&path).map_err(Error::file("remove", &path))?;
                    dropped += 1;
                }
            }
            if before.is_none() {
                std::fs::remove_dir(&folder).map_err(Error::file("remove", &folder))?;
            }
            Ok(dropped)
        })
        .await
    }
}

/// Ids have slashes; no id has a plus.
fn folder(round: &RoundId) -> String {
    round.as_str().replace('/', "+")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[tokio::test]
    async fn states_are_dropped_and_nothing_else_is() {
        let root = tempfile::tempdir().unwrap();
        let store = ArtifactStore::open(root.path().to_str().unwrap()).unwrap();
        let round = |id: &str| RoundId::new(id).unwrap();
        let (first, other) = (round("a-1/g1/x"), round("a-1/g1/x/y"));
        let bytes = || Bytes::from_static(b"weights");
        let file = store.put(bytes(), 0).await.unwrap().digest;
        for (round, step) in [(&first, 5), (&first, 10), (&first, 15), (&other, 5)] {
            let state = store.state(round, step);
            assert!(state.get(&file).await.is_err(), "a state sees what is not its own");
            let source = root.path().join("source");
            std::fs::write(&source, b"weights").unwrap();
            assert_eq!(state.put_file(&source).await.unwrap().digest, file);
            assert_eq!(state.get(&file).await.unwrap(), bytes());
        }
        assert_eq!(store.drop_states(&first, Some(15)).await.unwrap(), 2);
        assert!(store.state(&first, 10).get(&file).await.is_err());
        assert!(store.state(&first, 15).get(&file).await.is_ok());
        assert_eq!(store.drop_states(&first, None).await.unwrap(), 1);
        assert_eq!(store.drop_states(&first, None).await.unwrap(), 0);
        assert!(store.state(&other, 5).get(&file).await.is_ok(), "another round lost its state");
        assert_eq!(store.get(&file).await.unwrap(), bytes());
    }
}

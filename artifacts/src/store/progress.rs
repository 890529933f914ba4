//! What a job under way has so far: one file for each job, which a later attempt goes on from. It is worth nothing once the job's
//! output is known.

use bytes::Bytes;
use galapagos_domain::ids::{Digest, JobId};
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStoreExt, PutPayload};

use super::ArtifactStore;
use crate::error::Error;

/// The place of all of them.
const JOBS: &str = "jobs";

/// Bytes of a digest, which stands before the rest.
const DIGEST: usize = 32;

impl ArtifactStore {
    /// Keeps `bytes` as the progress of `job`, instead of what was kept before; whole or not at all.
    ///
    /// # Errors
    /// [`Error::Store`] if the write fails; what was kept before is still there then.
    pub async fn save_progress(&self, job: &JobId, bytes: Bytes) -> Result<(), Error> {
        let digest = Digest::of(&bytes);
        let mut file = Vec::with_capacity(DIGEST + bytes.len());
        file.extend_from_slice(digest.bytes());
        file.extend_from_slice(&bytes);
        let put = self.objects.put(&place(job), PutPayload::from(file)).await;
        put.map(drop).map_err(|source| Error::Store { what: "store", digest, source })
    }

    /// What was kept of `job`, if anything was.
    ///
    /// # Errors
    /// [`Error::Store`] if it cannot be read, [`Error::Damaged`] if it is not what was written.
    pub async fn progress(&self, job: &JobId) -> Result<Option<Bytes>, Error> {
        let failed = |source| Error::Store { what: "read", digest: Digest::of(job.as_str().as_bytes()), source };
        let file = match self.objects.get(&place(job)).await {
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            read => read.map_err(failed)?.bytes().await.map_err(failed)?,
        };
        let body = file.slice(DIGEST.min(file.len())..);
        let (expected, found) = (file.slice(..DIGEST.min(file.len())), Digest::of(&body));
        if expected == found.bytes().as_slice() {
            return Ok(Some(body));
        }
        let mut written = [0; DIGEST];
        written[..expected.len()].copy_from_slice(&expected);
        Err(Error::Damaged { digest: Digest::from_bytes(written), found })
    }

    /// Drops what was kept of `job`.
    ///
    /// # Errors
    /// [`Error::Store`] if it cannot be removed.
    pub async fn drop_progress(&self, job: &JobId) -> Result<(), Error> {
        match self.objects.delete(&place(job)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(Error::Store { what: "remove", digest: Digest::of(job.as_str().as_bytes()), source }),
        }
    }
}

/// Ids have slashes; no id has a plus.
fn place(job: &JobId) -> ObjectPath {
    ObjectPath::from(format!("{JOBS}/{}", job.as_str().replace('/', "+")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_newest_progress_is_kept_until_it_is_dropped_and_a_damaged_one_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let store = ArtifactStore::open(root.path().to_str().unwrap()).unwrap();
        let [job, other] = ["e-1/g1/forest/0", "e-1/g1/forest/1"].map(|id| JobId::new(id).unwrap());
        assert_eq!(store.progress(&job).await.unwrap(), None);
        store.save_progress(&job, Bytes::from_static(b"one")).await.unwrap();
        store.save_progress(&job, Bytes::from_static(b"two")).await.unwrap();
        assert_eq!(store.progress(&job).await.unwrap().unwrap(), "two");
        assert_eq!(store.progress(&other).await.unwrap(), None);
        let file = root.path().join("jobs/e-1+g1+forest+0");
        std::fs::write(&file, b"short").unwrap();
        assert!(matches!(store.progress(&job).await, Err(Error::Damaged { .. })));
        store.drop_progress(&job).await.unwrap();
        store.drop_progress(&job).await.unwrap();
        assert_eq!(store.progress(&job).await.unwrap(), None);
    }
}

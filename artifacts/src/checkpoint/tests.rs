//! Checkpoints round-trip in every form, under one name, and nothing is left of those that cannot be read.

use galapagos_domain::artifact::ArtifactRef;

use super::rebuild::{Record, remember};
use super::*;
use crate::delta::tests::{numbers, write};

struct Place {
    at: tempfile::TempDir,
    store: ArtifactStore,
    cache: PathBuf,
}

impl Place {
    fn new() -> Self {
        let at = tempfile::tempdir().unwrap();
        let store = ArtifactStore::open(at.path().join("store").to_str().unwrap()).unwrap();
        let cache = at.path().join("cache");
        Self { at, store, cache }
    }

    /// A model folder whose weights are `updates` small steps from the first.
    fn model(&self, updates: u32) -> PathBuf {
        let folder = self.at.path().join(format!("model-{updates}"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("config.json"), b"{}").unwrap();
        let weights = (0..70_000u32).map(|i| (i as f32 * 0.7).sin() + 1e-5 * ((i * updates) as f32 * 1.3).sin());
        let bytes = weights.flat_map(f32::to_le_bytes).collect();
        write(&folder.join("model.safetensors"), &[("w".to_owned(), "F32", vec![200, 350], bytes)]);
        folder
    }

    async fn first(&self) -> Digest {
        upload(&self.store, &self.model(0), Digest::of(b"0")).await.unwrap()
    }

    async fn child(&self, updates: u32, parent: &Digest) -> Uploaded {
        let weights = Digest::of(updates.to_string().as_bytes());
        upload_child(&self.store, &self.model(updates), weights, parent, &self.cache).await.unwrap()
    }

    /// Checks that the checkpoint, opened in a new cache, is the model of that many updates.
    async fn check(&self, checkpoint: &Digest, updates: u32) {
        let cache = tempfile::tempdir_in(self.at.path()).unwrap();
        let folder = materialise(&self.store, checkpoint, cache.path()).await.unwrap();
        for name in ["config.json", "model.safetensors"] {
            let (found, expected) = (folder.join(name), self.model(updates).join(name));
            assert!(std::fs::read(found).unwrap() == std::fs::read(expected).unwrap(), "{name} of {updates}");
        }
        assert_eq!(names(cache.path()), [checkpoint.hex()], "only the folder is left");
    }

    fn blob(&self, digest: &Digest) -> PathBuf {
        self.store.blob_file(digest)
    }

    async fn weights_of(&self, checkpoint: &Digest) -> ArtifactRef {
        manifest(&self.store, checkpoint).await.unwrap().files["model.safetensors"].clone()
    }

    async fn record_of(&self, checkpoint: &Digest) -> Record {
        let file = self.weights_of(checkpoint).await.digest;
        serde_json::from_slice(&self.store.record(&file).await.unwrap().unwrap()).unwrap()
    }
}

fn names(folder: &Path) -> Vec<String> {
    std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
}

/// Overwrites a file that may be read-only and linked elsewhere: as damage to the disk does.
fn damage(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    change(&mut bytes);
    std::fs::remove_file(path).unwrap();
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn a_folder_round_trips_and_equal_folders_are_one_checkpoint() {
    let place = Place::new();
    let (first, again) = (place.first().await, place.first().await);
    assert_eq!(first, again);
    place.check(&first, 0).await;
    let opened = open(&place.store, &first, &place.cache).await.unwrap();
    assert_eq!(open(&place.store, &first, &place.cache).await.unwrap(), opened);
    assert_eq!(opened.manifest, manifest(&place.store, &first).await.unwrap());
}

#[tokio::test]
async fn a_manifest_cannot_write_outside_its_folder() {
    let place = Place::new();
    let blob = place.store.put(Bytes::from_static(b"x"), 0).await.unwrap();
    let files = BTreeMap::from([("../escape".to_owned(), blob.clone())]);
    let evil = CheckpointManifest { files, weights: blob.digest, base: None };
    let digest = put_manifest(&place.store, &evil).await.unwrap();
    assert!(matches!(materialise(&place.store, &digest, &place.cache).await, Err(Error::ManifestPath { .. })));
    assert!(!place.at.path().join("escape").exists());
}

#[tokio::test]
async fn a_child_has_one_name_in_both_forms() {
    let place = Place::new();
    let first = place.first().await;
    let child = place.child(1, &first).await;
    assert_eq!(child.form, Form::Delta { depth: 1 });
    assert!(child.stored_bytes * 10 < child.whole_bytes * 9, "{child:?}");
    let weights = place.weights_of(&child.checkpoint).await;
    assert!(!place.blob(&weights.digest).exists(), "it is stored as a delta alone");
    place.check(&child.checkpoint, 1).await;

    let again = place.child(1, &first).await;
    assert_eq!((again.checkpoint, again.stored_bytes, again.form), (child.checkpoint, 0, Form::Known));
    let whole = upload(&place.store, &place.model(1), Digest::of(b"1")).await.unwrap();
    assert_eq!(whole, child.checkpoint);
    assert!(place.blob(&weights.digest).exists());
    place.check(&child.checkpoint, 1).await;
}

#[tokio::test]
async fn a_child_unlike_its_parent_is_stored_whole() {
    let place = Place::new();
    let first = place.first().await;
    let folder = place.model(2);
    let noise = numbers(240_000, 9, 0);
    write(&folder.join("model.safetensors"), &[("other".to_owned(), "U8", vec![240_000], noise)]);
    let stored = upload_child(&place.store, &folder, Digest::of(b"2"), &first, &place.cache).await.unwrap();
    assert_eq!(stored.form, Form::Whole);
    assert_eq!(stored.stored_bytes, place.weights_of(&stored.checkpoint).await.bytes, "the rest is the parent's");
    let folder = materialise(&place.store, &stored.checkpoint, &place.cache).await.unwrap();
    assert!(folder.join("model.safetensors").exists());
}

#[tokio::test]
async fn a_chain_is_walked_down_to_what_is_there_and_is_bounded() {
    let place = Place::new();
    let mut line = vec![place.first().await];
    for updates in 1..=MAX_CHAIN + 1 {
        let child = place.child(updates, line.last().unwrap()).await;
        let depth = if updates > MAX_CHAIN { None } else { Some(updates) };
        assert_eq!(child.form, depth.map_or(Form::Whole, |depth| Form::Delta { depth }), "{updates}");
        line.push(child.checkpoint);
    }
    for updates in [1, 3, MAX_CHAIN, MAX_CHAIN + 1] {
        place.check(&line[updates as usize], updates).await;
    }
    // With the parent in the cache, nothing below it is read.
    let first = place.weights_of(&line[0]).await.digest;
    std::fs::remove_file(place.blob(&first)).unwrap();
    std::fs::remove_file(place.blob(&place.record_of(&line[1]).await.delta.digest)).unwrap();
    std::fs::remove_dir_all(place.cache.join(line[3].hex())).unwrap();
    assert!(place.cache.join(line[2].hex()).is_dir());
    materialise(&place.store, &line[3], &place.cache).await.unwrap();
    // Without it, the missing base is named.
    let empty = place.at.path().join("empty");
    let refused = materialise(&place.store, &line[1], &empty).await;
    assert!(matches!(&refused, Err(Error::Record { problem, .. }) if problem.contains("is not in the store")));
    assert_eq!(names(&empty), [""; 0]);
}

#[tokio::test]
async fn a_missing_base_is_named() {
    let place = Place::new();
    let first = place.first().await;
    let child = place.child(1, &first).await.checkpoint;
    let base = place.weights_of(&first).await.digest;
    std::fs::remove_file(place.blob(&base)).unwrap();
    let empty = place.at.path().join("empty");
    let refused = materialise(&place.store, &child, &empty).await;
    assert!(matches!(refused, Err(Error::NoBase { base: named, .. }) if named == base), "{refused:?}");
    assert_eq!(names(&empty), [""; 0], "nothing is left");
    let absent = Digest::of(b"nobody");
    let refused = upload_child(&place.store, &place.model(1), Digest::of(b"1"), &absent, &place.cache).await;
    assert!(matches!(refused, Err(Error::Absent { digest }) if digest == absent));
}

#[tokio::test]
async fn damage_anywhere_is_an_error_that_names_it_and_leaves_no_folder() {
    let place = Place::new();
    let first = place.first().await;
    let child = place.child(1, &first).await.checkpoint;
    let record = place.record_of(&child).await;
    let delta = place.blob(&record.delta.digest);
    let whole = std::fs::read(&delta).unwrap();
    let empty = place.at.path().join("empty");
    for place_of_bit in [0, 30, whole.len() / 2, whole.len() - 1] {
        damage(&delta, |bytes| bytes[place_of_bit] ^= 16);
        let refused = materialise(&place.store, &child, &empty).await;
        assert!(matches!(refused, Err(Error::Damaged { digest, .. }) if digest == record.delta.digest), "{refused:?}");
        assert_eq!(names(&empty), [""; 0], "nothing is left");
        damage(&delta, |bytes| *bytes = whole.clone());
    }
    damage(&delta, |bytes| bytes.truncate(whole.len() - 5));
    assert!(matches!(materialise(&place.store, &child, &empty).await, Err(Error::Record { .. })));
    damage(&delta, |bytes| *bytes = whole.clone());

    // The parent's copy in the cache, changed without a change of its length.
    let cached = place.cache.join(first.hex()).join("model.safetensors");
    damage(&cached, |bytes| *bytes.last_mut().unwrap() ^= 1);
    let refused = materialise(&place.store, &child, &place.cache).await;
    assert!(matches!(&refused, Err(Error::DamagedBase { path, .. }) if *path == cached), "{refused:?}");
    let refused = upload_child(&place.store, &place.model(2), Digest::of(b"2"), &first, &place.cache).await;
    assert!(matches!(&refused, Err(Error::DamagedBase { path, .. }) if *path == cached), "{refused:?}");
    assert_eq!(names(&place.cache), [first.hex()], "nothing is left");
}

#[tokio::test]
async fn a_record_that_leads_to_the_wrong_base_or_round_in_a_circle_is_refused() {
    let place = Place::new();
    let first = place.first().await;
    let (one, two) = (place.child(1, &first).await.checkpoint, place.child(2, &first).await.checkpoint);
    let (file_one, file_two) = (place.weights_of(&one).await.digest, place.weights_of(&two).await.digest);
    let right = place.record_of(&two).await;
    let wrong = Record { base: file_one, parent: one, ..right.clone() };
    remember(&place.store, &file_two, &wrong, true).await.unwrap();
    let empty = place.at.path().join("empty");
    let refused = materialise(&place.store, &two, &empty).await;
    assert!(matches!(refused, Err(Error::Damaged { digest, .. }) if digest == file_two), "{refused:?}");
    let circle = Record { base: file_two, parent: two, ..place.record_of(&one).await };
    remember(&place.store, &file_one, &circle, true).await.unwrap();
    let refused = materialise(&place.store, &two, &empty).await;
    assert!(matches!(refused, Err(Error::Chain { .. })), "{refused:?}");
    assert_eq!(names(&empty), [""; 0], "nothing is left");
    // An upload repairs a record that cannot be used.
    remember(&place.store, &file_two, &Record { codec: "later".to_owned(), ..right }, true).await.unwrap();
    assert!(matches!(materialise(&place.store, &two, &empty).await, Err(Error::Record { .. })));
    assert_eq!(place.child(2, &first).await.form, Form::Delta { depth: 1 });
    place.check(&two, 2).await;
}

#[test]
fn four_threads_that_want_one_checkpoint_get_one_good_folder() {
    let place = Place::new();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let child = runtime().block_on(async {
        let first = place.first().await;
        place.child(1, &first).await.checkpoint
    });
    let cache = place.at.path().join("shared");
    let want = || runtime().block_on(materialise(&place.store, &child, &cache)).unwrap();
    let paths: Vec<PathBuf> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(want)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(paths.iter().all(|path| *path == cache.join(child.hex())), "{paths:?}");
    assert_eq!(names(&cache), [child.hex()]);
    let found = std::fs::read(paths[0].join("model.safetensors")).unwrap();
    assert!(found == std::fs::read(place.model(1).join("model.safetensors")).unwrap());
}

#[tokio::test]
async fn what_is_written_to_a_folder_does_not_reach_the_store() {
    use std::os::unix::fs::MetadataExt;
    let place = Place::new();
    let first = place.first().await;
    let blob = place.blob(&place.weights_of(&first).await.digest).metadata().unwrap();
    let cached = materialise(&place.store, &first, &place.cache).await.unwrap().join("model.safetensors");
    let cached = cached.metadata().unwrap();
    assert!(blob.permissions().readonly());
    assert!(cached.ino() != blob.ino() || cached.permissions().readonly(), "the store's own file is writable");

    let exported = place.at.path().join("exported");
    export(&place.store, &first, &exported).await.unwrap();
    for name in ["config.json", "model.safetensors"] {
        std::fs::write(exported.join(name), b"changed").unwrap();
    }
    place.check(&first, 0).await;
}

#[tokio::test]
async fn a_cached_folder_that_lost_bytes_is_fetched_anew() {
    let place = Place::new();
    let first = place.first().await;
    let folder = materialise(&place.store, &first, &place.cache).await.unwrap();
    damage(&folder.join("model.safetensors"), Vec::clear);
    materialise(&place.store, &first, &place.cache).await.unwrap();
    assert!(std::fs::read(folder.join("model.safetensors")).unwrap().len() > 1000);
    assert_eq!(names(&place.cache), [first.hex()]);
}

#[tokio::test]
async fn an_adapter_names_its_base_and_brings_only_itself() {
    let place = Place::new();
    let first = place.first().await;
    let folder = place.at.path().join("adapter");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(ADAPTER_CONFIG), b"{}").unwrap();
    let weights = Digest::of(b"adapter");
    let refused = upload_adapter(&place.store, &folder, weights, &first).await;
    assert!(matches!(&refused, Err(Error::Adapter { problem, .. }) if problem.contains(ADAPTER_WEIGHTS)));
    write(&folder.join(ADAPTER_WEIGHTS), &[("a".to_owned(), "F32", vec![2], vec![1; 8])]);
    let adapter = upload_adapter(&place.store, &folder, weights, &first).await.unwrap();
    let opened = open(&place.store, &adapter, &place.cache).await.unwrap();
    assert_eq!(opened.manifest.base, Some(first));
    assert_eq!(names(&place.cache), [adapter.hex()], "the base is not fetched");

    let refused = upload_adapter(&place.store, &folder, weights, &adapter).await;
    assert!(matches!(&refused, Err(Error::Adapter { problem, .. }) if problem.contains("is an adapter itself")));
    let refused = upload_child(&place.store, &folder, weights, &first, &place.cache).await;
    assert!(matches!(refused, Err(Error::Adapter { .. })));
    write(&folder.join(ADAPTER_WEIGHTS), &[("a".to_owned(), "F32", vec![2], vec![2; 8])]);
    let child = upload_child(&place.store, &folder, Digest::of(b"next"), &adapter, &place.cache).await.unwrap();
    assert_eq!(manifest(&place.store, &child.checkpoint).await.unwrap().base, Some(first));
    std::fs::copy(place.model(0).join("model.safetensors"), folder.join("model.safetensors")).unwrap();
    let refused = upload_adapter(&place.store, &folder, weights, &first).await;
    assert!(matches!(&refused, Err(Error::Adapter { problem, .. }) if problem.contains("model.safetensors")));
}

//! The base job: the weights everything starts from, checked and stored as a checkpoint.

use std::path::{Path, PathBuf};

use galapagos_artifacts::checkpoint;
use galapagos_domain::job::JobOutput;
use galapagos_domain::recipe::{Base, Characters};
use galapagos_domain::seed::Seed;

use super::{JobError, Workshop, engine_failed, store_failed};
use crate::engine::{EngineError, is_adapter};

pub(super) fn run(shop: &Workshop, base: &Base, seed: Seed) -> Result<JobOutput, JobError> {
    match base {
        Base::Model(name) => import(shop, name),
        Base::Characters(shape) => initialise(shop, shape, seed),
    }
}

/// An adapter is stored with the base that this worker puts adapters on, and names it from then on.
fn import(shop: &Workshop, name: &str) -> Result<JobOutput, JobError> {
    let folder = locate(&shop.models, name)?;
    let weights = shop.engine.inspect(folder.clone()).map_err(engine_failed("use the base model"))?;
    if !is_adapter(&folder) {
        return store(shop, &folder, weights, name.to_owned());
    }
    let Some(below) = &shop.engine_base else {
        let source = EngineError::NoBase { path: folder };
        return Err(JobError::Engine { what: "use the base model", source });
    };
    let below_weights = shop.engine.inspect(below.clone()).map_err(engine_failed("use the base of the adapter"))?;
    let stored = shop.runtime.block_on(async {
        let base = checkpoint::upload(&shop.store, below, below_weights).await?;
        checkpoint::upload_adapter(&shop.store, &folder, weights, &base).await
    });
    let checkpoint = stored.map_err(store_failed("store the base model, an adapter"))?;
    Ok(JobOutput::Base { checkpoint, weights, source: name.to_owned() })
}

/// A bare word is a folder of the model store; anything with a slash is a path, relative to where the worker runs.
fn locate(models: &Path, name: &str) -> Result<PathBuf, JobError> {
    let folder = if name.contains('/') { PathBuf::from(name) } else { models.join(name) };
    if folder.is_dir() { Ok(folder) } else { Err(JobError::NoModel { name: name.to_owned(), looked: folder }) }
}

fn initialise(shop: &Workshop, shape: &Characters, seed: Seed) -> Result<JobOutput, JobError> {
    let cache = shop.checkpoints.cache();
    let scratch_failed = |source| JobError::Scratch { path: cache.to_owned(), source };
    std::fs::create_dir_all(cache).map_err(scratch_failed)?;
    let scratch = tempfile::Builder::new().prefix("new-model-").tempdir_in(cache).map_err(scratch_failed)?;
    let shape = with_newline(shape);
    let folder = scratch.path().to_owned();
    let weights = shop.engine.initialise(shape, seed, folder).map_err(engine_failed("initialise the base model"))?;
    store(shop, scratch.path(), weights, "characters".to_owned())
}

/// Every alphabet has the newline: it ends answers.
fn with_newline(shape: &Characters) -> Characters {
    let mut shape = shape.clone();
    if !shape.alphabet.contains('\n') {
        shape.alphabet.push('\n');
    }
    shape
}

fn store(
    shop: &Workshop,
    folder: &Path,
    weights: galapagos_domain::ids::Digest,
    source: String,
) -> Result<JobOutput, JobError> {
    let upload = checkpoint::upload(&shop.store, folder, weights);
    let stored = shop.runtime.block_on(upload);
    let checkpoint = stored.map_err(store_failed("store the base model"))?;
    Ok(JobOutput::Base { checkpoint, weights, source })
}

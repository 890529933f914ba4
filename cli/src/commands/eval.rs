//! `galapagos eval`, `galapagos chat` and `galapagos serve`: the model is run by the sibling executable `galapagos-worker`; here it is only
//! found (a folder, or a member of a run folder, which is exported first).

use std::ffi::OsString;
use std::path::PathBuf;

use galapagos_artifacts::{ArtifactStore, checkpoint};

use super::sibling;
use crate::args;
use crate::client::{Client, run_folder};
use crate::error::{Error, Exit};

/// `galapagos eval`.
///
/// # Errors
/// If the model or the recipe cannot be found, or the sibling cannot be started.
pub async fn run(args: &args::Eval, json: bool) -> Result<Exit, Error> {
    let folder = model_folder(&args.model, &args.target).await?;
    let recipe = match &args.recipe {
        Some(recipe) => recipe.clone(),
        None => run_folder(&args.target)?.recipe(),
    };
    let mut passed: Vec<OsString> = vec!["eval".into(), folder.into(), "--recipe".into(), recipe.into()];
    passed.extend(["--split".into(), args.split.clone().into(), "--seed".into(), args.seed.to_string().into()]);
    if json {
        passed.push("--json".into());
    }
    sibling::exec("galapagos-worker", passed)
}

/// `galapagos chat`.
///
/// # Errors
/// If the model cannot be found, or the sibling cannot be started.
pub async fn chat(args: &args::Chat) -> Result<Exit, Error> {
    let folder = model_folder(&args.model, &args.target).await?;
    let mut passed: Vec<OsString> = vec!["chat".into(), folder.into()];
    if args.raw {
        passed.push("--raw".into());
    }
    sibling::exec("galapagos-worker", passed)
}

/// `galapagos serve`.
///
/// # Errors
/// If the model cannot be found, or the sibling cannot be started.
pub async fn serve(args: args::Serve) -> Result<Exit, Error> {
    let folder = model_folder(&args.model, &args.target).await?;
    let mut passed: Vec<OsString> = vec!["serve".into(), folder.into()];
    passed.extend(["--listen".into(), args.listen.to_string().into(), "--name".into(), args.model.into()]);
    passed.extend(args.options);
    sibling::exec("galapagos-worker", passed)
}

/// A Hugging Face folder as given, or the member of that name in the run folder's cache.
async fn model_folder(model: &str, target: &args::Target) -> Result<PathBuf, Error> {
    let given = PathBuf::from(model);
    if given.join("config.json").is_file() {
        return Ok(given);
    }
    let mut client = Client::open(target).await?;
    let evolution = client.resolve(None).await?;
    let member = client.member(&evolution, model).await?;
    let folder = client.folder.clone();
    client.close().await?;
    let Some(folder) = folder else {
        return Err(Error::Usage {
            message: "a member can be run from a run folder only; give --dir, or export it first".into(),
        });
    };
    let store =
        ArtifactStore::open(&folder.artifacts().display().to_string()).map_err(|source| Error::Artifact { source })?;
    checkpoint::materialise(&store, &member.checkpoint, &folder.cache())
        .await
        .map_err(|source| Error::Artifact { source })
}

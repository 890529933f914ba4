//! `galapagos export`: a member is copied as it was committed; a folder, or a member whose weights are wanted in another number
//! format or in several files, is written anew by the sibling executable `galapagos-worker`.

use std::ffi::OsString;
use std::path::Path;

use galapagos_artifacts::{ArtifactStore, checkpoint};
use galapagos_domain::member::Member;

use super::{model, print, print_json, sibling};
use crate::args;
use crate::error::{Error, Exit};
use crate::export;

/// Writes a member or a Hugging Face folder as a Hugging Face folder.
///
/// # Errors
/// If there is no such member, or no artifact store is known, or the folder cannot be written.
pub async fn run(args: &args::Export, json: bool) -> Result<Exit, Error> {
    let wanted = args.folder.as_ref().or(args.to.as_ref());
    if let Some(given) = model::given_folder(&args.model)? {
        let to = wanted.ok_or_else(|| Error::Usage { message: "name the folder to write".into() })?;
        return anew(&given, to, args, json);
    }
    let mut client = model::open_client(&args.target, &args.model).await?;
    let evolution = client.resolve(args.evolution.as_deref()).await?;
    let member = client.member(&evolution, &args.model).await?;
    let folder = client.folder.clone();
    client.close().await?;
    let artifacts = match (&args.artifacts, &folder) {
        (Some(location), _) => location.clone(),
        (None, Some(folder)) => folder.artifacts().display().to_string(),
        (None, None) => return Err(Error::Usage { message: "name the artifact store with --artifacts".into() }),
    };
    let to = match (wanted, &folder) {
        (Some(to), _) => to.clone(),
        (None, Some(folder)) => folder.export(member.id.as_str()),
        (None, None) => return Err(Error::Usage { message: "name the folder to write with --to".into() }),
    };
    let store = ArtifactStore::open(&artifacts).map_err(|source| Error::Artifact { source })?;
    if args.dtype.is_none() && args.max_shard_size.is_none() {
        return copy(&store, &member, &to, json).await;
    }
    let folder = folder.ok_or_else(|| Error::Usage {
        message: "--dtype and --max-shard-size need a run folder (--dir); without one, export first and then export that folder"
            .into(),
    })?;
    let cached = checkpoint::materialise(&store, &member.checkpoint, &folder.cache()).await;
    anew(&cached.map_err(|source| Error::Artifact { source })?, &to, args, json)
}

async fn copy(store: &ArtifactStore, member: &Member, to: &Path, json: bool) -> Result<Exit, Error> {
    export::member(store, member, to).await?;
    if json {
        print_json(&serde_json::json!({ "member": member.id, "digest": member.checkpoint, "folder": to }))?;
    } else {
        print(&format!("{} -> {}", member.id, to.display()))?;
    }
    Ok(Exit::Done)
}

/// Becomes the sibling, which refuses a folder that is not empty.
fn anew(folder: &Path, to: &Path, args: &args::Export, json: bool) -> Result<Exit, Error> {
    let mut passed: Vec<OsString> = vec!["export".into(), folder.into(), to.into()];
    if let Some(dtype) = args.dtype {
        passed.extend(["--dtype".into(), dtype.name().into()]);
    }
    if let Some(size) = &args.max_shard_size {
        passed.extend(["--max-shard-size".into(), size.into()]);
    }
    if json {
        passed.push("--json".into());
    }
    sibling::exec("galapagos-worker", passed)
}

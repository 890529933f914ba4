//! `galapagos export`.

use galapagos_artifacts::ArtifactStore;

use super::{print, print_json};
use crate::args;
use crate::client::Client;
use crate::error::{Error, Exit};
use crate::export;

/// Writes a member as a Hugging Face folder.
///
/// # Errors
/// If there is no such member, or no artifact store is known, or the folder cannot be written.
pub async fn run(args: &args::Export, json: bool) -> Result<Exit, Error> {
    let mut client = Client::open(&args.member.target).await?;
    let evolution = client.resolve(args.member.evolution.as_deref()).await?;
    let member = client.member(&evolution, &args.member.member).await?;
    let folder = client.folder.clone();
    client.close().await?;
    let artifacts = match (&args.artifacts, &folder) {
        (Some(location), _) => location.clone(),
        (None, Some(folder)) => folder.artifacts().display().to_string(),
        (None, None) => return Err(Error::Usage { message: "name the artifact store with --artifacts".into() }),
    };
    let to = match (&args.to, &folder) {
        (Some(to), _) => to.clone(),
        (None, Some(folder)) => folder.export(member.id.as_str()),
        (None, None) => return Err(Error::Usage { message: "name the folder to write with --to".into() }),
    };
    let store = ArtifactStore::open(&artifacts).map_err(|source| Error::Artifact { source })?;
    export::member(&store, &member, &to).await?;
    if json {
        print_json(&serde_json::json!({ "member": member.id, "digest": member.checkpoint, "folder": to }))?;
    } else {
        print(&format!("{} -> {}", member.id, to.display()))?;
    }
    Ok(Exit::Done)
}

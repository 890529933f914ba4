//! `galapagos export`: a member is copied as it was committed, an adapter merged into its base; a folder, or a member whose weights are
//! wanted in another number format or in several files, is written anew by the sibling executable `galapagos-worker`.

use std::ffi::OsString;
use std::path::Path;

use galapagos_artifacts::{ArtifactStore, checkpoint};
use galapagos_domain::ids::Digest;
use galapagos_domain::member::Member;

use super::{model, print, print_json, sibling};
use crate::args;
use crate::checkpoints::{self, Found};
use crate::client;
use crate::error::{Error, Exit};
use crate::export::{self, Form};

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
    let to = match (wanted, &folder) {
        (Some(to), _) => to.clone(),
        (None, Some(folder)) => folder.export(member.id.as_str()),
        (None, None) => return Err(Error::Usage { message: "name the folder to write with --to".into() }),
    };
    let store = client::artifacts(args.artifacts.as_deref(), folder.as_ref())?;
    if args.dtype.is_none() && args.max_shard_size.is_none() {
        let form = if args.adapter { Form::Adapter } else { Form::Merged };
        return copy(&store, &member, &to, form, json).await;
    }
    let folder = folder.ok_or_else(|| Error::Usage {
        message: "--dtype and --max-shard-size need a run folder (--dir); without one, export first and then export that folder"
            .into(),
    })?;
    match checkpoints::fetch(&store, &member.checkpoint, &folder.cache()).await? {
        Found { folder, base: None } => anew(&folder, &to, args, json),
        Found { folder, base: Some(base) } => {
            let merged = to.with_extension("merged");
            export::remove(&merged)?;
            checkpoints::merge(&base, &folder, &merged).await?;
            let written = sibling::run("galapagos-worker", arguments(&merged, &to, args, json)).await;
            export::remove(&merged)?;
            if written? == Exit::Failed {
                return Ok(Exit::Failed);
            }
            let base = checkpoint::manifest(&store, &member.checkpoint)
                .await
                .map_err(|source| Error::Artifact { source: Box::new(source) })?
                .base;
            tell(&member, base, &to, Form::Merged, json)
        }
    }
}

async fn copy(store: &ArtifactStore, member: &Member, to: &Path, form: Form, json: bool) -> Result<Exit, Error> {
    let base = export::member(store, member, to, form).await?;
    tell(member, base, to, form, json)
}

fn tell(member: &Member, base: Option<Digest>, to: &Path, form: Form, json: bool) -> Result<Exit, Error> {
    if json {
        let (member, digest) = (&member.id, &member.checkpoint);
        print_json(
            &serde_json::json!({ "member": member, "digest": digest, "folder": to, "base": base, "merged": base.is_some() && form == Form::Merged }),
        )?;
        return Ok(Exit::Done);
    }
    let (id, to) = (&member.id, to.display());
    print(&match (base, form) {
        (None, _) => format!("{id} -> {to}"),
        (Some(base), Form::Merged) => format!("{id}, merged into its base {} -> {to}", base.short()),
        (Some(base), Form::Adapter) => format!("{id} -> {to}\n  an adapter of the checkpoint {base}"),
    })?;
    Ok(Exit::Done)
}

/// Becomes the sibling, which refuses a folder that is not empty.
fn anew(folder: &Path, to: &Path, args: &args::Export, json: bool) -> Result<Exit, Error> {
    sibling::exec("galapagos-worker", arguments(folder, to, args, json))
}

fn arguments(folder: &Path, to: &Path, args: &args::Export, json: bool) -> Vec<OsString> {
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
    passed
}

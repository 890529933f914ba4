//! `galapagos eval`, `galapagos chat` and `galapagos serve`: the model is run by the sibling executable `galapagos-worker`; here it is only
//! found (a folder, or a member of a run folder, which is exported first).

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use galapagos_artifacts::{ArtifactStore, checkpoint};

use super::{model, sibling};
use crate::args;
use crate::client::run_folder;
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
    passed.extend(args.computing.options());
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
    let model = match &args.server {
        Some(_) => PathBuf::from(&args.model),
        None => model_folder(&args.model, &args.target).await?,
    };
    sibling::exec("galapagos-worker", chat_arguments(args, model))
}

/// `model` is a folder, or with a server the name there.
fn chat_arguments(args: &args::Chat, model: PathBuf) -> Vec<OsString> {
    let mut passed: Vec<OsString> = vec!["chat".into(), model.into()];
    if args.raw {
        passed.push("--raw".into());
    }
    passed.extend(args.server.iter().flat_map(|url| ["--server".into(), url.into()]));
    passed.extend(args.server_ca.iter().flat_map(|file| ["--server-ca".into(), file.into()]));
    // In one word, so that a value such as -1 is refused for what it is.
    passed.extend(args.drawing.options().into_iter().map(|(name, value)| format!("{name}={value}").into()));
    passed.extend(args.computing.options());
    passed
}

/// `galapagos serve`.
///
/// # Errors
/// If the model cannot be found, or the sibling cannot be started.
pub async fn serve(args: args::Serve) -> Result<Exit, Error> {
    let folder = model_folder(&args.model, &args.target).await?;
    sibling::exec("galapagos-worker", serve_arguments(&args, folder))
}

/// A member is served under the name it was asked by, as its folder in the cache is called after its digest; a folder under its
/// own, which the worker knows. `--name` among the options wins.
fn serve_arguments(args: &args::Serve, folder: PathBuf) -> Vec<OsString> {
    let named = |option: &OsString| option.to_str().is_some_and(|text| text == "--name" || text.starts_with("--name="));
    let member = folder != Path::new(&args.model) && !args.options.iter().any(named);
    let mut passed: Vec<OsString> = vec!["serve".into(), folder.into()];
    passed.extend(["--listen".into(), args.listen.to_string().into()]);
    if member {
        passed.extend(["--name".into(), args.model.clone().into()]);
    }
    passed.extend(args.computing.options());
    passed.extend(args.options.iter().cloned());
    passed
}

/// A Hugging Face folder as given, or the member of that name in the run folder's cache.
async fn model_folder(model: &str, target: &args::Target) -> Result<PathBuf, Error> {
    if let Some(given) = model::given_folder(model)? {
        return Ok(given);
    }
    let mut client = model::open_client(target, model).await?;
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn passed(line: &str, folder: &str) -> Vec<OsString> {
        let args = args::Args::parse_from(line.split_whitespace());
        let args::Command::Serve(serve) = args.command else { panic!("{line}") };
        serve_arguments(&serve, PathBuf::from(folder))
    }

    #[test]
    fn a_server_is_asked_for_the_name_as_it_stands() {
        let args = |line: &str| match args::Args::try_parse_from(line.split_whitespace()).map(|args| args.command) {
            Ok(args::Command::Chat(chat)) => Some(chat),
            _ => None,
        };
        let chat = args("galapagos chat judge --server https://h --server-ca ca.pem --temperature 1").unwrap();
        let passed = chat_arguments(&chat, "judge".into());
        let expected = ["chat", "judge", "--server", "https://h", "--server-ca", "ca.pem", "--temperature=1"];
        assert_eq!(passed, expected);
        for bad in ["--raw", "--device cpu", "--threads 2"] {
            assert!(args(&format!("galapagos chat judge --server http://h {bad}")).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_folder_keeps_its_own_name_and_a_member_the_one_it_was_asked_by() {
        let folder = passed("galapagos serve models/small -- --queue 2", "models/small");
        assert_eq!(folder, ["serve", "models/small", "--listen", "127.0.0.1:8000", "--queue", "2"]);
        let placed = passed("galapagos serve models/small --device cuda:1", "models/small");
        assert_eq!(placed[4..], ["--device=cuda:1"]);
        let threaded = passed("galapagos serve models/small --threads 8", "models/small");
        assert_eq!(threaded[4..], ["--threads=8"]);
        let member = passed("galapagos serve champion", "run/cache/ab12");
        assert_eq!(member, ["serve", "run/cache/ab12", "--listen", "127.0.0.1:8000", "--name", "champion"]);
        for options in ["--name darwin", "--name=darwin"] {
            let named = passed(&format!("galapagos serve champion -- {options}"), "run/cache/ab12");
            assert!(!named.contains(&"champion".into()), "{named:?}");
        }
    }
}

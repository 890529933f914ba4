//! `galapagos eval`, `galapagos chat` and `galapagos serve`: the model is run by the sibling executable `galapagos-worker`; here it is only
//! found (a folder, or a member of a run folder, which is exported first).

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use galapagos_artifacts::ArtifactStore;

use super::{model, sibling};
use crate::args;
use crate::checkpoints::{self, Found};
use crate::client::run_folder;
use crate::error::{Error, Exit};

/// `galapagos eval`.
///
/// # Errors
/// If the model or the recipe cannot be found, or the sibling cannot be started.
pub async fn run(args: &args::Eval, json: bool) -> Result<Exit, Error> {
    let found = model_folder(&args.model, &args.target).await?;
    let recipe = match &args.recipe {
        Some(recipe) => recipe.clone(),
        None => run_folder(&args.target)?.recipe(),
    };
    let mut passed: Vec<OsString> = vec!["eval".into(), found.folder.into(), "--recipe".into(), recipe.into()];
    passed.extend(found.base.into_iter().flat_map(|base| ["--base".into(), base.into()]));
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
        Some(_) => Found::whole(PathBuf::from(&args.model)),
        None => model_folder(&args.model, &args.target).await?,
    };
    sibling::exec("galapagos-worker", chat_arguments(args, model))
}

/// `model` is a folder, or with a server the name there.
fn chat_arguments(args: &args::Chat, model: Found) -> Vec<OsString> {
    let mut passed: Vec<OsString> = vec!["chat".into(), model.folder.into()];
    passed.extend(model.base.into_iter().flat_map(|base| ["--base".into(), base.into()]));
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
    let found = model_folder(&args.model, &args.target).await?;
    sibling::exec("galapagos-worker", serve_arguments(&args, found))
}

/// A member is served under the name it was asked by, as its folder in the cache is called after its digest; a folder under its
/// own, which the worker knows. `--name` among the options wins. Of a member that is an adapter the base is served too, as `NAME-base`.
fn serve_arguments(args: &args::Serve, found: Found) -> Vec<OsString> {
    let Found { folder, base } = found;
    let (given, mut options) = name_among(&args.options);
    let member = folder != Path::new(&args.model);
    let name = given.or_else(|| member.then(|| args.model.clone()));
    let mut passed: Vec<OsString> = vec!["serve".into()];
    match (base, name) {
        (Some(base), name) => {
            let name = name.unwrap_or_else(|| args.model.clone());
            let mut adapter = OsString::from(format!("{name}="));
            adapter.push(folder);
            passed.push(base.into());
            options.splice(0..0, ["--name".into(), format!("{name}-base").into(), "--adapter".into(), adapter]);
        }
        (None, name) => {
            passed.push(folder.into());
            options.splice(0..0, name.into_iter().flat_map(|name| ["--name".into(), name.into()]));
        }
    }
    passed.extend(["--listen".into(), args.listen.to_string().into()]);
    passed.extend(args.computing.options());
    passed.extend(options);
    passed
}

/// The name that the server's options give, and the other options.
fn name_among(options: &[OsString]) -> (Option<String>, Vec<OsString>) {
    let (mut name, mut others) = (None, Vec::new());
    let mut left = options.iter();
    while let Some(option) = left.next() {
        match option.to_str() {
            Some("--name") => name = left.next().and_then(|value| value.to_str()).map(str::to_owned),
            Some(text) if text.starts_with("--name=") => name = text.strip_prefix("--name=").map(str::to_owned),
            Some(_) | None => others.push(option.clone()),
        }
    }
    (name, others)
}

/// A Hugging Face folder as given, or the member of that name in the run folder's cache.
async fn model_folder(model: &str, target: &args::Target) -> Result<Found, Error> {
    if let Some(given) = model::given_folder(model)? {
        return Ok(Found::whole(given));
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
    let store = ArtifactStore::open(&folder.artifacts().display().to_string())
        .map_err(|source| Error::Artifact { source: Box::new(source) })?;
    checkpoints::fetch(&store, &member.checkpoint, &folder.cache()).await
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn passed(line: &str, folder: &str) -> Vec<OsString> {
        let args = args::Args::parse_from(line.split_whitespace());
        let args::Command::Serve(serve) = args.command else { panic!("{line}") };
        serve_arguments(&serve, Found::whole(folder.into()))
    }

    #[test]
    fn a_server_is_asked_for_the_name_as_it_stands() {
        let args = |line: &str| match args::Args::try_parse_from(line.split_whitespace()).map(|args| args.command) {
            Ok(args::Command::Chat(chat)) => Some(chat),
            _ => None,
        };
        let chat = args("galapagos chat judge --server https://h --server-ca ca.pem --temperature 1").unwrap();
        let passed = chat_arguments(&chat, Found::whole("judge".into()));
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
            let named = passed(&format!("galapagos serve champion -- {options} --queue 2"), "run/cache/ab12");
            assert_eq!(named[4..], ["--name", "darwin", "--queue", "2"]);
        }
    }

    #[test]
    fn a_member_that_is_an_adapter_is_served_beside_its_base() {
        let adapter = |line: &str| match args::Args::parse_from(line.split_whitespace()).command {
            args::Command::Serve(serve) => {
                serve_arguments(&serve, Found { folder: "cache/ab12".into(), base: Some("cache/0000".into()) })
            }
            _ => panic!("{line}"),
        };
        let passed = adapter("galapagos serve champion");
        let named = ["--name", "champion-base", "--adapter", "champion=cache/ab12"];
        assert_eq!(passed, [&["serve", "cache/0000", "--listen", "127.0.0.1:8000"], &named[..]].concat());
        let passed = adapter("galapagos serve champion -- --name darwin --queue 2");
        assert_eq!(passed[4..], ["--name", "darwin-base", "--adapter", "darwin=cache/ab12", "--queue", "2"]);
    }
}

//! The model that a command line names: a Hugging Face folder, or a member of an evolution.

use std::path::{Path, PathBuf};

use crate::args::Target;
use crate::client::Client;
use crate::error::Error;

/// The folder that `model` means, or `None` if it can only be a member's name.
///
/// # Errors
/// For a path at which there is no model folder; the message says what is there.
pub fn given_folder(model: &str) -> Result<Option<PathBuf>, Error> {
    let path = Path::new(model);
    if path.join("config.json").is_file() {
        return Ok(Some(path.to_owned()));
    }
    if is_path(model) { Err(Error::Usage { message: no_model_folder(path) }) } else { Ok(None) }
}

/// [`Client::open`] for the member `model`; an error also says that no folder of that name was found.
///
/// # Errors
/// As [`Client::open`].
pub async fn open_client(target: &Target, model: &str) -> Result<Client, Error> {
    Client::open(target).await.map_err(|error| match error {
        Error::Usage { message } => Error::Usage {
            message: format!("`{model}` is no Hugging Face folder here, and no member can be looked up: {message}"),
        },
        other => other,
    })
}

/// Members' names have no slashes and begin with a letter or a digit.
fn is_path(model: &str) -> bool {
    model.contains('/') || model.starts_with(['.', '~'])
}

fn no_model_folder(path: &Path) -> String {
    let right = "give a Hugging Face folder, which has a `config.json`, or a member of a run";
    let shown = path.display();
    if path.is_file() {
        let gguf = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("gguf"));
        let way = if gguf { "`galapagos import` makes a folder of a GGUF file" } else { right };
        return format!("`{shown}` is a file, not a folder; {way}");
    }
    if path.join("store").is_dir() {
        return format!("`{shown}` is a run folder, not a model; name a member of it: champion --dir {shown}");
    }
    if path.join("adapter_config.json").is_file() {
        return format!(
            "the folder `{shown}` is an adapter; put it into its base first: galapagos merge BASE {shown} DIR"
        );
    }
    if path.is_dir() {
        return format!("the folder `{shown}` has no `config.json`; {right}");
    }
    let quoted = if path.starts_with("~") { " (the shell leaves `~` as it is within quotes)" } else { "" };
    format!("there is no folder `{shown}`{quoted}; {right}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(model: &str) -> String {
        given_folder(model).unwrap_err().to_string()
    }

    #[test]
    fn what_looks_like_a_path_is_never_taken_for_a_member() {
        let at = tempfile::tempdir().unwrap();
        let place = at.path().display();
        for (model, says) in [
            (format!("{place}/absent"), "there is no folder"),
            ("./absent".to_owned(), "there is no folder `./absent`"),
            ("~/absent".to_owned(), "within quotes"),
            (format!("{place}"), "has no `config.json`"),
        ] {
            assert!(refusal(&model).contains(says), "{model}: {}", refusal(&model));
        }
        std::fs::create_dir(at.path().join("store")).unwrap();
        assert!(refusal(&format!("{place}")).contains("is a run folder"));
        std::fs::write(at.path().join("m.GGUF"), "").unwrap();
        let adapter = at.path().join("lora");
        std::fs::create_dir(&adapter).unwrap();
        std::fs::write(adapter.join("adapter_config.json"), "{}").unwrap();
        assert!(refusal(&adapter.display().to_string()).contains("galapagos merge BASE"));
        assert!(refusal(&format!("{place}/m.GGUF")).contains("galapagos import"));
        std::fs::write(at.path().join("m.bin"), "").unwrap();
        assert!(refusal(&format!("{place}/m.bin")).contains("is a file"));
    }

    #[test]
    fn a_model_folder_is_found_and_a_name_is_left_to_the_run() {
        let at = tempfile::tempdir().unwrap();
        std::fs::write(at.path().join("config.json"), "{}").unwrap();
        let model = at.path().display().to_string();
        assert_eq!(given_folder(&model).unwrap(), Some(at.path().to_owned()));
        assert_eq!(given_folder("champion").unwrap(), None);
        assert_eq!(given_folder("policy-g1-89462e76").unwrap(), None);
    }
}

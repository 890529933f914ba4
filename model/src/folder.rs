//! Hugging Face model folders: checked completely before use, and written so that `transformers` loads them.
//!
//! A folder is `config.json`, `model.safetensors`, `tokenizer.json` and what belongs to them. Opening reads everything but
//! the weights' bytes, so a wrong folder is an error at once and not in the middle of a run.

use std::io::Write;
use std::path::{Path, PathBuf};

use tch::{Device, Kind};

use crate::config::{ConfigError, generation_json};
use crate::files::write_atomically;
use crate::tokenizer::OPTIONAL_FILES;
use crate::weights::safetensors_file::{self, WeightsFile};
use crate::weights::{WeightsError, check_layout};
use crate::{Decoder, ModelConfig, Tokenizer, TokenizerError};

const CONFIG: &str = "config.json";
const GENERATION_CONFIG: &str = "generation_config.json";
const WEIGHTS: &str = "model.safetensors";
const SHARDED_WEIGHTS: &str = "model.safetensors.index.json";

/// A folder whose configuration, tokenizer and weights' header fit together.
#[derive(Debug)]
pub struct ModelFolder {
    path: PathBuf,
    config: ModelConfig,
    tokenizer: Tokenizer,
}

impl ModelFolder {
    /// Opens and checks the folder at `path`.
    ///
    /// # Errors
    /// [`FolderError`] says which file is missing or broken, or which two contradict each other.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        if !path.is_dir() {
            return Err(FolderError::NoFolder { path: path.to_owned() });
        }
        let config = read_config(&path.join(CONFIG))?;
        for name in [crate::tokenizer::TOKENIZER_JSON, WEIGHTS] {
            require(path, name)?;
        }
        let tokenizer =
            Tokenizer::from_folder(path).map_err(|source| FolderError::Tokenizer { path: path.to_owned(), source })?;
        check_tokenizer(path, &config, &tokenizer)?;
        let weights = |source| FolderError::Weights { path: path.join(WEIGHTS), source: Box::new(source) };
        let file = WeightsFile::open(&path.join(WEIGHTS)).map_err(weights)?;
        check_layout(&file.shapes(), &config).and_then(|()| file.check_dtypes()).map_err(weights)?;
        Ok(Self { path: path.to_owned(), config, tokenizer })
    }

    /// Where the folder is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The model's configuration.
    #[must_use]
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The tokenizer.
    #[must_use]
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The tokenizer, given away.
    #[must_use]
    pub fn into_tokenizer(self) -> Tokenizer {
        self.tokenizer
    }

    /// Reads the weights, in the number format they are stored in.
    ///
    /// # Errors
    /// [`FolderError::Weights`] when the file cannot be read or was changed since it was checked.
    pub fn load(&self, device: Device) -> Result<Decoder, FolderError> {
        let weights = |source| FolderError::Weights { path: self.path.join(WEIGHTS), source: Box::new(source) };
        let parameters =
            WeightsFile::open(&self.path.join(WEIGHTS)).and_then(|mut file| file.read(device)).map_err(weights)?;
        Decoder::new(self.config.clone(), parameters).map_err(weights)
    }

    /// Writes `model` and `tokenizer` as a folder at `path`, made if it is not there. Every file is complete or absent,
    /// and `config.json` comes last: a folder with one is whole. What was there under the same names is replaced.
    ///
    /// # Errors
    /// [`FolderError`] names the file that could not be written, or says why model and tokenizer do not fit.
    pub fn save(path: &Path, model: &Decoder, tokenizer: &Tokenizer) -> Result<(), FolderError> {
        check_tokenizer(path, model.config(), tokenizer)?;
        let write_error = |path: PathBuf| move |source| FolderError::Write { path, source };
        std::fs::create_dir_all(path).map_err(write_error(path.to_owned()))?;
        let write = |name: &str, bytes: &[u8]| {
            let target = path.join(name);
            write_atomically(&target, |file| file.write_all(bytes)).map_err(write_error(target))
        };
        // Without a configuration the folder is not a model until all is written; another tokenizer's files would be read
        // as parts of this one.
        let stale = OPTIONAL_FILES.iter().filter(|name| !tokenizer.files().contains_key(**name));
        for name in stale.chain([&CONFIG]) {
            remove_if_there(&path.join(name))?;
        }
        for (name, bytes) in tokenizer.files() {
            write(name, bytes)?;
        }
        write(GENERATION_CONFIG, generation_json(model.config()).as_bytes())?;
        let weights = |source| FolderError::Weights { path: path.join(WEIGHTS), source: Box::new(source) };
        safetensors_file::write(&path.join(WEIGHTS), model.parameters()).map_err(weights)?;
        write(CONFIG, model.config().to_json(stored_dtype(model)).as_bytes())
    }
}

fn read_config(path: &Path) -> Result<ModelConfig, FolderError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => {
            return Err(FolderError::NoFile { path: path.to_owned(), hint: "" });
        }
        Err(source) => return Err(FolderError::Read { path: path.to_owned(), source }),
    };
    ModelConfig::from_json(&text).map_err(|source| FolderError::Config { path: path.to_owned(), source })
}

fn require(folder: &Path, name: &str) -> Result<(), FolderError> {
    let path = folder.join(name);
    if path.is_file() {
        return Ok(());
    }
    let sharded = name == WEIGHTS && folder.join(SHARDED_WEIGHTS).exists();
    let hint = if sharded { "; weights split over several files are not implemented, join them first" } else { "" };
    Err(FolderError::NoFile { path, hint })
}

/// A tokenizer fits when its ids fill the embedding, but for rows added to round the size up, and its end-of-sequence
/// token is one the model knows as such.
fn check_tokenizer(path: &Path, config: &ModelConfig, tokenizer: &Tokenizer) -> Result<(), FolderError> {
    let (tokens, rows) = (tokenizer.vocab_size(), config.vocab_size);
    let rounded = [8, 16, 32, 64, 128, 256].iter().any(|multiple| tokens.next_multiple_of(*multiple) == rows);
    if tokens != rows && !rounded {
        return Err(FolderError::WrongTokenizer {
            path: path.to_owned(),
            problem: format!("it has {tokens} tokens, the model's embedding has {rows} rows"),
        });
    }
    match tokenizer.eos() {
        Some(eos) if !config.eos_token_ids.contains(&eos) => Err(FolderError::WrongTokenizer {
            path: path.to_owned(),
            problem: format!(
                "its end-of-sequence token has id {eos}, the model's configuration says {:?}",
                config.eos_token_ids
            ),
        }),
        Some(_) | None => Ok(()),
    }
}

fn remove_if_there(path: &Path) -> Result<(), FolderError> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(FolderError::Write { path: path.to_owned(), source })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The name `transformers` has for the format most of the weights are stored in.
fn stored_dtype(model: &Decoder) -> &'static str {
    match model.kind() {
        Kind::BFloat16 => "bfloat16",
        Kind::Half => "float16",
        _ => "float32",
    }
}

/// Why a model folder cannot be used or written.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Nothing there, or not a folder.
    #[error("there is no model folder at {}", path.display())]
    NoFolder {
        /// Where we looked.
        path: PathBuf,
    },
    /// A file every model folder has is absent.
    #[error("the model folder lacks {}{hint}", path.display())]
    NoFile {
        /// The absent file.
        path: PathBuf,
        /// What may help.
        hint: &'static str,
    },
    /// A file cannot be read.
    #[error("reading {} failed", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A file cannot be written.
    #[error("writing {} failed", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The configuration is refused.
    #[error("the configuration {} cannot be used", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ConfigError,
    },
    /// The tokenizer is broken.
    #[error("the tokenizer in {} cannot be used", path.display())]
    Tokenizer {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: TokenizerError,
    },
    /// The tokenizer belongs to another model.
    #[error("the tokenizer in {} is not this model's: {problem}", path.display())]
    WrongTokenizer {
        /// The folder.
        path: PathBuf,
        /// How one can tell.
        problem: String,
    },
    /// The weights are broken or belong to another configuration.
    #[error("the weights {} cannot be used", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<WeightsError>,
    },
}

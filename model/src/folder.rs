//! Hugging Face model folders: checked completely before use, and written so that `transformers` loads them.
//!
//! A folder is `config.json`, `model.safetensors`, `tokenizer.json` and what belongs to them. Opening reads everything but
//! the weights' bytes, so a wrong folder is an error at once and not in the middle of a run.

use std::path::{Path, PathBuf};

use tch::Device;

use crate::config::ConfigError;
use crate::files::{FileError, file_error};
use crate::weights::stored::{INDEX, SINGLE, StoredWeights};
use crate::weights::{Parameters, WeightsError};
use crate::{Decoder, Encoder, ModelConfig, Tokenizer, TokenizerError};

mod generation;
mod save;

pub use save::{Model, SaveOptions};

pub(crate) const CONFIG: &str = "config.json";
const GENERATION_CONFIG: &str = "generation_config.json";

/// A folder whose configuration, tokenizer and weights' headers fit together.
#[derive(Debug)]
pub struct ModelFolder {
    path: PathBuf,
    config: ModelConfig,
    ignored: Vec<String>,
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
        let (config, ignored) = read_config(path)?;
        require_files(path)?;
        let tokenizer =
            Tokenizer::from_folder(path).map_err(|source| FolderError::Tokenizer { path: path.to_owned(), source })?;
        check_tokenizer(path, &config, &tokenizer)?;
        StoredWeights::open(path, &config).map_err(|source| weights_error(path, source))?;
        Ok(Self { path: path.to_owned(), config, ignored, tokenizer })
    }

    /// Where the folder is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The model's configuration. Special tokens are those of `config.json` and of `generation_config.json`.
    #[must_use]
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Keys of `config.json` that nothing here uses and that are not known to be harmless, for the caller to show: see
    /// [`ModelConfig::from_json_with_ignored`].
    #[must_use]
    pub fn ignored_keys(&self) -> &[String] {
        &self.ignored
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

    /// Reads the weights of a decoder, in the number format they are stored in.
    ///
    /// # Errors
    /// [`FolderError::Weights`] when a file cannot be read or was changed since it was checked, or the model is an encoder.
    pub fn load(&self, device: Device) -> Result<Decoder, FolderError> {
        let model = self.read(device).and_then(|parameters| Decoder::new(self.config.clone(), parameters));
        model.map_err(|source| weights_error(&self.path, source))
    }

    /// Reads the weights of an encoder, as [`ModelFolder::load`].
    ///
    /// # Errors
    /// As [`ModelFolder::load`]; also when the model is a decoder.
    pub fn load_encoder(&self, device: Device) -> Result<Encoder, FolderError> {
        let model = self.read(device).and_then(|parameters| Encoder::new(self.config.clone(), parameters));
        model.map_err(|source| weights_error(&self.path, source))
    }

    fn read(&self, device: Device) -> Result<Parameters, WeightsError> {
        StoredWeights::open(&self.path, &self.config)?.read(device)
    }

    /// Writes `model` and `tokenizer` as a folder at `path`, made if it is not there, with the weights in one file. Every file is
    /// complete or absent, and `config.json` comes last: a folder with one is whole. What was there under the same names is
    /// replaced.
    ///
    /// # Errors
    /// [`FolderError`] names the file that could not be written, or says why model and tokenizer do not fit.
    pub fn save(path: &Path, model: &impl Model, tokenizer: &Tokenizer) -> Result<(), FolderError> {
        Self::save_with(path, model, tokenizer, &SaveOptions::default())
    }

    /// [`ModelFolder::save`] with options.
    ///
    /// # Errors
    /// As [`ModelFolder::save`].
    pub fn save_with(
        path: &Path,
        model: &impl Model,
        tokenizer: &Tokenizer,
        options: &SaveOptions,
    ) -> Result<(), FolderError> {
        check_tokenizer(path, model.config(), tokenizer)?;
        save::write(path, (model.config(), model.parameters()), tokenizer, options)
    }
}

/// The error of a folder's weights, with the file it is about where that is known.
fn weights_error(folder: &Path, source: WeightsError) -> FolderError {
    let index = folder.join(INDEX);
    let single = folder.join(SINGLE);
    let path = if index.is_file() && !single.is_file() { index } else { single };
    FolderError::Weights { path, source: Box::new(source) }
}

/// The configuration with the special tokens of `generation_config.json`, and the keys that are not used.
fn read_config(folder: &Path) -> Result<(ModelConfig, Vec<String>), FolderError> {
    let path = folder.join(CONFIG);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => {
            return Err(FolderError::NoFile { path, hint: "" });
        }
        Err(source) => return Err(file_error("reading", &path)(source)),
    };
    let (mut config, ignored) =
        ModelConfig::from_json_with_ignored(&text).map_err(|source| FolderError::Config { path, source })?;
    generation::add_special_tokens(&folder.join(GENERATION_CONFIG), &mut config)?;
    Ok((config, ignored))
}

/// Weights and tokenizer, in a form that can be read.
fn require_files(folder: &Path) -> Result<(), FolderError> {
    let has = |name: &str| folder.join(name).is_file();
    if !Tokenizer::is_in(folder) {
        let hint = if has("tokenizer.model") {
            "; a SentencePiece model is not read, save the tokenizer with transformers to get a tokenizer.json"
        } else {
            ""
        };
        return Err(FolderError::NoFile { path: folder.join(crate::tokenizer::TOKENIZER_JSON), hint });
    }
    if has(SINGLE) || has(INDEX) {
        return Ok(());
    }
    let pickled = has("pytorch_model.bin") || has("pytorch_model.bin.index.json");
    let hint = if pickled {
        "; weights in pytorch_model.bin are not read, as such a file can run any code: load it with transformers where you trust \
         it and call save_pretrained, which writes safetensors"
    } else {
        ""
    };
    Err(FolderError::NoFile { path: folder.join(SINGLE), hint })
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
    if tokenizer.reads_images() != config.vision.is_some() {
        let [has, reads] =
            [config.vision.is_some(), tokenizer.reads_images()].map(|there| if there { "has" } else { "lacks" });
        return Err(FolderError::WrongTokenizer {
            path: path.to_owned(),
            problem: format!(
                "the model {has} a vision encoder, and tokenizer_config.json {reads} `reads_image_patches: true`"
            ),
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
    /// The system refused to read or to write.
    #[error(transparent)]
    File(#[from] FileError),
    /// The configuration is refused.
    #[error("the configuration {} cannot be used", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ConfigError,
    },
    /// The special tokens of `generation_config.json` are refused.
    #[error("{} cannot be used", path.display())]
    GenerationConfig {
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

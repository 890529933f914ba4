//! A model folder out: its files in an order in which a folder with a `config.json` is whole.

use std::io::Write;
use std::path::Path;

use tch::Kind;

use super::{CONFIG, FolderError, GENERATION_CONFIG, weights_error};
use crate::config::generation_json;
use crate::files::{file_error, write_atomically};
use crate::tokenizer::OPTIONAL_FILES;
use crate::weights::{Parameters, kind_of_weights, shards};
use crate::{Decoder, Encoder, ModelConfig, Tokenizer};

/// What a folder can hold.
pub trait Model {
    /// The configuration.
    fn config(&self) -> &ModelConfig;
    /// The weights, in name order.
    fn parameters(&self) -> &Parameters;
}

impl Model for Decoder {
    fn config(&self) -> &ModelConfig {
        Decoder::config(self)
    }

    fn parameters(&self) -> &Parameters {
        Decoder::parameters(self)
    }
}

impl Model for Encoder {
    fn config(&self) -> &ModelConfig {
        Encoder::config(self)
    }

    fn parameters(&self) -> &Parameters {
        Encoder::parameters(self)
    }
}

/// How a folder is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SaveOptions {
    /// Most bytes of tensors in one file (but at least one tensor); `None` for one file.
    pub max_shard_bytes: Option<u64>,
}

/// Writes everything.
pub(super) fn write(
    path: &Path,
    (config, parameters): (&ModelConfig, &Parameters),
    tokenizer: &Tokenizer,
    options: &SaveOptions,
) -> Result<(), FolderError> {
    std::fs::create_dir_all(path).map_err(file_error::<FolderError>("writing", path))?;
    let write = |name: &str, bytes: &[u8]| {
        let target = path.join(name);
        write_atomically(&target, |file| file.write_all(bytes)).map_err(file_error("writing", &target))
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
    write(GENERATION_CONFIG, generation_json(config).as_bytes())?;
    shards::write(path, parameters, options.max_shard_bytes).map_err(|source| weights_error(path, source))?;
    write(CONFIG, config.to_json(stored_dtype(parameters, config)).as_bytes())
}

fn remove_if_there(path: &Path) -> Result<(), FolderError> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(file_error("removing", path)(source)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The name `transformers` has for the format most of the weights are stored in.
fn stored_dtype(parameters: &Parameters, config: &ModelConfig) -> &'static str {
    match kind_of_weights(parameters, config) {
        Kind::BFloat16 => "bfloat16",
        Kind::Half => "float16",
        _ => "float32",
    }
}

//! `generation_config.json`: chat models often end a turn with tokens that stand here only. Sampling settings are the caller's.

use std::path::Path;

use serde_json::{Map, Value};

use super::FolderError;
use crate::config::{ConfigError, Fields};
use crate::files::file_error;
use crate::{ModelConfig, config};

/// Adds the end-of-sequence tokens of the file at `path`, and the other special tokens where `config` has none. No file adds
/// nothing.
pub(super) fn add_special_tokens(path: &Path, config: &mut ModelConfig) -> Result<(), FolderError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(file_error("reading", path)(source)),
    };
    add(&text, config).map_err(|source| FolderError::GenerationConfig { path: path.to_owned(), source })
}

fn add(text: &str, config: &mut ModelConfig) -> Result<(), ConfigError> {
    let map: Map<String, Value> = serde_json::from_str(text).map_err(|source| ConfigError::Json { source })?;
    let fields = Fields::new(&map);
    let (bos, eos, pad) = (fields.ids("bos_token_id")?, fields.ids("eos_token_id")?, fields.ids("pad_token_id")?);
    for id in bos.iter().chain(&eos).chain(&pad) {
        if *id as usize >= config.vocab_size {
            let below = format!("below vocab_size ({})", config.vocab_size);
            return Err(config::invalid("special token id", id, below));
        }
    }
    let new: Vec<u32> = eos.into_iter().filter(|id| !config.eos_token_ids.contains(id)).collect();
    config.eos_token_ids.extend(new);
    config.bos_token_id = config.bos_token_id.or_else(|| bos.first().copied());
    config.pad_token_id = config.pad_token_id.or_else(|| pad.first().copied());
    Ok(())
}

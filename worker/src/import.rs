//! `import` and `export`: model files in and out. The model crate reads, checks and writes; here is what a person sees.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use galapagos_model::gguf::{GgufError, GgufModel, Progress, StoredType, Summary};
use galapagos_model::{Decoder, FolderError, ModelFolder, SaveOptions, WeightsError};
use serde::Serialize;
use tch::{Device, Kind};

use crate::config::{Export, Import, Stored};
use crate::ignored;

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("cannot import {}", path.display())]
    Gguf { path: PathBuf, source: GgufError },
    #[error("cannot import {}: it was converted, but the result is not a model this program can use", path.display())]
    Unusable { path: PathBuf, source: Box<FolderError> },
    #[error("cannot export {}", path.display())]
    Export { path: PathBuf, source: Box<FolderError> },
    #[error("cannot export {}: its weights cannot be stored as {dtype}", path.display())]
    Weights { path: PathBuf, dtype: &'static str, source: Box<WeightsError> },
    #[error("cannot export {}: tensor `{tensor}` has values beyond the range of {dtype}; use --dtype f32", path.display())]
    Range { path: PathBuf, dtype: &'static str, tensor: String },
    #[error("cannot export to {}: the folder is not empty; name a new one, or remove it first", path.display())]
    Taken { path: PathBuf },
    #[error("cannot write the result")]
    Output { source: io::Error },
    #[error("cannot encode the result as JSON")]
    Json { source: serde_json::Error },
}

/// The JSON of `import --json`, version 1.
#[derive(Debug, Serialize)]
struct Report<'a> {
    version: u32,
    folder: &'a Path,
    dtype: &'static str,
    architecture: &'a str,
    name: Option<&'a str>,
    licence: Option<&'a str>,
    parameters: u64,
    /// Number of tensors by GGUF's name of their format.
    types: &'a std::collections::BTreeMap<&'static str, usize>,
    tokens: usize,
    vocabulary: usize,
    context: usize,
    chat_template: bool,
}

/// Imports a GGUF file: written beside its place, opened as a check, then given its name.
///
/// # Errors
/// [`ImportError`]; the folder is there completely or not at all.
pub fn run(config: &Import, out: &mut dyn Write, progress: &mut dyn Write) -> Result<(), ImportError> {
    let failed = |source| ImportError::Gguf { path: config.file.clone(), source };
    let model = GgufModel::open(&config.file).map_err(failed)?;
    let stored = stored_type(config.dtype);
    let mut shown = None;
    let staged = model.stage(&config.dir, stored, &mut |now| shown = show(progress, shown, now)).map_err(failed)?;
    let opened = ModelFolder::open(staged.path())
        .map_err(|source| ImportError::Unusable { path: config.file.clone(), source: Box::new(source) })?;
    ignored::tell(&opened);
    staged.publish().map_err(failed)?;
    let summary = model.summary();
    if config.json {
        return print_json(out, &report(&summary, config, stored));
    }
    write_summary(out, &summary, config, stored).map_err(|source| ImportError::Output { source })
}

/// A line for every tenth; what cannot be shown is not worth failing for.
fn show(out: &mut dyn Write, shown: Option<u64>, now: Progress) -> Option<u64> {
    let tenth = now.done * 10 / now.total.max(1);
    if shown == Some(tenth) {
        return shown;
    }
    let _ = writeln!(out, "importing weights: {:>3}%", tenth * 10);
    Some(tenth)
}

fn report<'a>(summary: &'a Summary, config: &'a Import, stored: StoredType) -> Report<'a> {
    Report {
        version: 1,
        folder: &config.dir,
        dtype: stored.name(),
        architecture: &summary.architecture,
        name: summary.name.as_deref(),
        licence: summary.licence.as_deref(),
        parameters: summary.parameters,
        types: &summary.types,
        tokens: summary.tokens,
        vocabulary: summary.vocabulary,
        context: summary.context,
        chat_template: summary.chat_template,
    }
}

fn write_summary(out: &mut dyn Write, summary: &Summary, config: &Import, stored: StoredType) -> io::Result<()> {
    let types: Vec<String> = summary.types.iter().map(|(name, count)| format!("{count} {name}")).collect();
    let unknown = "not stated in the file";
    writeln!(out, "imported {} -> {}", config.file.display(), config.dir.display())?;
    writeln!(out, "  model         {}", summary.name.as_deref().unwrap_or(unknown))?;
    writeln!(out, "  architecture  {}", summary.architecture)?;
    writeln!(out, "  parameters    {}", summary.parameters)?;
    writeln!(out, "  tensors       {}, written as {}", types.join(", "), stored.name())?;
    writeln!(out, "  tokens        {} (embedding of {} rows)", summary.tokens, summary.vocabulary)?;
    writeln!(out, "  context       {}", summary.context)?;
    writeln!(out, "  chat template {}", if summary.chat_template { "yes" } else { "no" })?;
    writeln!(out, "  licence       {}", summary.licence.as_deref().unwrap_or(unknown))?;
    let raw = if summary.chat_template { "" } else { " --raw" };
    writeln!(out, "next: galapagos chat {}{raw}", config.dir.display())
}

/// Writes a model folder anew, checked, with its weights in the wanted format, in files of at most the wanted size.
///
/// # Errors
/// [`ImportError`].
pub fn export(config: &Export, out: &mut dyn Write) -> Result<(), ImportError> {
    let failed = |source| ImportError::Export { path: config.model.clone(), source: Box::new(source) };
    if std::fs::read_dir(&config.dir).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(ImportError::Taken { path: config.dir.clone() });
    }
    let folder = ModelFolder::open(&config.model).map_err(failed)?;
    ignored::tell(&folder);
    let mut model = folder.load(Device::Cpu).map_err(failed)?;
    if let Some(stored) = config.dtype {
        model = convert(&model, config, stored_type(stored))?;
    }
    let options = SaveOptions { max_shard_bytes: config.max_shard_size };
    ModelFolder::save_with(&config.dir, &model, folder.tokenizer(), &options).map_err(failed)?;
    if config.json {
        return print_json(out, &serde_json::json!({"version": 1, "model": config.model, "folder": config.dir}));
    }
    writeln!(out, "exported {} -> {}", config.model.display(), config.dir.display())
        .map_err(|source| ImportError::Output { source })
}

fn convert(model: &Decoder, config: &Export, stored: StoredType) -> Result<Decoder, ImportError> {
    let dtype = stored.name();
    let weights = |source| ImportError::Weights { path: config.model.clone(), dtype, source: Box::new(source) };
    let kind = match stored {
        StoredType::F32 => Kind::Float,
        StoredType::BF16 => Kind::BFloat16,
        StoredType::F16 => Kind::Half,
    };
    let parameters = model.parameters().copy_to(kind, Device::Cpu).map_err(weights)?;
    if let Some(tensor) = parameters.first_not_finite().map_err(weights)? {
        return Err(ImportError::Range { path: config.model.clone(), dtype, tensor: tensor.to_owned() });
    }
    Decoder::new(model.config().clone(), parameters).map_err(weights)
}

fn stored_type(stored: Stored) -> StoredType {
    match stored {
        Stored::F32 => StoredType::F32,
        Stored::Bf16 => StoredType::BF16,
        Stored::F16 => StoredType::F16,
    }
}

fn print_json<T: Serialize>(out: &mut dyn Write, value: &T) -> Result<(), ImportError> {
    let text = serde_json::to_string_pretty(value).map_err(|source| ImportError::Json { source })?;
    writeln!(out, "{text}").map_err(|source| ImportError::Output { source })
}

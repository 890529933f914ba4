//! `merge`: a base and a LoRA adapter become one model folder. The model crate checks, adds and writes; here is what a person
//! sees.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use galapagos_model::lora::{Adapter, AdapterError, merge};
use galapagos_model::probe::{Probe, ProbeError};
use galapagos_model::{ComputeError, Decoder, FolderError, ModelFolder, WeightsError, weights_digest};
use serde::Serialize;
use tch::Device;

use crate::config::Merge;
use crate::ignored;

/// Why nothing was merged.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    #[error("cannot merge into the base {}", path.display())]
    Base { path: PathBuf, source: Box<FolderError> },
    #[error("cannot merge the adapter {}", path.display())]
    Adapter { path: PathBuf, source: Box<AdapterError> },
    #[error("cannot merge to {}: the folder is not empty; name a new one, or remove it first", path.display())]
    Taken { path: PathBuf },
    #[error("cannot write the merged model to {}", path.display())]
    Write { path: PathBuf, source: Box<FolderError> },
    #[error("the adapter in {} does not compute on {} what it did when it was made; nothing was written", path.display(), base.display())]
    Probe { path: PathBuf, base: PathBuf, source: ProbeError },
    #[error("what the merged model computes cannot be recorded")]
    Record { source: ComputeError },
    #[error("cannot write {} into {}", galapagos_model::probe::FILE, path.display())]
    WriteProbe { path: PathBuf, source: io::Error },
    #[error("cannot compute the digest of the merged weights")]
    Digest { source: Box<WeightsError> },
    #[error("cannot write the result")]
    Output { source: io::Error },
    #[error("cannot encode the result as JSON")]
    Json { source: serde_json::Error },
}

/// The JSON of `merge --json`, version 1.
#[derive(Debug, Serialize)]
struct Report<'a> {
    version: u32,
    base: &'a Path,
    adapter: &'a Path,
    folder: &'a Path,
    /// Projections that were changed.
    projections: usize,
    /// Digest of the merged weights.
    weights: String,
}

/// Writes the base with the adapter's updates added, in the base's number format.
///
/// # Errors
/// [`MergeError`]; the folder is whole when it has a `config.json`.
pub fn run(config: &Merge, out: &mut dyn Write) -> Result<(), MergeError> {
    let base_error = |source| MergeError::Base { path: config.base.clone(), source: Box::new(source) };
    let adapter_error = |source| MergeError::Adapter { path: config.adapter.clone(), source: Box::new(source) };
    if std::fs::read_dir(&config.dir).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(MergeError::Taken { path: config.dir.clone() });
    }
    let folder = ModelFolder::open(&config.base).map_err(base_error)?;
    ignored::tell(&folder);
    let adapter = Adapter::open(&config.adapter, folder.config(), Device::Cpu).map_err(adapter_error)?;
    let base = folder.load(Device::Cpu).map_err(base_error)?;
    check_probe(config, &base, &adapter)?;
    let merged = merge(&base, &adapter).map_err(adapter_error)?.into_model();
    drop(base);
    ModelFolder::save(&config.dir, &merged, folder.tokenizer())
        .map_err(|source| MergeError::Write { path: config.dir.clone(), source: Box::new(source) })?;
    let recorded = Probe::of(&merged, None).map_err(|source| MergeError::Record { source })?;
    recorded.write(&config.dir).map_err(|source| MergeError::WriteProbe { path: config.dir.clone(), source })?;
    let digest =
        weights_digest(merged.parameters()).map_err(|source| MergeError::Digest { source: Box::new(source) })?;
    report(config, adapter.projections(), digest.to_hex().to_string(), out)
}

/// The adapter's maker may have recorded what it computes on its base: another base of the same shape shows here.
fn check_probe(config: &Merge, base: &Decoder, adapter: &Adapter) -> Result<(), MergeError> {
    let wrong = |source| MergeError::Probe { path: config.adapter.clone(), base: config.base.clone(), source };
    let Some(probe) = Probe::read(&config.adapter).map_err(wrong)? else { return Ok(()) };
    let found = probe.outputs_of(base, Some(adapter)).map_err(|source| MergeError::Record { source })?;
    probe.check(&found, Probe::EXACT).map_err(wrong)
}

fn report(config: &Merge, projections: usize, weights: String, out: &mut dyn Write) -> Result<(), MergeError> {
    let text = if config.json {
        let report = Report {
            version: 1,
            base: &config.base,
            adapter: &config.adapter,
            folder: &config.dir,
            projections,
            weights,
        };
        serde_json::to_string_pretty(&report).map_err(|source| MergeError::Json { source })?
    } else {
        let (base, adapter, folder) = (config.base.display(), config.adapter.display(), config.dir.display());
        format!("merged {base} + {adapter} -> {folder}\n  {projections} projections changed, weights {weights}")
    };
    writeln!(out, "{text}").map_err(|source| MergeError::Output { source })
}

#[cfg(test)]
mod tests {
    use galapagos_model::lora::{AdapterConfig, ModuleNames};
    use galapagos_model::{ModelConfig, Tokenizer};

    use super::*;

    fn base(folder: &Path) -> ModelConfig {
        base_of(folder, 1)
    }

    fn base_of(folder: &Path, seed: u64) -> ModelConfig {
        let tokenizer = Tokenizer::characters("abcdefgh").unwrap();
        let config = serde_json::json!({
            "model_type": "llama", "vocab_size": tokenizer.vocab_size(), "hidden_size": 16, "intermediate_size": 24,
            "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "rms_norm_eps": 1e-5,
            "max_position_embeddings": 32, "tie_word_embeddings": true, "eos_token_id": tokenizer.eos(),
            "hidden_act": "silu", "rope_theta": 10000.0,
        });
        let config = ModelConfig::from_json(&config.to_string()).unwrap();
        let model = Decoder::init(config.clone(), seed, Device::Cpu).unwrap();
        ModelFolder::save(folder, &model, &tokenizer).unwrap();
        config
    }

    #[test]
    fn a_merged_folder_holds_the_changed_base() {
        let place = tempfile::tempdir().unwrap();
        let [model, lora, merged] = ["base", "adapter", "merged"].map(|name| place.path().join(name));
        let config = base(&model);
        let settings = AdapterConfig::new(2, 4.0, ModuleNames::List(vec!["q_proj".into()]));
        let adapter = Adapter::init(settings, &config, 1, Device::Cpu).unwrap();
        for (_, tensor) in adapter.parameters().iter() {
            let _ = tensor.shallow_clone().f_fill_(0.5).unwrap();
        }
        adapter.save(&lora).unwrap();
        let arguments = Merge { base: model.clone(), adapter: lora, dir: merged.clone(), json: true };
        let mut out = Vec::new();
        run(&arguments, &mut out).unwrap();
        let report: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!((&report["version"], &report["projections"]), (&1.into(), &2.into()));
        let load = |path: &Path| ModelFolder::open(path).unwrap().load(Device::Cpu).unwrap();
        let (before, after) = (load(&model), load(&merged));
        assert_eq!(report["weights"], weights_digest(after.parameters()).unwrap().to_hex().to_string());
        for (name, tensor) in after.parameters().iter() {
            let change = (tensor - before.parameters().get(name).unwrap()).abs().max().double_value(&[]);
            // 4 / 2 * (0.5 * 0.5 + 0.5 * 0.5)
            let expected = if name.contains("q_proj") { 1.0 } else { 0.0 };
            assert!((change - expected).abs() < 1e-6, "{name} changed by {change}");
        }
        let again = run(&arguments, &mut Vec::new()).unwrap_err().to_string();
        assert!(again.contains("not empty"), "{again}");
    }

    #[test]
    fn a_base_that_the_adapter_was_not_made_for_is_refused_by_its_probe_and_the_merged_model_has_one() {
        let place = tempfile::tempdir().unwrap();
        let [model, other, lora, merged] = ["base", "other", "adapter", "merged"].map(|name| place.path().join(name));
        let config = base(&model);
        base_of(&other, 2);
        let settings = AdapterConfig::new(2, 4.0, ModuleNames::List(vec!["q_proj".into()]));
        let adapter = Adapter::init(settings, &config, 1, Device::Cpu).unwrap();
        adapter.save(&lora).unwrap();
        let load = |path: &Path| ModelFolder::open(path).unwrap().load(Device::Cpu).unwrap();
        Probe::of(&load(&model), Some(&adapter)).unwrap().write(&lora).unwrap();
        let arguments = Merge { base: other, adapter: lora, dir: merged.clone(), json: false };
        let error = run(&arguments, &mut Vec::new()).unwrap_err();
        assert!(matches!(error, MergeError::Probe { .. }) && !merged.exists(), "{error}");
        run(&Merge { base: model, ..arguments }, &mut Vec::new()).unwrap();
        let probe = Probe::read(&merged).unwrap().unwrap();
        probe.check(&probe.outputs_of(&load(&merged), None).unwrap(), Probe::EXACT).unwrap();
    }

    #[test]
    fn what_is_missing_is_named() {
        let place = tempfile::tempdir().unwrap();
        let [model, lora, merged] = ["base", "adapter", "merged"].map(|name| place.path().join(name));
        let arguments = Merge { base: model.clone(), adapter: lora, dir: merged.clone(), json: false };
        assert!(matches!(run(&arguments, &mut Vec::new()), Err(MergeError::Base { .. })));
        base(&model);
        assert!(matches!(run(&arguments, &mut Vec::new()), Err(MergeError::Adapter { .. })));
        assert!(!merged.exists());
    }
}

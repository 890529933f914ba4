//! An adapter's folder: `adapter_config.json` and `adapter_model.safetensors`, with PEFT's names of tensors.
//!
//! The header of the weights is checked against the base before a weight is read.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use tch::Device;

use super::Adapter;
use super::config::AdapterConfig;
use super::error::AdapterError;
use super::targets::{BaseModules, Update, layer_of};
use crate::ModelConfig;
use crate::files::{file_error, write_atomically};
use crate::weights::Parameters;
use crate::weights::safetensors_file::{self, WeightsFile};

const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";
const PICKLED: &str = "adapter_model.bin";
const PREFIX: &str = "base_model.model.";
const DOWN: &str = ".lora_A.weight";
const UP: &str = ".lora_B.weight";

type Shapes = BTreeMap<String, Vec<usize>>;

/// Name of A of `module` in a file.
pub(super) fn down_name(module: &str) -> String {
    format!("{PREFIX}{module}{DOWN}")
}

/// Name of B of `module` in a file.
pub(super) fn up_name(module: &str) -> String {
    format!("{PREFIX}{module}{UP}")
}

pub(super) fn open(path: &Path, base: &ModelConfig, device: Device) -> Result<Adapter, AdapterError> {
    if !path.is_dir() {
        return Err(AdapterError::NoFolder { path: path.to_owned() });
    }
    let config_path = path.join(CONFIG);
    let text = match std::fs::read_to_string(&config_path) {
        Ok(text) => text,
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => {
            return Err(AdapterError::NoFile { path: config_path, hint: "" });
        }
        Err(source) => return Err(file_error("reading", &config_path)(source)),
    };
    let refused = |source| AdapterError::Config { path: config_path.clone(), source };
    let config = AdapterConfig::from_json(&text).map_err(refused)?;
    let modules = BaseModules::of(base);
    let updates = modules.updates(&config).map_err(refused)?;
    let weights_path = path.join(WEIGHTS);
    if !weights_path.is_file() {
        let pickled = path.join(PICKLED).exists();
        let hint = if pickled { "; pickled weights are not read, save the adapter with safetensors" } else { "" };
        return Err(AdapterError::NoFile { path: weights_path, hint });
    }
    let place = weights_path.display().to_string();
    let broken = |source| AdapterError::Weights { place: place.clone(), source: Box::new(source) };
    let mut file = WeightsFile::open(&weights_path).map_err(broken)?;
    check_layout(&place, (&modules, &updates), &file.shapes())?;
    file.check_dtypes().map_err(broken)?;
    let parameters = file.read(device).map_err(broken)?;
    check_finite(&place, &parameters)?;
    Adapter::assemble(config, parameters, &updates, modules.transposed())
}

pub(super) fn save(path: &Path, adapter: &Adapter) -> Result<(), AdapterError> {
    std::fs::create_dir_all(path).map_err(file_error::<AdapterError>("writing", path))?;
    let config_path = path.join(CONFIG);
    match std::fs::remove_file(&config_path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            return Err(file_error("removing", &config_path)(source));
        }
        Ok(()) | Err(_) => {}
    }
    let weights_path = path.join(WEIGHTS);
    safetensors_file::write(&weights_path, &adapter.parameters).map_err(|source| AdapterError::Weights {
        place: weights_path.display().to_string(),
        source: Box::new(source),
    })?;
    let text = adapter.config.to_json(adapter.transposed);
    write_atomically(&config_path, |file| file.write_all(text.as_bytes())).map_err(file_error("writing", &config_path))
}

pub(super) fn tensor_problem(place: &str, tensor: &str, problem: impl Into<String>) -> AdapterError {
    AdapterError::Tensor { place: place.to_owned(), tensor: tensor.to_owned(), problem: problem.into() }
}

pub(super) fn shapes(parameters: &Parameters) -> Shapes {
    let shape =
        |tensor: &tch::Tensor| tensor.size().into_iter().map(|size| usize::try_from(size).unwrap_or(0)).collect();
    parameters.iter().map(|(name, tensor)| (name.to_owned(), shape(tensor))).collect()
}

pub(super) fn check_finite(place: &str, parameters: &Parameters) -> Result<(), AdapterError> {
    match parameters.first_not_finite() {
        Ok(None) => Ok(()),
        Ok(Some(name)) => {
            Err(tensor_problem(place, name, "holds NaN or infinity; every number of an adapter has to be finite"))
        }
        Err(source) => Err(AdapterError::Weights { place: place.to_owned(), source: Box::new(source) }),
    }
}

/// Checks that the tensors are exactly the pairs that the settings mean for this base.
pub(super) fn check_layout(
    place: &str,
    (modules, updates): (&BaseModules, &BTreeMap<String, Update>),
    shapes: &Shapes,
) -> Result<(), AdapterError> {
    for name in shapes.keys() {
        if let Some(problem) = stranger(name, modules, updates) {
            return Err(tensor_problem(place, name, problem));
        }
    }
    for (module, update) in updates {
        let Update { projection, rank, .. } = update;
        let (down, up) = (down_name(module), up_name(module));
        for (name, other, expected) in
            [(&down, &up, [*rank, projection.inputs]), (&up, &down, [projection.outputs, *rank])]
        {
            match shapes.get(name) {
                Some(found) if *found == expected => {}
                Some(found) => return Err(tensor_problem(place, name, wrong_shape(found, expected, *rank))),
                None if shapes.contains_key(other) => {
                    let problem =
                        format!("is missing although its other half `{other}` is there; it would be {expected:?}");
                    return Err(tensor_problem(place, name, problem));
                }
                None => {
                    let problem = format!("is missing; the settings' `target_modules` ask for it, as {expected:?}");
                    return Err(tensor_problem(place, name, problem));
                }
            }
        }
    }
    Ok(())
}

fn wrong_shape(found: &[usize], expected: [usize; 2], rank: usize) -> String {
    format!("has shape {found:?}; the base and the settings (rank {rank} here) ask for {expected:?}")
}

/// Why a tensor does not belong to an adapter of this base, if it does not.
fn stranger(name: &str, modules: &BaseModules, updates: &BTreeMap<String, Update>) -> Option<String> {
    let path = name.strip_prefix(PREFIX);
    let module = path.and_then(|path| path.strip_suffix(DOWN).or_else(|| path.strip_suffix(UP)));
    let Some(module) = module else {
        return Some(format!(
            "is no part of a plain LoRA adapter, whose tensors are `{PREFIX}MODULE{DOWN}` and `..{UP}`"
        ));
    };
    if updates.contains_key(module) {
        return None;
    }
    if modules.get(module).is_some() {
        return Some("is not among the settings' `target_modules`; add its module there or remove it".to_owned());
    }
    Some(match layer_of(module) {
        Some(layer) if layer >= modules.layers => {
            format!("belongs to layer {layer}; the base has layers 0 to {}", modules.layers.saturating_sub(1))
        }
        _ => format!("belongs to a module the base does not have; its projections are {}", modules.known()),
    })
}

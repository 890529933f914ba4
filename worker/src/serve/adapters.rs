//! Adapters that come and go while the server runs, with vLLM's addresses and words: `POST /v1/load_lora_adapter` and
//! `POST /v1/unload_lora_adapter`. Off unless the server was started with `--allow-runtime-adapters`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use galapagos_model::engine::{AdapterId, Engine};
use galapagos_model::lora::Adapter;
use galapagos_model::probe::Probe;
use galapagos_telemetry::ErrorChain;
use serde::Deserialize;
use tch::Device;

use super::api::error::ApiError;

/// Adapters at a time: a limit of memory, and against a client that never takes one off.
const MOST: usize = 1024;

/// What becomes of the adapter `name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdapterChange {
    /// It is read from `folder`.
    Load { name: String, folder: PathBuf },
    /// Requests may no longer name it; those that run end with it.
    Unload { name: String },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LoadRequest {
    lora_name: String,
    lora_path: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct UnloadRequest {
    lora_name: String,
}

impl AdapterChange {
    /// Reads the body of `POST /v1/load_lora_adapter`.
    ///
    /// # Errors
    /// [`ApiError`] for other fields than `lora_name` and `lora_path`.
    pub fn load(body: &[u8]) -> Result<Self, ApiError> {
        let LoadRequest { lora_name: name, lora_path: folder } = read(body)?;
        Self::Load { name, folder }.named()
    }

    /// Reads the body of `POST /v1/unload_lora_adapter`.
    ///
    /// # Errors
    /// [`ApiError`] for other fields than `lora_name`.
    pub fn unload(body: &[u8]) -> Result<Self, ApiError> {
        let UnloadRequest { lora_name: name } = read(body)?;
        Self::Unload { name }.named()
    }

    /// The adapter's name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Load { name, .. } | Self::Unload { name } => name,
        }
    }

    fn named(self) -> Result<Self, ApiError> {
        match self.name() {
            "" => Err(ApiError::invalid(Some("lora_name"), "`lora_name` must not be empty")),
            _ => Ok(self),
        }
    }
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| ApiError::invalid(None, format!("the body cannot be read: {error}")))
}

/// Does it. The names in `known` are those of the adapters in `engine`.
pub(super) fn change(
    engine: &mut Engine,
    known: &mut BTreeMap<String, AdapterId>,
    change: &AdapterChange,
) -> Result<(), ApiError> {
    match change {
        AdapterChange::Load { name, folder } => {
            if known.contains_key(name) {
                return Err(loaded_already(name));
            }
            if known.len() >= MOST {
                let message = format!("{MOST} adapters are loaded, which is the limit; unload one first");
                return Err(ApiError::invalid(Some("lora_name"), message));
            }
            let refused = |error: &dyn std::error::Error| {
                ApiError::invalid(Some("lora_path"), format!("adapter `{name}`: {}", ErrorChain::new(error)))
            };
            let adapter = Adapter::open(folder, engine.config(), Device::Cpu).map_err(|error| refused(&error))?;
            let id = engine.add_adapter(&adapter).map_err(|error| refused(&error))?;
            if let Err(error) = Probe::check_folder(folder, engine, Some(id)) {
                engine.remove_adapter(id);
                return Err(refused(&error));
            }
            known.insert(name.clone(), id);
        }
        AdapterChange::Unload { name } => match known.remove(name) {
            Some(id) => drop(engine.remove_adapter(id)),
            None => return Err(ApiError::no_model(name, &known.keys().cloned().collect::<Vec<_>>())),
        },
    }
    Ok(())
}

/// The name is taken. Clients know these words from vLLM.
pub(super) fn loaded_already(name: &str) -> ApiError {
    let message = format!("the lora adapter `{name}` has already been loaded; unload it first, or take another name");
    ApiError::invalid(Some("lora_name"), message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_with_other_fields_is_refused_by_name() {
        let loaded = AdapterChange::load(br#"{"lora_name": "a", "lora_path": "/x"}"#).unwrap();
        assert_eq!(loaded, AdapterChange::Load { name: "a".into(), folder: "/x".into() });
        let error = AdapterChange::load(br#"{"lora_name": "a", "lora_path": "/x", "load_inplace": true}"#).unwrap_err();
        assert!(error.body().to_string().contains("load_inplace"));
        assert!(AdapterChange::load(br#"{"lora_name": "", "lora_path": "/x"}"#).is_err());
        assert!(AdapterChange::unload(b"{}").unwrap_err().body().to_string().contains("lora_name"));
    }
}

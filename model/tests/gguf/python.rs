//! Runs `make_gguf.py` in the tests' Python and exchanges JSON and tensors with it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use galapagos_model::gguf::{GgufModel, StoredType};
use serde_json::Value;
use tch::Tensor;

/// Answers of the script to `requests`, in order.
pub fn ask(requests: &[Value]) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let (request, response) = (folder.path().join("request.json"), folder.path().join("response.json"));
    std::fs::write(&request, serde_json::to_vec(requests).unwrap()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gguf/make_gguf.py");
    let output = Command::new(python())
        .arg(script)
        .args([&request, &response])
        .env("OMP_NUM_THREADS", "1")
        .env("HF_HUB_OFFLINE", "1")
        .output()
        .unwrap_or_else(|error| panic!("cannot start {}: {error}; run `make setup`", python().display()));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "make_gguf.py failed (if a package is missing, run `make setup`):\n{errors}");
    serde_json::from_slice(&std::fs::read(&response).unwrap()).unwrap()
}

fn python() -> PathBuf {
    match std::env::var_os("GALAPAGOS_PYTHON") {
        Some(path) => path.into(),
        None => cache().join("venv/bin/python"),
    }
}

/// Where `make setup` puts things.
pub fn cache() -> PathBuf {
    match std::env::var_os("GALAPAGOS_CACHE") {
        Some(path) => path.into(),
        None => PathBuf::from(std::env::var_os("HOME").expect("HOME is set")).join(".cache/galapagos"),
    }
}

/// Imports `file` to `folder`.
pub fn import(file: &Path, folder: &Path, stored: StoredType) {
    tch::set_num_threads(1);
    let model = GgufModel::open(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let (mut last, total) = (0, model.summary().parameters);
    let mut progress = |now: galapagos_model::gguf::Progress| {
        assert!(now.done > last && now.total == total, "progress goes up to the whole");
        last = now.done;
    };
    let staged = model.stage(folder, stored, &mut progress).unwrap();
    assert_eq!(last, total);
    assert!(!folder.exists(), "nothing is seen before it is whole");
    staged.publish().unwrap();
}

/// Tensors of a safetensors file by name.
pub fn tensors(path: &Path) -> BTreeMap<String, Tensor> {
    Tensor::read_safetensors(path).unwrap().into_iter().collect()
}

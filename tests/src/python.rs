//! The tests' Python, an independent reader of what a run leaves behind.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The Python with torch, transformers and pyarrow.
///
/// # Panics
/// If it is not there.
#[track_caller]
#[must_use]
pub fn interpreter() -> PathBuf {
    let path = match (std::env::var_os("GALAPAGOS_PYTHON"), std::env::var_os("HOME")) {
        (Some(python), _) => PathBuf::from(python),
        (None, Some(home)) => Path::new(&home).join(".cache/galapagos/venv/bin/python"),
        (None, None) => panic!("neither GALAPAGOS_PYTHON nor HOME is set"),
    };
    assert!(path.is_file(), "the tests' Python `{}` is missing; run `make setup`", path.display());
    path
}

/// Runs a script of `tests/scripts` and reads the JSON on its standard output.
///
/// # Panics
/// If it fails or prints no JSON.
#[track_caller]
#[must_use]
pub fn script(name: &str, args: &[&Path]) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts").join(name);
    let output = Command::new(interpreter())
        .arg(&path)
        .args(args)
        .env("OMP_NUM_THREADS", "1")
        .env("HF_HUB_OFFLINE", "1")
        .output()
        .unwrap_or_else(|error| panic!("could not start Python: {error}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name} failed ({}):\n{out}\n{err}", output.status);
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{name} printed no JSON ({error}):\n{out}\n{err}"))
}

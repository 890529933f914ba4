//! Optimisers, the running mean and the run log against independent references, each with its tolerance.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test's helpers fail by panicking, like the test")]

mod optimisers;
mod run_logs;

use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs a script of this folder with `folder` as its argument; returns what it printed.
fn python(script: &str, folder: &Path) -> String {
    let python = std::env::var_os("GALAPAGOS_PYTHON").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").expect("HOME is set")).join(".cache/galapagos/venv/bin/python"),
        PathBuf::from,
    );
    assert!(python.exists(), "{} is missing: run `make setup`, or set GALAPAGOS_PYTHON", python.display());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/optim").join(script);
    let mut command = Command::new(python);
    command.arg(script).arg(folder).env("OMP_NUM_THREADS", "1");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

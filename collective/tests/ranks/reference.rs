//! Runs the Python scripts of `tests/reference/` with PyTorch, and finds the folders through which they and the ranks meet.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder that the starting process makes and its ranks find in the same place.
pub fn shared_folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Runs the script of `tests/reference/` and panics with what it wrote if it fails.
pub fn run_script(name: &str, arguments: &[&Path]) {
    let python = python();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference").join(name);
    let ran = Command::new(&python).arg(script).args(arguments).env("OMP_NUM_THREADS", "1").output();
    let ran = ran.unwrap_or_else(|e| panic!("no Python with PyTorch at {}; run `make setup`: {e}", python.display()));
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}

fn python() -> PathBuf {
    std::env::var_os("GALAPAGOS_PYTHON").map(PathBuf::from).unwrap_or_else(|| {
        let home = std::env::var_os("HOME").unwrap();
        Path::new(&home).join(".cache/galapagos/venv/bin/python")
    })
}

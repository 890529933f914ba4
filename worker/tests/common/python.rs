//! The tests' Python, which `make setup` makes.

use std::path::{Path, PathBuf};

/// Its interpreter.
pub fn python() -> PathBuf {
    let path = match (std::env::var_os("GALAPAGOS_PYTHON"), std::env::var_os("HOME")) {
        (Some(python), _) => PathBuf::from(python),
        (None, Some(home)) => Path::new(&home).join(".cache/galapagos/venv/bin/python"),
        (None, None) => panic!("neither GALAPAGOS_PYTHON nor HOME is set"),
    };
    assert!(path.is_file(), "the tests' Python `{}` is missing; run `make setup`", path.display());
    path
}

//! Where the executables, recipes and the tests' Python are. Nothing is built or looked up elsewhere: what is missing fails
//! the test with the command that brings it.

use std::path::{Path, PathBuf};

/// The executable `galapagos`: `$GALAPAGOS_BIN`, or the one in the target folder that this test was built in.
///
/// # Panics
/// If it is not there.
#[track_caller]
#[must_use]
pub fn galapagos() -> PathBuf {
    executable("galapagos")
}

/// The executable `name` beside `galapagos`.
///
/// # Panics
/// If it is not there.
#[track_caller]
#[must_use]
pub fn executable(name: &str) -> PathBuf {
    let folder = match std::env::var_os("GALAPAGOS_BIN") {
        Some(galapagos) => PathBuf::from(galapagos).with_file_name(""),
        None => target_folder(),
    };
    let path = folder.join(name);
    assert!(
        path.is_file(),
        "`{}` is not built; whole-system tests need all executables: run `cargo build --workspace` (scripts/test.sh does)",
        path.display()
    );
    path
}

/// `target/<profile>`, from `target/<profile>/deps/<this test>`.
fn target_folder() -> PathBuf {
    let own = std::env::current_exe().unwrap_or_else(|error| panic!("this test cannot find its own path: {error}"));
    own.ancestors().nth(2).unwrap_or_else(|| panic!("{} lies in no target folder", own.display())).to_owned()
}

/// The repository's folder.
#[must_use]
pub fn repository() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own)
}

/// The recipe of some ten seconds that most tests run.
///
/// # Panics
/// If it is not there.
#[track_caller]
#[must_use]
pub fn micro_recipe() -> PathBuf {
    let path = repository().join("recipes/tests/micro.yaml");
    assert!(path.is_file(), "the recipe {} is missing", path.display());
    path
}

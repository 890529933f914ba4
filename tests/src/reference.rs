//! The undisturbed run, which disturbed ones must equal. One run of nextest makes it once: its folder is kept beside the
//! executables under the number of that test run, so that no result of an older build is ever believed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use crate::binaries;
use crate::run::RunCommand;
use crate::sandbox::copy_folder;

/// The seed of the run that most tests compare with.
pub const SEED: u64 = 1;

/// A finished run of the micro recipe.
#[derive(Debug, Clone)]
pub struct Undisturbed {
    /// As [`crate::Ended::result`].
    pub result: Value,
    folder: PathBuf,
}

impl Undisturbed {
    /// Copies the run folder to `to`, where a test may do with it as it likes.
    ///
    /// # Panics
    /// If it cannot be copied.
    #[track_caller]
    pub fn copy_to(&self, to: &Path) {
        copy_folder(&self.folder, to);
    }

    /// The run folder, to be read only.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// What the micro recipe comes to with [`SEED`] and no fault.
///
/// # Panics
/// If the run does not end well.
#[track_caller]
#[must_use]
pub fn undisturbed() -> Undisturbed {
    /// Tests that share a process take turns.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let home = binaries::galapagos().with_file_name("undisturbed");
    let mark = home.join("result.json");
    let test_run = std::env::var("NEXTEST_RUN_ID").unwrap_or_else(|_| format!("process {}", std::process::id()));
    let folder = home.join("run");
    if let Some(result) = recall(&mark, &test_run) {
        return Undisturbed { result, folder };
    }
    let failed = |what: &str, error: std::io::Error| -> ! { panic!("could not {what} {}: {error}", home.display()) };
    if home.exists() {
        fs::remove_dir_all(&home).unwrap_or_else(|e| failed("remove", e));
    }
    fs::create_dir_all(&home).unwrap_or_else(|e| failed("make", e));
    let result = RunCommand::micro(&folder).seed(SEED).finish().result();
    let text = json!({"test_run": test_run, "result": result}).to_string();
    fs::write(&mark, text).unwrap_or_else(|e| failed("write into", e));
    Undisturbed { result, folder }
}

fn recall(mark: &Path, test_run: &str) -> Option<Value> {
    let kept: Value = serde_json::from_slice(&fs::read(mark).ok()?).ok()?;
    (kept.get("test_run")? == test_run).then(|| kept.get("result").cloned())?
}

//! A temporary folder for one test, kept and named when the test fails.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// Lines of each log that a failure shows.
const TAIL_LINES: usize = 25;

/// The folder; removed at the end of a test that passed.
#[derive(Debug)]
pub struct Sandbox {
    folder: TempDir,
}

impl Sandbox {
    /// An empty folder.
    ///
    /// # Panics
    /// If the machine gives none.
    #[track_caller]
    #[must_use]
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("galapagos-test-").tempdir();
        Self { folder: folder.unwrap_or_else(|error| panic!("could not make a temporary folder: {error}")) }
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The path of `name` in the folder.
    #[must_use]
    pub fn join(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file in the folder and returns its path.
    ///
    /// # Panics
    /// If it cannot be written.
    #[track_caller]
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.join(name);
        fs::write(&path, text).unwrap_or_else(|error| panic!("could not write {}: {error}", path.display()));
        path
    }
}

impl Default for Sandbox {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.folder.disable_cleanup(true);
            eprintln!("the test's folder is kept: {}", self.folder.path().display());
        }
    }
}

/// Copies a folder with all that is in it.
///
/// # Panics
/// If a file cannot be copied.
#[track_caller]
pub fn copy_folder(from: &Path, to: &Path) {
    let failed = |path: &Path, error: std::io::Error| -> ! { panic!("could not copy {}: {error}", path.display()) };
    fs::create_dir_all(to).unwrap_or_else(|e| failed(to, e));
    for entry in fs::read_dir(from).unwrap_or_else(|e| failed(from, e)).flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap_or_else(|e| failed(&entry.path(), e));
        }
    }
}

/// The ends of all logs below a run folder, for the message of a failure.
#[must_use]
pub fn log_tails(run: &Path) -> String {
    let mut text = String::new();
    for (name, log) in logs(run) {
        let lines: Vec<&str> = log.lines().collect();
        let tail = &lines[lines.len().saturating_sub(TAIL_LINES)..];
        text.push_str(&format!("--- end of {name}:\n{}\n", tail.join("\n")));
    }
    text
}

/// Name and text of every log of a run, in order of the names.
#[must_use]
pub fn logs(run: &Path) -> Vec<(String, String)> {
    let Ok(entries) = fs::read_dir(run.join("logs")) else { return Vec::new() };
    let mut logs: Vec<_> = entries
        .flatten()
        .filter_map(|entry| {
            let text = fs::read(entry.path()).ok()?;
            let name = format!("logs/{}", entry.file_name().display());
            Some((name, String::from_utf8_lossy(&text).into_owned()))
        })
        .collect();
    logs.sort();
    logs
}

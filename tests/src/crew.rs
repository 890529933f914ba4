//! A cluster put together by hand: a coordinator, and workers that nobody starts again.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::binaries;
use crate::service::Service;
use crate::tree::MARK;

/// A worker process; killed when dropped. Its ranks end with it.
#[derive(Debug)]
pub struct Hand {
    child: Child,
    log: PathBuf,
}

impl Hand {
    /// Starts the worker `name` with one slot, its cache and log in `folder`, on the artifacts that all workers share.
    ///
    /// # Panics
    /// If it cannot be started.
    #[track_caller]
    #[must_use]
    pub fn start(service: &Service, folder: &Path, name: &str) -> Self {
        let log = folder.join(format!("{name}.log"));
        let output = File::create(&log).unwrap_or_else(|error| panic!("could not make a log: {error}"));
        let mut command = Command::new(binaries::executable("galapagos-worker"));
        command.args(["run", "--name", name, "--coordinator", &service.announcement().addr.to_string()]);
        command
            .arg("--artifacts")
            .arg(folder.join("artifacts"))
            .arg("--cache")
            .arg(folder.join(format!("cache-{name}")));
        command.arg("--models").arg(folder).args(["--device", "cpu", "--threads", "1"]);
        command.env(MARK, folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(output);
        let child = command.spawn().unwrap_or_else(|error| panic!("could not start a worker: {error}"));
        Self { child, log }
    }

    /// Kills it, without a word to anybody.
    pub fn kill(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }

    /// What it logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        self.kill();
    }
}

//! A coordinator on its own, without workers, for what is said to it over the network.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use galapagos_proto::announce::Announcement;

use crate::binaries;
use crate::deadline::Deadline;
use crate::tree::MARK;

/// A coordinator that does not serve after so long is broken.
const START_LIMIT: Duration = Duration::from_secs(30);

/// A running coordinator; killed when dropped.
#[derive(Debug)]
pub struct Service {
    child: Child,
    announcement: Announcement,
    log: PathBuf,
}

impl Service {
    /// Starts `galapagos coordinator` with its store, log and announce file in `folder`.
    ///
    /// # Panics
    /// If it does not serve in time.
    #[track_caller]
    #[must_use]
    pub fn start(folder: &Path) -> Self {
        Self::start_with(folder, &[])
    }

    /// [`Service::start`] with more arguments.
    ///
    /// # Panics
    /// If it does not serve in time.
    #[track_caller]
    #[must_use]
    pub fn start_with(folder: &Path, more: &[&str]) -> Self {
        let (announce, log) = (folder.join("announce.json"), folder.join("coordinator.log"));
        let failed = |what: &str, error: std::io::Error| -> ! { panic!("could not {what}: {error}") };
        let output = File::create(&log).unwrap_or_else(|e| failed("make a log", e));
        let mut child = command(&folder.join("store"))
            .args(more)
            .arg("--announce")
            .arg(&announce)
            .env(MARK, folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output)
            .spawn()
            .unwrap_or_else(|e| failed("start a coordinator", e));
        let serving = Deadline::within(START_LIMIT).watch(|| Announcement::read(&announce).ok());
        let Some(announcement) = serving else {
            drop(child.kill());
            drop(child.wait());
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            panic!("the coordinator did not serve within {} s:\n{text}", START_LIMIT.as_secs());
        };
        Self { child, announcement, log }
    }

    /// Where it serves.
    #[must_use]
    pub fn announcement(&self) -> &Announcement {
        &self.announcement
    }

    /// What it logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// `galapagos coordinator` over this store, on free ports.
///
/// # Panics
/// If the executable is not built.
#[track_caller]
#[must_use]
pub fn command(store: &Path) -> Command {
    let mut command = Command::new(binaries::galapagos());
    command.arg("coordinator").arg("--store").arg(store).args(["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
    command
}

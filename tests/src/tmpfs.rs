//! A file system of a few megabytes, so that a disk is really full.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A mounted tmpfs; unmounted when dropped.
#[derive(Debug)]
pub struct Tmpfs {
    at: PathBuf,
}

impl Tmpfs {
    /// Mounts `kilobytes` at the folder `at`, which is made.
    ///
    /// # Panics
    /// If this process may not mount.
    #[track_caller]
    #[must_use]
    pub fn mount(at: &Path, kilobytes: u32) -> Self {
        std::fs::create_dir_all(at).unwrap_or_else(|error| panic!("could not make {}: {error}", at.display()));
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={kilobytes}k"), "tmpfs"]).arg(at);
        let output = command.output().unwrap_or_else(|error| panic!("could not start mount: {error}"));
        assert!(
            output.status.success(),
            "this test fills a disk and needs to mount a tmpfs: run it as root ({})",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Self { at: at.to_owned() }
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Lazily: a failed test may still have a log open in it.
        if !Command::new("umount").arg("--lazy").arg(&self.at).status().is_ok_and(|status| status.success()) {
            eprintln!("could not unmount {}; do it by hand", self.at.display());
        }
    }
}

//! What the worker tells the launcher, and what the launcher answers. Both are the same build, so the form is free to change.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::layer::{Layer, Tried};

/// What one sandboxed process may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// From the start of the program, or of a check in a warm interpreter, until everything is killed.
    pub wall_ms: u64,
    /// Processor seconds of each process.
    pub cpu_s: u64,
    /// Address space of each process, and with [`Layer::Cgroup`] the memory of all together.
    pub memory_bytes: u64,
    /// Processes and threads at a time.
    pub processes: u64,
    /// Largest file written.
    pub file_bytes: u64,
    pub open_files: u64,
    /// Standard output and standard error, each; more ends the program.
    pub output_bytes: usize,
    /// Size of `/tmp`.
    pub scratch_bytes: u64,
}

impl Default for Limits {
    /// 10 s on the clock and of processor, 512 MiB, 32 processes, 16 MiB a file, 64 open files, 1 MiB of output, 32 MiB in `/tmp`.
    fn default() -> Self {
        Self {
            wall_ms: 10_000,
            cpu_s: 10,
            memory_bytes: 512 << 20,
            processes: 32,
            file_bytes: 16 << 20,
            open_files: 64,
            output_bytes: 1 << 20,
            scratch_bytes: 32 << 20,
        }
    }
}

/// What the new root holds, besides an empty `/tmp`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tree {
    /// Files and folders of the host, at the same path, read-only.
    pub shared: Vec<PathBuf>,
    /// Symbolic links: where, and to what.
    pub links: Vec<(PathBuf, PathBuf)>,
    /// Devices of the host, such as `/dev/null`.
    pub devices: Vec<PathBuf>,
}

/// The program's own file in the new root.
pub(crate) const PROGRAM: &str = "/program/main";

/// What is to be executed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Execution {
    pub path: PathBuf,
    /// Without the name of the program. `{channel}` stands for the number of the channel's descriptor, `{program}` for the path of
    /// the program's own file; so may `path` be `{program}`.
    pub arguments: Vec<String>,
    pub environment: Vec<(String, String)>,
}

/// All that the launcher needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// In the order of [`Layer::ALL`].
    pub layers: Vec<Layer>,
    /// Go on without a layer that fails, and say so: the probe. Else a failing layer ends it all.
    pub tolerant: bool,
    pub tree: Tree,
    pub limits: Limits,
    pub execution: Execution,
    /// Descriptors that come with the plan, in this order after standard input.
    pub channel: bool,
    /// A file whose bytes become [`PROGRAM`].
    pub program: bool,
    /// Where the new root is being built; filled by the launcher.
    pub root: Option<PathBuf>,
    /// Who the launcher is outside, if it needed a user namespace to make the others; filled by the launcher.
    pub outside_user: Option<u32>,
}

impl Plan {
    pub(crate) fn has(&self, layer: Layer) -> bool {
        self.layers.contains(&layer)
    }
}

/// A step of the launcher failed: nothing ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("cannot {doing}: {reason}")]
pub(crate) struct Refusal {
    pub doing: String,
    pub reason: String,
}

/// How the program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ended {
    pub code: Option<i32>,
    pub signal: Option<i32>,
    /// Processor time of all its processes that were waited for.
    pub cpu_ms: u64,
}

/// What the launcher says, each at most once, in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Said {
    /// The program is about to be executed behind these layers.
    Started(Vec<Tried>),
    /// Instead of the above: nothing ran.
    Refused(Refusal),
    /// The program ended, and with it all its processes.
    Ended(Ended),
}

/// Names the step that an error of the system stopped.
pub(crate) trait Doing<T> {
    fn doing(self, what: &str) -> Result<T, Refusal>;
}

impl<T, E: std::fmt::Display> Doing<T> for Result<T, E> {
    fn doing(self, what: &str) -> Result<T, Refusal> {
        self.map_err(|error| Refusal { doing: what.to_owned(), reason: error.to_string() })
    }
}

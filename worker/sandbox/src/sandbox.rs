//! The entrance: probes the host once, refuses what is below the floor, runs programs.
//!
//! An error is about the sandbox, a [`Report`] about the program; the two are never mixed up.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use galapagos_telemetry::clock::monotonic_ms;

use crate::cage::{Cage, Event, Remains};
use crate::cgroup::Cgroup;
use crate::error::SandboxError;
use crate::layer::{Floor, Layer, Probe, Tried};
use crate::plan::{Ended, Execution, Limits, Plan, Tree};
use crate::runtime::{Python, PythonError, native};

/// What waits in the pool's interpreters for requests.
const HARNESS: &str = include_str!("harness.py");

/// Name of the launcher's executable.
const LAUNCHER: &str = "galapagos-sandbox";

/// The kernel's two counts of processor time differ: one samples, the other measures.
const CPU_GRAIN_MS: u64 = 200;

/// How a sandbox is set up.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The executable `galapagos-sandbox`.
    pub launcher: PathBuf,
    pub floor: Floor,
    /// Layers not to use: for hosts where one misbehaves. They count as missing.
    pub without: BTreeSet<Layer>,
    /// For programs that bring none of their own, and for warm interpreters.
    pub limits: Limits,
    /// The Python to run; without it, `python3` of the search path.
    pub python: Option<PathBuf>,
}

impl Settings {
    /// The strict floor and the default limits.
    #[must_use]
    pub fn new(launcher: PathBuf) -> Self {
        Self { launcher, floor: Floor::default(), without: BTreeSet::new(), limits: Limits::default(), python: None }
    }

    /// The same with the launcher in the folder of `executable`, or in the one above, as for executables of tests.
    #[must_use]
    pub fn beside(executable: &Path) -> Self {
        let here = executable.with_file_name(LAUNCHER);
        let above = executable.parent().map(|folder| folder.with_file_name(LAUNCHER));
        Self::new(above.filter(|above| !here.is_file() && above.is_file()).unwrap_or(here))
    }
}

/// What is to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// A Python program, run as a script.
    Python { source: String, input: Vec<u8> },
    /// An executable file of this machine, statically linked or with the C and C++ libraries.
    Native { executable: Vec<u8>, arguments: Vec<String>, input: Vec<u8> },
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Exited {
        code: i32,
    },
    Signalled {
        signal: i32,
    },
    /// On the clock, or of processor time.
    TimedOut,
    /// Told only by cgroups, and by Python's own last words.
    OutOfMemory,
    OutputCapped,
}

/// What a program did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub end: End,
    /// Up to the bound of [`Limits::output_bytes`].
    pub out: Vec<u8>,
    pub err: Vec<u8>,
    pub cpu_ms: u64,
    pub wall_ms: u64,
}

/// Tries every layer on this host.
///
/// # Errors
/// If the launcher cannot be started at all.
pub fn probe(settings: &Settings) -> Result<Probe, SandboxError> {
    // Something that runs anywhere: the launcher itself, which says that nobody should start it so.
    let executable = std::fs::read(&settings.launcher)
        .map_err(|source| SandboxError::Launcher { launcher: settings.launcher.clone(), source })?;
    let (tree, execution) = native(&[]);
    Cgroup::sweep();
    let off = |layer: Layer| settings.without.contains(&layer).then(|| "switched off in the settings".to_owned());
    let cgroup = off(Layer::Cgroup).or_else(|| Cgroup::make(&settings.limits).err().map(|error| error.to_string()));
    let to_try = |layer: &Layer| *layer != Layer::Cgroup && off(*layer).is_none();
    let layers = Layer::ALL.into_iter().filter(to_try).collect();
    let mut limits = settings.limits;
    limits.file_bytes = limits.file_bytes.max(executable.len() as u64);
    let plan = Plan { program: true, tolerant: true, ..plan(layers, tree, limits, execution) };
    let cage = Cage::start(&settings.launcher, &plan, Some(&executable), cgroup.is_none())?;
    let mut found = cage.layers().to_vec();
    drop(cage);
    found.push(Tried { layer: Layer::Cgroup, missing: cgroup });
    let switched_off = Layer::ALL.into_iter().filter(|layer| *layer != Layer::Cgroup);
    found.extend(switched_off.filter_map(|layer| Some(Tried { layer, missing: Some(off(layer)?) })));
    found.sort_by_key(|tried| tried.layer);
    Ok(Probe { layers: found })
}

fn plan(layers: Vec<Layer>, tree: Tree, limits: Limits, execution: Execution) -> Plan {
    Plan {
        layers,
        tolerant: false,
        tree,
        limits,
        execution,
        channel: false,
        program: false,
        root: None,
        outside_user: None,
    }
}

/// A host's sandbox. Cheap to share behind an `Arc`; many programs may run at a time.
#[derive(Debug)]
pub struct Sandbox {
    settings: Settings,
    probe: Probe,
    /// With the harness of the pool's interpreters in its byte code.
    python: Result<(Python, Vec<u8>), String>,
}

impl Sandbox {
    /// Probes the host and looks for Python. A host below the floor, or without Python, is refused only when something is to run.
    ///
    /// # Errors
    /// If the launcher cannot be started at all, or a Python that was asked for by name is none.
    pub fn new(settings: Settings) -> Result<Self, SandboxError> {
        let probe = probe(&settings)?;
        let found = Python::find(settings.python.as_deref())
            .and_then(|python| Ok((python.compile(HARNESS)?, python)))
            .map(|(harness, python)| (python, harness));
        let python = match found {
            Err(source) if settings.python.is_some() => return Err(SandboxError::Python { source }),
            found => found.map_err(|error: PythonError| galapagos_telemetry::report(&error)),
        };
        Ok(Self { settings, probe, python })
    }

    /// What this host allows.
    #[must_use]
    pub const fn probe(&self) -> &Probe {
        &self.probe
    }

    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.settings.limits
    }

    /// The Python that code runs with.
    ///
    /// # Errors
    /// If the host has none.
    pub fn python(&self) -> Result<&Python, SandboxError> {
        Ok(&self.with_harness()?.0)
    }

    fn with_harness(&self) -> Result<&(Python, Vec<u8>), SandboxError> {
        self.python.as_ref().map_err(|said| SandboxError::NoPython { said: said.clone() })
    }

    /// Judges the host by the floor.
    ///
    /// # Errors
    /// [`SandboxError::BelowFloor`] with the missing layers and what to do about them.
    pub fn check_floor(&self) -> Result<(), SandboxError> {
        Ok(self.probe.check(&self.settings.floor)?)
    }

    /// Runs a program to its end and waits for it.
    ///
    /// # Errors
    /// If the host is below the floor, or the sandbox fails; never because of what the program does.
    pub fn run(&self, program: &Program, limits: &Limits) -> Result<Report, SandboxError> {
        let (tree, execution, file, input) = match program {
            Program::Python { source, input } => {
                let python = self.python()?;
                (python.tree(), python.of_file(), source.as_bytes(), input)
            }
            Program::Native { executable, arguments, input } => {
                let (tree, execution) = native(arguments);
                (tree, execution, executable.as_slice(), input)
            }
        };
        let started = monotonic_ms();
        let mut cage = self.start(tree, limits, (execution, false), file)?;
        cage.write_input(input);
        let event = cage.next(monotonic_ms() + limits.wall_ms)?;
        let wall_ms = monotonic_ms() - started;
        let remains = cage.end();
        let end = end(&event, &remains, limits, matches!(program, Program::Python { .. }));
        Ok(Report { end, out: remains.out, err: remains.err, cpu_ms: remains.cpu_ms, wall_ms })
    }

    /// Starts Python on the harness with a channel, the only way in and out of it beside its output.
    pub(crate) fn interpreter(&self) -> Result<Cage, SandboxError> {
        let (python, harness) = self.with_harness()?;
        self.start(python.tree(), self.limits(), (python.with_channel(), true), harness)
    }

    fn start(
        &self,
        tree: Tree,
        limits: &Limits,
        (execution, channel): (Execution, bool),
        file: &[u8],
    ) -> Result<Cage, SandboxError> {
        self.check_floor()?;
        let available = self.probe.available();
        let layers = available.iter().copied().filter(|layer| *layer != Layer::Cgroup).collect();
        let mut plan = plan(layers, tree, *limits, execution);
        plan.program = true;
        plan.channel = channel;
        Cage::start(&self.settings.launcher, &plan, Some(file), available.contains(&Layer::Cgroup))
    }
}

fn end(event: &Event, remains: &Remains, limits: &Limits, python: bool) -> End {
    let kill = rustix::process::Signal::KILL.as_raw();
    match event {
        _ if remains.out_of_memory => End::OutOfMemory,
        Event::TooMuch => End::OutputCapped,
        _ if remains.too_much => End::OutputCapped,
        Event::Late => End::TimedOut,
        // The program has no channel, so it says no line.
        Event::Line(_) => End::Signalled { signal: kill },
        Event::Ended(Ended { signal: Some(signal), .. }) => {
            let spent = remains.cpu_ms + CPU_GRAIN_MS >= limits.cpu_s * 1000;
            if *signal == kill && spent { End::TimedOut } else { End::Signalled { signal: *signal } }
        }
        Event::Ended(Ended { code: Some(code), .. }) => {
            let says = python && *code != 0 && last_line(&remains.err).starts_with(b"MemoryError");
            if says { End::OutOfMemory } else { End::Exited { code: *code } }
        }
        Event::Ended(Ended { code: None, signal: None, .. }) => End::Signalled { signal: kill },
    }
}

fn last_line(text: &[u8]) -> &[u8] {
    text.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_told_apart() {
        let limits = Limits { cpu_s: 1, ..Limits::default() };
        let ended = |code, signal| Event::Ended(Ended { code, signal, cpu_ms: 0 });
        let quiet = Remains::default();
        assert_eq!(end(&ended(Some(3), None), &quiet, &limits, true), End::Exited { code: 3 });
        assert_eq!(end(&ended(None, Some(11)), &quiet, &limits, true), End::Signalled { signal: 11 });
        assert_eq!(end(&ended(None, Some(9)), &quiet, &limits, true), End::Signalled { signal: 9 });
        let busy = Remains { cpu_ms: 1000, ..Remains::default() };
        assert_eq!(end(&ended(None, Some(9)), &busy, &limits, true), End::TimedOut);
        assert_eq!(end(&Event::Late, &quiet, &limits, true), End::TimedOut);
        let killed = Remains { out_of_memory: true, ..Remains::default() };
        assert_eq!(end(&ended(None, Some(9)), &killed, &limits, true), End::OutOfMemory);
        let said = Remains { err: b"Traceback\nMemoryError\n".to_vec(), ..Remains::default() };
        assert_eq!(end(&ended(Some(1), None), &said, &limits, true), End::OutOfMemory);
        assert_eq!(end(&ended(Some(1), None), &said, &limits, false), End::Exited { code: 1 });
        assert_eq!(end(&Event::TooMuch, &quiet, &limits, true), End::OutputCapped);
    }
}

//! `galapagos run` as a child process: how it is started, what it says, and how it is waited for.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::binaries;
use crate::deadline::Deadline;
use crate::ended::{Ended, Exit};
use crate::lines::{Heard, Lines};
use crate::sandbox::log_tails;
use crate::tree::{self, MARK, Process, Role};

/// A run of the micro recipe that takes longer has hung, even on a busy machine and with faults.
pub const END_LIMIT: Duration = Duration::from_secs(150);

/// What is started.
#[derive(Debug, Clone)]
pub struct RunCommand {
    recipe: PathBuf,
    dir: PathBuf,
    seed: u64,
    extra: Vec<OsString>,
}

impl RunCommand {
    /// `galapagos run RECIPE --dir DIR --json` with seed 1, on free ports.
    #[must_use]
    pub fn new(recipe: &Path, dir: &Path) -> Self {
        Self { recipe: recipe.to_owned(), dir: dir.to_owned(), seed: 1, extra: Vec::new() }
    }

    /// The micro recipe in `dir`.
    #[track_caller]
    #[must_use]
    pub fn micro(dir: &Path) -> Self {
        Self::new(&binaries::micro_recipe(), dir)
    }

    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Adds an argument, after those that every run gets.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.extra.push(arg.into());
        self
    }

    /// Adds an option and its value.
    #[must_use]
    pub fn option(self, name: &str, value: impl Into<OsString>) -> Self {
        self.arg(name).arg(value)
    }

    /// Starts the process; its standard error goes to a file beside the run folder.
    ///
    /// # Panics
    /// If it cannot be started.
    #[track_caller]
    #[must_use]
    pub fn start(&self) -> Run {
        let stderr = self.dir.with_extension("stderr");
        let failed = |what: &str, error: std::io::Error| -> ! { panic!("could not {what} for the run: {error}") };
        let log = File::options().create(true).append(true).open(&stderr).unwrap_or_else(|e| failed("open a log", e));
        let skip = log.metadata().map_or(0, |data| data.len());
        let mut child = Command::new(binaries::galapagos())
            .arg("run")
            .arg(&self.recipe)
            .arg("--dir")
            .arg(&self.dir)
            .args(["--seed", &self.seed.to_string(), "--json"])
            .args(self.unless_given("--listen", "127.0.0.1:0"))
            .args(self.unless_given("--http", "127.0.0.1:0"))
            .args(&self.extra)
            .env(MARK, &self.dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|e| failed("start galapagos", e));
        let stdout = child.stdout.take().unwrap_or_else(|| panic!("the run has no standard output"));
        Run {
            child,
            lines: Lines::read(stdout),
            events: Vec::new(),
            other: Vec::new(),
            dir: self.dir.clone(),
            stderr,
            skip,
        }
    }

    /// Runs to the end.
    ///
    /// # Panics
    /// If it does not end within [`END_LIMIT`].
    #[track_caller]
    #[must_use]
    pub fn finish(&self) -> Ended {
        self.start().wait(END_LIMIT)
    }

    fn unless_given<'a>(&self, name: &'a str, value: &'a str) -> Vec<&'a str> {
        if self.extra.iter().any(|arg| arg == name) { Vec::new() } else { vec![name, value] }
    }
}

/// A run under way. Dropping it kills everything that belongs to it.
#[derive(Debug)]
pub struct Run {
    child: Child,
    lines: Lines,
    events: Vec<Value>,
    /// Lines of standard output that are no JSON.
    other: Vec<String>,
    dir: PathBuf,
    stderr: PathBuf,
    /// Bytes of `stderr` that earlier runs in this folder wrote.
    skip: u64,
}

/// What a wait for the next event brought.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    Event(Value),
    Ended,
    Nothing,
}

impl Run {
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The next JSON line before the deadline.
    pub fn next(&mut self, deadline: &Deadline) -> Progress {
        loop {
            match self.lines.next(deadline) {
                Heard::End => return Progress::Ended,
                Heard::Nothing => return Progress::Nothing,
                Heard::Line(line) => match serde_json::from_str::<Value>(&line) {
                    Ok(event) => {
                        self.events.push(event.clone());
                        return Progress::Event(event);
                    }
                    Err(_) => self.other.push(line),
                },
            }
        }
    }

    /// Waits for the line that reports the recipe step of `phase` that `wanted` accepts.
    ///
    /// # Panics
    /// If the run ends before, or the deadline passes.
    #[track_caller]
    pub fn until(&mut self, what: &str, limit: Duration, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Deadline::within(limit);
        loop {
            match self.next(&deadline) {
                Progress::Event(event) if wanted(&event) => return event,
                Progress::Event(_) => {}
                Progress::Ended => panic!("the run ended before {what}\n{}", self.report()),
                Progress::Nothing => panic!("no {what} within {} s\n{}", limit.as_secs(), self.report()),
            }
        }
    }

    /// Processes below the supervisor that have a role.
    #[must_use]
    pub fn processes(&self) -> Vec<(Role, Process)> {
        let all = tree::below(self.pid());
        all.into_iter().filter_map(|process| Some((process.role()?, process))).collect()
    }

    /// The processes of one role, as they are now.
    #[must_use]
    pub fn playing(&self, role: &Role) -> Vec<Process> {
        self.processes().into_iter().filter(|(r, _)| r == role).map(|(_, process)| process).collect()
    }

    /// Waits for a process of this role.
    ///
    /// # Panics
    /// If none shows up.
    #[track_caller]
    #[must_use]
    pub fn await_role(&self, role: &Role, limit: Duration) -> Process {
        let found = Deadline::within(limit).watch(|| self.playing(role).into_iter().next());
        found.unwrap_or_else(|| panic!("no process is {role:?} within {} s\n{}", limit.as_secs(), self.report()))
    }

    /// Whether the supervisor is gone.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a signal to `galapagos run` itself, and to nothing else.
    pub fn signal(&self, signal: Signal) {
        let supervisor = Process { pid: self.pid(), parent: 0, args: Vec::new() };
        assert!(supervisor.signal(signal), "the run ended before it got {signal:?}\n{}", self.report());
    }

    /// Waits for the end of the process and of its output.
    ///
    /// # Panics
    /// After `limit`.
    #[track_caller]
    #[must_use]
    pub fn wait(mut self, limit: Duration) -> Ended {
        let deadline = Deadline::within(limit);
        while self.next(&deadline) != Progress::Ended {
            assert!(!deadline.passed(), "the run did not end within {} s\n{}", limit.as_secs(), self.report());
        }
        let status = deadline.watch(|| self.child.try_wait().ok().flatten());
        let Some(status) = status else { panic!("the run closed its output and did not end\n{}", self.report()) };
        let exit = match (status.code(), status.signal()) {
            (Some(code), _) => Exit::Code(code),
            (None, signal) => Exit::Signal(signal.unwrap_or_default()),
        };
        Ended {
            exit,
            events: std::mem::take(&mut self.events),
            other: std::mem::take(&mut self.other),
            stderr: self.stderr_text(),
            dir: self.dir.clone(),
        }
    }

    /// All that is known of the run, for the message of a failure.
    #[must_use]
    pub fn report(&self) -> String {
        let events: Vec<String> = self.events.iter().map(Value::to_string).collect();
        let processes = tree::describe(&tree::of_run(&self.dir));
        format!(
            "--- lines so far:\n{}\n--- standard error:\n{}\n--- processes:\n{processes}{}",
            events.join("\n"),
            self.stderr_text(),
            log_tails(&self.dir)
        )
    }

    fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    fn stderr_text(&self) -> String {
        let bytes = std::fs::read(&self.stderr).unwrap_or_default();
        let skip = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len());
        String::from_utf8_lossy(&bytes[skip..]).into_owned()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // After `wait` this finds nothing. Whether a run leaves strays is checked by `Ended`, not hidden here: this serves
        // tests that fail half way.
        if matches!(self.child.try_wait(), Ok(None)) {
            drop(self.child.kill());
            drop(self.child.wait());
            for process in tree::of_run(&self.dir) {
                process.signal(Signal::KILL);
            }
        }
    }
}

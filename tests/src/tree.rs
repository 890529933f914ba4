//! Processes as the kernel shows them: the tree below a `run`, who plays which role in it, and who is left of a run.
//!
//! Every process of a run inherits a mark in its environment, so that one is found even after its parents are gone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

/// The environment variable that marks the processes of a run; its value is the run folder.
pub const MARK: &str = "GALAPAGOS_TEST_RUN";

/// One process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    pub pid: i32,
    pub parent: i32,
    /// The command line.
    pub args: Vec<String>,
}

/// What a process of a run is there for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    Coordinator,
    /// With its name.
    Worker(String),
    Rank,
}

impl Process {
    /// The file name of the executable, as it was called.
    #[must_use]
    pub fn program(&self) -> &str {
        let path = self.args.first().map_or("", String::as_str);
        path.rsplit('/').next().unwrap_or(path)
    }

    /// The role in a run, if it has one.
    #[must_use]
    pub fn role(&self) -> Option<Role> {
        match self.program() {
            "galapagos" if self.args.get(1).is_some_and(|arg| arg == "coordinator") => Some(Role::Coordinator),
            "galapagos-worker" => Some(Role::Worker(self.option("--name")?.to_owned())),
            "galapagos-trainer" => Some(Role::Rank),
            _ => None,
        }
    }

    fn option(&self, name: &str) -> Option<&str> {
        let at = self.args.iter().position(|arg| arg == name)?;
        self.args.get(at + 1).map(String::as_str)
    }

    /// Sends a signal; says whether the process was still there.
    pub fn signal(&self, signal: Signal) -> bool {
        Pid::from_raw(self.pid).is_some_and(|pid| kill_process(pid, signal).is_ok())
    }
}

/// Every process below `root`, without it, children after their parents.
#[must_use]
pub fn below(root: i32) -> Vec<Process> {
    let mut children: BTreeMap<i32, Vec<Process>> = BTreeMap::new();
    for process in all() {
        children.entry(process.parent).or_default().push(process);
    }
    let mut found: Vec<Process> = children.remove(&root).unwrap_or_default();
    let mut next = 0;
    while next < found.len() {
        let more = children.remove(&found[next].pid).unwrap_or_default();
        found.extend(more);
        next += 1;
    }
    found
}

/// Every process that belongs to the run in `folder`, by its mark or its command line.
#[must_use]
pub fn of_run(folder: &Path) -> Vec<Process> {
    let needle = folder.to_string_lossy().into_owned();
    let mark = format!("{MARK}={needle}");
    let own: BTreeSet<i32> = [std::process::id().cast_signed()].into();
    all()
        .filter(|process| !own.contains(&process.pid))
        .filter(|process| process.args.iter().any(|arg| arg.contains(&needle)) || has_variable(process.pid, &mark))
        .collect()
}

fn has_variable(pid: i32, wanted: &str) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
}

/// Every live process. One that ends while we look is left out, and so are zombies, which have no command line.
fn all() -> impl Iterator<Item = Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(read)
}

fn read(pid: i32) -> Option<Process> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let args: Vec<String> =
        line.split(|byte| *byte == 0).map(|arg| String::from_utf8_lossy(arg).into_owned()).collect();
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // `PID (NAME) STATE PARENT ...`; the name may hold spaces and parentheses.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let zombie = fields.next()? == "Z";
    let parent = fields.next()?.parse().ok()?;
    (!zombie && !line.is_empty()).then_some(Process { pid, parent, args })
}

/// A table of processes for the message of a failure.
#[must_use]
pub fn describe(processes: &[Process]) -> String {
    processes.iter().map(|p| format!("  pid {} (parent {}): {}\n", p.pid, p.parent, p.args.join(" "))).collect()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::Duration;

    use super::*;
    use crate::deadline::eventually;
    use crate::sandbox::Sandbox;

    fn process(args: &[&str]) -> Process {
        Process { pid: 1, parent: 0, args: args.iter().map(|arg| (*arg).to_owned()).collect() }
    }

    #[test]
    fn roles_are_read_off_command_lines() {
        let worker = process(&["/x/galapagos-worker", "run", "--name", "w2", "--slots", "1"]);
        assert_eq!(worker.role(), Some(Role::Worker("w2".to_owned())));
        assert_eq!(process(&["/x/galapagos-trainer", "--lifeline"]).role(), Some(Role::Rank));
        assert_eq!(process(&["/x/galapagos", "coordinator", "--store", "s"]).role(), Some(Role::Coordinator));
        assert_eq!(process(&["/x/galapagos", "run", "coordinator"]).role(), None);
    }

    #[test]
    fn marked_processes_are_found_after_their_parent_died() {
        let sandbox = Sandbox::new();
        let mut shell = Command::new("sh")
            .args(["-c", "sleep 60 & wait"])
            .env(MARK, sandbox.path())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let limit = Duration::from_secs(10);
        let sleeper = eventually("the shell's child", limit, || {
            below(shell.id().cast_signed()).into_iter().find(|child| child.program() == "sleep")
        });
        assert_eq!(of_run(sandbox.path()).len(), 2);
        shell.kill().unwrap();
        shell.wait().unwrap();
        let left = of_run(sandbox.path());
        assert_eq!(left.iter().map(|process| process.pid).collect::<Vec<_>>(), [sleeper.pid]);
        assert!(sleeper.signal(Signal::KILL));
        eventually("the end of the marked process", limit, || of_run(sandbox.path()).is_empty().then_some(()));
    }
}

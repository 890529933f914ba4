//! A person with a second terminal: `galapagos` commands that look at or steer what is there.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::binaries;
use crate::deadline::Deadline;
use crate::ended::expect_no_panic;
use crate::tree::MARK;

/// A command that takes longer hangs.
const COMMAND_LIMIT: Duration = Duration::from_secs(60);

/// Runs commands against the cluster of one run folder.
#[derive(Debug, Clone, Copy)]
pub struct Client<'a> {
    dir: &'a Path,
}

/// A command that ended.
#[derive(Debug, Clone)]
pub struct Answer {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl<'a> Client<'a> {
    #[must_use]
    pub fn of(dir: &'a Path) -> Self {
        Self { dir }
    }

    /// Runs `galapagos ARGS --dir DIR`.
    ///
    /// # Panics
    /// If it cannot be started, hangs or panics.
    #[track_caller]
    #[must_use]
    pub fn call(&self, args: &[&str]) -> Answer {
        let mut command = Command::new(binaries::galapagos());
        command.args(args).arg("--dir").arg(self.dir).env(MARK, self.dir);
        finish(command)
    }

    /// Runs `galapagos ARGS --json --dir DIR` and reads its JSON.
    ///
    /// # Panics
    /// If it fails or prints no JSON.
    #[track_caller]
    #[must_use]
    pub fn json(&self, args: &[&str]) -> Value {
        let answer = self.call(&[args, &["--json"]].concat());
        assert_eq!(answer.code, Some(0), "`galapagos {}` failed:\n{}", args.join(" "), answer.stderr);
        serde_json::from_str(&answer.stdout).unwrap_or_else(|error| {
            panic!("`galapagos {}` printed no JSON ({error}):\n{}", args.join(" "), answer.stdout)
        })
    }
}

/// Runs a command to its end.
///
/// # Panics
/// If it cannot be started, hangs or panics.
#[track_caller]
#[must_use]
pub fn finish(mut command: Command) -> Answer {
    let said = format!("{command:?}");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap_or_else(|error| panic!("could not start {said}: {error}"));
    let output = within_limit(child, &said);
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    expect_no_panic(&[(said, format!("{stdout}\n{stderr}"))]);
    Answer { code: output.status.code(), stdout, stderr }
}

/// The output of a child; a thread reads it, so that a full pipe does not hold the child up.
#[track_caller]
fn within_limit(child: std::process::Child, said: &str) -> Output {
    let pid = child.id().cast_signed();
    let reader = galapagos_telemetry::spawn_thread("output", move || child.wait_with_output());
    let reader = reader.unwrap_or_else(|error| panic!("{error}"));
    if Deadline::within(COMMAND_LIMIT).watch(|| reader.is_finished().then_some(())).is_none() {
        let hanging = crate::tree::Process { pid, parent: 0, args: Vec::new() };
        hanging.signal(rustix::process::Signal::KILL);
        panic!("{said} did not end within {} s", COMMAND_LIMIT.as_secs());
    }
    match reader.join() {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => panic!("could not read the output of {said}: {error}"),
        Err(error) => panic!("{error}"),
    }
}

//! A real child process must end with its lifeline: when the pipe is closed, when its parent is killed, and when exit
//! hangs.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail by panicking, like the test")]

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use galapagos_telemetry::clock::monotonic_ms;
use galapagos_telemetry::lifeline::EXIT_CANCELLED;
use galapagos_telemetry::spawn_thread;

const PROBE: &str = env!("CARGO_BIN_EXE_lifeline-probe");
const DEADLINE_MS: u64 = 20_000;
const SIGKILL: i32 = 9;

/// A probe that has read its first line, as a trainer reads its orders, and watches from then on.
fn start(mode: &str) -> (Child, BufReader<ChildStdout>) {
    let mut command = Command::new(PROBE);
    command.arg(mode).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.as_mut().unwrap().write_all(b"orders\n").unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "ready after orders\n");
    (child, stdout)
}

fn wait(child: &mut Child) -> ExitStatus {
    let deadline = monotonic_ms() + DEADLINE_MS;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if monotonic_ms() > deadline {
            child.kill().unwrap();
            panic!("the child was still there {DEADLINE_MS} ms after its lifeline was cut");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn closing_the_pipe_cancels_the_child() {
    let (mut child, _stdout) = start("idle");
    assert_eq!(child.try_wait().unwrap(), None, "an intact lifeline must not end the child");
    child.stdin.as_mut().unwrap().write_all(b"later bytes are ignored\n").unwrap();
    drop(child.stdin.take());
    assert_eq!(wait(&mut child).code(), Some(EXIT_CANCELLED));
}

#[test]
fn a_broken_stderr_does_not_save_the_child() {
    let (mut child, _stdout) = start("idle");
    drop(child.stderr.take());
    drop(child.stdin.take());
    assert_eq!(wait(&mut child).code(), Some(EXIT_CANCELLED));
}

#[test]
fn a_hanging_exit_handler_is_killed() {
    let (mut child, _stdout) = start("stuck");
    drop(child.stdin.take());
    assert_eq!(wait(&mut child).signal(), Some(SIGKILL));
}

#[test]
fn a_killed_parent_takes_its_child_along() {
    let (mut parent, mut stdout) = start("parent");
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "ready after orders of my parent\n", "the grandchild speaks on the same pipe");
    parent.kill().unwrap();
    parent.wait().unwrap();

    // The pipe ends only when its last writer, the grandchild, is gone.
    let (ended, end) = std::sync::mpsc::sync_channel(1);
    let reader = spawn_thread("reader", move || ended.send(stdout.read_to_string(&mut String::new()))).unwrap();
    let rest = end.recv_timeout(Duration::from_millis(DEADLINE_MS)).expect("the grandchild outlived its parent");
    assert_eq!(rest.unwrap(), 0);
    reader.join().unwrap().unwrap();
}

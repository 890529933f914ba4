//! Ends a child process when its parent is gone, so that no stray process survives a run, however the run ends.
//!
//! The parent gives the child a pipe as stdin, keeps the other end open and never needs to act: when it dies, by
//! whatever signal, the kernel closes the pipe and the child reads end of file. Closing the pipe on purpose is also
//! the way to cancel. The pipe's writing end is close-on-exec (std's default), so a sibling started later does not
//! keep it open by accident.
//!
//! `PR_SET_PDEATHSIG` is not used: it fires when the *thread* that forked ends, which on a pool of threads is not
//! when the parent ends, it is lost if the parent dies before the child has asked for it, and it exists on Linux
//! only.

use std::io;
use std::process;
use std::time::Duration;

use crate::spawn::{SpawnError, spawn_thread};

/// Exit code of a process that ends because its lifeline was cut: "cancelled" in the table of exit codes.
pub const EXIT_CANCELLED: i32 = 3;

/// How long exit handlers (libtorch's among them) may take before the process is killed outright.
pub const EXIT_GRACE: Duration = Duration::from_secs(2);

/// Starts the thread that watches stdin from now on. Read what the parent sends first: later bytes are thrown away.
/// Call it only in a process started with a pipe as stdin; on a closed or empty stdin it ends the process at once.
///
/// # Errors
/// If the thread cannot be started; the process must then not go on, since nothing would end it with its parent.
pub fn spawn_watch() -> Result<(), SpawnError> {
    spawn_thread("lifeline", || {
        let end = io::copy(&mut io::stdin().lock(), &mut io::sink());
        kill_after(EXIT_GRACE);
        match end {
            Ok(_) => tracing::warn!("the parent process closed the lifeline or died; this process ends now"),
            Err(error) => tracing::error!("the lifeline cannot be read, this process ends now: {error}"),
        }
        exit()
    })
    .map(drop)
}

/// From here on the process ends whatever happens: a log that nobody reads may block, and an exit handler may hang
/// while other threads still compute.
fn kill_after(grace: Duration) {
    let killer = spawn_thread("lifeline-kill", move || {
        std::thread::sleep(grace);
        kill_self();
    });
    if killer.is_err() {
        kill_self();
    }
}

#[expect(clippy::disallowed_methods, reason = "nothing above this thread could return from main on its behalf")]
fn exit() -> ! {
    process::exit(EXIT_CANCELLED)
}

fn kill_self() {
    if let Err(error) = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL) {
        tracing::error!("could not kill this process: {error}");
        process::abort();
    }
}

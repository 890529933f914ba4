//! A child under a lifeline, for `lifeline.rs` to start. It never ends by itself within the test's deadline.
//!
//! Argument `idle`: waits. Argument `stuck`: in addition the exit handlers of the thread that ends the
//! process never return. Argument `parent`: starts an idle child of its own.

use std::cell::RefCell;
use std::error::Error;
use std::io::{self, BufRead, Write};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use galapagos_telemetry::{Format, lifeline, report};

const FOREVER: Duration = Duration::from_secs(600);

struct NeverDropped;

impl Drop for NeverDropped {
    fn drop(&mut self) {
        thread::sleep(FOREVER);
    }
}

thread_local! {
    static STUCK: RefCell<NeverDropped> = const { RefCell::new(NeverDropped) };
}

/// Makes every thread that logs own a thread-local that blocks in its destructor, which `exit` runs for its caller.
fn block_exit_of_logging_threads() {
    let writer = || {
        STUCK.with_borrow(|_| ());
        io::stderr()
    };
    tracing_subscriber::fmt().with_writer(writer).init();
}

/// Starts another probe on the same stdout, as a worker starts a trainer, and keeps its lifeline.
fn start_child() -> io::Result<Child> {
    let mut child = Command::new(std::env::current_exe()?).arg("idle").stdin(Stdio::piped()).spawn()?;
    if let Some(stdin) = child.stdin.as_mut() {
        stdin.write_all(b"orders of my parent\n")?;
    }
    Ok(child)
}

fn run(mode: &str) -> Result<(), Box<dyn Error>> {
    if mode == "stuck" {
        block_exit_of_logging_threads();
    } else {
        galapagos_telemetry::init(Format::Text)?;
    }
    let mut orders = String::new();
    io::stdin().lock().read_line(&mut orders)?;
    lifeline::spawn_watch()?;
    write!(io::stdout(), "ready after {orders}")?;
    let child = if mode == "parent" { Some(start_child()?) } else { None };
    thread::sleep(FOREVER);
    drop(child);
    Ok(())
}

fn main() -> ExitCode {
    match run(&std::env::args().nth(1).unwrap_or_default()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", report(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

//! The `galapagos` executable: every role is a subcommand.
//!
//! `args` is the command line, `commands` one file per verb, `client` finds and reaches a coordinator, `local` runs a
//! cluster of processes on this machine, `render` and `report` show, `experiment` compares. Nothing here decides: the
//! coordinator does. libtorch lives in the sibling executables.
#![forbid(unsafe_code)]

mod args;
mod checkpoints;
mod client;
mod commands;
mod error;
mod experiment;
mod export;
mod local;
mod nearest;
mod outcome;
mod recipe_file;
mod render;
mod report;
mod trees;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let args = args::Args::parse();
    if let Err(error) = galapagos_telemetry::init_with(galapagos_telemetry::Format::Text, args.default_log_filter()) {
        // A standard error that cannot be written (a closed pipe, a full disk) must not hide the exit code behind a panic.
        let _ = writeln!(std::io::stderr(), "{}", galapagos_telemetry::report(&error));
        return error::Exit::Failed.into();
    }
    match commands::dispatch(args) {
        Ok(exit) => exit.into(),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{}", galapagos_telemetry::report(&error));
            error.exit().into()
        }
    }
}

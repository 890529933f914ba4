//! The executable `galapagos-worker`: reads the command line, sets up logging, calls the library, says how it ended.
#![forbid(unsafe_code)]

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use galapagos_telemetry::{Format, lifeline, report};
use galapagos_worker::bench::{self, options::Bench};
use galapagos_worker::config::{Arguments, Command};
use galapagos_worker::device::DeviceError;
use galapagos_worker::env::served;
use galapagos_worker::{chat, eval, import, merge, node, sandbox, serve};

/// The command line asks for what is not there.
const USAGE: u8 = 2;
/// The coordinator will never take this worker.
const REFUSED: u8 = 4;

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{}", report(error.as_ref()));
            ExitCode::from(code(error.as_ref()))
        }
    }
}

fn code(error: &(dyn Error + 'static)) -> u8 {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<DeviceError>() {
            return USAGE;
        }
        cause = error.source();
    }
    let refused = error.downcast_ref::<node::NodeError>().is_some_and(node::NodeError::is_refusal);
    if refused { REFUSED } else { 1 }
}

fn run(command: Command) -> Result<(), Box<dyn Error>> {
    match command {
        Command::Run(config) => {
            galapagos_telemetry::init(Format::Text)?;
            if config.lifeline {
                lifeline::spawn_watch()?;
            }
            Ok(node::run(*config)?)
        }
        Command::Eval(config) => {
            galapagos_telemetry::init_with(Format::Text, "warn")?;
            Ok(eval::run(&config, &mut std::io::stdout().lock())?)
        }
        Command::Merge(config) => {
            galapagos_telemetry::init_with(Format::Text, "warn")?;
            Ok(merge::run(&config, &mut std::io::stdout().lock())?)
        }
        Command::Serve(config) => {
            galapagos_telemetry::init_with(Format::Text, "info")?;
            if config.lifeline {
                lifeline::spawn_watch()?;
            }
            Ok(serve::run(&config, &mut std::io::stdout().lock())?)
        }
        Command::Chat(config) => {
            galapagos_telemetry::init_with(Format::Text, "warn")?;
            Ok(chat::run(&config, &mut std::io::stdout().lock())?)
        }
        Command::Import(config) => {
            galapagos_telemetry::init_with(Format::Text, "warn")?;
            Ok(import::run(&config, &mut std::io::stdout().lock(), &mut std::io::stderr().lock())?)
        }
        Command::Export(config) => {
            galapagos_telemetry::init_with(Format::Text, "warn")?;
            Ok(import::export(&config, &mut std::io::stdout().lock())?)
        }
        Command::Bench(Bench::Search(config)) => {
            galapagos_telemetry::init_with(Format::Text, "warn")?;
            Ok(bench::search::run(&config, &mut std::io::stdout().lock(), &mut std::io::stderr())?)
        }
        Command::Environments(config) => {
            galapagos_telemetry::init_with(Format::Text, "info")?;
            if config.lifeline {
                lifeline::spawn_watch()?;
            }
            Ok(served::http::run(config.listen, &mut std::io::stdout().lock())?)
        }
        Command::Sandbox(config) => {
            galapagos_telemetry::init_with(Format::Text, "warn")?;
            Ok(sandbox::tell(&config, &mut std::io::stdout().lock())?)
        }
        Command::Bench(Bench::Sandbox(config)) => {
            galapagos_telemetry::init_with(Format::Text, "warn")?;
            Ok(bench::sandbox::run(&config, &mut std::io::stdout().lock())?)
        }
        Command::Bench(Bench::Engine(config)) => {
            galapagos_telemetry::init_with(Format::Text, "warn")?;
            Ok(bench::engine(&config, &mut std::io::stdout().lock(), &mut std::io::stderr())?)
        }
    }
}

//! The process of one rank: sets up logging and threads, then hands over to `galapagos_trainer::rank`. Or the benchmark.
#![forbid(unsafe_code)]

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use galapagos_telemetry::{Format, report};
use galapagos_trainer::args::{Args, CommandLine, Tool};
use galapagos_trainer::bench::{self, options::Bench};
use galapagos_trainer::commands::Commands;
use galapagos_trainer::exit::Exit;
use galapagos_trainer::rank;
use galapagos_trainer::reports::Reports;

fn main() -> ExitCode {
    match CommandLine::parse() {
        CommandLine { tool: Some(Tool::Bench(bench)), .. } => measure(&bench),
        CommandLine { rank: Some(args), .. } => train(&args),
        // The parser has refused this already.
        CommandLine { .. } => {
            let _ = writeln!(std::io::stderr(), "{}", CommandLine::command().render_usage());
            ExitCode::from(USAGE)
        }
    }
}

const USAGE: u8 = 2;

fn train(args: &Args) -> ExitCode {
    if let Err(error) = galapagos_telemetry::init(Format::Text) {
        return failed(&error);
    }
    tch::set_num_threads(args.threads);
    tch::set_num_interop_threads(1);
    if let Err(error) = args.device.backend().check() {
        let _ = writeln!(std::io::stderr(), "{}", report(&error));
        return Exit::Usage.into();
    }
    match Commands::watch(args.lifeline) {
        Ok(commands) => rank::run(args, &commands, &mut Reports::stdout()).into(),
        Err(error) => failed(&error),
    }
}

fn measure(bench: &Bench) -> ExitCode {
    if let Err(error) = galapagos_telemetry::init_with(Format::Text, "warn") {
        return failed(&error);
    }
    let (stdout, mut stderr) = (std::io::stdout(), std::io::stderr());
    let ended = match bench {
        Bench::Train(config) => bench::train(config, &mut stdout.lock(), &mut stderr).map_err(|error| failed(&error)),
        Bench::Rank => bench::rank::serve(std::io::stdin().lock(), stdout.lock()).map_err(|error| failed(&error)),
    };
    ended.map_or_else(|code| code, |()| ExitCode::SUCCESS)
}

fn failed(error: &(dyn std::error::Error + 'static)) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{}", report(error));
    Exit::Failed.into()
}

//! The process of one rank: sets up logging and threads, then hands over to `galapagos_trainer::rank`.
#![forbid(unsafe_code)]

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use galapagos_telemetry::{Format, report};
use galapagos_trainer::args::Args;
use galapagos_trainer::commands::Commands;
use galapagos_trainer::exit::Exit;
use galapagos_trainer::rank;
use galapagos_trainer::reports::Reports;

fn main() -> ExitCode {
    let args = Args::parse();
    if let Err(error) = galapagos_telemetry::init(Format::Text) {
        let _ = writeln!(std::io::stderr(), "{}", report(&error));
        return Exit::Failed.into();
    }
    tch::set_num_threads(args.threads);
    tch::set_num_interop_threads(1);
    if let Err(error) = args.device.backend().check() {
        let _ = writeln!(std::io::stderr(), "{}", report(&error));
        return Exit::Usage.into();
    }
    match Commands::watch(args.lifeline) {
        Ok(commands) => rank::run(&args, &commands, &mut Reports::stdout()).into(),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{}", report(&error));
            Exit::Failed.into()
        }
    }
}

//! One file per verb; this one starts the runtime and chooses.

mod bench;
mod coordinator;
mod eval;
mod export;
mod help;
mod import;
mod inspect;
mod merge;
mod model;
mod reproduce;
mod run;
mod sibling;
mod status;
mod steer;
mod submit;
mod tree;
mod watch;

use std::io::Write;

use clap::CommandFactory;
use serde::Serialize;

use crate::args::{Args, Bench, Command};
use crate::error::{Error, Exit};

/// Carries out a command line.
///
/// # Errors
/// Whatever ended the command; [`Error::exit`] has its exit code.
pub fn dispatch(args: Args) -> Result<Exit, Error> {
    let json = args.json;
    match args.command {
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Args::command(), "galapagos", &mut std::io::stdout());
            Ok(Exit::Done)
        }
        Command::Help(topic) => help::run(&topic),
        Command::Import(args) => import::run(&args, json),
        Command::Bench(Bench::Engine(bench)) => bench::engine(&bench, json),
        Command::Bench(Bench::Search(bench)) => bench::search(&bench, json),
        Command::Bench(Bench::Sandbox(bench)) => bench::sandbox(&bench, json),
        Command::Bench(Bench::Train(bench)) => bench::train(&bench, json),
        Command::Worker(passed) => sibling::exec("galapagos-worker", passed.args),
        Command::Trainer(passed) => sibling::exec("galapagos-trainer", passed.args),
        command => runtime()?.block_on(dispatch_async(command, json)),
    }
}

async fn dispatch_async(command: Command, json: bool) -> Result<Exit, Error> {
    match command {
        Command::Run(args) => run::run(args, json).await,
        Command::Submit(args) => submit::run(args, json).await,
        Command::List(target) => inspect::list(&target, json).await,
        Command::Status(args) => status::run(&args, json).await,
        Command::Watch(args) => watch::run(&args, json).await,
        Command::Cancel(args) => steer::run(&args, steer::Order::Cancel, json).await,
        Command::Pause(args) => steer::run(&args, steer::Order::Pause, json).await,
        Command::Resume(args) => steer::run(&args, steer::Order::Resume, json).await,
        Command::Explain(args) => inspect::explain(&args, json).await,
        Command::Members(args) => inspect::members(&args, json).await,
        Command::Lineage(args) => inspect::lineage(&args, json).await,
        Command::Workers(target) => inspect::workers(&target, json).await,
        Command::Tree(args) => tree::run(&args, json).await,
        Command::Export(args) => export::run(&args, json).await,
        Command::Merge(args) => merge::run(&args, json),
        Command::Eval(args) => eval::run(&args, json).await,
        Command::Chat(args) => eval::chat(&args).await,
        Command::Serve(args) => eval::serve(args).await,
        Command::Reproduce(args) => reproduce::run(&args, json).await,
        Command::Coordinator(args) => coordinator::run(args).await,
        Command::Completions { .. }
        | Command::Help(_)
        | Command::Import(_)
        | Command::Bench(_)
        | Command::Worker(_)
        | Command::Trainer(_) => {
            unreachable!("handled before the runtime starts")
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|source| Error::Runtime { source })
}

/// Prints a line to standard output; a closed pipe is an error, not a panic.
///
/// # Errors
/// [`Error::Output`].
pub fn print(text: &str) -> Result<(), Error> {
    writeln!(std::io::stdout(), "{}", text.trim_end()).map_err(|source| Error::Output { source })
}

/// Prints one JSON document.
///
/// # Errors
/// If it cannot be encoded or written.
pub fn print_json<T: Serialize>(value: &T) -> Result<(), Error> {
    print(&serde_json::to_string_pretty(value).map_err(|source| Error::Json { source })?)
}

//! `galapagos bench`: measured by the sibling executables, `galapagos-worker` which has the engine and `galapagos-trainer`; here the
//! model is found.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::sibling;
use crate::args;
use crate::error::{Error, Exit};

/// The model that figures are compared on, as `make setup` installs it.
const MODEL: &str = "smollm2-135m";

/// `galapagos bench engine`.
///
/// # Errors
/// If the model is not there or the sibling cannot be started.
pub fn engine(args: &args::BenchEngine, json: bool) -> Result<Exit, Error> {
    let mut line = Line::new("engine", model(args.model.as_ref(), &args.models)?);
    line.option("--against", &args.against);
    line.option("--runs", args.runs.to_string());
    line.option("--threads", args.threads.to_string());
    line.option("--precision", &args.precision);
    line.shared(&args.only, args.python.as_ref(), args.quick, json);
    sibling::exec("galapagos-worker", line.0)
}

/// `galapagos bench search`.
///
/// # Errors
/// As [`engine`].
pub fn search(args: &args::BenchSearch, json: bool) -> Result<Exit, Error> {
    let mut line = Line::new("search", model(args.model.as_ref(), &args.models)?);
    line.option("--runs", args.runs.to_string());
    line.option("--threads", args.threads.to_string());
    line.shared(&args.only, None, args.quick, json);
    sibling::exec("galapagos-worker", line.0)
}

/// `galapagos bench sandbox`.
///
/// # Errors
/// If the sibling cannot be started.
pub fn sandbox(args: &args::BenchSandbox, json: bool) -> Result<Exit, Error> {
    let mut line = Line(vec!["bench".into(), "sandbox".into()]);
    line.option("--checks", args.checks.to_string());
    line.option("--threads", args.threads.to_string());
    line.0.extend(json.then(|| "--json".into()));
    sibling::exec("galapagos-worker", line.0)
}

/// `galapagos bench train`.
///
/// # Errors
/// As [`engine`].
pub fn train(args: &args::BenchTrain, json: bool) -> Result<Exit, Error> {
    let mut line = Line::new("train", model(args.model.as_ref(), &args.models)?);
    line.option("--against", &args.against);
    line.option("--runs", args.runs.to_string());
    line.option("--threads", args.threads.to_string());
    line.shared(&args.only, args.python.as_ref(), args.quick, json);
    sibling::exec("galapagos-trainer", line.0)
}

fn model(named: Option<&PathBuf>, models: &Path) -> Result<PathBuf, Error> {
    let model = named.cloned().unwrap_or_else(|| models.join(MODEL));
    if model.join("config.json").is_file() {
        return Ok(model);
    }
    let message = format!(
        "there is no model in {}; `make setup` installs {MODEL}, or name a Hugging Face folder with --model",
        model.display()
    );
    Err(Error::Usage { message })
}

/// A sibling's command line.
struct Line(Vec<OsString>);

impl Line {
    fn new(bench: &str, model: PathBuf) -> Self {
        Self(vec!["bench".into(), bench.into(), "--model".into(), model.into()])
    }

    fn option(&mut self, name: &str, value: impl Into<OsString>) {
        self.0.extend([name.into(), value.into()]);
    }

    /// What all benchmarks know.
    fn shared(&mut self, only: &[String], python: Option<&PathBuf>, quick: bool, json: bool) {
        for row in only {
            self.option("--only", row);
        }
        if let Some(python) = python {
            self.option("--python", python);
        }
        self.0.extend(quick.then(|| "--quick".into()));
        self.0.extend(json.then(|| "--json".into()));
    }
}

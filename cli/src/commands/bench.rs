//! `galapagos bench`: measured by the sibling executable `galapagos-worker`, which has the engine; here the model is found.

use std::ffi::OsString;

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
    let model = args.model.clone().unwrap_or_else(|| args.models.join(MODEL));
    if !model.join("config.json").is_file() {
        let message = format!(
            "there is no model in {}; `make setup` installs {MODEL}, or name a Hugging Face folder with --model",
            model.display()
        );
        return Err(Error::Usage { message });
    }
    let mut passed: Vec<OsString> = vec!["bench".into(), "engine".into(), "--model".into(), model.into()];
    let mut option = |name: &str, value: OsString| passed.extend([name.into(), value]);
    option("--against", args.against.clone().into());
    option("--runs", args.runs.to_string().into());
    option("--threads", args.threads.to_string().into());
    option("--precision", args.precision.clone().into());
    for row in &args.only {
        option("--only", row.into());
    }
    if let Some(python) = &args.python {
        option("--python", python.into());
    }
    passed.extend(args.quick.then(|| "--quick".into()));
    passed.extend(json.then(|| "--json".into()));
    sibling::exec("galapagos-worker", passed)
}

//! `galapagos import`: the sibling executable `galapagos-worker` reads the GGUF file and writes the folder.

use std::ffi::OsString;

use super::sibling;
use crate::args;
use crate::error::{Error, Exit};

/// Becomes the sibling.
///
/// # Errors
/// If it is missing or cannot be started.
pub fn run(args: &args::Import, json: bool) -> Result<Exit, Error> {
    let mut passed: Vec<OsString> = vec!["import".into(), args.file.clone().into(), args.dir.clone().into()];
    passed.extend(["--dtype".into(), args.dtype.name().into()]);
    if json {
        passed.push("--json".into());
    }
    sibling::exec("galapagos-worker", passed)
}

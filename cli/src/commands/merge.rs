//! `galapagos merge`: the sibling executable `galapagos-worker` adds the adapter to its base and writes the folder.

use std::ffi::OsString;

use super::sibling;
use crate::args;
use crate::error::{Error, Exit};

/// Becomes the sibling.
///
/// # Errors
/// If it is missing or cannot be started.
pub fn run(args: &args::Merge, json: bool) -> Result<Exit, Error> {
    let folders = [&args.base, &args.adapter, &args.dir];
    let mut passed: Vec<OsString> = vec!["merge".into()];
    passed.extend(folders.map(|folder| folder.clone().into()));
    if json {
        passed.push("--json".into());
    }
    sibling::exec("galapagos-worker", passed)
}

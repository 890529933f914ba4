//! Subcommands that need libtorch: this process becomes the sibling executable.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::error::{Error, Exit};
use crate::local;

/// Runs the executable `name` beside this one to its end; what it says of errors is seen, what it prints is not.
///
/// # Errors
/// If it is missing or cannot be started.
pub async fn run(name: &str, args: Vec<OsString>) -> Result<Exit, Error> {
    let path = local::sibling(name).map_err(|source| Error::Process { source })?;
    let ended = tokio::process::Command::new(&path).args(args).stdout(Stdio::null()).kill_on_drop(true).status().await;
    match ended.map_err(|source| Error::Exec { path, source })?.success() {
        true => Ok(Exit::Done),
        false => Ok(Exit::Failed),
    }
}

/// Replaces this process by the executable `name` beside it; returns only if that fails.
///
/// # Errors
/// If it is missing or cannot be started.
pub fn exec(name: &str, args: Vec<OsString>) -> Result<Exit, Error> {
    let path = local::sibling(name).map_err(|source| Error::Process { source })?;
    let source = Command::new(&path).args(args).exec();
    Err(Error::Exec { path, source })
}

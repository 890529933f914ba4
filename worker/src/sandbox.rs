//! The worker's side of the sandbox: settings from the command line, and what a person is told about the host.
//!
//! The sandbox itself is the crate `galapagos-sandbox`, re-exported here; nothing of it is decided here.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::json;

pub use galapagos_sandbox::{
    BelowFloor, End, Floor, Layer, Limits, Pool, Probe, Program, Report, Sandbox, SandboxError, Settings, Tried, check,
};

/// What a host must have before code of models runs on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FloorName {
    /// Every layer but cgroups
    Strict,
    /// Namespaces with a private root, without Landlock and seccomp
    Namespaces,
    /// A limited process that sees the host's files: for code one trusts
    Process,
}

impl From<FloorName> for Floor {
    fn from(name: FloorName) -> Self {
        match name {
            FloorName::Strict => Self::Strict,
            FloorName::Namespaces => Self::Namespaces,
            FloorName::Process => Self::ProcessOnly,
        }
    }
}

/// How code of models is walled in.
#[derive(Debug, Clone, Args)]
pub struct Walls {
    /// What this host must have before code of models runs on it; below it, such code is refused
    #[arg(long, value_enum, default_value_t = FloorName::Strict, value_name = "FLOOR")]
    pub sandbox_floor: FloorName,
    /// Python that code of models runs with [default: python3 of the search path]
    #[arg(long, value_name = "PATH")]
    pub sandbox_python: Option<PathBuf>,
}

impl Walls {
    /// The settings, with the launcher beside this executable.
    ///
    /// # Errors
    /// If the system does not say where this executable is.
    pub fn settings(&self) -> Result<Settings, WallsError> {
        let here = std::env::current_exe().map_err(|source| WallsError::Place { source })?;
        let mut settings = Settings::beside(&here);
        settings.floor = self.sandbox_floor.into();
        settings.python.clone_from(&self.sandbox_python);
        Ok(settings)
    }

    /// The sandbox.
    ///
    /// # Errors
    /// As [`Walls::settings`] and [`Sandbox::new`].
    pub fn sandbox(&self) -> Result<Sandbox, WallsError> {
        Sandbox::new(self.settings()?).map_err(|source| WallsError::Sandbox { source })
    }
}

/// No sandbox.
#[derive(Debug, thiserror::Error)]
pub enum WallsError {
    #[error("cannot find this executable's folder, which holds the sandbox's launcher")]
    Place { source: io::Error },
    #[error("cannot use the sandbox")]
    Sandbox { source: SandboxError },
    #[error("code of models would be refused here")]
    Refused { source: SandboxError },
    #[error("cannot write the answer")]
    Output { source: io::Error },
}

/// Says which layers this host allows.
///
/// # Errors
/// If the host is below the floor or has no Python, after saying what it has; or if it cannot be probed.
pub fn tell(config: &crate::config::Sandbox, out: &mut dyn Write) -> Result<(), WallsError> {
    let sandbox = config.walls.sandbox()?;
    let python = sandbox.python();
    let written = if config.json {
        let python =
            python.as_ref().ok().map(|python| json!({"path": python.executable(), "version": python.version()}));
        let floor = sandbox.check_floor().is_ok();
        writeln!(out, "{:#}", json!({"layers": sandbox.probe().layers, "meets_floor": floor, "python": python}))
    } else {
        let python = python.as_ref().map_or_else(ToString::to_string, |python| {
            let (major, minor, patch) = python.version();
            format!("{major}.{minor}.{patch} at {}", python.executable().display())
        });
        writeln!(out, "{}python             {python}", sandbox.probe())
    };
    written.map_err(|source| WallsError::Output { source })?;
    sandbox.check_floor().map_err(|source| WallsError::Refused { source })?;
    sandbox.python().map(drop).map_err(|source| WallsError::Refused { source })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::config::{Arguments, Command};

    fn walls(line: &str) -> Result<Walls, clap::Error> {
        match Arguments::try_parse_from(line.split_whitespace())?.command {
            Command::Sandbox(config) => Ok(config.walls),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_floor_is_strict_unless_somebody_says_so() {
        let settings = walls("w sandbox").unwrap().settings().unwrap();
        assert_eq!((settings.floor, settings.python), (Floor::Strict, None));
        assert_eq!(settings.launcher.file_name().unwrap(), "galapagos-sandbox");
        let settings = walls("w sandbox --sandbox-floor process --sandbox-python /p").unwrap().settings().unwrap();
        assert_eq!((settings.floor, settings.python), (Floor::ProcessOnly, Some(PathBuf::from("/p"))));
        assert!(walls("w sandbox --sandbox-floor none").is_err());
    }
}

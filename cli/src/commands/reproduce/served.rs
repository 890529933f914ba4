//! The environments that an experiment's runs play in, served over HTTP by the sibling worker for as long as the experiment runs.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::error::Error;
use crate::local;

/// How long the server may take to say that it serves.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that ends with this value, and with this process in any case: its standard input closes.
#[derive(Debug)]
pub struct Served {
    _child: Child,
}

impl Served {
    /// Serves at `address`.
    ///
    /// # Errors
    /// If the sibling is missing, cannot listen there or says nothing.
    pub async fn start(address: SocketAddr) -> Result<Self, Error> {
        let path = local::sibling("galapagos-worker").map_err(|source| Error::Process { source })?;
        let mut command = Command::new(&path);
        command.args(["environments", "--listen", &address.to_string(), "--lifeline"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|source| Error::Exec { path, source })?;
        let failed = |why: String| Error::Failed {
            message: format!("the environments of the experiment are not served at {address}: {why}"),
        };
        let out = child.stdout.take().ok_or_else(|| failed("its output cannot be read".to_owned()))?;
        let mut line = String::new();
        let said = tokio::time::timeout(PATIENCE, BufReader::new(out).read_line(&mut line)).await;
        match said {
            Ok(Ok(length)) if length > 0 => Ok(Self { _child: child }),
            Ok(Ok(_)) => Err(failed("it ended at once (its reason stands above); is the address in use?".to_owned())),
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(_) => Err(failed(format!("it said nothing for {} s", PATIENCE.as_secs()))),
        }
    }
}

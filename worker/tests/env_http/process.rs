//! Servers as processes, and clients of them.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use galapagos_worker::env::http::{HttpServer, Options};
use tokio::runtime::Runtime;

use crate::python::python;

const PACKAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/python");
pub const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/env_http");

/// A server that ends with this value, and with the test's process in any case (its input closes).
pub struct Server {
    child: Child,
    pub url: String,
}

impl Server {
    /// `python -m galapagos_env` with these arguments.
    pub fn start(arguments: &[&str]) -> Self {
        Self::run(&[&["-m", "galapagos_env", "--until-stdin-closes"], arguments].concat())
    }

    pub fn run(arguments: &[&str]) -> Self {
        let mut command = Command::new(python());
        command.args(arguments).env("PYTHONPATH", format!("{PACKAGE}:{HERE}")).env("PYTHONDONTWRITEBYTECODE", "1");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim_end().strip_prefix("listening on ");
        let url = url.unwrap_or_else(|| panic!("{arguments:?} did not start: {line:?}")).to_owned();
        Self { child, url }
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// Waits long, for the machine may be busy.
pub fn connect(url: &str, runtime: &Runtime) -> HttpServer {
    HttpServer::connect(Options::new(url), runtime.handle().clone()).unwrap()
}

pub fn impatient(url: &str, deadline: Duration) -> Options {
    Options { deadline, ..Options::new(url) }
}

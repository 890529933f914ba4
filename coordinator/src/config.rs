//! What a coordinator is told at its start. Parsing and defaults of the command line are the caller's; nothing here reads
//! the environment.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use galapagos_domain::cluster::Limits;

/// Settings of one coordinator.
#[derive(Debug, Clone)]
pub struct Config {
    /// Folder of the embedded store; made if missing. One coordinator at a time may use it.
    pub store: PathBuf,
    /// Where gRPC is served; port 0 takes any free one, which `announce` then names.
    pub listen: SocketAddr,
    /// Where metrics and health are served over HTTP; port 0 as above.
    pub http: SocketAddr,
    /// Where to write the announce file once it serves; its folder must exist. Removed at an orderly end.
    pub announce: Option<PathBuf>,
    /// Deadlines and budgets of the cluster.
    pub limits: Limits,
}

impl Config {
    /// Free loopback ports, no announce file, default limits.
    #[must_use]
    pub fn new(store: PathBuf) -> Self {
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self { store, listen: loopback, http: loopback, announce: None, limits: Limits::default() }
    }
}

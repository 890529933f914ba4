//! Why a coordinator could not start or had to stop. Each message says what a person can do.

use std::io;
use std::net::SocketAddr;

use galapagos_domain::cluster::LoadError;
use galapagos_proto::announce::AnnounceError;
use galapagos_telemetry::TaskError;

use crate::codec::CodecError;
use crate::store::StoreError;

/// The end of a coordinator, other than the one asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "{address} is in use by another process; stop it, or choose another address with {option} (port 0: any free one)"
    )]
    PortInUse { address: SocketAddr, option: &'static str, source: io::Error },
    #[error("could not listen on {address}; choose another address with {option}")]
    Listen { address: SocketAddr, option: &'static str, source: io::Error },
    #[error("could not open the metadata store")]
    Open { source: StoreError },
    #[error(
        "the metadata store holds a record that cannot be read; restore the store folder from a copy, or use another"
    )]
    Record { source: CodecError },
    #[error(
        "the records of the metadata store do not fit together; restore the store folder from a copy, or use another"
    )]
    Load { source: LoadError },
    #[error("could not make a decision durable; the coordinator stops, and nothing of it was sent or acknowledged")]
    Persist { source: StoreError },
    #[error("a decision has no durable form; the coordinator stops, and nothing of it was sent or acknowledged")]
    Encode { source: CodecError },
    #[error("could not tell workers and clients where the coordinator serves")]
    Announce { source: AnnounceError },
    #[error("the gRPC server failed")]
    Grpc { source: tonic::transport::Error },
    #[error("gRPC reflection could not be set up")]
    Reflection { source: tonic_reflection::server::Error },
    #[error("the HTTP server failed")]
    Http { source: io::Error },
    #[error("a part of the coordinator broke")]
    Task { source: TaskError },
}

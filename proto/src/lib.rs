//! The wire: generated code of `proto/galapagos/v1`, and everything that touches it.
//!
//! `v1` is generated and stops at [`convert`]: other crates speak the types of `galapagos_domain`. [`status`] is the only
//! map between refusals and gRPC statuses; [`transport`] holds the connection settings of both sides; [`client`] connects;
//! [`announce`] is how a client on the same machine finds the coordinator. Nothing here decides anything.
#![forbid(unsafe_code)]

pub mod announce;
pub mod client;
pub mod convert;
pub mod status;
pub mod transport;

/// Generated messages, clients and servers of package `galapagos.v1`.
#[expect(clippy::allow_attributes, clippy::allow_attributes_without_reason, reason = "generated code")]
pub mod v1 {
    tonic::include_proto!("galapagos.v1");
}

/// The encoded `FileDescriptorSet` of the package, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/galapagos_descriptors.bin"));

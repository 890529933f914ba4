//! Connects to a coordinator with the settings of [`crate::transport`]. Retrying is the caller's decision.

use std::net::SocketAddr;

use tonic::transport::{Channel, Endpoint};

use crate::transport::{CALL_TIMEOUT, CONNECT_TIMEOUT, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, MAX_MESSAGE_BYTES};
use crate::v1::admin_service_client::AdminServiceClient;
use crate::v1::round_service_client::RoundServiceClient;
use crate::v1::worker_service_client::WorkerServiceClient;

/// No connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("`{address}` is not a coordinator's address; it must be like `127.0.0.1:7071` or `http://host:7071`")]
    Address { address: String, source: tonic::transport::Error },
    #[error("no coordinator answers at {address}; is it running?")]
    Unreachable { address: String, source: tonic::transport::Error },
}

/// Where a coordinator is, as clients name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address(String);

impl Address {
    /// Takes `HOST:PORT` or `http://HOST:PORT`.
    #[must_use]
    pub fn new(text: &str) -> Self {
        if text.contains("://") { Self(text.to_owned()) } else { Self(format!("http://{text}")) }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self(format!("http://{address}"))
    }
}

/// Connects for calls (admin, rounds): each call has the deadline [`CALL_TIMEOUT`] until its first answer.
///
/// # Errors
/// If the address cannot be read, or nobody answers within [`CONNECT_TIMEOUT`].
pub async fn connect(address: &Address) -> Result<Channel, ConnectError> {
    dial(address, endpoint(address)?.timeout(CALL_TIMEOUT)).await
}

/// Connects for a worker's session, which lives as long as both sides do.
///
/// # Errors
/// As [`connect`].
pub async fn connect_session(address: &Address) -> Result<Channel, ConnectError> {
    dial(address, endpoint(address)?).await
}

/// The admin service on `channel`.
#[must_use]
pub fn admin(channel: Channel) -> AdminServiceClient<Channel> {
    AdminServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES)
}

/// The round service on `channel`.
#[must_use]
pub fn rounds(channel: Channel) -> RoundServiceClient<Channel> {
    RoundServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES)
}

/// The worker service on `channel`, which should come from [`connect_session`].
#[must_use]
pub fn worker(channel: Channel) -> WorkerServiceClient<Channel> {
    WorkerServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES)
}

fn endpoint(address: &Address) -> Result<Endpoint, ConnectError> {
    let endpoint = Endpoint::from_shared(address.0.clone())
        .map_err(|source| ConnectError::Address { address: address.0.clone(), source })?;
    Ok(endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .tcp_nodelay(true))
}

async fn dial(address: &Address, endpoint: Endpoint) -> Result<Channel, ConnectError> {
    endpoint.connect().await.map_err(|source| ConnectError::Unreachable { address: address.0.clone(), source })
}

//! The gRPC server: the services, health, reflection, and the connection settings of the contract.

mod admin;
mod round;
mod worker;

use galapagos_proto::DESCRIPTORS;
use galapagos_proto::transport::{KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, MAX_MESSAGE_BYTES};
use galapagos_proto::v1::admin_service_server::AdminServiceServer;
use galapagos_proto::v1::round_service_server::RoundServiceServer;
use galapagos_proto::v1::worker_service_server::WorkerServiceServer;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;

use crate::error::Error;
use crate::handle::Handle;
use crate::stop::Stop;
use crate::watch::Watchers;

/// Serves until `stop`, then lets open calls end.
///
/// # Errors
/// If the server cannot be set up, or its listener fails.
pub(crate) async fn serve(
    listener: TcpListener,
    handle: Handle,
    watchers: Watchers,
    mut stop: Stop,
) -> Result<(), Error> {
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<WorkerServiceServer<worker::Workers>>().await;
    health.set_serving::<RoundServiceServer<round::Rounds>>().await;
    health.set_serving::<AdminServiceServer<admin::Admin>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .map_err(|source| Error::Reflection { source })?;
    let workers = WorkerServiceServer::new(worker::Workers::new(handle.clone()));
    let rounds = RoundServiceServer::new(round::Rounds::new(handle.clone()));
    let admin = AdminServiceServer::new(admin::Admin::new(handle, watchers));
    Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .tcp_nodelay(true)
        .add_service(health_service)
        .add_service(reflection)
        .add_service(workers.max_decoding_message_size(MAX_MESSAGE_BYTES))
        .add_service(rounds.max_decoding_message_size(MAX_MESSAGE_BYTES))
        .add_service(admin.max_decoding_message_size(MAX_MESSAGE_BYTES))
        .serve_with_incoming_shutdown(TcpListenerStream::new(listener), async move { stop.wait().await })
        .await
        .map_err(|source| Error::Grpc { source })
}

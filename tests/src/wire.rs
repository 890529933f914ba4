//! What a program could say to a coordinator over gRPC without our clients: health questions, foreign versions, bad recipes.

use std::future::Future;
use std::time::Duration;

use galapagos_domain::session::{PROTOCOL_VERSION, Registration, WorkerMessage};
use galapagos_proto::client::{Address, admin, connect, connect_session, worker};
use galapagos_proto::status::Refusal;
use galapagos_proto::v1;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// An answer that takes longer fails the test.
const CALL_LIMIT: Duration = Duration::from_secs(20);

/// Blocks on a conversation that must end within [`CALL_LIMIT`].
///
/// # Panics
/// If it does not.
#[track_caller]
fn within_limit<T>(what: &str, talk: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.unwrap_or_else(|error| panic!("could not start a runtime: {error}"));
    let ended = runtime.block_on(async { tokio::time::timeout(CALL_LIMIT, talk).await });
    ended.unwrap_or_else(|_| panic!("no answer within {} s: {what}", CALL_LIMIT.as_secs()))
}

async fn channel(address: &Address) -> Channel {
    connect(address).await.unwrap_or_else(|error| panic!("{error}"))
}

/// The refusal of a worker that speaks the next version of the protocol.
///
/// # Panics
/// If it is not refused.
#[track_caller]
#[must_use]
pub fn foreign_worker(address: &Address) -> Refusal {
    let registration = Registration {
        worker: "w9".parse().unwrap_or_else(|error| panic!("{error}")),
        boot_id: 7,
        protocol_version: PROTOCOL_VERSION + 1,
        slots: 1,
        device: "cpu".to_owned(),
        held: Vec::new(),
    };
    let register = v1::WorkerMessage::from(WorkerMessage::Register(registration));
    within_limit("the refusal of a foreign worker", async {
        let channel = connect_session(address).await.unwrap_or_else(|error| panic!("{error}"));
        let messages = tokio_stream::StreamExt::chain(tokio_stream::once(register), tokio_stream::pending());
        let status = match worker(channel).session(messages).await {
            Err(status) => status,
            Ok(answer) => match answer.into_inner().message().await {
                Err(status) => status,
                Ok(message) => panic!("a worker of another protocol version was answered with {message:?}"),
            },
        };
        Refusal::from(status)
    })
}

/// The refusal of a recipe.
///
/// # Panics
/// If it is accepted.
#[track_caller]
#[must_use]
pub fn refused_recipe(address: &Address, recipe_yaml: &str) -> Refusal {
    let request = v1::SubmitRequest { recipe_yaml: recipe_yaml.to_owned(), seed: 1 };
    within_limit("the refusal of a recipe", async {
        match admin(channel(address).await).submit(request).await {
            Err(status) => Refusal::from(status),
            Ok(answer) => panic!("the recipe was accepted: {answer:?}"),
        }
    })
}

/// Whether the gRPC health service says that `service` (empty: the whole server) is serving.
///
/// # Panics
/// If it does not answer.
#[track_caller]
#[must_use]
pub fn is_serving(address: &Address, service: &str) -> bool {
    let request = HealthCheckRequest { service: service.to_owned() };
    within_limit("the health check", async {
        let answer = HealthClient::new(channel(address).await).check(request).await;
        let answer = answer.unwrap_or_else(|status| panic!("health of `{service}`: {status}"));
        answer.into_inner().status() == ServingStatus::Serving
    })
}

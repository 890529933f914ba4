//! A whole coordinator over its wire: sessions, admin calls, durability, and every way in which it refuses to start.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "clippy knows #[test] functions, not their helpers")]

#[path = "serve/cluster.rs"]
mod cluster;

use cluster::{Coordinator, DEADLINE, RECIPE, Worker, announce_file, config, registration};
use galapagos_coordinator::{Error, StoreError, run};
use galapagos_domain::cluster::{EvolutionView, Round, WorkerView};
use galapagos_domain::ids::Digest;
use galapagos_domain::job::{JobKind, JobOutput};
use galapagos_domain::session::{CoordinatorMessage, PROTOCOL_VERSION, Registration, WorkerMessage};
use galapagos_proto::client;
use galapagos_proto::convert::parse_document;
use galapagos_proto::status::{Kind, Refusal};
use galapagos_proto::v1;
use galapagos_proto::v1::admin_service_client::AdminServiceClient;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

async fn submit(admin: &mut AdminServiceClient<Channel>) -> String {
    let request = v1::SubmitRequest { recipe_yaml: RECIPE.to_owned(), seed: 11 };
    admin.submit(request).await.unwrap().into_inner().evolution_id
}

async fn view(admin: &mut AdminServiceClient<Channel>, id: &str) -> EvolutionView {
    let request = v1::GetRequest { evolution_id: id.to_owned() };
    admin.get(request).await.unwrap().into_inner().evolution.unwrap().try_into().unwrap()
}

fn base_output() -> JobOutput {
    JobOutput::Base {
        checkpoint: Digest::of(b"checkpoint"),
        weights: Digest::of(b"weights"),
        source: "characters".to_owned(),
    }
}

/// Takes the base job and reports it; returns once the report is acknowledged.
async fn do_base_job(worker: &mut Worker) {
    let (token, job) = worker.lease().await;
    assert!(matches!(job.kind, JobKind::Base(_)), "{job:?}");
    worker.say(WorkerMessage::JobDone { token, output: base_output() }).await;
    loop {
        if let CoordinatorMessage::Acknowledge { token: acknowledged, .. } = worker.hear().await.unwrap() {
            assert_eq!(acknowledged, token);
            return;
        }
    }
}

#[tokio::test]
async fn a_job_goes_from_submission_to_the_watchers() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = Coordinator::start(folder.path()).await;
    let mut admin = coordinator.admin().await;
    let id = submit(&mut admin).await;
    let request = v1::WatchRequest { evolution_id: id.clone() };
    let mut watched = admin.watch(request).await.unwrap().into_inner();

    let mut worker = Worker::open(&coordinator, registration("w1")).await.unwrap();
    let greeting = worker.hear().await.unwrap();
    assert!(
        matches!(greeting, CoordinatorMessage::Registered { leader_epoch, .. } if leader_epoch.0 == 1),
        "{greeting:?}"
    );
    do_base_job(&mut worker).await;
    let seen = timeout(DEADLINE, async {
        loop {
            let response = watched.message().await.unwrap().expect("an unfinished evolution is watched on");
            let view: EvolutionView = response.evolution.unwrap().try_into().unwrap();
            if view.members.iter().any(|member| member.checkpoint == Digest::of(b"checkpoint")) {
                return view;
            }
        }
    });
    assert_eq!(seen.await.expect("the base member is seen in time").id.as_str(), id);

    let workers = admin.workers(v1::WorkersRequest {}).await.unwrap().into_inner().workers.unwrap();
    let workers: Vec<WorkerView> = parse_document("the worker list", 1, &workers).unwrap();
    assert_eq!(workers.iter().map(|worker| worker.name.as_str()).collect::<Vec<_>>(), ["w1"]);
    let explained = admin.explain(v1::ExplainRequest { id: id.clone() }).await.unwrap().into_inner();
    assert!(explained.text.starts_with(&id), "{}", explained.text);

    admin.cancel(v1::CancelRequest { evolution_id: id.clone() }).await.unwrap();
    let end = timeout(DEADLINE, async { while watched.message().await.unwrap().is_some() {} });
    end.await.expect("the watch ends after the final snapshot");
    assert!(view(&mut admin, &id).await.status.is_final());
    drop(worker);
    coordinator.stop().await.unwrap();
    assert!(!announce_file(folder.path()).exists(), "an orderly end takes the announce file away");
}

#[tokio::test]
async fn what_was_acknowledged_is_on_the_disk_at_that_moment() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = Coordinator::start(folder.path()).await;
    let mut admin = coordinator.admin().await;
    let id = submit(&mut admin).await;
    let mut worker = Worker::open(&coordinator, registration("w1")).await.unwrap();
    do_base_job(&mut worker).await;

    // What a kill at this moment would leave: the file as it is, without any orderly end.
    let crashed = tempfile::tempdir().unwrap();
    std::fs::create_dir(crashed.path().join("store")).unwrap();
    let file = "store/cluster.redb";
    std::fs::copy(folder.path().join(file), crashed.path().join(file)).unwrap();
    let next = Coordinator::start(crashed.path()).await;
    assert_eq!(next.announced.leader_epoch, 2);
    let recovered = view(&mut next.admin().await, &id).await;
    assert!(recovered.members.iter().any(|member| member.checkpoint == Digest::of(b"checkpoint")), "{recovered:?}");

    // The worker comes back to the new coordinator and gets work that is not the base job again.
    let mut back = Worker::open(&next, registration("w1")).await.unwrap();
    let (_, job) = back.lease().await;
    assert!(!matches!(job.kind, JobKind::Base(_)), "{job:?}");
}

#[tokio::test]
async fn sessions_that_break_the_contract_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = Coordinator::start(folder.path()).await;

    let other = Registration { protocol_version: PROTOCOL_VERSION + 1, ..registration("w1") };
    let refused = Worker::open(&coordinator, other).await.err().unwrap();
    assert_eq!(refused.kind, Kind::WrongVersion);
    assert!(refused.message.contains("w1") && refused.message.contains(&PROTOCOL_VERSION.to_string()), "{refused}");

    let mut twice = Worker::open(&coordinator, registration("w1")).await.unwrap();
    twice.hear().await.unwrap();
    twice.say(WorkerMessage::Register(registration("w1"))).await;
    assert_eq!(twice.hear().await.unwrap_err().kind, Kind::Malformed);

    let mut older = Worker::open(&coordinator, registration("w2")).await.unwrap();
    older.hear().await.unwrap();
    let _newer = Worker::open(&coordinator, registration("w2")).await.unwrap();
    assert_eq!(older.hear().await.unwrap_err().kind, Kind::Fenced);
}

#[tokio::test]
async fn a_silent_worker_is_told_so_and_may_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.limits.silence_limit_ms = 100;
    let coordinator = Coordinator::start_with(folder.path(), config).await;
    let mut worker = Worker::open(&coordinator, registration("w1")).await.unwrap();
    worker.hear().await.unwrap();
    assert_eq!(worker.hear().await.unwrap_err().kind, Kind::Deadline);
    let mut back = Worker::open(&coordinator, registration("w1")).await.unwrap();
    assert!(matches!(back.hear().await.unwrap(), CoordinatorMessage::Registered { .. }));
}

#[tokio::test]
async fn an_orderly_end_tells_workers_and_watchers_why() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = Coordinator::start(folder.path()).await;
    let mut admin = coordinator.admin().await;
    let request = v1::WatchRequest { evolution_id: submit(&mut admin).await };
    let mut watched = admin.watch(request).await.unwrap().into_inner();
    let mut worker = Worker::open(&coordinator, registration("w1")).await.unwrap();
    worker.lease().await;
    let told = async move {
        assert_eq!(worker.hear().await.unwrap_err().kind, Kind::Stopping);
        let end = loop {
            match watched.message().await {
                Ok(snapshot) => assert!(snapshot.is_some(), "an unfinished watch ends with a reason"),
                Err(status) => break Refusal::from(status),
            }
        };
        assert_eq!(end.kind, Kind::Stopping);
    };
    let (stopped, ()) = tokio::join!(coordinator.stop(), told);
    stopped.unwrap();
}

#[tokio::test]
async fn bad_requests_are_refused_with_what_would_be_right() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = Coordinator::start(folder.path()).await;
    let mut admin = coordinator.admin().await;

    let typo = RECIPE.replace("generations: 2", "generation: 2");
    let error = admin.submit(v1::SubmitRequest { recipe_yaml: typo, seed: 1 }).await.unwrap_err();
    let refusal = Refusal::from(error);
    assert_eq!(refusal.kind, Kind::Invalid);
    assert!(refusal.message.contains("recipe:") && refusal.message.contains("generations"), "{refusal}");

    let error = admin.get(v1::GetRequest { evolution_id: "micro-9".to_owned() }).await.unwrap_err();
    assert_eq!(Refusal::from(error).kind, Kind::NotFound);
    let error = admin.watch(v1::WatchRequest { evolution_id: "micro-9".to_owned() }).await.unwrap_err();
    assert_eq!(Refusal::from(error).kind, Kind::NotFound);
    let error = admin.cancel(v1::CancelRequest { evolution_id: "no such".to_owned() }).await.unwrap_err();
    assert_eq!(Refusal::from(error).kind, Kind::Invalid);

    let mut rounds = client::rounds(client::connect(&coordinator.announced.addr.into()).await.unwrap());
    let error = rounds.get(v1::GetRoundRequest { round_id: "micro-9/g1/x".to_owned() }).await.unwrap_err();
    assert_eq!(Refusal::from(error).kind, Kind::NotFound);
    let listed = rounds.list(v1::ListRoundsRequest { evolution_id: None }).await.unwrap().into_inner().rounds.unwrap();
    assert_eq!(parse_document::<Vec<Round>>("the round list", 1, &listed).unwrap(), []);
    coordinator.stop().await.unwrap();
}

#[tokio::test]
async fn metrics_and_health_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = Coordinator::start(folder.path()).await;
    submit(&mut coordinator.admin().await).await;
    let metrics = http_get(&coordinator, "/metrics").await;
    assert!(metrics.starts_with("HTTP/1.1 200"), "{metrics}");
    assert!(metrics.contains("galapagos_jobs{kind=\"base\",state=\"waiting\"} 1\n"), "{metrics}");
    assert!(metrics.contains("galapagos_leader_epoch 1\n"), "{metrics}");
    assert!(http_get(&coordinator, "/healthz").await.contains("ok, leader epoch 1"));

    let channel = client::connect(&coordinator.announced.addr.into()).await.unwrap();
    let request = HealthCheckRequest { service: "galapagos.v1.WorkerService".to_owned() };
    let health = HealthClient::new(channel).check(request).await.unwrap().into_inner();
    assert_eq!(health.status(), ServingStatus::Serving);
    coordinator.stop().await.unwrap();
}

async fn http_get(coordinator: &Coordinator, path: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(coordinator.announced.http).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    timeout(DEADLINE, stream.read_to_string(&mut response)).await.unwrap().unwrap();
    response
}

#[tokio::test]
async fn a_second_coordinator_on_one_store_is_refused_and_told_who_holds_it() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = Coordinator::start(folder.path()).await;
    let error = timeout(DEADLINE, run(config(folder.path()), std::future::pending())).await.unwrap().unwrap_err();
    let Error::Open { source } = error else { panic!("{error}") };
    let pid = std::process::id();
    assert!(matches!(source, StoreError::InUse { holder: Some(holder), .. } if holder == pid), "{source}");
    // The first one is not disturbed.
    submit(&mut coordinator.admin().await).await;
    coordinator.stop().await.unwrap();
}

#[tokio::test]
async fn a_port_in_use_is_named_with_the_option_that_changes_it() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let mut config = config(folder.path());
    config.listen = address;
    let error = timeout(DEADLINE, run(config, std::future::pending())).await.unwrap().unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::PortInUse { .. }), "{text}");
    assert!(text.contains(&address.to_string()) && text.contains("--listen"), "{text}");
}

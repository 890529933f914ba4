//! What is written is what is read, for every message of the session, through the bytes of the wire; and what the
//! contract forbids is refused by name.
#![expect(clippy::unwrap_used, reason = "clippy knows #[test] functions, not their helpers")]

#[path = "round_trip/jobs.rs"]
mod jobs;
#[path = "round_trip/sources.rs"]
mod sources;
#[path = "round_trip/strategies.rs"]
mod strategies;

use galapagos_domain::cluster::view::Status;
use galapagos_domain::job::Sampling;
use galapagos_domain::session::{CoordinatorMessage, WorkerMessage};
use galapagos_proto::convert::{ConvertError, EvolutionSummary, document, parse_document};
use galapagos_proto::v1;
use proptest::prelude::*;
use prost::Message;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_worker_message_survives_the_wire(message in strategies::worker_message()) {
        let bytes = v1::WorkerMessage::from(message.clone()).encode_to_vec();
        let back: WorkerMessage = v1::WorkerMessage::decode(bytes.as_slice()).unwrap().try_into().unwrap();
        prop_assert_eq!(back, message);
    }

    #[test]
    fn a_coordinator_message_survives_the_wire(message in strategies::coordinator_message()) {
        let bytes = v1::CoordinatorMessage::from(message.clone()).encode_to_vec();
        let back: CoordinatorMessage = v1::CoordinatorMessage::decode(bytes.as_slice()).unwrap().try_into().unwrap();
        prop_assert_eq!(back, message);
    }
}

#[test]
fn a_summary_survives_the_wire_in_every_status() {
    for status in [Status::Running, Status::Paused, Status::Done, Status::Failed, Status::Cancelled] {
        let summary = EvolutionSummary {
            id: "tiny-1".parse().unwrap(),
            recipe: "tiny".parse().unwrap(),
            seed: galapagos_domain::seed::Seed(7),
            status,
        };
        assert_eq!(EvolutionSummary::try_from(v1::EvolutionSummary::from(summary.clone())).unwrap(), summary);
    }
}

#[test]
fn sampling_keeps_the_order_of_a_schemas_properties_and_refuses_what_it_does_not_know() {
    let guide = r#"{"json_schema":{"type":"object","properties":{"z":{},"a":{}}}}"#;
    let sampling = Sampling { guide: serde_json::from_str(guide).unwrap(), ..Sampling::at(0.5) };
    let wire = v1::Sampling::from(sampling);
    assert_eq!(wire.guide_json.as_deref(), Some(guide));
    let back = Sampling::try_from(wire.clone()).unwrap();
    assert_eq!(v1::Sampling::from(back), wire);

    let unknown = v1::Sampling { guide_json: Some(r#"{"poem":"a"}"#.to_owned()), ..wire.clone() };
    let error = Sampling::try_from(unknown).unwrap_err();
    assert!(matches!(error, ConvertError::Fragment { message: "Sampling", field: "guide_json", .. }), "{error}");
    let old = v1::Sampling { repetition_penalty: None, ..wire.clone() };
    let error = Sampling::try_from(old).unwrap_err();
    assert_eq!(error.to_string(), "Sampling lacks `repetition_penalty`");
    let none = v1::Sampling { speculate_json: String::new(), ..wire };
    assert!(matches!(Sampling::try_from(none), Err(ConvertError::Fragment { field: "speculate_json", .. })));
}

fn refused(kind: v1::worker_message::Kind) -> ConvertError {
    WorkerMessage::try_from(v1::WorkerMessage { kind: Some(kind) }).unwrap_err()
}

fn token() -> Option<v1::FencingToken> {
    Some(v1::FencingToken { value: 1 })
}

#[test]
fn an_empty_message_lacks_its_kind() {
    let error = WorkerMessage::try_from(v1::WorkerMessage { kind: None }).unwrap_err();
    assert_eq!(error.to_string(), "WorkerMessage lacks `kind`");
}

#[test]
fn a_token_that_nobody_minted_is_missing() {
    let report = v1::JobProgress { token: Some(v1::FencingToken { value: 0 }), done: 1, total: 2, tokens: 3 };
    let error = refused(v1::worker_message::Kind::JobProgress(report));
    assert!(matches!(error, ConvertError::Missing { message: "JobProgress", field: "token.value" }), "{error}");
}

#[test]
fn a_diverged_vote_is_refused() {
    let vote = v1::Vote {
        weights: Some(v1::Digest { blake3: vec![0; 32] }),
        checkpoint: None,
        steps: 1,
        final_loss: f64::NAN,
        left_out: 0,
        ..v1::Vote::default()
    };
    let report = v1::RankVoted { round_id: "a-1/g1/x".to_owned(), token: token(), rank: 0, vote: Some(vote) };
    let error = refused(v1::worker_message::Kind::RankVoted(report));
    assert!(matches!(error, ConvertError::NotFinite { message: "Vote", field: "final_loss", .. }), "{error}");
}

#[test]
fn a_short_digest_and_an_unknown_class_are_refused() {
    let output = v1::job_output::Kind::Base(v1::BaseOutput {
        checkpoint: Some(v1::Digest { blake3: vec![0; 31] }),
        weights: None,
        source: String::new(),
    });
    let done = v1::JobDone { token: token(), output: Some(v1::JobOutput { kind: Some(output) }) };
    let error = refused(v1::worker_message::Kind::JobDone(done));
    assert!(matches!(error, ConvertError::DigestLength { field: "checkpoint", found: 31, .. }), "{error}");

    let failed = v1::JobFailed { token: token(), failure: Some(v1::JobFailure { class: 9, chain: vec![] }) };
    let error = refused(v1::worker_message::Kind::JobFailed(failed));
    assert!(
        matches!(error, ConvertError::OutOfRange { message: "JobFailure", field: "class", value: 9, .. }),
        "{error}"
    );
}

#[test]
fn a_fragment_of_another_recipe_language_is_refused_with_the_reason() {
    let job = v1::JobSpec {
        job_id: "a-1/base/base/0".to_owned(),
        evolution_id: "a-1".to_owned(),
        seed: 1,
        time_limit_ms: 1,
        kind: Some(v1::job_spec::Kind::Base(v1::BaseJob { base_json: r#"{"wizard": 1}"#.to_owned() })),
    };
    let lease = v1::Lease { token: token(), attempt: 1, job: Some(job) };
    let message = v1::CoordinatorMessage { kind: Some(v1::coordinator_message::Kind::Lease(lease)) };
    let refusal = galapagos_proto::status::Refusal::from(CoordinatorMessage::try_from(message).unwrap_err());
    assert!(refusal.message.starts_with("BaseJob.base_json") && refusal.message.contains("wizard"), "{refusal}");
}

#[test]
fn a_document_of_a_newer_version_is_refused_by_both_versions() {
    let wire = document("the worker list", 2, &vec![1, 2]).unwrap();
    let error = parse_document::<Vec<u32>>("the worker list", 1, &wire).unwrap_err();
    assert_eq!(error.to_string(), "the worker list has version 2; this program reads version 1");
    assert_eq!(parse_document::<Vec<u32>>("the worker list", 2, &wire).unwrap(), [1, 2]);
}

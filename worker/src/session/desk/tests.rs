//! The desk under what matters: refusals, revocations, repeats, ranks that die, leaving.

use galapagos_domain::ids::{Digest, EvolutionId, JobId, Name};
use galapagos_domain::job::{FailureClass, JobKind};
use galapagos_domain::recipe::{Base, Head};
use galapagos_domain::round::{RoundSpec, Vote};
use galapagos_domain::seed::Seed;

use super::*;

const TRAIN: &str = r#"{"role": "policy", "on": "correct", "loss": "nll", "lr": 1e-4}"#;

fn desk(slots: u32) -> Desk {
    Desk::new(WorkerId::new("w1").unwrap(), slots)
}

fn lease(token: u64) -> CoordinatorMessage {
    let job = JobSpec {
        id: JobId::new("e/base/base/0").unwrap(),
        evolution: EvolutionId::new("e").unwrap(),
        seed: Seed(1),
        time_limit_ms: 1000,
        kind: JobKind::Base(Base::Model("m".to_owned())),
    };
    CoordinatorMessage::Lease { token: FencingToken(token), attempt: 1, job: Box::new(job) }
}

fn round() -> RoundId {
    RoundId::new("e/g1/candidate").unwrap()
}

fn prepare(token: u64, rank: u32) -> CoordinatorMessage {
    let round = RoundSpec {
        id: round(),
        evolution: EvolutionId::new("e").unwrap(),
        role: Name::new("policy").unwrap(),
        head: Head::Lm,
        start: Digest::of(b"start"),
        optimiser: None,
        reference: None,
        critic: None,
        mix: Vec::new(),
        datasets: Vec::new(),
        train: serde_json::from_str(TRAIN).unwrap(),
        seed: Seed(1),
        stall_limit_ms: 1000,
    };
    CoordinatorMessage::PrepareRank(Box::new(RankSpec {
        round,
        token: FencingToken(token),
        rank,
        world_size: 2,
        resume: None,
    }))
}

fn attempt(token: u64) -> Key {
    Key::attempt(FencingToken(token))
}

fn rank(token: u64, rank: u32) -> Key {
    Key::rank(FencingToken(token), rank)
}

fn output() -> JobOutput {
    JobOutput::Bout { pairs: Vec::new(), tokens: 3 }
}

fn done(token: u64) -> WorkEvent {
    WorkEvent::Ended { key: attempt(token), end: End::Done(output()) }
}

fn said(token: u64, number: u32, report: RankReport) -> WorkEvent {
    WorkEvent::Rank { round: round(), key: rank(token, number), report }
}

fn vote() -> Vote {
    Vote::new(Digest::of(b"w"), 3, 0.5)
}

/// Everything in the outbox, as if it were sent now.
fn sent(desk: &mut Desk) -> Vec<WorkerMessage> {
    let mut messages = Vec::new();
    while let Some(message) = desk.outbox().next().cloned() {
        desk.outbox().sent();
        messages.push(message);
    }
    messages
}

/// The reason, if the message is a failure of that class.
fn failure(message: &WorkerMessage, class: FailureClass) -> Option<&str> {
    match message {
        WorkerMessage::JobFailed { failure, .. } | WorkerMessage::RankFailed { failure, .. } => {
            (failure.class == class).then(|| failure.chain[0].as_str())
        }
        _ => None,
    }
}

fn starts(orders: &[Order]) -> Vec<Key> {
    orders.iter().filter_map(|order| if let Order::Start { key, .. } = order { Some(*key) } else { None }).collect()
}

#[test]
fn an_attempt_runs_once_and_its_output_waits_for_the_acknowledgement() {
    let mut desk = desk(1);
    assert_eq!(starts(&desk.told(lease(1))), [attempt(1)]);
    assert_eq!(desk.told(lease(1)), [], "a repeated lease starts nothing");
    assert_eq!(desk.held(), [FencingToken(1)]);
    desk.happened(done(1));
    assert_eq!(desk.told(lease(1)), [], "nor when the attempt is done and its report on the way");
    assert_eq!(sent(&mut desk), [WorkerMessage::JobDone { token: FencingToken(1), output: output() }]);
    assert_eq!(desk.held(), [FencingToken(1)], "held until acknowledged");
    desk.told(CoordinatorMessage::Acknowledge { token: FencingToken(1), rank: None });
    assert!(desk.is_clear() && desk.held().is_empty());
}

#[test]
fn a_lease_beyond_the_slots_is_refused_with_the_holder() {
    let mut desk = desk(1);
    desk.told(lease(1));
    assert_eq!(desk.told(lease(2)), []);
    let refused = sent(&mut desk);
    let reason = failure(&refused[0], FailureClass::Transient).unwrap();
    assert!(reason.contains("w1") && reason.contains("attempt #1"), "{reason}");
}

#[test]
fn a_revoked_attempt_is_stopped_and_never_reported_and_its_place_serves_the_next() {
    let mut desk = desk(1);
    desk.told(lease(1));
    let orders = desk.told(CoordinatorMessage::Revoke { token: FencingToken(1), reason: "too slow".to_owned() });
    assert_eq!(orders, [Order::Stop { key: attempt(1), reason: "too slow".to_owned() }]);
    assert_eq!(desk.told(lease(2)), [], "the place is not clear yet");
    let (orders, _) = desk.happened(WorkEvent::Ended { key: attempt(1), end: End::Stopped { round: None } });
    assert_eq!(starts(&orders), [attempt(2)]);
    assert_eq!(sent(&mut desk), []);
}

#[test]
fn killing_a_try_kills_all_its_ranks_here_and_forgets_what_they_said() {
    let mut desk = desk(2);
    desk.told(prepare(5, 0));
    desk.told(prepare(5, 1));
    desk.happened(said(5, 0, RankReport::Ready { rendezvous: Some("127.0.0.1:1".to_owned()) }));
    let orders = desk.told(CoordinatorMessage::KillRanks {
        round: round(),
        token: FencingToken(5),
        reason: "rank lost".to_owned(),
    });
    assert_eq!(orders.len(), 2);
    desk.happened(said(5, 1, RankReport::Voted(vote())));
    for number in 0..2 {
        let end = End::Stopped { round: Some(round()) };
        desk.happened(WorkEvent::Ended { key: rank(5, number), end });
    }
    assert_eq!(sent(&mut desk), []);
    assert!(desk.is_clear());
}

#[test]
fn a_rank_reports_ready_then_its_vote_and_progress_goes_out_at_once_or_never() {
    let mut desk = desk(1);
    desk.told(prepare(5, 1));
    desk.happened(said(5, 1, RankReport::Ready { rendezvous: None }));
    let rendezvous = "127.0.0.1:9".to_owned();
    let orders = desk.told(CoordinatorMessage::StartRank {
        round: round(),
        token: FencingToken(5),
        rank: 1,
        rendezvous: rendezvous.clone(),
    });
    assert_eq!(orders, [Order::Train { key: rank(5, 1), rendezvous }]);
    desk.happened(said(5, 1, RankReport::Voted(vote())));
    desk.happened(WorkEvent::Ended { key: rank(5, 1), end: End::RankSaidAll });
    let (round, token) = (round(), FencingToken(5));
    let ready = WorkerMessage::RankReady { round: round.clone(), token, rank: 1, rendezvous: None };
    assert_eq!(sent(&mut desk), [ready, WorkerMessage::RankVoted { round, token, rank: 1, vote: vote() }]);
}

#[test]
fn starting_a_rank_that_is_not_here_is_answered_with_a_failure() {
    let mut desk = desk(1);
    let rendezvous = "127.0.0.1:9".to_owned();
    let start = CoordinatorMessage::StartRank { round: round(), token: FencingToken(5), rank: 0, rendezvous };
    assert_eq!(desk.told(start), []);
    assert!(failure(&sent(&mut desk)[0], FailureClass::Lost).unwrap().contains("no process"));
}

#[test]
fn leaving_gives_everything_back_and_takes_nothing_new() {
    let mut desk = desk(2);
    desk.told(lease(1));
    desk.told(prepare(5, 0));
    assert_eq!(desk.leave("stop").len(), 2);
    desk.told(lease(2));
    desk.happened(WorkEvent::Ended { key: attempt(1), end: End::Stopped { round: None } });
    desk.happened(WorkEvent::Ended { key: rank(5, 0), end: End::Stopped { round: Some(round()) } });
    let reports = sent(&mut desk);
    assert_eq!(reports.len(), 3);
    assert!(reports.iter().all(|report| failure(report, FailureClass::Lost).is_some()), "{reports:?}");
    assert!(desk.is_idle());
}

//! Rank processes against a trainer that is a shell script.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use galapagos_domain::fence::FencingToken;
use galapagos_domain::ids::{Digest, EvolutionId, Name};
use galapagos_domain::job::FailureClass;
use galapagos_domain::recipe::Head;
use galapagos_domain::round::{RoundSpec, Vote};
use galapagos_domain::seed::Seed;
use tempfile::TempDir;

use super::*;

const TRAIN: &str = r#"{"role": "policy", "on": "correct", "loss": "nll", "lr": 1e-4}"#;

/// Longer than any of these tests takes, shorter than the limit of a hanging test.
const LIMIT: Duration = Duration::from_secs(20);

struct Fixture {
    folder: TempDir,
    rank: Rank,
    events: mpsc::Receiver<WorkEvent>,
}

fn key() -> Key {
    Key::rank(FencingToken(5), 1)
}

fn spec() -> Box<RankSpec> {
    let round = RoundSpec {
        id: RoundId::new("e/g1/candidate").unwrap(),
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
    Box::new(RankSpec { round, token: FencingToken(5), rank: 1, world_size: 2, resume: None })
}

/// Starts a trainer whose body is `script`; `$here` is a folder for its notes.
fn start_script(script: &str) -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("trainer.sh");
    let text = format!("#!/bin/sh\nhere={}\n{script}\n", folder.path().display());
    std::fs::write(&program, text).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let (say, events) = mpsc::channel(16);
    let rank = start(&trainer(&program), spec(), say);
    Fixture { folder, rank, events }
}

fn trainer(program: &Path) -> Trainer {
    Trainer {
        program: program.to_owned(),
        artifacts: "/nowhere/artifacts".to_owned(),
        cache: PathBuf::from("/nowhere/cache"),
        runs: Some(PathBuf::from("/nowhere/runs")),
        bind: "127.0.0.1".to_owned(),
        device: "cpu".to_owned(),
    }
}

impl Fixture {
    async fn next(&mut self) -> WorkEvent {
        timeout(LIMIT, self.events.recv()).await.expect("an event in time").expect("an open queue")
    }

    async fn report(&mut self) -> RankReport {
        match self.next().await {
            WorkEvent::Rank { report, key: of, .. } if of == key() => report,
            other => panic!("{other:?}"),
        }
    }

    async fn end(&mut self) -> End {
        match self.next().await {
            WorkEvent::Ended { end, key: of } if of == key() => end,
            other => panic!("{other:?}"),
        }
    }

    async fn failure(&mut self) -> JobFailure {
        match self.end().await {
            End::RankFailed { failure, .. } => failure,
            other => panic!("{other:?}"),
        }
    }

    fn note(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap()
    }
}

fn json(report: &RankReport) -> String {
    serde_json::to_string(report).unwrap()
}

fn is_alive(pid: &str) -> bool {
    // A zombie has ended; only its parent has not looked yet.
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    stat.is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z'))
}

/// A killed process that is not our child ends a moment after the signal; there is nothing to wait on but its entry.
async fn dead(pid: &str) {
    let gone = async {
        while is_alive(pid) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LIMIT, gone).await.expect("a dead process");
}

#[tokio::test]
async fn a_rank_that_does_its_work_is_prepared_started_and_heard() {
    let vote = Vote::new(Digest::of(b"w"), 3, 0.25);
    let mut rank = start_script(&format!(
        "echo \"$*\" > $here/args\nread prepare; echo \"$prepare\" > $here/prepare\necho '{}'\nread start\n\
         echo \"$start\" > $here/start\nenv | grep ^OMP > $here/env\necho '{}'",
        json(&RankReport::Ready { rendezvous: Some("127.0.0.1:4711".to_owned()) }),
        json(&RankReport::Voted(vote.clone())),
    ));
    assert_eq!(rank.report().await, RankReport::Ready { rendezvous: Some("127.0.0.1:4711".to_owned()) });
    assert!(rank.rank.train("127.0.0.1:4711".to_owned()));
    assert_eq!(rank.report().await, RankReport::Voted(vote));
    assert_eq!(rank.end().await, End::RankSaidAll);
    assert_eq!(serde_json::from_str::<RankCommand>(&rank.note("prepare")).unwrap(), RankCommand::Prepare(spec()));
    let start = RankCommand::Start { rendezvous: "127.0.0.1:4711".to_owned() };
    assert_eq!(serde_json::from_str::<RankCommand>(&rank.note("start")).unwrap(), start);
    let args = "--artifacts /nowhere/artifacts --cache /nowhere/cache --bind 127.0.0.1 --device cpu --lifeline --runs /nowhere/runs\n";
    assert_eq!(rank.note("args"), args);
    assert!(rank.note("env").contains("OMP_NUM_THREADS=1"));
    assert!(rank.rank.is_gone() && !rank.rank.kill("late".to_owned()));
}

#[tokio::test]
async fn a_kill_takes_the_whole_process_group() {
    let ready = json(&RankReport::Ready { rendezvous: None });
    let mut rank = start_script(&format!("sleep 1000 & echo $! > $here/pid\nread prepare\necho '{ready}'\nwait"));
    rank.report().await;
    let pid = rank.note("pid");
    assert!(is_alive(&pid));
    assert!(rank.rank.kill("round aborted".to_owned()));
    assert_eq!(rank.end().await, End::Stopped { round: Some(RoundId::new("e/g1/candidate").unwrap()) });
    dead(&pid).await;
}

#[tokio::test]
async fn a_dropped_handle_kills() {
    let ready = json(&RankReport::Ready { rendezvous: None });
    let Fixture { rank, mut events, folder } =
        start_script(&format!("echo $$ > $here/pid\nread prepare\necho '{ready}'\nread never"));
    timeout(LIMIT, events.recv()).await.unwrap().unwrap();
    let pid = std::fs::read_to_string(folder.path().join("pid")).unwrap();
    drop(rank);
    let ended = timeout(LIMIT, events.recv()).await.unwrap().unwrap();
    assert!(matches!(ended, WorkEvent::Ended { end: End::Stopped { .. }, .. }), "{ended:?}");
    dead(&pid).await;
}

#[tokio::test]
async fn a_crash_reports_exit_status_and_last_words() {
    let mut rank = start_script("read prepare\necho loading >&2\necho 'out of memory' >&2\nexit 7");
    let failure = rank.failure().await;
    assert_eq!(failure.class, FailureClass::Transient);
    let chain = failure.chain.join("\n");
    assert!(chain.contains("exit status: 7") && chain.contains("loading\nout of memory"), "{chain}");
    assert!(failure.chain[0].contains("rank 1 of try #5"), "{chain}");
}

#[tokio::test]
async fn a_killed_process_is_a_loss_and_no_failure_of_the_work() {
    let mut rank = start_script("read prepare\nkill -9 $$");
    let failure = rank.failure().await;
    assert_eq!(failure.class, FailureClass::Lost);
    assert!(failure.chain[1].contains("SIGKILL"), "{:?}", failure.chain);
}

#[tokio::test]
async fn garbage_on_standard_output_is_a_failure_that_quotes_it() {
    let mut rank = start_script("read prepare\necho 'hello, I am a library'\nsleep 1000");
    let failure = rank.failure().await;
    assert!(failure.chain[0].contains("hello, I am a library"), "{:?}", failure.chain);
    assert!(failure.chain[1].contains("SIGKILL"), "it would have slept on: {:?}", failure.chain);
}

#[tokio::test]
async fn a_missing_trainer_is_a_failure_that_names_it() {
    let (say, mut events) = mpsc::channel(1);
    let _rank = start(&trainer(Path::new("/nowhere/trainer")), spec(), say);
    let event = timeout(LIMIT, events.recv()).await.unwrap().unwrap();
    let WorkEvent::Ended { end: End::RankFailed { failure, .. }, .. } = event else { panic!("{event:?}") };
    assert!(failure.chain[0].contains("/nowhere/trainer") && failure.chain[0].contains("--trainer-bin"));
}

//! Processes die, stop and are interrupted at any moment; a run ends with the result of an undisturbed one, by itself where
//! its supervisor lives and on the next `run` where it does not. Nothing survives a run.

use std::time::Duration;

use galapagos_tests::{Deadline, END_LIMIT, Ended, Faults, Hunt, Role, Run, RunCommand, SEED, Sandbox, undisturbed};
use rustix::process::Signal;
use serde_json::Value;

/// The environment variable that asks for more kills than the sample.
const KILLS_ENV: &str = "GALAPAGOS_FAULT_KILLS";
/// Kills of the sample.
const KILLS: usize = 12;
/// More in one run would leave it no time to get anywhere.
const KILLS_PER_RUN: usize = 6;
/// Enough for a step of the micro recipe on a busy machine.
const STEP_LIMIT: Duration = Duration::from_secs(90);
/// Until a silent worker is given up: the silence limit and much slack.
const LOST_LIMIT: Duration = Duration::from_secs(40);

#[test]
fn the_same_seed_gives_the_same_result_and_another_seed_another() {
    let expected = undisturbed().result;
    let sandbox = Sandbox::new();
    assert_eq!(RunCommand::micro(&sandbox.join("again")).seed(SEED).finish().result(), expected);
    let other = RunCommand::micro(&sandbox.join("other")).seed(SEED + 1).finish().result();
    assert_ne!(other["weights"], expected["weights"], "another seed must give other weights");
}

#[test]
fn killed_processes_do_not_change_the_result() {
    let kills = match std::env::var(KILLS_ENV) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{KILLS_ENV}={text} is not a number")),
        Err(_) => KILLS,
    };
    let faults = Faults::from_env(20_260_101);
    let hunt = Hunt { faults, kills, kills_per_run: KILLS_PER_RUN, run_seed: SEED, expected: undisturbed().result };
    hunt.go(kills);
}

#[test]
fn a_rank_that_is_killed_again_and_again_does_not_change_the_result() {
    let expected = undisturbed().result;
    let sandbox = Sandbox::new();
    let mut run = RunCommand::micro(&sandbox.join("run")).seed(SEED).start();
    // More often than a round may fail by its own fault.
    for number in 1..=4 {
        let rank = run.await_role(&Role::Rank, STEP_LIMIT);
        eprintln!("kill {number}: rank, pid {}", rank.pid);
        assert!(rank.signal(Signal::KILL), "the rank ended before it was killed");
        let gone = Deadline::within(STEP_LIMIT).watch(|| (!run.playing(&Role::Rank).contains(&rank)).then_some(()));
        assert!(gone.is_some(), "the killed rank is still there\n{}", run.report());
    }
    assert!(!run.has_ended(), "the run ended early\n{}", run.report());
    assert_eq!(run.wait(END_LIMIT).result(), expected);
}

#[test]
fn a_killed_supervisor_takes_all_with_it_and_the_next_run_goes_on() {
    let expected = undisturbed().result;
    let sandbox = Sandbox::new();
    let command = RunCommand::micro(&sandbox.join("run")).seed(SEED);
    let run = with_ranks_at_work(&command);
    run.signal(Signal::KILL);
    run.wait(Duration::from_secs(30)).expect_clean();
    // The second time the next run does not wait for the last one's processes to be gone.
    let run = with_ranks_at_work(&command);
    run.signal(Signal::KILL);
    drop(run.wait(Duration::from_secs(30)));
    assert_eq!(command.finish().result(), expected);
}

#[test]
fn an_interrupted_run_ends_cleanly_says_how_to_resume_and_resumes() {
    let expected = undisturbed().result;
    let sandbox = Sandbox::new();
    let command = RunCommand::micro(&sandbox.join("run")).seed(SEED);
    for signal in [Signal::INT, Signal::TERM] {
        let run = with_ranks_at_work(&command);
        run.signal(signal);
        let ended = run.wait(Duration::from_secs(30));
        ended.expect_exit(3);
        let folder = sandbox.join("run");
        ended.expect_says(&["Go on with", "galapagos run", &folder.display().to_string(), "--seed 1"]);
    }
    assert_eq!(command.finish().result(), expected);
}

#[test]
fn a_worker_that_stops_longer_than_the_silence_limit_and_comes_back_changes_nothing() {
    let expected = undisturbed().result;
    let sandbox = Sandbox::new();
    let dir = sandbox.join("run");
    let run = with_ranks_at_work(&RunCommand::micro(&dir).seed(SEED));
    let worker = run.await_role(&Role::Worker("w1".to_owned()), STEP_LIMIT);
    assert!(worker.signal(Signal::STOP));
    let lost = Deadline::within(LOST_LIMIT).watch(|| given_up(&run, "w1").then_some(()));
    let awake = worker.signal(Signal::CONT);
    assert!(lost.is_some(), "the silent worker was not given up within {} s\n{}", LOST_LIMIT.as_secs(), run.report());
    assert!(awake, "the stopped worker was not there any more\n{}", run.report());
    let ended = run.wait(END_LIMIT);
    assert_eq!(ended.result(), expected);
    assert!(retries(&ended) >= 1, "the worker's round was not tried again: {}", ended.report());
}

/// Starts a run and waits until both ranks of a round are there.
#[track_caller]
fn with_ranks_at_work(command: &RunCommand) -> Run {
    let run = command.start();
    let both = Deadline::within(STEP_LIMIT).watch(|| (run.playing(&Role::Rank).len() >= 2).then_some(()));
    assert!(both.is_some(), "no two ranks within {} s\n{}", STEP_LIMIT.as_secs(), run.report());
    run
}

fn given_up(run: &Run, worker: &str) -> bool {
    let answer = galapagos_tests::Client::of(run.dir()).json(&["workers"]);
    let all = answer["workers"].as_array().cloned().unwrap_or_default();
    all.iter().any(|w| (w["name"] == worker || w["id"] == worker) && w["liveness"] == "lost")
}

fn retries(ended: &Ended) -> u64 {
    ended.last().get("retries").and_then(Value::as_u64).unwrap_or_else(|| panic!("no `retries`\n{}", ended.report()))
}

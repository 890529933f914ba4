//! The pool: interpreters wait, serve once, and leave nothing behind.

use std::sync::Arc;
use std::time::Duration;

use galapagos_sandbox::check::{Budget, Grade, Tolerance, calls};
use galapagos_sandbox::{Pool, SandboxError};
use galapagos_telemetry::clock::monotonic_ms;
use serde_json::json;

use super::checks::call;
use super::host::{descendants, is_alive, sandbox};

/// Waits for what a thread of the pool does, up to a deadline.
fn until(what: &str, mut happened: impl FnMut() -> bool) {
    let deadline = monotonic_ms() + 30_000;
    while !happened() {
        assert!(monotonic_ms() < deadline, "{what} did not happen within 30 s");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

#[test]
fn a_pool_refills_serves_fresh_interpreters_and_leaves_no_process() {
    let pool = Pool::new(Arc::clone(sandbox()), 2).unwrap();
    until("filling", || pool.ready() == 2);
    let code = "import builtins\nbuiltins.n = getattr(builtins, 'n', 0) + 1\ndef f(): return builtins.n";
    for _ in 0..4 {
        until("refilling", || pool.ready() == 2);
        let outcome =
            calls(&pool, code, &[call("f", json!([]), json!(1))], Tolerance::default(), Budget::default()).unwrap();
        assert_eq!(outcome.grade, Grade::Passed, "an interpreter was used before: {}", outcome.detail);
    }
    assert_eq!(pool.cold_starts(), 0);
    until("refilling", || pool.ready() == 2);
    let started: Vec<i32> = pool.processes().into_iter().flat_map(descendants).collect();
    // Each has a launcher, a first process, and Python.
    assert_eq!(started.len(), 6);
    drop(pool);
    let left: Vec<_> = started.into_iter().filter(|process| is_alive(*process)).collect();
    assert!(left.is_empty(), "processes outlived their pool: {left:?}");
}

#[test]
fn an_empty_pool_starts_what_is_asked_for() {
    let pool = Pool::new(Arc::clone(sandbox()), 0).unwrap();
    let outcome =
        calls(&pool, "def f(): return 1", &[call("f", json!([]), json!(1))], Tolerance::default(), Budget::default())
            .unwrap();
    assert_eq!((outcome.grade, pool.cold_starts(), pool.ready()), (Grade::Passed, 1, 0));
}

#[test]
fn many_checks_at_a_time_do_not_mix() {
    let pool = Pool::new(Arc::clone(sandbox()), 2).unwrap();
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let pool = &pool;
            scope.spawn(move || {
                for round in 0..3 {
                    let code = format!("def f(): return {}", worker * 10 + round);
                    let test = call("f", json!([]), json!(worker * 10 + round));
                    let outcome = calls(pool, &code, &[test], Tolerance::default(), Budget::default()).unwrap();
                    assert_eq!(outcome.grade, Grade::Passed, "{}", outcome.detail);
                }
            });
        }
    });
}

#[test]
fn a_killed_launcher_takes_its_program_with_it() {
    let pool = Pool::new(Arc::clone(sandbox()), 1).unwrap();
    until("filling", || pool.ready() == 1);
    let [launcher] = pool.processes()[..] else { panic!("one interpreter waits") };
    let started = descendants(launcher);
    assert_eq!(started.len(), 3);
    let launcher = rustix::process::Pid::from_raw(i32::try_from(launcher).unwrap()).unwrap();
    rustix::process::kill_process(launcher, rustix::process::Signal::KILL).unwrap();
    // The launcher itself stays as a zombie until its owner looks at it.
    until("the end of all inside", || !started[1..].iter().any(|process| is_alive(*process)));
    let test = call("f", json!([]), json!(1));
    let outcome = calls(&pool, "def f(): return 1", &[test], Tolerance::default(), Budget::default()).unwrap();
    assert_eq!((outcome.grade, pool.cold_starts()), (Grade::Passed, 1), "another one is started");
}

#[test]
fn a_sandbox_that_is_lost_during_a_check_is_no_verdict() {
    let pool = Pool::new(Arc::clone(sandbox()), 1).unwrap();
    until("filling", || pool.ready() == 1);
    let [launcher] = pool.processes()[..] else { panic!("one interpreter waits") };
    let outcome = std::thread::scope(|scope| {
        let check = scope.spawn(|| {
            let test = call("f", json!([]), json!(1));
            calls(&pool, "import os, time\nos.fork()\ntime.sleep(60)", &[test], Tolerance::default(), Budget::default())
        });
        // It runs when it has forked: launcher, first process, Python and its child.
        until("the solution's start", || descendants(launcher).len() == 4);
        let launcher = rustix::process::Pid::from_raw(i32::try_from(launcher).unwrap()).unwrap();
        rustix::process::kill_process(launcher, rustix::process::Signal::KILL).unwrap();
        check.join().unwrap()
    });
    assert!(matches!(outcome, Err(SandboxError::PutUp { .. } | SandboxError::System { .. })), "{outcome:?}");
}

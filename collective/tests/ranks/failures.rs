//! Ranks that stall, do not come or take the store with them: the others get an error in time that names them, and can start
//! anew. Ranks that die are in `dead_ranks.rs`.

use std::time::Duration;

use galapagos_collective::{Error, Ranks, Reducer, ReducerOptions, Watchdog, clear_grads, exit_now};
use galapagos_telemetry::clock::monotonic_ms;
use tch::{Device, Kind, Tensor};

use crate::harness::{Rank, all_ranks_pass, run_ranks};

pub const LONG: Duration = Duration::from_secs(15);
pub const SHORT: Duration = Duration::from_secs(2);
/// Agreement, collective and roll call, with as much again for a loaded machine.
const IN_TIME_MS: u64 = 2 * (2000 + 2000 + 2000);

pub fn ones(n: i64) -> Tensor {
    Tensor::ones([n], (Kind::Float, Device::Cpu))
}

/// The ranks that an error about others names; anything else fails the test.
pub fn missing(error: &Error) -> &Ranks {
    match error {
        Error::Timeout { missing, .. } | Error::PeerLost { missing, .. } => missing,
        other => panic!("{other:?}"),
    }
}

pub fn assert_in_time(started_ms: u64) {
    let took_ms = monotonic_ms() - started_ms;
    assert!(took_ms < IN_TIME_MS, "took {took_ms} ms");
}

/// Waits, on the rank that is to die, until all others have got as far as this rank; on the others it does not wait.
pub fn others_are_ready(me: &Rank) {
    me.store.set(&format!("ready {}", me.rank), b"").unwrap();
    let dies = if me.world_size == 2 { 0 } else { 2 };
    if me.rank == dies {
        let keys: Vec<_> = (0..me.world_size).map(|rank| format!("ready {rank}")).collect();
        me.store.get_many(&keys, LONG).unwrap();
    }
}

/// Rank 0 serves the store, so it ends last of the two survivors.
pub fn survivors_leave(me: &Rank) {
    if me.rank == 1 {
        me.store.set("rank 1 is done", b"").unwrap();
    } else {
        me.store.get("rank 1 is done", LONG).unwrap();
    }
}

#[test]
fn ranks_that_do_not_come_to_a_barrier_are_named() {
    all_ranks_pass("failures::ranks_that_do_not_come_to_a_barrier_are_named", 4, |me| {
        let group = me.group("try-1", LONG);
        if me.rank % 2 == 1 {
            me.store.get("seen", LONG).unwrap();
        } else {
            let error = group.monitored_barrier("evaluated", Duration::from_secs(1)).unwrap_err();
            let expected = "`barrier evaluated` timed out after ";
            assert!(
                error.to_string().starts_with(expected) && error.to_string().ends_with("missing: ranks 1, 3"),
                "{error}"
            );
            if me.store.add("reports", 1).unwrap() == 2 {
                me.store.set("seen", b"").unwrap();
            }
        }
        group.leave(LONG).unwrap();
    });
}

#[test]
fn a_late_rank_learns_that_the_others_gave_up_and_live() {
    all_ranks_pass("failures::a_late_rank_learns_that_the_others_gave_up_and_live", 2, |me| {
        let group = me.group("try-1", SHORT);
        if me.rank == 0 {
            let error = group.barrier().unwrap_err();
            assert_eq!(missing(&error), &Ranks(vec![1]), "{error}");
            me.store.set("gave up", b"").unwrap();
        } else {
            me.store.get("gave up", LONG).unwrap();
            let error = group.barrier().unwrap_err();
            assert!(matches!(&error, Error::PeerLost { missing, .. } if missing.0.is_empty()), "{error:?}");
        }
        me.group("try-2", LONG).leave(LONG).unwrap();
    });
}

#[test]
fn a_rank_that_does_not_join_is_named() {
    all_ranks_pass("failures::a_rank_that_does_not_join_is_named", 3, |me| {
        if me.rank != 2 {
            let error = me.try_group("try-1", Duration::from_secs(1)).unwrap_err();
            assert!(error.to_string().starts_with("`join` timed out"), "{error}");
            assert_eq!(missing(&error), &Ranks(vec![2]));
        }
        me.group("try-2", LONG).leave(LONG).unwrap();
    });
}

#[test]
fn a_stalled_rank_is_named_and_a_new_prefix_recovers() {
    all_ranks_pass("failures::a_stalled_rank_is_named_and_a_new_prefix_recovers", 2, |me| {
        let params = [ones(8).set_requires_grad(true)];
        let loss = || &params[0].sum(Kind::Float) * f64::from(me.rank + 1);
        let group = me.group("try-1", SHORT);
        let reducer = Reducer::new(&group, &params, ReducerOptions::default()).unwrap();
        reducer.prepare_step().unwrap();
        if me.rank == 0 {
            let started_ms = monotonic_ms();
            let error = reducer.backward(&loss()).unwrap_err();
            assert!(matches!(&error, Error::Timeout { op, .. } if op == "backward"), "{error:?}");
            assert_eq!(missing(&error), &Ranks(vec![1]));
            assert_in_time(started_ms);
            me.store.set("timed out", b"").unwrap();
        } else {
            me.store.get("timed out", LONG).unwrap();
            let error = reducer.backward(&loss()).unwrap_err();
            assert!(matches!(&error, Error::PeerLost { .. }), "the other rank closed its connections: {error:?}");
        }
        let used = me.try_group("try-1", SHORT).map(drop);
        assert!(matches!(used, Err(Error::RankTaken { rank, .. }) if rank == me.rank), "{used:?}");

        let group = me.group("try-2", LONG);
        let reducer = Reducer::new(&group, &params, ReducerOptions::default()).unwrap();
        clear_grads(&params).unwrap();
        reducer.prepare_step().unwrap();
        reducer.backward(&loss()).unwrap();
        assert_eq!(Vec::<f32>::try_from(params[0].grad()).unwrap(), [1.5; 8]);
        group.leave(LONG).unwrap();
    });
}

#[test]
fn the_loss_of_the_rank_that_serves_the_store_is_named() {
    let outcomes = run_ranks("failures::the_loss_of_the_rank_that_serves_the_store_is_named", 2, |me| {
        let group = me.group("try-1", SHORT);
        others_are_ready(me);
        if me.rank == 0 {
            me.die();
        }
        let started_ms = monotonic_ms();
        let error = group.barrier().unwrap_err();
        assert_eq!(missing(&error), &Ranks(vec![0]), "{error}");
        assert_in_time(started_ms);
    });
    assert!(!outcomes[0].status.success());
    assert!(outcomes[1].status.success(), "{outcomes:#?}");
}

#[test]
fn the_watchdog_ends_a_rank_that_hangs_in_a_collective() {
    const CODE: u8 = 75;
    let outcomes = run_ranks("failures::the_watchdog_ends_a_rank_that_hangs_in_a_collective", 2, |me| {
        let group = me.group("try-1", Duration::from_secs(600));
        if me.rank == 0 {
            // Serves the store, and comes to no barrier, for as long as the other rank lives.
            let waited = me.store.get("never set", Duration::from_secs(5));
            assert!(matches!(waited, Err(Error::KeysMissing { .. })), "{waited:?}");
            return;
        }
        let watchdog = Watchdog::start("watchdog", |expired| {
            eprintln!("{expired}");
            exit_now(CODE);
        });
        let watchdog = watchdog.unwrap();
        let _armed = watchdog.arm("step 3: barrier", Duration::from_millis(500));
        let passed = group.barrier();
        unreachable!("the watchdog let a barrier end: {passed:?}");
    });
    assert!(outcomes[0].status.success(), "{outcomes:#?}");
    assert_eq!(outcomes[1].status.code(), Some(i32::from(CODE)), "{outcomes:#?}");
    assert!(outcomes[1].stderr.contains("watchdog: `step 3: barrier` is not done after"), "{outcomes:#?}");
}

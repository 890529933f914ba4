//! Ranks that die: whatever the others are in, they get an error in time that names the dead one, and the group is broken.

use std::sync::mpsc::{SyncSender, sync_channel};

use galapagos_collective::{Error, Group, Ranks, Reduce, Reducer, ReducerOptions, clear_grads};
use galapagos_telemetry::clock::monotonic_ms;
use galapagos_telemetry::spawn_thread;
use tch::Tensor;

use crate::failures::{SHORT, assert_in_time, missing, ones, others_are_ready, survivors_leave};
use crate::harness::{Rank, kill_self, run_ranks};

/// Elements of the tensors, enough that a collective takes most of the time of a call.
const LARGE: i64 = 1 << 20;
/// Finished calls after which rank 2 dies, amid the next one.
const CALLS: usize = 4;

fn dies(me: &Rank) -> bool {
    me.rank == 2
}

/// Three ranks, of which rank 2 dies; `body` is what they do.
fn rank_2_dies(name: &str, body: impl FnOnce(&Rank)) {
    let outcomes = run_ranks(name, 3, |me| {
        body(me);
        survivors_leave(me);
    });
    assert!(!outcomes[2].status.success());
    assert!(outcomes[..2].iter().all(|survivor| survivor.status.success()), "{outcomes:#?}");
}

/// Kills this process when told for the `CALLS`th time, at once but from another thread: where the kill lands does not matter,
/// since any call of the others may be the one that fails.
fn killer() -> SyncSender<()> {
    let (tell, told) = sync_channel::<()>(0);
    let thread = spawn_thread("killer", move || {
        if told.iter().take(CALLS).count() == CALLS {
            kill_self();
        }
    });
    drop(thread.unwrap());
    tell
}

/// Repeats `call` until it fails, which it must soon after rank 2 died amid one, in time and with its name.
fn repeat_until_rank_2_is_missed(me: &Rank, mut call: impl FnMut() -> Result<(), Error>) {
    call().unwrap();
    others_are_ready(me);
    let tell = dies(me).then(killer);
    let (started_ms, error) = loop {
        let started_ms = monotonic_ms();
        if let Err(error) = call() {
            break (started_ms, error);
        }
        if let Some(tell) = &tell {
            // Nobody listens any more once the kill is under way.
            tell.send(()).ok();
        }
    };
    assert_eq!(missing(&error), &Ranks(vec![2]), "{error}");
    assert_in_time(started_ms);
    let again = call();
    assert!(matches!(again, Err(Error::Broken { .. })), "{again:?}");
}

fn amid(name: &str, call: impl Fn(&Group) -> Result<(), Error>) {
    rank_2_dies(name, |me| {
        let group = me.group("try-1", SHORT);
        repeat_until_rank_2_is_missed(me, || call(&group));
        let dropped_ms = monotonic_ms();
        drop(group);
        assert_in_time(dropped_ms);
    });
}

fn before(name: &str, call: impl Fn(&Group) -> Result<(), Error>) {
    rank_2_dies(name, |me| {
        let group = me.group("try-1", SHORT);
        others_are_ready(me);
        if dies(me) {
            me.die();
        }
        let started_ms = monotonic_ms();
        let error = call(&group).unwrap_err();
        assert_eq!(missing(&error), &Ranks(vec![2]), "{error}");
        assert_in_time(started_ms);
        let again = group.barrier();
        assert!(matches!(again, Err(Error::Broken { .. })), "{again:?}");
    });
}

fn reduce_all(group: &Group) -> Result<(), Error> {
    group.all_reduce(&mut ones(LARGE), Reduce::Mean)
}

fn gather(group: &Group) -> Result<(), Error> {
    group.all_gather(&ones(LARGE)).map(drop)
}

fn scatter(group: &Group) -> Result<(), Error> {
    group.reduce_scatter(&ones(3 * LARGE).view([3, LARGE]), Reduce::Sum).map(drop)
}

fn share(group: &Group) -> Result<(), Error> {
    let tensors: Vec<Tensor> = (0..12).map(|_| ones(LARGE / 4)).collect();
    group.broadcast_from(&tensors.iter().zip((0..3).cycle()).collect::<Vec<_>>())
}

#[test]
fn a_rank_killed_before_an_all_reduce_is_named() {
    before("dead_ranks::a_rank_killed_before_an_all_reduce_is_named", reduce_all);
}

#[test]
fn a_rank_killed_before_an_all_gather_is_named() {
    before("dead_ranks::a_rank_killed_before_an_all_gather_is_named", gather);
}

#[test]
fn a_rank_killed_before_a_reduce_scatter_is_named() {
    before("dead_ranks::a_rank_killed_before_a_reduce_scatter_is_named", scatter);
}

#[test]
fn a_rank_killed_before_a_broadcast_from_is_named() {
    before("dead_ranks::a_rank_killed_before_a_broadcast_from_is_named", share);
}

#[test]
fn a_rank_killed_amid_all_reduces_is_named() {
    amid("dead_ranks::a_rank_killed_amid_all_reduces_is_named", reduce_all);
}

#[test]
fn a_rank_killed_amid_all_gathers_is_named() {
    amid("dead_ranks::a_rank_killed_amid_all_gathers_is_named", gather);
}

#[test]
fn a_rank_killed_amid_reduce_scatters_is_named() {
    amid("dead_ranks::a_rank_killed_amid_reduce_scatters_is_named", scatter);
}

#[test]
fn a_rank_killed_amid_broadcasts_from_all_is_named() {
    amid("dead_ranks::a_rank_killed_amid_broadcasts_from_all_is_named", share);
}

#[test]
fn a_rank_killed_amid_steps_is_named() {
    rank_2_dies("dead_ranks::a_rank_killed_amid_steps_is_named", |me| {
        let group = me.group("try-1", SHORT);
        let params = [ones(LARGE / 4).set_requires_grad(true), ones(LARGE / 4).set_requires_grad(true)];
        let bytes = 1 << 18;
        let options = ReducerOptions { bucket_bytes: bytes, first_bucket_bytes: bytes, ..ReducerOptions::default() };
        let reducer = Reducer::new(&group, &params, options).unwrap();
        repeat_until_rank_2_is_missed(me, || {
            clear_grads(&params)?;
            reducer.prepare_step()?;
            reducer.backward(&(&params[0] * &params[1]).sum(tch::Kind::Float))
        });
    });
}

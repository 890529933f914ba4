//! Rounds that lose ranks: they go on from their last in-round checkpoint, with a worker that joins or with the ranks that are left.

use galapagos_domain::cluster::{Event, Limits, Record, Round};
use galapagos_domain::ids::{Digest, EvolutionId};
use galapagos_domain::member::Origin;
use galapagos_domain::round::{RankProgress, RankSpec, Saved};
use galapagos_domain::session::WorkerMessage;

use crate::recipes;
use crate::sim_worker::How;
use crate::world::World;

const ROUND: &str = "wide-1/g1/train-2";

/// A round of three ranks on w1 (one slot) and w2 (two), all of them training.
fn training() -> (World, EvolutionId) {
    let mut world = World::new(Limits { loss_budget: 5, ..Limits::default() });
    (0..2).for_each(|worker| world.register(worker));
    let id = world.submit(recipes::wide());
    for _ in 0..500 {
        if round(&world).is_some_and(|round| round.table().is_some()) {
            break;
        }
        (0..2).for_each(|worker| world.advance(worker, 0, How::Well));
    }
    for (worker, ranks) in [(0, 1), (1, 2)] {
        (0..ranks).for_each(|pick| world.advance(worker, pick, How::Well));
    }
    (world, id)
}

fn round(world: &World) -> Option<Round> {
    world.state.records().into_iter().find_map(|record| match record {
        Record::Round(round) if round.spec.id.as_str() == ROUND => Some(*round),
        _ => None,
    })
}

fn saved(step: u64) -> Saved {
    Saved { step, state: Digest::of(&step.to_le_bytes()) }
}

/// Rank 0, on w2, says that it is at `step` and has saved there.
fn save(world: &mut World, step: u64) {
    let round = round(world).unwrap();
    let progress = RankProgress { saved: Some(saved(step)), loss: 0.5, ..RankProgress::begin(step, 90) };
    let message = WorkerMessage::RankProgress {
        round: round.spec.id.clone(),
        token: round.table().unwrap().token,
        rank: 0,
        progress,
    };
    world.say(1, message);
}

/// w1 is silent for too long while w2 is heard from.
fn lose_w1(world: &mut World) {
    world.workers[0].crash();
    world.wait(9_000);
    world.heartbeats();
    world.wait(1_500);
    world.heartbeats();
}

/// What each rank of a worker was told.
fn told(world: &World, worker: usize) -> Vec<RankSpec> {
    world.workers[worker].rank_specs()
}

#[test]
fn a_round_that_lost_a_worker_goes_on_from_its_checkpoint_with_the_ranks_left() {
    let (mut world, id) = training();
    save(&mut world, 30);
    save(&mut world, 20);
    assert_eq!(round(&world).unwrap().saved, Some(saved(30)), "an older checkpoint is no news");
    lose_w1(&mut world);
    assert_eq!(told(&world, 1).len(), 0, "nobody knows yet whether a worker joins");
    world.wait(1_999);
    assert_eq!(told(&world, 1).len(), 0);
    world.wait(1);
    let specs = told(&world, 1);
    assert_eq!(specs.iter().map(|spec| (spec.rank, spec.world_size)).collect::<Vec<_>>(), [(0, 2), (1, 2)]);
    assert!(specs.iter().all(|spec| spec.resume == Some(saved(30))));
    world.heal();
    let member = world.state.view(world.now, &id).unwrap().members.pop().unwrap();
    let Origin::Trained { worlds, .. } = &member.origin else { panic!("{member:?}") };
    assert_eq!(worlds, &[3, 2], "lineage says that the bytes are not those of one world size");
    let facts = world.state.explain(world.now, member.id.as_str()).unwrap().facts;
    assert!(facts.iter().any(|fact| fact.starts_with("by 3, then 2 ranks in turn")), "{facts:?}");
}

#[test]
fn older_checkpoints_are_dropped_when_a_newer_one_is_known_and_all_when_the_round_is_over() {
    let dropped = |world: &World| {
        let all = world.workers.iter().flat_map(|worker| &worker.dropped);
        all.filter(|(round, _)| round.as_str() == ROUND).map(|(_, before)| *before).collect::<Vec<_>>()
    };
    let (mut world, _) = training();
    save(&mut world, 30);
    save(&mut world, 20);
    save(&mut world, 30);
    save(&mut world, 40);
    assert_eq!(dropped(&world), [Some(30), Some(40)], "said again is no news");
    lose_w1(&mut world);
    assert_eq!(dropped(&world).len(), 2, "the next try needs it");
    world.heal();
    assert_eq!(dropped(&world).last(), Some(&None));

    let (mut world, cancelled) = training();
    save(&mut world, 30);
    assert_eq!(world.event(Event::CancelRequested(cancelled)), None);
    assert_eq!(dropped(&world), [Some(30), None]);
}

#[test]
fn a_worker_that_joins_takes_the_lost_ones_place() {
    let (mut world, _) = training();
    save(&mut world, 30);
    lose_w1(&mut world);
    world.register(2);
    let specs = [told(&world, 1), told(&world, 2)].concat();
    assert_eq!(specs.len(), 3);
    assert!(specs.iter().all(|spec| spec.world_size == 3 && spec.resume == Some(saved(30))));
}

#[test]
fn a_restarted_coordinator_still_knows_the_checkpoint() {
    let (mut world, _) = training();
    save(&mut world, 30);
    world.restart();
    assert_eq!(round(&world).unwrap().saved, Some(saved(30)));
    // Both workers come back as new processes, which hold nothing.
    for worker in 0..2 {
        world.workers[worker].crash();
        world.register(worker);
    }
    let specs = [told(&world, 0), told(&world, 1)].concat();
    assert_eq!(specs.len(), 3);
    assert!(specs.iter().all(|spec| spec.resume == Some(saved(30))));
}

#[test]
fn a_round_that_was_never_tried_waits_for_all_its_ranks() {
    let mut world = World::new(Limits::default());
    world.register(1);
    world.submit(recipes::wide());
    for _ in 0..20 {
        world.heartbeats();
        world.wait(1_000);
        world.advance(1, 0, How::Well);
    }
    assert_eq!(told(&world, 1).len(), 0);
    assert!(round(&world).unwrap().tries.is_empty());
}

#[test]
fn a_silent_rank_is_named_before_its_deadline() {
    let (mut world, id) = training();
    for _ in 0..11 {
        world.heartbeats();
        save(&mut world, 1);
        world.wait(1_000);
    }
    let told = world.state.explain(world.now, id.as_str()).unwrap();
    assert_eq!(told.culprit.as_deref(), Some("rank 1 on worker w2"), "{told:?}");
    assert_eq!(told.waits_for.as_deref(), Some("rank 1, which made no progress for 11 s"));
    assert_eq!(told.helps.as_deref(), Some("nothing to do: it is replaced after 2m00s"));
}

//! Property tests of the cluster's state machine: lists of abstract acts become concrete events against simulated workers
//! and a store that holds only what was persisted; named invariants are checked after every event.
//!
//! A failing list is printed as JSON. Saved under `tests/cluster/replays/`, it is run again by every test run. The lists are
//! drawn from a fixed seed; set `PROPTEST_RNG_SEED` for others.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

#[path = "cluster/act.rs"]
mod act;
#[path = "cluster/controllers.rs"]
mod controllers;
#[path = "cluster/curations.rs"]
mod curations;
#[path = "cluster/elastic.rs"]
mod elastic;
#[path = "cluster/fairness.rs"]
mod fairness;
#[path = "cluster/fake.rs"]
mod fake;
#[path = "cluster/healing.rs"]
mod healing;
#[path = "cluster/invariants.rs"]
mod invariants;
#[path = "cluster/proposals.rs"]
mod proposals;
#[path = "cluster/recipes.rs"]
mod recipes;
#[path = "cluster/sharing.rs"]
mod sharing;
#[path = "cluster/sim_worker.rs"]
mod sim_worker;
#[path = "cluster/spread.rs"]
mod spread;
#[path = "cluster/stories.rs"]
mod stories;
#[path = "cluster/world.rs"]
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use galapagos_domain::cluster::Limits;
use galapagos_domain::cluster::view::Status;
use galapagos_domain::recipe::Recipe;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use act::Act;
use world::World;

const SEED: u64 = 20_250_701;

fn config(cases: u32) -> ProptestConfig {
    let seed = std::env::var("PROPTEST_RNG_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(SEED);
    ProptestConfig {
        cases,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        max_shrink_iters: 2_000,
        ..ProptestConfig::default()
    }
}

/// Small budgets, so that random faults exhaust them.
fn tight() -> Limits {
    Limits { attempt_budget: 3, loss_budget: 5, ..Limits::default() }
}

/// Budgets that no list of acts exhausts.
fn generous() -> Limits {
    Limits { attempt_budget: 10_000, loss_budget: 10_000, ..Limits::default() }
}

/// Runs `check`, and prints the acts in replayable form if it fails.
fn replayable<T>(acts: &[Act], check: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(check)).unwrap_or_else(|panic| {
        eprintln!("failing acts, for tests/cluster/replays/NAME.json:\n{}", serde_json::to_string(acts).unwrap());
        resume_unwind(panic)
    })
}

/// Every invariant after every event, then PROGRESS: with healthy workers every evolution reaches a final status.
fn survives(acts: &[Act]) {
    replayable(acts, || {
        let mut world = World::new(tight());
        world.submit(recipes::full());
        for act in acts {
            world.act(act);
        }
        world.heal();
        world.assert_all_final();
    });
}

/// SAME-RESULT: whatever happened on the way, the evolution ends as an undisturbed one does.
fn ends_as_undisturbed(recipe: &Recipe, acts: &[Act]) {
    replayable(acts, || {
        let mut calm = World::new(generous());
        let id = calm.submit(recipe.clone());
        calm.heal();
        let expected = calm.result(&id);
        let mut world = World::new(generous());
        world.submit(recipe.clone());
        for act in acts.iter().filter(|act| act.keeps_results()) {
            world.act(act);
        }
        world.heal();
        assert_eq!(world.result(&id).status, Status::Done, "PROGRESS");
        assert_eq!(world.result(&id), expected, "SAME-RESULT");
    });
}

proptest! {
    #![proptest_config(config(64))]

    #[test]
    fn invariants_hold_under_any_faults(acts in proptest::collection::vec(act::any_act(), 1..128)) {
        survives(&acts);
    }
}

proptest! {
    #![proptest_config(config(32))]

    #[test]
    fn results_do_not_depend_on_faults(acts in proptest::collection::vec(act::any_act(), 1..128)) {
        ends_as_undisturbed(&recipes::full(), &acts);
    }

    #[test]
    fn trees_over_several_jobs_do_not_depend_on_faults(acts in proptest::collection::vec(act::any_act(), 1..128)) {
        ends_as_undisturbed(&recipes::spread(), &acts);
    }
}

proptest! {
    #![proptest_config(config(8))]

    #[test]
    fn proposed_tasks_do_not_depend_on_faults(acts in proptest::collection::vec(act::any_act(), 1..128)) {
        ends_as_undisturbed(&recipes::imagined(), &acts);
    }

    #[test]
    fn what_controllers_choose_does_not_depend_on_faults(acts in proptest::collection::vec(act::any_act(), 1..128)) {
        ends_as_undisturbed(&recipes::controlled(), &acts);
    }
}

#[test]
fn saved_lists_pass() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cluster/replays");
    let mut run = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let acts: Vec<Act> = serde_json::from_slice(&std::fs::read(&path).unwrap())
            .unwrap_or_else(|error| panic!("{} is not a list of acts: {error}", path.display()));
        survives(&acts);
        ends_as_undisturbed(&recipes::full(), &acts);
        ends_as_undisturbed(&recipes::spread(), &acts);
        ends_as_undisturbed(&recipes::controlled(), &acts);
        ends_as_undisturbed(&recipes::imagined(), &acts);
        run += 1;
    }
    assert!(run > 0, "no list in {folder}");
}

//! Rounds that stop and go on, share their optimiser, average, mix, adapt and compare: real processes, the result of each against that of
//! an undisturbed or plain round.

use galapagos_artifacts::{checkpoint, trajectories};
use galapagos_domain::ids::Name;
use galapagos_domain::recipe::train::{
    Adapter, AdapterTargets, Dpo, DpoForm, Guard, Layout, Loss, Mix, On, Policy, Start, TdConservative, Train,
};
use galapagos_domain::round::{RoundSpec, Saved, Vote};
use galapagos_model::lora::Adapter as LoadedAdapter;
use galapagos_model::probe::{FILE, Probe};
use tch::{Device, Tensor};

use super::harness::{World, block, train};
use super::{distance, flat, with};

/// 24 records in batches of 5, three times: 15 steps, each saved.
fn saving(world: &World) -> RoundSpec {
    with(world.round(24, Loss::Nll), Train { data_epochs: 3, save_every: 1, ..train(Loss::Nll) })
}

fn weights(world: &World, vote: &Vote) -> Tensor {
    flat(&world.model(&vote.checkpoint.unwrap()))
}

/// Rank 0's vote of an undisturbed round, and all in-round checkpoints.
fn undisturbed(world: &World, round: &RoundSpec, world_size: u32) -> (Vote, Vec<Saved>) {
    let ranks = world.launch(round, world_size);
    let (told, vote) = ranks[0].told();
    for other in &ranks[1..] {
        assert_eq!(other.vote().weights, vote.weights);
    }
    let mut saved: Vec<Saved> = told.iter().filter_map(|progress| progress.saved).collect();
    saved.dedup();
    (vote, saved)
}

fn resumed(world: &World, round: &RoundSpec, world_size: u32, saved: Saved) -> Vote {
    let ranks = world.launch_from(round, world_size, Some(saved));
    let vote = ranks[0].vote();
    assert!(ranks[1..].iter().all(|other| other.vote().weights == vote.weights));
    vote
}

#[test]
fn a_round_that_goes_on_ends_as_one_that_never_stopped() {
    let world = World::new();
    let round = saving(&world);
    let (vote, saved) = undisturbed(&world, &round, 2);
    assert_eq!(vote.steps, 15);
    assert_eq!(saved.last().map(|saved| saved.step), Some(14), "each step but the last is saved");
    let plain = with(round.clone(), Train { save_every: 0, ..round.train.clone() });
    assert_eq!(world.votes(&plain, 2)[0].weights, vote.weights, "saving changes nothing");
    for at in [0, 7, 13] {
        let again = resumed(&world, &round, 2, saved[at]);
        assert_eq!((again.weights, again.steps, again.final_loss), (vote.weights, vote.steps, vote.final_loss));
        assert_ne!(again.ledger, None, "its ledger was proven over both tries");
    }
    let start = weights(&world, &vote);
    for world_size in [1, 3] {
        let again = resumed(&world, &round, world_size, saved[6]);
        let off = distance(&weights(&world, &again), &start);
        assert!(off <= 1e-5, "{world_size} ranks end {off:e} away");
    }
}

#[test]
fn the_survivor_of_a_killed_rank_goes_on_alone() {
    let world = World::new();
    let plan = Train { data_epochs: 40, save_every: 2, ..train(Loss::Nll) };
    // The survivor may notice at its deadline alone.
    let round = RoundSpec { stall_limit_ms: 20_000, ..with(world.round(24, Loss::Nll), plan) };
    let (whole, _) = undisturbed(&world, &round, 2);
    let mut ranks = world.launch(&round, 2);
    let saved = ranks[0].saved(4);
    ranks[1].signal("KILL");
    // Rank 0 either notices, or had finished: then the test was too slow to kill anything.
    assert!(ranks[0].end().is_err(), "the rank was killed too late");
    ranks[0].exit();
    let again = resumed(&world, &round, 1, saved);
    assert_eq!(again.steps, whole.steps);
    let off = distance(&weights(&world, &again), &weights(&world, &whole));
    assert!(off <= 1e-4, "{off:e}");
}

#[test]
fn a_state_of_another_round_is_refused() {
    let world = World::new();
    let round = saving(&world);
    let (_, saved) = undisturbed(&world, &round, 1);
    let other = RoundSpec { id: "sums-1/g2/candidate".parse().unwrap(), ..round };
    let refusal = || world.launch_from(&other, 1, Some(saved[0]))[0].end().unwrap_err().chain.join(": ");
    let told = refusal();
    assert!(told.contains("the artifact store has no artifact"), "{told}");
    // Even where somebody puts it in the other's place.
    let place = |round: &str| world.store_folder().join("rounds").join(round);
    std::fs::rename(place("sums-1+g1+candidate"), place("sums-1+g2+candidate")).unwrap();
    let told = refusal();
    assert!(told.contains("is of round sums-1/g1/candidate"), "{told}");
}

#[test]
fn ranks_that_share_the_optimiser_end_with_the_same_bytes() {
    let world = World::new();
    let round = saving(&world);
    let shared = with(round.clone(), Train { shard_optimiser: true, ..round.train.clone() });
    let (plain, _) = undisturbed(&world, &round, 2);
    let (vote, saved) = undisturbed(&world, &shared, 2);
    assert_eq!(vote.weights, plain.weights);
    assert_eq!(resumed(&world, &shared, 2, saved[5]).weights, plain.weights);
    let alone = resumed(&world, &shared, 1, saved[5]);
    assert!(distance(&weights(&world, &alone), &weights(&world, &plain)) <= 1e-5);
}

#[test]
fn layers_computed_again_and_padding_change_no_result() {
    let world = World::new();
    let round = saving(&world);
    let (plain, _) = undisturbed(&world, &round, 2);
    for (recompute, layout) in [(true, Layout::Packed), (false, Layout::Padded)] {
        let other = with(round.clone(), Train { recompute, layout, ..round.train.clone() });
        let (vote, _) = undisturbed(&world, &other, 2);
        let off = distance(&weights(&world, &vote), &weights(&world, &plain));
        assert!(off <= 1e-5, "recompute {recompute}, {layout:?}: {off:e}");
    }
}

#[test]
fn an_average_of_the_weights_becomes_the_member() {
    let world = World::new();
    let round = saving(&world);
    let averaged = with(round.clone(), Train { ema: Some(0.8), ..round.train.clone() });
    let (last, _) = undisturbed(&world, &round, 1);
    let (mean, saved) = undisturbed(&world, &averaged, 1);
    let (last, start) = (weights(&world, &last), flat(&world.model(&world.start)));
    let mean_weights = weights(&world, &mean);
    let (from_start, from_last) = (distance(&mean_weights, &start), distance(&mean_weights, &last));
    assert!(from_start > 1e-3 && from_last > 1e-3, "{from_start} {from_last}");
    assert!(from_start < distance(&last, &start), "an average lags behind");
    assert_eq!(resumed(&world, &averaged, 1, saved[6]).weights, mean.weights);
}

#[test]
fn the_target_network_of_q_learning_follows_the_weights_and_is_part_of_the_state() {
    let world = World::new();
    let rate = |target_rate| {
        let td = TdConservative { gamma: 0.9, alpha: 0.0, calibrated: false, target_rate };
        let loss = Loss::TdConservative(td);
        with(world.round(24, loss.clone()), Train { data_epochs: 3, save_every: 1, ..train(loss) })
    };
    let (still, moving) = (rate(0.0), rate(0.5));
    let (kept, _) = undisturbed(&world, &still, 1);
    let (followed, saved) = undisturbed(&world, &moving, 1);
    let off = distance(&weights(&world, &kept), &weights(&world, &followed));
    assert!(off > 1e-4, "other targets, other weights: {off:e}");
    assert_eq!(resumed(&world, &moving, 1, saved[6]).weights, followed.weights);
}

#[test]
fn a_guard_leaves_steps_out_and_the_ledger_still_adds_up() {
    let world = World::new();
    for on_spike in [Policy::Skip, Policy::Rewind] {
        // So narrow that the differences between batches are spikes, while nearly nothing is learned.
        let guard = Guard { spike: Some(1.2), on_spike, patience: 1000, ..Guard::default() };
        let plan = Train { data_epochs: 8, save_every: 3, lr: 1e-6, guard, ..train(Loss::Nll) };
        let round = with(world.round(24, Loss::Nll), plan);
        let (vote, _) = undisturbed(&world, &round, 2);
        assert!(vote.guarded > 0, "{on_spike:?}: nothing was a spike");
        assert_eq!(vote.steps + vote.guarded, 40, "{on_spike:?}: steps that moved the weights and steps left out");
        assert!(vote.ledger.is_some());
    }
    let guard = Guard { spike: Some(1.2), on_spike: Policy::Stop, ..Guard::default() };
    let plan = Train { data_epochs: 8, lr: 1e-6, guard, ..train(Loss::Nll) };
    let failure = world.launch(&with(world.round(24, Loss::Nll), plan), 1)[0].end().unwrap_err();
    let text = failure.chain.join(": ");
    assert!(text.contains("a spike: above") && text.contains("its records: sums/train/"), "{text}");
}

#[test]
fn the_state_of_the_optimiser_goes_from_round_to_round() {
    let world = World::new();
    let plan = Train { start: Start::ContinueOptimiser, save_every: 0, ..train(Loss::Nll) };
    let first = with(world.round(24, Loss::Nll), plan);
    let vote = &world.votes(&first, 2)[0];
    let state = vote.optimiser.expect("the next round may go on with it");
    let next = RoundSpec { start: vote.checkpoint.unwrap(), ..first };
    let anew = &world.votes(&next, 2)[0];
    let continued = RoundSpec { optimiser: Some(state), ..next };
    let on = &world.votes(&continued, 2)[0];
    assert_ne!(on.weights, anew.weights, "the state has no effect");
    assert_eq!(world.votes(&continued, 2)[0].weights, on.weights);
    let other = Train { shard_optimiser: true, ..continued.train.clone() };
    assert_eq!(world.votes(&with(continued, other), 2)[0].weights, on.weights, "whoever keeps it");
}

#[test]
fn an_adapter_is_trained_on_its_base_and_then_further() {
    let world = World::new();
    let adapter = Some(Adapter { rank: 4, alpha: None, on: AdapterTargets::All });
    let plan = Train { adapter, lr: 2e-2, data_epochs: 3, ..train(Loss::Nll) };
    let round = with(world.round(24, Loss::Nll), plan);
    let votes = world.votes(&round, 2);
    assert_eq!(votes[0].weights, votes[1].weights);
    let trained = votes[0].checkpoint.unwrap();
    let open = |digest| block(checkpoint::open(&world.store, digest, &world.cache())).unwrap();
    let cached = open(&trained);
    assert_eq!(cached.manifest.base, Some(world.start), "only the adapter is stored");
    assert!(!cached.path.join("model.safetensors").exists());
    let base = world.model(&world.start);
    let load = |path: &std::path::Path| LoadedAdapter::open(path, base.config(), Device::Cpu).unwrap();
    load(&cached.path);
    let next = RoundSpec { start: trained, ..round };
    let further = world.votes(&next, 1)[0].checkpoint.unwrap();
    let cached = open(&further);
    assert_eq!(cached.manifest.base, Some(world.start));
    assert_ne!(further, trained);
    assert!(world.votes(&next, 1)[0].final_loss < votes[0].final_loss);
}

#[test]
fn pairs_are_learned_against_the_pinned_start() {
    let world = World::new();
    let dpo = Loss::Dpo(Dpo { beta: 0.5, form: DpoForm::Sigmoid, smoothing: 0.0 });
    let mut rows = trajectories::decode(block(world.store.get(&world.sums(24).digest)).unwrap()).unwrap();
    for (n, row) in rows.iter_mut().enumerate() {
        row.task = format!("train/{}", n / 4);
    }
    let file = block(world.store.put(trajectories::encode(&rows).unwrap(), 24)).unwrap();
    let plan = Train { batch: 4, data_epochs: 6, ..train(dpo.clone()) };
    let round = RoundSpec { datasets: vec![file], reference: Some(world.start), ..with(world.round(24, dpo), plan) };
    let votes = world.votes(&round, 2);
    assert!(votes[0].left_out > 0, "time-outs and one-sided tasks are counted");
    // The loss of a pair that nothing tells apart is ln 2.
    assert!(votes[0].final_loss < 0.69, "{}", votes[0].final_loss);
}

#[test]
fn other_data_is_mixed_in_between() {
    let world = World::new();
    let mix = Some(Mix { on: On::One(Name::new("demos").unwrap()), every: 2 });
    let plan = Train { mix, ..train(Loss::Nll) };
    let round = RoundSpec { mix: vec![world.sums(12)], ..with(world.round(24, Loss::Nll), plan) };
    let (plain, _) = undisturbed(&world, &with(round.clone(), train(Loss::Nll)), 2);
    let (mixed, _) = undisturbed(&world, &round, 2);
    assert_eq!((plain.steps, mixed.steps), (5, 7));
    assert_ne!(plain.weights, mixed.weights);
}

#[test]
fn what_a_checkpoint_computes_is_recorded_and_compared_at_load() {
    let world = World::new();
    let round = world.round(11, Loss::Nll);
    let trained = world.votes(&round, 1)[0].checkpoint.unwrap();
    let folder = block(checkpoint::open(&world.store, &trained, &world.cache())).unwrap().path;
    let probe = Probe::read(&folder).unwrap().expect("a committed checkpoint has a probe");
    let next = RoundSpec { start: trained, ..round };
    assert!(world.launch(&next, 1)[0].end().is_ok());
    // The same weights beside a record of something else.
    let copy = world.folder.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    for entry in std::fs::read_dir(&folder).unwrap().map(Result::unwrap).filter(|entry| entry.file_name() != FILE) {
        std::fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
    }
    let wrong = Probe { outputs: probe.outputs.iter().map(|output| output - 0.5).collect(), ..probe };
    wrong.write(&copy).unwrap();
    let weights = block(checkpoint::manifest(&world.store, &trained)).unwrap().weights;
    let start = block(checkpoint::upload(&world.store, &copy, weights)).unwrap();
    let failure = world.rank(&RoundSpec { start, ..next }, 0, 1).end().unwrap_err();
    assert!(failure.chain[0].contains("differs from what was recorded"), "{:?}", failure.chain);
}

#[test]
fn the_run_log_has_every_step_once_after_a_round_that_went_on() {
    let world = World::new();
    let round = saving(&world);
    let (_, saved) = undisturbed(&world, &round, 1);
    resumed(&world, &round, 1, saved[4]);
    let folder = world.runs().join(round.id.as_str());
    let bytes = std::fs::read(folder.join("steps.parquet")).unwrap();
    assert_eq!(super::harness::steps_of(bytes), (1..=15).collect::<Vec<u64>>());
    let events = std::fs::read_dir(&folder)
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("events.out.tfevents."));
    assert!(events.count() >= 2, "each process begins a file of its own");
}

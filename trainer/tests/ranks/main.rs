//! Ranks as real processes: the same result for any world size, the same bytes for the same spec, and a clear end for every
//! kind of trouble.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test's helpers fail by panicking, like the test")]

mod harness;
mod rounds;
#[path = "../common/small_model.rs"]
mod small_model;

use galapagos_domain::job::FailureClass;
use galapagos_domain::recipe::train::{Loss, Pointwise, Precision, Train};
use galapagos_domain::round::{RankCommand, RankProgress, RankReport, RoundSpec};
use galapagos_model::{Decoder, ModelKind};
use harness::{World, train};
use tch::{Kind, Tensor};

fn with(round: RoundSpec, train: Train) -> RoundSpec {
    RoundSpec { train, ..round }
}

fn flat(model: &Decoder) -> Tensor {
    let all: Vec<_> = model.parameters().iter().map(|(_, weight)| weight.detach().reshape([-1])).collect();
    Tensor::cat(&all, 0).to_kind(Kind::Double)
}

/// Norm of the difference, relative to the norm of `b`.
fn distance(a: &Tensor, b: &Tensor) -> f64 {
    (a - b).norm().double_value(&[]) / b.norm().double_value(&[])
}

/// The final weights of a round with `world_size` ranks, and what its first and last step showed.
fn trained(world: &World, round: &RoundSpec, world_size: u32) -> (Tensor, [RankProgress; 2]) {
    let ranks = world.launch(round, world_size);
    let mut steps = Vec::new();
    let vote = loop {
        match ranks[0].report() {
            RankReport::Progress(progress) => steps.push(progress),
            RankReport::Voted(vote) => break vote,
            other => panic!("{other:?}"),
        }
    };
    for other in &ranks[1..] {
        let theirs = other.vote();
        assert_eq!((theirs.weights, theirs.steps, theirs.final_loss), (vote.weights, vote.steps, vote.final_loss));
        assert_eq!(theirs.checkpoint, None, "only rank 0 uploads");
    }
    assert_eq!(vote.steps, 3);
    let checkpoint = vote.checkpoint.expect("rank 0 names the checkpoint");
    (flat(&world.model(&checkpoint)), [steps[0], steps[steps.len() - 1]])
}

#[test]
fn one_two_and_three_ranks_train_alike() {
    let world = World::new();
    // Batches of 5, 5 and 1: the last leaves ranks without a sequence.
    let round = world.round(11, Loss::Nll);
    let start = flat(&world.model(&world.start));
    let (single, shown) = trained(&world, &round, 1);
    assert!(distance(&single, &start) > 1e-3, "nothing was learned");
    for world_size in [2, 3] {
        let (joined, also_shown) = trained(&world, &round, world_size);
        let off = distance(&joined, &single);
        assert!(off <= 1e-5, "weights of {world_size} ranks are off by {off:e}");
        for (a, b) in shown.iter().zip(also_shown) {
            assert_eq!((a.step, a.steps), (b.step, b.steps));
            assert!((a.loss / b.loss - 1.0).abs() <= 1e-5, "{a:?} {b:?}");
            assert!((a.grad_norm / b.grad_norm - 1.0).abs() <= 1e-5, "{a:?} {b:?}");
        }
    }
}

#[test]
fn the_same_spec_gives_the_same_bytes_and_the_loss_falls() {
    let world = World::new();
    let plan = Train { data_epochs: 12, pack: 3, precision: Precision::Bf16, ..train(Loss::Nll) };
    let round = with(world.round(30, Loss::Nll), plan);
    let first = world.votes(&round, 2);
    let again = world.votes(&round, 2);
    assert_eq!(first, again);
    assert_eq!(first[0].weights, first[1].weights);
    // 30 records in sequences of 3, in batches of 5, 12 times.
    assert_eq!(first[0].steps, 24);
    let other = RoundSpec { seed: galapagos_domain::seed::Seed(18), ..round };
    let other = world.votes(&other, 2);
    assert_ne!(first[0].weights, other[0].weights, "the seed has no effect");
    // The loss of a uniform guess among 15 tokens is ln 15 = 2.71.
    assert!(first[0].final_loss < 2.4, "{}", first[0].final_loss);
}

#[test]
fn a_critic_gets_a_head_and_then_goes_on_from_its_own() {
    let world = World::new();
    let round = world.round(14, Loss::Pointwise(Pointwise::Bce));
    let votes = world.votes(&round, 2);
    assert_eq!(votes[0].left_out, 2, "two verdicts are time-outs");
    assert_eq!(votes[0].weights, votes[1].weights);
    let checkpoint = votes[0].checkpoint.unwrap();
    let critic = world.model(&checkpoint);
    assert_eq!(critic.config().kind, ModelKind::Scalar);

    let next = RoundSpec { start: checkpoint, ..round };
    let next = world.votes(&next, 1);
    let further = world.model(&next[0].checkpoint.unwrap());
    let score = |model: &Decoder| model.parameters().get("score.weight").unwrap().to_kind(Kind::Double);
    let moved = distance(&score(&further), &score(&critic));
    assert!(moved > 0.0 && moved < 0.5, "a new head would lie at about 1.4: {moved}");
}

/// A round that would take hours, with both ranks in its midst.
fn endless(world: &World, stall_limit_ms: u64) -> Vec<harness::Rank> {
    let plan = Train { data_epochs: 1_000_000, ..train(Loss::Nll) };
    let round = RoundSpec { stall_limit_ms, ..with(world.round(10, Loss::Nll), plan) };
    let ranks = world.launch(&round, 2);
    for rank in &ranks {
        loop {
            match rank.report() {
                RankReport::Progress(progress) if progress.step >= 1 => break,
                RankReport::Progress(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
    ranks
}

#[test]
fn a_killed_rank_ends_the_other_which_names_it() {
    let world = World::new();
    let mut ranks = endless(&world, 8_000);
    ranks[1].signal("KILL");
    let failure = ranks[0].end().unwrap_err();
    // Within a collective the closed connection tells at once; between two, where the ranks agree through the store on what is next,
    // only the deadline does. Where the kill lands is not the test's to choose.
    assert!(matches!(failure.class, FailureClass::Lost | FailureClass::Transient), "{failure:?}");
    assert!(failure.chain.join(": ").contains("missing: rank 1"), "{:?}", failure.chain);
    assert_eq!(ranks[0].exit().code(), Some(1));
}

#[test]
fn a_rank_that_loses_the_rendezvous_ends_too() {
    let world = World::new();
    let mut ranks = endless(&world, 40_000);
    ranks[0].signal("KILL");
    let failure = ranks[1].end().unwrap_err();
    assert_eq!(failure.class, FailureClass::Lost);
    assert_eq!(ranks[1].exit().code(), Some(1));
}

#[test]
fn a_stopped_rank_ends_the_other_at_its_deadline() {
    let world = World::new();
    let mut ranks = endless(&world, 4_000);
    ranks[1].signal("STOP");
    let failure = ranks[0].end().unwrap_err();
    assert_eq!(failure.class, FailureClass::Transient);
    let text = failure.chain.join(": ");
    assert!(text.contains("timed out") && text.contains("missing: rank 1"), "{text}");
    assert_eq!(ranks[0].exit().code(), Some(1));
}

#[test]
fn a_rank_that_never_joins_is_named() {
    let world = World::new();
    let round = RoundSpec { stall_limit_ms: 2_000, ..world.round(10, Loss::Nll) };
    let mut rank = world.rank(&round, 0, 2);
    let rendezvous = rank.ready().unwrap();
    rank.command(&RankCommand::Start { rendezvous });
    let failure = rank.end().unwrap_err();
    assert_eq!(failure.class, FailureClass::Transient);
    assert!(failure.chain.join(": ").contains("missing: rank 1"), "{:?}", failure.chain);
    assert_eq!(rank.exit().code(), Some(1));
}

#[test]
fn a_stopped_rendezvous_does_not_hold_the_others_for_ever() {
    let world = World::new();
    let mut ranks = endless(&world, 2_000);
    ranks[0].signal("STOP");
    // Its connections stay open, so libtorch may keep no deadline of its own: then the watchdog's counts.
    let code = ranks[1].exit().code();
    assert!(matches!(code, Some(1 | 5)), "{code:?}");
}

#[test]
fn the_end_of_standard_input_ends_a_rank_wherever_it_is() {
    let world = World::new();
    let mut waiting = world.rank(&world.round(10, Loss::Nll), 0, 2);
    waiting.ready();
    waiting.stdin.take();
    assert_eq!(waiting.exit().code(), Some(3), "while it waits for the start");

    let mut ranks = endless(&world, 40_000);
    ranks[1].signal("STOP");
    ranks[0].stdin.take();
    assert_eq!(ranks[0].exit().code(), Some(3), "inside a collective");
}

#[test]
fn what_cannot_be_trained_fails_as_invalid_and_says_why() {
    let world = World::new();
    let good = || world.round(3, Loss::Nll);
    let bce = Loss::Pointwise(Pointwise::Bce);
    let absent = galapagos_domain::ids::Digest::of(b"nowhere");
    let empty = RoundSpec { datasets: Vec::new(), ..good() };
    let cases = [
        (empty, "none of the 0 records"),
        (with(good(), train(bce.clone())), "the loss `pointwise` cannot train a lm head"),
        (with(world.round(3, bce.clone()), Train { pack: 8, ..train(bce) }), "`pack` must be 1"),
        (with(world.round(9, Loss::Nll), Train { pack: 9, ..train(Loss::Nll) }), "but the model ends at 64"),
        (RoundSpec { start: absent, ..good() }, "has no artifact"),
    ];
    for (round, words) in cases {
        let mut rank = world.rank(&round, 0, 1);
        let failure = rank.end().unwrap_err();
        assert_eq!(failure.class, FailureClass::Invalid);
        assert!(failure.chain.join(": ").contains(words), "{:?}", failure.chain);
        assert_eq!(rank.exit().code(), Some(1));
    }
}

#[test]
fn a_damaged_cache_is_noticed() {
    let world = World::new();
    let round = world.round(3, Loss::Nll);
    world.model(&world.start);
    let weights = world.cache().join(world.start.hex()).join("model.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&weights, bytes).unwrap();
    let failure = world.rank(&round, 0, 1).end().unwrap_err();
    assert!(failure.chain[0].contains("but its manifest says"), "{:?}", failure.chain);
}

#[test]
fn diverged_training_fails_on_all_ranks_alike() {
    let world = World::new();
    let plan = Train { lr: 1e38, data_epochs: 4, ..train(Loss::Nll) };
    let round = with(world.round(10, Loss::Nll), plan);
    let ranks = world.launch(&round, 2);
    let failures: Vec<_> = ranks.iter().map(|rank| rank.end().unwrap_err()).collect();
    assert_eq!(failures[0], failures[1]);
    assert_eq!(failures[0].class, FailureClass::Invalid);
    assert!(failures[0].chain[0].contains("training diverged at step 2"), "{:?}", failures[0].chain);
}

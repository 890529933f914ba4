//! Bouts: one mirrored pair per task. Each side answers twice, once on stream A and once on stream B; in the first bout
//! the holder has A and the challenger B, in the second the other way round, so luck of the draw falls on both alike.

use std::sync::Arc;

use galapagos_domain::ids::Digest;
use galapagos_domain::job::{BoutSpec, JobOutput, JobSpec, PairOutcome};
use galapagos_domain::trajectory::Outcome;

use super::meter::Meter;
use super::tasks::Tasks;
use super::{JobError, Workshop, engine_failed};
use crate::search::{Ask, Policy};
use crate::verify::Panel;

/// What a side did on streams A and B of one task.
type Streams = [Outcome; 2];

pub(super) fn run(shop: &Workshop, job: &JobSpec, spec: &BoutSpec, meter: &Meter) -> Result<JobOutput, JobError> {
    let pairs = spec.tasks.indices.len() as u64;
    meter.expect(pairs, 4 * pairs);
    let holder = side(shop, job, spec, &spec.holder, meter)?;
    let challenger = side(shop, job, spec, &spec.challenger, meter)?;
    let pairs = holder
        .into_iter()
        .zip(challenger)
        .zip(&spec.tasks.indices)
        .map(|((holder, challenger), task)| PairOutcome { task: *task, half_points: half_points(holder, challenger) });
    Ok(JobOutput::Bout { pairs: pairs.collect(), tokens: meter.tokens() })
}

/// The outcomes of one side on both streams of every task.
fn side(
    shop: &Workshop,
    job: &JobSpec,
    spec: &BoutSpec,
    member: &Digest,
    meter: &Meter,
) -> Result<Vec<Streams>, JobError> {
    let checkpoint = shop.runtime.block_on(shop.checkpoints.open(member))?;
    let codec = shop.engine.codec(&checkpoint).map_err(engine_failed("open a side's tokenizer"))?;
    let tasks = Tasks::prepare(&spec.tasks, &shop.shelf(), codec.as_ref(), job.seed, spec.sampling.max_tokens)?;
    let policy = Policy { engine: &shop.engine, checkpoint: &checkpoint, codec: &codec, meter };
    let sampling = Arc::new(spec.sampling.clone());
    let mut asks = Vec::with_capacity(2 * tasks.items.len());
    for (place, item) in tasks.items.iter().enumerate() {
        asks.extend(["a", "b"].map(|stream| Ask {
            place,
            samples: 1,
            seed: item.seed.derive(stream),
            sampling: Arc::clone(&sampling),
        }));
    }
    let samples = policy.answer(&tasks, &asks).map_err(engine_failed("let a side answer"))?;
    let panel = Panel::rule_with(&shop.code);
    let judged: Vec<Outcome> = asks
        .iter()
        .zip(samples.iter().flatten())
        .map(|(ask, sample)| panel.judge(tasks.claim(ask.place, &sample.text)).outcome)
        .collect();
    Ok(judged.as_chunks().0.to_vec())
}

/// The challenger's points in half points: 2 for a bout won, 1 for one drawn.
fn half_points(holder: Streams, challenger: Streams) -> u8 {
    bout(challenger[1], holder[0]) + bout(challenger[0], holder[1])
}

/// A side that passes beats one that fails; everything else, an undecided verdict too, is a draw.
fn bout(challenger: Outcome, holder: Outcome) -> u8 {
    match (challenger, holder) {
        (Outcome::Pass, Outcome::Fail) => 2,
        (Outcome::Fail, Outcome::Pass) => 0,
        (
            Outcome::Pass | Outcome::Fail | Outcome::Error | Outcome::Timeout | Outcome::Suspect,
            Outcome::Pass | Outcome::Fail | Outcome::Error | Outcome::Timeout | Outcome::Suspect,
        ) => 1,
    }
}

#[cfg(test)]
mod tests {
    use galapagos_domain::job::JobKind;
    use galapagos_domain::recipe::tasks::Split;

    use super::super::test_bench::{Bench, SAMPLING};
    use super::*;

    fn pairs(bench: &Bench, holder: Digest, challenger: Digest) -> Vec<PairOutcome> {
        let tasks = bench.slice(Split::Val, 0..20);
        let output = bench.run(JobKind::Bout(BoutSpec { holder, challenger, tasks, sampling: SAMPLING })).unwrap();
        let JobOutput::Bout { pairs, tokens } = output else { panic!("{output:?}") };
        assert!(tokens > 0);
        pairs
    }

    #[test]
    fn a_pair_counts_both_bouts_and_an_error_is_a_draw() {
        use Outcome::{Error, Fail, Pass, Suspect};
        assert_eq!(half_points([Fail, Fail], [Pass, Pass]), 4);
        assert_eq!(half_points([Pass, Pass], [Fail, Fail]), 0);
        assert_eq!(half_points([Pass, Fail], [Pass, Fail]), 2, "equal sides share the pair");
        assert_eq!(half_points([Fail, Fail], [Pass, Fail]), 3);
        assert_eq!(half_points([Fail, Fail], [Error, Suspect]), 2, "an undecided verdict is no loss");
    }

    #[test]
    fn swapped_sides_mirror_the_points_and_a_member_draws_with_itself() {
        let bench = Bench::new();
        let there = pairs(&bench, bench.policy, bench.other);
        let back = pairs(&bench, bench.other, bench.policy);
        for (there, back) in there.iter().zip(&back) {
            assert_eq!((there.task, there.half_points), (back.task, 4 - back.half_points));
        }
        assert!(there.iter().any(|pair| pair.half_points != 2), "the sides differ somewhere");
        assert!(pairs(&bench, bench.policy, bench.policy).iter().all(|pair| pair.half_points == 2));
    }
}

//! Evaluation: per task one greedy completion and some samples; a critic, if there is one, says which sample is best.

use std::collections::BTreeMap;

use galapagos_domain::job::{EvaluateSpec, JobOutput, JobSpec, Sampling, TaskOutcome};
use galapagos_domain::trajectory::Outcome;

use super::meter::Meter;
use super::played::{Played, play};
use super::tasks::Tasks;
use super::{JobError, Workshop, engine_failed, stage};
use crate::engine::ScoreBatch;
use crate::search::{Ask, Policy, Sample};
use crate::verify::Panel;

pub(super) fn run(shop: &Workshop, job: &JobSpec, spec: &EvaluateSpec, meter: &Meter) -> Result<JobOutput, JobError> {
    let checkpoint = shop.runtime.block_on(shop.checkpoints.open(&spec.policy))?;
    let codec = shop.engine.codec(&checkpoint).map_err(engine_failed("open the policy's tokenizer"))?;
    let tasks = stage::prepare(shop, &spec.tasks, codec.as_ref(), job.seed, spec.sampling.max_tokens)?;
    let units = tasks.items.len() as u64;
    meter.expect(units, units + units * u64::from(spec.samples));
    let policy = Policy { engine: &shop.engine, checkpoint: &checkpoint, codec: &codec, meter };
    let asks = Ask::greedy(&tasks, &spec.sampling);
    let (_, greedy) = attempts(shop, &policy, &tasks, (asks, 1, &spec.sampling.greedy()))?;
    let (sampled, passes) = match spec.samples {
        0 => (vec![Vec::new(); tasks.items.len()], vec![Vec::new(); tasks.items.len()]),
        samples => {
            let asks = Ask::sampled(&tasks, samples, &spec.sampling);
            attempts(shop, &policy, &tasks, (asks, samples, &spec.sampling))?
        }
    };
    let scores = scores(shop, spec, &tasks, &sampled, meter)?;
    let mut outcomes = Vec::with_capacity(tasks.items.len());
    for (place, item) in tasks.items.iter().enumerate() {
        let passed = &passes[place];
        let scores = scores.as_ref().map(|scores| scores[place].as_slice());
        outcomes.push(TaskOutcome {
            task: item.index,
            greedy_pass: greedy[place][0],
            samples: spec.samples,
            passes: passed.iter().map(|pass| u32::from(*pass)).sum(),
            best_pass: scores.map(|scores| passed[first_highest(scores)]),
            half_pairs: scores.map(|scores| half_pairs(scores, passed)),
        });
    }
    Ok(JobOutput::Evaluate { tasks: outcomes, tokens: meter.tokens() })
}

/// Samples of each task, and which of them pass: answers, or episodes where the tasks are played.
type Attempts = (Vec<Vec<Sample>>, Vec<Vec<bool>>);

fn attempts(
    shop: &Workshop,
    policy: &Policy<'_>,
    tasks: &Tasks,
    (asks, samples, sampling): (Vec<Ask>, u32, &Sampling),
) -> Result<Attempts, JobError> {
    if let Some(stage) = &tasks.stage {
        let played = play(shop, policy, (tasks, stage), samples, sampling)?;
        let of_task = |task: Vec<Played>| task.into_iter().map(|played| (played.sample, played.solved)).unzip();
        return Ok(played.into_iter().map(of_task).unzip());
    }
    let answers = policy.answer(tasks, &asks).map_err(engine_failed("answer the tasks"))?;
    let panel = Panel::rule_with(&shop.code);
    let of_task =
        |(place, task): (usize, &Vec<Sample>)| task.iter().map(|s| passes(&panel, tasks, place, &s.text)).collect();
    let passes = answers.iter().enumerate().map(of_task).collect::<Result<_, _>>()?;
    Ok((answers, passes))
}

/// Whether a completion passes. A verdict that decides nothing ends the job: counted as a miss it would lower the score.
pub(super) fn passes(panel: &Panel, tasks: &Tasks, place: usize, answer: &str) -> Result<bool, JobError> {
    let verdict = panel.judge(tasks.claim(place, answer));
    match verdict.outcome {
        Outcome::Pass => Ok(true),
        Outcome::Fail | Outcome::Suspect => Ok(false),
        // A program that does not end solves nothing.
        Outcome::Timeout if tasks.rule.runs_code() => Ok(false),
        Outcome::Error | Outcome::Timeout => {
            Err(JobError::Undecided { task: tasks.items[place].problem.key.clone(), reason: verdict.reason })
        }
    }
}

/// What the critic gives each task's samples; `None` without a critic.
fn scores(
    shop: &Workshop,
    spec: &EvaluateSpec,
    tasks: &Tasks,
    sampled: &[Vec<Sample>],
    meter: &Meter,
) -> Result<Option<Vec<Vec<f32>>>, JobError> {
    let Some(critic) = spec.critic.filter(|_| spec.samples > 0) else { return Ok(None) };
    let checkpoint = shop.runtime.block_on(shop.checkpoints.open(&critic))?;
    // Samples of one task are often equal, and a sequence's score does not depend on the others: each is scored once.
    let mut sequences = Vec::new();
    let mut places = BTreeMap::new();
    let mut scored_at = Vec::new();
    for (item, samples) in tasks.items.iter().zip(sampled) {
        for sample in samples {
            let sequence = [item.prompt.as_slice(), &sample.tokens].concat();
            let place = *places.entry(sequence).or_insert_with_key(|sequence| {
                sequences.push(sequence.clone());
                sequences.len() - 1
            });
            scored_at.push(place);
        }
    }
    let prefix = if spec.critic_shots { tasks.prefix.clone() } else { Vec::new() };
    let batch = ScoreBatch { checkpoint, prefix, sequences };
    let scores = shop.engine.score(batch, meter.watch()).map_err(engine_failed("let the critic rank"))?;
    let scores: Vec<f32> = scored_at.into_iter().map(|place| scores[place]).collect();
    Ok(Some(scores.chunks(spec.samples as usize).map(<[f32]>::to_vec).collect()))
}

/// Of all pairs of a passed and a failed sample: 2 for each whose passed one has the higher score, 1 for each tie.
fn half_pairs(scores: &[f32], passed: &[bool]) -> u64 {
    let of =
        |wanted: bool| scores.iter().zip(passed).filter(move |(_, passed)| **passed == wanted).map(|(score, _)| *score);
    let points = |better: f32| of(false).map(move |worse| u64::from(better > worse) + u64::from(better >= worse));
    of(true).flat_map(points).sum()
}

/// The place of the best sample: highest score, the earliest of equals.
fn first_highest(scores: &[f32]) -> usize {
    let mut best = 0;
    for (place, score) in scores.iter().enumerate() {
        if *score > scores[best] {
            best = place;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use galapagos_domain::ids::Digest;
    use galapagos_domain::job::JobKind;
    use galapagos_domain::recipe::tasks::Split;

    use super::super::test_bench::{Bench, SAMPLING};
    use super::*;

    fn outcomes(bench: &Bench, critic: Option<Digest>, indices: std::ops::Range<u32>) -> Vec<TaskOutcome> {
        let spec = EvaluateSpec {
            policy: bench.policy,
            critic,
            critic_shots: true,
            tasks: bench.slice(Split::Test, indices),
            samples: 4,
            sampling: SAMPLING,
        };
        let output = bench.run(JobKind::Evaluate(spec)).unwrap();
        let JobOutput::Evaluate { tasks, .. } = output else { panic!("{output:?}") };
        tasks
    }

    #[test]
    fn equal_scores_go_to_the_earliest() {
        assert_eq!(first_highest(&[0.5, 0.7, 0.7, 0.1]), 1);
        assert_eq!(first_highest(&[0.0]), 0);
    }

    #[test]
    fn a_pair_counts_twice_where_the_passed_one_is_above_and_once_for_a_tie() {
        // 0.9 above both failed ones, 0.4 below one and level with the other.
        assert_eq!(half_pairs(&[0.9, 0.5, 0.4, 0.4], &[true, false, true, false]), 5);
        assert_eq!(half_pairs(&[0.9, 0.5], &[true, true]), 0);
    }

    #[test]
    fn a_critic_picks_better_than_chance_and_never_beyond_what_is_there() {
        let bench = Bench::new();
        let tasks = outcomes(&bench, Some(bench.other), 0..40);
        let picked: u32 = tasks.iter().map(|t| u32::from(t.best_pass.unwrap())).sum();
        let by_chance: f64 = tasks.iter().map(|t| f64::from(t.passes) / 4.0).sum();
        assert!(f64::from(picked) > by_chance, "{picked} of 40 picked right, {by_chance} expected by chance");
        assert!(tasks.iter().all(|t| t.best_pass == Some(false) || t.passes > 0), "a best pass needs a pass");
        let ordered: Vec<f64> = tasks.iter().filter_map(TaskOutcome::pair_accuracy).collect();
        let mean = ordered.iter().sum::<f64>() / ordered.len() as f64;
        assert!(mean > 0.5 && ordered.iter().all(|share| (0.0..=1.0).contains(share)), "{ordered:?}");
        assert!(tasks.iter().any(|t| t.greedy_pass) && tasks.iter().any(|t| !t.greedy_pass));
    }

    #[test]
    fn pieces_give_the_same_outcomes_and_without_a_critic_there_is_no_best() {
        let bench = Bench::new();
        let whole = outcomes(&bench, None, 0..10);
        assert_eq!(whole, [outcomes(&bench, None, 0..3), outcomes(&bench, None, 3..10)].concat());
        assert!(whole.iter().all(|t| t.best_pass.is_none() && t.half_pairs.is_none()));
    }
}

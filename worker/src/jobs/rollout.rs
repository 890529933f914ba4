//! A rollout: search over tasks, a verdict on every completion, one trajectory file in order of (task, sample).

use galapagos_artifacts::trajectories;
use galapagos_domain::artifact::ArtifactRef;
use galapagos_domain::ids::Digest;
use galapagos_domain::job::{JobOutput, JobSpec, RolloutSpec};
use galapagos_domain::trajectory::{Credit, Trajectory, VerdictCounts};

use super::meter::Meter;
use super::tasks::Tasks;
use super::{JobError, Workshop, engine_failed, store_failed};
use crate::search::{Policy, Sample, SampleK, Search};
use crate::verify::Panel;

pub(super) fn run(shop: &Workshop, job: &JobSpec, spec: &RolloutSpec, meter: &Meter) -> Result<JobOutput, JobError> {
    let panel = Panel::of(&spec.verify).ok_or(JobError::NoVerifier)?;
    let checkpoint = shop.runtime.block_on(shop.checkpoints.open(&spec.policy))?;
    let codec = shop.engine.codec(&checkpoint).map_err(engine_failed("open the policy's tokenizer"))?;
    let tasks = Tasks::prepare(&spec.tasks, codec.as_ref(), job.seed, spec.sampling.max_tokens)?;
    let search = SampleK { n: spec.samples, sampling: spec.sampling.clone() };
    meter.expect(search.budget(&tasks), search.budget(&tasks));
    let policy = Policy { engine: &shop.engine, checkpoint: &checkpoint, codec: &codec, meter };
    let samples = search.search(&policy, &tasks).map_err(engine_failed("sample from the policy"))?;
    let rows = judge(job, spec.policy, &tasks, samples, &panel);
    let mut counts = VerdictCounts::default();
    for row in &rows {
        counts.count(row.verdict.outcome);
    }
    let stored = store_rows(shop, &rows)?;
    Ok(JobOutput::Rollout { trajectories: stored, counts, tokens: meter.tokens() })
}

fn judge(job: &JobSpec, policy: Digest, tasks: &Tasks, samples: Vec<Vec<Sample>>, panel: &Panel) -> Vec<Trajectory> {
    let mut rows = Vec::new();
    for (place, samples) in samples.into_iter().enumerate() {
        for (number, sample) in (0..).zip(samples) {
            let verdict = panel.judge(tasks.claim(place, &sample.text));
            rows.push(Trajectory {
                job: job.id.clone(),
                task_set: tasks.set.clone(),
                task: tasks.items[place].problem.key.clone(),
                sample: number,
                policy,
                prompt_tokens: tasks.full_prompt(place),
                prefix_len: u32::try_from(tasks.prefix.len()).unwrap_or(u32::MAX),
                completion_tokens: sample.tokens,
                log_probs: sample.log_probs,
                completion: sample.text,
                verdict,
                scores: Vec::new(),
                leaf: None,
                credit: Credit::default(),
            });
        }
    }
    rows
}

/// Writes rows as one file of the artifact store.
pub(super) fn store_rows(shop: &Workshop, rows: &[Trajectory]) -> Result<ArtifactRef, JobError> {
    let failed = store_failed("store the trajectory file");
    let bytes = trajectories::encode(rows).map_err(failed)?;
    shop.runtime.block_on(shop.store.put(bytes, rows.len() as u64)).map_err(failed)
}

#[cfg(test)]
mod tests {
    use galapagos_domain::trajectory::Outcome;

    use super::super::test_bench::Bench;
    use super::*;

    fn rows(bench: &Bench, output: &JobOutput) -> Vec<Trajectory> {
        let JobOutput::Rollout { trajectories, counts, tokens } = output else { panic!("{output:?}") };
        let rows = bench.read(trajectories);
        assert_eq!((counts.total(), trajectories.rows), (rows.len() as u64, rows.len() as u64));
        assert_eq!(*tokens, rows.iter().map(|row| row.completion_tokens.len() as u64).sum::<u64>());
        rows
    }

    #[test]
    fn a_task_list_cut_in_other_pieces_gives_the_same_trajectories() {
        let bench = Bench::new();
        let whole = rows(&bench, &bench.run(bench.rollout(0..12)).unwrap());
        let mut pieces = Vec::new();
        for piece in [0..5, 5..6, 6..12] {
            pieces.extend(rows(&bench, &bench.run(bench.rollout(piece)).unwrap()));
        }
        assert_eq!(whole, pieces);
        let verdicts: Vec<_> = whole.iter().map(|row| row.verdict.outcome).collect();
        assert!(verdicts.contains(&Outcome::Pass) && verdicts.contains(&Outcome::Fail), "{verdicts:?}");
    }

    #[test]
    fn the_same_spec_gives_the_same_file() {
        let bench = Bench::new();
        assert_eq!(bench.run(bench.rollout(0..4)).unwrap(), bench.run(bench.rollout(0..4)).unwrap());
    }

    #[test]
    fn rows_stand_in_order_and_hold_prefix_question_and_answer() {
        let bench = Bench::new();
        let rows = rows(&bench, &bench.run(bench.rollout(3..5)).unwrap());
        let order: Vec<_> = rows.iter().map(|row| (row.task.as_str(), row.sample)).collect();
        assert_eq!(
            order,
            [("train/3", 0), ("train/3", 1), ("train/3", 2), ("train/4", 0), ("train/4", 1), ("train/4", 2)]
        );
        let text: String = rows[0].prompt_tokens.iter().filter_map(|token| char::from_u32(*token)).collect();
        let (prefix, question) = text.split_at(rows[0].prefix_len as usize);
        assert_eq!(prefix.matches('\n').count(), 2, "two shots: {prefix:?}");
        assert!(question.ends_with('>') && !question.contains('\n'), "{question:?}");
        assert_eq!(rows[0].completion_tokens.len(), rows[0].log_probs.len());
    }

    #[test]
    fn a_task_that_does_not_exist_is_the_specs_fault() {
        let bench = Bench::new();
        let error = bench.run(bench.rollout(999..1000)).unwrap_err();
        assert_eq!(error.class(), galapagos_domain::job::FailureClass::Invalid);
        let report = crate::failure::report(error.class(), &error);
        assert!(report.chain.join("\n").contains("number 999"), "{report:?}");
    }
}

//! Curation: trajectory files, or solved problems, through data operators into one dataset file.

use galapagos_artifacts::trajectories;
use galapagos_domain::artifact::ArtifactRef;
use galapagos_domain::ids::Digest;
use galapagos_domain::job::{CurateFrom, CurateSpec, JobOutput, JobSpec, TaskSlice};
use galapagos_domain::trajectory::{Credit, Trajectory, Verdict};

use super::meter::Meter;
use super::rollout::store_rows;
use super::tasks::Tasks;
use super::{JobError, Workshop, engine_failed, store_failed};
use crate::operators;

pub(super) fn run(shop: &Workshop, job: &JobSpec, spec: &CurateSpec, meter: &Meter) -> Result<JobOutput, JobError> {
    let records = match &spec.from {
        CurateFrom::Trajectories(files) => read(shop, files, meter)?,
        CurateFrom::Demonstrations { base, tasks } => demonstrations(shop, job, base, tasks)?,
    };
    if meter.is_cancelled() {
        return Err(JobError::Cancelled);
    }
    meter.expect(records.len() as u64, records.len() as u64);
    let (records, operators) = operators::apply(&spec.apply, records, job.seed);
    let dataset = store_rows(shop, &records)?;
    Ok(JobOutput::Curate { dataset, operators })
}

fn read(shop: &Workshop, files: &[ArtifactRef], meter: &Meter) -> Result<Vec<Trajectory>, JobError> {
    let failed = store_failed("read a trajectory file");
    let mut records = Vec::new();
    for file in files {
        if meter.is_cancelled() {
            return Err(JobError::Cancelled);
        }
        let bytes = shop.runtime.block_on(shop.store.get(&file.digest)).map_err(failed)?;
        records.extend(trajectories::decode(bytes).map_err(failed)?);
    }
    Ok(records)
}

/// The right answer and the terminator as a passed completion that no policy sampled.
fn demonstrations(
    shop: &Workshop,
    job: &JobSpec,
    base: &Digest,
    slice: &TaskSlice,
) -> Result<Vec<Trajectory>, JobError> {
    let checkpoint = shop.runtime.block_on(shop.checkpoints.open(base))?;
    let codec = shop.engine.codec(&checkpoint).map_err(engine_failed("open the base model's tokenizer"))?;
    let tasks = Tasks::prepare(slice, codec.as_ref(), job.seed, None)?;
    let mut rows = Vec::with_capacity(tasks.items.len());
    for (place, item) in tasks.items.iter().enumerate() {
        let text = format!("{}{}", item.problem.answer, tasks.terminator);
        rows.push(Trajectory {
            job: job.id.clone(),
            task_set: tasks.set.clone(),
            task: item.problem.key.clone(),
            sample: 0,
            policy: *base,
            prompt_tokens: tasks.full_prompt(place),
            prefix_len: u32::try_from(tasks.prefix.len()).unwrap_or(u32::MAX),
            completion_tokens: codec.encode(&text).map_err(engine_failed("write an answer in tokens"))?,
            log_probs: Vec::new(),
            completion: item.problem.answer.clone(),
            verdict: Verdict::pass("demonstration"),
            scores: Vec::new(),
            leaf: None,
            credit: Credit::default(),
        });
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use galapagos_domain::job::JobKind;
    use galapagos_domain::recipe::curate::{Operator, Per};
    use galapagos_domain::recipe::tasks::Split;
    use galapagos_domain::trajectory::Outcome;

    use super::super::test_bench::Bench;
    use super::*;

    fn curated(bench: &Bench, spec: CurateSpec) -> (Vec<Trajectory>, Vec<(String, u64, u64)>) {
        let output = bench.run(JobKind::Curate(spec)).unwrap();
        let JobOutput::Curate { dataset, operators } = output else { panic!("{output:?}") };
        let counts = operators.into_iter().map(|o| (o.operator, o.records_in, o.records_out)).collect();
        (bench.read(&dataset), counts)
    }

    #[test]
    fn operators_are_applied_in_order_to_all_files_and_counted() {
        let bench = Bench::new();
        let mut files = Vec::new();
        for range in [0..6, 6..12] {
            let JobOutput::Rollout { trajectories, .. } = bench.run(bench.rollout(range)).unwrap() else { panic!() };
            files.push(trajectories);
        }
        let apply =
            vec![Operator::Keep { verdict: Outcome::Pass }, Operator::Dedupe, Operator::Cap { per: Per::Task, max: 1 }];
        let (records, counts) = curated(&bench, CurateSpec { from: CurateFrom::Trajectories(files), apply });
        assert_eq!(counts.iter().map(|c| c.0.as_str()).collect::<Vec<_>>(), ["keep", "dedupe", "cap"]);
        assert_eq!(counts[0].1, 36, "12 tasks, 3 samples");
        assert_eq!(counts[2].2, records.len() as u64);
        assert!(!records.is_empty() && records.iter().all(|r| r.verdict.outcome == Outcome::Pass));
        let mut tasks: Vec<_> = records.iter().map(|r| r.task.as_str()).collect();
        tasks.dedup();
        assert_eq!(tasks.len(), records.len(), "one record per task");
    }

    #[test]
    fn demonstrations_are_passed_answers_with_their_terminator() {
        let bench = Bench::new();
        let from = CurateFrom::Demonstrations { base: bench.policy, tasks: bench.slice(Split::Demonstrations, 0..4) };
        let (records, counts) = curated(&bench, CurateSpec { from, apply: Vec::new() });
        assert_eq!((records.len(), counts.len()), (4, 0));
        for record in records {
            assert_eq!(record.completion_tokens.last(), Some(&u32::from('\n')));
            assert_eq!(record.completion_tokens.len(), record.completion.len() + 1);
            assert!(record.log_probs.is_empty() && record.verdict.outcome == Outcome::Pass);
        }
    }
}

//! Records to learn asking from: a training question behind others, as `propose` shows them to a role.

use galapagos_domain::ids::Digest;
use galapagos_domain::job::{JobSpec, TaskSlice};
use galapagos_domain::task::proposed::{self, END, Form};
use galapagos_domain::trajectory::{Credit, Trajectory, Verdict};

use super::curate::codec;
use super::tasks::Problems;
use super::{JobError, Workshop, engine_failed};

/// The asked questions of `slice` in its order, each as a passed completion that no policy sampled.
///
/// # Errors
/// [`JobError`] if the questions are not to be had, or the vocabulary cannot write them.
pub(super) fn questions(
    shop: &Workshop,
    job: &JobSpec,
    base: &Digest,
    slice: &TaskSlice,
    seeds: u32,
) -> Result<Vec<Trajectory>, JobError> {
    let formless = |source| JobError::Formless { set: slice.set.to_string(), source };
    let form = Form::of(&slice.source).map_err(formless)?;
    let codec = codec(shop, base)?;
    let encode = |text: &str| codec.encode(text).map_err(engine_failed("write a question in tokens"));
    let Problems { data, .. } = Problems::of(slice, &shop.shelf())?;
    let all = data.problems();
    let mut records = Vec::with_capacity(slice.indices.len());
    for index in &slice.indices {
        let failed = |source| JobError::Tasks { set: slice.set.to_string(), source };
        let problem = data.get(*index).map_err(failed)?;
        let seed = job.seed.derive(&format!("{}/{}", slice.set, problem.key));
        let shown = proposed::seeds(all.len(), seeds as usize, Some(*index as usize), seed);
        let shown: Vec<&str> = shown.into_iter().map(|place| all[place].prompt.as_str()).collect();
        let completion = form.line(&problem.prompt);
        records.push(Trajectory {
            job: job.id.clone(),
            task_set: slice.set.clone(),
            task: problem.key.clone(),
            sample: 0,
            policy: *base,
            prompt_tokens: encode(&proposed::shown(&form, &shown))?,
            prefix_len: 0,
            completion_tokens: encode(&format!("{completion}{END}"))?,
            log_probs: Vec::new(),
            completion,
            verdict: Verdict::pass("question"),
            scores: Vec::new(),
            leaf: None,
            credit: Credit::default(),
        });
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use galapagos_domain::job::{CurateFrom, CurateSpec, JobKind, JobOutput};
    use galapagos_domain::recipe::tasks::Split;

    use super::super::test_bench::Bench;

    #[test]
    fn each_question_stands_behind_others_and_ends() {
        let bench = Bench::new();
        let tasks = Box::new(bench.slice(Split::Train, 0..50));
        let from = CurateFrom::Questions { base: bench.policy, tasks, seeds: 3 };
        let output = bench.run(JobKind::Curate(CurateSpec::plain(from, Vec::new()))).unwrap();
        let JobOutput::Curate { dataset, .. } = output else { panic!("{output:?}") };
        let records = bench.read(&dataset);
        assert_eq!(records.len(), 50);
        for record in records {
            let text = |tokens: &[u32]| tokens.iter().map(|token| char::from_u32(*token).unwrap()).collect::<String>();
            let (shown, asked) = (text(&record.prompt_tokens), text(&record.completion_tokens));
            assert_eq!((shown.lines().count(), shown.len(), asked.len()), (3, 24, 8), "{shown:?} {asked:?}");
            assert!(shown.ends_with(">\n") && asked.ends_with(">\n") && !shown.contains(&asked));
        }
    }
}

//! Curation: trajectory files, or solved problems, through data operators into one dataset file. Records pass one by one: no file is in
//! memory whole.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::sync::Arc;

use galapagos_artifacts::{trajectories, trees};
use galapagos_domain::artifact::ArtifactRef;
use galapagos_domain::ids::{Digest, Name};
use galapagos_domain::job::{CurateFrom, CurateSpec, JobOutput, JobSpec, TaskSlice};
use galapagos_domain::task::dataset::ProgramTests;
use galapagos_domain::task::{Problem, TaskRule};
use galapagos_domain::trajectory::{Credit, Outcome, ProgramClass, Trajectory, Verdict};
use tempfile::TempDir;

use super::asking;
use super::estimators::Estimators;
use super::hindsight::Worlds;
use super::meter::Meter;
use super::scene::critics;
use super::tasks::{Problems, Tasks};
use super::{JobError, Workshop, engine_failed, store_failed};
use crate::engine::Codec;
use crate::operators::{
    Again, Estimate, Limits, Means, OperatorError, Records, Reverify, Sources, Streamed, Trees, stream,
};
use crate::verify::{Claim, Panel};

pub(super) fn run(shop: &Workshop, job: &JobSpec, spec: &CurateSpec, meter: &Meter) -> Result<JobOutput, JobError> {
    let folder = scratch(shop)?;
    let files = Files { shop, spec, meter, folder: folder.path() };
    let records: Records<'_> = match &spec.from {
        CurateFrom::Trajectories(trajectories) => {
            let all = trajectories.iter().map(|file| file.rows).sum();
            meter.expect(all, all);
            Box::new(files.records(trajectories))
        }
        CurateFrom::Demonstrations { base, tasks } => made(meter, demonstrations(shop, job, base, tasks)?),
        CurateFrom::Questions { base, tasks, seeds } => made(meter, asking::questions(shop, job, base, tasks, *seeds)?),
    };
    let codec = spec.text.map(|checkpoint| codec(shop, &checkpoint)).transpose()?;
    let rules = (!spec.tasks.is_empty()).then(|| Rules::generate(shop, &spec.tasks)).transpose()?;
    let worlds = codec.as_deref().map(|codec| Worlds::of(&spec.tasks, &shop.runtime, codec));
    let critics = critics(shop, &spec.critics)?;
    let estimators = Estimators { engine: &shop.engine, critics, meter };
    let means = Means {
        sources: &files,
        text: codec.as_deref(),
        rules: rules.as_ref().map(|rules| rules as &dyn Reverify),
        worlds: worlds.as_ref().map(|worlds| worlds as &dyn Again),
        estimators: (!spec.critics.is_empty()).then_some(&estimators as &dyn Estimate),
        scratch: None,
    };
    let watch = meter.glance();
    let limits = Limits::new(folder.path(), &watch.cancel);
    let mut left = stream(&spec.apply, records, job.seed, means, limits).map_err(operators_failed)?;
    let dataset = write(shop, &mut left, folder.path())?;
    Ok(JobOutput::Curate { dataset, operators: left.counts() })
}

fn made(meter: &Meter, records: Vec<Trajectory>) -> Records<'static> {
    meter.expect(records.len() as u64, records.len() as u64);
    Box::new(records.into_iter().map(Ok))
}

fn operators_failed(error: OperatorError) -> JobError {
    match error {
        OperatorError::Cancelled => JobError::Cancelled,
        error => JobError::Operators { source: Box::new(error) },
    }
}

/// A folder of this attempt's own, beside the checkpoints.
fn scratch(shop: &Workshop) -> Result<TempDir, JobError> {
    let cache = shop.checkpoints.cache();
    let failed = |source| JobError::Scratch { path: cache.to_owned(), source };
    std::fs::create_dir_all(cache).map_err(failed)?;
    tempfile::Builder::new().prefix("curate-").tempdir_in(cache).map_err(failed)
}

pub(super) fn codec(shop: &Workshop, checkpoint: &Digest) -> Result<Arc<dyn Codec>, JobError> {
    let checkpoint = shop.runtime.block_on(shop.checkpoints.open(checkpoint))?;
    shop.engine.codec(&checkpoint).map_err(engine_failed("open the base model's tokenizer"))
}

/// Writes what operators leave as one file of the artifact store, a row group at a time.
fn write(shop: &Workshop, left: &mut Streamed<'_>, folder: &Path) -> Result<ArtifactRef, JobError> {
    let failed = store_failed("store the dataset");
    let scratch_failed = |source| JobError::Scratch { path: folder.to_owned(), source };
    let path = folder.join("dataset");
    let file = File::create(&path).map_err(scratch_failed)?;
    let mut writer = trajectories::Writer::new(BufWriter::new(file)).map_err(failed)?;
    for record in left {
        writer.push(record.map_err(operators_failed)?).map_err(failed)?;
    }
    let (file, rows) = writer.finish().map_err(failed)?;
    file.into_inner().map_err(|error| scratch_failed(error.into_error()))?;
    let stored = shop.runtime.block_on(shop.store.put_file(&path)).map_err(failed)?;
    Ok(ArtifactRef { rows, ..stored })
}

/// The job's files, each brought to this machine when it is read.
struct Files<'a> {
    shop: &'a Workshop,
    spec: &'a CurateSpec,
    meter: &'a Meter,
    folder: &'a Path,
}

impl Files<'_> {
    /// A file of the store, checked; it shares the store's bytes where it can.
    fn open(&self, file: &ArtifactRef) -> Result<File, OperatorError> {
        if self.meter.is_cancelled() {
            return Err(OperatorError::Cancelled);
        }
        let path = self.folder.join(file.digest.hex());
        if !path.exists() {
            self.shop.runtime.block_on(self.shop.store.link(&file.digest, &path))?;
        }
        File::open(&path).map_err(OperatorError::Scratch)
    }

    fn records<'b>(&'b self, files: &'b [ArtifactRef]) -> impl Iterator<Item = Result<Trajectory, OperatorError>> + 'b {
        let mut checked = 0u32;
        let rows = each_of(files, |file| Ok(trajectories::Reader::open(self.open(file)?)?));
        rows.map(move |row| {
            checked = checked.wrapping_add(1);
            if checked.is_multiple_of(256) && self.meter.is_cancelled() {
                return Err(OperatorError::Cancelled);
            }
            row
        })
    }
}

/// What the readers of all files give, one file after the other.
fn each_of<'a, T, R>(
    files: &'a [ArtifactRef],
    open: impl Fn(&ArtifactRef) -> Result<R, OperatorError> + 'a,
) -> impl Iterator<Item = Result<T, OperatorError>> + 'a
where
    R: Iterator<Item = Result<T, galapagos_artifacts::Error>> + 'a,
    T: 'a,
{
    files.iter().flat_map(move |file| {
        let (rows, error) = match open(file) {
            Ok(rows) => (Some(rows), None),
            Err(error) => (None, Some(error)),
        };
        rows.into_iter().flatten().map(|row| row.map_err(OperatorError::from)).chain(error.map(Err))
    })
}

impl Sources for Files<'_> {
    fn dataset(&self, name: &Name) -> Result<(u64, Records<'_>), OperatorError> {
        let files = self.spec.with.get(name).ok_or_else(|| OperatorError::NoDataset(name.clone()))?;
        Ok((files.iter().map(|file| file.rows).sum(), Box::new(self.records(files))))
    }

    fn trees(&self) -> Result<Trees<'_>, OperatorError> {
        let open = |file: &ArtifactRef| Ok(trees::Reader::open(self.open(file)?)?);
        Ok(Box::new(each_of(&self.spec.trees, open)))
    }
}

/// A problem, who decides about it, and what it brings for programs.
type Ruled = (TaskRule, Problem, Option<Arc<ProgramTests>>);

/// The problems that records may be of, by task set and key.
struct Rules {
    problems: BTreeMap<(Name, String), Ruled>,
    panel: Panel,
}

impl Rules {
    fn generate(shop: &Workshop, slices: &[TaskSlice]) -> Result<Self, JobError> {
        let mut problems = BTreeMap::new();
        for slice in slices.iter().filter(|slice| slice.source.env().is_none()) {
            let Problems { data, given, .. } = Problems::of(slice, &shop.shelf())?;
            for (problem, given) in data.problems().iter().zip(given) {
                let of = (slice.source.rule(), problem.clone(), given.tests);
                problems.insert((slice.set.clone(), problem.key.clone()), of);
            }
        }
        Ok(Self { problems, panel: Panel::rule_with(&shop.code) })
    }
}

impl Reverify for Rules {
    /// Every time the same: the rules of built-in tasks leave nothing to chance.
    fn passes(&self, record: &Trajectory, _: u32) -> Result<bool, OperatorError> {
        let failed =
            |reason: String| OperatorError::Reverify { task: record.task.clone(), sample: record.sample, reason };
        let key = (record.task_set.clone(), record.task.clone());
        let (rule, problem, tests) =
            self.problems.get(&key).ok_or_else(|| failed(format!("the task set `{}` has no such task", key.0)))?;
        let verdict = self.panel.judge(Claim { rule, problem, tests: tests.as_ref(), completion: &record.completion });
        match verdict.outcome {
            Outcome::Pass => Ok(true),
            Outcome::Fail | Outcome::Suspect => Ok(false),
            Outcome::Error | Outcome::Timeout => Err(failed(verdict.reason)),
        }
    }
}

/// The right answer and the terminator as a passed completion that no policy sampled.
fn demonstrations(
    shop: &Workshop,
    job: &JobSpec,
    base: &Digest,
    slice: &TaskSlice,
) -> Result<Vec<Trajectory>, JobError> {
    let codec = codec(shop, base)?;
    let tasks = Tasks::prepare(slice, &shop.shelf(), codec.as_ref(), job.seed, None)?;
    let mut rows = Vec::with_capacity(tasks.items.len());
    let passed = Verdict::pass("demonstration");
    let verdict = if tasks.rule.grades_programs() { passed.graded(ProgramClass::Passed) } else { passed };
    for (place, item) in tasks.items.iter().enumerate() {
        let end = tasks.terminator.map(String::from).unwrap_or_default();
        let text = format!("{}{end}", item.given.completion);
        let mut tokens = codec.encode(&text).map_err(engine_failed("write an answer in tokens"))?;
        if tasks.terminator.is_none() {
            tokens.extend(tasks.stop.first());
        }
        rows.push(Trajectory {
            job: job.id.clone(),
            task_set: tasks.set.clone(),
            task: item.problem.key.clone(),
            sample: 0,
            policy: *base,
            prompt_tokens: tasks.full_prompt(place),
            prefix_len: u32::try_from(tasks.prefix.len()).unwrap_or(u32::MAX),
            completion_tokens: tokens,
            log_probs: Vec::new(),
            completion: item.given.completion.clone(),
            verdict: verdict.clone(),
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
    use galapagos_domain::recipe::curate::{Linearise, Mix, Operator, Pair, PairFrom, Per, Subsample};
    use galapagos_domain::recipe::tasks::Split;
    use galapagos_domain::tree::TreeNode;

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
        let (records, counts) = curated(&bench, CurateSpec::plain(CurateFrom::Trajectories(files), apply));
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
        let from = CurateFrom::Demonstrations {
            base: bench.policy,
            tasks: Box::new(bench.slice(Split::Demonstrations, 0..4)),
        };
        let (records, counts) = curated(&bench, CurateSpec::plain(from, Vec::new()));
        assert_eq!((records.len(), counts.len()), (4, 0));
        for record in records {
            assert_eq!(record.completion_tokens.last(), Some(&u32::from('\n')));
            assert_eq!(record.completion_tokens.len(), record.completion.len() + 1);
            assert!(record.log_probs.is_empty() && record.verdict.outcome == Outcome::Pass);
        }
    }

    fn rolled_out(bench: &Bench, tasks: std::ops::Range<u32>) -> ArtifactRef {
        match bench.run(bench.rollout(tasks)).unwrap() {
            JobOutput::Rollout { trajectories, .. } => trajectories,
            output => panic!("{output:?}"),
        }
    }

    fn plain(files: Vec<ArtifactRef>, apply: Vec<Operator>) -> CurateSpec {
        CurateSpec::plain(CurateFrom::Trajectories(files), apply)
    }

    /// A file of trees of three nodes: behind the root a right and a wrong answer.
    fn trees_of(bench: &Bench, count: u32) -> ArtifactRef {
        let grown = (0..count).flat_map(|number| {
            let judged = |outcome: Outcome| Some((if outcome == Outcome::Pass { 1.0 } else { -1.0 }, outcome));
            let nodes = [None, judged(Outcome::Pass), judged(Outcome::Fail)];
            (0..).zip(nodes).map(move |(node, judged)| TreeNode {
                task: format!("train/{number}"),
                tree: format!("digits/train/{number}"),
                ..crate::operators::test_records::node(
                    node,
                    (node > 0).then_some(0),
                    judged.map_or(0.0, |judged| judged.0),
                    judged.map(|judged| judged.1),
                )
            })
        });
        let nodes: Vec<TreeNode> = grown.collect();
        let bytes = trees::encode(&nodes, None).unwrap();
        bench.shop.runtime.block_on(bench.shop.store.put(bytes, nodes.len() as u64)).unwrap()
    }

    /// The same file with its first tree not believed.
    fn distrusted(bench: &Bench, file: &ArtifactRef) -> ArtifactRef {
        let mut nodes = bench.trees(file);
        nodes[0].verdict = Some(Verdict::new(Outcome::Suspect, "a verifier is suspended"));
        let bytes = trees::encode(&nodes, None).unwrap();
        bench.shop.runtime.block_on(bench.shop.store.put(bytes, nodes.len() as u64)).unwrap()
    }

    #[test]
    fn trees_of_several_files_become_preferences_and_journeys() {
        let bench = Bench::new();
        let samples = vec![rolled_out(&bench, 0..2)];
        let trees = vec![trees_of(&bench, 3), trees_of(&bench, 2)];
        let pair = Pair {
            from: PairFrom::Siblings,
            by: None,
            each_side: 2,
            margin: 0.0,
            step_margin: 0.5,
            above: None,
            edit_distance: 0,
        };
        let spec = CurateSpec { trees: trees.clone(), ..plain(samples.clone(), vec![Operator::Pair(pair)]) };
        let (records, counts) = curated(&bench, spec.clone());
        assert_eq!(counts, [("pair".to_owned(), 6, 10)], "five trees, one preference each");
        assert!(records.chunks(2).all(|two| two[0].credit.pair.as_ref().unwrap().chosen));
        let JobOutput::Curate { operators: counts, .. } = bench
            .run(JobKind::Curate(CurateSpec { trees: vec![trees[0].clone(), distrusted(&bench, &trees[1])], ..spec }))
            .unwrap()
        else {
            panic!()
        };
        assert_eq!((counts[0].records_out, counts[0].doubted), (8, 1), "four trees are believed");
        let linearise =
            Operator::Linearise(Linearise { dead_ends: 1, text_back: "No. ".to_owned(), per_step: None, killed: true });
        let spec = CurateSpec { trees, text: Some(bench.policy), ..plain(samples, vec![linearise]) };
        let (records, _) = curated(&bench, spec);
        let completions: Vec<_> = records.iter().map(|record| record.completion.as_str()).collect();
        assert_eq!(completions, ["cNo. b"; 5]);
    }

    #[test]
    fn rules_are_asked_again_and_other_datasets_come_behind() {
        let bench = Bench::new();
        let (own, older) = (rolled_out(&bench, 0..6), rolled_out(&bench, 6..12));
        let kept = plain(vec![own.clone()], vec![Operator::Keep { verdict: Outcome::Pass }]);
        let passed = curated(&bench, kept).0;
        let again = vec![Operator::RepeatVerify { times: 3, min_pass: 3 }];
        let tasks = vec![bench.slice(Split::Train, 0..0)];
        let spec = CurateSpec { tasks, ..plain(vec![own.clone()], again.clone()) };
        assert_eq!(curated(&bench, spec).0, passed, "the rule says what it said");
        let nobody = bench.run(JobKind::Curate(plain(vec![own.clone()], again))).unwrap_err();
        assert_eq!(nobody.class(), galapagos_domain::job::FailureClass::Invalid);
        let name = Name::new("older").unwrap();
        let mix = Operator::Mix(Mix { with: BTreeMap::from([(name.clone(), 0.5)]) });
        let with = BTreeMap::from([(name, vec![older.clone()])]);
        let (mixed, counts) = curated(&bench, CurateSpec { with, ..plain(vec![own.clone()], vec![mix]) });
        assert_eq!(counts, [("mix".to_owned(), 18, 27)]);
        assert_eq!(mixed[..18], bench.read(&own));
        let drawn = bench.read(&older);
        assert!(mixed[18..].iter().all(|record| drawn.contains(record)));
    }

    #[test]
    fn the_same_spec_gives_the_same_file_and_leaves_no_scratch() {
        let bench = Bench::new();
        let files = vec![rolled_out(&bench, 0..6)];
        let spec =
            plain(files, vec![Operator::Dedupe, Operator::Subsample(Subsample { n: 7, by: None, complement: false })]);
        assert_eq!(bench.run(JobKind::Curate(spec.clone())).unwrap(), bench.run(JobKind::Curate(spec)).unwrap());
        let left = std::fs::read_dir(bench.shop.checkpoints.cache()).unwrap();
        let left: Vec<_> = left.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        assert!(left.iter().all(|name| !name.starts_with("curate-")), "{left:?}");
    }
}

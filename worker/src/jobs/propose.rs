//! Proposing: a role is shown a few training questions and writes another one; what is no new question is refused and counted. Question i
//! of a recipe step depends on its number alone, so it does not matter in which job it is written.

use std::sync::Arc;

use galapagos_domain::artifact::ArtifactRef;
use galapagos_domain::job::{JobOutput, JobSpec, ProposePart, ProposeSpec, Sifted};
use galapagos_domain::recipe::proposals::longest_question;
use galapagos_domain::task::proposed::{self, END, Form, Question, Refused, Sieve};

use super::meter::Meter;
use super::tasks::Problems;
use super::{JobError, Workshop, engine_failed, store_failed};
use crate::engine::{Batch, Codec, Completion, EngineError, Request};

pub(super) fn run(shop: &Workshop, job: &JobSpec, spec: &ProposeSpec, meter: &Meter) -> Result<JobOutput, JobError> {
    let (questions, sifted) = match &spec.part {
        ProposePart::Write { from, to } => write(shop, job, spec, *from..*to, meter)?,
        ProposePart::Gather(tables) => gather(shop, spec, tables)?,
    };
    let bytes = proposed::encode(&questions);
    let stored = shop.runtime.block_on(shop.store.put(bytes.into(), questions.len() as u64));
    let questions = stored.map_err(store_failed("store the questions"))?;
    Ok(JobOutput::Propose { questions, sifted, tokens: meter.tokens() })
}

/// Lets the role write the questions of these numbers, and keeps the new ones.
fn write(
    shop: &Workshop,
    job: &JobSpec,
    spec: &ProposeSpec,
    numbers: std::ops::Range<u32>,
    meter: &Meter,
) -> Result<(Vec<Question>, Sifted), JobError> {
    let units = u64::from(numbers.end.saturating_sub(numbers.start));
    meter.expect(units, units);
    let formless = |source| JobError::Formless { set: spec.tasks.set.to_string(), source };
    let form = Form::of(&spec.tasks.source).map_err(formless)?;
    let known = Problems::of(&spec.tasks, &shop.shelf())?;
    let checkpoint = shop.runtime.block_on(shop.checkpoints.open(&spec.policy))?;
    let codec = shop.engine.codec(&checkpoint).map_err(engine_failed("open the role's tokenizer"))?;
    let sampling = Arc::new(spec.sampling.clone());
    let request = |number: u32| {
        let seed = job.seed.derive(&format!("{}/{number}", spec.set));
        let prompt = shown(&form, &known, spec.seeds, seed);
        let prompt = codec.encode(&prompt).map_err(engine_failed("write the known questions in tokens"))?;
        Ok(Request { prompt, samples: 1, seed: seed.derive("write"), sampling: Arc::clone(&sampling) })
    };
    let batch = Batch {
        checkpoint,
        prefix: Vec::new(),
        requests: numbers.clone().map(request).collect::<Result<_, JobError>>()?,
        stop: codec.stop_tokens(Some(END)).map_err(engine_failed("find the tokens that end a question"))?,
        terminator: Some(END),
        max_tokens: spec.sampling.max_tokens.unwrap_or_else(|| longest_question(&spec.tasks.source)),
    };
    let stop = batch.stop.clone();
    let written = shop.engine.generate(batch, meter.watch()).map_err(engine_failed("let the role write questions"))?;
    let sieve = sieve(shop, spec, form, &known)?;
    let (mut kept, mut sifted) = (Vec::new(), Sifted { tries: units, ..Sifted::default() });
    for (number, completion) in numbers.zip(written) {
        meter.add(1, completion.tokens.len() as u64);
        let text = read(codec.as_ref(), &completion).map_err(engine_failed("read what the role wrote"))?;
        let ended = completion.tokens.last().is_some_and(|last| stop.contains(last));
        let sieved = if ended {
            sieve.sift(&text)
        } else {
            Err(Refused::Malformed(format!("it does not end within {} tokens", completion.tokens.len())))
        };
        match sieved {
            Ok(prompt) => kept.push(Question { key: format!("{}/write/{number}", spec.keys), prompt }),
            Err(Refused::Known) => sifted.known += 1,
            Err(Refused::HeldOut) => sifted.held_out += 1,
            Err(Refused::Malformed(why)) => {
                sifted.malformed += 1;
                sifted.example.get_or_insert_with(|| format!("{:?}: {why}", clip(&text)));
            }
        }
    }
    sifted.kept = kept.len() as u64;
    Ok((kept, sifted))
}

/// The known questions that are shown before one that is to be written.
fn shown(form: &Form, known: &Problems, seeds: u32, seed: galapagos_domain::seed::Seed) -> String {
    let problems = known.data.problems();
    let places = proposed::seeds(problems.len(), seeds as usize, None, seed.derive("seeds"));
    let prompts: Vec<&str> = places.into_iter().map(|place| problems[place].prompt.as_str()).collect();
    proposed::shown(form, &prompts)
}

fn sieve(shop: &Workshop, spec: &ProposeSpec, form: Form, known: &Problems) -> Result<Sieve, JobError> {
    let held_out = spec.held_out.iter().map(|slice| Problems::of(slice, &shop.shelf()));
    let held_out = held_out.collect::<Result<Vec<_>, _>>()?;
    let prompts = |problems: &'_ Problems| {
        problems.data.problems().iter().map(|problem| problem.prompt.clone()).collect::<Vec<_>>()
    };
    let (known, held_out) = (prompts(known), held_out.iter().flat_map(prompts).collect::<Vec<_>>());
    Ok(Sieve::new(form, known.iter().map(String::as_str), held_out.iter().map(String::as_str)))
}

fn read(codec: &dyn Codec, completion: &Completion) -> Result<String, EngineError> {
    let mut text = codec.decode(&completion.tokens)?;
    if let Some(end) = text.find(END) {
        text.truncate(end);
    }
    Ok(text)
}

/// The start of a text, for people.
fn clip(text: &str) -> String {
    const MOST: usize = 60;
    if text.chars().count() <= MOST { text.to_owned() } else { text.chars().take(MOST).chain(['…']).collect() }
}

/// Puts together what all shares kept.
fn gather(shop: &Workshop, spec: &ProposeSpec, tables: &[ArtifactRef]) -> Result<(Vec<Question>, Sifted), JobError> {
    let mut all = Vec::new();
    for table in tables {
        let read = shop.runtime.block_on(shop.store.get(&table.digest));
        let bytes = read.map_err(store_failed("read the questions that were written"))?;
        let rows = |source| JobError::Rows { set: spec.set.to_string(), source };
        all.extend(proposed::decode(&bytes).map_err(rows)?);
    }
    let (kept, repeated, surplus) = proposed::gather(all.into_iter(), spec.n, &spec.keys);
    let sifted = Sifted { repeated, surplus, kept: kept.len() as u64, ..Sifted::default() };
    Ok((kept, sifted))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use galapagos_domain::ids::Name;
    use galapagos_domain::job::{Critic, FailureClass, JobKind, RolloutSpec, TaskSlice};
    use galapagos_domain::recipe::Head;
    use galapagos_domain::recipe::search::Trust;
    use galapagos_domain::recipe::tasks::{Builtin, Split, TaskSet};
    use galapagos_domain::task::Family;
    use galapagos_domain::trajectory::{Outcome, Trajectory};

    use super::super::test_bench::{Bench, SAMPLING};
    use super::*;

    fn spec(bench: &Bench, part: ProposePart) -> ProposeSpec {
        ProposeSpec {
            policy: bench.policy,
            set: Name::new("imagined").unwrap(),
            tasks: bench.slice(Split::Train, 0..0),
            held_out: vec![bench.slice(Split::Val, 0..0), bench.slice(Split::Test, 0..0)],
            seeds: 3,
            sampling: SAMPLING,
            n: 5,
            keys: "g1".to_owned(),
            part,
        }
    }

    fn made(bench: &Bench, spec: ProposeSpec) -> (Vec<Question>, ArtifactRef, Sifted) {
        let output = bench.run(JobKind::Propose(Box::new(spec))).unwrap();
        let JobOutput::Propose { questions, sifted, .. } = output else { panic!("{output:?}") };
        let bytes = bench.shop.runtime.block_on(bench.shop.store.get(&questions.digest)).unwrap();
        (proposed::decode(&bytes).unwrap(), questions, sifted)
    }

    #[test]
    fn what_is_written_depends_on_its_number_and_not_on_how_jobs_are_cut() {
        let bench = Bench::new();
        let write = |from, to| made(&bench, spec(&bench, ProposePart::Write { from, to }));
        let (whole, _, all) = write(0, 40);
        let (one, first, left) = write(0, 15);
        let (two, second, right) = write(15, 40);
        assert_eq!([one, two].concat(), whole);
        let parts = Sifted::sum([&left, &right].into_iter(), None);
        assert_eq!(parts, all);
        assert!(all.adds_up(40) && all.malformed > 0 && all.example.is_some(), "{all:?}");
        assert!(whole.iter().all(|question| question.prompt.ends_with('>') && question.prompt.len() == 7));
        let (kept, _, gathered) = made(&bench, spec(&bench, ProposePart::Gather(vec![first, second])));
        assert!(gathered.adds_up(whole.len() as u64), "{gathered:?} of {}", whole.len());
        assert!(kept.len() <= 5 && kept.len() as u64 == gathered.kept);
        let expected = proposed::gather(whole.into_iter(), 5, "g1").0;
        assert_eq!(kept, expected);
    }

    /// A rollout of the job's own kind over tasks that were proposed, with a critic.
    fn searched(bench: &Bench, search: &str, verify: &str) -> (JobOutput, Vec<Trajectory>) {
        let (_, table, _) = made(bench, spec(bench, ProposePart::Write { from: 0, to: 30 }));
        let tasks =
            TaskSlice { set: Name::new("imagined").unwrap(), proposed: Some(table), ..bench.slice(Split::Train, 0..3) };
        let critic = Critic { checkpoint: bench.other, head: Head::Scalar, shots: true };
        let rollout = RolloutSpec {
            policy: bench.policy,
            tasks,
            search: Box::new(serde_json::from_str(search).unwrap()),
            verify: serde_json::from_str(verify).unwrap(),
            critics: BTreeMap::from([(Name::new("critic").unwrap(), critic)]),
            trust: Trust::default(),
            grown: Vec::new(),
        };
        let output = bench.run(JobKind::Rollout(rollout)).unwrap();
        let JobOutput::Rollout { trajectories, .. } = &output else { panic!("{output:?}") };
        let rows = bench.read(trajectories);
        (output, rows)
    }

    #[test]
    fn a_critic_decides_on_proposed_tasks_and_the_rule_never_does() {
        let bench = Bench::new();
        let (_, rows) =
            searched(&bench, r#"{"sample_k": {"n": 4}}"#, r#"[{"orm": {"role": "critic", "pass_at": 0.7}}]"#);
        assert_eq!(rows.len(), 12);
        for row in &rows {
            let score = f64::from(row.verdict.score.unwrap());
            let outcome = if score >= 0.7 { Outcome::Pass } else { Outcome::Fail };
            assert_eq!((row.verdict.outcome, row.task_set.as_str()), (outcome, "imagined"), "{score}");
            assert!(row.task.starts_with("g1/"), "{}", row.task);
        }
        assert!(rows.iter().any(|row| row.verdict.outcome == Outcome::Pass));
        let (_, asked) = searched(&bench, r#"{"sample_k": {"n": 1}}"#, r#"["rule"]"#);
        assert!(asked.iter().all(|row| row.verdict.outcome == Outcome::Error));
        assert!(asked[0].verdict.reason.contains("nobody knows its answer"), "{}", asked[0].verdict.reason);
    }

    #[test]
    fn continuations_are_judged_by_a_critic_on_the_way() {
        let bench = Bench::new();
        let search = r#"{"mcts": {"propose": {"n": 2, "temperature": 1.0, "unit": {"tokens": 1}, "max_tokens": 1}, "budget": {"nodes": 6, "depth": 3},
            "evaluate": [{"verifier": {"mc_rollout": {"samples": 3, "by": {"orm": "critic"}}}, "when": "leaf"}], "extract": "ends"}}"#;
        let (output, _) = searched(&bench, search, r#"[{"orm": {"role": "critic", "pass_at": 0.7}}]"#);
        let JobOutput::Rollout { trees: Some(trees), audit, .. } = output else { panic!("{output:?}") };
        let scores: Vec<_> = bench.trees(&trees).into_iter().flat_map(|node| node.scores).collect();
        assert!(scores.len() >= 3 && scores.iter().all(|score| score.by == "mc_rollout/1"), "{scores:?}");
        assert!(scores.iter().all(|score| (0.0..=1.5).contains(&score.value)), "{scores:?}");
        assert!(audit.evaluators.iter().all(|heard| heard.error == 0), "{audit:?}");
    }

    #[test]
    fn questions_that_cannot_be_read_back_are_refused() {
        let bench = Bench::new();
        let mut asked = spec(&bench, ProposePart::Write { from: 0, to: 1 });
        asked.tasks.source = TaskSet::Builtin(Builtin { train: 5, ..Builtin::of(Family::LifeStep) });
        let error = bench.run(JobKind::Propose(Box::new(asked))).unwrap_err();
        assert_eq!(error.class(), FailureClass::Invalid);
        let error = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(error, "the questions of life_step cannot be read back");
    }
}

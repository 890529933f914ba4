//! What a recipe step of jobs brought, from the jobs' outputs in order of their index.

mod proposed;

pub(super) use self::proposed::shortfall;
use super::curve::{curve, spendings, whole};
use super::evolution::{Evolution, Outcome, StepRun};
use super::expand::{probes, resolved_in};
use super::view::{Held, Phase, Score, Summary};
use crate::calibration::Calibration;
use crate::ids::{Digest, MemberId, Name};
use crate::job::{EvaluateSpec, JobKind, JobOutput, JobSpec, MeasureSpec, ProposePart, TaskCurve, TaskOutcome};
use crate::member::Member;
use crate::recipe::evaluate::{Evaluate, Metric, NumberOf};
use crate::recipe::step::RecipeStep;
use crate::recipe::tournament::Selection;
use crate::recipe::train::Source;
use crate::stats::{Interval, mean95, pass_at_k, wilson95};
use crate::trajectory::{Audit, Scored, VerdictCounts};

/// A job with its output.
pub(super) type Ended<'a> = (&'a JobSpec, &'a JobOutput);

/// The outcome of a finished `rollout`, `curate` or `evaluate`. Base, rounds and tournaments, which change members, are
/// settled by the state machine itself.
pub(super) fn of_jobs(evolution: &Evolution, run: &StepRun, ended: &[Ended<'_>]) -> Outcome {
    let tokens = ended.iter().map(|(_, output)| tokens(output)).sum();
    let units = ended.iter().map(|(spec, _)| units(&spec.kind)).sum();
    let dataset = ended.iter().filter_map(|(spec, output)| match output {
        JobOutput::Rollout { trajectories, .. } => Some(trajectories.clone()),
        JobOutput::Curate { dataset, .. } => Some(dataset.clone()),
        JobOutput::Propose { questions, .. } => proposed::gathers(spec).then(|| questions.clone()),
        JobOutput::Grow { .. }
        | JobOutput::Base { .. }
        | JobOutput::Bout { .. }
        | JobOutput::Evaluate { .. }
        | JobOutput::Measure { .. }
        | JobOutput::Sweep { .. } => None,
    });
    let trees = ended.iter().filter_map(|(_, output)| match output {
        JobOutput::Rollout { trees, .. } => trees.clone(),
        JobOutput::Grow { .. }
        | JobOutput::Propose { .. }
        | JobOutput::Curate { .. }
        | JobOutput::Base { .. }
        | JobOutput::Bout { .. }
        | JobOutput::Evaluate { .. }
        | JobOutput::Measure { .. }
        | JobOutput::Sweep { .. } => None,
    });
    let trees = trees.collect();
    Outcome { summary: summary(evolution, run, ended), dataset: dataset.collect(), trees, units, tokens }
}

/// What is known of a recipe step of jobs from those that ended.
pub(super) fn summary(evolution: &Evolution, run: &StepRun, ended: &[Ended<'_>]) -> Summary {
    match (evolution.recipe_step(run), ended.first()) {
        (Some(RecipeStep::Evaluate(evaluate)), _) => {
            Summary::Evaluate { scores: scores(evolution, run.phase, evaluate, ended) }
        }
        (step, Some((_, JobOutput::Curate { dataset, operators }))) => {
            let sources = step.map_or_else(Vec::new, |step| sources(evolution, step));
            Summary::Curate { records: dataset.rows, operators: operators.clone(), sources }
        }
        (Some(RecipeStep::Propose(proposals)), _) => {
            Summary::Propose { sifted: proposed::sifted(ended), at_least: proposals.at_least() }
        }
        _ => rolled_out(ended),
    }
}

/// What each of several datasets held that a `curate` read.
fn sources(evolution: &Evolution, step: &RecipeStep) -> Vec<Held> {
    let names: &[Name] = match step {
        RecipeStep::Curate(curate) => curate.from.datasets(),
        RecipeStep::Rollout(_)
        | RecipeStep::Train(_)
        | RecipeStep::Tournament(_)
        | RecipeStep::Evaluate(_)
        | RecipeStep::Propose(_) => &[],
    };
    let held = |name: &Name| {
        let files = evolution.files(&Source::Latest(name.clone())).ok()?;
        Some(Held { dataset: name.clone(), records: files.iter().map(|file| file.rows).sum() })
    };
    if names.len() > 1 { names.iter().filter_map(held).collect() } else { Vec::new() }
}

/// The judges of all jobs. Those of one rollout try them on the same answers, to the same end.
fn judges(ended: &[Ended<'_>]) -> Vec<Calibration> {
    let mut judges: Vec<Calibration> = Vec::new();
    for (_, output) in ended {
        let JobOutput::Rollout { judges: more, .. } = output else { continue };
        for figures in more {
            // Of several task sets there are several figures.
            if !judges.contains(figures) {
                judges.push(figures.clone());
            }
        }
    }
    judges
}

fn rolled_out(ended: &[Ended<'_>]) -> Summary {
    let (mut sum, mut seen) = (VerdictCounts::default(), Audit::default());
    for (_, output) in ended {
        match output {
            JobOutput::Rollout { counts, audit, .. } => {
                sum.add(counts);
                seen.add(audit);
            }
            JobOutput::Base { .. }
            | JobOutput::Grow { .. }
            | JobOutput::Curate { .. }
            | JobOutput::Bout { .. }
            | JobOutput::Evaluate { .. }
            | JobOutput::Measure { .. }
            | JobOutput::Sweep { .. }
            | JobOutput::Propose { .. } => {}
        }
    }
    Summary::Rollout { counts: sum, judges: judges(ended), audit: seen }
}

/// Tokens behind an output.
pub(super) fn tokens(output: &JobOutput) -> u64 {
    match output {
        JobOutput::Rollout { tokens, .. }
        | JobOutput::Grow { tokens, .. }
        | JobOutput::Bout { tokens, .. }
        | JobOutput::Evaluate { tokens, .. }
        | JobOutput::Measure { tokens, .. }
        | JobOutput::Sweep { tokens, .. }
        | JobOutput::Propose { tokens, .. } => *tokens,
        JobOutput::Base { .. } | JobOutput::Curate { .. } => 0,
    }
}

/// Units of a job: trajectories, or trees where it is open how many trajectories they give; records read, pairs or tasks.
pub(super) fn units(kind: &JobKind) -> u64 {
    match kind {
        JobKind::Base(_) => 1,
        JobKind::Rollout(rollout) => rollout.tasks.indices.len() as u64 * rollout.search.trajectories().unwrap_or(1),
        JobKind::Grow(grow) => grow.rollout.tasks.indices.len() as u64,
        JobKind::Curate(curate) => match &curate.from {
            crate::job::CurateFrom::Trajectories(files) => files.iter().map(|file| file.rows).sum(),
            crate::job::CurateFrom::Demonstrations { tasks, .. } | crate::job::CurateFrom::Questions { tasks, .. } => {
                tasks.indices.len() as u64
            }
        },
        JobKind::Bout(bout) => bout.tasks.indices.len() as u64,
        JobKind::Evaluate(evaluate) => evaluate.tasks.indices.len() as u64,
        JobKind::Measure(measure) => measure.tasks.indices.len() as u64,
        JobKind::Sweep(sweep) => sweep.rollout.tasks.indices.len() as u64,
        JobKind::Propose(propose) => match &propose.part {
            ProposePart::Write { from, to } => u64::from(to.saturating_sub(*from)),
            ProposePart::Gather(_) => 0,
        },
    }
}

fn scores(evolution: &Evolution, phase: Phase, evaluate: &Evaluate, ended: &[Ended<'_>]) -> Vec<Score> {
    let mut scores = Vec::new();
    for called in &evaluate.members {
        let Ok(member) = evolution.called(called) else { continue };
        for (tasks, selection) in &evaluate.tasks {
            for metric in &evaluate.metrics {
                let column = Column { policy: member.checkpoint, tasks, selection, metric };
                let outcomes = column.outcomes(evolution, evaluate, ended);
                if let Some(value) = measure(metric, &outcomes) {
                    let (member, called) = (MemberId::clone(&member.id), called.clone());
                    let n = outcomes.iter().filter(|outcome| counts(metric, outcome)).count() as u64;
                    let (tasks, split, metric) = (tasks.clone(), selection.split, metric.clone());
                    let (tokens, knows, curve) = (None, false, Vec::new());
                    scores.push(Score { member, called, tasks, split, metric, value, n, tokens, knows, curve });
                }
            }
            scores.extend(numbers((evolution, phase), evaluate, (member, called), (tasks, selection), ended));
            scores.extend(searches(evaluate, (member, called), (tasks, selection), ended));
        }
    }
    scores
}

/// The means of what verifiers gave the completions of one checkpoint on one task set.
fn numbers(
    (evolution, phase): (&Evolution, Phase),
    evaluate: &Evaluate,
    (member, called): (&Member, &Name),
    (tasks, selection): (&Name, &Selection),
    ended: &[Ended<'_>],
) -> Vec<Score> {
    let number = |(name, number): (&Name, &NumberOf)| {
        let (mut given, mut counts) = (Scored::default(), VerdictCounts::default());
        let search = resolved_in(evolution, phase, &number.search()).ok()?;
        for (spec, output) in ended {
            if let (JobKind::Rollout(spec), JobOutput::Rollout { audit, counts: counted, .. }) = (&spec.kind, output)
                && (spec.policy, &spec.tasks.set, spec.tasks.split) == (member.checkpoint, tasks, selection.split)
                && spec.verify.last() == Some(&number.verifier)
                && *spec.search == search
            {
                counts.add(counted);
                audit.scored.iter().filter(|of| of.verifier == number.verifier.name()).for_each(|of| given.add(of));
            }
        }
        let value = match given.interval() {
            Some(value) => value,
            // Without scores a pass is 1 and a fail 0.
            None if number.verifier.decides() => wilson95(counts.pass, counts.pass + counts.fail)?,
            None => return None,
        };
        let n = if given.count > 0 { given.count } else { counts.pass + counts.fail };
        let (member, called) = (member.id.clone(), called.clone());
        let (tasks, split, metric) = (tasks.clone(), selection.split, Metric::Number(name.clone()));
        Some(Score { member, called, tasks, split, metric, value, n, tokens: None, knows: false, curve: Vec::new() })
    };
    evaluate.numbers.iter().filter_map(number).collect()
}

/// What the searches and their baseline did with one checkpoint on one task set.
fn searches(
    evaluate: &Evaluate,
    (member, called): (&Member, &Name),
    (tasks, selection): (&Name, &Selection),
    ended: &[Ended<'_>],
) -> Vec<Score> {
    let of = |metric: &Metric| {
        let mut curves: Vec<TaskCurve> = Vec::new();
        for (spec, output) in ended {
            if let (JobKind::Measure(spec), JobOutput::Measure { tasks: measured, .. }) = (&spec.kind, output)
                && (spec.policy, &spec.tasks.set, spec.tasks.split) == (member.checkpoint, tasks, selection.split)
                && spec.metric == *metric
            {
                curves.extend_from_slice(measured);
            }
        }
        curves
    };
    let measured = evaluate.measured().into_iter().map(|(metric, search)| {
        let curves = of(&metric);
        (metric, search.knows_answers(), curves)
    });
    let measured: Vec<(Metric, bool, Vec<TaskCurve>)> = measured.collect();
    let spendings = spendings(&measured.iter().map(|(_, _, curves)| curves.as_slice()).collect::<Vec<_>>());
    let score = |(metric, knows, curves): (Metric, bool, Vec<TaskCurve>)| {
        let (value, tokens) = whole(&curves)?;
        Some(Score {
            member: member.id.clone(),
            called: called.clone(),
            tasks: tasks.clone(),
            split: selection.split,
            metric,
            value,
            n: curves.len() as u64,
            tokens: Some(tokens),
            knows,
            curve: curve(&curves, &spendings),
        })
    };
    measured.into_iter().filter_map(score).collect()
}

/// One metric of one checkpoint on one task set.
struct Column<'a> {
    policy: Digest,
    tasks: &'a Name,
    selection: &'a Selection,
    metric: &'a Metric,
}

impl Column<'_> {
    /// The tasks' outcomes from the first probe that answers the metric.
    fn outcomes(&self, evolution: &Evolution, evaluate: &Evaluate, ended: &[Ended<'_>]) -> Vec<TaskOutcome> {
        let Some(probe) = probes(&evaluate.metrics).into_iter().find(|probe| probe.answers(self.metric)) else {
            return Vec::new();
        };
        let critic =
            probe.critic.as_ref().and_then(|role| evolution.current(role).ok()).map(|member| member.checkpoint);
        let is_it = |spec: &EvaluateSpec| {
            let tasks = spec.tasks.set == *self.tasks && spec.tasks.split == self.selection.split;
            tasks && spec.policy == self.policy && spec.critic == critic && spec.samples == probe.samples
        };
        let mut outcomes = Vec::new();
        for (spec, output) in ended {
            if let (JobKind::Evaluate(spec), JobOutput::Evaluate { tasks, .. }) = (&spec.kind, output)
                && is_it(spec)
            {
                outcomes.extend_from_slice(tasks);
            }
        }
        outcomes
    }
}

/// Whether a task is one of those that the metric is of.
fn counts(metric: &Metric, outcome: &TaskOutcome) -> bool {
    !matches!(metric, Metric::PairAccuracy(_)) || outcome.pair_accuracy().is_some()
}

fn measure(metric: &Metric, outcomes: &[TaskOutcome]) -> Option<Interval> {
    let share = |passed: &dyn Fn(&TaskOutcome) -> bool| {
        wilson95(outcomes.iter().filter(|outcome| passed(outcome)).count() as u64, outcomes.len() as u64)
    };
    match metric {
        Metric::PassAt1 => share(&|outcome| outcome.greedy_pass),
        Metric::PassAt(k) => pass_at_k(outcomes.iter().map(|outcome| (outcome.samples, outcome.passes)), *k),
        Metric::BestOf(_) => share(&|outcome| outcome.best_pass == Some(true)),
        Metric::PairAccuracy(_) => mean95(&outcomes.iter().filter_map(TaskOutcome::pair_accuracy).collect::<Vec<_>>()),
        Metric::Search(_) | Metric::Rerank(_) | Metric::Number(_) => None,
    }
}

/// Why an output cannot be the result of this job: a worker's mistake must never become a result.
pub(super) fn misfit(kind: &JobKind, output: &JobOutput) -> Option<String> {
    match (kind, output) {
        (JobKind::Base(_), JobOutput::Base { .. }) | (JobKind::Curate(_), JobOutput::Curate { .. }) => None,
        (JobKind::Rollout(rollout), JobOutput::Rollout { counts, .. }) => {
            let got = counts.total();
            let expected = rollout.search.trajectories().map(|each| each * rollout.tasks.indices.len() as u64);
            (expected.is_some_and(|expected| expected != got))
                .then(|| format!("the rollout has {got} verdicts for {} trajectories", expected.unwrap_or_default()))
        }
        (JobKind::Grow(grow), JobOutput::Grow { trees, .. }) => {
            let tasks = grow.rollout.tasks.indices.len() as u64;
            (trees.rows < tasks).then(|| format!("the {tasks} trees have {} nodes, less than their roots", trees.rows))
        }
        (JobKind::Bout(bout), JobOutput::Bout { pairs, .. }) => {
            let same = pairs.iter().map(|pair| pair.task).eq(bout.tasks.indices.iter().copied());
            let sound = pairs.iter().all(|pair| pair.half_points <= 4);
            (!same || !sound)
                .then(|| "the pairs are not those of the bout's tasks, in order, of 0 to 4 half points".to_owned())
        }
        (JobKind::Evaluate(evaluate), JobOutput::Evaluate { tasks, .. }) => {
            let same = tasks.iter().map(|outcome| outcome.task).eq(evaluate.tasks.indices.iter().copied());
            let sampled =
                |outcome: &TaskOutcome| outcome.samples == evaluate.samples && outcome.passes <= outcome.samples;
            let judged = |outcome: &TaskOutcome| {
                let critic = evaluate.critic.is_some();
                let ordered = outcome.half_pairs.is_none_or(|half| half <= 2 * outcome.pairs());
                outcome.best_pass.is_some() == critic && outcome.half_pairs.is_some() == critic && ordered
            };
            let sound = tasks.iter().all(|outcome| sampled(outcome) && judged(outcome));
            (!same || !sound)
                .then(|| "the outcomes are not those of the evaluation's tasks, in order, as sampled".to_owned())
        }
        (JobKind::Measure(measure), JobOutput::Measure { tasks, .. }) => mismeasured(measure, tasks),
        (JobKind::Sweep(sweep), JobOutput::Sweep { sums, .. }) => {
            let most = sweep.rollout.tasks.indices.len() as f64;
            let sound =
                sums.len() as u64 == sweep.sweep.count() && sums.iter().all(|sum| (0.0..=most + 1.0e-6).contains(sum));
            (!sound).then(|| "the sums are not one for each swept point, from 0 to the number of tasks".to_owned())
        }
        (JobKind::Propose(propose), JobOutput::Propose { questions, sifted, .. }) => {
            proposed::misfit(propose, questions, sifted)
        }
        (
            JobKind::Base(_)
            | JobKind::Rollout(_)
            | JobKind::Grow(_)
            | JobKind::Curate(_)
            | JobKind::Bout(_)
            | JobKind::Evaluate(_)
            | JobKind::Measure(_)
            | JobKind::Sweep(_)
            | JobKind::Propose(_),
            JobOutput::Base { .. }
            | JobOutput::Rollout { .. }
            | JobOutput::Grow { .. }
            | JobOutput::Curate { .. }
            | JobOutput::Bout { .. }
            | JobOutput::Evaluate { .. }
            | JobOutput::Measure { .. }
            | JobOutput::Sweep { .. }
            | JobOutput::Propose { .. },
        ) => Some(format!("the result is not that of a {} job", kind.name())),
    }
}

/// Why curves are not those of a measured search.
fn mismeasured(measure: &MeasureSpec, tasks: &[TaskCurve]) -> Option<String> {
    let same = tasks.iter().map(|curve| curve.task).eq(measure.tasks.indices.iter().copied());
    let sound = tasks.iter().all(|curve| {
        let ascend = curve.moments.is_sorted_by(|a, b| a.tokens < b.tokens);
        ascend && !curve.moments.is_empty() && curve.moments.iter().all(|moment| moment.passes <= moment.answers)
    });
    (!same || !sound)
        .then(|| "the curves are not those of the measured tasks, in order, with ascending tokens".to_owned())
}

//! What fake workers make: pure functions of the spec, as real workers' results are.

use galapagos_domain::artifact::ArtifactRef;
use galapagos_domain::ids::Digest;
use galapagos_domain::job::{
    BoutSpec, CurateFrom, EvaluateSpec, JobKind, JobOutput, JobSpec, MeasureSpec, Moment, OperatorCount, PairOutcome,
    ProposePart, Sifted, SweepSpec, TaskCurve, TaskOutcome,
};
use galapagos_domain::recipe::search::Search;
use galapagos_domain::round::{RoundSpec, Vote};
use galapagos_domain::trajectory::{Audit, VerdictCounts};
use serde::Serialize;

fn digest(of: &impl Serialize) -> Digest {
    Digest::of(&serde_json::to_vec(of).unwrap())
}

/// A number below `below` that depends on all of `of`.
fn draw(of: &impl Serialize, below: u64) -> u64 {
    u64::from_str_radix(&digest(of).hex()[..8], 16).unwrap() % below
}

pub fn output(spec: &JobSpec) -> JobOutput {
    let made = digest(&(&spec.kind, spec.seed));
    match &spec.kind {
        JobKind::Base(base) => JobOutput::Base {
            checkpoint: digest(&("base", base)),
            weights: digest(&("weights", base)),
            source: "fake".to_owned(),
        },
        JobKind::Rollout(rollout) => {
            let all = rollout.tasks.indices.len() as u64 * rollout.search.trajectories().unwrap_or(1);
            let pass = draw(&made, all + 1);
            let counts = VerdictCounts { pass, fail: all - pass, ..VerdictCounts::default() };
            let trajectories = ArtifactRef { digest: made, bytes: 10, rows: all };
            let grows = matches!(*rollout.search, Search::Mcts(_) | Search::StepBeam(_));
            let trees =
                grows.then(|| ArtifactRef { digest: Digest::of(made.hex().as_bytes()), bytes: 10, rows: 5 * all });
            let (audit, judges) = (Box::<Audit>::default(), Vec::new());
            JobOutput::Rollout { trajectories, trees, counts, audit, tokens: 7 * all, judges }
        }
        JobKind::Grow(grow) => {
            let rows = 3 * grow.rollout.tasks.indices.len() as u64;
            JobOutput::Grow { trees: ArtifactRef { digest: made, bytes: 10, rows }, tokens: 4 }
        }
        JobKind::Curate(curate) => {
            let records_in = match &curate.from {
                CurateFrom::Trajectories(files) => files.iter().map(|file| file.rows).sum(),
                CurateFrom::Demonstrations { tasks, .. } | CurateFrom::Questions { tasks, .. } => {
                    tasks.indices.len() as u64
                }
            };
            let operator = OperatorCount::new("all", records_in, records_in / 2);
            let dataset = ArtifactRef { digest: made, bytes: 10, rows: records_in / 2 };
            JobOutput::Curate { dataset, operators: vec![operator] }
        }
        JobKind::Bout(bout) => JobOutput::Bout { pairs: pairs(spec, bout), tokens: 3 },
        JobKind::Evaluate(evaluate) => JobOutput::Evaluate { tasks: outcomes(spec, evaluate), tokens: 5 },
        JobKind::Measure(measure) => JobOutput::Measure { tasks: curves(spec, measure), tokens: 6 },
        JobKind::Sweep(sweep) => JobOutput::Sweep { sums: sums(spec, sweep), tokens: 11 },
        JobKind::Propose(propose) => {
            let sifted = match &propose.part {
                // Every third question is malformed.
                ProposePart::Write { from, to } => {
                    let tries = u64::from(to - from);
                    Sifted { tries, malformed: tries / 3, kept: tries - tries / 3, ..Sifted::default() }
                }
                ProposePart::Gather(tables) => {
                    let drawn: u64 = tables.iter().map(|table| table.rows).sum();
                    let kept = drawn.min(u64::from(propose.n));
                    Sifted { surplus: drawn - kept, kept, ..Sifted::default() }
                }
            };
            let questions = ArtifactRef { digest: made, bytes: 10, rows: sifted.kept };
            JobOutput::Propose { questions, sifted, tokens: 2 }
        }
    }
}

/// Every task is worth a share of its own at every point.
fn sums(spec: &JobSpec, sweep: &SweepSpec) -> Vec<f64> {
    let share = |task: &u32, point: u64| draw(&(&sweep.rollout.search, spec.seed, task, point), 1000) as f64 / 1000.0;
    let sum = |point: u64| sweep.rollout.tasks.indices.iter().map(|task| share(task, point)).sum();
    (0..sweep.sweep.count()).map(sum).collect()
}

/// An answer early and one later.
fn curves(spec: &JobSpec, measure: &MeasureSpec) -> Vec<TaskCurve> {
    let curve = |task: &u32| {
        let moment = |tokens| {
            let passes = draw(&(spec.seed, &measure.metric, task, tokens), 2);
            Moment { tokens, answers: 1, passes: u32::try_from(passes).unwrap() }
        };
        TaskCurve { task: *task, moments: vec![moment(10), moment(40)] }
    };
    measure.tasks.indices.iter().map(curve).collect()
}

/// The challenger wins somewhat more than it loses, so that gates decide after different numbers of pairs.
fn pairs(spec: &JobSpec, bout: &BoutSpec) -> Vec<PairOutcome> {
    let strength = draw(&(bout.holder, bout.challenger), 4);
    let pair = |task: &u32| {
        let luck = draw(&(spec.seed, bout.holder, bout.challenger, task), 5);
        PairOutcome { task: *task, half_points: u8::try_from((luck + strength).clamp(1, 5) - 1).unwrap() }
    };
    bout.tasks.indices.iter().map(pair).collect()
}

fn outcomes(spec: &JobSpec, evaluate: &EvaluateSpec) -> Vec<TaskOutcome> {
    let outcome = |task: &u32| {
        let luck = draw(&(spec.seed, evaluate.policy, evaluate.critic, task), 100);
        let passes = u32::try_from(luck).unwrap() % (evaluate.samples + 1);
        let best_pass = evaluate.critic.map(|_| luck.is_multiple_of(3));
        let (greedy_pass, samples) = (luck.is_multiple_of(2), evaluate.samples);
        let half_pairs = evaluate.critic.map(|_| u64::from(passes) * u64::from(samples - passes));
        TaskOutcome { task: *task, greedy_pass, samples, passes, best_pass, half_pairs }
    };
    evaluate.tasks.indices.iter().map(outcome).collect()
}

pub fn vote(round: &RoundSpec, rank: u32) -> Vote {
    let weights = digest(round);
    let checkpoint = (rank == 0).then(|| digest(&("checkpoint", round)));
    Vote { checkpoint, ..Vote::new(weights, 9, 0.1 + 1.0 / 3.0) }
}

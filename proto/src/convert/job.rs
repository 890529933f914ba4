//! `job.proto`: job specs and outputs.

use galapagos_domain::calibration::Calibration;
use galapagos_domain::job::{
    BoutSpec, CurateFrom, CurateSpec, EvaluateSpec, GrowSpec, JobKind, JobOutput, JobSpec, MeasureSpec, Moment,
    OperatorCount, Oracle, PairOutcome, RolloutSpec, TaskCurve, TaskOutcome,
};
use galapagos_domain::seed::Seed;

use super::{ConvertError, Fields, all, all_into, to_json};
use crate::v1;

impl From<JobSpec> for v1::JobSpec {
    fn from(spec: JobSpec) -> Self {
        use v1::job_spec::Kind;
        let kind = match spec.kind {
            JobKind::Base(base) => Kind::Base(v1::BaseJob { base_json: to_json(&base) }),
            JobKind::Rollout(rollout) => Kind::Rollout(rollout.into()),
            JobKind::Grow(grow) => Kind::Grow(grow.into()),
            JobKind::Curate(curate) => Kind::Curate(curate.into()),
            JobKind::Bout(bout) => Kind::Bout(bout.into()),
            JobKind::Evaluate(evaluate) => Kind::Evaluate(evaluate.into()),
            JobKind::Measure(measure) => Kind::Measure(measure.into()),
        };
        Self {
            job_id: spec.id.into(),
            evolution_id: spec.evolution.into(),
            seed: spec.seed.0,
            time_limit_ms: spec.time_limit_ms,
            kind: Some(kind),
        }
    }
}

impl TryFrom<v1::JobSpec> for JobSpec {
    type Error = ConvertError;
    fn try_from(wire: v1::JobSpec) -> Result<Self, ConvertError> {
        use v1::job_spec::Kind;
        let fields = Fields("JobSpec");
        let kind = match fields.required("kind", wire.kind)? {
            Kind::Base(base) => JobKind::Base(Fields("BaseJob").fragment("base_json", &base.base_json)?),
            Kind::Rollout(rollout) => JobKind::Rollout(rollout.try_into()?),
            Kind::Grow(grow) => JobKind::Grow(grow.try_into()?),
            Kind::Curate(curate) => JobKind::Curate(curate.try_into()?),
            Kind::Bout(bout) => JobKind::Bout(bout.try_into()?),
            Kind::Evaluate(evaluate) => JobKind::Evaluate(evaluate.try_into()?),
            Kind::Measure(measure) => JobKind::Measure(measure.try_into()?),
        };
        Ok(Self {
            id: fields.id("job_id", &wire.job_id)?,
            evolution: fields.id("evolution_id", &wire.evolution_id)?,
            seed: Seed(wire.seed),
            time_limit_ms: wire.time_limit_ms,
            kind,
        })
    }
}

impl From<RolloutSpec> for v1::RolloutJob {
    fn from(spec: RolloutSpec) -> Self {
        Self {
            policy: Some(spec.policy.into()),
            tasks: Some(spec.tasks.into()),
            search_json: to_json(&spec.search),
            verify_json: to_json(&spec.verify),
            critics_json: to_json(&spec.critics),
            trust_json: to_json(&spec.trust),
            grown: spec.grown.into_iter().map(|parts| v1::GrownWave { parts: all_into(parts) }).collect(),
        }
    }
}

impl TryFrom<v1::RolloutJob> for RolloutSpec {
    type Error = ConvertError;
    fn try_from(wire: v1::RolloutJob) -> Result<Self, ConvertError> {
        let fields = Fields("RolloutJob");
        Ok(Self {
            policy: fields.digest("policy", wire.policy)?,
            tasks: fields.message("tasks", wire.tasks)?,
            search: fields.fragment("search_json", &wire.search_json)?,
            verify: fields.fragment("verify_json", &wire.verify_json)?,
            critics: fields.fragment("critics_json", &wire.critics_json)?,
            trust: fields.fragment("trust_json", &wire.trust_json)?,
            grown: wire.grown.into_iter().map(|wave| all(wave.parts)).collect::<Result<_, _>>()?,
        })
    }
}

impl From<GrowSpec> for v1::GrowJob {
    fn from(GrowSpec { rollout, part }: GrowSpec) -> Self {
        Self { rollout: Some(rollout.into()), part }
    }
}

impl TryFrom<v1::GrowJob> for GrowSpec {
    type Error = ConvertError;
    fn try_from(wire: v1::GrowJob) -> Result<Self, ConvertError> {
        Ok(Self { rollout: Fields("GrowJob").message("rollout", wire.rollout)?, part: wire.part })
    }
}

impl From<CurateSpec> for v1::CurateJob {
    fn from(spec: CurateSpec) -> Self {
        use v1::curate_job::From as Wire;
        let from = match spec.from {
            CurateFrom::Trajectories(files) => Wire::Trajectories(v1::TrajectoryFiles { files: all_into(files) }),
            CurateFrom::Demonstrations { base, tasks } => {
                Wire::Demonstrations(v1::Demonstrations { base: Some(base.into()), tasks: Some((*tasks).into()) })
            }
        };
        let with =
            spec.with.into_iter().map(|(name, files)| v1::NamedFiles { name: name.into(), files: all_into(files) });
        Self {
            from: Some(from),
            apply_json: to_json(&spec.apply),
            trees: all_into(spec.trees),
            text: spec.text.map(Into::into),
            tasks: all_into(spec.tasks),
            with: with.collect(),
        }
    }
}

impl TryFrom<v1::CurateJob> for CurateSpec {
    type Error = ConvertError;
    fn try_from(wire: v1::CurateJob) -> Result<Self, ConvertError> {
        use v1::curate_job::From as Wire;
        let fields = Fields("CurateJob");
        let from = match fields.required("from", wire.from)? {
            Wire::Trajectories(trajectories) => CurateFrom::Trajectories(all(trajectories.files)?),
            Wire::Demonstrations(demonstrations) => {
                let fields = Fields("Demonstrations");
                CurateFrom::Demonstrations {
                    base: fields.digest("base", demonstrations.base)?,
                    tasks: Box::new(fields.message("tasks", demonstrations.tasks)?),
                }
            }
        };
        let named = |wire: v1::NamedFiles| Ok((Fields("NamedFiles").id("name", &wire.name)?, all(wire.files)?));
        Ok(Self {
            from,
            apply: fields.fragment("apply_json", &wire.apply_json)?,
            trees: all(wire.trees)?,
            text: fields.optional_digest("text", wire.text)?,
            tasks: all(wire.tasks)?,
            with: wire.with.into_iter().map(named).collect::<Result<_, ConvertError>>()?,
        })
    }
}

impl From<BoutSpec> for v1::BoutJob {
    fn from(spec: BoutSpec) -> Self {
        Self {
            holder: Some(spec.holder.into()),
            challenger: Some(spec.challenger.into()),
            tasks: Some(spec.tasks.into()),
            sampling: Some(spec.sampling.into()),
        }
    }
}

impl TryFrom<v1::BoutJob> for BoutSpec {
    type Error = ConvertError;
    fn try_from(wire: v1::BoutJob) -> Result<Self, ConvertError> {
        let fields = Fields("BoutJob");
        Ok(Self {
            holder: fields.digest("holder", wire.holder)?,
            challenger: fields.digest("challenger", wire.challenger)?,
            tasks: fields.message("tasks", wire.tasks)?,
            sampling: fields.message("sampling", wire.sampling)?,
        })
    }
}

impl From<EvaluateSpec> for v1::EvaluateJob {
    fn from(spec: EvaluateSpec) -> Self {
        Self {
            policy: Some(spec.policy.into()),
            critic: spec.critic.map(Into::into),
            critic_shots: spec.critic_shots,
            tasks: Some(spec.tasks.into()),
            samples: spec.samples,
            sampling: Some(spec.sampling.into()),
        }
    }
}

impl TryFrom<v1::EvaluateJob> for EvaluateSpec {
    type Error = ConvertError;
    fn try_from(wire: v1::EvaluateJob) -> Result<Self, ConvertError> {
        let fields = Fields("EvaluateJob");
        Ok(Self {
            policy: fields.digest("policy", wire.policy)?,
            critic: fields.optional_digest("critic", wire.critic)?,
            critic_shots: wire.critic_shots,
            tasks: fields.message("tasks", wire.tasks)?,
            samples: wire.samples,
            sampling: fields.message("sampling", wire.sampling)?,
        })
    }
}

impl From<MeasureSpec> for v1::MeasureJob {
    fn from(spec: MeasureSpec) -> Self {
        Self {
            policy: Some(spec.policy.into()),
            tasks: Some(spec.tasks.into()),
            metric_json: to_json(&spec.metric),
            search_json: to_json(&spec.search),
            critics_json: to_json(&spec.critics),
        }
    }
}

impl TryFrom<v1::MeasureJob> for MeasureSpec {
    type Error = ConvertError;
    fn try_from(wire: v1::MeasureJob) -> Result<Self, ConvertError> {
        let fields = Fields("MeasureJob");
        Ok(Self {
            policy: fields.digest("policy", wire.policy)?,
            tasks: fields.message("tasks", wire.tasks)?,
            metric: fields.fragment("metric_json", &wire.metric_json)?,
            search: fields.fragment("search_json", &wire.search_json)?,
            critics: fields.fragment("critics_json", &wire.critics_json)?,
        })
    }
}

impl From<JobOutput> for v1::JobOutput {
    fn from(output: JobOutput) -> Self {
        use v1::job_output::Kind;
        let kind = match output {
            JobOutput::Base { checkpoint, weights, source } => Kind::Base(v1::BaseOutput {
                checkpoint: Some(checkpoint.into()),
                weights: Some(weights.into()),
                source,
            }),
            JobOutput::Rollout { trajectories, trees, counts, audit, tokens, judges } => {
                Kind::Rollout(v1::RolloutOutput {
                    trajectories: Some(trajectories.into()),
                    trees: trees.map(Into::into),
                    counts: Some(counts.into()),
                    audit_json: to_json(&audit),
                    tokens,
                    judges: all_into(judges),
                })
            }
            JobOutput::Grow { trees, tokens } => Kind::Grow(v1::GrowOutput { trees: Some(trees.into()), tokens }),
            JobOutput::Curate { dataset, operators } => {
                Kind::Curate(v1::CurateOutput { dataset: Some(dataset.into()), operators: all_into(operators) })
            }
            JobOutput::Bout { pairs, tokens } => Kind::Bout(v1::BoutOutput { pairs: all_into(pairs), tokens }),
            JobOutput::Evaluate { tasks, tokens } => {
                Kind::Evaluate(v1::EvaluateOutput { tasks: all_into(tasks), tokens })
            }
            JobOutput::Measure { tasks, tokens } => Kind::Measure(v1::MeasureOutput { tasks: all_into(tasks), tokens }),
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<v1::JobOutput> for JobOutput {
    type Error = ConvertError;
    fn try_from(wire: v1::JobOutput) -> Result<Self, ConvertError> {
        use v1::job_output::Kind;
        match Fields("JobOutput").required("kind", wire.kind)? {
            Kind::Base(base) => {
                let fields = Fields("BaseOutput");
                Ok(Self::Base {
                    checkpoint: fields.digest("checkpoint", base.checkpoint)?,
                    weights: fields.digest("weights", base.weights)?,
                    source: base.source,
                })
            }
            Kind::Rollout(rollout) => {
                let fields = Fields("RolloutOutput");
                Ok(Self::Rollout {
                    trajectories: fields.message("trajectories", rollout.trajectories)?,
                    trees: rollout.trees.map(TryInto::try_into).transpose()?,
                    counts: fields.message("counts", rollout.counts)?,
                    audit: fields.fragment("audit_json", &rollout.audit_json)?,
                    tokens: rollout.tokens,
                    judges: all(rollout.judges)?,
                })
            }
            Kind::Grow(grow) => {
                Ok(Self::Grow { trees: Fields("GrowOutput").message("trees", grow.trees)?, tokens: grow.tokens })
            }
            Kind::Curate(curate) => Ok(Self::Curate {
                dataset: Fields("CurateOutput").message("dataset", curate.dataset)?,
                operators: all(curate.operators)?,
            }),
            Kind::Bout(bout) => Ok(Self::Bout { pairs: all(bout.pairs)?, tokens: bout.tokens }),
            Kind::Evaluate(evaluate) => Ok(Self::Evaluate { tasks: all(evaluate.tasks)?, tokens: evaluate.tokens }),
            Kind::Measure(measure) => Ok(Self::Measure { tasks: all(measure.tasks)?, tokens: measure.tokens }),
        }
    }
}

impl From<Calibration> for v1::Calibration {
    fn from(figures: Calibration) -> Self {
        let Calibration { verifier, right, right_passed, wrong, wrong_failed, undecided, .. } = figures;
        let Calibration { brier, ece, order_bias, at_least, trusted, .. } = figures;
        Self {
            verifier,
            right,
            right_passed,
            wrong,
            wrong_failed,
            undecided,
            brier,
            ece,
            order_bias,
            at_least,
            trusted,
        }
    }
}

impl TryFrom<v1::Calibration> for Calibration {
    type Error = ConvertError;
    fn try_from(wire: v1::Calibration) -> Result<Self, ConvertError> {
        let fields = Fields("Calibration");
        let v1::Calibration { right, right_passed, wrong, wrong_failed, undecided, .. } = wire;
        for (field, part, whole) in [("right_passed", right_passed, right), ("wrong_failed", wrong_failed, wrong)] {
            if part > whole {
                return Err(fields.out_of_range(field, part, "at most those shown"));
            }
        }
        let v1::Calibration { brier, ece, order_bias, at_least, trusted, .. } = wire;
        let verifier = fields.text("verifier", wire.verifier)?;
        Ok(Self {
            verifier,
            right,
            right_passed,
            wrong,
            wrong_failed,
            undecided,
            brier,
            ece,
            order_bias,
            at_least,
            trusted,
        })
    }
}

impl From<OperatorCount> for v1::OperatorCount {
    fn from(count: OperatorCount) -> Self {
        let oracle = count.oracle.map(|Oracle { passes_in, decided_in, passes_out, decided_out }| v1::Oracle {
            passes_in,
            decided_in,
            passes_out,
            decided_out,
        });
        let OperatorCount { operator, records_in, records_out, without, .. } = count;
        Self { operator, records_in, records_out, without, oracle }
    }
}

impl TryFrom<v1::OperatorCount> for OperatorCount {
    type Error = ConvertError;
    fn try_from(wire: v1::OperatorCount) -> Result<Self, ConvertError> {
        let operator = Fields("OperatorCount").text("operator", wire.operator)?;
        let oracle = wire.oracle.map(|v1::Oracle { passes_in, decided_in, passes_out, decided_out }| Oracle {
            passes_in,
            decided_in,
            passes_out,
            decided_out,
        });
        let v1::OperatorCount { records_in, records_out, without, .. } = wire;
        Ok(Self { operator, records_in, records_out, without, oracle })
    }
}

impl From<PairOutcome> for v1::PairOutcome {
    fn from(pair: PairOutcome) -> Self {
        Self { task: pair.task, half_points: pair.half_points.into() }
    }
}

impl TryFrom<v1::PairOutcome> for PairOutcome {
    type Error = ConvertError;
    fn try_from(wire: v1::PairOutcome) -> Result<Self, ConvertError> {
        match u8::try_from(wire.half_points) {
            Ok(half_points @ 0..=4) => Ok(Self { task: wire.task, half_points }),
            Ok(_) | Err(_) => Err(Fields("PairOutcome").out_of_range("half_points", wire.half_points, "0 to 4")),
        }
    }
}

impl From<TaskOutcome> for v1::TaskOutcome {
    fn from(outcome: TaskOutcome) -> Self {
        let TaskOutcome { task, greedy_pass, samples, passes, best_pass } = outcome;
        Self { task, greedy_pass, samples, passes, best_pass }
    }
}

impl TryFrom<v1::TaskOutcome> for TaskOutcome {
    type Error = ConvertError;
    fn try_from(wire: v1::TaskOutcome) -> Result<Self, ConvertError> {
        let v1::TaskOutcome { task, greedy_pass, samples, passes, best_pass } = wire;
        if passes > samples {
            return Err(Fields("TaskOutcome").out_of_range("passes", passes, "0 to `samples`"));
        }
        Ok(Self { task, greedy_pass, samples, passes, best_pass })
    }
}

impl From<TaskCurve> for v1::TaskCurve {
    fn from(curve: TaskCurve) -> Self {
        Self { task: curve.task, moments: all_into(curve.moments) }
    }
}

impl TryFrom<v1::TaskCurve> for TaskCurve {
    type Error = ConvertError;
    fn try_from(wire: v1::TaskCurve) -> Result<Self, ConvertError> {
        Ok(Self { task: wire.task, moments: all(wire.moments)? })
    }
}

impl From<Moment> for v1::Moment {
    fn from(Moment { tokens, answers, passes }: Moment) -> Self {
        Self { tokens, answers, passes }
    }
}

impl TryFrom<v1::Moment> for Moment {
    type Error = ConvertError;
    fn try_from(v1::Moment { tokens, answers, passes }: v1::Moment) -> Result<Self, ConvertError> {
        if passes > answers {
            return Err(Fields("Moment").out_of_range("passes", passes, "0 to `answers`"));
        }
        Ok(Self { tokens, answers, passes })
    }
}

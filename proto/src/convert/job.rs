//! `job.proto`: job specs; `output` has what comes back.

mod output;
mod propose;

use galapagos_domain::job::{
    BoutSpec, CurateFrom, CurateSpec, EvaluateSpec, GrowSpec, JobKind, JobSpec, MeasureSpec, RolloutSpec, SweepSpec,
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
            JobKind::Sweep(sweep) => Kind::Sweep(sweep.into()),
            JobKind::Propose(propose) => Kind::Propose((*propose).into()),
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
            Kind::Sweep(sweep) => JobKind::Sweep(sweep.try_into()?),
            Kind::Propose(propose) => JobKind::Propose(Box::new(propose.try_into()?)),
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

impl From<SweepSpec> for v1::SweepJob {
    fn from(SweepSpec { rollout, sweep }: SweepSpec) -> Self {
        Self { rollout: Some(rollout.into()), sweep_json: to_json(&sweep) }
    }
}

impl TryFrom<v1::SweepJob> for SweepSpec {
    type Error = ConvertError;
    fn try_from(wire: v1::SweepJob) -> Result<Self, ConvertError> {
        let fields = Fields("SweepJob");
        Ok(Self {
            rollout: fields.message("rollout", wire.rollout)?,
            sweep: fields.fragment("sweep_json", &wire.sweep_json)?,
        })
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
            CurateFrom::Questions { base, tasks, seeds } => {
                Wire::Questions(v1::Questions { base: Some(base.into()), tasks: Some((*tasks).into()), seeds })
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
            critics_json: to_json(&spec.critics),
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
            Wire::Questions(questions) => {
                let fields = Fields("Questions");
                CurateFrom::Questions {
                    base: fields.digest("base", questions.base)?,
                    tasks: Box::new(fields.message("tasks", questions.tasks)?),
                    seeds: questions.seeds,
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
            critics: fields.fragment("critics_json", &wire.critics_json)?,
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

//! `job.proto`: what a finished job reports.

use galapagos_domain::calibration::Calibration;
use galapagos_domain::job::{JobOutput, Moment, OperatorCount, Oracle, PairOutcome, TaskCurve, TaskOutcome};

use crate::convert::{ConvertError, Fields, all, all_into, to_json};
use crate::v1;

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
            JobOutput::Sweep { sums, tokens } => Kind::Sweep(v1::SweepOutput { sums, tokens }),
            JobOutput::Propose { questions, sifted, tokens } => Kind::Propose(v1::ProposeOutput {
                questions: Some(questions.into()),
                sifted_json: to_json(&sifted),
                tokens,
            }),
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
            Kind::Sweep(sweep) => Ok(Self::Sweep { sums: sweep.sums, tokens: sweep.tokens }),
            Kind::Propose(propose) => {
                let fields = Fields("ProposeOutput");
                Ok(Self::Propose {
                    questions: fields.message("questions", propose.questions)?,
                    sifted: fields.fragment("sifted_json", &propose.sifted_json)?,
                    tokens: propose.tokens,
                })
            }
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
        let OperatorCount { operator, records_in, records_out, without, doubted, .. } = count;
        Self { operator, records_in, records_out, without, doubted, oracle }
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
        let v1::OperatorCount { records_in, records_out, without, doubted, .. } = wire;
        Ok(Self { operator, records_in, records_out, without, doubted, oracle })
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
        let TaskOutcome { task, greedy_pass, samples, passes, best_pass, half_pairs } = outcome;
        Self { task, greedy_pass, samples, passes, best_pass, half_pairs }
    }
}

impl TryFrom<v1::TaskOutcome> for TaskOutcome {
    type Error = ConvertError;
    fn try_from(wire: v1::TaskOutcome) -> Result<Self, ConvertError> {
        let v1::TaskOutcome { task, greedy_pass, samples, passes, best_pass, half_pairs } = wire;
        if passes > samples {
            return Err(Fields("TaskOutcome").out_of_range("passes", passes, "0 to `samples`"));
        }
        Ok(Self { task, greedy_pass, samples, passes, best_pass, half_pairs })
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

//! `job.proto`: jobs of `propose`.

use galapagos_domain::job::{ProposePart, ProposeSpec};

use crate::convert::{ConvertError, Fields, all, all_into};
use crate::v1;

impl From<ProposeSpec> for v1::ProposeJob {
    fn from(spec: ProposeSpec) -> Self {
        use v1::propose_job::Part;
        let part = match spec.part {
            ProposePart::Write { from, to } => Part::Write(v1::WriteQuestions { from, to }),
            ProposePart::Gather(tables) => Part::Gather(v1::GatherQuestions { tables: all_into(tables) }),
        };
        Self {
            policy: Some(spec.policy.into()),
            set: spec.set.into(),
            tasks: Some(spec.tasks.into()),
            held_out: all_into(spec.held_out),
            seeds: spec.seeds,
            sampling: Some(spec.sampling.into()),
            n: spec.n,
            keys: spec.keys,
            part: Some(part),
        }
    }
}

impl TryFrom<v1::ProposeJob> for ProposeSpec {
    type Error = ConvertError;
    fn try_from(wire: v1::ProposeJob) -> Result<Self, ConvertError> {
        use v1::propose_job::Part;
        let fields = Fields("ProposeJob");
        let part = match fields.required("part", wire.part)? {
            Part::Write(v1::WriteQuestions { from, to }) => ProposePart::Write { from, to },
            Part::Gather(gather) => ProposePart::Gather(all(gather.tables)?),
        };
        Ok(Self {
            policy: fields.digest("policy", wire.policy)?,
            set: fields.id("set", &wire.set)?,
            tasks: fields.message("tasks", wire.tasks)?,
            held_out: all(wire.held_out)?,
            seeds: wire.seeds,
            sampling: fields.message("sampling", wire.sampling)?,
            n: wire.n,
            keys: wire.keys,
            part,
        })
    }
}

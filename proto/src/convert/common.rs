//! `common.proto`: digests, tokens, artifacts, tasks, failures.

use galapagos_domain::artifact::ArtifactRef;
use galapagos_domain::fence::FencingToken;
use galapagos_domain::ids::Digest;
use galapagos_domain::job::{FailureClass, JobFailure, Sampling, TaskSlice};
use galapagos_domain::recipe::tasks::Split;
use galapagos_domain::seed::Seed;
use galapagos_domain::trajectory::VerdictCounts;

use super::{ConvertError, Fields, to_json};
use crate::v1;

impl From<Digest> for v1::Digest {
    fn from(digest: Digest) -> Self {
        Self { blake3: digest.bytes().to_vec() }
    }
}

impl From<FencingToken> for v1::FencingToken {
    fn from(token: FencingToken) -> Self {
        Self { value: token.0 }
    }
}

impl From<ArtifactRef> for v1::ArtifactRef {
    fn from(artifact: ArtifactRef) -> Self {
        Self { digest: Some(artifact.digest.into()), bytes: artifact.bytes, rows: artifact.rows }
    }
}

impl TryFrom<v1::ArtifactRef> for ArtifactRef {
    type Error = ConvertError;
    fn try_from(wire: v1::ArtifactRef) -> Result<Self, ConvertError> {
        let digest = Fields("ArtifactRef").digest("digest", wire.digest)?;
        Ok(Self { digest, bytes: wire.bytes, rows: wire.rows })
    }
}

impl From<VerdictCounts> for v1::VerdictCounts {
    fn from(counts: VerdictCounts) -> Self {
        let VerdictCounts { pass, fail, error, timeout, suspect } = counts;
        Self { pass, fail, error, timeout, suspect }
    }
}

impl TryFrom<v1::VerdictCounts> for VerdictCounts {
    type Error = ConvertError;
    fn try_from(wire: v1::VerdictCounts) -> Result<Self, ConvertError> {
        let v1::VerdictCounts { pass, fail, error, timeout, suspect } = wire;
        Ok(Self { pass, fail, error, timeout, suspect })
    }
}

impl From<Split> for v1::Split {
    fn from(split: Split) -> Self {
        match split {
            Split::Train => Self::Train,
            Split::Val => Self::Val,
            Split::Test => Self::Test,
            Split::Demonstrations => Self::Demonstrations,
        }
    }
}

fn split(fields: Fields, value: i32) -> Result<Split, ConvertError> {
    match v1::Split::try_from(value) {
        Ok(v1::Split::Train) => Ok(Split::Train),
        Ok(v1::Split::Val) => Ok(Split::Val),
        Ok(v1::Split::Test) => Ok(Split::Test),
        Ok(v1::Split::Demonstrations) => Ok(Split::Demonstrations),
        Ok(v1::Split::Unspecified) => Err(ConvertError::Missing { message: fields.0, field: "split" }),
        Err(_) => Err(fields.out_of_range("split", value, "the known splits")),
    }
}

impl From<TaskSlice> for v1::TaskSlice {
    fn from(slice: TaskSlice) -> Self {
        Self {
            set: slice.set.into(),
            source_json: to_json(&slice.source),
            split: v1::Split::from(slice.split).into(),
            indices: slice.indices,
            seed: slice.seed.0,
            proposed: slice.proposed.map(Into::into),
        }
    }
}

impl TryFrom<v1::TaskSlice> for TaskSlice {
    type Error = ConvertError;
    fn try_from(wire: v1::TaskSlice) -> Result<Self, ConvertError> {
        let fields = Fields("TaskSlice");
        Ok(Self {
            set: fields.id("set", &wire.set)?,
            source: fields.fragment("source_json", &wire.source_json)?,
            split: split(fields, wire.split)?,
            indices: wire.indices,
            seed: Seed(wire.seed),
            proposed: wire.proposed.map(TryInto::try_into).transpose()?,
        })
    }
}

impl From<Sampling> for v1::Sampling {
    fn from(sampling: Sampling) -> Self {
        Self {
            temperature: sampling.temperature,
            top_p: sampling.top_p,
            max_tokens: sampling.max_tokens,
            top_k: sampling.top_k,
            min_p: sampling.min_p,
            repetition_penalty: Some(sampling.repetition_penalty),
            guide_json: sampling.guide.as_ref().map(to_json),
            speculate_json: to_json(&sampling.speculate),
        }
    }
}

impl TryFrom<v1::Sampling> for Sampling {
    type Error = ConvertError;
    fn try_from(wire: v1::Sampling) -> Result<Self, ConvertError> {
        let fields = Fields("Sampling");
        Ok(Self {
            temperature: fields.finite("temperature", wire.temperature)?,
            top_p: fields.finite("top_p", wire.top_p)?,
            max_tokens: wire.max_tokens,
            top_k: wire.top_k,
            min_p: fields.finite("min_p", wire.min_p)?,
            repetition_penalty: fields
                .finite("repetition_penalty", fields.required("repetition_penalty", wire.repetition_penalty)?)?,
            guide: wire.guide_json.map(|json| fields.fragment("guide_json", &json)).transpose()?,
            speculate: fields.fragment("speculate_json", &wire.speculate_json)?,
        })
    }
}

impl From<JobFailure> for v1::JobFailure {
    fn from(failure: JobFailure) -> Self {
        let class = match failure.class {
            FailureClass::Invalid => v1::FailureClass::Invalid,
            FailureClass::Transient => v1::FailureClass::Transient,
            FailureClass::Lost => v1::FailureClass::Lost,
        };
        Self { class: class.into(), chain: failure.chain }
    }
}

impl TryFrom<v1::JobFailure> for JobFailure {
    type Error = ConvertError;
    fn try_from(wire: v1::JobFailure) -> Result<Self, ConvertError> {
        let fields = Fields("JobFailure");
        let class = match v1::FailureClass::try_from(wire.class) {
            Ok(v1::FailureClass::Invalid) => FailureClass::Invalid,
            Ok(v1::FailureClass::Transient) => FailureClass::Transient,
            Ok(v1::FailureClass::Lost) => FailureClass::Lost,
            Ok(v1::FailureClass::Unspecified) => {
                return Err(ConvertError::Missing { message: fields.0, field: "class" });
            }
            Err(_) => return Err(fields.out_of_range("class", wire.class, "the known classes")),
        };
        Ok(Self { class, chain: wire.chain })
    }
}

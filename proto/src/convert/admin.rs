//! `admin.proto`: versioned documents and the one-line summary of an evolution.

use galapagos_domain::cluster::view::{EvolutionView, Status};
use galapagos_domain::ids::{EvolutionId, Name};
use galapagos_domain::seed::Seed;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{ConvertError, Fields};
use crate::v1;

/// Version of the evolution view's JSON, as in [`EvolutionView::version`].
const VIEW_VERSION: u32 = 1;

/// `value` as a document of that version.
///
/// # Errors
/// If the value has no JSON form; `what` names it in the error.
pub fn document<T: Serialize>(what: &'static str, version: u32, value: &T) -> Result<v1::VersionedJson, ConvertError> {
    let json =
        serde_json::to_string(value).map_err(|source| ConvertError::Document { document: what, version, source })?;
    Ok(v1::VersionedJson { version, json })
}

/// Reads a document; `what` names it in errors.
///
/// # Errors
/// If it has another version than `supported`, or does not hold what that version promises.
pub fn parse_document<T: DeserializeOwned>(
    what: &'static str,
    supported: u32,
    wire: &v1::VersionedJson,
) -> Result<T, ConvertError> {
    if wire.version != supported {
        return Err(ConvertError::DocumentVersion { document: what, found: wire.version, supported });
    }
    serde_json::from_str(&wire.json).map_err(|source| ConvertError::Document {
        document: what,
        version: supported,
        source,
    })
}

impl TryFrom<&EvolutionView> for v1::VersionedJson {
    type Error = ConvertError;
    fn try_from(view: &EvolutionView) -> Result<Self, ConvertError> {
        document("the evolution view", view.version, view)
    }
}

impl TryFrom<v1::VersionedJson> for EvolutionView {
    type Error = ConvertError;
    fn try_from(wire: v1::VersionedJson) -> Result<Self, ConvertError> {
        parse_document("the evolution view", VIEW_VERSION, &wire)
    }
}

/// One line of a list of evolutions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvolutionSummary {
    pub id: EvolutionId,
    pub recipe: Name,
    pub seed: Seed,
    pub status: Status,
}

impl From<&EvolutionView> for EvolutionSummary {
    fn from(view: &EvolutionView) -> Self {
        Self { id: view.id.clone(), recipe: view.recipe.clone(), seed: view.seed, status: view.status }
    }
}

impl From<EvolutionSummary> for v1::EvolutionSummary {
    fn from(summary: EvolutionSummary) -> Self {
        let status = match summary.status {
            Status::Running => v1::EvolutionStatus::Running,
            Status::Paused => v1::EvolutionStatus::Paused,
            Status::Done => v1::EvolutionStatus::Done,
            Status::Failed => v1::EvolutionStatus::Failed,
            Status::Cancelled => v1::EvolutionStatus::Cancelled,
        };
        Self {
            evolution_id: summary.id.into(),
            recipe: summary.recipe.into(),
            seed: summary.seed.0,
            status: status.into(),
        }
    }
}

impl TryFrom<v1::EvolutionSummary> for EvolutionSummary {
    type Error = ConvertError;
    fn try_from(wire: v1::EvolutionSummary) -> Result<Self, ConvertError> {
        let fields = Fields("EvolutionSummary");
        let status = match v1::EvolutionStatus::try_from(wire.status) {
            Ok(v1::EvolutionStatus::Running) => Status::Running,
            Ok(v1::EvolutionStatus::Paused) => Status::Paused,
            Ok(v1::EvolutionStatus::Done) => Status::Done,
            Ok(v1::EvolutionStatus::Failed) => Status::Failed,
            Ok(v1::EvolutionStatus::Cancelled) => Status::Cancelled,
            Ok(v1::EvolutionStatus::Unspecified) => {
                return Err(ConvertError::Missing { message: fields.0, field: "status" });
            }
            Err(_) => return Err(fields.out_of_range("status", wire.status, "the known statuses")),
        };
        Ok(Self {
            id: fields.id("evolution_id", &wire.evolution_id)?,
            recipe: fields.id("recipe", &wire.recipe)?,
            seed: Seed(wire.seed),
            status,
        })
    }
}

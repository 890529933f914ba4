//! The verbs: one recipe step is a map with one key.

use serde::{Deserialize, Serialize};

use super::curate::Curate;
use super::evaluate::Evaluate;
use super::search::Rollout;
use super::tournament::Tournament;
use super::train::Train;
use crate::ids::Name;

/// One recipe step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecipeStep {
    Rollout(Rollout),
    Curate(Curate),
    Train(Train),
    Tournament(Tournament),
    Evaluate(Evaluate),
}

impl RecipeStep {
    /// The verb, as written in the recipe.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Rollout(_) => "rollout",
            Self::Curate(_) => "curate",
            Self::Train(_) => "train",
            Self::Tournament(_) => "tournament",
            Self::Evaluate(_) => "evaluate",
        }
    }

    /// The name given with `as`, if any.
    #[must_use]
    pub fn given_name(&self) -> Option<&Name> {
        match self {
            Self::Rollout(s) => Some(&s.name),
            Self::Curate(s) => Some(&s.name),
            Self::Train(s) => s.name.as_ref(),
            Self::Tournament(s) => s.name.as_ref(),
            Self::Evaluate(s) => s.name.as_ref(),
        }
    }
}

//! The verbs: one recipe step is a map with one key.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Number;
use super::curate::Curate;
use super::evaluate::Evaluate;
use super::generations::Generations;
use super::proposals::Proposals;
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
    Propose(Proposals),
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
            Self::Propose(_) => "propose",
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
            Self::Propose(s) => Some(&s.name),
        }
    }

    /// The generations in which it runs; all of them where nothing is said.
    #[must_use]
    pub fn generations(&self) -> Generations {
        self.given_generations().unwrap_or_default()
    }

    /// What is said of the generations in which it runs.
    #[must_use]
    pub fn given_generations(&self) -> Option<Generations> {
        match self {
            Self::Rollout(s) => s.generations,
            Self::Curate(s) => s.generations,
            Self::Train(s) => s.generations,
            Self::Tournament(s) => s.generations,
            Self::Evaluate(s) => s.generations,
            Self::Propose(s) => s.generations,
        }
    }

    /// Whether it reads this one of the recipe's variables.
    #[must_use]
    pub fn reads(&self, variable: &Name, vars: &BTreeMap<Name, f64>) -> bool {
        let is_it = |number: &Number| number.variable() == Some(variable.as_str());
        match self {
            Self::Rollout(rollout) => rollout.search.reads(variable, vars),
            Self::Curate(curate) => {
                let mut others = vars.clone();
                others.remove(variable);
                curate
                    .apply
                    .iter()
                    .any(|operator| operator.resolved(vars).is_ok() && operator.resolved(&others).is_err())
            }
            Self::Train(_) => false,
            Self::Tournament(tournament) => is_it(&tournament.temperature),
            Self::Evaluate(evaluate) => {
                is_it(&evaluate.temperature) || evaluate.searches.values().any(|search| search.reads(variable, vars))
            }
            Self::Propose(proposals) => is_it(&proposals.temperature) || is_it(&proposals.top_p),
        }
    }
}

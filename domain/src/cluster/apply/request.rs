//! What people ask for: submit, cancel, pause, resume.

use crate::cluster::evolution::Evolution;
use crate::cluster::turn::Turn;
use crate::cluster::view::Status;
use crate::cluster::{ClusterState, Rejection, RejectionKind};
use crate::ids::{EvolutionId, Name};
use crate::recipe::Recipe;
use crate::seed::Seed;

impl ClusterState {
    /// `<recipe name>-<n>` with the smallest n above all that this name had.
    pub(super) fn next_id(&self, recipe: &Name) -> Result<EvolutionId, Rejection> {
        let number = |id: &EvolutionId| {
            id.as_str().strip_prefix(recipe.as_str())?.strip_prefix('-').and_then(|number| number.parse::<u64>().ok())
        };
        let last = self.evolutions.keys().filter_map(number).max().unwrap_or(0);
        EvolutionId::new(format!("{recipe}-{}", last + 1))
            .map_err(|invalid| Rejection { kind: RejectionKind::Invalid, message: invalid.to_string() })
    }
}

impl Turn<'_> {
    pub(super) fn submitted(&mut self, recipe: Recipe, seed: Seed) {
        // Admitted before: the id is valid.
        let Ok(id) = self.state.next_id(&recipe.name) else { return };
        let number = self.state.evolutions.values().map(|evolution| evolution.number + 1).max().unwrap_or(0);
        self.add_evolution(Evolution::new(id.clone(), number, recipe, seed));
        self.go_on(&id);
    }

    pub(super) fn cancel(&mut self, id: &EvolutionId) {
        self.end_evolution(id, Status::Cancelled, "the evolution was cancelled");
    }

    pub(super) fn pause(&mut self, id: &EvolutionId) {
        if let Some(evolution) = self.evolution(id) {
            evolution.status = Status::Paused;
        }
    }

    pub(super) fn resume(&mut self, id: &EvolutionId) {
        if let Some(evolution) = self.evolution(id) {
            evolution.status = Status::Running;
        }
    }
}

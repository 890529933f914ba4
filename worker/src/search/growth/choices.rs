//! The choices that make a tree: from a recipe's search to the parts of the loop.

use std::sync::Arc;

use galapagos_domain::job::Sampling;
use galapagos_domain::recipe::search::{
    Backup, Budget, Evaluate, Extract, Mcts, Propose, Select, Simulate, StepBeam, Width,
};
use galapagos_domain::recipe::verify::Verifier;
use galapagos_domain::seed::Seed;

use super::{Advice, Growth, Standing};
use crate::search::episodes::Limits;
use crate::search::select::Selector;
use crate::search::spread::Portion;
use crate::search::tree::NodeId;

/// Which nodes grow next.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Front {
    /// By a selector, in so many simulations at once.
    Selected { selector: Selector, leaves: u32, simulate: Simulate },
    /// The best so many of every depth.
    Beam(u32),
}

/// The choices that make a search.
#[derive(Debug, Clone)]
pub(super) struct Choices {
    pub(super) propose: Propose,
    pub(super) sampling: Arc<Sampling>,
    pub(super) front: Front,
    pub(super) evaluate: Vec<(Evaluate, Arc<Verifier>)>,
    pub(super) backup: Backup,
    pub(super) budget: Budget,
    pub(super) width: Width,
    pub(super) extract: Extract,
    /// Before a further child of a node.
    pub(super) advice: Option<Advice>,
    /// Of trees whose steps are actions in an environment.
    pub(super) plays: Option<Limits>,
}

impl Growth {
    /// A Monte-Carlo or best-first search; `sampling` is that of its resolved proposer.
    #[must_use]
    pub fn mcts(search: &Mcts, sampling: Arc<Sampling>, seed: Seed) -> Self {
        let selector = Selector { select: search.select.clone(), virtual_loss: search.parallel.virtual_loss };
        let simulate = match search.select {
            // It looks at the whole tree anew every time.
            Select::BestFirst(_) => Simulate::OneGrowth,
            Select::Uct(_) | Select::Puct(_) => search.simulate,
        };
        Self::new(
            Choices {
                propose: search.propose.clone(),
                sampling,
                front: Front::Selected { selector, leaves: search.parallel.leaves, simulate },
                evaluate: shared(&search.evaluate),
                backup: search.backup,
                budget: search.budget.clone(),
                width: search.width,
                extract: search.extract.clone(),
                advice: None,
                plays: None,
            },
            seed,
        )
    }

    /// A beam over steps.
    #[must_use]
    pub fn beam(search: &StepBeam, sampling: Arc<Sampling>, seed: Seed) -> Self {
        let choices = Choices {
            propose: search.propose.clone(),
            sampling,
            front: Front::Beam(search.beam),
            evaluate: shared(&search.evaluate),
            backup: Backup::SumMean,
            budget: search.budget.clone(),
            width: Width::Fixed,
            extract: search.extract.clone(),
            advice: None,
            plays: None,
        };
        let before = Standing { front: vec![NodeId::ROOT], ..Standing::default() };
        Self { front: before.front.clone(), before, ..Self::new(choices, seed) }
    }

    /// The same, with actions in an environment as steps: a node is an action with what the environment showed behind it.
    #[must_use]
    pub fn playing(mut self, limits: Limits) -> Self {
        self.choices.plays = Some(limits);
        self
    }

    /// The same, growing no more than its portion of a tree that several jobs grow.
    #[must_use]
    pub fn within(mut self, portion: &Portion) -> Self {
        self.choices.budget = portion.budget.clone();
        self.others.clone_from(&portion.others);
        if let Some(stream) = &portion.stream {
            self.stream = self.seed.derive(stream);
        }
        self
    }
}

fn shared(evaluate: &[Evaluate]) -> Vec<(Evaluate, Arc<Verifier>)> {
    evaluate.iter().map(|evaluate| (evaluate.clone(), Arc::new(evaluate.verifier.clone()))).collect()
}

//! Takes an in-round checkpoint up again, after a lost try or to go back before a step that cannot be right.

use galapagos_artifacts::ArtifactStore;
use galapagos_domain::round::Saved;

use super::Run;
use crate::RankError;
use crate::guard::Watch;
use crate::ledger::Ledger;
use crate::saved::{self, OptimiserState, RoundState};

impl Run<'_> {
    /// Weights, optimiser, average and place as they were saved.
    ///
    /// # Errors
    /// If the state is missing, damaged, of another round, or does not fit the model.
    pub(crate) fn restore(&mut self, at: Saved) -> Result<(), RankError> {
        let site = self.site;
        let place = site.artifacts.state(&site.spec.round.id, at.step);
        let state: RoundState = site.runtime.block_on(saved::get(&place, &at.state))?;
        let round = &site.spec.round.id;
        if state.round != *round || state.step != at.step || state.version != RoundState::VERSION {
            let RoundState { round: other, step, version, .. } = state;
            let what = format!(
                "the saved state {} is of round {other}, step {step}, version {version}; asked for was {round}, step {}",
                at.state, at.step
            );
            return Err(RankError::Setting { what });
        }
        let fetch = |files: Vec<_>| site.runtime.block_on(saved::get_tensors(&place, site.cache, &files));
        saved::restore(self.training.weights(), &fetch(vec![state.weights.clone()])?)?;
        let digest = self.agreed_digest(at.step)?;
        if digest != state.digest {
            return Err(RankError::WrongWeights { checkpoint: at.state, found: digest, expected: state.digest });
        }
        self.restore_optimiser(&place, &state.optimiser)?;
        self.averages.restore(&site, &place, (state.ema, state.target))?;
        self.state.step = state.step;
        self.state.watch = Watch::new(site.spec.round.train.guard, &state.losses);
        self.state.losses = state.losses;
        self.state.ledger = Ledger::resumed(state.ledger);
        self.state.left_out_steps = state.left_out_steps.into_iter().collect();
        self.state.guarded = state.guarded;
        // What earlier tries did is counted once, by rank 0.
        self.state.tokens = if site.spec.rank == 0 { state.tokens } else { 0 };
        self.state.mismatch = state.mismatch;
        self.state.saved = Some(at);
        tracing::info!(round = %round, rank = site.spec.rank, "goes on after step {}", at.step);
        Ok(())
    }

    /// The state of the optimiser that an earlier round left, if the spec names one.
    ///
    /// # Errors
    /// As [`Run::restore`].
    pub(crate) fn continue_optimiser(&mut self) -> Result<(), RankError> {
        let Some(digest) = self.site.spec.round.optimiser else { return Ok(()) };
        let state: OptimiserState = self.site.runtime.block_on(saved::get(self.site.artifacts, &digest))?;
        self.restore_optimiser(self.site.artifacts, &state)
    }

    fn restore_optimiser(&mut self, place: &ArtifactStore, state: &OptimiserState) -> Result<(), RankError> {
        let site = self.site;
        let tensors = site.runtime.block_on(saved::get_tensors(place, site.cache, &state.parts))?;
        let restored = self.training.optimiser_mut().restore(&tensors, state.steps);
        restored.map_err(|source| RankError::Optimiser { what: "restore the optimiser's state", source })
    }
}

//! Writes an in-round checkpoint: every rank brings its part, rank 0 the manifest. Before anything is written, all ranks must hold the same
//! weights.

use galapagos_artifacts::ArtifactStore;
use galapagos_domain::artifact::ArtifactRef;
use galapagos_domain::ids::Digest;
use galapagos_domain::round::Saved;
use galapagos_model::{Parameters, weights_digest};

use super::Run;
use crate::RankError;
use crate::gather;
use crate::saved::{self, OptimiserState, RoundState};

impl Run<'_> {
    /// Stores weights, optimiser and place; afterwards every rank knows the checkpoint.
    ///
    /// # Errors
    /// [`RankError::Apart`] if the ranks' weights differ; what the disk, the store or the other ranks did.
    pub(crate) fn save(&mut self) -> Result<(), RankError> {
        let step = self.state.step;
        let digest = self.agreed_digest(step)?;
        self.gather_ledger()?;
        let tokens: u64 = gather::values(self.site.group, &self.state.tokens)?.into_iter().sum();
        let place = self.site.artifacts.state(&self.site.spec.round.id, step);
        let optimiser = self.store_optimiser(&place)?;
        let manifest = if self.site.spec.rank == 0 {
            Some(self.store_state(&place, (step, digest, tokens), optimiser)?)
        } else {
            None
        };
        // What rank 0 stored is known to all before anybody counts on it.
        let all = gather::values(self.site.group, &manifest)?;
        self.state.saved = all.into_iter().flatten().next().map(|state| Saved { step, state });
        self.flush_log()
    }

    /// The digest of the weights that move, the same on all ranks.
    ///
    /// # Errors
    /// [`RankError::Apart`] names who has what.
    pub(crate) fn agreed_digest(&self, step: u64) -> Result<Digest, RankError> {
        let weights: Parameters =
            self.training.weights().iter().map(|(name, weight)| (name.clone(), weight.shallow_clone())).collect();
        let hash = weights_digest(&weights)
            .map_err(|source| RankError::Weights { what: "compute the digest of the weights", source })?;
        let own = Digest::from_bytes(*hash.as_bytes());
        let all = gather::values(self.site.group, &own)?;
        if all.iter().all(|digest| *digest == own) {
            return Ok(own);
        }
        let told: Vec<String> =
            all.iter().enumerate().map(|(rank, digest)| format!("rank {rank} {}", digest.short())).collect();
        Err(RankError::Apart { step, told: told.join(", ") })
    }

    /// Brings the ranks' parts of the ledger together.
    ///
    /// # Errors
    /// What the other ranks did.
    pub(crate) fn gather_ledger(&mut self) -> Result<(), RankError> {
        let all = gather::bytes(self.site.group, &self.state.ledger.own_bytes())?;
        self.state.ledger.gather(&all).map_err(|source| RankError::Ledger { source })
    }

    /// Stores the optimiser's state in `place`: each rank its own part where they keep parts, else rank 0 all of it.
    ///
    /// # Errors
    /// What the disk, the store or the other ranks did.
    pub(crate) fn store_optimiser(&self, place: &ArtifactStore) -> Result<OptimiserState, RankError> {
        let optimiser = self.training.optimiser();
        let keeps = self.site.spec.rank == 0 || self.training.is_sharded();
        let state = if keeps { optimiser.state() } else { Vec::new() };
        let part: Option<ArtifactRef> = if state.is_empty() {
            None
        } else {
            let put = saved::put_tensors(place, self.site.cache, &state);
            Some(self.site.runtime.block_on(put)?)
        };
        let parts = gather::values(self.site.group, &part)?.into_iter().flatten().collect();
        Ok(OptimiserState::new(optimiser.steps(), parts))
    }

    fn store_state(
        &self,
        place: &ArtifactStore,
        (step, digest, tokens): (u64, Digest, u64),
        optimiser: OptimiserState,
    ) -> Result<Digest, RankError> {
        let site = self.site;
        let stored = async {
            let weights = saved::put_tensors(place, site.cache, self.training.weights()).await?;
            let (ema, target) = self.averages.store(&site, place).await?;
            let state = RoundState {
                version: RoundState::VERSION,
                round: site.spec.round.id.clone(),
                step,
                digest,
                weights,
                optimiser,
                ema,
                target,
                losses: self.state.losses.clone(),
                tokens,
                left_out_steps: self.state.left_out_steps.iter().copied().collect(),
                guarded: self.state.guarded,
                mismatch: self.state.mismatch,
                ledger: self.state.ledger.gathered.clone(),
            };
            saved::put(place, &state).await
        };
        site.runtime.block_on(stored)
    }
}

//! The end of a round on one rank: the ledger must add up, an average takes the place of the weights, states that a later round goes on
//! with are stored, and all of it is said in a vote.

use galapagos_artifacts::tables;
use galapagos_domain::ids::Digest;
use galapagos_domain::recipe::train::Start;
use galapagos_domain::round::Vote;

use crate::RankError;
use crate::run::Run;
use crate::saved;
use crate::vote;

impl Run<'_> {
    /// Proves the ledger and makes the vote, all but its checkpoint. To be called on all ranks.
    ///
    /// # Errors
    /// [`RankError::Ledger`] if a record was lost or used twice; what the disk, the store or the other ranks did.
    pub fn finish(&mut self) -> Result<Vote, RankError> {
        self.gather_ledger()?;
        let (main, state) = (&self.prepared.plan.main, &self.state);
        let proven = state.ledger.prove(&main.rows(), main.data_epochs());
        proven.map_err(|source| RankError::Ledger { source })?;
        let train = &self.site.spec.round.train;
        let optimiser = if train.start == Start::ContinueOptimiser {
            Some(self.store_optimiser(self.site.artifacts)?)
        } else {
            None
        };
        if let Some(ema) = &self.averages.member {
            saved::restore(
                self.training.weights(),
                &ema.tensors().iter().map(|(n, t)| (n.clone(), t.shallow_clone())).collect(),
            )?;
        }
        let weights = match &self.prepared.subject.adapter {
            Some(adapter) => crate::prepare::adapter_digest(adapter)?,
            None => crate::prepare::digest(&self.prepared.subject.model)?,
        };
        let mut vote = vote::vote(weights, &self.state.losses, main.left_out());
        vote.guarded = self.state.guarded;
        vote.mismatch = self.state.mismatch;
        if self.site.spec.rank == 0 {
            let site = self.site;
            let stored = async {
                let optimiser = match &optimiser {
                    Some(state) => Some(saved::put(site.artifacts, state).await?),
                    None => None,
                };
                Ok::<_, RankError>((optimiser, self.store_ledger().await?))
            };
            let (optimiser, ledger) = site.runtime.block_on(stored)?;
            (vote.optimiser, vote.ledger) = (optimiser, Some(ledger));
        }
        Ok(vote)
    }

    /// The ledger as a table.
    async fn store_ledger(&self) -> Result<Digest, RankError> {
        let ledger = &self.state.ledger.gathered;
        let columns: [(&str, Vec<u32>); 5] = [
            ("step", ledger.iter().map(|entry| entry.step + 1).collect()),
            ("data_epoch", ledger.iter().map(|entry| entry.data_epoch).collect()),
            ("row", ledger.iter().map(|entry| entry.row).collect()),
            ("rank", ledger.iter().map(|entry| entry.rank).collect()),
            ("skipped", ledger.iter().map(|entry| entry.skipped).collect()),
        ];
        let failed = |source| RankError::Artifact { what: "store the ledger".to_owned(), source: Box::new(source) };
        let bytes = tables::encode_u32(&columns).map_err(failed)?;
        Ok(self.site.artifacts.put(bytes, ledger.len() as u64).await.map_err(failed)?.digest)
    }
}

//! Running means of the weights: the one that becomes the member, and the target network of Q-learning. Each is saved and restored with
//! the round.

use galapagos_artifacts::ArtifactStore;
use galapagos_domain::artifact::ArtifactRef;
use galapagos_domain::recipe::train::{Loss, Train};
use tch::Tensor;

use super::Site;
use crate::RankError;
use crate::optim::{Ema, OptimError};
use crate::prepare::Prepared;
use crate::saved;

/// The means that a train step asks for.
#[derive(Debug)]
pub(crate) struct Averages {
    /// Becomes the member in place of the weights.
    pub member: Option<Ema>,
    /// Moves the frozen start, from which the targets of Q-learning are computed.
    target: Option<Ema>,
}

/// Where they are stored.
pub(super) type Stored = (Option<ArtifactRef>, Option<ArtifactRef>);

impl Averages {
    pub fn begin(train: &Train, weights: &[(String, Tensor)], prepared: &Prepared) -> Result<Self, RankError> {
        let failed = |source| RankError::Optimiser { what: "begin a moving average", source };
        let member = train.ema.map(|decay| Ema::new(weights, decay)).transpose().map_err(failed)?;
        let rate = match &train.loss {
            Loss::TdConservative(td) => td.target_rate,
            _ => 0.0,
        };
        let target = match &prepared.frozen.start {
            Some(start) if rate > 0.0 => {
                Some(Ema::moving(start.handles(weights)?, weights, 1.0 - rate).map_err(failed)?)
            }
            _ => None,
        };
        Ok(Self { member, target })
    }

    /// After an update of the weights.
    pub fn update(&mut self) -> Result<(), RankError> {
        let moved = self.all().into_iter().flatten().try_for_each(Ema::update);
        moved.map_err(|source| RankError::Optimiser { what: "move an average", source })
    }

    pub async fn store(&self, site: &Site<'_>, place: &ArtifactStore) -> Result<Stored, RankError> {
        let store = async |ema: &Option<Ema>| match ema {
            Some(ema) => saved::put_tensors(place, site.cache, ema.tensors()).await.map(Some),
            None => Ok(None),
        };
        Ok((store(&self.member).await?, store(&self.target).await?))
    }

    pub fn restore(&mut self, site: &Site<'_>, place: &ArtifactStore, stored: Stored) -> Result<(), RankError> {
        let failed = |source: OptimError| RankError::Optimiser { what: "restore a moving average", source };
        for (ema, file) in self.all().into_iter().zip([stored.0, stored.1]) {
            match (ema, file) {
                (Some(ema), Some(file)) => {
                    let tensors = site.runtime.block_on(saved::get_tensors(place, site.cache, &[file]))?;
                    ema.restore(&tensors).map_err(failed)?;
                }
                (None, None) => {}
                (Some(_), None) | (None, Some(_)) => {
                    let what = "the saved state has other moving averages than the train step asks for".to_owned();
                    return Err(RankError::Setting { what });
                }
            }
        }
        Ok(())
    }

    fn all(&mut self) -> [Option<&mut Ema>; 2] {
        [self.member.as_mut(), self.target.as_mut()]
    }
}

//! The round service: shows rounds as documents.

use galapagos_domain::cluster::Round;
use galapagos_domain::ids::{EvolutionId, RoundId};
use galapagos_proto::convert::document;
use galapagos_proto::status::{Kind, Refusal};
use galapagos_proto::v1;
use galapagos_proto::v1::round_service_server::RoundService;
use tonic::{Request, Response, Status};

use crate::handle::Handle;

use super::admin::id;

/// Version of the round's JSON.
const ROUND_VERSION: u32 = 1;

#[derive(Debug)]
pub(super) struct Rounds {
    handle: Handle,
}

impl Rounds {
    pub(super) fn new(handle: Handle) -> Self {
        Self { handle }
    }
}

#[tonic::async_trait]
impl RoundService for Rounds {
    async fn list(&self, request: Request<v1::ListRoundsRequest>) -> Result<Response<v1::ListRoundsResponse>, Status> {
        let of: Option<EvolutionId> = request.into_inner().evolution_id.as_deref().map(id).transpose()?;
        let chosen = move |round: &&Round| of.as_ref().is_none_or(|evolution| round.spec.evolution == *evolution);
        let rounds: Vec<Round> =
            self.handle.look(move |state, _| state.rounds().filter(chosen).cloned().collect()).await?;
        let rounds = document("the round list", ROUND_VERSION, &rounds).map_err(Refusal::from)?;
        Ok(Response::new(v1::ListRoundsResponse { rounds: Some(rounds) }))
    }

    async fn get(&self, request: Request<v1::GetRoundRequest>) -> Result<Response<v1::GetRoundResponse>, Status> {
        let id: RoundId = id(&request.into_inner().round_id)?;
        let wanted = id.clone();
        let round = self.handle.look(move |state, _| state.rounds().find(|round| round.spec.id == wanted).cloned());
        let round = round.await?.ok_or_else(|| Refusal::new(Kind::NotFound, format!("there is no round `{id}`")))?;
        let round = document("the round", ROUND_VERSION, &round).map_err(Refusal::from)?;
        Ok(Response::new(v1::GetRoundResponse { round: Some(round) }))
    }
}

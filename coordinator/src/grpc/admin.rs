//! The admin service: checks what people send, asks the driver, answers with documents.

use std::str::FromStr;

use futures::StreamExt;
use futures::stream::BoxStream;
use galapagos_domain::cluster::{Event, EvolutionView};
use galapagos_domain::ids::{EvolutionId, InvalidId, MemberId};
use galapagos_domain::recipe::Recipe;
use galapagos_domain::seed::Seed;
use galapagos_proto::convert::{EvolutionSummary, document};
use galapagos_proto::status::{Kind, Refusal};
use galapagos_proto::v1;
use galapagos_proto::v1::admin_service_server::AdminService;
use serde::Serialize;
use tonic::{Request, Response, Status};

use crate::handle::{Handle, unknown_evolution};
use crate::watch::{self, Watchers};

/// Version of the JSON of members, lineage, workers and explanations.
const DOCUMENT_VERSION: u32 = 1;

/// The recipe's name in messages; the sender knows its own file's.
const RECIPE_FILE: &str = "recipe";

#[derive(Debug)]
pub(super) struct Admin {
    handle: Handle,
    watchers: Watchers,
}

/// Reads an id that a person gave.
pub(super) fn id<T: FromStr<Err = InvalidId>>(text: &str) -> Result<T, Refusal> {
    text.parse().map_err(|error: InvalidId| Refusal::new(Kind::Invalid, error.to_string()))
}

fn snapshot(view: &EvolutionView) -> Result<v1::VersionedJson, Refusal> {
    Ok(view.try_into()?)
}

fn versioned<T: Serialize>(what: &'static str, value: &T) -> Result<v1::VersionedJson, Refusal> {
    Ok(document(what, DOCUMENT_VERSION, value)?)
}

/// The coordinator reads no files of its clients.
fn refuse_extends(file: &str) -> Result<String, String> {
    Err(format!("`{file}` is not here; send the recipe with what it extends filled in"))
}

impl Admin {
    pub(super) fn new(handle: Handle, watchers: Watchers) -> Self {
        Self { handle, watchers }
    }

    async fn view(&self, id: &EvolutionId) -> Result<EvolutionView, Refusal> {
        self.handle.view(id).await?.ok_or_else(|| unknown_evolution(id))
    }

    async fn steer(&self, evolution: &str, event: impl FnOnce(EvolutionId) -> Event) -> Result<(), Refusal> {
        self.handle.steer(event(id(evolution)?)).await
    }
}

#[tonic::async_trait]
impl AdminService for Admin {
    type WatchStream = BoxStream<'static, Result<v1::WatchResponse, Status>>;

    async fn submit(&self, request: Request<v1::SubmitRequest>) -> Result<Response<v1::SubmitResponse>, Status> {
        let request = request.into_inner();
        let recipe = Recipe::parse(RECIPE_FILE, &request.recipe_yaml, &refuse_extends)
            .map_err(|diagnostics| Refusal::new(Kind::Invalid, diagnostics.to_string()))?;
        let id = self.handle.submit(recipe, Seed(request.seed)).await?;
        Ok(Response::new(v1::SubmitResponse { evolution_id: id.into() }))
    }

    async fn list(&self, _request: Request<v1::ListRequest>) -> Result<Response<v1::ListResponse>, Status> {
        let views = self.handle.look(|state, now| {
            let views = state.evolutions().filter_map(|id| state.view(now, id));
            views.map(|view| EvolutionSummary::from(&view)).collect::<Vec<_>>()
        });
        let evolutions = views.await?.into_iter().map(Into::into).collect();
        Ok(Response::new(v1::ListResponse { evolutions }))
    }

    async fn get(&self, request: Request<v1::GetRequest>) -> Result<Response<v1::GetResponse>, Status> {
        let view = self.view(&id(&request.into_inner().evolution_id)?).await?;
        Ok(Response::new(v1::GetResponse { evolution: Some(snapshot(&view)?) }))
    }

    async fn watch(&self, request: Request<v1::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let id = id(&request.into_inner().evolution_id)?;
        let snapshots = watch::snapshots(self.handle.clone(), &self.watchers, id).await?;
        let responses = snapshots.map(|view| {
            let evolution = snapshot(&view?)?;
            Ok(v1::WatchResponse { evolution: Some(evolution) })
        });
        Ok(Response::new(responses.map(|response| response.map_err(|refusal: Refusal| refusal.into())).boxed()))
    }

    async fn cancel(&self, request: Request<v1::CancelRequest>) -> Result<Response<v1::CancelResponse>, Status> {
        self.steer(&request.into_inner().evolution_id, Event::CancelRequested).await?;
        Ok(Response::new(v1::CancelResponse {}))
    }

    async fn pause(&self, request: Request<v1::PauseRequest>) -> Result<Response<v1::PauseResponse>, Status> {
        self.steer(&request.into_inner().evolution_id, Event::PauseRequested).await?;
        Ok(Response::new(v1::PauseResponse {}))
    }

    async fn resume(&self, request: Request<v1::ResumeRequest>) -> Result<Response<v1::ResumeResponse>, Status> {
        self.steer(&request.into_inner().evolution_id, Event::ResumeRequested).await?;
        Ok(Response::new(v1::ResumeResponse {}))
    }

    async fn explain(&self, request: Request<v1::ExplainRequest>) -> Result<Response<v1::ExplainResponse>, Status> {
        let id = request.into_inner().id;
        let asked = id.clone();
        let explanation = self.handle.look(move |state, now| state.explain(now, &asked)).await?;
        let explanation = explanation.ok_or_else(|| {
            let known = "an evolution, a job, a round, a member or a worker";
            Refusal::new(Kind::NotFound, format!("`{id}` names nothing here; give the id of {known}"))
        })?;
        let text = explanation.to_string();
        let explanation = Some(versioned("the explanation", &explanation)?);
        Ok(Response::new(v1::ExplainResponse { explanation, text }))
    }

    async fn members(&self, request: Request<v1::MembersRequest>) -> Result<Response<v1::MembersResponse>, Status> {
        let view = self.view(&id(&request.into_inner().evolution_id)?).await?;
        Ok(Response::new(v1::MembersResponse { members: Some(versioned("the member list", &view.members)?) }))
    }

    async fn lineage(&self, request: Request<v1::LineageRequest>) -> Result<Response<v1::LineageResponse>, Status> {
        let request = request.into_inner();
        let evolution: EvolutionId = id(&request.evolution_id)?;
        let member: MemberId = id(&request.member_id)?;
        let (of, descends) = (evolution.clone(), member.clone());
        let lineage = self.handle.look(move |state, _| state.lineage(&of, &descends)).await?.ok_or_else(|| {
            let message = format!("evolution `{evolution}` has no member `{member}`; `galapagos members` shows them");
            Refusal::new(Kind::NotFound, message)
        })?;
        Ok(Response::new(v1::LineageResponse { lineage: Some(versioned("the lineage", &lineage)?) }))
    }

    async fn workers(&self, _request: Request<v1::WorkersRequest>) -> Result<Response<v1::WorkersResponse>, Status> {
        let workers = self.handle.look(|state, now| state.workers(now)).await?;
        Ok(Response::new(v1::WorkersResponse { workers: Some(versioned("the worker list", &workers)?) }))
    }
}

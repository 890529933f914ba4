//! Questions with one answer: `list`, `explain`, `members`, `lineage`, `workers`.

use galapagos_domain::cluster::{Explanation, Lineage, WorkerView};
use galapagos_domain::member::{Member, Origin};
use galapagos_proto::convert::admin::{EXPLANATION_VERSION, LINEAGE_VERSION, WORKERS_VERSION};
use galapagos_proto::v1;

use super::{print, print_json};
use crate::args::{Explain, OneEvolution, OneMember, Target};
use crate::client::{Client, call, document};
use crate::error::{Error, Exit};
use crate::render::table::aligned;

/// `galapagos list`.
///
/// # Errors
/// If no coordinator answers.
pub async fn list(target: &Target, json: bool) -> Result<Exit, Error> {
    let mut client = Client::open(target).await?;
    let all = client.list().await?;
    client.close().await?;
    if json {
        let rows: Vec<_> = all
            .iter()
            .map(|e| serde_json::json!({ "id": e.id, "recipe": e.recipe, "seed": e.seed, "status": e.status }))
            .collect();
        print_json(&serde_json::json!({ "version": 1, "evolutions": rows }))?;
    } else {
        let mut rows = vec![["id", "recipe", "seed", "status"].map(str::to_owned).to_vec()];
        rows.extend(all.iter().map(|e| {
            vec![e.id.to_string(), e.recipe.to_string(), e.seed.0.to_string(), format!("{:?}", e.status).to_lowercase()]
        }));
        print(&aligned(&rows))?;
    }
    Ok(Exit::Done)
}

/// `galapagos explain`.
///
/// # Errors
/// If there is nothing of that id.
pub async fn explain(args: &Explain, json: bool) -> Result<Exit, Error> {
    let mut client = Client::open(&args.target).await?;
    let id = match &args.id {
        Some(id) => id.clone(),
        None => client.resolve(None).await?,
    };
    let request = v1::ExplainRequest { id };
    let answer = client.admin.explain(request).await.map_err(call("explain"))?.into_inner();
    client.close().await?;
    if json {
        let explanation: Explanation = document("explanation", EXPLANATION_VERSION, answer.explanation)?;
        print_json(&explanation)?;
    } else {
        print(&answer.text)?;
    }
    Ok(Exit::Done)
}

/// `galapagos members`.
///
/// # Errors
/// If there is no such evolution.
pub async fn members(args: &OneEvolution, json: bool) -> Result<Exit, Error> {
    let mut client = Client::open(&args.target).await?;
    let evolution = client.resolve(args.evolution.as_deref()).await?;
    let view = client.get(&evolution).await?;
    client.close().await?;
    if json {
        print_json(&serde_json::json!({ "version": 1, "evolution": view.id, "members": view.members }))?;
    } else {
        print(&member_table(&view.members))?;
    }
    Ok(Exit::Done)
}

/// The members as a table.
#[must_use]
pub fn member_table(members: &[Member]) -> String {
    let mut rows = vec![["id", "role", "generation", "standing", "parents", "made by"].map(str::to_owned).to_vec()];
    rows.extend(members.iter().map(|m| {
        let made = match &m.origin {
            Origin::Base { source } => format!("base {source}"),
            Origin::Trained { round, steps, final_loss, .. } => format!("{round}: {steps} steps, loss {final_loss:.3}"),
        };
        let parents: Vec<&str> = m.parents.iter().map(|p| p.as_str()).collect();
        let standing = format!("{:?}", m.standing).to_lowercase();
        vec![m.id.to_string(), m.role.to_string(), m.generation.to_string(), standing, parents.join(" "), made]
    }));
    aligned(&rows)
}

/// `galapagos lineage`.
///
/// # Errors
/// If there is no such member.
pub async fn lineage(args: &OneMember, json: bool) -> Result<Exit, Error> {
    let mut client = Client::open(&args.target).await?;
    let evolution_id = client.resolve(args.evolution.as_deref()).await?;
    let member_id = client.member(&evolution_id, &args.member).await?.id.to_string();
    let request = v1::LineageRequest { evolution_id, member_id };
    let answer = client.admin.lineage(request).await.map_err(call("trace the member"))?.into_inner();
    client.close().await?;
    let lineage: Lineage = document("lineage", LINEAGE_VERSION, answer.lineage)?;
    if json { print_json(&lineage)? } else { print(&lineage.to_string())? }
    Ok(Exit::Done)
}

/// `galapagos workers`.
///
/// # Errors
/// If no coordinator answers.
pub async fn workers(target: &Target, json: bool) -> Result<Exit, Error> {
    let mut client = Client::open(target).await?;
    let answer = client.admin.workers(v1::WorkersRequest {}).await.map_err(call("list workers"))?.into_inner();
    client.close().await?;
    let workers: Vec<WorkerView> = document("workers", WORKERS_VERSION, answer.workers)?;
    if json {
        print_json(&serde_json::json!({ "version": WORKERS_VERSION, "workers": workers }))?;
    } else {
        print(&aligned(&worker_rows(&workers)))?;
    }
    Ok(Exit::Done)
}

fn worker_rows(workers: &[WorkerView]) -> Vec<Vec<String>> {
    let mut rows = vec![["worker", "incarnation", "state", "slots", "holds"].map(str::to_owned).to_vec()];
    rows.extend(workers.iter().map(|w| {
        let holds: Vec<String> = w.holds.iter().map(ToString::to_string).collect();
        let state = format!("{:?}", w.liveness).to_lowercase();
        vec![w.id.to_string(), w.incarnation.0.to_string(), state, w.slots.to_string(), holds.join(", ")]
    }));
    rows
}

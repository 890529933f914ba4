//! Questions with one answer: `list`, `explain`, `members`, `lineage`, `workers`.

use galapagos_domain::cluster::worker_view::SlotView;
use galapagos_domain::cluster::{Explanation, Lineage, WorkerView};
use galapagos_domain::ids::Digest;
use galapagos_domain::member::{Member, Origin};
use galapagos_proto::v1;

use super::{print, print_json};
use crate::args::{Explain, OneEvolution, OneMember, Target};
use crate::client::{Client, call, document};
use crate::error::{Error, Exit};
use crate::render::table::aligned;
use crate::render::{duration, line};

/// Version of the documents that this file reads and prints.
const VERSION: u32 = 1;

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
        let explanation: Explanation = document("explanation", VERSION, answer.explanation)?;
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
    let lineage: Lineage = document("lineage", VERSION, answer.lineage)?;
    if json {
        print_json(&lineage)?
    } else {
        print(&lineage_text(&lineage))?
    }
    Ok(Exit::Done)
}

/// One ancestor a paragraph: how it was made, from which data, by which evidence.
fn lineage_text(lineage: &Lineage) -> String {
    let mut text = String::new();
    for ancestor in &lineage.line {
        text.push_str(&member_line(&ancestor.member));
        for data in &ancestor.datasets {
            let files: Vec<String> = data.files.iter().map(Digest::short).collect();
            text.push_str(&format!("  trained on  {}: {} records in {}\n", data.step, data.records, files.join(" ")));
        }
        for (step, ladder) in &ancestor.tournaments {
            text.push_str(&format!("  {step}  {}\n", line::tournament(ladder)));
        }
    }
    text
}

fn member_line(member: &Member) -> String {
    let made = match &member.origin {
        Origin::Base { source } => format!("base {source}"),
        Origin::Trained { round, steps, final_loss, .. } => format!("{round}, {steps} steps, loss {final_loss:.3}"),
    };
    let standing = format!("{:?}", member.standing).to_lowercase();
    format!("{}  {standing}  {made}  checkpoint {}\n", member.id, member.checkpoint.short())
}

/// `galapagos workers`.
///
/// # Errors
/// If no coordinator answers.
pub async fn workers(target: &Target, json: bool) -> Result<Exit, Error> {
    let mut client = Client::open(target).await?;
    let answer = client.admin.workers(v1::WorkersRequest {}).await.map_err(call("list workers"))?.into_inner();
    client.close().await?;
    let workers: Vec<WorkerView> = document("workers", VERSION, answer.workers)?;
    if json {
        print_json(&serde_json::json!({ "version": VERSION, "workers": workers }))?;
    } else {
        print(&aligned(&worker_rows(&workers)))?;
    }
    Ok(Exit::Done)
}

fn worker_rows(workers: &[WorkerView]) -> Vec<Vec<String>> {
    let mut rows = vec![["worker", "incarnation", "state", "device", "slots"].map(str::to_owned).to_vec()];
    rows.extend(workers.iter().map(|w| {
        let slots: Vec<String> = w.slots.iter().map(slot).collect();
        let state = format!("{:?}", w.liveness).to_lowercase();
        vec![w.name.to_string(), w.incarnation.0.to_string(), state, w.device.clone(), slots.join(", ")]
    }));
    rows
}

fn slot(view: &SlotView) -> String {
    match view {
        SlotView::Free => "free".to_owned(),
        SlotView::Job { id, since_ms, .. } => format!("{id} ({})", duration(*since_ms)),
        SlotView::Rank { round, rank, since_ms, .. } => format!("rank {rank} of {round} ({})", duration(*since_ms)),
    }
}

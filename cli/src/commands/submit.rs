//! `galapagos submit`: hand a recipe to a running coordinator.

use galapagos_proto::v1;

use super::{print, print_json};
use crate::args;
use crate::client::{self, Client, call};
use crate::error::{Error, Exit};
use crate::recipe_file;

/// Checks the recipe here, then submits it.
///
/// # Errors
/// Mistakes in the recipe with their places; no coordinator; a refusal.
pub async fn run(args: args::Submit, json: bool) -> Result<Exit, Error> {
    let file = recipe_file::read(&args.recipe)?;
    let mut client = Client::open(&args.target).await?;
    if !file.shelves.is_empty() {
        let store = client::artifacts(args.artifacts.as_deref(), client.folder.as_ref())?;
        file.shelves.store(&store).await.map_err(|source| Error::Artifact { source: Box::new(source) })?;
    }
    let request = v1::SubmitRequest { recipe_yaml: file.yaml, seed: args.seed };
    let answer = client.admin.submit(request).await.map_err(call("submit the recipe"))?.into_inner();
    client.close().await?;
    if json {
        print_json(&serde_json::json!({ "evolution": answer.evolution_id }))?;
    } else {
        print(&format!("{id}\n  galapagos watch {id}", id = answer.evolution_id))?;
    }
    Ok(Exit::Done)
}

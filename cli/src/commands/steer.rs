//! `galapagos cancel | pause | resume`.

use galapagos_proto::v1;

use super::{print, print_json};
use crate::args::OneEvolution;
use crate::client::{Client, call};
use crate::error::{Error, Exit};

/// What to do with an evolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    Cancel,
    Pause,
    Resume,
}

/// Gives the order and says what came of it.
///
/// # Errors
/// If there is no such evolution, or its state forbids the order.
pub async fn run(args: &OneEvolution, order: Order, json: bool) -> Result<Exit, Error> {
    let mut client = Client::open(&args.target).await?;
    let evolution_id = client.resolve(args.evolution.as_deref()).await?;
    let id = evolution_id.clone();
    match order {
        Order::Cancel => {
            client.admin.cancel(v1::CancelRequest { evolution_id }).await.map_err(call("cancel the evolution"))?;
        }
        Order::Pause => {
            client.admin.pause(v1::PauseRequest { evolution_id }).await.map_err(call("pause the evolution"))?;
        }
        Order::Resume => {
            client.admin.resume(v1::ResumeRequest { evolution_id }).await.map_err(call("resume the evolution"))?;
        }
    }
    let status = client.get(&id).await?.status;
    client.close().await?;
    if json {
        print_json(&serde_json::json!({ "evolution": id, "status": status }))?;
    } else {
        print(&format!("{id}: {}", format!("{status:?}").to_lowercase()))?;
    }
    Ok(Exit::Done)
}

//! `galapagos status`: one snapshot.

use galapagos_domain::cluster::EvolutionView;

use super::inspect::member_table;
use super::{print, print_json};
use crate::args::OneEvolution;
use crate::client::Client;
use crate::error::{Error, Exit};
use crate::render;

/// Prints a snapshot of an evolution.
///
/// # Errors
/// If there is no such evolution.
pub async fn run(args: &OneEvolution, json: bool) -> Result<Exit, Error> {
    let mut client = Client::open(&args.target).await?;
    let evolution = client.resolve(args.evolution.as_deref()).await?;
    let view = client.get(&evolution).await?;
    client.close().await?;
    if json {
        print_json(&view)?
    } else {
        print(&text(&view))?
    }
    Ok(Exit::Done)
}

fn text(view: &EvolutionView) -> String {
    let head = format!(
        "{} · seed {} · {} · up to {} generations",
        view.id,
        view.seed.0,
        format!("{:?}", view.status).to_lowercase(),
        view.generations
    );
    let steps: Vec<String> = view
        .steps
        .iter()
        .map(|step| {
            format!(
                "{:<6} {}{}{}",
                step.phase.to_string(),
                render::line::whole(step).trim_start(),
                if step.done { "" } else { " ..." },
                render::verifiers::below(step, 20)
            )
        })
        .collect();
    let waiting = view.waiting.iter().map(|why| format!("waiting: {why}\n")).collect::<String>();
    let failure = view.failure.iter().map(|line| format!("failed: {line}\n")).collect::<String>();
    format!("{head}\n{waiting}{failure}\n{}\n\n{}", steps.join("\n"), member_table(&view.members))
}

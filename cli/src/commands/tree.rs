//! `galapagos tree`: lists the search trees of an evolution, or shows one: as text, as JSON, or as a page.

use std::path::Path;

use galapagos_artifacts::ArtifactStore;
use galapagos_domain::cluster::view::{EvolutionView, StepView};
use galapagos_domain::tree::{TreeNode, doubted};

use super::{print, print_json};
use crate::args;
use crate::client::{self, Client};
use crate::error::{Error, Exit};
use crate::render::table::aligned;
use crate::render::tree::{Totals, text};
use crate::report;
use crate::trees;

/// Version of the documents that are printed with `--json`.
const VERSION: u32 = 1;

/// Trees that a list shows of each recipe step.
const LISTED: usize = 20;

/// `galapagos tree`.
///
/// # Errors
/// If there is no such tree, or its table cannot be read.
pub async fn run(args: &args::Tree, json: bool) -> Result<Exit, Error> {
    let mut client = Client::open(&args.target).await?;
    let evolution = client.resolve(args.evolution.as_deref()).await?;
    let view = client.get(&evolution).await?;
    let folder = client.folder.clone();
    client.close().await?;
    let store = client::artifacts(args.artifacts.as_deref(), folder.as_ref())?;
    let steps = chosen(&view, args.step.as_deref())?;
    match &args.id {
        None => list(&store, &steps, json).await,
        Some(id) => show(&store, &steps, (id, args), json).await,
    }
}

/// The recipe steps that are looked through, the newest first.
fn chosen<'a>(view: &'a EvolutionView, named: Option<&str>) -> Result<Vec<&'a StepView>, Error> {
    let all: Vec<&StepView> = trees::steps(view).rev().collect();
    if all.is_empty() {
        let message = format!(
            "{} has searched no trees so far: only rollouts by `mcts` and `step_beam` do, and they are stored when they end",
            view.id
        );
        return Err(Error::Usage { message });
    }
    let Some(named) = named else { return Ok(all) };
    let is_it = |step: &&StepView| trees::step_name(step) == named || step.name.as_str() == named;
    let found: Vec<&StepView> = all.iter().copied().filter(is_it).collect();
    if found.is_empty() {
        let known: Vec<String> = all.iter().map(|step| trees::step_name(step)).collect();
        return Err(Error::Usage {
            message: format!("no recipe step `{named}` has trees; these have: {}", known.join(", ")),
        });
    }
    Ok(found)
}

async fn list(store: &ArtifactStore, steps: &[&StepView], json: bool) -> Result<Exit, Error> {
    let mut rows = vec![["step", "tree", "nodes", "tokens", "depth", "answers", "pass"].map(str::to_owned).to_vec()];
    let (mut listed, mut left_out) = (Vec::new(), 0);
    for step in steps {
        let nodes = trees::read(store, step).await?;
        for (number, tree) in nodes.chunk_by(|a, b| a.tree == b.tree).enumerate() {
            let (name, id, totals) = (trees::step_name(step), tree[0].tree.clone(), Totals::of(tree));
            listed.push(serde_json::json!({
                "step": name, "tree": id, "nodes": totals.nodes, "tokens": totals.tokens, "depth": totals.depth,
                "answers": totals.answers, "pass": totals.passed, "doubted": doubted(tree),
            }));
            if number >= LISTED {
                left_out += 1;
                continue;
            }
            let numbers = [totals.nodes, totals.tokens, totals.depth as usize, totals.answers, totals.passed];
            let mut row: Vec<String> = [name, id].into_iter().chain(numbers.map(|number| number.to_string())).collect();
            row.extend(doubted(tree).map(|_| "not believed".to_owned()));
            rows.push(row);
        }
    }
    if json {
        print_json(&serde_json::json!({ "version": VERSION, "trees": listed }))?;
        return Ok(Exit::Done);
    }
    print(&aligned(&rows))?;
    if left_out > 0 {
        print(&format!("and {left_out} more; --json lists all"))?;
    }
    Ok(Exit::Done)
}

async fn show(
    store: &ArtifactStore,
    steps: &[&StepView],
    (id, args): (&str, &args::Tree),
    json: bool,
) -> Result<Exit, Error> {
    let mut near = Vec::new();
    for step in steps {
        let nodes = trees::read(store, step).await?;
        for tree in nodes.chunk_by(|a, b| a.tree == b.tree) {
            if tree[0].tree == id || tree[0].task == id {
                return one(tree, args, json);
            }
            near.push(tree[0].tree.clone());
        }
    }
    near.sort_by_key(|known| strsim::levenshtein(known, id));
    near.dedup();
    near.truncate(3);
    Err(Error::Usage { message: format!("there is no tree `{id}`; near it: {}", near.join(", ")) })
}

fn one(tree: &[TreeNode], args: &args::Tree, json: bool) -> Result<Exit, Error> {
    if let Some(path) = &args.html {
        write(path, &report::tree_page(&[tree]))?;
        print(&format!("{} -> {}", tree[0].tree, path.display()))?;
    } else if json {
        print_json(&serde_json::json!({ "version": VERSION, "tree": tree[0].tree, "nodes": tree }))?;
    } else {
        print(text(tree, args.depth).trim_end())?;
    }
    Ok(Exit::Done)
}

fn write(path: &Path, page: &str) -> Result<(), Error> {
    std::fs::write(path, page).map_err(|source| Error::Write { path: path.to_owned(), source })
}

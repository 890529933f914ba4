//! Writes a member as a Hugging Face folder, with a model card and the tasks it was measured on.

use std::collections::BTreeSet;
use std::path::Path;

use galapagos_artifacts::{ArtifactStore, checkpoint};
use galapagos_domain::artifact::ArtifactRef;
use galapagos_domain::cluster::EvolutionView;
use galapagos_domain::ids::Digest;
use galapagos_domain::member::Member;
use galapagos_domain::recipe::Recipe;
use galapagos_domain::recipe::tasks::files::Files;
use galapagos_domain::recipe::tasks::{Env, Split, TaskSet};
use galapagos_domain::task::dataset::{decode, solved};
use galapagos_domain::task::{TaskSetData, few_shot_prefix};

use crate::checkpoints;
use crate::error::Error;
use crate::outcome::final_scores;
use crate::render;

/// What is written of a member that is an adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A whole model: the adapter merged into its base.
    Merged,
    /// The adapter's own files.
    Adapter,
}

/// Writes the folder `to` anew: it appears whole or not at all. Gives the base of a member that is an adapter.
///
/// # Errors
/// If the checkpoint is not in the store, is damaged, or the folder cannot be written; if an adapter is asked for and the member is none.
pub async fn member(store: &ArtifactStore, member: &Member, to: &Path, form: Form) -> Result<Option<Digest>, Error> {
    let failed = |source| Error::Artifact { source: Box::new(source) };
    let base = checkpoint::manifest(store, &member.checkpoint).await.map_err(failed)?.base;
    let partial = to.with_extension("partial");
    remove(&partial)?;
    match (form, base) {
        (Form::Merged, None) | (Form::Adapter, Some(_)) => {
            checkpoint::export(store, &member.checkpoint, &partial).await.map_err(failed)?;
        }
        (Form::Merged, Some(_)) => {
            let scratch = to.with_extension("checkpoints");
            let written = merged(store, &member.checkpoint, &scratch, &partial).await;
            remove(&scratch)?;
            written?;
        }
        (Form::Adapter, None) => {
            let message = format!("{} is a whole model, not an adapter; export it without --adapter", member.id);
            return Err(Error::Usage { message });
        }
    }
    remove(to)?;
    std::fs::rename(&partial, to).map_err(|source| Error::Write { path: to.to_owned(), source })?;
    Ok(base)
}

async fn merged(store: &ArtifactStore, checkpoint: &Digest, scratch: &Path, to: &Path) -> Result<(), Error> {
    let found = checkpoints::fetch(store, checkpoint, scratch).await?;
    let base = found.base.unwrap_or_else(|| found.folder.clone());
    checkpoints::merge(&base, &found.folder, to).await
}

/// Adds `README.md` and, per task set, `evaluation/SET.jsonl`: the sealed tasks as the policy read them.
///
/// # Errors
/// If the files cannot be written, or the rows of a data set are not in the store.
pub async fn describe(
    view: &EvolutionView,
    recipe: &Recipe,
    exported: &Member,
    (store, to): (&ArtifactStore, &Path),
) -> Result<(), Error> {
    let folder = to.join("evaluation");
    std::fs::create_dir_all(&folder).map_err(|source| Error::Write { path: folder.clone(), source })?;
    for name in recipe.tasks.keys() {
        write(&folder.join(format!("{name}.jsonl")), &tasks_jsonl(store, view, recipe, name).await?)?;
    }
    write(&to.join("README.md"), &card(view, recipe, exported))
}

/// One JSON object a line: `key`, `prompt` (few-shot examples and question), `answer`.
async fn tasks_jsonl(
    store: &ArtifactStore,
    view: &EvolutionView,
    recipe: &Recipe,
    name: &galapagos_domain::ids::Name,
) -> Result<String, Error> {
    let failed = |error: galapagos_domain::task::TaskError| Error::Failed { message: error.to_string() };
    let Some(set) = recipe.tasks.get(name) else { return Ok(String::new()) };
    let (data, prefix) = match set {
        TaskSet::Env(env) => return Ok(instances(view, env)),
        TaskSet::Builtin(source) => (
            TaskSetData::generate(source, Split::Test, view.seed).map_err(failed)?,
            few_shot_prefix(source, view.seed).map_err(failed)?,
        ),
        TaskSet::Files(files) => stored_rows(store, files, name.as_str()).await?,
    };
    let lines = data.problems().iter().map(|problem| {
        let prompt = format!("{prefix}{}", problem.prompt);
        let line = serde_json::json!({ "key": problem.key, "prompt": prompt, "answer": problem.answer.trim() });
        format!("{line}\n")
    });
    Ok(lines.collect())
}

/// The test rows of a data set, and its few-shot prefix.
async fn stored_rows(store: &ArtifactStore, files: &Files, set: &str) -> Result<(TaskSetData, String), Error> {
    let Some(stored) = &files.stored else {
        return Err(Error::Failed { message: format!("the rows of the tasks `{set}` were not stored") });
    };
    let read = async |file: &ArtifactRef, split| {
        let bytes = store.get(&file.digest).await.map_err(|source| Error::Artifact { source: Box::new(source) })?;
        decode(&bytes, split, set).map_err(|error| Error::Failed { message: error.to_string() })
    };
    let (data, _) = read(&stored.test, Split::Test).await?;
    let (examples, right) = read(&stored.shots, Split::Demonstrations).await?;
    let examples = examples.problems().iter().zip(&right);
    let prefix = examples.map(|(problem, given)| solved(files, &problem.prompt, &given.completion)).collect();
    Ok((data, prefix))
}

/// One JSON object for each instance: `key`, and what an episode of it starts from.
fn instances(view: &EvolutionView, env: &Env) -> String {
    let line = |index: u32| {
        let start = serde_json::json!({
            "seed": view.seed, "split": Split::Test, "index": index, "replica": 0, "config": env.config,
        });
        let key = format!("{}/{index}", Split::Test);
        format!("{}\n", serde_json::json!({ "key": key, "environment": env.label(), "start": start }))
    };
    (0..env.size(Split::Test)).map(line).collect()
}

fn card(view: &EvolutionView, recipe: &Recipe, exported: &Member) -> String {
    let scores: String = final_scores(view)
        .map(|s| {
            format!(
                "| {} | {} | {} | {} | {} |\n",
                s.called,
                s.tasks,
                render::metric(&s.metric),
                render::interval(&s.value),
                s.n
            )
        })
        .collect();
    let ends: BTreeSet<Option<char>> = recipe.tasks.values().map(TaskSet::terminator).collect();
    let end = |end: Option<char>| match end {
        None => "end of text".to_owned(),
        Some('\n') => "newline".to_owned(),
        Some(end) => format!("`{end}`"),
    };
    let ends: Vec<String> = ends.into_iter().map(end).collect();
    format!(
        "# {id}\n\nMember `{id}` of the evolution `{evolution}` (seed {seed}): {about}\n\n\
         - purpose: {purpose}\n- data: {data}\n- risks: {risks}\n- oversight: {oversight}\n- contact: {contact}\n\
         - checkpoint: `{checkpoint}`\n- recipe digest: `{digest}`\n\n\
         Sealed tasks, as the policy read them, are in `evaluation/`: greedy decoding up to the first {ends}, checked by each set's rule.\n\n\
         | member | tasks | metric | value (95%) | n |\n|---|---|---|---|---|\n{scores}",
        id = exported.id,
        ends = ends.join(" or "),
        evolution = view.id,
        seed = view.seed.0,
        about = recipe.about,
        purpose = recipe.governance.purpose,
        data = recipe.governance.data,
        risks = recipe.governance.risks,
        oversight = recipe.governance.oversight,
        contact = recipe.governance.contact,
        checkpoint = exported.checkpoint,
        digest = view.recipe_digest,
    )
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    std::fs::write(path, text).map_err(|source| Error::Write { path: path.to_owned(), source })
}

/// Removes a folder that may not be there.
///
/// # Errors
/// What the system refuses.
pub fn remove(folder: &Path) -> Result<(), Error> {
    match std::fs::remove_dir_all(folder) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(Error::Write { path: folder.to_owned(), source }),
    }
}

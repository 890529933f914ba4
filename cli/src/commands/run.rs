//! `galapagos run`: a local cluster from start to result, resumable at any moment.

use std::io::Write;
use std::path::{Path, PathBuf};

use galapagos_artifacts::ArtifactStore;
use galapagos_domain::cluster::EvolutionView;
use galapagos_domain::cluster::view::Status;
use galapagos_domain::plan::Plan;
use galapagos_domain::recipe::step::RecipeStep;
use galapagos_domain::recipe::{Base, Recipe};
use galapagos_proto::announce::Announcement;
use galapagos_proto::client::admin;
use galapagos_proto::v1;
use tokio::signal::unix::{SignalKind, signal};

use super::watch::{Whereabouts, follow};
use super::{print, print_json};
use crate::args::{self, Cluster};
use crate::client::{self, RUNS, call};
use crate::error::{Error, Exit};
use crate::local::{FolderError, Layout, LocalCluster, RunFolder, RunMark, tail};
use crate::outcome::{self, Final};
use crate::recipe_file::{self, RecipeFile};
use crate::render::live::{Live, Mode};
use crate::render::{self, duration};
use crate::{export, report, trees};

/// What `run` and `reproduce` start.
#[derive(Debug)]
pub struct Job<'a> {
    pub file: &'a RecipeFile,
    pub folder: RunFolder,
    pub seed: u64,
    pub layout: Layout,
}

/// How a local run ended.
#[derive(Debug)]
pub enum Ended {
    /// The evolution reached a final status.
    Final(Box<EvolutionView>),
    /// A person interrupted; the folder can be resumed.
    Interrupted,
}

/// `galapagos run`.
///
/// # Errors
/// Mistakes in the recipe, a folder in use or of another run, a process that cannot be kept alive, a failed evolution.
pub async fn run(args: args::Run, json: bool) -> Result<Exit, Error> {
    let read = if args.dry_run { recipe_file::read_to_plan } else { recipe_file::read };
    let mut file = read(&args.recipe)?;
    if args.control {
        file = control(&file)?;
    }
    if args.dry_run {
        return dry_run(&file, json);
    }
    check_base(&file.recipe, &args.cluster.models)?;
    let root = args.dir.clone().unwrap_or_else(|| default_folder(&file.recipe, args.control));
    let folder = RunFolder::create(&root).map_err(folder_error)?;
    let layout = Layout {
        folder: folder.clone(),
        cluster: args.cluster.clone(),
        listen: args.listen.to_string(),
        http: args.http.to_string(),
    };
    let job = Job { file: &file, folder, seed: args.seed, layout };
    let mut live = Live::new(Mode::of(json));
    if !json {
        print(&heading(&job))?;
    }
    let ended = evolve(&job, &mut live).await?;
    live.end();
    match ended {
        Ended::Interrupted => {
            let resume = format!(
                "galapagos run {} --dir {} --seed {}",
                args.recipe.display(),
                job.folder.root().display(),
                args.seed
            );
            let _ = writeln!(std::io::stderr(), "interrupted; everything committed is kept. Go on with:\n  {resume}");
            Ok(Exit::Cancelled)
        }
        Ended::Final(view) => conclude(&job, &view, json).await,
    }
}

fn control(file: &RecipeFile) -> Result<RecipeFile, Error> {
    let control = file.recipe.with_control().ok_or_else(|| Error::Usage {
        message: format!("the recipe {} names no control; add `control: {{shuffle: verdicts}}`", file.recipe.name),
    })?;
    Ok(RecipeFile::with(control, file.shelves.clone()))
}

fn dry_run(file: &RecipeFile, json: bool) -> Result<Exit, Error> {
    let plan = Plan::of(&file.recipe);
    if json {
        print_json(
            &serde_json::json!({ "version": 1, "digest": file.recipe.digest(), "recipe": file.recipe, "plan": plan }),
        )?;
    } else {
        print(&format!("{}\n{plan}", file.yaml.trim_end()))?;
    }
    Ok(Exit::Done)
}

fn default_folder(recipe: &Recipe, control: bool) -> PathBuf {
    let suffix = if control { "-control" } else { "" };
    Path::new(RUNS).join(format!("{}{suffix}", recipe.name))
}

/// Refuses a base folder that is not there before anything is started; the worker checks its content.
///
/// # Errors
/// [`Error::Usage`] names the folders that were tried.
pub fn check_base(recipe: &Recipe, models: &Path) -> Result<(), Error> {
    let Base::Model(name) = &recipe.base else { return Ok(()) };
    let candidates = [models.join(name), PathBuf::from(name)];
    if candidates.iter().any(|folder| folder.join("config.json").is_file()) {
        return Ok(());
    }
    let message = format!(
        "base model `{name}` is not there: neither `{}` nor `{name}` is a Hugging Face folder with a config.json; \
         `make setup` fetches the recipes' models, --models names another folder",
        candidates[0].display()
    );
    Err(Error::Usage { message })
}

fn heading(job: &Job<'_>) -> String {
    let recipe = &job.file.recipe;
    let base = match &recipe.base {
        Base::Model(name) => name.clone(),
        Base::Characters(shape) => {
            let vision = shape.vision.map(|vision| format!(", vision {}x{}", vision.layers, vision.hidden));
            format!("characters {}x{}{}", shape.layers, shape.hidden, vision.unwrap_or_default())
        }
    };
    let cost = Plan::of(recipe).totals;
    format!(
        "{} · {base} · {} generations · {} workers x {} slots · store {} · seed {}\n  \
         plan  at most {} jobs, {} rounds, {} completions, {} sampled tokens, {} optimiser steps",
        recipe.name,
        recipe.generations,
        job.layout.cluster.workers,
        job.layout.cluster.slots,
        job.folder.root().display(),
        job.seed,
        cost.jobs,
        cost.rounds,
        cost.completions,
        cost.sampled_tokens,
        cost.optimiser_steps
    )
}

fn folder_error(source: FolderError) -> Error {
    Error::Folder { source }
}

/// Refuses a round that would wait for ever: all its ranks run at once, each in a slot.
fn check_slots(recipe: &Recipe, cluster: &Cluster) -> Result<(), Error> {
    let steps = recipe.first.iter().chain(&recipe.each).chain(&recipe.finish);
    let ranks = steps.filter_map(|step| match step {
        RecipeStep::Train(train) => Some(train.ranks),
        RecipeStep::Rollout(_)
        | RecipeStep::Curate(_)
        | RecipeStep::Tournament(_)
        | RecipeStep::Evaluate(_)
        | RecipeStep::Propose(_) => None,
    });
    let (wanted, there) = (ranks.max().unwrap_or(0), cluster.workers.saturating_mul(cluster.slots));
    if wanted <= there {
        return Ok(());
    }
    let message = format!(
        "recipe {} trains on {wanted} ranks at once, but {} workers x {} slots are {there} slots; \
         start more with --workers or --slots, or lower `ranks`",
        recipe.name, cluster.workers, cluster.slots
    );
    Err(Error::Usage { message })
}

/// Runs or resumes the evolution of a folder on a local cluster until it ends or a person interrupts.
///
/// # Errors
/// As [`run`]; the processes are gone by the time it returns.
pub async fn evolve(job: &Job<'_>, live: &mut Live) -> Result<Ended, Error> {
    check_slots(&job.file.recipe, &job.layout.cluster)?;
    let _lock = job.folder.lock().map_err(folder_error)?;
    let mark = claim(job)?;
    keep_rows(job).await?;
    let mut terminate = signal(SignalKind::terminate()).map_err(|source| Error::Runtime { source })?;
    forget_announcement(&job.folder)?;
    let mut cluster = LocalCluster::start(&job.layout).map_err(|source| Error::Process { source })?;
    let ended = tokio::select! {
        view = submit_and_follow(job, mark, live) => view.map(|view| Ended::Final(Box::new(view))),
        failure = cluster.failed() => Err(Error::Process { source: failure }),
        interrupted = tokio::signal::ctrl_c() => interrupted.map(|()| Ended::Interrupted).map_err(|source| Error::Runtime { source }),
        _ = terminate.recv() => Ok(Ended::Interrupted),
    };
    cluster.stop().await;
    ended
}

/// Marks the folder as this run's, or checks that it is.
fn claim(job: &Job<'_>) -> Result<RunMark, Error> {
    let ours = RunMark {
        recipe: job.file.recipe.name.to_string(),
        recipe_digest: job.file.recipe.digest().hex(),
        seed: job.seed,
        evolution: None,
    };
    let Some(theirs) = job.folder.mark().map_err(folder_error)? else {
        job.folder.set_mark(&ours).map_err(folder_error)?;
        std::fs::write(job.folder.recipe(), &job.file.yaml)
            .map_err(|source| Error::Write { path: job.folder.recipe(), source })?;
        return Ok(ours);
    };
    if (&theirs.recipe_digest, theirs.seed) == (&ours.recipe_digest, ours.seed) {
        return Ok(theirs);
    }
    let message = format!(
        "`{}` holds the run of recipe {} ({}) with seed {}, not of recipe {} ({}) with seed {}; \
         choose another folder with --dir, or delete this one",
        job.folder.root().display(),
        theirs.recipe,
        &theirs.recipe_digest[..8.min(theirs.recipe_digest.len())],
        theirs.seed,
        ours.recipe,
        &ours.recipe_digest[..8],
        ours.seed
    );
    Err(Error::Refused { message })
}

/// Stores the rows of the recipe's data sets, so that workers read them from there.
async fn keep_rows(job: &Job<'_>) -> Result<(), Error> {
    if job.file.shelves.is_empty() {
        return Ok(());
    }
    let store = client::artifacts(None, Some(&job.folder))?;
    job.file.shelves.store(&store).await.map_err(|source| Error::Artifact { source: Box::new(source) })
}

/// An announcement of an earlier cluster would lead to a port that may be somebody else's now.
fn forget_announcement(folder: &RunFolder) -> Result<(), Error> {
    let path = folder.announcement_file();
    match std::fs::remove_file(&path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(Error::Write { path, source }),
    }
}

async fn submit_and_follow(job: &Job<'_>, mark: RunMark, live: &mut Live) -> Result<EvolutionView, Error> {
    let whereabouts = Whereabouts::Folder(job.folder.clone());
    let evolution = match mark.evolution.clone() {
        Some(id) => id,
        None => {
            let id = submit(job, &whereabouts).await?;
            job.folder.set_mark(&RunMark { evolution: Some(id.clone()), ..mark }).map_err(folder_error)?;
            id
        }
    };
    if let Ok(announcement) = Announcement::read(&job.folder.announcement_file()) {
        tracing::info!(%announcement.addr, %announcement.http, "coordinator found");
    }
    follow(&whereabouts, &evolution, live).await
}

/// Submits once, whatever dies in between: an evolution already in this folder's store is this run's.
async fn submit(job: &Job<'_>, whereabouts: &Whereabouts) -> Result<String, Error> {
    loop {
        let mut service = admin(whereabouts.reach().await?);
        let submitted = async {
            let listed = service.list(v1::ListRequest {}).await?.into_inner().evolutions;
            if let Some(earlier) = listed.into_iter().next() {
                return Ok(earlier.evolution_id);
            }
            let request = v1::SubmitRequest { recipe_yaml: job.file.yaml.clone(), seed: job.seed };
            Ok(service.submit(request).await?.into_inner().evolution_id)
        };
        match submitted.await.map_err(call("submit the recipe")) {
            Err(Error::Call { source, .. }) if source.kind.is_transient() => {
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            }
            result => return result,
        }
    }
}

/// Search trees that a report shows.
const REPORTED_TREES: usize = 6;

async fn conclude(job: &Job<'_>, view: &EvolutionView, json: bool) -> Result<Exit, Error> {
    let report_path = job.folder.report();
    let trees = trees::newest(&job.folder.artifacts().display().to_string(), view, REPORTED_TREES).await;
    std::fs::write(&report_path, report::render(view, &job.file.yaml, &trees))
        .map_err(|source| Error::Write { path: report_path.clone(), source })?;
    match view.status {
        Status::Failed => {
            let worker_log = job.folder.log_file("w1");
            let message = format!(
                "{} failed: {}\n  report {}\n  the end of `{}`:\n{}",
                view.id,
                view.failure.join("\n  caused by: "),
                report_path.display(),
                worker_log.display(),
                tail(&worker_log)
            );
            return Err(Error::Failed { message });
        }
        Status::Cancelled => {
            print(&format!("{} was cancelled; what it made is kept in {}", view.id, job.folder.root().display()))?;
            return Ok(Exit::Cancelled);
        }
        Status::Done | Status::Running | Status::Paused => {}
    }
    let exported = job.folder.export("champion");
    let champion =
        outcome::champion(view).ok_or_else(|| Error::Failed { message: format!("{} has no champion", view.id) })?;
    let store = ArtifactStore::open(&job.folder.artifacts().display().to_string())
        .map_err(|source| Error::Artifact { source: Box::new(source) })?;
    export::member(&store, champion, &exported, export::Form::Merged).await?;
    export::describe(view, &job.file.recipe, champion, (&store, &exported)).await?;
    let summary = Final::of(view);
    if json {
        print(&serde_json::json!({ "final": summary }).to_string())?;
    } else if let Some(summary) = summary {
        print(&closing(view, &summary, &exported, &job.folder))?;
    }
    Ok(Exit::Done)
}

fn closing(view: &EvolutionView, summary: &Final, exported: &Path, folder: &RunFolder) -> String {
    let share = |mean: Option<f64>, ci: Option<[f64; 2]>| match (mean, ci) {
        (Some(mean), Some([low, high])) => format!("{mean:.3} [{low:.3}, {high:.3}]"),
        _ => "not measured".to_owned(),
    };
    format!(
        "\n{}{}\ndone in {}   greedy pass@1 {} -> {} on sealed tasks (95% intervals)\n  \
         champion   {}   {}   try: galapagos chat champion\n  report     {}{}",
        render::table::generations(view),
        render::curves::tables(view),
        duration(summary.elapsed_ms),
        share(summary.base_pass_at_1, summary.base_ci95),
        share(summary.pass_at_1, summary.ci95),
        summary.champion,
        exported.display(),
        folder.report().display(),
        run_logs(folder)
    )
}

/// Where the rounds' run logs are, if a round wrote one.
fn run_logs(folder: &RunFolder) -> String {
    let runs = folder.runs();
    if !runs.is_dir() {
        return String::new();
    }
    let runs = runs.display();
    format!("\n  runs       {runs}   try: tensorboard --logdir {runs}")
}

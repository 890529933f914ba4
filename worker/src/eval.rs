//! `eval`: greedy pass@1 of a model folder on a split of a recipe's task sets, with Wilson's 95% interval. The same tasks,
//! prompts, engine and checkers as an `evaluate` job, so the figures can be compared with an evolution's.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use galapagos_artifacts::datasets::Shelves;
use galapagos_domain::ids::{Digest, Name};
use galapagos_domain::job::{Sampling, TaskSlice};
use galapagos_domain::recipe::Recipe;
use galapagos_domain::recipe::diagnostic::Diagnostics;
use galapagos_domain::recipe::tasks::Split;
use galapagos_domain::seed::Seed;
use galapagos_domain::stats::{Interval, wilson95};
use galapagos_domain::trajectory::VerdictCounts;
use galapagos_telemetry::SpawnError;
use serde::Serialize;

use crate::cancel::Cancel;
use crate::config::{Eval, MeasuredSplit};
use crate::device::DeviceError;
use crate::engine::tch::TchEngine;
use crate::engine::{CheckpointDir, Codec, Engine, EngineError, EngineHandle};
use crate::jobs::JobError;
use crate::jobs::meter::Meter;
use crate::jobs::tasks::{Shelf, Tasks};
use crate::search::{Ask, Policy};
use crate::verify::Panel;

/// Why nothing could be measured.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    #[error("cannot read the recipe {}", path.display())]
    Recipe { path: PathBuf, source: io::Error },
    #[error("the recipe cannot be used\n{source}")]
    Refused { source: Diagnostics },
    #[error("cannot evaluate the model folder {}", path.display())]
    Model { path: PathBuf, source: EngineError },
    #[error("cannot prepare the tasks")]
    Tasks { source: JobError },
    #[error("cannot use the device of --device")]
    Device { source: DeviceError },
    #[error("the engine cannot be started")]
    Engine { source: SpawnError },
    #[error("cannot write the result")]
    Output { source: io::Error },
}

/// The JSON of `eval --json`, version 1.
#[derive(Debug, Serialize)]
struct Report {
    version: u32,
    model: PathBuf,
    /// Digest of the named tensors.
    weights: Digest,
    split: Split,
    seed: u64,
    tasks: BTreeMap<Name, Measured>,
}

#[derive(Debug, Serialize)]
struct Measured {
    n: u64,
    verdicts: VerdictCounts,
    /// Over the tasks whose verdict is pass, fail or suspect.
    pass_at_1: Option<Interval>,
}

/// Measures and prints.
///
/// # Errors
/// [`EvalError`].
pub fn run(config: &Eval, out: &mut dyn Write) -> Result<(), EvalError> {
    let (recipe, shelves) = read_recipe(&config.recipe)?;
    let shelf = Shelf::Given(shelves.tables());
    let place = config.computing.place().map_err(|source| EvalError::Device { source })?;
    let base = config.base.clone();
    let make = move || -> Box<dyn Engine> { Box::new(TchEngine::on(place).standing_on(base.clone())) };
    let engine = EngineHandle::start(make).map_err(|source| EvalError::Engine { source })?;
    let failed = |source| EvalError::Model { path: config.model.clone(), source };
    let checkpoint = adopt(&engine, &config.model).map_err(failed)?;
    let codec = engine.codec(&checkpoint).map_err(failed)?;
    let split = match config.split {
        MeasuredSplit::Train => Split::Train,
        MeasuredSplit::Val => Split::Val,
        MeasuredSplit::Test => Split::Test,
    };
    let mut tasks = BTreeMap::new();
    for (set, source) in &recipe.tasks {
        let indices = (0..source.size(split).min(config.n.unwrap_or(u32::MAX))).collect();
        let slice = TaskSlice {
            set: set.clone(),
            source: source.clone(),
            split,
            indices,
            seed: Seed(config.seed),
            proposed: None,
        };
        let prepared = Tasks::prepare(&slice, &shelf, codec.as_ref(), Seed(config.seed), None)
            .map_err(|source| EvalError::Tasks { source })?;
        tasks.insert(set.clone(), measure(&engine, &checkpoint, &codec, &prepared).map_err(failed)?);
    }
    let report = Report {
        version: 1,
        model: config.model.clone(),
        weights: checkpoint.weights,
        split,
        seed: config.seed,
        tasks,
    };
    print(&report, config.json, out).map_err(|source| EvalError::Output { source })
}

/// A folder that was never committed: its own weights are the right ones.
pub(crate) fn adopt(engine: &EngineHandle, folder: &Path) -> Result<CheckpointDir, EngineError> {
    let weights = engine.inspect(folder.to_owned())?;
    Ok(CheckpointDir { checkpoint: weights, weights, path: folder.to_owned(), base: None })
}

/// The recipe, and the rows of its data sets.
fn read_recipe(path: &Path) -> Result<(Recipe, Shelves), EvalError> {
    let text = std::fs::read_to_string(path).map_err(|source| EvalError::Recipe { path: path.to_owned(), source })?;
    let folder = path.parent().map(Path::to_owned).unwrap_or_default();
    let loader = |name: &str| std::fs::read_to_string(folder.join(name)).map_err(|error| error.to_string());
    let mut shelves = Shelves::new(folder.clone());
    let recipe = Recipe::parse_filled(&path.display().to_string(), &text, &loader, &mut |recipe| shelves.fill(recipe))
        .map_err(|source| EvalError::Refused { source })?;
    Ok((recipe, shelves))
}

fn measure(
    engine: &EngineHandle,
    checkpoint: &CheckpointDir,
    codec: &Arc<dyn Codec>,
    tasks: &Tasks,
) -> Result<Measured, EngineError> {
    let meter = Meter::new(Cancel::default(), Arc::new(|_| {}));
    let policy = Policy { engine, checkpoint, codec, meter: &meter };
    let asks = Ask::greedy(tasks, &Sampling::at(0.0));
    let panel = Panel::rule();
    let mut verdicts = VerdictCounts::default();
    for (place, samples) in policy.answer(tasks, &asks)?.into_iter().enumerate() {
        for sample in samples {
            verdicts.count(panel.judge(tasks.claim(place, &sample.text)).outcome);
        }
    }
    let undecided = verdicts.error + verdicts.timeout;
    let pass_at_1 = wilson95(verdicts.pass, verdicts.total() - undecided);
    Ok(Measured { n: verdicts.total(), verdicts, pass_at_1 })
}

fn print(report: &Report, json: bool, out: &mut dyn Write) -> io::Result<()> {
    if json {
        return writeln!(out, "{}", serde_json::to_string(report)?);
    }
    writeln!(out, "{}  weights {}  split {}", report.model.display(), report.weights.short(), report.split)?;
    for (set, measured) in &report.tasks {
        match measured.pass_at_1 {
            Some(Interval { mean, low, high }) => {
                writeln!(out, "  {:<20} pass@1 {mean:.3}  [{low:.3}, {high:.3}] 95%  n {}", set.as_str(), measured.n)?;
            }
            None => writeln!(out, "  {:<20} no tasks in this split", set.as_str())?,
        }
        let undecided = measured.verdicts.error + measured.verdicts.timeout;
        if undecided > 0 {
            writeln!(out, "  {:<20} {undecided} tasks could not be verified and are not counted", "")?;
        }
    }
    Ok(())
}

//! A controller: the jobs that measure its grid, round by round, and what is known of the grid so far. A job samples one point on some
//! tasks; a later round measures the points that are left on the tasks that none has seen, so nothing is sampled twice.

use std::collections::BTreeMap;

use super::{Expansion, ResolveError, Site, ids, rollout};
use crate::cluster::Limits;
use crate::cluster::control::{Known, best_first};
use crate::cluster::cursor::Place;
use crate::cluster::evolution::{Evolution, StepRun, Work};
use crate::ids::{JobId, Name};
use crate::job::{JobKind, JobOutput, JobSpec, RolloutSpec, SweepSpec};
use crate::plan::chunks;
use crate::recipe::controller::{Controller, GridArgmax, Point, Rung, Sweep};
use crate::recipe::search::Trust;
use crate::recipe::verify::Verifier;

/// What is known of a controller's grid.
#[derive(Debug)]
pub(in crate::cluster) struct Survey {
    /// The jobs that can be made with the outputs that are there, in order of their numbers; those that were made before among them.
    pub jobs: Vec<JobSpec>,
    /// Every point that was measured, once all rounds are over.
    pub known: Option<Known>,
}

/// A controller about to run.
pub(super) fn begin(evolution: &Evolution, limits: &Limits, place: Place) -> Result<Expansion, ResolveError> {
    let Place { phase, list, position } = place;
    let controller = evolution.recipe.controllers.get(position).ok_or(ResolveError::NoSuchStep { phase, position })?;
    let name = match controller.given_name() {
        Some(name) => name.clone(),
        None => Name::new(format!("control-{}", position + 1)).map_err(ResolveError::BadId)?,
    };
    let site = Site { evolution, limits, phase, name: name.clone() };
    let jobs = survey(&site, controller, &|_| None)?.jobs;
    let (verb, work) = ("control".to_owned(), Work::Jobs(ids(&jobs)));
    let run = StepRun { phase, list, position, name, verb, elapsed_ms: 0, work, outcome: None };
    Ok(Expansion { run, jobs, round: None })
}

/// What is known with these outputs, and what can be asked next.
///
/// # Errors
/// [`ResolveError`] if a name of the recipe means nothing.
pub(in crate::cluster) fn survey<'a>(
    site: &Site<'_>,
    controller: &Controller,
    output: &impl Fn(&JobId) -> Option<&'a JobOutput>,
) -> Result<Survey, ResolveError> {
    let Controller::GridArgmax(grid) = controller;
    let vars = site.evolution.vars();
    let points = grid.grid(&vars);
    let sweep = Sweep::of(grid, vars.clone(), points.swept.clone());
    let mut known = Known::new(&points.sampled, &sweep, site.seed());
    let mut jobs = Vec::new();
    let mut left: Vec<usize> = (0..points.sampled.len()).collect();
    let mut before = None;
    for rung in grid.budget.rungs() {
        left.truncate(rung.points(points.sampled.len()));
        let windows = windows(site, grid, before, *rung)?;
        let mut complete = true;
        for place in &left {
            for spec in measured(site, grid, (&points.sampled[*place], &windows), &sweep)? {
                let job = site.job(jobs.len(), JobKind::Sweep(spec))?;
                match (output(&job.id), &job.kind) {
                    (Some(JobOutput::Sweep { sums, .. }), JobKind::Sweep(spec)) => {
                        known.add(*place, sums, spec.rollout.tasks.indices.len() as u64);
                    }
                    _ => complete = false,
                }
                jobs.push(job);
            }
        }
        if !complete {
            return Ok(Survey { jobs, known: None });
        }
        left = best_first(grid, &known, &left, &vars);
        before = Some(*rung);
    }
    known.finalists = left;
    Ok(Survey { jobs, known: Some(known) })
}

/// Of each task set the tasks of a round: those that the rounds before it did not take.
fn windows(
    site: &Site<'_>,
    grid: &GridArgmax,
    before: Option<Rung>,
    rung: Rung,
) -> Result<Vec<(Name, Vec<u32>)>, ResolveError> {
    let window = |(set, selection): (&Name, &crate::recipe::tournament::Selection)| {
        let tasks = selection.n.of(site.available(set, selection.split)?);
        Ok((set.clone(), (before.map_or(0, |rung| rung.tasks(tasks))..rung.tasks(tasks)).collect()))
    };
    grid.on.iter().map(window).collect()
}

/// The jobs that sample one point.
fn measured(
    site: &Site<'_>,
    grid: &GridArgmax,
    (point, windows): (&Point, &[(Name, Vec<u32>)]),
    sweep: &Sweep,
) -> Result<Vec<SweepSpec>, ResolveError> {
    let mut vars: BTreeMap<Name, f64> = site.evolution.vars();
    vars.extend(point.iter().map(|(name, value)| (name.clone(), *value)));
    let policy = site.evolution.current(&grid.role)?.checkpoint;
    let search = rollout::resolved_at((site.evolution, site.phase), &grid.search, &vars)?;
    let critics =
        rollout::critics(site, search.roles().into_iter().chain(grid.verify.iter().flat_map(Verifier::roles)))?;
    let mut specs = Vec::new();
    for (set, window) in windows {
        let Some(selection) = grid.on.get(set) else { continue };
        for part in chunks(window.len() as u32) {
            let tasks = window[part.start as usize..part.end as usize].to_vec();
            let rollout = RolloutSpec {
                policy,
                tasks: site.slice(set, selection.split, tasks)?,
                search: Box::new(search.clone()),
                verify: grid.verify.clone(),
                critics: critics.clone(),
                trust: Trust::default(),
                grown: Vec::new(),
            };
            // A filter may name a sampled variable, too.
            let sweep = Box::new(Sweep { vars: vars.clone(), ..sweep.clone() });
            specs.push(SweepSpec { rollout, sweep });
        }
    }
    Ok(specs)
}

//! `curate` becomes one job, `train` one round.

use std::collections::BTreeMap;

use super::{ResolveError, Site, rollout};
use crate::job::{CurateFrom, CurateSpec, JobKind, JobSpec, TaskSlice};
use crate::recipe::curate::{Curate, From, Operator};
use crate::recipe::tasks::Split;
use crate::recipe::train::{Source, Train};
use crate::round::RoundSpec;

pub(super) fn curate(site: &Site<'_>, curate: &Curate) -> Result<JobSpec, ResolveError> {
    let from = match &curate.from {
        From::Datasets(names) => {
            let files: Result<Vec<_>, _> =
                names.iter().map(|name| site.evolution.files(&Source::Latest(name.clone()))).collect();
            CurateFrom::Trajectories(files?.concat())
        }
        From::Demonstrations { demonstrations: set } => CurateFrom::Demonstrations {
            base: site.evolution.need_base()?.checkpoint,
            tasks: {
                let all = (0..site.available(set, Split::Demonstrations)?).collect();
                Box::new(site.slice(set, Split::Demonstrations, all)?)
            },
        },
        From::Questions { questions: set, seeds } => CurateFrom::Questions {
            base: site.evolution.need_base()?.checkpoint,
            tasks: {
                let all = (0..site.available(set, Split::Train)?).collect();
                Box::new(site.slice(set, Split::Train, all)?)
            },
            seeds: *seeds,
        },
    };
    let vars = &site.evolution.vars();
    let apply: Result<Vec<_>, _> = curate.apply.iter().map(|operator| operator.resolved(vars)).collect();
    let apply = apply.map_err(|number| ResolveError::unknown(&number))?;
    let needs = |what: fn(&Operator) -> bool| apply.iter().any(what);
    let trees = match curate.from.datasets() {
        [one] if needs(Operator::reads_trees) => site.evolution.trees(one)?,
        _ => Vec::new(),
    };
    let tasks = if needs(Operator::asks_rules) { sources(site)? } else { Vec::new() };
    let text = needs(Operator::writes_text).then(|| site.evolution.need_base()).transpose()?;
    let text = text.map(|base| base.checkpoint);
    let mut with = BTreeMap::new();
    for operator in &apply {
        if let Operator::Mix(mix) = operator {
            for name in mix.with.keys() {
                with.insert(name.clone(), site.evolution.files(&Source::Latest(name.clone()))?);
            }
        }
    }
    let critics = rollout::critics(site, apply.iter().filter_map(Operator::role))?;
    site.job(0, JobKind::Curate(CurateSpec { from, apply, trees, text, tasks, with, critics }))
}

/// The training tasks of every task set and its demonstrations, without indices.
fn sources(site: &Site<'_>) -> Result<Vec<TaskSlice>, ResolveError> {
    let sets = site.evolution.recipe.tasks.keys();
    let each = sets.flat_map(|set| [Split::Train, Split::Demonstrations].map(|split| (set, split)));
    each.map(|(set, split)| site.slice(set, split, Vec::new())).collect()
}

pub(super) fn round(site: &Site<'_>, train: &Train) -> Result<RoundSpec, ResolveError> {
    Ok(RoundSpec {
        id: site.round_id()?,
        evolution: site.evolution.id.clone(),
        role: train.role.clone(),
        head: site.evolution.role(&train.role)?.head,
        start: site.evolution.start_of(train)?.checkpoint,
        optimiser: site.evolution.optimiser_of(train)?,
        reference: site.evolution.reference_of(train)?,
        critic: train
            .loss
            .critic()
            .map(|role| site.evolution.current(role))
            .transpose()?
            .map(|member| member.checkpoint),
        datasets: site.evolution.files_of(train)?,
        mix: train.mix.as_ref().map_or_else(|| Ok(Vec::new()), |mix| site.evolution.files_on(&mix.on))?,
        train: train.clone(),
        seed: site.seed(),
        stall_limit_ms: site.limits.stall_limit_ms,
    })
}

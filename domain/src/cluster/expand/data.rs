//! `curate` becomes one job, `train` one round.

use super::{ResolveError, Site};
use crate::job::{CurateFrom, CurateSpec, JobKind, JobSpec};
use crate::recipe::curate::{Curate, From};
use crate::recipe::tasks::Split;
use crate::recipe::train::{Source, Train};
use crate::round::RoundSpec;

pub(super) fn curate(site: &Site<'_>, curate: &Curate) -> Result<JobSpec, ResolveError> {
    let from = match &curate.from {
        From::Dataset(name) => CurateFrom::Trajectories(site.evolution.files(&Source::Latest(name.clone()))?),
        From::Demonstrations { demonstrations: set } => CurateFrom::Demonstrations {
            base: site.evolution.need_base()?.checkpoint,
            tasks: {
                let all = (0..site.available(set, Split::Demonstrations)?).collect();
                site.slice(set, Split::Demonstrations, all)?
            },
        },
    };
    site.job(0, JobKind::Curate(CurateSpec { from, apply: curate.apply.clone() }))
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

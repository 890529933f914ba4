//! `rollout`: this generation's window of training tasks, cut into jobs.

use rand::seq::SliceRandom as _;

use super::{ResolveError, Site};
use crate::cluster::view::Phase;
use crate::ids::Name;
use crate::job::{JobKind, JobSpec, RolloutSpec, Sampling};
use crate::plan::chunks;
use crate::recipe::search::{Rollout, Search};
use crate::recipe::tasks::Split;

pub(super) fn jobs(site: &Site<'_>, rollout: &Rollout) -> Result<Vec<JobSpec>, ResolveError> {
    let policy = site.evolution.current(&rollout.role)?.checkpoint;
    let Search::SampleK(search) = &rollout.search;
    let sampling = Sampling {
        temperature: site.number(&search.temperature)?,
        top_p: site.number(&search.top_p)?,
        max_tokens: search.max_tokens,
        top_k: search.top_k.as_ref().map(|top_k| site.whole(top_k)).transpose()?,
        min_p: site.number(&search.min_p)?,
        repetition_penalty: site.number(&search.repetition_penalty)?,
        guide: search.guide.clone(),
        speculate: search.speculate,
    };
    let mut jobs = Vec::new();
    for (set, amount) in &rollout.tasks {
        let window = window(site, set, amount.of(site.available(set, Split::Train)?))?;
        for part in chunks(window.len() as u32) {
            let tasks = window[part.start as usize..part.end as usize].to_vec();
            let spec = RolloutSpec {
                policy,
                tasks: site.slice(set, Split::Train, tasks)?,
                samples: search.n,
                sampling: sampling.clone(),
                verify: rollout.verify.clone(),
            };
            jobs.push(site.job(jobs.len(), JobKind::Rollout(spec))?);
        }
    }
    Ok(jobs)
}

/// The `count` tasks of this turn: generation g takes the g-th window of one seeded permutation, around its end if need be.
/// `first` shares the window of generation 1 and `finish` takes the one after the last generation's.
fn window(site: &Site<'_>, set: &Name, count: u32) -> Result<Vec<u32>, ResolveError> {
    let available = site.available(set, Split::Train)?;
    let mut order: Vec<u32> = (0..available).collect();
    order.shuffle(&mut site.evolution.seed.derive(&format!("order/{set}")).stream());
    let turn = match site.phase {
        Phase::Base | Phase::First => 0,
        Phase::Generation(generation) => generation.saturating_sub(1),
        Phase::Finish => site.evolution.recipe.generations,
    };
    let start = if available == 0 { 0 } else { (u64::from(turn) * u64::from(count) % u64::from(available)) as usize };
    Ok(order.iter().cycle().skip(start).take(count as usize).copied().collect())
}

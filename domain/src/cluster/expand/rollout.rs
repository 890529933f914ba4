//! `rollout`: this generation's window of training tasks, cut into jobs.

use std::collections::{BTreeMap, BTreeSet};

use rand::seq::SliceRandom as _;

use super::evaluate::trained_with_shots;
use super::{ResolveError, Site};
use crate::cluster::evolution::Evolution;
use crate::cluster::view::Phase;
use crate::ids::Name;
use crate::job::{Critic, JobKind, JobSpec, RolloutSpec, Sampling};
use crate::plan::chunks;
use crate::recipe::Number;
use crate::recipe::search::{Rollout, Search};
use crate::recipe::tasks::Split;
use crate::recipe::verify::Verifier;

pub(super) fn jobs(site: &Site<'_>, rollout: &Rollout) -> Result<Vec<JobSpec>, ResolveError> {
    (0..).zip(pieces(site, rollout)?).map(|(number, spec)| site.job(number, JobKind::Rollout(spec))).collect()
}

/// What each job of the rollout searches; of a search that is spread over jobs, what each of its groups of jobs does.
pub(super) fn pieces(site: &Site<'_>, rollout: &Rollout) -> Result<Vec<RolloutSpec>, ResolveError> {
    let policy = site.evolution.current(&rollout.role)?.checkpoint;
    let search = resolved(site, &rollout.search)?;
    let critics = critics(site, search.roles().into_iter().chain(rollout.verify.iter().flat_map(Verifier::roles)))?;
    let mut pieces = Vec::new();
    for (set, amount) in &rollout.tasks {
        let window = window(site, set, amount.of(site.available(set, Split::Train)?))?;
        for part in chunks(window.len() as u32) {
            let tasks = window[part.start as usize..part.end as usize].to_vec();
            pieces.push(RolloutSpec {
                policy,
                tasks: site.slice(set, Split::Train, tasks)?,
                search: Box::new(search.clone()),
                verify: rollout.verify.clone(),
                critics: critics.clone(),
                trust: rollout.trust(),
                grown: Vec::new(),
            });
        }
    }
    Ok(pieces)
}

/// The search as it is in this generation.
pub(super) fn resolved(site: &Site<'_>, search: &Search) -> Result<Search, ResolveError> {
    resolved_in(site.evolution, site.phase, search)
}

/// The search as it is in `phase`.
pub(in crate::cluster) fn resolved_in(
    evolution: &Evolution,
    phase: Phase,
    search: &Search,
) -> Result<Search, ResolveError> {
    resolved_at((evolution, phase), search, &evolution.vars())
}

/// The same with these variables.
pub(super) fn resolved_at(
    (evolution, phase): (&Evolution, Phase),
    search: &Search,
    vars: &BTreeMap<Name, f64>,
) -> Result<Search, ResolveError> {
    let generation = match phase {
        Phase::Base | Phase::First => 1,
        Phase::Generation(generation) => generation,
        Phase::Finish => evolution.recipe.generations,
    };
    let search = search.resolved(vars, generation).map_err(|number| ResolveError::unknown(&number))?;
    let sampled = Sampling::of(search.propose());
    sampled.ok_or_else(|| {
        ResolveError::NotWhole(search.propose().top_k.as_ref().and_then(Number::value).unwrap_or(0.0))
    })?;
    Ok(search)
}

/// The checkpoints of roles that are asked.
pub(super) fn critics<'a>(
    site: &Site<'_>,
    roles: impl IntoIterator<Item = &'a Name>,
) -> Result<BTreeMap<Name, Critic>, ResolveError> {
    let roles: BTreeSet<&Name> = roles.into_iter().collect();
    let critic = |name: &Name| {
        let member = site.evolution.current(name)?;
        let head = site.evolution.role(name)?.head;
        let shots = trained_with_shots(site.evolution, member);
        Ok((name.clone(), Critic { checkpoint: member.checkpoint, head, shots }))
    };
    roles.into_iter().map(critic).collect()
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

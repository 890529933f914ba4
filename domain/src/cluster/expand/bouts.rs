//! `tournament`: mirrored pairs in an order fixed by seed, handed out in waves of jobs until the gate decides.
//!
//! Bout job j plays set j mod sets. Within a set, jobs walk through a permutation of the tasks; after its last task comes the
//! next cycle, with another permutation and other random streams, so that a task met again is a new observation.

use rand::seq::SliceRandom as _;

use super::{ResolveError, Site};
use crate::cluster::evolution::Contest;
use crate::ids::{Digest, Name};
use crate::job::{BoutSpec, JobKind, JobSpec, Sampling};
use crate::recipe::tasks::Split;
use crate::recipe::tournament::Tournament;

/// Pairs in one bout job.
const PAIRS_PER_JOB: u32 = 12;
/// Bout jobs in one wave: as many as a small cluster runs at once; pairs after the deciding one are wasted.
const JOBS_PER_WAVE: usize = 4;

/// The tasks of one set that a tournament plays.
struct Arena<'a> {
    set: &'a Name,
    split: Split,
    tasks: u32,
}

/// The next wave of `contest`: empty once `max_pairs` pairs are handed out, or when there are no tasks.
pub(in crate::cluster) fn wave(
    site: &Site<'_>,
    tournament: &Tournament,
    contest: &Contest,
) -> Result<Vec<JobSpec>, ResolveError> {
    let mut arenas = Vec::new();
    for (set, selection) in &tournament.tasks {
        let tasks = selection.n.of(site.available(set, selection.split)?);
        arenas.extend((tasks > 0).then_some(Arena { set, split: selection.split, tasks }));
    }
    let sides = (checkpoint(site, &contest.holder)?, checkpoint(site, &contest.challenger)?);
    let sampling = Sampling {
        max_tokens: tournament.max_tokens,
        guide: tournament.guide.clone(),
        speculate: tournament.speculate,
        ..Sampling::at(site.number(&tournament.temperature)?)
    };
    let mut wave = Vec::new();
    let mut pairs = 0;
    for index in 0..contest.jobs.len() + JOBS_PER_WAVE {
        let Some(mut tasks) = pairs_of(site, &arenas, index) else { break };
        tasks.indices.truncate((tournament.max_pairs - pairs) as usize);
        if tasks.indices.is_empty() {
            break;
        }
        pairs += tasks.indices.len() as u32;
        if index >= contest.jobs.len() {
            let slice = site.slice(tasks.arena.set, tasks.arena.split, tasks.indices)?;
            let bout = BoutSpec { holder: sides.0, challenger: sides.1, tasks: slice, sampling: sampling.clone() };
            let mut job = site.job(index, JobKind::Bout(bout))?;
            if tasks.cycle > 0 {
                job.seed = job.seed.derive(&format!("cycle/{}", tasks.cycle));
            }
            wave.push(job);
        }
    }
    Ok(wave)
}

fn checkpoint(site: &Site<'_>, member: &crate::ids::MemberId) -> Result<Digest, ResolveError> {
    let found = site.evolution.member(member).map(|member| member.checkpoint);
    found.ok_or_else(|| ResolveError::UnknownMember(site.name.clone()))
}

/// The tasks of one bout job.
struct Pairs<'a> {
    arena: &'a Arena<'a>,
    cycle: u32,
    indices: Vec<u32>,
}

fn pairs_of<'a>(site: &Site<'_>, arenas: &'a [Arena<'a>], index: usize) -> Option<Pairs<'a>> {
    let arena = arenas.get(index.checked_rem(arenas.len())?)?;
    let turn = (index / arenas.len()) as u32;
    let per_cycle = arena.tasks.div_ceil(PAIRS_PER_JOB);
    let (cycle, place) = (turn / per_cycle, turn % per_cycle);
    let mut order: Vec<u32> = (0..arena.tasks).collect();
    order.shuffle(&mut site.seed().derive(&format!("order/{}/{cycle}", arena.set)).stream());
    let indices = order.into_iter().skip((place * PAIRS_PER_JOB) as usize).take(PAIRS_PER_JOB as usize).collect();
    Some(Pairs { arena, cycle, indices })
}

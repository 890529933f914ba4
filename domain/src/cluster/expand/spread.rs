//! A rollout whose trees are spread over jobs: for each group of tasks a trunk, then waves of parts, then the job that puts the trees
//! together and verifies what they hold.
//!
//! The jobs of a group have numbers of their own from the start, whichever group is ahead, so that nothing depends on timing. A job is
//! made when the trees that it goes on from are there.

use super::rollout::pieces;
use super::{ResolveError, Site};
use crate::artifact::ArtifactRef;
use crate::ids::JobId;
use crate::job::{GrowSpec, JobKind, JobOutput, JobSpec, RolloutSpec};
use crate::recipe::search::{Rollout, Spread};

/// The jobs that can be made with the outputs that are there, in order of their numbers; those that were made before among them.
///
/// # Errors
/// [`ResolveError`] if a name of the recipe means nothing.
pub fn ready<'a>(
    site: &Site<'_>,
    rollout: &Rollout,
    output: &impl Fn(&JobId) -> Option<&'a JobOutput>,
) -> Result<Vec<JobSpec>, ResolveError> {
    let Some(spread) = rollout.search.spread() else { return Ok(Vec::new()) };
    let mut jobs = Vec::new();
    for (group, piece) in pieces(site, rollout)?.into_iter().enumerate() {
        jobs.extend(of_group(site, spread, (group, piece), output)?);
    }
    Ok(jobs)
}

/// Those that grow, and the last one.
fn of_a_group(spread: Spread) -> usize {
    spread.growths() as usize + 1
}

fn of_group<'a>(
    site: &Site<'_>,
    spread: Spread,
    (group, mut piece): (usize, RolloutSpec),
    output: &impl Fn(&JobId) -> Option<&'a JobOutput>,
) -> Result<Vec<JobSpec>, ResolveError> {
    let mut number = group * of_a_group(spread);
    let mut jobs = Vec::new();
    for wave in 0..=spread.waves {
        let mut grown: Vec<Option<ArtifactRef>> = Vec::new();
        for part in 0..spread.parts(wave) {
            let job = site.job(number, JobKind::Grow(GrowSpec { rollout: piece.clone(), part }))?;
            number += 1;
            grown.push(match output(&job.id) {
                Some(JobOutput::Grow { trees, .. }) => Some(trees.clone()),
                Some(_) | None => None,
            });
            jobs.push(job);
        }
        let Some(grown) = grown.into_iter().collect::<Option<Vec<_>>>() else { return Ok(jobs) };
        piece.grown.push(grown);
    }
    jobs.push(site.job(number, JobKind::Rollout(piece))?);
    Ok(jobs)
}

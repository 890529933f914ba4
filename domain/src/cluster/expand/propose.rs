//! `propose`: questions are written in shares, and the last job puts together what the shares kept. It is made when all of them are there,
//! and what it keeps depends on the order of their numbers alone.

use super::{ResolveError, Site};
use crate::artifact::ArtifactRef;
use crate::ids::JobId;
use crate::job::{JobKind, JobOutput, JobSpec, ProposePart, ProposeSpec, Sampling, TaskSlice};
use crate::plan::chunks;
use crate::recipe::proposals::Proposals;
use crate::recipe::tasks::Split;

/// The jobs that can be made with the outputs that are there, in order of their numbers; those that were made before among them.
///
/// # Errors
/// [`ResolveError`] if a name of the recipe means nothing.
pub fn ready<'a>(
    site: &Site<'_>,
    proposals: &Proposals,
    output: &impl Fn(&JobId) -> Option<&'a JobOutput>,
) -> Result<Vec<JobSpec>, ResolveError> {
    let spec = whole(site, proposals)?;
    let of = |part| JobKind::Propose(Box::new(ProposeSpec { part, ..spec.clone() }));
    let (mut jobs, mut written) = (Vec::new(), Vec::new());
    for (number, share) in chunks(proposals.tries()).into_iter().enumerate() {
        let job = site.job(number, of(ProposePart::Write { from: share.start, to: share.end }))?;
        written.push(match output(&job.id) {
            Some(JobOutput::Propose { questions, .. }) => Some(questions.clone()),
            Some(_) | None => None,
        });
        jobs.push(job);
    }
    let written: Option<Vec<ArtifactRef>> = written.into_iter().collect();
    if let Some(written) = written {
        jobs.push(site.job(jobs.len(), of(ProposePart::Gather(written)))?);
    }
    Ok(jobs)
}

/// What all jobs have in common.
fn whole(site: &Site<'_>, proposals: &Proposals) -> Result<ProposeSpec, ResolveError> {
    Ok(ProposeSpec {
        policy: site.evolution.current(&proposals.role)?.checkpoint,
        set: proposals.name.clone(),
        tasks: site.slice(&proposals.like, Split::Train, Vec::new())?,
        held_out: held_out(site)?,
        seeds: proposals.seeds,
        sampling: Sampling {
            top_p: site.number(&proposals.top_p)?,
            max_tokens: proposals.max_tokens,
            ..Sampling::at(site.number(&proposals.temperature)?)
        },
        n: proposals.n,
        keys: site.phase.to_string(),
        part: ProposePart::Gather(Vec::new()),
    })
}

/// What is validated and tested on, of every task set that asks questions. The sealed split is read to keep its questions out, and for
/// nothing else.
fn held_out(site: &Site<'_>) -> Result<Vec<TaskSlice>, ResolveError> {
    let asked = site.evolution.recipe.tasks.iter().filter(|(_, set)| set.env().is_none());
    let each = asked.flat_map(|(name, set)| [Split::Val, Split::Test].map(|split| (name, set, split)));
    let there = each.filter(|(_, set, split)| set.size(*split) > 0);
    there.map(|(name, _, split)| site.slice(name, split, Vec::new())).collect()
}

//! Episodes in evaluations: what solves a task, and a policy that plays every task so many times. The environment says whether an episode
//! did what was asked; where it failed, nothing is known, and the job ends.

use std::collections::BTreeMap;
use std::sync::Arc;

use galapagos_domain::job::Sampling;
use galapagos_domain::recipe::search::{EnvRollout, Propose, Search, Trust};
use galapagos_domain::recipe::verify::{EnvReturn, Verifier};
use galapagos_domain::trajectory::{Outcome, Verdict};

use super::stage::Stage;
use super::tasks::Tasks;
use super::{JobError, Workshop};
use crate::search::{Episodes, Forest, ForestError, Found, Harvest, Limits, Nowhere, Pace, Policy, Sample, Strategy};

/// Most actions of an episode. Environments end theirs before, and so do the tokens of an episode.
const MOST_TURNS: u32 = 10_000;

/// An episode, and whether the environment scores it 1.
#[derive(Debug)]
pub(super) struct Played {
    pub(super) sample: Sample,
    pub(super) solved: bool,
}

/// What decides on episodes that are evaluated: an episode passes if the environment scores it 1.
pub(super) fn rule() -> Verifier {
    Verifier::EnvReturn(EnvReturn::default())
}

/// Whether an episode of the task at `place` did what was asked, by the verdict on it.
///
/// # Errors
/// [`JobError::Unplayed`] if the environment failed: counted as a miss it would lower the score.
pub(super) fn solved(tasks: &Tasks, place: usize, verdict: &Verdict) -> Result<bool, JobError> {
    match verdict.outcome {
        Outcome::Pass => Ok(true),
        Outcome::Fail | Outcome::Suspect => Ok(false),
        Outcome::Error | Outcome::Timeout => Err(unplayed(tasks, place, verdict)),
    }
}

/// Nothing is known of the task at `place`, since the environment failed in it.
pub(super) fn unplayed(tasks: &Tasks, place: usize, verdict: &Verdict) -> JobError {
    JobError::Unplayed { task: tasks.items[place].problem.key.clone(), reason: verdict.reason.clone() }
}

/// `n` episodes of each task.
///
/// # Errors
/// As the engine; as [`solved`].
pub(super) fn play(
    shop: &Workshop,
    policy: &Policy<'_>,
    (tasks, stage): (&Tasks, &Stage),
    n: u32,
    sampling: &Sampling,
) -> Result<Vec<Vec<Played>>, JobError> {
    let search =
        Search::EnvRollout(EnvRollout { propose: Propose::answers(n, 0.0), turns: MOST_TURNS, by: Vec::new() });
    let limits = Limits { turns: MOST_TURNS, action: tasks.max_tokens, tokens: stage.tokens };
    let forest = Forest {
        engine: policy.engine,
        policy: Arc::new(policy.checkpoint.clone()),
        codec: Arc::clone(policy.codec),
        tasks,
        search: &search,
        verify: &[rule()],
        critics: &BTreeMap::new(),
        meter: policy.meter,
        code: &shop.code,
        trust: &Trust::default(),
        pace: Pace::Free,
        portions: &[],
    };
    let sampling = Arc::new(sampling.clone());
    let strategy = |(place, item): (usize, &super::tasks::Item)| -> Box<dyn Strategy> {
        Box::new(match stage.failure(place) {
            Some(verdict) => Episodes::failed(n, verdict),
            None => Episodes::new(n, limits, Arc::clone(&sampling), item.seed),
        })
    };
    let strategies = tasks.items.iter().enumerate().map(strategy).collect();
    let Harvest { searched, .. } =
        forest.drive(strategies, BTreeMap::new(), &mut Nowhere).map_err(|error| match error {
            ForestError::Cancelled => JobError::Cancelled,
            error => JobError::Search { source: Box::new(error) },
        })?;
    let read = |(place, Found { path, verdict, .. }): (usize, Found)| {
        let solved = solved(tasks, place, &verdict)?;
        Ok(Played { sample: Sample { tokens: path.tokens, log_probs: path.log_probs, text: path.text }, solved })
    };
    let of_task = |(place, searched): (usize, crate::search::Searched)| {
        searched.found.into_iter().map(|found| read((place, found))).collect()
    };
    searched.into_iter().enumerate().map(of_task).collect()
}

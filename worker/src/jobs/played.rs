//! Episodes for an evaluation: a policy plays every task so many times, and the environment says whether it did what was asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use galapagos_domain::job::Sampling;
use galapagos_domain::recipe::search::{EnvRollout, Propose, Search, Trust};
use galapagos_domain::recipe::verify::{EnvReturn, Verifier};
use galapagos_domain::trajectory::Outcome;

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

/// `n` episodes of each task.
///
/// # Errors
/// As the engine; [`JobError::Unplayed`] if the environment failed: counted as a miss it would lower the score.
pub(super) fn play(
    shop: &Workshop,
    policy: &Policy<'_>,
    (tasks, stage): (&Tasks, &Stage),
    n: u32,
    sampling: &Sampling,
) -> Result<Vec<Vec<Played>>, JobError> {
    let search = Search::EnvRollout(EnvRollout { propose: Propose::answers(n, 0.0), turns: MOST_TURNS });
    let limits = Limits { turns: MOST_TURNS, action: tasks.max_tokens, tokens: stage.tokens };
    let forest = Forest {
        engine: policy.engine,
        policy: Arc::new(policy.checkpoint.clone()),
        codec: Arc::clone(policy.codec),
        tasks,
        search: &search,
        verify: &[Verifier::EnvReturn(EnvReturn::default())],
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
        let solved = match verdict.outcome {
            Outcome::Pass => true,
            Outcome::Fail | Outcome::Suspect => false,
            Outcome::Error | Outcome::Timeout => {
                let task = tasks.items[place].problem.key.clone();
                return Err(JobError::Unplayed { task, reason: verdict.reason });
            }
        };
        Ok(Played { sample: Sample { tokens: path.tokens, log_probs: path.log_probs, text: path.text }, solved })
    };
    let of_task = |(place, searched): (usize, crate::search::Searched)| {
        searched.found.into_iter().map(|found| read((place, found))).collect()
    };
    searched.into_iter().enumerate().map(of_task).collect()
}

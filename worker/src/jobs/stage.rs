//! The tasks of a job as episodes: what each starts from, and what is shown first. A task whose episode cannot begin for a reason of the
//! moment is kept with that reason, which becomes its verdict; the others go on.

use std::sync::Arc;
use std::time::Duration;

use galapagos_domain::job::TaskSlice;
use galapagos_domain::recipe::tasks::{Env, TaskSet};
use galapagos_domain::seed::Seed;
use galapagos_domain::task::dataset::Given;
use galapagos_domain::task::{Problem, TaskRule};
use galapagos_domain::trajectory::Verdict;
use tokio::runtime::Handle;

use super::tasks::{Item, Tasks};
use super::{JobError, Workshop, engine_failed};
use crate::engine::Codec;
use crate::env::world::{Opened, Place, Wording, World, verdict};
use crate::env::{EnvError, Start};

/// The tasks of one job as episodes of one environment, in order of the tasks.
#[derive(Debug, Clone)]
pub struct Stage {
    pub world: Arc<World>,
    /// Most tokens of an episode, behind the prompt.
    pub tokens: u32,
    openings: Vec<Opening>,
}

#[derive(Debug, Clone)]
struct Opening {
    start: Start,
    /// Nothing but why, if the episode could not begin.
    seen: Result<Opened, Verdict>,
}

/// The tasks of `slice`, whether they are answered or played; as [`Tasks::prepare`].
///
/// # Errors
/// As [`Tasks::prepare`]; [`JobError::Environment`] if the environment cannot be what the recipe says, or no episode can begin.
pub(super) fn prepare(
    shop: &Workshop,
    slice: &TaskSlice,
    codec: &dyn Codec,
    seed: Seed,
    max_tokens: Option<u32>,
) -> Result<Tasks, JobError> {
    let TaskSet::Env(env) = &slice.source else { return Tasks::prepare(slice, &shop.shelf(), codec, seed, max_tokens) };
    let failed = |source| JobError::Environment { set: slice.set.to_string(), source: Box::new(source) };
    let stage = Stage::open(world(env, shop.runtime.clone()), env.tokens, &starts(slice, env)).map_err(failed)?;
    let terminator = slice.source.terminator();
    let stop = codec.stop_tokens(terminator).map_err(engine_failed("find the tokens that end an action"))?;
    let mut items = Vec::with_capacity(slice.indices.len());
    for (place, index) in slice.indices.iter().enumerate() {
        let prompt = stage.prompt(place);
        let key = format!("{}/{index}", slice.split);
        items.push(Item {
            index: *index,
            prompt: codec.encode(&prompt).map_err(engine_failed("write what an environment shows in tokens"))?,
            seed: seed.derive(&format!("{}/{key}", slice.set)),
            problem: Problem { key, prompt, answer: String::new(), canonical: String::new() },
            given: Given { completion: String::new(), tests: None },
        });
    }
    Ok(Tasks {
        set: slice.set.clone(),
        rule: TaskRule::Played,
        prefix: Vec::new(),
        items,
        terminator,
        stop,
        max_tokens: max_tokens.unwrap_or(env.max_tokens),
        // No right action is known, so no judge is tried on one.
        known: Vec::new(),
        known_seed: slice.seed.derive(&format!("known/{}", slice.set)),
        stage: Some(stage),
    })
}

/// The environment of a task set.
pub(super) fn world(env: &Env, runtime: Handle) -> World {
    let place = match (&env.url, &env.name) {
        (Some(url), _) => {
            Place::There { url: url.clone(), deadline: Duration::from_secs(u64::from(env.deadline.max(1))) }
        }
        (None, name) => Place::Here(name.clone().unwrap_or_default()),
    };
    let wording = Wording { instruction: env.instruction().to_owned(), ask: env.ask().to_owned(), legal: env.legal };
    World::new(place, wording, env.retries, runtime).begun(env.begun.map_or(0, |begun| begun.actions))
}

fn starts(slice: &TaskSlice, env: &Env) -> Vec<Start> {
    let start = |index: &u32| Start {
        seed: slice.seed,
        split: slice.split,
        index: u64::from(*index),
        replica: 0,
        config: env.config.clone(),
    };
    slice.indices.iter().map(start).collect()
}

impl Stage {
    /// Lets every episode begin once, to know what it shows; as many at a time as the world bears.
    ///
    /// # Errors
    /// What no other moment would change: options, a missing instance, several players. Any error if no episode can begin.
    fn open(world: World, tokens: u32, starts: &[Start]) -> Result<Self, EnvError> {
        let world = Arc::new(world);
        let (mut openings, mut last, mut begun) = (Vec::with_capacity(starts.len()), None, false);
        for together in starts.chunks(world.at_once()) {
            for (start, opened) in together.iter().zip(world.open_together(together)) {
                let seen = match opened {
                    Ok(seen) => {
                        begun = true;
                        Ok(seen)
                    }
                    Err(error) if error.may_pass() || matches!(error, EnvError::Failed { .. }) => {
                        let said = verdict(&error);
                        last = Some(error);
                        Err(said)
                    }
                    Err(error) => return Err(error),
                };
                openings.push(Opening { start: start.clone(), seen });
            }
        }
        match last {
            Some(error) if !begun => Err(error),
            Some(_) | None => Ok(Self { world, tokens, openings }),
        }
    }

    /// What a policy reads first of the task at `place`; empty if its episode cannot begin.
    #[must_use]
    pub fn prompt(&self, place: usize) -> String {
        let wording = self.world.wording();
        let opened = self.openings.get(place).and_then(|opening| opening.seen.as_ref().ok());
        let Some(Opened { first, begun }) = opened else { return String::new() };
        let mut text = format!("{}{}", wording.instruction, wording.show(first, false));
        for (action, seen) in begun {
            text.push_str(&format!("{action}\n{}", wording.show(seen, false)));
        }
        text
    }

    /// Why the episode of the task at `place` cannot begin.
    #[must_use]
    pub fn failure(&self, place: usize) -> Option<&Verdict> {
        self.openings.get(place)?.seen.as_ref().err()
    }

    /// What a playing of the task at `place` starts from, what it must show first, and the actions behind which it begins. Behind such
    /// actions there is one playing alone: what they brought is what was shown.
    #[must_use]
    pub fn start(&self, place: usize, replica: u32) -> Option<(Start, String, Vec<String>)> {
        let Opening { start, seen } = self.openings.get(place)?;
        let Ok(Opened { first, begun }) = seen else { return Some((start.clone(), String::new(), Vec::new())) };
        let begun: Vec<String> = begun.iter().map(|(action, _)| action.clone()).collect();
        let replica = if begun.is_empty() { replica } else { start.replica };
        Some((Start { replica, ..start.clone() }, first.observation.clone(), begun))
    }
}

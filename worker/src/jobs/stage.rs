//! The tasks of a job as episodes: what each starts from, and what is shown first. A task whose episode cannot begin is kept with the
//! reason, which becomes its verdict; the others go on.

use std::sync::Arc;

use galapagos_domain::trajectory::Verdict;

use crate::env::Start;
use crate::env::world::{Seen, World};

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
    seen: Result<Seen, Verdict>,
}

impl Stage {
    /// Lets every episode begin once, to know what it shows.
    #[must_use]
    pub fn open(world: World, tokens: u32, starts: Vec<Start>) -> Self {
        let opening = |start: Start| Opening { seen: world.open(&start), start };
        let openings = starts.into_iter().map(opening).collect();
        Self { world: Arc::new(world), tokens, openings }
    }

    /// What a policy reads first of the task at `place`; empty if its episode cannot begin.
    #[must_use]
    pub fn prompt(&self, place: usize) -> String {
        let wording = self.world.wording();
        let seen = self.openings.get(place).and_then(|opening| opening.seen.as_ref().ok());
        seen.map(|seen| format!("{}{}", wording.instruction, wording.show(seen, false))).unwrap_or_default()
    }

    /// Why the episode of the task at `place` cannot begin.
    #[must_use]
    pub fn failure(&self, place: usize) -> Option<&Verdict> {
        self.openings.get(place)?.seen.as_ref().err()
    }

    /// What a playing of the task at `place` starts from, and what it must show first.
    #[must_use]
    pub fn start(&self, place: usize, replica: u32) -> Option<(Start, String)> {
        let Opening { start, seen } = self.openings.get(place)?;
        let first = seen.as_ref().map(|seen| seen.observation.clone()).unwrap_or_default();
        Some((Start { replica, ..start.clone() }, first))
    }
}

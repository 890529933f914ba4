//! A seeded schedule of kills: who dies next, and how long after an event that was seen.
//!
//! Victims come in shuffled rounds of all three roles, so that each is hit; the moment is an observed event (a line of the
//! run, a rank that appeared) plus a short seeded delay. The schedule is a function of the seed; the moments are as the
//! machine has them.

use std::time::Duration;

use galapagos_domain::seed::Seed;
use rand::RngExt as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use rustix::process::Signal;

use crate::deadline::Deadline;
use crate::run::{Progress, Run};
use crate::tree::{Process, Role};

/// The environment variable that sets the seed.
const SEED_ENV: &str = "GALAPAGOS_FAULT_SEED";
/// A kind that does not show up for so long has to wait its turn: ranks come and go.
const PATIENCE: Duration = Duration::from_secs(2);
/// The first kill comes after a seeded number of lines below this one: the micro recipe prints some twenty, so that
/// beginning, middle and end are hit alike.
const LATEST_START: usize = 18;
/// A run that says nothing for so long is not waited for: whoever waits for its end will tell.
const LINE_LIMIT: Duration = Duration::from_secs(90);

/// A kind of process to kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    Coordinator,
    Worker,
    Rank,
}

impl Target {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Coordinator, Self::Worker, Self::Rank];

    fn is(self, role: &Role) -> bool {
        match role {
            Role::Coordinator => self == Self::Coordinator,
            Role::Worker(_) => self == Self::Worker,
            Role::Rank => self == Self::Rank,
        }
    }
}

/// One kill that was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kill {
    pub target: Target,
    pub role: Role,
    pub pid: i32,
    /// The last line that the run had printed.
    pub after: String,
}

/// The schedule.
#[derive(Debug)]
pub struct Faults {
    pub seed: Seed,
    stream: ChaCha8Rng,
    /// Victims of the current round, last one next.
    queue: Vec<Target>,
}

impl Faults {
    /// The schedule of this seed.
    #[must_use]
    pub fn new(seed: Seed) -> Self {
        Self { seed, stream: seed.stream(), queue: Vec::new() }
    }

    /// The schedule of the seed in the environment, or of `otherwise`. Prints the seed and how to repeat it.
    ///
    /// # Panics
    /// If the environment holds no number.
    #[track_caller]
    #[must_use]
    pub fn from_env(otherwise: u64) -> Self {
        let seed = match std::env::var(SEED_ENV) {
            Ok(text) => text.parse().unwrap_or_else(|_| panic!("{SEED_ENV}={text} is not a number")),
            Err(_) => otherwise,
        };
        eprintln!("fault seed {seed} ({SEED_ENV}={seed} repeats it)");
        Self::new(Seed(seed))
    }

    /// Kills up to `count` processes of the run, one after the other, with progress or a pause between them. Fewer if the
    /// run ends before.
    pub fn strike(&mut self, run: &mut Run, count: usize) -> Vec<Kill> {
        let mut kills = Vec::new();
        let mut last = "nothing yet".to_owned();
        for _ in 0..self.stream.random_range(0..LATEST_START) {
            if let Progress::Event(event) = run.next(&Deadline::within(LINE_LIMIT)) {
                last = event.to_string();
            }
        }
        while kills.len() < count {
            if self.let_it_move(run, &mut last) == Moved::Ended {
                break;
            }
            let target = self.next_target();
            let Some((role, victim)) = self.find(run, target) else {
                self.queue.insert(0, target);
                continue;
            };
            if victim.signal(Signal::KILL) {
                kills.push(Kill { target, role, pid: victim.pid, after: last.clone() });
            }
        }
        kills
    }

    /// Waits for the next line of the run, but not longer than a seeded pause, then a seeded moment more.
    fn let_it_move(&mut self, run: &mut Run, last: &mut String) -> Moved {
        let pause = Deadline::within(self.between(200, 2_500));
        match run.next(&pause) {
            Progress::Event(event) => *last = event.to_string(),
            Progress::Nothing => {}
            Progress::Ended => return Moved::Ended,
        }
        let moment = Deadline::within(self.between(0, 400));
        while let Progress::Event(event) = run.next(&moment) {
            *last = event.to_string();
        }
        Moved::On
    }

    /// A process of this kind, chosen by seed among those there are. `None` if there is none for a while.
    fn find(&mut self, run: &mut Run, target: Target) -> Option<(Role, Process)> {
        let there = |run: &Run| {
            let fitting: Vec<_> = run.processes().into_iter().filter(|(role, _)| target.is(role)).collect();
            (!fitting.is_empty()).then_some(fitting)
        };
        let waited =
            Deadline::within(PATIENCE).watch(|| there(run).map(Some).or_else(|| run.has_ended().then_some(None)));
        waited.flatten()?;
        if target == Target::Rank {
            // Somewhere in its life: loading, meeting the others, training, voting.
            let moment = Deadline::within(self.between(0, 900));
            let gone = moment.watch(|| there(run).is_none().then_some(()));
            if gone.is_some() {
                return None;
            }
        }
        let mut fitting = there(run)?;
        let chosen = self.stream.random_range(0..fitting.len());
        Some(fitting.swap_remove(chosen))
    }

    fn next_target(&mut self) -> Target {
        if self.queue.is_empty() {
            self.queue = Target::ALL.to_vec();
            self.queue.shuffle(&mut self.stream);
        }
        self.queue.pop().unwrap_or(Target::Rank)
    }

    fn between(&mut self, low_ms: u64, high_ms: u64) -> Duration {
        Duration::from_millis(self.stream.random_range(low_ms..high_ms))
    }
}

/// What a pause brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moved {
    On,
    Ended,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_follows_its_seed_and_aims_at_every_kind() {
        let targets = |seed| {
            let mut faults = Faults::new(Seed(seed));
            (0..9).map(|_| faults.next_target()).collect::<Vec<_>>()
        };
        assert_eq!(targets(3), targets(3));
        assert_ne!(targets(3), targets(4));
        for round in targets(5).chunks(3) {
            let mut round = round.to_vec();
            round.sort();
            assert_eq!(round, Target::ALL);
        }
    }
}

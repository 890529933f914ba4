//! An episode: an environment, what it started from and all that happened. Saves and restores it, by snapshot where the environment has
//! one, else by playing the log again; a replay is compared with the log, so an environment that is not deterministic is found out.

use serde::{Deserialize, Serialize};

use super::{End, EnvError, Environment, Start, Turn};

/// One turn as it was played.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Logged {
    /// One entry a player.
    pub actions: Vec<Option<String>>,
    /// What came of them.
    pub turn: Turn,
}

/// How the environment gets back to where it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Restore {
    /// From its own bytes.
    Snapshot(Vec<u8>),
    /// By playing the log again from the start.
    Replay,
}

/// An episode at rest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    /// What it started from.
    pub start: Start,
    /// What players read first.
    pub first: Vec<String>,
    /// All turns.
    pub log: Vec<Logged>,
    /// How to go on.
    pub state: Restore,
}

/// A running episode.
pub struct Episode {
    environment: Box<dyn Environment>,
    start: Start,
    first: Vec<String>,
    log: Vec<Logged>,
}

impl std::fmt::Debug for Episode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Episode");
        shown.field("environment", &self.environment.name()).field("start", &self.start).field("log", &self.log);
        shown.finish_non_exhaustive()
    }
}

impl Episode {
    /// Begins an episode.
    ///
    /// # Errors
    /// As [`Environment::reset`].
    pub fn begin(mut environment: Box<dyn Environment>, start: Start) -> Result<Self, EnvError> {
        let first = environment.reset(&start)?;
        Ok(Self { environment, start, first, log: Vec::new() })
    }

    /// Plays a turn. After an error the log is as before; [`Episode::save`] and [`Episode::resume`] in another environment go on from it.
    ///
    /// # Errors
    /// As [`Environment::step`].
    pub fn step(&mut self, actions: &[Option<&str>]) -> Result<&Turn, EnvError> {
        let turn = self.environment.step(actions)?;
        let actions = actions.iter().map(|action| action.map(str::to_owned)).collect();
        let place = self.log.len();
        self.log.push(Logged { actions, turn });
        Ok(&self.log[place].turn)
    }

    /// The environment, to look at.
    #[must_use]
    pub fn environment(&self) -> &dyn Environment {
        &*self.environment
    }

    /// What the episode started from.
    #[must_use]
    pub fn start(&self) -> &Start {
        &self.start
    }

    /// What players read now.
    #[must_use]
    pub fn observations(&self) -> &[String] {
        self.log.last().map_or(&self.first, |logged| &logged.turn.observations)
    }

    /// All turns so far.
    #[must_use]
    pub fn log(&self) -> &[Logged] {
        &self.log
    }

    /// Whether and how it is over.
    #[must_use]
    pub fn done(&self) -> Option<End> {
        self.log.last().and_then(|logged| logged.turn.done)
    }

    /// The sum of a player's rewards.
    #[must_use]
    pub fn total_reward(&self, player: usize) -> f64 {
        self.log.iter().filter_map(|logged| logged.turn.rewards.get(player)).sum()
    }

    /// The episode as it stands, by snapshot if the environment has one.
    ///
    /// # Errors
    /// As [`Environment::snapshot`].
    pub fn save(&self) -> Result<Saved, EnvError> {
        let state = self.environment.snapshot()?.map_or(Restore::Replay, Restore::Snapshot);
        Ok(Saved { state, ..self.save_for_replay() })
    }

    /// The episode as it stands, to be played again: needs nothing of the environment, so works after its end, too.
    #[must_use]
    pub fn save_for_replay(&self) -> Saved {
        Saved { start: self.start.clone(), first: self.first.clone(), log: self.log.clone(), state: Restore::Replay }
    }

    /// Goes on from where `saved` was, in an environment of the same kind.
    ///
    /// # Errors
    /// [`EnvError::Diverged`] if the environment now shows something else than the log says; else as [`Environment::restore`] or,
    /// for a replay, [`Environment::reset`] and [`Environment::step`].
    pub fn resume(environment: Box<dyn Environment>, saved: Saved) -> Result<Self, EnvError> {
        let Saved { start, first, log, state } = saved;
        let mut episode = Self { environment, start, first, log };
        match state {
            Restore::Replay => replay(&mut *episode.environment, &episode.start, &episode.first, &episode.log)?,
            Restore::Snapshot(bytes) => {
                episode.environment.restore(&bytes)?;
                let shown = episode.observations().iter().enumerate();
                for (player, text) in shown {
                    if episode.environment.observe(player)? != *text {
                        return Err(diverged(&*episode.environment, episode.log.len(), "observations"));
                    }
                }
            }
        }
        Ok(episode)
    }

    /// Plays the whole log in a fresh environment and compares: a proof that the episode is a function of its start and actions.
    ///
    /// # Errors
    /// [`EnvError::Diverged`] names the first turn that differs; else as [`Environment::reset`] and [`Environment::step`].
    pub fn prove(&self, fresh: &mut dyn Environment) -> Result<(), EnvError> {
        replay(fresh, &self.start, &self.first, &self.log)
    }
}

fn replay(environment: &mut dyn Environment, start: &Start, first: &[String], log: &[Logged]) -> Result<(), EnvError> {
    if environment.reset(start)? != first {
        return Err(diverged(environment, 0, "observations"));
    }
    for (at, logged) in log.iter().enumerate() {
        let actions: Vec<Option<&str>> = logged.actions.iter().map(Option::as_deref).collect();
        let again = environment.step(&actions)?;
        let before = &logged.turn;
        let differs = [
            (again.observations != before.observations, "observations"),
            (again.rewards != before.rewards, "rewards"),
            (again.done != before.done, "end"),
            (again.taken != before.taken, "outcomes of actions"),
            (again.info != before.info, "info"),
        ];
        if let Some((_, what)) = differs.into_iter().find(|(differs, _)| *differs) {
            return Err(diverged(environment, at + 1, what));
        }
    }
    Ok(())
}

fn diverged(environment: &dyn Environment, turn: usize, what: &'static str) -> EnvError {
    EnvError::Diverged { environment: environment.name().to_owned(), turn, what }
}

#[cfg(test)]
mod tests;

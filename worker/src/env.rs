//! Environments: what an episode of text, turn by turn, is played against. One player or several; built in, or behind HTTP.
//!
//! Read in this order: the [`Environment`] trait here, `episode` (keeps the log, saves and restores), `builtin` (what all built-in
//! games share: instances, illegal actions, limits, snapshots) and the games, one a file; `http` talks to environments elsewhere.
//! An action that cannot be done is an outcome with a text; an environment that fails is an [`EnvError`] and never a zero reward.

mod arithmetic;
mod bandit;
mod builtin;
mod chain;
mod countdown;
mod donor;
mod episode;
mod grid;
pub mod http;
mod life;
mod list_program;
mod matrix;
mod repository;
pub mod served;
#[cfg(test)]
mod testing;
mod text_world;
pub mod world;

use galapagos_domain::recipe::tasks::Split;
use galapagos_domain::seed::Seed;
use galapagos_domain::task::NoInstance;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use builtin::Rules;
pub use episode::{Episode, Logged, Restore, Saved};

/// What an episode starts from. Everything that happens is a function of it and of the actions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// Of the run.
    pub seed: Seed,
    /// Which part of the environment's instances; parts share none, whatever the seeds.
    pub split: Split,
    /// Which instance of the part.
    pub index: u64,
    /// Which playing of the instance: replicas differ in what chance does and in nothing else.
    pub replica: u32,
    /// The environment's options, and `rules` for those of all built-in ones.
    pub config: Map<String, Value>,
}

impl Start {
    /// The first training instance of a seed, with all options at their defaults.
    #[must_use]
    pub fn new(seed: Seed) -> Self {
        Self { seed, split: Split::Train, index: 0, replica: 0, config: Map::new() }
    }

    /// What chance does in turn number `turn`, from 1; 0 is before the first.
    #[must_use]
    pub fn chance(&self, turn: u32) -> ChaCha8Rng {
        let Self { split, index, replica, .. } = self;
        self.seed.derive(&format!("chance/{split}/{index}/{replica}")).nth(u64::from(turn)).stream()
    }
}

/// What a player may do now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Legal {
    /// Nothing: it is the turn of others.
    NotAsked,
    /// One of these texts.
    These(Vec<String>),
    /// A text of this form.
    Form(String),
}

/// How an episode ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// By its own rules.
    Terminated,
    /// By the limit of turns.
    Truncated,
}

/// What became of a player's action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Taken {
    /// There was none, and none was asked for.
    NotAsked,
    /// It was done.
    Played,
    /// There was none where one was asked for.
    Missing,
    /// It was understood and is against the rules now.
    Illegal(String),
    /// It was not understood.
    Unparsable(String),
}

impl Taken {
    /// Whether nothing was done that should have been: counted, and fined if the rules say so.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        match self {
            Self::NotAsked | Self::Played => false,
            Self::Missing | Self::Illegal(_) | Self::Unparsable(_) => true,
        }
    }
}

/// What one turn brought. Lists hold one entry a player.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    /// Rewards of this turn.
    pub rewards: Vec<f64>,
    /// What each player reads now.
    pub observations: Vec<String>,
    /// What became of the actions.
    pub taken: Vec<Taken>,
    /// Whether and how the episode is over.
    pub done: Option<End>,
    /// What else the environment tells; nothing that a player should read.
    pub info: Map<String, Value>,
}

/// A policy whose expected score an environment may know exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExactPolicy {
    /// Knows everything that is hidden, and does the best.
    Best,
    /// Knows how instances are drawn, learns from what it sees, and does the best.
    Learner,
    /// Takes each legal action with the same chance.
    Uniform,
}

/// Why an environment did not do what it should. Says nothing about the players.
#[derive(Debug, thiserror::Error)]
pub enum EnvError {
    /// Nobody knows the environment.
    #[error("no environment is named `{name}`; known are {}", NAMES.join(", "))]
    Unknown {
        /// As given.
        name: String,
    },
    /// Options that cannot be used.
    #[error("the options of `{environment}` cannot be used: {problem}")]
    Config {
        /// The environment.
        environment: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// No instance of the split.
    #[error("no instance of `{environment}` to play")]
    Instance {
        /// The environment.
        environment: String,
        /// Why.
        #[source]
        source: NoInstance,
    },
    /// A call out of order.
    #[error("`{environment}`: {call} was called {when}")]
    Order {
        /// The environment.
        environment: String,
        /// What was called.
        call: &'static str,
        /// Why that is too early or too late.
        when: &'static str,
    },
    /// Another number of players.
    #[error("`{environment}` has {players} players; {given}")]
    Players {
        /// The environment.
        environment: String,
        /// How many there are.
        players: usize,
        /// What was given.
        given: String,
    },
    /// Bytes that are no snapshot of this environment.
    #[error("cannot restore `{environment}` from a snapshot: {problem}")]
    Snapshot {
        /// The environment.
        environment: String,
        /// Why not.
        problem: String,
    },
    /// The same actions gave something else.
    #[error("`{environment}` is not deterministic: turn {turn} gave other {what} than before")]
    Diverged {
        /// The environment.
        environment: String,
        /// From 1; 0 is the first observation.
        turn: usize,
        /// What differs.
        what: &'static str,
    },
    /// The server cannot be reached any more, or has lost the episode.
    #[error("the environment at {address} is gone: {problem}")]
    Dead {
        /// Its address.
        address: String,
        /// What happened to the call.
        problem: String,
    },
    /// The server did not answer in time.
    #[error("the environment at {address} did not answer `{call}` within {waited_ms} ms")]
    Timeout {
        /// Its address.
        address: String,
        /// What was asked.
        call: &'static str,
        /// How long was waited.
        waited_ms: u64,
    },
    /// The server has no room now.
    #[error("the environment at {address} is busy: {problem}")]
    Busy {
        /// Its address.
        address: String,
        /// The server's own words.
        problem: String,
    },
    /// An answer that is not of the protocol.
    #[error("the environment at {address} does not keep to the protocol: {problem}")]
    Protocol {
        /// Its address.
        address: String,
        /// What is missing or wrong.
        problem: String,
    },
    /// The environment behind the server failed by itself.
    #[error("the environment at {address} failed in `{call}`: {problem}")]
    Failed {
        /// Its address.
        address: String,
        /// What was asked.
        call: &'static str,
        /// The server's own words.
        problem: String,
    },
}

impl EnvError {
    /// Whether the same episode may go on in another environment of the same kind: what failed was the process, not the question.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Dead { .. } | Self::Timeout { .. } | Self::Busy { .. } => true,
            Self::Unknown { .. }
            | Self::Config { .. }
            | Self::Instance { .. }
            | Self::Order { .. }
            | Self::Players { .. }
            | Self::Snapshot { .. }
            | Self::Diverged { .. }
            | Self::Protocol { .. }
            | Self::Failed { .. } => false,
        }
    }
}

/// A game of text and turns. After [`Environment::reset`] players act in turns until one is `done`.
pub trait Environment: Send {
    /// The name, for people and snapshots.
    fn name(&self) -> &str;

    /// Begins an episode; gives what each player reads first. A running episode is dropped.
    ///
    /// # Errors
    /// [`EnvError::Config`] and [`EnvError::Instance`]; behind HTTP also the server's.
    fn reset(&mut self, start: &Start) -> Result<Vec<String>, EnvError>;

    /// Players of the running episode, 0 before the first.
    fn players(&self) -> usize;

    /// Turns after which the running episode is truncated.
    fn max_turns(&self) -> u32;

    /// What `player` (from 0) reads now: the same text as in the last turn.
    ///
    /// # Errors
    /// [`EnvError::Order`] before the first reset, [`EnvError::Players`] beyond the last player.
    fn observe(&self, player: usize) -> Result<String, EnvError>;

    /// What `player` may do now.
    ///
    /// # Errors
    /// As [`Environment::observe`].
    fn legal(&self, player: usize) -> Result<Legal, EnvError>;

    /// Plays one turn with an action, or none, of each player. Texts that cannot be done are told in [`Turn::taken`].
    ///
    /// # Errors
    /// [`EnvError::Order`] when no episode runs, [`EnvError::Players`] for another number of actions; behind HTTP also the server's.
    fn step(&mut self, actions: &[Option<&str>]) -> Result<Turn, EnvError>;

    /// How well `player` has done so far, from 0 to 1.
    ///
    /// # Errors
    /// As [`Environment::observe`].
    fn score(&self, player: usize) -> Result<f64, EnvError>;

    /// The running episode as bytes; `None` if this environment cannot, so that it is restored by playing it again.
    ///
    /// # Errors
    /// [`EnvError::Order`] before the first reset.
    fn snapshot(&self) -> Result<Option<Vec<u8>>, EnvError>;

    /// Goes on from a snapshot.
    ///
    /// # Errors
    /// [`EnvError::Snapshot`]; the running episode then stays as it is.
    fn restore(&mut self, snapshot: &[u8]) -> Result<(), EnvError>;

    /// The expected final score of a policy from the start of the running episode, where it can be computed exactly.
    fn exact_value(&self, _policy: ExactPolicy) -> Option<f64> {
        None
    }
}

/// The built-in environments.
pub const NAMES: [&str; 11] = [
    "countdown",
    "arithmetic",
    "list_program",
    "repository",
    "text_world",
    "grid",
    "matrix",
    "donor",
    "life",
    "bandit",
    "chain",
];

/// The built-in environment of a name.
///
/// # Errors
/// [`EnvError::Unknown`] lists all.
pub fn builtin(name: &str) -> Result<Box<dyn Environment>, EnvError> {
    Ok(match name {
        "countdown" => builtin::boxed::<countdown::Countdown>(),
        "arithmetic" => builtin::boxed::<arithmetic::Arithmetic>(),
        "list_program" => builtin::boxed::<list_program::ListProgram>(),
        "repository" => builtin::boxed::<repository::Repository>(),
        "text_world" => builtin::boxed::<text_world::TextWorld>(),
        "grid" => builtin::boxed::<grid::Grid>(),
        "matrix" => builtin::boxed::<matrix::Matrix>(),
        "donor" => builtin::boxed::<donor::Donor>(),
        "life" => builtin::boxed::<life::Life>(),
        "bandit" => builtin::boxed::<bandit::Bandit>(),
        "chain" => builtin::boxed::<chain::Chain>(),
        _ => return Err(EnvError::Unknown { name: name.to_owned() }),
    })
}

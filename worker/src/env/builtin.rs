//! What all built-in games share: options, instances by split, illegal actions, the limit of turns, snapshots.
//!
//! A game ([`Game`]) knows its rules and nothing of this. An action that is refused does nothing: where all players that were asked are
//! refused, the game does not even hear of the turn; where only some are, the game decides what their absence means.

use std::fmt::Debug;

use galapagos_domain::task::draw_instance;
use rand_chacha::ChaCha8Rng;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{End, EnvError, Environment, ExactPolicy, Legal, Start, Taken, Turn};

/// Format of snapshots.
const VERSION: u32 = 1;

/// Options of every built-in environment, under `rules`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// Turns before an episode is truncated, at least 1; the game's own limit when absent.
    pub max_turns: Option<u32>,
    /// Taken from the reward of a turn whose action was refused; 0 or more.
    pub illegal_penalty: f64,
    /// Refused actions of one player that end the episode, at least 1; never when absent.
    pub most_illegal: Option<u32>,
}

/// Why a game refuses an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refused {
    /// Not understood; says what a right text looks like.
    Form(String),
    /// Understood, and against the rules; says why.
    Rule(String),
}

/// What a turn brought.
#[derive(Debug, Default)]
pub(super) struct Played {
    /// One a player; empty where rewards are what the score has grown by.
    pub(super) rewards: Vec<f64>,
    /// Whether the game is over.
    pub(super) over: bool,
    /// What all players read about the turn, before the state; may be empty.
    pub(super) news: String,
    /// For [`Turn::info`].
    pub(super) info: Map<String, Value>,
}

impl Played {
    /// A turn that all players read about.
    pub(super) fn news(text: impl Into<String>) -> Self {
        Self { news: text.into(), ..Self::default() }
    }
}

/// The rules of a game and one state of it.
pub(super) trait Game: Clone + Debug + Send + Serialize + DeserializeOwned + 'static {
    /// The environment's name.
    const NAME: &'static str;
    /// What its options must be, for the error.
    const OPTIONS: &'static str;
    /// Its options.
    type Config: Default + DeserializeOwned;
    /// An action that is understood and allowed.
    type Move;

    /// A random instance; `None` if the options are out of range.
    fn draw(config: &Self::Config, rng: &mut ChaCha8Rng) -> Option<Self>;
    /// Equal for instances that are the same but for what does not matter.
    fn canonical(&self) -> String;
    /// Whether instances are drawn at all; those that the options fix whole are the same in all splits.
    fn is_drawn(_config: &Self::Config) -> bool {
        true
    }
    /// What chance does before the first turn.
    fn begin(&mut self, _chance: &mut ChaCha8Rng) {}
    fn players(&self) -> usize {
        1
    }
    fn max_turns(&self) -> u32;
    /// What all players read once, before the first state; may be empty.
    fn introduce(&self) -> String {
        String::new()
    }
    fn observe(&self, player: usize) -> String;
    fn legal(&self, player: usize) -> Legal;
    fn parse(&self, player: usize, text: &str) -> Result<Self::Move, Refused>;
    /// At least one move is there.
    fn play(&mut self, moves: Vec<Option<Self::Move>>, chance: &mut ChaCha8Rng) -> Played;
    /// From 0 to 1.
    fn score(&self, player: usize) -> f64;
    /// Of the instance as it was drawn.
    fn exact_value(&self, _policy: ExactPolicy) -> Option<f64> {
        None
    }
}

/// A game as an environment.
#[derive(Debug)]
pub(super) struct Builtin<G> {
    now: Option<Now<G>>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound = "G: Serialize + DeserializeOwned")]
struct Now<G> {
    start: Start,
    rules: Rules,
    first: G,
    game: G,
    turn: u32,
    refused: Vec<u32>,
    said: Vec<String>,
    done: Option<End>,
}

#[derive(Serialize, Deserialize)]
#[serde(bound = "G: Serialize + DeserializeOwned")]
struct Snapshot<G> {
    environment: String,
    version: u32,
    now: Now<G>,
}

/// A game, ready for its first reset.
pub(super) fn boxed<G: Game>() -> Box<dyn Environment> {
    Box::new(Builtin::<G> { now: None })
}

impl<G: Game> Builtin<G> {
    fn now(&self, call: &'static str) -> Result<&Now<G>, EnvError> {
        self.now.as_ref().ok_or_else(|| too_early::<G>(call))
    }

    fn of_player(&self, call: &'static str, player: usize) -> Result<&Now<G>, EnvError> {
        let now = self.now(call)?;
        let players = now.game.players();
        if player < players {
            return Ok(now);
        }
        let given = format!("player {player} was asked about (they count from 0)");
        Err(EnvError::Players { environment: G::NAME.to_owned(), players, given })
    }
}

fn too_early<G: Game>(call: &'static str) -> EnvError {
    EnvError::Order { environment: G::NAME.to_owned(), call, when: "before the first reset" }
}

fn options<G: Game>(start: &Start) -> Result<(Rules, G::Config), EnvError> {
    let bad = |problem: String| EnvError::Config { environment: G::NAME.to_owned(), problem };
    let mut config = start.config.clone();
    let rules: Rules = match config.remove("rules") {
        Some(rules) => serde_json::from_value(rules).map_err(|error| bad(format!("rules: {error}")))?,
        None => Rules::default(),
    };
    let fine = rules.illegal_penalty.is_finite() && rules.illegal_penalty >= 0.0;
    if !fine || rules.max_turns == Some(0) || rules.most_illegal == Some(0) {
        return Err(bad("rules: illegal_penalty is 0 or more, max_turns and most_illegal are 1 or more".to_owned()));
    }
    let config = match config.is_empty() {
        true => G::Config::default(),
        false => {
            serde_json::from_value(Value::Object(config)).map_err(|error| bad(format!("{error}; {}", G::OPTIONS)))?
        }
    };
    Ok((rules, config))
}

fn instance<G: Game>(start: &Start, config: &G::Config) -> Result<G, EnvError> {
    let none = || EnvError::Config { environment: G::NAME.to_owned(), problem: G::OPTIONS.to_owned() };
    // Tells options out of range from a part without instances.
    let fixed = G::draw(config, &mut start.seed.stream()).ok_or_else(none)?;
    if !G::is_drawn(config) {
        return Ok(fixed);
    }
    let place = (start.split, start.index);
    let canonical = |game: &Option<G>| game.as_ref().map(G::canonical).unwrap_or_default();
    let drawn = draw_instance(G::NAME, place, start.seed, |rng| G::draw(config, rng), canonical);
    drawn.map_err(|source| EnvError::Instance { environment: G::NAME.to_owned(), source })?.ok_or_else(none)
}

impl<G: Game> Environment for Builtin<G> {
    fn name(&self) -> &str {
        G::NAME
    }

    fn reset(&mut self, start: &Start) -> Result<Vec<String>, EnvError> {
        let (rules, config) = options::<G>(start)?;
        let mut game = instance::<G>(start, &config)?;
        game.begin(&mut start.chance(0));
        let players = game.players();
        let introduction = game.introduce();
        let now = Now {
            start: start.clone(),
            rules,
            first: game.clone(),
            game,
            turn: 0,
            refused: vec![0; players],
            said: vec![introduction; players],
            done: None,
        };
        let observations = now.observations();
        self.now = Some(now);
        Ok(observations)
    }

    fn players(&self) -> usize {
        self.now.as_ref().map_or(0, |now| now.game.players())
    }

    fn max_turns(&self) -> u32 {
        self.now.as_ref().map_or(0, Now::max_turns)
    }

    fn observe(&self, player: usize) -> Result<String, EnvError> {
        Ok(self.of_player("observe", player)?.observe(player))
    }

    fn legal(&self, player: usize) -> Result<Legal, EnvError> {
        let now = self.of_player("legal", player)?;
        Ok(if now.done.is_some() { Legal::NotAsked } else { now.game.legal(player) })
    }

    fn step(&mut self, actions: &[Option<&str>]) -> Result<Turn, EnvError> {
        let now = self.now.as_mut().ok_or_else(|| too_early::<G>("step"))?;
        let players = now.game.players();
        if actions.len() != players {
            let given = format!("{} actions were given (`None` where a player does nothing)", actions.len());
            return Err(EnvError::Players { environment: G::NAME.to_owned(), players, given });
        }
        if now.done.is_some() {
            return Err(EnvError::Order { environment: G::NAME.to_owned(), call: "step", when: "after the end" });
        }
        Ok(now.step(actions))
    }

    fn score(&self, player: usize) -> Result<f64, EnvError> {
        Ok(self.of_player("score", player)?.game.score(player))
    }

    fn snapshot(&self) -> Result<Option<Vec<u8>>, EnvError> {
        let now = self.now("snapshot")?.clone();
        let snapshot = Snapshot { environment: G::NAME.to_owned(), version: VERSION, now };
        let failed = |error: serde_json::Error| EnvError::Snapshot {
            environment: G::NAME.to_owned(),
            problem: format!("it cannot be written: {error}"),
        };
        serde_json::to_vec(&snapshot).map(Some).map_err(failed)
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), EnvError> {
        let bad = |problem: String| EnvError::Snapshot { environment: G::NAME.to_owned(), problem };
        let head: Value = serde_json::from_slice(snapshot).map_err(|error| bad(error.to_string()))?;
        let (name, version) = (&head["environment"], &head["version"]);
        if *name != G::NAME || *version != VERSION {
            return Err(bad(format!("it is of {name}, version {version}; version {VERSION} is known here")));
        }
        let read: Snapshot<G> = serde_json::from_slice(snapshot).map_err(|error| bad(error.to_string()))?;
        self.now = Some(read.now);
        Ok(())
    }

    fn exact_value(&self, policy: ExactPolicy) -> Option<f64> {
        self.now.as_ref()?.first.exact_value(policy)
    }
}

impl<G: Game> Now<G> {
    fn max_turns(&self) -> u32 {
        self.rules.max_turns.unwrap_or_else(|| self.game.max_turns())
    }

    fn observe(&self, player: usize) -> String {
        let state = self.game.observe(player);
        let said = &self.said[player];
        if said.is_empty() { state } else { format!("{said}\n{state}") }
    }

    fn observations(&self) -> Vec<String> {
        (0..self.game.players()).map(|player| self.observe(player)).collect()
    }

    fn scores(&self) -> Vec<f64> {
        (0..self.game.players()).map(|player| self.game.score(player)).collect()
    }

    fn step(&mut self, actions: &[Option<&str>]) -> Turn {
        let read = actions.iter().enumerate().map(|(player, action)| self.read(player, *action));
        let (taken, moves): (Vec<Taken>, Vec<Option<G::Move>>) = read.unzip();
        let before = self.scores();
        self.turn += 1;
        let played = if moves.iter().any(Option::is_some) {
            self.game.play(moves, &mut self.start.chance(self.turn))
        } else {
            Played::default()
        };
        let mut rewards = match played.rewards.is_empty() {
            true => self.scores().iter().zip(&before).map(|(after, before)| after - before).collect(),
            false => played.rewards,
        };
        for (player, taken) in taken.iter().enumerate() {
            if taken.is_refused() {
                self.refused[player] += 1;
                rewards[player] -= self.rules.illegal_penalty;
            }
            self.said[player] = say(taken, &played.news);
        }
        let too_many = self.rules.most_illegal.is_some_and(|most| self.refused.iter().any(|count| *count >= most));
        self.done = match () {
            () if played.over || too_many => Some(End::Terminated),
            () if self.turn >= self.max_turns() => Some(End::Truncated),
            () => None,
        };
        let mut info = played.info;
        info.insert("turn".to_owned(), self.turn.into());
        info.insert("refused".to_owned(), self.refused.clone().into());
        info.insert("scores".to_owned(), self.scores().into());
        Turn { rewards, observations: self.observations(), taken, done: self.done, info }
    }

    fn read(&self, player: usize, action: Option<&str>) -> (Taken, Option<G::Move>) {
        let asked = self.game.legal(player) != Legal::NotAsked;
        match action {
            None if asked => (Taken::Missing, None),
            None => (Taken::NotAsked, None),
            Some(_) if !asked => (Taken::Illegal("it is not your turn".to_owned()), None),
            Some(text) => match self.game.parse(player, text.trim()) {
                Ok(made) => (Taken::Played, Some(made)),
                Err(Refused::Rule(why)) => (Taken::Illegal(why), None),
                Err(Refused::Form(why)) => (Taken::Unparsable(why), None),
            },
        }
    }
}

fn say(taken: &Taken, news: &str) -> String {
    let refused = match taken {
        Taken::NotAsked | Taken::Played => return news.to_owned(),
        Taken::Missing => "Nothing was done: an action was expected.".to_owned(),
        Taken::Illegal(why) => format!("That cannot be done: {why}."),
        Taken::Unparsable(why) => format!("That was not understood: {why}."),
    };
    if news.is_empty() { refused } else { format!("{refused}\n{news}") }
}

/// The place of `text` in `choices`, without regard to case and outer dots, spaces and quotes.
pub(super) fn choose(text: &str, choices: &[String]) -> Result<usize, Refused> {
    let plain = text.trim().trim_matches(['.', '"', '\'', '`', '!']).trim().to_lowercase();
    let found = choices.iter().position(|choice| choice.to_lowercase() == plain);
    found.ok_or_else(|| Refused::Form(format!("choose one of: {}", choices.join(", "))))
}

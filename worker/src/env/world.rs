//! A world: the environment of a job's tasks, in which many episodes are under way at once. An episode is named by what it started from
//! and its actions; whoever asks for a next turn need not know whether the episode is still at hand or is played again.
//!
//! What a turn brings is a function of start and actions: a replay is compared with what was shown before. Failures that may pass are tried
//! again elsewhere, a few times; a server that stays away for several episodes in a row is not waited for any more. Never a reward of zero.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use galapagos_domain::ids::Digest;
use galapagos_domain::trajectory::{Outcome, Verdict};
use galapagos_telemetry::{ErrorChain, spawn_thread};
use serde_json::{Map, Value};
use tokio::runtime::Handle;

use super::http::{HttpServer, Options};
use super::{EnvError, Environment, Episode, Legal, Logged, Restore, Saved, Start, Turn, builtin};

mod begun;

/// Episodes that are kept at hand. Those beyond are played again when they go on.
const MOST_LIVE: usize = 512;

/// Episodes lost to the server one after the other, with no success between, after which it is not asked any more.
const GIVE_UP: u32 = 4;

/// Episodes at a time: of a server, which is mostly waited for, and of what is built in.
const SERVED: usize = 8;
const BUILT_IN: usize = 2;

/// Where an environment is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In this program, by its name.
    Here(String),
    /// Behind HTTP.
    There {
        url: String,
        /// Of one call with its tries.
        deadline: Duration,
    },
}

/// How what is shown becomes what a policy reads.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wording {
    /// Before the first observation.
    pub instruction: String,
    /// Behind every observation but the last.
    pub ask: String,
    /// Whether what may be done is listed behind every observation.
    pub legal: bool,
}

impl Wording {
    /// What is read of an observation.
    #[must_use]
    pub fn show(&self, seen: &Seen, over: bool) -> String {
        let mut text = seen.observation.clone();
        if over {
            return text;
        }
        if let (true, Some(legal)) = (self.legal, &seen.legal) {
            text = format!("{text}\n{legal}");
        }
        text + &self.ask
    }
}

/// What the player sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub observation: String,
    /// What may be done, as a line; `None` where nothing may be.
    pub legal: Option<String>,
}

/// What an episode shows before the policy's first action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// At its start.
    pub first: Seen,
    /// The actions behind which it begins, each with what is seen then.
    pub begun: Vec<(String, Seen)>,
}

/// What one action brought.
#[derive(Debug, Clone, PartialEq)]
pub struct Moved {
    pub reward: f64,
    pub score: f64,
    /// Why it was not done.
    pub refused: Option<String>,
    pub over: bool,
    pub seen: Seen,
    /// The options under which what was reached so far is the goal, if the environment states them.
    pub achieved: Option<Map<String, Value>>,
}

/// See the head of this file.
#[derive(Debug)]
pub struct World {
    place: Place,
    runtime: Handle,
    /// Further tries of a turn whose failure may pass.
    retries: u32,
    /// Actions behind which every episode begins.
    begun: u32,
    wording: Wording,
    server: Mutex<Option<HttpServer>>,
    live: Mutex<VecDeque<Episode>>,
    /// Every turn that was played, by its start and actions.
    played: Mutex<BTreeMap<Digest, Logged>>,
    /// Episodes lost in a row.
    lost: AtomicU32,
}

impl World {
    /// Calls to servers run on `runtime`.
    #[must_use]
    pub fn new(place: Place, wording: Wording, retries: u32, runtime: Handle) -> Self {
        Self {
            place,
            runtime,
            retries,
            begun: 0,
            wording,
            server: Mutex::default(),
            live: Mutex::default(),
            played: Mutex::default(),
            lost: AtomicU32::new(0),
        }
    }

    /// The same, with episodes that begin behind so many actions.
    #[must_use]
    pub fn begun(self, actions: u32) -> Self {
        Self { begun: actions, ..self }
    }

    /// How observations are read.
    #[must_use]
    pub fn wording(&self) -> &Wording {
        &self.wording
    }

    /// Episodes that are worth being under way at once.
    #[must_use]
    pub fn at_once(&self) -> usize {
        match self.place {
            Place::Here(_) => BUILT_IN,
            Place::There { .. } => SERVED,
        }
    }

    /// What an episode shows first.
    ///
    /// # Errors
    /// As [`Environment::reset`]; [`EnvError::Players`] if nobody can play it alone.
    pub fn open(&self, start: &Start) -> Result<Seen, EnvError> {
        self.patiently(|| seen(&self.begin(start)?))
    }

    /// What several episodes show before a policy acts, in order, all of them begun at the same time. A failure is of its own episode: whether the world
    /// is given up is decided before and behind all of them, by their order and not by who came first.
    ///
    /// # Errors
    /// Each as [`World::open`]; [`EnvError::Config`] if episodes are to begin behind actions and the environment lists none.
    pub fn open_together(self: &Arc<Self>, starts: &[Start]) -> Vec<Result<Opened, EnvError>> {
        let failed = |error: &dyn std::error::Error| EnvError::Failed {
            address: self.name().to_owned(),
            call: "reset",
            problem: ErrorChain::new(error).to_string(),
        };
        let begin = |start: &Start| {
            self.patience()?;
            let (world, start) = (Arc::clone(self), start.clone());
            spawn_thread("opener", move || world.tried(|| world.opened(&start), || true))
                .map_err(|error| failed(&error))
        };
        let begun: Vec<_> = starts.iter().map(begin).collect();
        let ended = begun.into_iter().map(|begun| begun?.join().unwrap_or_else(|panic| Err(failed(&panic))));
        let ended: Vec<_> = ended.collect();
        ended.into_iter().map(|ended| self.noted(ended)).collect()
    }

    /// What the last of `actions` brings in the episode that began with `start`, showed `first` and went through the actions before.
    ///
    /// # Errors
    /// A verdict of error or timeout that names the environment.
    pub fn act(&self, start: &Start, first: &str, actions: &[String]) -> Result<Moved, Verdict> {
        let Some((action, before)) = actions.split_last() else {
            return Err(Verdict::new(Outcome::Error, "an episode was to go on without an action").by(BY));
        };
        self.patiently(|| {
            let mut episode = match self.at_hand(start, before) {
                Some(episode) => episode,
                None => self.again(start, first, before)?,
            };
            episode.step(&[Some(action)])?;
            self.note(start, actions, &episode);
            let moved = moved(&episode)?;
            if !moved.over {
                self.keep(episode);
            }
            Ok(moved)
        })
        .map_err(|error| verdict(&error))
    }

    /// Forgets all episodes: those that go on are played again, and not compared with what they were.
    pub fn forget(&self) {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.played.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Tries that may pass again; gives up on a server that only fails.
    fn patiently<T>(&self, one: impl Fn() -> Result<T, EnvError>) -> Result<T, EnvError> {
        self.patience()?;
        self.noted(self.tried(one, || self.patience().is_ok()))
    }

    /// An error if too many episodes in a row were lost.
    fn patience(&self) -> Result<(), EnvError> {
        match self.lost.load(Ordering::Relaxed) {
            lost if lost >= GIVE_UP => {
                let problem = format!("it is not asked any more, {lost} episodes in a row were lost to it");
                Err(EnvError::Dead { address: self.name().to_owned(), problem })
            }
            _ => Ok(()),
        }
    }

    /// Tries again what may pass, as often as the recipe allows and `still` agrees.
    fn tried<T>(&self, one: impl Fn() -> Result<T, EnvError>, still: impl Fn() -> bool) -> Result<T, EnvError> {
        let mut tries = 0;
        loop {
            match one() {
                Err(error) if error.may_pass() && tries < self.retries && still() => {
                    tracing::warn!("{error}; it is tried again");
                    tries += 1;
                }
                ended => return ended,
            }
        }
    }

    /// The same, counted.
    fn noted<T>(&self, given: Result<T, EnvError>) -> Result<T, EnvError> {
        match &given {
            Ok(_) => self.lost.store(0, Ordering::Relaxed),
            Err(error) if error.may_pass() => {
                self.lost.fetch_add(1, Ordering::Relaxed);
                // Whoever answers at this address next knows nothing of what was agreed with this one.
                *self.server.lock().unwrap_or_else(PoisonError::into_inner) = None;
            }
            Err(_) => {}
        }
        given
    }

    fn name(&self) -> &str {
        match &self.place {
            Place::Here(name) => name,
            Place::There { url, .. } => url,
        }
    }

    fn environment(&self) -> Result<Box<dyn Environment>, EnvError> {
        let (url, deadline) = match &self.place {
            Place::Here(name) => return builtin(name),
            Place::There { url, deadline } => (url, *deadline),
        };
        let mut server = self.server.lock().unwrap_or_else(PoisonError::into_inner);
        let known = match server.take() {
            Some(known) => known,
            None => HttpServer::connect(Options { deadline, ..Options::new(url) }, self.runtime.clone())?,
        };
        Ok(Box::new(server.insert(known).environment()))
    }

    fn begin(&self, start: &Start) -> Result<Episode, EnvError> {
        let episode = Episode::begin(self.environment()?, start.clone())?;
        self.alone(&episode)?;
        Ok(episode)
    }

    /// A policy plays by itself.
    fn alone(&self, episode: &Episode) -> Result<(), EnvError> {
        match episode.environment().players() {
            1 => Ok(()),
            players => {
                let given = "a policy plays alone".to_owned();
                Err(EnvError::Players { environment: self.name().to_owned(), players, given })
            }
        }
    }

    /// The episode played again, and compared with what it was.
    fn again(&self, start: &Start, first: &str, actions: &[String]) -> Result<Episode, EnvError> {
        let environment = self.environment()?;
        let played = self.played.lock().unwrap_or_else(PoisonError::into_inner);
        let known = (1..=actions.len()).map_while(|to| played.get(&place(start, &actions[..to])).cloned());
        let log: Vec<Logged> = known.collect();
        drop(played);
        let rest = log.len();
        let saved = Saved { start: start.clone(), first: vec![first.to_owned()], log, state: Restore::Replay };
        let mut episode = Episode::resume(environment, saved)?;
        self.alone(&episode)?;
        // What an earlier attempt of the job played is known by its actions alone.
        for to in rest..actions.len() {
            episode.step(&[Some(&actions[to])])?;
            self.note(start, &actions[..=to], &episode);
        }
        Ok(episode)
    }

    fn note(&self, start: &Start, actions: &[String], episode: &Episode) {
        if let Some(last) = episode.log().last() {
            let mut played = self.played.lock().unwrap_or_else(PoisonError::into_inner);
            played.insert(place(start, actions), last.clone());
        }
    }

    fn at_hand(&self, start: &Start, actions: &[String]) -> Option<Episode> {
        let is_it = |episode: &Episode| {
            let played = episode.log().iter().map(|logged| logged.actions.first().and_then(Option::as_deref));
            episode.start() == start && played.eq(actions.iter().map(|action| Some(action.as_str())))
        };
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let at = live.iter().position(is_it)?;
        live.remove(at)
    }

    fn keep(&self, episode: Episode) {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.push_back(episode);
        if live.len() > MOST_LIVE {
            live.pop_front();
        }
    }
}

/// Who says that an environment failed.
const BY: &str = "env/1";

/// What a failed environment says of an action: nothing.
#[must_use]
pub fn verdict(error: &EnvError) -> Verdict {
    let outcome = if matches!(error, EnvError::Timeout { .. }) { Outcome::Timeout } else { Outcome::Error };
    Verdict::new(outcome, ErrorChain::new(error).to_string()).by(BY)
}

/// The name of a turn.
fn place(start: &Start, actions: &[String]) -> Digest {
    Digest::of(&serde_json::to_vec(&(start, actions)).unwrap_or_default())
}

fn seen(episode: &Episode) -> Result<Seen, EnvError> {
    let legal = match episode.environment().legal(0)? {
        Legal::NotAsked => None,
        Legal::These(texts) => Some(format!("You can: {}.", texts.join(", "))),
        Legal::Form(form) => Some(format!("You can: {form}.")),
    };
    Ok(Seen { observation: episode.observations().first().cloned().unwrap_or_default(), legal })
}

fn moved(episode: &Episode) -> Result<Moved, EnvError> {
    let turn = episode.log().last().map(|logged| &logged.turn);
    let of = |values: Option<&Turn>| values.and_then(|turn| turn.rewards.first().copied()).unwrap_or(0.0);
    let refused = turn.and_then(|turn| turn.taken.first()).and_then(|taken| match taken {
        super::Taken::NotAsked | super::Taken::Played => None,
        super::Taken::Missing => Some("an action was expected".to_owned()),
        super::Taken::Illegal(why) | super::Taken::Unparsable(why) => Some(why.clone()),
    });
    Ok(Moved {
        reward: of(turn),
        score: episode.environment().score(0)?,
        refused,
        over: episode.done().is_some(),
        seen: seen(episode)?,
        achieved: turn.and_then(|turn| turn.info.get("achieved")?.as_object().cloned()),
    })
}

#[cfg(test)]
mod tests;

//! Rules about environments: task sets of them, searches that act in them, verifiers that know them; and those that do not.

use super::Check;
use crate::ids::Name;
use crate::recipe::curate::Hindsight;
use crate::recipe::path::Path;
use crate::recipe::search::{Ballot, Rollout, Search, Unit, Vote};
use crate::recipe::tasks::env::{SINGLE_PLAYER, STATES_GOALS};
use crate::recipe::tasks::{Env, TaskSet};
use crate::recipe::verify::{Blank, EnvReturn, Over, Template, Verifier};

/// Most instances of a split.
const MAX_INSTANCES: u32 = 10_000_000;
/// Most tokens of an episode.
const MAX_EPISODE: u32 = 1_000_000;
/// Longest action in tokens.
const MAX_ACTION: u32 = 8192;
/// Most turns of an episode.
const MAX_TURNS: u32 = 1000;
/// Largest return.
const MAX_RETURN: f64 = 1.0e9;

/// Of environments.
const NO_ANSWER: &str = "an environment has none";

impl Check<'_> {
    /// A task set of an environment.
    pub(super) fn env(&mut self, env: &Env, path: &Path) {
        match (&env.name, &env.url) {
            (None, None) => {
                let help = "give the `name` of a built-in one, for example `name: grid`, or the `url` of a server";
                self.refuse(path, "nothing says which environment it is", help);
            }
            (Some(name), None) if !SINGLE_PLAYER.contains(&name.as_str()) => {
                let message = format!("`{name}` is no built-in environment that a policy can play by itself");
                self.refuse(&path.key("name"), message, format!("use one of {}", SINGLE_PLAYER.join(", ")));
            }
            (Some(_) | None, Some(url)) if !["http://", "https://"].iter().any(|scheme| url.starts_with(scheme)) => {
                let help = "write it as `http://HOST:PORT`";
                self.refuse(&path.key("url"), format!("`{url}` is no address of a server"), help);
            }
            (Some(_) | None, _) => {}
        }
        for (key, size) in [("train", env.train), ("val", env.val), ("test", env.test)] {
            self.whole(&path.key(key), size, 0, MAX_INSTANCES);
        }
        self.whole(&path.key("tokens"), env.tokens, 1, MAX_EPISODE);
        self.whole(&path.key("max_tokens"), env.max_tokens, 1, MAX_ACTION.min(env.tokens.max(1)));
        self.whole(&path.key("deadline"), env.deadline, 1, 3600);
        self.whole(&path.key("retries"), env.retries, 0, 20);
        if let Some(begun) = env.begun {
            self.whole(&path.key("begun").key("actions"), begun.actions, 1, MAX_TURNS);
        }
        if env.ask().is_empty() {
            let help = "write what stands between what the policy reads and what it does, for example `\"\\n> \"`";
            self.refuse(&path.key("ask"), "the text is empty", help);
        }
    }

    /// Whether tasks of these sets are played.
    pub(super) fn plays<'a>(&self, mut sets: impl Iterator<Item = &'a Name>) -> bool {
        sets.any(|name| self.recipe.task_source(name).is_some_and(|set| set.env().is_some()))
    }

    /// What a rollout plays it plays alone, and what it asks of episodes they can answer.
    pub(super) fn episodes(&mut self, rollout: &Rollout, (path, key): (&Path, &str)) {
        self.one_kind(rollout.tasks.keys(), &path.key(key), "write one for each");
        let plays = self.plays(rollout.tasks.keys());
        for (index, verifier) in rollout.verify.iter().enumerate() {
            self.knows(verifier, &path.key("verify").index(index), plays);
        }
    }

    /// Tasks that are searched together are all played, or all answered.
    pub(super) fn one_kind<'a>(&mut self, sets: impl Iterator<Item = &'a Name>, path: &Path, help: &str) {
        let known = sets.filter_map(|name| Some((name, self.recipe.task_source(name)?)));
        let (played, asked): (Vec<_>, Vec<_>) = known.partition(|(_, set)| set.env().is_some());
        if let (Some((one, _)), Some((other, _))) = (played.first(), asked.first()) {
            let message = format!("`{one}` is played turn by turn, and `{other}` is answered");
            self.refuse(path, message, help);
        }
    }

    /// What fits an environment and what fits nothing else. `path` is what the search stands under.
    pub(super) fn fits(&mut self, search: &Search, path: &Path, plays: bool) {
        match (search, plays) {
            (Search::EnvRollout(episodes), true) => {
                let path = path.key("env_rollout");
                self.whole(&path.key("turns"), episodes.turns, 1, MAX_TURNS);
            }
            (Search::EnvRollout(_), false) => {
                let help = "name a task set with `env`, or use `multi_turn`";
                self.refuse(path, "these tasks have no environment to act in", help);
            }
            (Search::Mcts(_) | Search::StepBeam(_), true) => {
                if search.propose().unit != Unit::Turn {
                    let path = path.key(search.name()).key("propose").key("unit");
                    let help = "write `unit: turn`: a step is an action and what came of it";
                    self.refuse(&path, "an environment is searched by its turns", help);
                }
            }
            (other, true) => {
                let message = format!("`{}` answers questions and cannot act in an environment", other.name());
                self.refuse(path, message, "use `env_rollout`, or `mcts` or `step_beam` with `unit: turn`");
            }
            (_, false) => {}
        }
        let evaluators = path.key(search.name()).key(search.evaluators_key());
        for (index, evaluate) in search.evaluators().iter().enumerate() {
            self.knows(&evaluate.verifier, &evaluators.index(index).key("verifier"), plays);
        }
        if let Search::Vote(Vote { by: Ballot::Weighted { verifier, .. }, .. }) = search {
            self.knows(verifier, &path.key("vote").key("by").key("weighted").key("verifier"), plays);
        }
    }

    /// Whether the verifier knows what it is asked about.
    pub(super) fn knows(&mut self, verifier: &Verifier, path: &Path, plays: bool) {
        let name = verifier.name();
        match verifier {
            Verifier::EnvReturn(_) | Verifier::SuccessClassifier(_) if !plays => {
                self.refuse(path, format!("`{name}` is about episodes, and these tasks have none"), "use `rule`");
            }
            Verifier::Rules(_) | Verifier::Regex(_) if !plays && verifier.over() == Over::Episode => {
                let message = "these tasks have no episodes, and an answer is read anyway";
                self.refuse(&path.key(name).key("over"), message, "leave `over` out, or name a task set with `env`");
            }
            Verifier::Regex(_) | Verifier::JsonSchema(_) if plays && verifier.knows_answers() => {
                let compared = if matches!(verifier, Verifier::Regex(_)) { "capture" } else { "equal" };
                let message = "it is compared with the right answer, and an environment has none";
                self.refuse(&path.key(name).key(compared), message, "leave it out");
            }
            Verifier::Rule
            | Verifier::Working
            | Verifier::Exact(_)
            | Verifier::Numeric(_)
            | Verifier::List(_)
            | Verifier::MultipleChoice(_)
            | Verifier::Math(_)
            | Verifier::McRollout(_)
            | Verifier::Consistency(_)
                if plays =>
            {
                let message = format!("`{name}` needs a task with an answer, and an environment has none");
                self.refuse(path, message, "use `{env_return: {}}`");
            }
            Verifier::Judge(judge) if plays => self.knows_no_answer(verifier, &judge.ask, &path.key(name), NO_ANSWER),
            Verifier::JudgePair(pair) if plays => self.knows_no_answer(verifier, &pair.ask, &path.key(name), NO_ANSWER),
            Verifier::Principles(listed) if plays => {
                self.knows_no_answer(verifier, &listed.ask, &path.key(name), NO_ANSWER);
            }
            Verifier::Combine(combine) => {
                for (index, member) in combine.of.iter().enumerate() {
                    self.knows(&member.verify, &path.key(name).key("of").index(index).key("verify"), plays);
                }
            }
            Verifier::Repeat(_) | Verifier::Uncertainty(_) => {
                for member in verifier.members() {
                    self.knows(member, &path.key(name).key("verify"), plays);
                }
            }
            Verifier::FirstError(first) => self.knows(&first.by, &path.key(name).key("by"), plays),
            _ => {}
        }
    }

    /// A judge of what has no known right answer, to be shown or to be tried on; `why` says so. It is asked `ask`.
    pub(super) fn knows_no_answer(&mut self, judge: &Verifier, ask: &str, path: &Path, why: &str) {
        if judge.calibrate().is_some() {
            let message = format!("a judge is tried on known answers, and {why}");
            self.refuse(&path.key("calibrate"), message, "write `calibrate: none`");
        }
        if Template::parse(ask).is_ok_and(|template| template.blanks().any(|blank| blank == Blank::Expected)) {
            let message = format!("{} is the right answer, and {why}", Blank::Expected);
            self.refuse(&path.key("ask"), message, "leave it out");
        }
    }

    /// Some environment must be able to state what was reached.
    pub(super) fn hindsight(&mut self, how: Hindsight, path: &Path) {
        self.between(&path.key("gamma"), how.gamma, 0.0, 1.0);
        let mut envs = self.recipe.tasks.values().filter_map(TaskSet::env);
        let states =
            |env: &Env| env.url.is_some() || env.name.as_deref().is_some_and(|name| STATES_GOALS.contains(&name));
        if self.recipe.tasks.values().filter_map(TaskSet::env).any(|env| env.begun.is_some()) {
            let message =
                "an episode that begins behind actions of others cannot be played from its start with other wishes";
            self.refuse(path, message, "leave `begun` out of the task sets of this recipe");
        }
        if !envs.any(states) {
            let message = "no environment of this recipe states which goals are reached";
            let help = format!("play {}, or a server that says `achieved` in its turns' info", STATES_GOALS.join(", "));
            self.refuse(path, message, help);
        }
    }

    pub(super) fn env_return(&mut self, rule: &EnvReturn, path: &Path) {
        self.between(&path.key("gamma"), rule.gamma, 0.0, 1.0);
        if let Some(least) = rule.pass_at {
            self.between(&path.key("pass_at"), least, -MAX_RETURN, MAX_RETURN);
        }
    }
}

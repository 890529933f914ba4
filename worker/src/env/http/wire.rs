//! What the protocol's answers hold, and whether an answer fits the episode it belongs to.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::{End, Legal, Taken, Turn};

/// Of `info`. Fields that are not known here are left to later versions.
#[derive(Debug, Deserialize)]
pub(super) struct Info {
    pub(super) protocol: u32,
    pub(super) environment: String,
    pub(super) max_batch: usize,
}

/// Of `reset` and `step`.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    turn: u32,
    observations: Vec<String>,
    rewards: Vec<f64>,
    scores: Vec<f64>,
    legal: Vec<Legal>,
    taken: Vec<Taken>,
    done: Option<End>,
    #[serde(default)]
    info: Map<String, Value>,
    /// Of `reset` only.
    players: Option<usize>,
    max_turns: Option<u32>,
}

/// An episode as its last answer left it.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) turn: u32,
    pub(super) players: usize,
    pub(super) max_turns: u32,
    pub(super) observations: Vec<String>,
    pub(super) legal: Vec<Legal>,
    pub(super) scores: Vec<f64>,
    pub(super) done: Option<End>,
}

impl State {
    /// After a reset; the error says what is wrong with the answer.
    pub(super) fn first(answer: Answer) -> Result<Self, String> {
        let (Some(players), Some(max_turns)) = (answer.players, answer.max_turns) else {
            return Err("`reset` gave no players or max_turns".to_owned());
        };
        if players == 0 || max_turns == 0 {
            return Err(format!("`reset` gave {players} players and {max_turns} turns"));
        }
        Self::fit(&answer, players, 0)?;
        Ok(Self::of(answer, players, max_turns).0)
    }

    /// After the next step.
    pub(super) fn step(&self, answer: Answer) -> Result<(Self, Turn), String> {
        Self::fit(&answer, self.players, self.turn + 1)?;
        Ok(Self::of(answer, self.players, self.max_turns))
    }

    fn fit(answer: &Answer, players: usize, turn: u32) -> Result<(), String> {
        if answer.turn != turn {
            return Err(format!("turn {turn} was asked for, and turn {} answered", answer.turn));
        }
        let lengths = [
            ("observations", answer.observations.len()),
            ("rewards", answer.rewards.len()),
            ("scores", answer.scores.len()),
            ("legal", answer.legal.len()),
            ("taken", answer.taken.len()),
        ];
        if let Some((what, length)) = lengths.into_iter().find(|(_, length)| *length != players) {
            return Err(format!("{length} {what} for {players} players"));
        }
        match answer.scores.iter().find(|score| !(0.0..=1.0).contains(*score)) {
            Some(score) => Err(format!("a score of {score}, which must be 0 to 1")),
            None => Ok(()),
        }
    }

    fn of(answer: Answer, players: usize, max_turns: u32) -> (Self, Turn) {
        let Answer { turn, observations, rewards, scores, legal, taken, done, info, .. } = answer;
        let made = Turn { rewards, observations: observations.clone(), taken, done, info };
        (Self { turn, players, max_turns, observations, legal, scores, done }, made)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(change: Value) -> Result<Answer, serde_json::Error> {
        let mut value = json!({"turn": 0, "observations": ["a"], "rewards": [0.0], "scores": [0.5], "legal": [{"form": "text"}],
            "taken": ["not_asked"], "done": null, "players": 1, "max_turns": 3, "later": "unknown"});
        value.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        serde_json::from_value(value)
    }

    #[test]
    fn answers_that_do_not_fit_are_told_apart() {
        let first = State::first(answer(json!({})).unwrap()).unwrap();
        assert_eq!((first.players, first.max_turns, first.legal), (1, 3, vec![Legal::Form("text".to_owned())]));
        for (change, part) in [
            (json!({"players": null}), "no players"),
            (json!({"players": 2}), "1 observations for 2 players"),
            (json!({"scores": [1.5]}), "a score of 1.5"),
            (json!({"rewards": []}), "0 rewards for 1 players"),
            (json!({"max_turns": 0}), "0 turns"),
            (json!({"turn": 1}), "turn 0 was asked for"),
        ] {
            let problem = State::first(answer(change).unwrap()).unwrap_err();
            assert!(problem.contains(part), "{problem}");
        }
        for change in
            [json!({"rewards": ["much"]}), json!({"done": "maybe"}), json!({"taken": ["eaten"]}), json!({"turn": -1})]
        {
            assert!(answer(change).is_err());
        }
    }

    #[test]
    fn a_step_must_be_the_next() {
        let first = State::first(answer(json!({})).unwrap()).unwrap();
        let turn = json!({"turn": 1, "taken": [{"illegal": "no"}], "done": "truncated", "legal": ["not_asked"]});
        let (next, turn) = first.step(answer(turn).unwrap()).unwrap();
        assert_eq!((turn.taken[0].clone(), turn.done), (Taken::Illegal("no".to_owned()), Some(End::Truncated)));
        assert_eq!((next.turn, next.legal[0].clone()), (1, Legal::NotAsked));
        assert!(next.step(answer(json!({"turn": 1})).unwrap()).is_err());
    }
}

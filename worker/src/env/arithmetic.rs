//! Arithmetic line by line: each action is one line of working, checked against the expression as it stands.

use galapagos_domain::task::arithmetic::{Expression, Shape, StepError};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::Legal;
use super::builtin::{Game, Played, Refused};

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Config {
    shape: Shape,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Arithmetic {
    first: Expression,
    now: Expression,
}

impl Game for Arithmetic {
    const NAME: &'static str = "arithmetic";
    const OPTIONS: &'static str =
        "`shape` has `count` (two of 2 to 6), `digits` (two of 1 to 9) and `products` (true or false)";
    type Config = Config;
    type Move = Result<Expression, StepError>;

    fn draw(config: &Config, rng: &mut ChaCha8Rng) -> Option<Self> {
        let first = Expression::draw(rng, config.shape)?;
        Some(Self { now: first.clone(), first })
    }

    fn canonical(&self) -> String {
        self.first.canonical()
    }

    fn max_turns(&self) -> u32 {
        2 * self.first.lines_left() as u32 + 1
    }

    fn observe(&self, _player: usize) -> String {
        match self.now.number() {
            Some(value) => format!("The value is {value}."),
            None => format!("Compute one operation of: {}", self.now),
        }
    }

    fn legal(&self, _player: usize) -> Legal {
        Legal::Form("one line of working `a op b = c`, for example `12 + 30 = 42`".to_owned())
    }

    fn parse(&self, _player: usize, text: &str) -> Result<Self::Move, Refused> {
        match self.now.step(text) {
            Ok(next) => Ok(Ok(next)),
            // A wrong result is a move, and a bad one; the others are no moves.
            Err(error @ StepError::Wrong { .. }) => Ok(Err(error)),
            Err(error @ StepError::Form { .. }) => Err(Refused::Form(error.to_string())),
            Err(error @ (StepError::Absent { .. } | StepError::Early { .. })) => Err(Refused::Rule(error.to_string())),
        }
    }

    fn play(&mut self, moves: Vec<Option<Self::Move>>, _chance: &mut ChaCha8Rng) -> Played {
        match moves.into_iter().flatten().next() {
            None => Played::default(),
            Some(Ok(next)) => {
                self.now = next;
                Played { over: self.now.number().is_some(), ..Played::default() }
            }
            Some(Err(error)) => Played::news(format!("Wrong: {error}.")),
        }
    }

    fn score(&self, _player: usize) -> f64 {
        1.0 - self.now.lines_left() as f64 / self.first.lines_left() as f64
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;
    use serde_json::json;

    use super::super::testing::{check, env, options};
    use super::super::{End, Taken};
    use super::*;

    fn shown(text: &str) -> Option<Expression> {
        Expression::parse(text.lines().last()?.strip_prefix("Compute one operation of: ")?).ok()
    }

    #[test]
    fn the_contract_with_right_and_wrong_lines() {
        check("arithmetic", &options(json!({})), |rng, text| {
            let right = shown(text).and_then(|now| now.next_line()).unwrap_or_default();
            [right.clone(), right, "1 + 1 = 3".to_owned(), "?".to_owned()][rng.random_range(0..4)].clone()
        });
    }

    #[test]
    fn right_lines_reach_the_value_and_wrong_ones_change_nothing() {
        for seed in 0..10 {
            let (mut game, start) = env("arithmetic", &options(json!({})), seed);
            let mut text = game.reset(&start).unwrap().remove(0);
            let value = shown(&text).unwrap().worked().unwrap().1;
            while let Some(line) = shown(&text).and_then(|now| now.next_line()) {
                let turn = game.step(&[Some(&line)]).unwrap();
                assert!(turn.rewards[0] > 0.0);
                text = turn.observations[0].clone();
                if turn.done.is_none() {
                    let line = shown(&text).unwrap().next_line().unwrap() + "1";
                    let wrong = game.step(&[Some(&line)]).unwrap();
                    assert_eq!((wrong.rewards[0], &wrong.taken[0]), (0.0, &Taken::Played));
                    assert!(wrong.observations[0].starts_with("Wrong: "));
                    text = wrong.observations[0].clone();
                } else {
                    assert_eq!(turn.done, Some(End::Terminated));
                }
            }
            assert_eq!(text, format!("The value is {value}."));
            assert_eq!(game.score(0).unwrap(), 1.0);
        }
    }
}

//! Countdown as an environment: an expression in one go with several attempts, or step by step with a pool of numbers.
//!
//! Step by step, the score is the share of steps after which the target was still in reach, so a step into a dead end earns nothing.

use galapagos_domain::task::countdown::{self as rules, Shape};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::Legal;
use super::builtin::{Game, Played, Refused};

/// How answers are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Mode {
    #[default]
    Expression,
    Steps,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Config {
    mode: Mode,
    shape: Shape,
    /// Expressions that may be tried.
    attempts: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { mode: Mode::Expression, shape: Shape::default(), attempts: 3 }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Countdown {
    mode: Mode,
    instance: rules::Countdown,
    attempts: u32,
    pool: Vec<u32>,
    /// Steps that kept the target in reach.
    good: usize,
    solved: bool,
}

#[derive(Debug)]
pub(super) enum Move {
    Answer(String),
    Step(Vec<u32>),
}

impl Game for Countdown {
    const NAME: &'static str = "countdown";
    const OPTIONS: &'static str = "`mode` is expression or steps, `attempts` 1 to 100, `shape` has `count` (two of 2 to 5), `largest` (3 to 1000), \
         `target`, the largest (10 to 10000), and `products` (true or false)";
    type Config = Config;
    type Move = Move;

    fn draw(config: &Config, rng: &mut ChaCha8Rng) -> Option<Self> {
        let (instance, _) =
            rules::Countdown::draw(rng, config.shape).filter(|_| (1..=100).contains(&config.attempts))?;
        let pool = instance.numbers.clone();
        Some(Self { mode: config.mode, instance, attempts: config.attempts, pool, good: 0, solved: false })
    }

    fn canonical(&self) -> String {
        self.instance.canonical()
    }

    fn max_turns(&self) -> u32 {
        match self.mode {
            Mode::Expression => self.attempts,
            Mode::Steps => 3 * self.instance.numbers.len() as u32,
        }
    }

    fn observe(&self, _player: usize) -> String {
        match self.mode {
            Mode::Expression => format!("{}. Use each number once with + - * / and brackets.", self.instance),
            Mode::Steps => {
                let pool: Vec<String> = self.pool.iter().map(u32::to_string).collect();
                format!("Target: {}. Numbers: {}.", self.instance.target, pool.join(", "))
            }
        }
    }

    fn legal(&self, _player: usize) -> Legal {
        match self.mode {
            Mode::Expression => Legal::Form("an expression, for example `(3 + 4) * 7`".to_owned()),
            Mode::Steps => Legal::These(rules::steps(&self.pool)),
        }
    }

    fn parse(&self, _player: usize, text: &str) -> Result<Move, Refused> {
        match self.mode {
            Mode::Expression => {
                let left = text.split('=').next().unwrap_or_default();
                rules::evaluate(left).map_err(|error| Refused::Form(error.to_string()))?;
                Ok(Move::Answer(text.to_owned()))
            }
            Mode::Steps => rules::step(&self.pool, text).map(Move::Step).map_err(|error| match error {
                rules::StepError::Form => Refused::Form(error.to_string()),
                rules::StepError::Missing { .. } | rules::StepError::Result { .. } => Refused::Rule(error.to_string()),
            }),
        }
    }

    fn play(&mut self, moves: Vec<Option<Move>>, _chance: &mut ChaCha8Rng) -> Played {
        match moves.into_iter().flatten().next() {
            None => Played::default(),
            Some(Move::Answer(text)) => match self.instance.check(&text) {
                Ok(()) => {
                    self.solved = true;
                    Played { over: true, ..Played::news("Right.") }
                }
                Err(error) => Played::news(format!("Wrong: {error}.")),
            },
            Some(Move::Step(pool)) => {
                self.good += usize::from(rules::solve(&pool, self.instance.target).is_some());
                self.pool = pool;
                self.solved = self.pool == [self.instance.target];
                Played { over: self.pool.len() == 1, ..Played::default() }
            }
        }
    }

    fn score(&self, _player: usize) -> f64 {
        match self.mode {
            Mode::Expression => f64::from(u8::from(self.solved)),
            Mode::Steps => self.good as f64 / (self.instance.numbers.len() - 1) as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{check, env, options, play};
    use super::super::{End, Taken};
    use super::*;

    #[test]
    fn both_modes_keep_the_contract() {
        for mode in ["expression", "steps"] {
            check("countdown", &options(json!({"mode": mode})), |rng, _| {
                use rand::RngExt;
                ["1+2+3", "7*", "12 / 3 * 4", "x"][rng.random_range(0..4)].to_owned()
            });
        }
    }

    #[test]
    fn the_solvers_steps_score_one_and_a_dead_end_less() {
        for index in 0..10 {
            let config = options(json!({"mode": "steps", "rules": {"illegal_penalty": 0.5}}));
            let (mut game, mut start) = env("countdown", &config, 1);
            start.index = index;
            game.reset(&start).unwrap();
            let text = game.observe(0).unwrap();
            let (target, pool) = text.trim_end_matches('.').split_once(". Numbers: ").unwrap();
            let target: u32 = target.trim_start_matches("Target: ").parse().unwrap();
            let pool: Vec<u32> = pool.split(", ").map(|n| n.parse().unwrap()).collect();
            let refused = game.step(&[Some("1000 + 1")]).unwrap();
            assert!(matches!(refused.taken[0], Taken::Illegal(_)), "{refused:?}");
            assert_eq!(refused.rewards, [-0.5]);
            let solution = rules::solve(&pool, target).unwrap();
            let last = solution.iter().map(|step| game.step(&[Some(step)]).unwrap()).last().unwrap();
            assert_eq!((last.done, game.score(0).unwrap()), (Some(End::Terminated), 1.0), "{text} {solution:?}");
        }
    }

    #[test]
    fn an_expression_may_be_tried_again() {
        let turns = play("countdown", &options(json!({})), 3, &["1+1", "1+", "2+2"]);
        assert!(turns[0].observations[0].starts_with("Wrong: it uses 1, 1"), "{turns:?}");
        assert!(matches!(turns[1].taken[0], Taken::Unparsable(_)));
        assert_eq!(turns[2].done, Some(End::Truncated));
    }
}

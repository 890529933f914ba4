//! A chain of states: `right` moves on, but slips back to the start with some chance; at the far end it pays 1 each time. `left` pays a
//! little and goes back to the start. Small enough that values are exact, by backward induction.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::builtin::{Game, Played, Refused, choose};
use super::{ExactPolicy, Legal};

const WORDS: [&str; 2] = ["left", "right"];

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Config {
    /// Most states that are drawn.
    states: usize,
    moves: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { states: 6, moves: 12 }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Chain {
    states: usize,
    moves: u32,
    /// Chance in percent that `right` slips.
    slip: u32,
    /// What `left` pays, in percent.
    small: u32,
    at: usize,
    moved: u32,
    earned: u32,
}

impl Chain {
    /// What a move in a state may bring: chance, next state, payment in percent.
    fn outcomes(&self, at: usize, right: bool) -> Vec<(f64, usize, u32)> {
        if !right {
            return vec![(1.0, 0, self.small)];
        }
        let slip = f64::from(self.slip) / 100.0;
        let end = self.states - 1;
        let on = if at == end { (1.0 - slip, end, 100) } else { (1.0 - slip, at + 1, 0) };
        vec![on, (slip, 0, 0)]
    }

    /// The expected payment in percent from the start, with all moves to go.
    fn value(&self, pick: impl Fn([f64; 2]) -> f64) -> f64 {
        let mut next = vec![0.0; self.states];
        for _ in 0..self.moves {
            let of = |at: usize, right: bool| {
                self.outcomes(at, right).into_iter().map(|(p, to, pay)| p * (f64::from(pay) + next[to])).sum::<f64>()
            };
            next = (0..self.states).map(|at| pick([of(at, false), of(at, true)])).collect();
        }
        next[0]
    }
}

impl Game for Chain {
    const NAME: &'static str = "chain";
    const OPTIONS: &'static str = "`states` is 3 to 20, `moves` 1 to 200";
    type Config = Config;
    type Move = bool;

    fn draw(config: &Config, rng: &mut ChaCha8Rng) -> Option<Self> {
        if !(3..=20).contains(&config.states) || !(1..=200).contains(&config.moves) {
            return None;
        }
        let states = rng.random_range(3..=config.states);
        let (slip, small) = (rng.random_range(0..=30), rng.random_range(1..=40));
        Some(Self { states, moves: config.moves, slip, small, at: 0, moved: 0, earned: 0 })
    }

    fn canonical(&self) -> String {
        format!("{} states, slip {}, small {}", self.states, self.slip, self.small)
    }

    fn max_turns(&self) -> u32 {
        self.moves + 5
    }

    fn observe(&self, _player: usize) -> String {
        format!(
            "State {} of {}. `left` pays {} and goes to state 1. `right` goes on, with a chance of {}% back to state 1; in state {} it pays \
             100 and stays. Moves left: {}. Earned: {}.",
            self.at + 1,
            self.states,
            self.small,
            self.slip,
            self.states,
            self.moves - self.moved,
            self.earned
        )
    }

    fn legal(&self, _player: usize) -> Legal {
        Legal::These(WORDS.map(str::to_owned).to_vec())
    }

    fn parse(&self, _player: usize, text: &str) -> Result<bool, Refused> {
        Ok(choose(text, &WORDS.map(str::to_owned))? == 1)
    }

    fn play(&mut self, moves: Vec<Option<bool>>, chance: &mut ChaCha8Rng) -> Played {
        let Some(right) = moves.into_iter().flatten().next() else { return Played::default() };
        let slips = right && chance.random_range(0..100) < self.slip;
        let outcomes = self.outcomes(self.at, right);
        let (_, to, pay) = outcomes[usize::from(slips)];
        (self.at, self.earned, self.moved) = (to, self.earned + pay, self.moved + 1);
        let news = if slips { "You slip back." } else { "" };
        Played { over: self.moved >= self.moves, ..Played::news(news) }
    }

    fn score(&self, _player: usize) -> f64 {
        f64::from(self.earned) / (100.0 * f64::from(self.moves))
    }

    /// Nothing is hidden, so the best learner is the best.
    fn exact_value(&self, policy: ExactPolicy) -> Option<f64> {
        let value = match policy {
            ExactPolicy::Best | ExactPolicy::Learner => self.value(|[left, right]| left.max(right)),
            ExactPolicy::Uniform => self.value(|[left, right]| f64::midpoint(left, right)),
        };
        Some(value / (100.0 * f64::from(self.moves)))
    }
}

#[cfg(test)]
mod tests {
    use galapagos_domain::seed::Seed;
    use serde_json::json;

    use super::super::testing::{check, options};
    use super::*;

    #[test]
    fn the_contract() {
        check("chain", &options(json!({})), |_, _| String::new());
    }

    fn chain(moves: u32, slip: u32) -> Chain {
        Chain { states: 3, moves, slip, small: 10, at: 0, moved: 0, earned: 0 }
    }

    #[test]
    fn values_by_hand() {
        let best = |moves, slip| chain(moves, slip).exact_value(ExactPolicy::Best).unwrap() * f64::from(moves);
        assert!((best(2, 0) - 0.2).abs() < 1e-12, "too far to the end: left twice");
        assert!((best(5, 0) - 3.0).abs() < 1e-12, "two moves there, three payments");
        // Two moves to the end and one payment if nothing slips (0.512), or left for 0.1 in what is left of three moves.
        let slipping = 0.8 * (0.8 * 0.8f64.max(0.1) + 0.2 * 0.1) + 0.2 * 0.2;
        assert!((best(3, 20) - slipping).abs() < 1e-12);
        let uniform = chain(1, 0).exact_value(ExactPolicy::Uniform).unwrap();
        assert!((uniform - 0.05).abs() < 1e-12);
    }

    #[test]
    fn the_uniform_value_is_the_mean_over_all_plays() {
        let (mut total, chain) = (0.0, chain(8, 0));
        for plays in 0..256u32 {
            let mut played = chain.clone();
            for turn in 0..8 {
                played.play(vec![Some(plays >> turn & 1 == 1)], &mut Seed(0).stream());
            }
            total += played.score(0);
        }
        assert!((total / 256.0 - chain.exact_value(ExactPolicy::Uniform).unwrap()).abs() < 1e-12);
    }
}

//! A bandit with few arms: each pays with a chance of its own, in tenths, that players do not see.
//!
//! Exact values are of the score (payments by pulls). The learner's value is the finite-horizon optimum over the uniform prior on
//! 0.1 to 0.9 for each arm, by dynamic programming over counts; instances of one split are half or a fifth of that space, so it is
//! exact for the space and not for a split.

use std::collections::BTreeMap;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::builtin::{Game, Played, Refused, choose};
use super::{ExactPolicy, Legal};

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Config {
    arms: usize,
    pulls: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { arms: 3, pulls: 8 }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Bandit {
    /// Chances in tenths, 1 to 9.
    arms: Vec<u32>,
    pulls: u32,
    /// Arms and whether they paid.
    history: Vec<(usize, bool)>,
}

/// Payments and blanks of each arm.
type Counts = Vec<(u32, u32)>;

impl Bandit {
    fn words(&self) -> Vec<String> {
        (1..=self.arms.len()).map(|arm| arm.to_string()).collect()
    }
}

/// The chance of another payment after so many payments and blanks, over the uniform prior on 0.1 to 0.9.
fn mean_after((paid, blank): (u32, u32)) -> f64 {
    let chance = |tenths: u32| f64::from(tenths) / 10.0;
    let weight = |p: f64| p.powi(paid as i32) * (1.0 - p).powi(blank as i32);
    let all = || (1..=9).map(chance);
    all().map(|p| p * weight(p)).sum::<f64>() / all().map(weight).sum::<f64>()
}

/// The most that can be expected from `left` more pulls.
fn learner(counts: &mut Counts, left: u32, known: &mut BTreeMap<Counts, f64>) -> f64 {
    if left == 0 {
        return 0.0;
    }
    // Arms are alike before they are pulled, so the order of counts does not matter.
    let mut sorted = counts.clone();
    sorted.sort_unstable();
    if let Some(value) = known.get(&sorted) {
        return *value;
    }
    let mut best = 0.0f64;
    for arm in 0..counts.len() {
        let p = mean_after(counts[arm]);
        counts[arm].0 += 1;
        let paid = 1.0 + learner(counts, left - 1, known);
        counts[arm].0 -= 1;
        counts[arm].1 += 1;
        let blank = learner(counts, left - 1, known);
        counts[arm].1 -= 1;
        best = best.max(p * paid + (1.0 - p) * blank);
    }
    known.insert(sorted, best);
    best
}

impl Game for Bandit {
    const NAME: &'static str = "bandit";
    const OPTIONS: &'static str = "`arms` is 2 to 4, `pulls` 1 to 12";
    type Config = Config;
    type Move = usize;

    fn draw(config: &Config, rng: &mut ChaCha8Rng) -> Option<Self> {
        let fits = (2..=4).contains(&config.arms) && (1..=12).contains(&config.pulls);
        let arms = (0..config.arms).map(|_| rng.random_range(1..=9)).collect();
        fits.then_some(Self { arms, pulls: config.pulls, history: Vec::new() })
    }

    fn canonical(&self) -> String {
        let mut sorted = self.arms.clone();
        sorted.sort_unstable();
        format!("{sorted:?}")
    }

    fn max_turns(&self) -> u32 {
        self.pulls + 4
    }

    fn observe(&self, _player: usize) -> String {
        let past = self.history.iter().map(|(arm, paid)| format!("{}:{}", arm + 1, u8::from(*paid)));
        let past: Vec<String> = past.collect();
        let past = if past.is_empty() { "none".to_owned() } else { past.join(" ") };
        let left = self.pulls - self.history.len() as u32;
        format!(
            "Arms 1 to {}, each pays 1 with a chance of its own. Pulls so far: {past}. Pulls left: {left}.",
            self.arms.len()
        )
    }

    fn legal(&self, _player: usize) -> Legal {
        Legal::These(self.words())
    }

    fn parse(&self, _player: usize, text: &str) -> Result<usize, Refused> {
        choose(text, &self.words())
    }

    fn play(&mut self, moves: Vec<Option<usize>>, chance: &mut ChaCha8Rng) -> Played {
        let Some(arm) = moves.into_iter().flatten().next() else { return Played::default() };
        let paid = chance.random_range(0..10) < self.arms[arm];
        self.history.push((arm, paid));
        Played { over: self.history.len() >= self.pulls as usize, ..Played::default() }
    }

    fn score(&self, _player: usize) -> f64 {
        self.history.iter().filter(|(_, paid)| *paid).count() as f64 / f64::from(self.pulls)
    }

    fn exact_value(&self, policy: ExactPolicy) -> Option<f64> {
        let chances = self.arms.iter().map(|tenths| f64::from(*tenths) / 10.0);
        Some(match policy {
            ExactPolicy::Best => chances.fold(0.0, f64::max),
            ExactPolicy::Uniform => chances.sum::<f64>() / self.arms.len() as f64,
            ExactPolicy::Learner => {
                learner(&mut vec![(0, 0); self.arms.len()], self.pulls, &mut BTreeMap::new()) / f64::from(self.pulls)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use galapagos_domain::seed::Seed;
    use serde_json::json;

    use super::super::testing::{check, env, options};
    use super::*;

    #[test]
    fn the_contract() {
        check("bandit", &options(json!({})), |_, _| String::new());
    }

    #[test]
    fn the_learners_value_by_hand() {
        let value = |arms, pulls| {
            let bandit = Bandit { arms: vec![1; arms], pulls, history: Vec::new() };
            bandit.exact_value(ExactPolicy::Learner).unwrap() * f64::from(pulls)
        };
        assert!((value(2, 1) - 0.5).abs() < 1e-12);
        // After a payment the same arm again (mean of squares by mean: 19/30), after a blank the other.
        assert!((value(2, 2) - (0.5 + 0.5 * 19.0 / 30.0 + 0.5 * 0.5)).abs() < 1e-12);
        assert!(value(2, 12) / 12.0 < 0.65 && value(2, 12) / 12.0 > value(2, 2) / 2.0);
    }

    #[test]
    fn uniform_play_comes_to_its_exact_value() {
        let (mut game, mut start) = env("bandit", &options(json!({})), 1);
        let (mut total, episodes) = (0.0, 2000);
        let mut rng = Seed(9).stream();
        for replica in 0..episodes {
            start.replica = replica;
            game.reset(&start).unwrap();
            for _ in 0..8 {
                game.step(&[Some(["1", "2", "3"][rng.random_range(0..3)])]).unwrap();
            }
            total += game.score(0).unwrap();
        }
        let exact = game.exact_value(ExactPolicy::Uniform).unwrap();
        let mean = total / f64::from(episodes);
        // Five standard errors of 16000 pulls.
        assert!((mean - exact).abs() < 5.0 * (0.25f64 / 16_000.0).sqrt(), "{mean} {exact}");
        assert!(game.exact_value(ExactPolicy::Best).unwrap() >= exact);
    }
}

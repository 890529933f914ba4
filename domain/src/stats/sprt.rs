//! The sequential test behind a promotion: a generalised sequential probability ratio test on mirrored pairs.
//!
//! A pair is one observation with five outcomes, so that the two bouts of a pair may depend on each other. The
//! log-likelihood ratio is the normal approximation that chess engine farms use (Van den Bergh, "A practical introduction to
//! the GSPRT"; fishtest): LLR = N (s1 - s0) (2 m - s0 - s1) / (2 v), with N pairs of mean score m and variance v, and s0, s1
//! the expected scores under the two hypotheses. The bounds are Wald's.
//!
//! The variance of the first few pairs is often 0 and would make any ratio infinite. It is therefore shrunk towards that of
//! a pair of independent decisive bouts (1/8) with the weight of four pairs; the mean is not shrunk.

use super::elo::expected_score;
use super::{Pentanomial, moments};
use crate::recipe::tournament::Sprt as Gate;

/// Pairs that the prior variance weighs as much as.
const PRIOR_PAIRS: f64 = 4.0;
/// Variance of the score of a pair of independent fair bouts without draws.
const PRIOR_VARIANCE: f64 = 0.125;

/// A test between two Elo differences.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sprt {
    /// Expected scores under the null and under the alternative hypothesis.
    scores: (f64, f64),
    /// Lower and upper bound of the log-likelihood ratio.
    bounds: (f64, f64),
}

/// What the evidence so far proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conclusion {
    /// Neither bound is reached: more pairs are needed.
    Open,
    /// The challenger is better: the upper bound is reached.
    Better,
    /// The challenger is not better: the lower bound is reached.
    NotBetter,
}

impl Sprt {
    /// The test of a recipe's gate.
    #[must_use]
    pub fn new(gate: &Gate) -> Self {
        let [elo0, elo1] = gate.elo;
        Self {
            scores: (expected_score(elo0), expected_score(elo1)),
            bounds: ((gate.beta / (1.0 - gate.alpha)).ln(), ((1.0 - gate.beta) / gate.alpha).ln()),
        }
    }

    /// Wald's bounds: ln(β / (1 - α)) and ln((1 - β) / α).
    #[must_use]
    pub fn bounds(&self) -> (f64, f64) {
        self.bounds
    }

    /// The log-likelihood ratio of the alternative against the null hypothesis; 0 without pairs.
    #[must_use]
    pub fn llr(&self, pentanomial: &Pentanomial) -> f64 {
        let Some((pairs, mean, squares)) = moments(pentanomial) else { return 0.0 };
        let (s0, s1) = self.scores;
        let variance = (squares + PRIOR_PAIRS * PRIOR_VARIANCE) / (pairs + PRIOR_PAIRS);
        pairs * (s1 - s0) * (2.0 * mean - s0 - s1) / (2.0 * variance)
    }

    /// What the pairs so far prove.
    #[must_use]
    pub fn conclude(&self, pentanomial: &Pentanomial) -> Conclusion {
        let llr = self.llr(pentanomial);
        if llr >= self.bounds.1 {
            Conclusion::Better
        } else if llr <= self.bounds.0 {
            Conclusion::NotBetter
        } else {
            Conclusion::Open
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt as _;

    use super::*;
    use crate::seed::Seed;

    const GATE: Gate = Gate { elo: [0.0, 100.0], alpha: 0.05, beta: 0.05 };

    /// `ln(0.05 / 0.95)` and `ln(0.95 / 0.05)`.
    #[test]
    fn bounds_are_walds() {
        let (low, high) = Sprt::new(&GATE).bounds();
        assert!((low + 2.944_438_979).abs() < 1e-9 && (high - 2.944_438_979).abs() < 1e-9);
    }

    /// Computed apart from this code with numpy from the formula in the head of this file, for 40 and 100 pairs.
    #[test]
    fn the_ratio_equals_numpys_reference() {
        for (pentanomial, expected) in LLR {
            let llr = Sprt::new(&GATE).llr(&pentanomial);
            assert!((llr - expected).abs() < 1e-9, "{pentanomial:?}: {llr} is not {expected}");
        }
        assert_eq!(Sprt::new(&GATE).llr(&[0; 5]), 0.0);
    }

    const LLR: [(Pentanomial, f64); 3] = [
        ([2, 8, 16, 10, 4], -2.613353867998),
        ([5, 20, 40, 25, 10], -6.846311405471),
        ([20, 25, 40, 10, 5], -34.657852409254),
    ];

    #[test]
    fn one_lucky_pair_proves_nothing_and_only_draws_prove_no_gain() {
        let sprt = Sprt::new(&GATE);
        assert_eq!(sprt.conclude(&[0, 0, 0, 0, 1]), Conclusion::Open);
        assert_eq!(sprt.conclude(&[0, 0, 400, 0, 0]), Conclusion::NotBetter);
    }

    /// Plays tournaments of at most `max` pairs between sides whose answers pass with the given chances; returns how many
    /// of `runs` end in a promotion.
    fn promotions(holder: f64, challenger: f64, runs: u64) -> u64 {
        let sprt = Sprt::new(&GATE);
        let play = |run: u64| {
            let mut stream = Seed(7).derive("tournaments").nth(run).stream();
            let mut counts = [0u64; 5];
            for _ in 0..400 {
                let mut bout = || {
                    let (a, b) = (stream.random_bool(challenger), stream.random_bool(holder));
                    1 + usize::from(a) - usize::from(b)
                };
                counts[bout() + bout()] += 1;
                match sprt.conclude(&counts) {
                    Conclusion::Open => {}
                    Conclusion::Better => return true,
                    Conclusion::NotBetter => return false,
                }
            }
            false
        };
        (0..runs).filter(|run| play(*run)).count() as u64
    }

    /// The stated error rates with a margin of 2.5 standard errors of 500 tournaments (0.05 + 2.5 * 0.0097).
    #[test]
    fn false_promotions_and_missed_gains_stay_within_alpha_and_beta() {
        for chance in [0.1, 0.5, 0.9] {
            let wrong = promotions(chance, chance, 500);
            assert!(wrong <= 37, "equal sides at {chance}: {wrong} of 500 promoted");
        }
        // A score of 0.64 against 0.50 is 100 Elo: the challenger passes 0.28 more often.
        let right = promotions(0.36, 0.64, 500);
        assert!(right >= 463, "a challenger of 100 Elo: only {right} of 500 promoted");
    }
}

//! Which weights does a server really serve? Decided from log-probabilities of fixed token sequences: what the server says
//! is compared with what each version would say. Pure.
//!
//! Two tests, both must pass. The *distance* test: the mean absolute difference from the expected version is at most
//! [`TOLERANCE`], which servers in bfloat16 keep and another model does not. The *direction* test, against every other version
//! that the server may still hold: with `d = expected - other` and `r = served - other`, the coefficient `<r, d> / <d, d>` is
//! about 1 if the expected version is served and about 0 if the other one is, however close the two are; rounding noise
//! averages out over the tokens. It must be above one half.

use rand::RngExt;
use rand::SeedableRng;
use rand::rngs::SmallRng;

/// Largest mean absolute difference of log-probabilities, in nats, between a server in bfloat16 and this engine in f32.
pub const TOLERANCE: f64 = 0.15;

/// Sequences of one probe, and their tokens.
const SEQUENCES: usize = 4;
const LENGTH: usize = 32;

/// The token sequences to ask about: the same for everybody who knows the vocabulary's size.
#[must_use]
pub fn sequences(vocabulary: u32) -> Vec<Vec<u32>> {
    let mut random = SmallRng::seed_from_u64(u64::from(vocabulary));
    let mut sequence = || (0..LENGTH).map(|_| random.random_range(0..vocabulary)).collect();
    (0..SEQUENCES).map(|_| sequence()).collect()
}

/// What a probe found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Finding {
    /// The expected version is served.
    Right,
    /// Far from the expected version: another model, or broken.
    Far {
        /// Mean absolute difference in nats.
        difference: f64,
    },
    /// Nearer to another version.
    Other {
        /// Index of that version.
        version: usize,
        /// The coefficient; 1 would be the expected version, 0 the other.
        coefficient: f64,
    },
    /// The answer cannot be compared.
    Unusable {
        /// Numbers expected.
        expected: usize,
        /// Finite numbers that came.
        found: usize,
    },
}

/// Compares what the server said with what the expected and the other versions say, each one number per token.
#[must_use]
pub fn judge(served: &[f64], expected: &[f64], others: &[&[f64]]) -> Finding {
    let finite = served.iter().filter(|value| value.is_finite()).count();
    if finite != expected.len() || served.len() != expected.len() || expected.is_empty() {
        return Finding::Unusable { expected: expected.len(), found: finite };
    }
    for (version, other) in others.iter().enumerate() {
        let coefficient = coefficient(served, expected, other);
        // Two versions that say exactly the same need no telling apart.
        if coefficient.is_some_and(|coefficient| coefficient <= 0.5) {
            return Finding::Other { version, coefficient: coefficient.unwrap_or_default() };
        }
    }
    let sum: f64 = served.iter().zip(expected).map(|(a, b)| (a - b).abs()).sum();
    let difference = sum / expected.len() as f64;
    if difference > TOLERANCE { Finding::Far { difference } } else { Finding::Right }
}

fn coefficient(served: &[f64], expected: &[f64], other: &[f64]) -> Option<f64> {
    let (mut along, mut square) = (0.0, 0.0);
    for ((served, expected), other) in served.iter().zip(expected).zip(other) {
        along += (served - other) * (expected - other);
        square += (expected - other) * (expected - other);
    }
    (square > 0.0).then(|| along / square)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noisy(base: &[f64], scale: f64, seed: u64) -> Vec<f64> {
        let mut random = SmallRng::seed_from_u64(seed);
        base.iter().map(|value| value + scale * (random.random::<f64>() - 0.5) * 2.0).collect()
    }

    fn version(seed: u64) -> Vec<f64> {
        noisy(&vec![-9.0; SEQUENCES * (LENGTH - 1)], 4.0, seed)
    }

    #[test]
    fn rounding_noise_is_forgiven_and_another_model_is_not() {
        let expected = version(1);
        assert_eq!(judge(&noisy(&expected, 0.05, 9), &expected, &[]), Finding::Right);
        assert!(matches!(judge(&version(2), &expected, &[]), Finding::Far { .. }));
    }

    #[test]
    fn versions_closer_than_the_noise_are_told_apart() {
        for seed in 0..50 {
            let old = version(seed);
            let new = noisy(&old, 0.04, seed + 1000);
            let (says_new, says_old) = (noisy(&new, 0.05, seed + 2000), noisy(&old, 0.05, seed + 3000));
            assert_eq!(judge(&says_new, &new, &[&old]), Finding::Right, "{seed}");
            assert!(matches!(judge(&says_old, &new, &[&old]), Finding::Other { version: 0, .. }), "{seed}");
        }
    }

    #[test]
    fn missing_and_infinite_numbers_are_no_match() {
        let expected = version(1);
        let mut served = expected.clone();
        served[3] = f64::NAN;
        assert!(matches!(judge(&served, &expected, &[]), Finding::Unusable { .. }));
        assert!(matches!(judge(&expected[1..], &expected, &[]), Finding::Unusable { .. }));
        assert_eq!(judge(&expected, &expected, &[&expected]), Finding::Right);
    }

    #[test]
    fn everybody_asks_about_the_same_sequences() {
        assert_eq!(sequences(49_152), sequences(49_152));
        assert!(sequences(7).iter().flatten().all(|token| *token < 7));
    }
}

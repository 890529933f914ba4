//! Uniform numbers by place, and the inverse of the cumulative distribution.

use galapagos_kernels::vocabulary::{BLOCK, Scale};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::cut::Candidate;

/// The random stream of one sample: ChaCha8 keyed by the seed, with the sample as its stream.
#[derive(Clone, Debug)]
pub(super) struct Stream(ChaCha8Rng);

impl Stream {
    pub(super) fn new(seed: u64, sample: usize) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        generator.set_stream(sample as u64);
        Self(generator)
    }

    /// The uniform number in [0, 1) of a position, 53 bits: what the `position`th draw in sequence gives.
    pub(super) fn uniform(&self, position: u64) -> f64 {
        const WORDS: u128 = 2;
        let mut generator = self.0.clone();
        generator.set_word_pos(u128::from(position) * WORDS);
        (generator.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// The first token at which the running sum of weights exceeds `uniform` of the total, given the sums of the row's blocks;
/// `None` if nothing has weight.
pub(super) fn from_blocks(row: &[f32], sums: &[f32], scale: Scale, uniform: f64) -> Option<u32> {
    let total: f64 = sums.iter().map(|sum| f64::from(*sum)).sum();
    let mut before = 0.0;
    let (block, _) = sums.iter().enumerate().find(|(_, sum)| {
        let reached = before + f64::from(**sum) > uniform * total;
        before += if reached { 0.0 } else { f64::from(**sum) };
        reached
    })?;
    let first = block * BLOCK;
    let weights = row[first..].iter().take(BLOCK).enumerate();
    // A block's sum is rounded: if its weights one by one stay below, the last one of them is meant.
    inverse(weights.map(|(at, logit)| ((first + at) as u32, scale.weight(*logit))), before, uniform * total)
}

/// As [`from_blocks`], from candidates in order of id.
pub(super) fn from_kept(kept: &[Candidate], uniform: f64) -> Option<u32> {
    let total: f64 = kept.iter().map(|candidate| f64::from(candidate.weight)).sum();
    inverse(kept.iter().map(|candidate| (candidate.token, candidate.weight)), 0.0, uniform * total)
}

/// The first token at which the sum, begun at `before`, exceeds `target`, else the last one with a weight.
fn inverse(weights: impl Iterator<Item = (u32, f32)>, before: f64, target: f64) -> Option<u32> {
    let mut sum = before;
    let mut last = None;
    for (token, weight) in weights.filter(|(_, weight)| *weight > 0.0) {
        sum += f64::from(weight);
        last = Some(token);
        if sum > target {
            break;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_takes_what_a_draw_in_sequence_takes() {
        for (seed, sample) in [(0, 0), (7, 3), (u64::MAX, 12_345)] {
            let mut sequential = ChaCha8Rng::seed_from_u64(seed);
            sequential.set_stream(sample as u64);
            let stream = Stream::new(seed, sample);
            for position in 0..300 {
                let expected = (sequential.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
                assert_eq!(stream.uniform(position).to_bits(), expected.to_bits(), "position {position}");
            }
        }
    }

    #[test]
    fn streams_differ_by_seed_and_sample_and_repeat() {
        let draw = |seed, sample| Stream::new(seed, sample).uniform(0);
        assert_eq!(draw(1, 2).to_bits(), draw(1, 2).to_bits());
        assert_ne!(draw(1, 2).to_bits(), draw(1, 3).to_bits());
        assert_ne!(draw(1, 2).to_bits(), draw(2, 2).to_bits());
    }

    #[test]
    fn the_inverse_never_picks_what_has_no_weight() {
        let weights = || (0u32..).zip([0.0, 0.5, 0.0, 0.5, 0.0f32]);
        for (uniform, expected) in [(0.0, 1), (0.49, 1), (0.51, 3), (1.0 - f64::EPSILON, 3)] {
            assert_eq!(inverse(weights(), 0.0, uniform), Some(expected));
        }
        assert_eq!(inverse([(0, 0.0f32)].into_iter(), 0.0, 0.5), None);
    }

    #[test]
    fn blocks_and_a_plain_sum_find_the_same_token() {
        let row: Vec<f32> = (0..1000).map(|at| ((at * 7919) % 101) as f32 / 20.0 - 5.0).collect();
        let scale = Scale { max: 0.0, inverse_temperature: 0.8 };
        let mut sums = Vec::new();
        let total = galapagos_kernels::vocabulary::block_sums(&row, scale, &mut sums);
        let mut running = 0.0;
        for (token, logit) in (0u32..).zip(&row) {
            // In the middle of a token's share, roundings of a sum decide nothing.
            let middle = (running + f64::from(scale.weight(*logit)) / 2.0) / total;
            assert_eq!(from_blocks(&row, &sums, scale, middle), Some(token));
            running += f64::from(scale.weight(*logit));
        }
        assert_eq!(from_blocks(&row, &sums, scale, 1.0 - f64::EPSILON), Some(999));
        assert_eq!(from_blocks(&[f32::NEG_INFINITY; 3], &[0.0], scale, 0.5), None);
    }
}

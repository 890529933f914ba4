//! The choice of the next token: inverse of the cumulative distribution, summed in 64 bits in order of token id, at a
//! uniform number from the sample's own stream. Same probabilities and same stream, same token.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use tch::{Device, Kind, TchError, Tensor};

use super::Sampling;
use crate::llama::init::unit;

/// The random stream of one sample.
#[derive(Debug)]
pub(super) struct Stream(ChaCha8Rng);

impl Stream {
    /// Keyed by the request's seed and the sample's index.
    pub(super) fn new(seed: u64, sample: usize) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        generator.set_stream(sample as u64);
        Self(generator)
    }

    fn uniform(&mut self) -> f64 {
        unit(&mut self.0)
    }
}

/// How one row wants its token.
pub(super) struct Choice<'a> {
    pub(super) sampling: Sampling,
    pub(super) stream: &'a mut Stream,
}

/// A token for each row of `logits` [rows, vocabulary] and its log-probability at temperature 1.
pub(super) fn choose(logits: &Tensor, choices: Vec<Choice<'_>>) -> Result<Vec<(u32, f32)>, TchError> {
    let (rows, vocabulary) = logits.size2()?;
    let temperatures: Vec<f32> = choices.iter().map(|choice| divisor(choice.sampling) as f32).collect();
    let temperatures = Tensor::f_from_slice(&temperatures)?.f_to_device(logits.device())?.f_unsqueeze(1)?;
    let probabilities = floats(&logits.f_div(&temperatures)?.f_softmax(-1, Kind::Float)?)?;
    let tokens: Vec<i64> = choices
        .into_iter()
        .zip(probabilities.chunks_exact(vocabulary as usize))
        .map(|(choice, row)| pick(row, choice) as i64)
        .collect();
    let index = Tensor::f_from_slice(&tokens)?.f_to_device(logits.device())?.f_reshape([rows, 1])?;
    let log_probs = floats(&logits.f_log_softmax(-1, Kind::Float)?.f_gather(1, &index, false)?)?;
    Ok(tokens.into_iter().map(|token| token as u32).zip(log_probs).collect())
}

/// Greedy rows take the most probable token, which no temperature changes.
fn divisor(sampling: Sampling) -> f64 {
    if sampling.temperature > 0.0 { sampling.temperature } else { 1.0 }
}

fn floats(tensor: &Tensor) -> Result<Vec<f32>, TchError> {
    let tensor = tensor.f_to_device(Device::Cpu)?.f_contiguous()?;
    let mut values = vec![0.0; tensor.numel()];
    let count = values.len();
    tensor.f_copy_data(&mut values, count)?;
    Ok(values)
}

fn pick(probabilities: &[f32], choice: Choice<'_>) -> usize {
    let Choice { sampling, stream } = choice;
    if sampling.temperature == 0.0 {
        return most_probable(probabilities);
    }
    let uniform = stream.uniform();
    if sampling.top_k.is_none() && sampling.top_p >= 1.0 {
        let weights = || probabilities.iter().copied().enumerate();
        return inverse(weights, uniform).unwrap_or_else(|| most_probable(probabilities));
    }
    let kept = cut(probabilities, sampling);
    let weights = || kept.iter().map(|token| (*token, probabilities[*token]));
    inverse(weights, uniform).unwrap_or_else(|| most_probable(probabilities))
}

/// The lowest index among the greatest values.
fn most_probable(probabilities: &[f32]) -> usize {
    let mut best = 0;
    for (token, probability) in probabilities.iter().enumerate() {
        if *probability > probabilities[best] {
            best = token;
        }
    }
    best
}

/// The first item at which the running sum exceeds `uniform` of the total; `None` if nothing has weight.
fn inverse<I: Iterator<Item = (usize, f32)>>(weights: impl Fn() -> I, uniform: f64) -> Option<usize> {
    let total: f64 = weights().map(|(_, weight)| f64::from(weight)).sum();
    let mut sum = 0.0;
    let mut last = None;
    for (token, weight) in weights().filter(|(_, weight)| *weight > 0.0) {
        sum += f64::from(weight);
        last = Some(token);
        if sum > uniform * total {
            break;
        }
    }
    last
}

/// The tokens that `top_k` and then `top_p` leave, in order of id. Among equals the lower id is kept.
fn cut(probabilities: &[f32], sampling: Sampling) -> Vec<usize> {
    let falling = |a: &usize, b: &usize| probabilities[*b].total_cmp(&probabilities[*a]).then(a.cmp(b));
    let mut tokens: Vec<usize> = (0..probabilities.len()).collect();
    if let Some(top_k) = sampling.top_k.filter(|top_k| *top_k < tokens.len()) {
        tokens.select_nth_unstable_by(top_k, falling);
        tokens.truncate(top_k);
    }
    if sampling.top_p < 1.0 {
        tokens.sort_unstable_by(falling);
        let total: f64 = tokens.iter().map(|token| f64::from(probabilities[*token])).sum();
        let mut before = 0.0;
        let reached = |token: &&usize| {
            let needed = before < sampling.top_p * total;
            before += f64::from(probabilities[**token]);
            needed
        };
        let kept = tokens.iter().take_while(reached).count();
        tokens.truncate(kept.max(1));
    }
    tokens.sort_unstable();
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: [f32; 5] = [0.1, 0.3, 0.05, 0.3, 0.25];

    #[test]
    fn cuts_keep_the_most_probable_and_prefer_lower_ids() {
        let cut = |top_k, top_p| cut(&ROW, Sampling { temperature: 1.0, top_p, top_k });
        assert_eq!(cut(Some(1), 1.0), [1]);
        assert_eq!(cut(Some(3), 1.0), [1, 3, 4]);
        assert_eq!(cut(None, 0.6), [1, 3]);
        assert_eq!(cut(None, 0.61), [1, 3, 4]);
        assert_eq!(cut(None, 1e-9), [1]);
        // top_p counts within what top_k left: 0.3 of 0.6 is half.
        assert_eq!(cut(Some(2), 0.5), [1]);
        assert_eq!(cut(Some(9), 1.0), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn frequencies_follow_the_probabilities() {
        let mut stream = Stream::new(7, 0);
        let mut counts = [0u32; 5];
        for _ in 0..20_000 {
            let sampling = Sampling::at(1.0);
            counts[pick(&ROW, Choice { sampling, stream: &mut stream })] += 1;
        }
        for (count, probability) in counts.iter().zip(ROW) {
            // Five standard deviations of a binomial at most.
            assert!((f64::from(*count) / 20_000.0 - f64::from(probability)).abs() < 0.017, "{counts:?}");
        }
    }

    #[test]
    fn streams_differ_by_seed_and_sample_and_repeat() {
        let draw = |seed, sample| Stream::new(seed, sample).uniform();
        assert_eq!(draw(1, 2).to_bits(), draw(1, 2).to_bits());
        assert_ne!(draw(1, 2).to_bits(), draw(1, 3).to_bits());
        assert_ne!(draw(1, 2).to_bits(), draw(2, 2).to_bits());
    }

    #[test]
    fn inverse_never_picks_what_has_no_weight() {
        let weights = || [0.0, 0.5, 0.0, 0.5, 0.0f32].into_iter().enumerate();
        for (uniform, expected) in [(0.0, 1), (0.49, 1), (0.51, 3), (1.0 - f64::EPSILON, 3)] {
            assert_eq!(inverse(weights, uniform), Some(expected));
        }
        assert_eq!(inverse(|| [0.0f32].into_iter().enumerate(), 0.5), None);
    }
}

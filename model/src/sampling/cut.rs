//! Which tokens top-k, top-p and min-p leave, without sorting the vocabulary.
//!
//! A bound on the logit is found first from the blocks' maxima and sums, so loose that it loses no token that is to be kept;
//! only the tokens above it are looked at one by one.

use galapagos_kernels::vocabulary::{self, Scale};

use super::Sampling;

/// Below this many candidates sorting is cheaper than dividing them further.
const SORTED: usize = 64;
/// By how much a bound on a logarithm of a weight is lowered, so that roundings lose no token.
const MARGIN: f64 = 1e-3;

/// A token that may be kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Candidate {
    pub(super) token: u32,
    pub(super) logit: f32,
    /// Relative to the most probable token.
    pub(super) weight: f32,
}

impl Candidate {
    /// Falling by logit, then rising by id.
    fn falling(a: &Self, b: &Self) -> std::cmp::Ordering {
        b.logit.total_cmp(&a.logit).then(a.token.cmp(&b.token))
    }
}

/// Reused from row to row.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    maxima: Vec<f32>,
    found: Vec<u32>,
    /// In order of id.
    candidates: Vec<Candidate>,
    /// The same, in the order a selection leaves them in.
    order: Vec<Candidate>,
}

impl Buffers {
    /// The tokens that are left, in order of id. `blocks` are the row's maxima, and its sums at `scale` (read if `top_p` cuts
    /// and `top_k` does not).
    pub(super) fn kept(
        &mut self,
        sampling: &Sampling,
        row: &[f32],
        (maxima, sums): (&[f32], &[f32]),
        scale: Scale,
    ) -> &[Candidate] {
        let total: f64 = match sampling.top_k {
            Some(top_k) => {
                let bound = self.bound_of(maxima, top_k);
                self.gather(row, maxima, bound, scale);
                self.truncate(top_k);
                self.candidates.iter().map(|candidate| f64::from(candidate.weight)).sum()
            }
            None => {
                let total = sums.iter().map(|sum| f64::from(*sum)).sum();
                self.gather(row, maxima, lowest_logit(sampling, row.len(), total, scale), scale);
                total
            }
        };
        if sampling.top_p < 1.0 {
            self.keep(|order| nucleus(order, sampling.top_p * total));
        }
        if sampling.min_p > 0.0 {
            self.candidates.retain(|candidate| f64::from(candidate.weight) >= sampling.min_p);
        }
        &self.candidates
    }

    /// The `count` tokens with the greatest logits, falling; the lower id among equals.
    pub(super) fn most(&mut self, row: &[f32], maxima: &[f32], count: usize) -> impl Iterator<Item = u32> + '_ {
        let scale = Scale { max: 0.0, inverse_temperature: 0.0 };
        let bound = self.bound_of(maxima, count);
        self.gather(row, maxima, bound, scale);
        self.truncate(count);
        self.candidates.sort_unstable_by(Candidate::falling);
        self.candidates.iter().map(|candidate| candidate.token)
    }

    /// A logit that at least `count` tokens reach: each of the `count` greatest maxima belongs to a token of its own. Not
    /// negative infinity, which is the logit of what a mask took out.
    fn bound_of(&mut self, maxima: &[f32], count: usize) -> f32 {
        if count > maxima.len() {
            return f32::MIN;
        }
        self.maxima.clear();
        self.maxima.extend_from_slice(maxima);
        let (_, bound, _) = self.maxima.select_nth_unstable_by(count - 1, |a, b| b.total_cmp(a));
        bound.max(f32::MIN)
    }

    fn gather(&mut self, row: &[f32], maxima: &[f32], bound: f32, scale: Scale) {
        vocabulary::at_least(row, maxima, bound, &mut self.found);
        let candidate = |token: &u32| {
            let logit = row[*token as usize];
            Candidate { token: *token, logit, weight: scale.weight(logit) }
        };
        self.candidates.clear();
        self.candidates.extend(self.found.iter().map(candidate));
    }

    /// Keeps the first `count` candidates, falling.
    fn truncate(&mut self, count: usize) {
        if count < self.candidates.len() {
            self.keep(|order| {
                let (_, last, _) = order.select_nth_unstable_by(count - 1, Candidate::falling);
                Some(*last)
            });
        }
    }

    /// Keeps the candidates that come no later, falling, than the one `last` finds (it may reorder them); all if none.
    fn keep(&mut self, last: impl FnOnce(&mut [Candidate]) -> Option<Candidate>) {
        self.order.clone_from(&self.candidates);
        if let Some(last) = last(&mut self.order) {
            self.candidates.retain(|candidate| Candidate::falling(candidate, &last).is_le());
        }
    }
}

/// A logit below which no token is kept by `top_p` or `min_p`. All tokens that weigh less than `(1 - top_p) * total /
/// vocabulary` together weigh less than `(1 - top_p) * total`, so the others reach `top_p` without them.
fn lowest_logit(sampling: &Sampling, vocabulary: usize, total: f64, scale: Scale) -> f32 {
    let weight = ((1.0 - sampling.top_p) * total / vocabulary as f64).max(sampling.min_p);
    let below = (weight.ln() - MARGIN) / f64::from(scale.inverse_temperature);
    ((f64::from(scale.max) + below) as f32).clamp(f32::MIN, scale.max)
}

/// The last, falling, of the fewest candidates that together weigh at least `target`: those before which less than `target`
/// lies, and at least the first. Reorders them.
fn nucleus(candidates: &mut [Candidate], target: f64) -> Option<Candidate> {
    let (mut low, mut high) = (0, candidates.len());
    let mut before = 0.0;
    while high - low > SORTED {
        let middle = low + (high - low) / 2;
        candidates[low..high].select_nth_unstable_by(middle - low, Candidate::falling);
        let upper: f64 = candidates[low..middle].iter().map(|candidate| f64::from(candidate.weight)).sum();
        if before + upper >= target {
            high = middle;
        } else {
            before += upper;
            low = middle;
        }
    }
    candidates[low..high].sort_unstable_by(Candidate::falling);
    let mut last = None;
    for candidate in &candidates[low..high] {
        if last.is_some() && before >= target {
            break;
        }
        before += f64::from(candidate.weight);
        last = Some(*candidate);
    }
    last
}

//! What a step shows beside its loss: sums that add up over micro-batches and ranks, by name.

/// One of the sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The whole loss, penalties included; divided by the batch's share.
    Loss,
    /// Divergence from the reference, per token.
    Kl,
    /// Entropy of the policy, per token.
    Entropy,
    /// Tokens or records whose gradient a clip ended.
    Clipped,
    /// Probability ratios to the old policy.
    Ratio,
    /// The penalty of conservative losses.
    Penalty,
    /// Pairs in the right order, classes and labels hit.
    Correct,
    /// Differences between the sides of pairs.
    Margin,
    /// What the sums above from [`Part::Kl`] on count over.
    Count,
    /// Distance between the trainer's log-probabilities and the engine's, in nats, and over how many tokens.
    Mismatch,
    MismatchCount,
}

const NAMES: [(Part, &str); 11] = [
    (Part::Loss, "loss"),
    (Part::Kl, "kl"),
    (Part::Entropy, "entropy"),
    (Part::Clipped, "clipped"),
    (Part::Ratio, "ratio"),
    (Part::Penalty, "penalty"),
    (Part::Correct, "correct"),
    (Part::Margin, "margin"),
    (Part::Count, "count"),
    (Part::Mismatch, "mismatch"),
    (Part::MismatchCount, "mismatch_tokens"),
];

/// All sums. A part that nothing was added to is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Parts {
    sums: [f64; NAMES.len()],
    /// Which parts the objective has, as bits.
    has: u32,
}

impl Parts {
    /// Numbers of [`Parts::to_slice`].
    pub const LENGTH: usize = NAMES.len();

    /// Adds to a sum.
    pub fn add(&mut self, part: Part, value: f64) {
        self.sums[part as usize] += value;
        self.has |= 1 << part as u32;
    }

    /// A sum.
    #[must_use]
    pub fn get(&self, part: Part) -> f64 {
        self.sums[part as usize]
    }

    /// Adds all sums of another.
    pub fn merge(&mut self, other: &Self) {
        for (sum, more) in self.sums.iter_mut().zip(other.sums) {
            *sum += more;
        }
        self.has |= other.has;
    }

    /// The sums, to be added up over ranks.
    #[must_use]
    pub fn to_slice(self) -> [f64; Self::LENGTH] {
        self.sums
    }

    /// With sums that were added up over ranks.
    #[must_use]
    pub fn with_sums(self, sums: &[f64]) -> Self {
        let mut parts = self;
        for (sum, total) in parts.sums.iter_mut().zip(sums) {
            *sum = *total;
        }
        parts
    }

    /// What people see: the means over what was counted, by name, without the loss.
    #[must_use]
    pub fn means(&self) -> Vec<(&'static str, f64)> {
        let count = self.get(Part::Count);
        let shown = NAMES.iter().filter(|(part, _)| (Part::Kl..=Part::Margin).contains(part));
        let mut means: Vec<_> = shown
            .filter(|(part, _)| self.has & (1 << *part as u32) != 0 && count > 0.0)
            .map(|(part, name)| (*name, self.get(*part) / count))
            .collect();
        means.extend(self.mismatch().map(|nats| ("mismatch", nats)));
        means
    }

    /// Mean distance between engine and trainer in nats per token, if some token's was measured.
    #[must_use]
    pub fn mismatch(&self) -> Option<f64> {
        let tokens = self.get(Part::MismatchCount);
        (tokens > 0.0).then(|| self.get(Part::Mismatch) / tokens)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_in_the_order_of_the_parts() {
        assert!(NAMES.iter().enumerate().all(|(i, (part, _))| *part as usize == i));
    }

    #[test]
    fn only_parts_of_the_objective_are_shown() {
        let mut parts = Parts::default();
        parts.add(Part::Loss, 5.0);
        parts.add(Part::Kl, 1.0);
        let mut other = Parts::default();
        other.add(Part::Kl, 2.0);
        other.add(Part::Count, 6.0);
        parts.merge(&other);
        assert_eq!(parts.means(), [("kl", 0.5)]);
        assert_eq!(parts.mismatch(), None);
    }
}

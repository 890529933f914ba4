//! Which answers of a task are compared with which, and what the comparisons come to.

use galapagos_domain::seed::Seed;
use rand::seq::SliceRandom;

/// Pairs of `answers` places, at most `most`: all of them if there are no more, else a drawn ring and rings of wider steps, so that
/// every place is in as many pairs as any other, give or take one ring.
#[must_use]
pub fn choose(answers: usize, most: usize, seed: Seed) -> Vec<(usize, usize)> {
    let mut order: Vec<usize> = (0..answers).collect();
    order.shuffle(&mut seed.derive("pairs").stream());
    let mut pairs = Vec::new();
    for step in 1..=answers / 2 {
        // Half way round, every pair comes twice.
        let count = if step * 2 == answers { answers / 2 } else { answers };
        for at in 0..count {
            if pairs.len() == most {
                return pairs;
            }
            pairs.push((order[at], order[(at + step) % answers]));
        }
    }
    pairs
}

/// A comparison in both orders: the share of probability that the first answer of the pair got when it stood first, and when it stood
/// second. `None` where the judge did not answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Compared {
    pub pair: (usize, usize),
    pub shown_first: Option<f64>,
    pub shown_second: Option<f64>,
}

/// How an answer did against others.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Standing {
    /// Comparisons in which the judge answered both times.
    pub compared: u32,
    /// Of these, those that it lost or won whichever stood first.
    pub agreed: u32,
    /// Wins, and half of those in which the orders disagreed.
    pub points: f64,
}

impl Standing {
    /// Points as a part of what it could have.
    #[must_use]
    pub fn share(self) -> Option<f64> {
        (self.compared > 0).then(|| self.points / f64::from(self.compared))
    }

    /// The share of comparisons in which both orders said the same.
    #[must_use]
    pub fn agreement(self) -> Option<f64> {
        (self.compared > 0).then(|| f64::from(self.agreed) / f64::from(self.compared))
    }
}

/// What the comparisons come to for each of `answers` places.
#[must_use]
pub fn stand(answers: usize, compared: &[Compared]) -> Vec<Standing> {
    let mut standing = vec![Standing::default(); answers];
    for Compared { pair: (one, other), shown_first, shown_second } in compared {
        let (Some(first), Some(second)) = (shown_first, shown_second) else { continue };
        let wins = |share: &f64| match share.total_cmp(&0.5) {
            std::cmp::Ordering::Greater => 1.0,
            std::cmp::Ordering::Equal => 0.5,
            std::cmp::Ordering::Less => 0.0,
        };
        let agreed = wins(first) == wins(second);
        let points = if agreed { wins(first) } else { 0.5 };
        for (place, points) in [(*one, points), (*other, 1.0 - points)] {
            standing[place].compared += 1;
            standing[place].agreed += u32::from(agreed);
            standing[place].points += points;
        }
    }
    standing
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pairs_are_different_and_every_answer_has_its_share(answers in 0usize..24, most in 0usize..300, seed: u64) {
            let pairs = choose(answers, most, Seed(seed));
            let all = answers * answers.saturating_sub(1) / 2;
            prop_assert_eq!(pairs.len(), all.min(most));
            let different: BTreeSet<_> = pairs.iter().map(|(a, b)| (a.min(b), a.max(b))).collect();
            prop_assert_eq!(different.len(), pairs.len());
            prop_assert!(pairs.iter().all(|(a, b)| a != b));
            let mut count = vec![0usize; answers];
            pairs.iter().for_each(|(a, b)| { count[*a] += 1; count[*b] += 1; });
            let (least, largest) = (count.iter().min().unwrap_or(&0), count.iter().max().unwrap_or(&0));
            prop_assert!(largest - least <= 2, "{:?}", count);
            prop_assert_eq!(&pairs[..], &choose(answers, all, Seed(seed))[..pairs.len()], "fewer are the first of all");
        }

        #[test]
        fn points_are_shared_out_and_a_judge_of_places_gives_everybody_half(first in 0.0f64..1.0, answers in 2usize..8) {
            let pairs = choose(answers, 1000, Seed(1));
            // A judge that prefers whatever stands first with the same probability.
            let compared: Vec<Compared> = pairs.iter()
                .map(|pair| Compared { pair: *pair, shown_first: Some(first), shown_second: Some(1.0 - first) }).collect();
            for standing in stand(answers, &compared) {
                prop_assert_eq!(standing.share(), Some(0.5));
            }
        }
    }

    #[test]
    fn orders_that_disagree_count_half_and_silence_not_at_all() {
        let compared = |pair, first, second| Compared { pair, shown_first: first, shown_second: second };
        let all = [
            compared((0, 1), Some(0.9), Some(0.8)),
            compared((0, 2), Some(0.9), Some(0.1)),
            compared((1, 2), None, Some(0.9)),
        ];
        let standing = stand(3, &all);
        let shares: Vec<_> = standing.iter().map(|standing| (standing.share(), standing.agreement())).collect();
        assert_eq!(shares, [(Some(0.75), Some(0.5)), (Some(0.0), Some(1.0)), (Some(0.5), Some(0.0))]);
        assert_eq!(stand(1, &[])[0].share(), None);
    }
}

//! How good a judge is on answers whose truth is known. Pure sums; which answers, and who asks, is for others.

use galapagos_domain::calibration::Calibration;
use galapagos_domain::trajectory::{Outcome, Verdict};

/// Bins of scores for the calibration error: few, since the items are.
const BINS: usize = 5;

/// Judgements of known answers.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sheet {
    /// For each item whether it is right, and what was said.
    said: Vec<(bool, Option<(bool, f64)>)>,
    /// Pairs compared in both orders, and those in which the orders disagreed.
    orders: (u32, u32),
}

impl Sheet {
    /// Adds what was said of an item.
    pub fn note(&mut self, right: bool, verdict: &Verdict) {
        let pass = verdict.outcome == Outcome::Pass;
        let score = verdict.score.map_or_else(|| f64::from(u8::from(pass)), f64::from);
        self.said.push((right, verdict.outcome.is_decided().then_some((pass, score))));
    }

    /// Adds a pair of a right and a wrong answer: the share of points that the right one got. Half of them count as wrong for both.
    pub fn note_pair(&mut self, share: Option<f64>) {
        self.said.push((true, share.map(|share| (share > 0.5, share))));
        self.said.push((false, share.map(|share| (share <= 0.5, 1.0 - share))));
        if let Some(share) = share {
            self.orders.0 += 1;
            self.orders.1 += u32::from(share == 0.5);
        }
    }

    /// The figures; trusted if the balanced accuracy, in which what was not answered is wrong, is at least `at_least`.
    #[must_use]
    pub fn figures(&self, verifier: &str, at_least: f64) -> Calibration {
        let count = |right: bool| self.said.iter().filter(|(truth, _)| *truth == right).count() as u32;
        let hits = |right: bool| {
            let hit = |(truth, said): &&(bool, Option<(bool, f64)>)| {
                *truth == right && said.is_some_and(|(pass, _)| pass == right)
            };
            self.said.iter().filter(hit).count() as u32
        };
        let scored: Vec<(bool, f64)> =
            self.said.iter().filter_map(|(right, said)| said.map(|(_, score)| (*right, score))).collect();
        let mut figures = Calibration {
            verifier: verifier.to_owned(),
            right: count(true),
            right_passed: hits(true),
            wrong: count(false),
            wrong_failed: hits(false),
            undecided: self.said.iter().filter(|(_, said)| said.is_none()).count() as u32,
            brier: brier(&scored),
            ece: expected_error(&scored),
            order_bias: (self.orders.0 > 0).then(|| f64::from(self.orders.1) / f64::from(self.orders.0)),
            at_least,
            trusted: false,
        };
        figures.trusted = figures.balanced().is_some_and(|balanced| balanced >= at_least);
        figures
    }
}

/// Mean squared difference of score and truth; none without scores.
fn brier(scored: &[(bool, f64)]) -> Option<f64> {
    let square = |(right, score): &(bool, f64)| (score - f64::from(u8::from(*right))).powi(2);
    (!scored.is_empty()).then(|| scored.iter().map(square).sum::<f64>() / scored.len() as f64)
}

/// Σ over bins of scores: the bin's part of all items × |mean score − share that is right|.
fn expected_error(scored: &[(bool, f64)]) -> Option<f64> {
    let mut bins = [(0u32, 0.0, 0.0); BINS];
    for (right, score) in scored {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the bins")]
        let bin = ((score.clamp(0.0, 1.0) * BINS as f64) as usize).min(BINS - 1);
        bins[bin].0 += 1;
        bins[bin].1 += score;
        bins[bin].2 += f64::from(u8::from(*right));
    }
    let gap = |(count, scores, rights): &(u32, f64, f64)| {
        if *count == 0 { 0.0 } else { (scores - rights).abs() / scored.len() as f64 }
    };
    (!scored.is_empty()).then(|| bins.iter().map(gap).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet(said: &[(bool, Option<f64>)]) -> Sheet {
        let mut sheet = Sheet::default();
        for (right, score) in said {
            let verdict = match score {
                Some(score) if *score >= 0.5 => Verdict::pass("").scored(*score as f32),
                Some(score) => Verdict::fail("").scored(*score as f32),
                None => Verdict::new(Outcome::Error, ""),
            };
            sheet.note(*right, &verdict);
        }
        sheet
    }

    #[test]
    fn figures_are_those_computed_by_hand() {
        let said = [(true, Some(0.75)), (true, Some(0.25)), (true, None), (false, Some(0.0)), (false, Some(0.5))];
        let figures = sheet(&said).figures("judge/x", 0.4);
        assert_eq!((figures.right, figures.right_passed, figures.wrong, figures.wrong_failed), (3, 1, 2, 1));
        assert_eq!(figures.undecided, 1);
        assert_eq!(figures.accuracy(), Some(0.4));
        // (1/3 + 1/2) / 2
        assert!((figures.balanced().unwrap() - 5.0 / 12.0).abs() < 1e-12);
        // (0.0625 + 0.5625 + 0 + 0.25) / 4
        assert_eq!(figures.brier, Some(0.21875));
        // Bins: 0.75 (right) 0.25; 0.25 (right) 0.75; 0 (wrong) 0; 0.5 (wrong) 0.5; a quarter of the items each.
        assert_eq!(figures.ece, Some(0.375));
        assert!(figures.trusted && figures.order_bias.is_none());
        assert!(!sheet(&said).figures("judge/x", 0.42).trusted);
    }

    #[test]
    fn a_judge_that_passes_everything_or_says_nothing_is_not_trusted() {
        let all = sheet(&[(true, Some(1.0)), (false, Some(1.0)), (true, Some(1.0))]).figures("j", 0.7);
        assert_eq!((all.balanced(), all.trusted), (Some(0.5), false));
        let silent = sheet(&[(true, None), (false, None)]).figures("j", 0.0);
        assert_eq!((silent.accuracy(), silent.brier, silent.ece), (Some(0.0), None, None));
        let nothing = Sheet::default().figures("j", 0.0);
        assert_eq!((nothing.balanced(), nothing.trusted), (None, false), "nothing was shown: nothing is known");
    }

    #[test]
    fn pairs_count_for_both_sides_and_tell_the_bias_of_order() {
        let mut sheet = Sheet::default();
        for share in [Some(1.0), Some(0.5), Some(0.0), None] {
            sheet.note_pair(share);
        }
        let figures = sheet.figures("judge_pair/x", 0.7);
        assert_eq!((figures.right, figures.right_passed, figures.wrong_failed, figures.undecided), (4, 1, 1, 2));
        assert_eq!(figures.order_bias, Some(1.0 / 3.0));
        assert!(!figures.trusted);
    }
}

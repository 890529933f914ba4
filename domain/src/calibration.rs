//! What a judge was worth on answers whose truth is known: shown beside its verdicts, and what they count by.

use serde::{Deserialize, Serialize};

/// The figures of one judge in one job. Nothing is known of a side without items.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// As in the verdicts: `judge/3b5c...`.
    pub verifier: String,
    /// Right answers that it was shown, and those that it passed.
    pub right: u32,
    pub right_passed: u32,
    /// Wrong answers, and those that it failed.
    pub wrong: u32,
    pub wrong_failed: u32,
    /// Of both: those on which it said nothing, which count as said wrongly.
    pub undecided: u32,
    /// Mean squared error of its scores, from 0 (best) to 1.
    pub brier: Option<f64>,
    /// Expected calibration error of its scores in five bins, from 0 (best) to 1.
    pub ece: Option<f64>,
    /// Of a judge of pairs: the share of them on which it changed its mind with the order.
    pub order_bias: Option<f64>,
    /// The least balanced accuracy that was asked for.
    pub at_least: f64,
    /// Whether its verdicts count.
    pub trusted: bool,
}

impl Calibration {
    /// The share of items that it judged rightly.
    #[must_use]
    pub fn accuracy(&self) -> Option<f64> {
        let all = self.right + self.wrong;
        (all > 0).then(|| f64::from(self.right_passed + self.wrong_failed) / f64::from(all))
    }

    /// The mean of its accuracies on right and on wrong answers: 0.5 for one that always says the same.
    #[must_use]
    pub fn balanced(&self) -> Option<f64> {
        let share = |hits: u32, all: u32| (all > 0).then(|| f64::from(hits) / f64::from(all));
        Some(f64::midpoint(share(self.right_passed, self.right)?, share(self.wrong_failed, self.wrong)?))
    }

    /// In a line, for people.
    #[must_use]
    pub fn said(&self) -> String {
        let Some(balanced) = self.balanced() else {
            return "no answers are there whose truth is known".to_owned();
        };
        let known = self.right + self.wrong;
        let mut text = format!(
            "balanced accuracy {balanced:.2} on {known} known answers ({} of {} right ones passed, {} of {} wrong ones failed)",
            self.right_passed, self.right, self.wrong_failed, self.wrong
        );
        for (name, figure) in [("Brier", self.brier), ("ECE", self.ece), ("order bias", self.order_bias)] {
            if let Some(figure) = figure {
                text.push_str(&format!(", {name} {figure:.2}"));
            }
        }
        if self.undecided > 0 {
            text.push_str(&format!(", {} not answered", self.undecided));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_said_in_a_line() {
        let figures = Calibration {
            verifier: "judge/1".to_owned(),
            right: 8,
            right_passed: 6,
            wrong: 8,
            wrong_failed: 4,
            undecided: 1,
            brier: Some(0.25),
            ece: None,
            order_bias: Some(0.5),
            at_least: 0.7,
            trusted: false,
        };
        assert_eq!((figures.accuracy(), figures.balanced()), (Some(0.625), Some(0.625)));
        assert_eq!(
            figures.said(),
            "balanced accuracy 0.62 on 16 known answers (6 of 8 right ones passed, 4 of 8 wrong ones failed), Brier 0.25, order bias 0.50, 1 not answered"
        );
        let nothing = Calibration { right: 0, wrong: 0, ..figures };
        assert_eq!(nothing.said(), "no answers are there whose truth is known");
    }
}

//! What a rollout saw of its verifiers: what they did not decide and why, what was asked again, how they did on known answers, and what
//! searches heard on their way.

use serde::{Deserialize, Serialize};

use super::{Outcome, Verdict};
use crate::stats::Interval;
use crate::stats::student::t975;

/// Kinds of trouble that are told apart; the rest is in the counts alone.
const TOLD: usize = 16;

/// See the head of this file. All but `evaluators` is of the verdicts on trajectories.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Audit {
    /// Questions that were asked again.
    pub retried: u64,
    /// What was not decided, in the order in which it was seen first.
    pub troubles: Vec<Trouble>,
    /// Verifiers that known answers tested, in the order of the recipe.
    pub tested: Vec<Tested>,
    /// The scores of those that gave any, in the order in which they were seen first.
    pub scored: Vec<Scored>,
    /// How the other verifiers that decide agree with the first one, in the order of the recipe.
    pub agreed: Vec<Agreed>,
    /// What searches heard on their way, by the verifier's name.
    pub evaluators: Vec<Heard>,
}

/// How one verifier agrees with another on trajectories on which both decided.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Agreed {
    /// As written in a recipe.
    pub verifier: String,
    /// The one that is taken as the truth.
    pub with: String,
    /// Of what that one passes: passed, and failed.
    pub right_passed: u64,
    pub right_failed: u64,
    /// Of what that one fails.
    pub wrong_passed: u64,
    pub wrong_failed: u64,
}

impl Agreed {
    /// The share of what is wrong that it passes; `None` if nothing is.
    #[must_use]
    pub fn false_positives(&self) -> Option<f64> {
        share(self.wrong_passed, self.wrong_failed)
    }

    /// The share of what is right that it fails; `None` if nothing is.
    #[must_use]
    pub fn false_negatives(&self) -> Option<f64> {
        share(self.right_failed, self.right_passed)
    }
}

fn share(of: u64, others: u64) -> Option<f64> {
    (of + others > 0).then(|| of as f64 / (of + others) as f64)
}

/// What searches heard of one of their evaluators.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Heard {
    /// As written in a recipe.
    pub verifier: String,
    /// Verdicts, those that decided nothing counted.
    pub verdicts: u64,
    pub error: u64,
    pub timeout: u64,
    pub suspect: u64,
    /// Questions that were asked again.
    pub retried: u64,
    /// Of the first that decided nothing.
    pub reason: Option<String>,
}

/// The scores of one verifier, of verdicts that decided: what an environment paid, what a critic gave.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Scored {
    /// As written in a recipe.
    pub verifier: String,
    pub count: u64,
    pub sum: f64,
    /// Of the scores' squares.
    #[serde(default)]
    pub squares: f64,
}

impl Scored {
    /// Their mean; 0 of none.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.sum / self.count.max(1) as f64
    }

    /// Their mean with Student's 95% interval; `None` of none.
    #[must_use]
    pub fn interval(&self) -> Option<Interval> {
        let mean = self.mean();
        let half = match self.count {
            0 => return None,
            1 => f64::INFINITY,
            n => {
                let variance = (self.squares / n as f64 - mean * mean).max(0.0) * n as f64 / (n - 1) as f64;
                t975(n - 1) * (variance / n as f64).sqrt()
            }
        };
        Some(Interval { mean, low: mean - half, high: mean + half })
    }

    /// Adds those of another job.
    pub fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.sum += other.sum;
        self.squares += other.squares;
    }
}

/// Verdicts of one verifier that decided nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// As written in a recipe.
    pub verifier: String,
    pub outcome: Outcome,
    pub count: u64,
    /// Of the first one.
    pub reason: String,
}

/// How a verifier did on known answers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Tested {
    /// As written in a recipe.
    pub verifier: String,
    /// Wrong ones on which it decided, and those of them that it passed.
    pub wrong: u64,
    pub passed_wrong: u64,
    /// Right ones on which it decided, and those of them that it failed.
    pub right: u64,
    pub failed_right: u64,
    /// Known answers on which it decided nothing.
    pub undecided: u64,
    /// Jobs in which it was suspended.
    pub suspended: u64,
    /// Verdicts that became suspect by that.
    pub marked: u64,
    /// Trajectories of searches that went by it, which became suspect too.
    pub misled: u64,
    /// Why it was suspended first.
    pub reason: Option<String>,
}

impl Audit {
    /// Notes the score of a verdict of `verifier`, or that it decided nothing.
    pub fn note(&mut self, verifier: &str, verdict: &Verdict) {
        if verdict.outcome.is_decided() {
            if let Some(score) = verdict.score {
                let (sum, squares) = (f64::from(score), f64::from(score).powi(2));
                self.add_scores(&Scored { verifier: verifier.to_owned(), count: 1, sum, squares });
            }
            return;
        }
        let trouble = Trouble {
            verifier: verifier.to_owned(),
            outcome: verdict.outcome,
            count: 1,
            reason: verdict.reason.clone(),
        };
        self.add_trouble(trouble);
    }

    /// Notes how `verifier` stands to what `with` says of the same trajectory, if both decide.
    pub fn compare(&mut self, (with, truth): (&str, &Verdict), (verifier, said): (&str, &Verdict)) {
        let passes = |verdict: &Verdict| match verdict.outcome {
            Outcome::Pass => Some(true),
            Outcome::Fail => Some(false),
            Outcome::Error | Outcome::Timeout | Outcome::Suspect => None,
        };
        let (Some(right), Some(passed)) = (passes(truth), passes(said)) else { return };
        let mut new = Agreed { verifier: verifier.to_owned(), with: with.to_owned(), ..Agreed::default() };
        match (right, passed) {
            (true, true) => new.right_passed = 1,
            (true, false) => new.right_failed = 1,
            (false, true) => new.wrong_passed = 1,
            (false, false) => new.wrong_failed = 1,
        }
        self.add_agreed(&new);
    }

    fn add_agreed(&mut self, new: &Agreed) {
        match self.agreed.iter_mut().find(|known| known.verifier == new.verifier && known.with == new.with) {
            Some(known) => {
                known.right_passed += new.right_passed;
                known.right_failed += new.right_failed;
                known.wrong_passed += new.wrong_passed;
                known.wrong_failed += new.wrong_failed;
            }
            None => self.agreed.push(new.clone()),
        }
    }

    /// Notes what a search heard of an evaluator on its way.
    pub fn hear(&mut self, verifier: &str, verdict: &Verdict) {
        let heard = self.evaluator(verifier);
        heard.verdicts += 1;
        match verdict.outcome {
            Outcome::Pass | Outcome::Fail => return,
            Outcome::Error => heard.error += 1,
            Outcome::Timeout => heard.timeout += 1,
            Outcome::Suspect => heard.suspect += 1,
        }
        heard.reason.get_or_insert_with(|| verdict.reason.clone());
    }

    /// Notes that a search asked an evaluator again.
    pub fn hear_again(&mut self, verifier: &str) {
        self.evaluator(verifier).retried += 1;
    }

    fn evaluator(&mut self, verifier: &str) -> &mut Heard {
        let place = self.evaluators.binary_search_by(|known| known.verifier.as_str().cmp(verifier));
        let place = place.unwrap_or_else(|place| {
            self.evaluators.insert(place, Heard { verifier: verifier.to_owned(), ..Heard::default() });
            place
        });
        &mut self.evaluators[place]
    }

    fn add_scores(&mut self, new: &Scored) {
        match self.scored.iter_mut().find(|known| known.verifier == new.verifier) {
            Some(known) => known.add(new),
            None => self.scored.push(new.clone()),
        }
    }

    fn add_trouble(&mut self, new: Trouble) {
        let same = |known: &Trouble| known.verifier == new.verifier && known.outcome == new.outcome;
        match self.troubles.iter().position(same) {
            Some(place) => self.troubles[place].count += new.count,
            None if self.troubles.len() < TOLD => self.troubles.push(new),
            None => {}
        }
    }

    /// Adds what another job saw.
    pub fn add(&mut self, other: &Self) {
        self.retried += other.retried;
        other.troubles.iter().cloned().for_each(|trouble| self.add_trouble(trouble));
        other.scored.iter().for_each(|scored| self.add_scores(scored));
        other.agreed.iter().for_each(|agreed| self.add_agreed(agreed));
        other.evaluators.iter().for_each(|heard| self.evaluator(&heard.verifier).add(heard));
        for new in &other.tested {
            match self.tested.iter_mut().find(|known| known.verifier == new.verifier) {
                Some(known) => known.add(new),
                None => self.tested.push(new.clone()),
            }
        }
    }

    /// The trouble of that kind that was seen most often; of several the first.
    #[must_use]
    pub fn most(&self, outcome: Outcome) -> Option<&Trouble> {
        self.troubles.iter().rev().filter(|trouble| trouble.outcome == outcome).max_by_key(|trouble| trouble.count)
    }
}

impl Heard {
    /// Verdicts that decided nothing.
    #[must_use]
    pub fn undecided(&self) -> u64 {
        self.error + self.timeout + self.suspect
    }

    fn add(&mut self, other: &Self) {
        self.verdicts += other.verdicts;
        self.error += other.error;
        self.timeout += other.timeout;
        self.suspect += other.suspect;
        self.retried += other.retried;
        self.reason = self.reason.take().or_else(|| other.reason.clone());
    }
}

impl Tested {
    fn add(&mut self, other: &Self) {
        self.wrong += other.wrong;
        self.passed_wrong += other.passed_wrong;
        self.right += other.right;
        self.failed_right += other.failed_right;
        self.undecided += other.undecided;
        self.suspended += other.suspended;
        self.marked += other.marked;
        self.misled += other.misled;
        self.reason = self.reason.take().or_else(|| other.reason.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn troubles_are_counted_by_verifier_and_kind_with_the_first_reason() {
        let mut audit = Audit::default();
        audit.note("math", &Verdict::pass(""));
        audit.note("math", &Verdict::new(Outcome::Error, "a"));
        audit.note("math", &Verdict::new(Outcome::Suspect, "b"));
        let mut other = Audit { retried: 2, ..Audit::default() };
        other.note("math", &Verdict::new(Outcome::Error, "c"));
        other.note("orm", &Verdict::new(Outcome::Error, "d"));
        audit.add(&other);
        let seen = audit.troubles.iter().map(|t| (t.verifier.as_str(), t.outcome, t.count, t.reason.as_str()));
        let expected =
            [("math", Outcome::Error, 2, "a"), ("math", Outcome::Suspect, 1, "b"), ("orm", Outcome::Error, 1, "d")];
        assert_eq!(seen.collect::<Vec<_>>(), expected);
        assert_eq!((audit.retried, audit.most(Outcome::Error).unwrap().reason.as_str()), (2, "a"));
    }

    #[test]
    fn scores_of_decided_verdicts_have_a_mean() {
        let mut audit = Audit::default();
        audit.note("env_return", &Verdict::pass("").scored(1.0));
        audit.note("env_return", &Verdict::new(Outcome::Error, "gone").scored(1.0));
        audit.note("rule", &Verdict::pass(""));
        let mut other = Audit::default();
        other.note("env_return", &Verdict::fail("").scored(0.25));
        other.note("env_return", &Verdict::fail("").scored(0.25));
        audit.add(&other);
        assert_eq!(
            audit.scored.iter().map(|s| (s.verifier.as_str(), s.count, s.mean())).collect::<Vec<_>>(),
            [("env_return", 3, 0.5)]
        );
    }

    #[test]
    fn verifiers_are_compared_with_the_first_where_both_decide() {
        let mut audit = Audit::default();
        let (pass, fail, error) = (Verdict::pass(""), Verdict::fail(""), Verdict::new(Outcome::Error, ""));
        for (truth, said) in [(&pass, &pass), (&pass, &fail), (&fail, &pass), (&fail, &fail), (&fail, &fail)] {
            audit.compare(("env_return", truth), ("success_classifier", said));
        }
        audit.compare(("env_return", &error), ("success_classifier", &pass));
        audit.compare(("env_return", &fail), ("success_classifier", &error));
        let mut all = audit.clone();
        all.add(&audit);
        let agreed = &all.agreed[0];
        assert_eq!((agreed.right_passed, agreed.right_failed, agreed.wrong_passed, agreed.wrong_failed), (2, 2, 2, 4));
        assert_eq!((agreed.false_positives(), agreed.false_negatives()), (Some(2.0 / 6.0), Some(0.5)));
        assert_eq!((all.agreed.len(), Agreed::default().false_positives()), (1, None));
    }

    #[test]
    fn what_searches_heard_stands_by_name_whatever_was_heard_first() {
        let mut audit = Audit::default();
        audit.hear_again("rule");
        audit.hear("rule", &Verdict::pass(""));
        let mut other = Audit::default();
        for outcome in [Outcome::Timeout, Outcome::Error, Outcome::Suspect, Outcome::Fail] {
            other.hear("prm", &Verdict::new(outcome, format!("{outcome:?}")));
        }
        other.hear("rule", &Verdict::new(Outcome::Error, "gone"));
        audit.add(&other);
        let prm = Heard { verifier: "prm".into(), verdicts: 4, error: 1, timeout: 1, suspect: 1, ..Heard::default() };
        let prm = Heard { reason: Some("Timeout".into()), ..prm };
        let rule = Heard { verifier: "rule".into(), verdicts: 2, error: 1, retried: 1, ..Heard::default() };
        assert_eq!(audit.evaluators, [prm, Heard { reason: Some("gone".into()), ..rule }]);
        assert_eq!((audit.evaluators[0].undecided(), audit.troubles.len()), (3, 0));
    }

    #[test]
    fn tests_of_several_jobs_add_up() {
        let of = |wrong, reason: Option<&str>| Tested {
            verifier: "math".into(),
            wrong,
            suspended: u64::from(reason.is_some()),
            reason: reason.map(str::to_owned),
            ..Tested::default()
        };
        let mut audit = Audit { tested: vec![of(2, None)], ..Audit::default() };
        audit.add(&Audit { tested: vec![of(3, Some("passed 7"))], ..Audit::default() });
        assert_eq!(audit.tested, [of(5, Some("passed 7"))]);
    }
}

//! What a rollout saw of its verifiers: what they did not decide and why, what was asked again, and how they did on known answers.

use serde::{Deserialize, Serialize};

use super::{Outcome, Verdict};

/// Kinds of trouble that are told apart; the rest is in the counts alone.
const TOLD: usize = 16;

/// See the head of this file. All of it is of the verdicts on trajectories, not of what a search asked on its way.
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
}

/// The scores of one verifier, of verdicts that decided: what an environment paid, what a critic gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    /// As written in a recipe.
    pub verifier: String,
    pub count: u64,
    pub sum: f64,
}

impl Scored {
    /// Their mean; 0 of none.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.sum / self.count.max(1) as f64
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
    /// Why it was suspended first.
    pub reason: Option<String>,
}

impl Audit {
    /// Notes the score of a verdict of `verifier`, or that it decided nothing.
    pub fn note(&mut self, verifier: &str, verdict: &Verdict) {
        if verdict.outcome.is_decided() {
            if let Some(score) = verdict.score {
                self.add_scores(&Scored { verifier: verifier.to_owned(), count: 1, sum: f64::from(score) });
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

    fn add_scores(&mut self, new: &Scored) {
        match self.scored.iter_mut().find(|known| known.verifier == new.verifier) {
            Some(known) => {
                known.count += new.count;
                known.sum += new.sum;
            }
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

impl Tested {
    fn add(&mut self, other: &Self) {
        self.wrong += other.wrong;
        self.passed_wrong += other.passed_wrong;
        self.right += other.right;
        self.failed_right += other.failed_right;
        self.undecided += other.undecided;
        self.suspended += other.suspended;
        self.marked += other.marked;
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

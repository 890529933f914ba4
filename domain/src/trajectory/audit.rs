//! What a rollout saw of its verifiers: what they did not decide and why, what was asked again, and how they did on known answers.

use serde::{Deserialize, Serialize};

use super::{Outcome, Verdict};

/// Kinds of trouble that are told apart; the rest is in the counts alone.
const TOLD: usize = 16;

/// See the head of this file. All of it is of the verdicts on trajectories, not of what a search asked on its way.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Audit {
    /// Questions that were asked again.
    pub retried: u64,
    /// What was not decided, in the order in which it was seen first.
    pub troubles: Vec<Trouble>,
    /// Verifiers that known answers tested, in the order of the recipe.
    pub tested: Vec<Tested>,
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
    /// Notes a verdict of `verifier` if it decided nothing.
    pub fn note(&mut self, verifier: &str, verdict: &Verdict) {
        if verdict.outcome.is_decided() {
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

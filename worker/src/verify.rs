//! Verifiers: who decides whether a completion solves its task. A verdict is typed; a verifier that fails or panics says
//! nothing about the completion, so its verdict is `error`, never `fail`.

pub mod answer;
pub mod behaviour;
pub mod checks;
pub mod consistency;
pub mod episode;
pub mod judge;
pub mod known;
pub mod math;
pub mod programs;
mod rule;
pub mod rules;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use galapagos_domain::task::dataset::ProgramTests;
use galapagos_domain::task::{Problem, TaskRule};
use galapagos_domain::trajectory::{Outcome, Verdict};

use crate::code::Code;
pub use rule::read;

/// A completion to judge.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// What the verifier `rule` asks.
    pub rule: &'a TaskRule,
    pub problem: &'a Problem,
    /// What the task brings for programs.
    pub tests: Option<&'a Arc<ProgramTests>>,
    /// Decoded, without the terminator.
    pub completion: &'a str,
}

/// Decides on completions.
pub trait Verifier: Send + Sync {
    /// The name, as written in a recipe.
    fn name(&self) -> &'static str;

    /// The verdict.
    ///
    /// # Errors
    /// If the verifier could not decide; becomes an `error` verdict.
    fn verify(&self, claim: Claim<'_>) -> Result<Verdict, Box<dyn std::error::Error + Send + Sync>>;
}

/// Verifiers asked in order: the first that does not pass decides.
pub struct Panel(Vec<Box<dyn Verifier>>);

impl std::fmt::Debug for Panel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|verifier| verifier.name())).finish()
    }
}

impl Panel {
    /// The task set's own checker alone, where no code of models may run.
    #[must_use]
    pub fn rule() -> Self {
        Self(vec![Box::new(rule::Rule { code: None })])
    }

    /// The task set's own checker alone; `code` runs what must be run. It blocks then.
    #[must_use]
    pub fn rule_with(code: &Arc<Code>) -> Self {
        Self(vec![Box::new(rule::Rule { code: Some(Arc::clone(code)) })])
    }

    /// The verdict on one completion.
    #[must_use]
    pub fn judge(&self, claim: Claim<'_>) -> Verdict {
        let mut last = Verdict::new(Outcome::Error, "no verifier was asked");
        for verifier in &self.0 {
            last = ask(verifier.as_ref(), claim);
            if last.outcome != Outcome::Pass {
                break;
            }
        }
        last
    }
}

fn ask(verifier: &dyn Verifier, claim: Claim<'_>) -> Verdict {
    let failed = |how: &str, text: String| {
        Verdict::new(Outcome::Error, format!("the verifier `{}` {how}: {text}", verifier.name()))
    };
    match catch_unwind(AssertUnwindSafe(|| verifier.verify(claim))) {
        Ok(Ok(verdict)) => verdict,
        Ok(Err(error)) => failed("failed", error.to_string()),
        Err(panic) => failed("panicked", panic_text(panic.as_ref())),
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests {
    use galapagos_domain::task::Family;

    use super::*;

    struct Fixed(&'static str, fn() -> Result<Verdict, Box<dyn std::error::Error + Send + Sync>>);

    impl Verifier for Fixed {
        fn name(&self) -> &'static str {
            self.0
        }
        fn verify(&self, _: Claim<'_>) -> Result<Verdict, Box<dyn std::error::Error + Send + Sync>> {
            (self.1)()
        }
    }

    fn judge(panel: Vec<Box<dyn Verifier>>) -> Verdict {
        let problem = Problem {
            key: "train/0".to_owned(),
            prompt: "21>".to_owned(),
            answer: "12".to_owned(),
            canonical: "12".to_owned(),
        };
        Panel(panel).judge(Claim {
            rule: &TaskRule::Family(Family::SortThreeDigits),
            problem: &problem,
            tests: None,
            completion: "12",
        })
    }

    #[test]
    fn a_verifier_that_breaks_gives_an_error_and_never_a_fail() {
        let breaks = judge(vec![Box::new(Fixed("breaks", || panic!("index 3")))]);
        assert_eq!(
            (breaks.outcome, breaks.reason.as_str()),
            (Outcome::Error, "the verifier `breaks` panicked: index 3")
        );
        let fails = judge(vec![Box::new(Fixed("fails", || Err("no answer".into())))]);
        assert_eq!((fails.outcome, fails.reason.as_str()), (Outcome::Error, "the verifier `fails` failed: no answer"));
    }

    #[test]
    fn the_first_verifier_that_does_not_pass_decides() {
        let suspect = || Fixed("s", || Ok(Verdict::new(Outcome::Suspect, "odd")));
        assert_eq!(judge(vec![Box::new(rule::Rule { code: None }), Box::new(suspect())]).outcome, Outcome::Suspect);
        assert_eq!(judge(vec![Box::new(rule::Rule { code: None })]).outcome, Outcome::Pass);
    }
}

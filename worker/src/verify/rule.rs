//! The task set's own checker as a verifier: of a family, of answers, or of programs.

use std::sync::Arc;

use galapagos_domain::recipe::verify::Verifier as Named;
use galapagos_domain::task::TaskRule;
use galapagos_domain::trajectory::{Outcome, Verdict};

use super::programs::{Tested, decide, program};
use super::{Claim, Verifier, checks};
use crate::code::Code;

/// Errs only where it must run code and cannot.
pub(super) struct Rule {
    pub code: Option<Arc<Code>>,
}

impl Verifier for Rule {
    fn name(&self) -> &'static str {
        "rule"
    }

    fn verify(&self, claim: Claim<'_>) -> Result<Verdict, Box<dyn std::error::Error + Send + Sync>> {
        match claim.rule {
            TaskRule::Played => Ok(Verdict::new(
                Outcome::Error,
                "the task is played in an environment and has no answer; ask `env_return`",
            )),
            TaskRule::Unanswered(_) => {
                Ok(Verdict::new(Outcome::Error, "a role proposed the task, and nobody knows its answer; ask a critic"))
            }
            TaskRule::Family(family) => Ok(family.verify(claim.problem, claim.completion).by("rule/1")),
            TaskRule::Check(verifier) => match &**verifier {
                Named::UnitTests(options) => {
                    let code = self.code.as_ref().ok_or("code of models is not run here")?;
                    let tests = Arc::clone(claim.tests.ok_or("the task brings no tests")?);
                    let program = program(*options, &claim.problem.prompt, claim.completion);
                    Ok(decide(code, &Tested { program, tests, options: *options }))
                }
                verifier => {
                    let verdict = checks::check(verifier, claim.problem.answer.trim(), claim.completion);
                    Ok(verdict.unwrap_or_else(|| {
                        Verdict::new(Outcome::Error, format!("`{}` checks no answers", verifier.name()))
                    }))
                }
            },
        }
    }
}

/// What the rule reads of a completion, in one form: completions with the same reading are the same answer. `None` if there is nothing
/// to read.
#[must_use]
pub fn read(rule: &TaskRule, completion: &str) -> Option<String> {
    match rule {
        TaskRule::Family(family) => family.read(completion),
        TaskRule::Played => None,
        TaskRule::Unanswered(rule) => read(rule, completion),
        TaskRule::Check(verifier) => checks::read(verifier, completion),
    }
}

//! The task set's exact checker as a verifier.

use galapagos_domain::trajectory::Verdict;

use super::{Claim, Verifier};

/// Never errs: the checker is a total function.
pub(super) struct Rule;

impl Verifier for Rule {
    fn name(&self) -> &'static str {
        "rule"
    }

    fn verify(&self, claim: Claim<'_>) -> Result<Verdict, Box<dyn std::error::Error + Send + Sync>> {
        Ok(claim.rule.verify(claim.problem, claim.completion).by("rule/1"))
    }
}

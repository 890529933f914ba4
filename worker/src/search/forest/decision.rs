//! What several verdicts on one trajectory come to.

use std::sync::Arc;

use galapagos_domain::recipe::verify::{self as recipe, Verifier};
use galapagos_domain::trajectory::{Outcome, Verdict};

use crate::verify::consistency::Consistency;

/// How the answer at `place` stands among all of its task.
pub(super) fn agreement(what: recipe::Consistency, classes: &[Option<String>], place: usize) -> Verdict {
    let same = |a: &Option<String>, b: &Option<String>| a == b;
    let Ok(all) = Consistency::of(classes, None, same) else {
        return Verdict::new(Outcome::Error, "there are no answers to compare").by("consistency/1");
    };
    let score = match what {
        recipe::Consistency::Share => {
            classes.iter().filter(|class| **class == classes[place]).count() as f64 / classes.len() as f64
        }
        recipe::Consistency::Entropy => all.entropy,
        recipe::Consistency::Contradiction => f64::from(u8::from(all.contradiction)),
    };
    Verdict::pass(format!("{score:.4} among {} answers", classes.len())).scored(score as f32).by("consistency/1")
}

/// The verdict of several verifiers: that of the first which decides and does not pass, else that of the first which decides.
pub(super) fn decide(verifiers: &[Arc<Verifier>], said: Vec<Verdict>) -> Verdict {
    let mut deciding =
        verifiers.iter().zip(said).filter(|(verifier, _)| verifier.decides()).map(|(_, verdict)| verdict);
    let Some(first) = deciding.next() else { return Verdict::new(Outcome::Error, "no verifier was asked") };
    let refusal = std::iter::once(first.clone()).chain(deciding).find(|verdict| verdict.outcome != Outcome::Pass);
    refusal.unwrap_or(first)
}

/// Steps before the first that is wrong, of an answer of several steps, by the first verifier that looked for it.
pub(super) fn right_steps(verifiers: &[Arc<Verifier>], said: &[Verdict], steps: usize) -> Option<usize> {
    let located = |(verifier, said): (&Arc<Verifier>, &Verdict)| {
        let share = said.score.filter(|_| matches!(**verifier, Verifier::FirstError(_)))?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of the steps, from 0 to 1"
        )]
        let right = (f64::from(share) * steps as f64).round() as usize;
        said.outcome.is_decided().then_some(right)
    };
    verifiers.iter().zip(said).find_map(located).filter(|_| steps > 1)
}

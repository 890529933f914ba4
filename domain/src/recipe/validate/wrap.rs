//! Rules about verifiers that are made of others (members that can be combined so, repetitions that say something, doubt about numbers),
//! and about how far verifiers are believed.

use std::collections::BTreeSet;

use super::Check;
use super::scope::Scope;
use super::search::MAX_NUMBER;
use crate::ids::Name;
use crate::recipe::path::Path;
use crate::recipe::search::Rollout;
use crate::recipe::verify::{Combine, MOST_ROLES, Repeat, Spread, Uncertainty, Verifier};

/// Most verifiers in one combination, and roles in an ensemble.
const MAX_MEMBERS: u32 = 16;
/// Most times that one verifier is asked.
const MAX_TIMES: u32 = 64;
/// Most masks of one number.
const MAX_MASKS: u32 = 256;
/// Most questions behind one.
const MAX_QUESTIONS: u64 = 256;

/// Most times that a question is asked again.
const MAX_RETRY: u32 = 10;
/// Most tasks of a job that begin with known answers.
const MAX_FLOOR: u32 = 1000;
/// Most known answers that are looked at together.
const MAX_WINDOW: u32 = 10_000;

impl Check<'_> {
    /// A verifier that is made of others; the rest of its rules are those of its members.
    pub(super) fn wrapper(&mut self, verifier: &Verifier, path: &Path, at: (&Scope, u32)) {
        let path = path.key(verifier.name());
        match verifier {
            Verifier::Combine(combine) => self.combine(combine, &path, at),
            Verifier::Repeat(repeat) => self.repeat(repeat, &path, at),
            Verifier::Uncertainty(uncertainty) => self.uncertainty(uncertainty, &path, at),
            _ => {}
        }
        if verifier.questions() > MAX_QUESTIONS {
            let message = format!("{} questions stand behind each one", verifier.questions());
            self.refuse(&path, message, format!("repeat or combine less: at most {MAX_QUESTIONS}"));
        }
    }

    /// Retries, errors that a job may have, and known answers.
    pub(super) fn trust(&mut self, rollout: &Rollout, path: &Path) {
        self.whole(&path.key("retry"), rollout.retry, 0, MAX_RETRY);
        let most = path.key("most_errors");
        if rollout.most_errors <= 0.0 {
            let message = format!("{} is out of range: one error would end a job", rollout.most_errors);
            self.refuse(&most, message, "use a number greater than 0 and at most 1; 1 never ends a job");
        } else {
            self.between(&most, rollout.most_errors, 0.0, 1.0);
        }
        let Some(canaries) = rollout.canaries else { return };
        let path = path.key("canaries");
        if !(canaries.rate > 0.0 && canaries.rate <= 1.0) {
            let help = "use a number greater than 0 and at most 1, for example 0.05";
            self.refuse(&path.key("rate"), format!("{} is out of range", canaries.rate), help);
        }
        self.between(&path.key("right"), canaries.right, 0.0, 1.0);
        self.whole(&path.key("floor"), canaries.floor, 0, MAX_FLOOR);
        self.between(&path.key("tolerance"), canaries.tolerance, 0.0, 1.0);
        self.whole(&path.key("window"), canaries.window, 1, MAX_WINDOW);
        if !rollout.verify.iter().chain(rollout.search.verifiers()).any(Verifier::knows_answers) {
            let message = "no verifier says whether an answer is right, so known answers test none";
            self.refuse(&path, message, "leave `canaries` out, or verify answers, for example by `rule` or `math`");
        }
    }

    /// All roles that a search of `policy` asks; each may be a model of its own.
    pub(super) fn asked_roles<'a>(
        &mut self,
        roles: impl IntoIterator<Item = &'a Name>,
        policy: Option<&Name>,
        path: &Path,
    ) {
        let asked: BTreeSet<&Name> = roles.into_iter().filter(|role| Some(*role) != policy).collect();
        if asked.len() > MOST_ROLES {
            let message = format!("{} roles are asked in one search beside the policy", asked.len());
            let help = format!("ask at most {MOST_ROLES}, or ask the others in a `rollout` of their own");
            self.refuse(path, message, help);
        }
    }

    fn member(&mut self, verifier: &Verifier, path: &Path, at: (&Scope, u32)) {
        self.verifier(verifier, path, at);
        if matches!(verifier, Verifier::Consistency(_) | Verifier::JudgePair(_)) {
            let name = verifier.name();
            let message = format!("`{name}` speaks of all answers of a task, and a wrapper asks about one");
            self.refuse(path, message, "put it into `verify` by itself");
        }
    }

    fn combine(&mut self, combine: &Combine, path: &Path, at: (&Scope, u32)) {
        let (how, of) = (combine.how, path.key("of"));
        let count = u32::try_from(combine.of.len()).unwrap_or(u32::MAX);
        if !(2..=MAX_MEMBERS).contains(&count) {
            let help =
                format!("list from 2 to {MAX_MEMBERS}, for example `[{{verify: rule}}, {{verify: {{math: {{}}}}}}]`");
            self.refuse(&of, format!("{count} verifiers are no combination"), help);
        }
        for (index, member) in combine.of.iter().enumerate() {
            let path = of.index(index);
            self.member(&member.verify, &path.key("verify"), at);
            self.inside(&path.key("weight"), member.weight, 0.0, MAX_NUMBER);
            if !how.weighs() && member.weight != 1.0 {
                let message = format!("`{}` does not weigh its members", how.name());
                self.refuse(&path.key("weight"), message, "leave `weight` out, or use `majority` or `mean`");
            }
            if how.votes() && !member.verify.decides() {
                let message = format!("`{}` gives a number and has no vote in `{}`", member.verify.name(), how.name());
                self.refuse(&path.key("verify"), message, "combine numbers by `mean`, `min`, `product` or `noisy_or`");
            }
        }
        match combine.pass_at {
            Some(_) if how.votes() => {
                let message = format!("`{}` counts who passes and has no score", how.name());
                self.refuse(&path.key("pass_at"), message, "leave `pass_at` out");
            }
            Some(score) => self.between(&path.key("pass_at"), score, -MAX_NUMBER, MAX_NUMBER),
            None => {}
        }
    }

    fn repeat(&mut self, repeat: &Repeat, path: &Path, at: (&Scope, u32)) {
        self.member(&repeat.verify, &path.key("verify"), at);
        self.whole(&path.key("times"), repeat.times, 2, MAX_TIMES);
        if !repeat.verify.draws() {
            let message = format!("`{}` says the same every time", repeat.verify.name());
            self.refuse(&path.key("verify"), message, "repeat a verifier that draws, for example `mc_rollout`");
        }
    }

    fn uncertainty(&mut self, uncertainty: &Uncertainty, path: &Path, at: (&Scope, u32)) {
        let Uncertainty { verify, how, penalty, suspect_above, pass_at } = uncertainty;
        self.member(verify, &path.key("verify"), at);
        let number = matches!(**verify, Verifier::Value(_) | Verifier::Orm(_) | Verifier::Prm(_));
        if !number {
            let message = format!("`{}` is no role that gives a number", verify.name());
            self.refuse(&path.key("verify"), message, "use `value`, `orm` or `prm`");
        }
        self.between(&path.key("penalty"), *penalty, 0.0, MAX_NUMBER);
        if let Some(above) = suspect_above {
            self.inside(&path.key("suspect_above"), *above, 0.0, MAX_NUMBER);
        }
        if let Some(score) = pass_at {
            self.between(&path.key("pass_at"), *score, -MAX_NUMBER, MAX_NUMBER);
        }
        match how {
            Spread::McDropout(dropout) => {
                let path = path.key("how").key("mc_dropout");
                self.whole(&path.key("samples"), dropout.samples, 2, MAX_MASKS);
                self.inside(&path.key("rate"), dropout.rate, 0.0, 1.0);
            }
            Spread::Ensemble(others) => self.ensemble(verify, others, &path.key("how").key("ensemble"), at),
        }
    }

    fn ensemble(&mut self, verify: &Verifier, others: &[Name], path: &Path, at: (&Scope, u32)) {
        let count = u32::try_from(others.len()).unwrap_or(u32::MAX);
        if !(1..MAX_MEMBERS).contains(&count) {
            let help = format!("name from 1 to {} roles beside the verifier's own", MAX_MEMBERS - 1);
            self.refuse(path, format!("{count} other roles are no ensemble"), help);
        }
        let mut known = verify.roles();
        for (index, name) in others.iter().enumerate() {
            self.numbers_role(&path.index(index), name, at);
            if known.contains(&name) {
                let message = format!("the role `{name}` is asked already, and would say the same");
                self.refuse(&path.index(index), message, "name other roles than the verifier's own, each once");
            }
            known.push(name);
        }
    }
}

//! Rules about texts that a search has written: advice that nobody would read, templates without what is to be read, choices among
//! answers that nobody can make.

use super::Check;
use super::data::MAX_SAMPLES;
use super::scope::Scope;
use super::search::{cannot_weigh, speaks_of_all, weighs};
use crate::recipe::path::Path;
use crate::recipe::search::{Argue, CriticSampling, Discriminate, Discriminator, Feedback, Unit, Width, Write};
use crate::recipe::verify::{Blank, Verifier};

/// Most answers that somebody looks at together.
const MAX_LOOKED_AT: u32 = 64;
/// Most agents, and most rounds, of an argument.
const MAX_ARGUING: u32 = 64;

impl Check<'_> {
    pub(super) fn feedback(&mut self, feedback: &Feedback, width: Width, path: &Path) {
        if width == Width::Fixed {
            let message = "every node has all its children at once, so none is made in the light of others";
            self.refuse(path, message, "let nodes grow again: `width: {up_to: 5}` with `propose: {n: 1}`");
        }
        let told = [Blank::Step, Blank::Shown, Blank::Value];
        self.template(&feedback.each, &path.key("each"), &told, &[&[Blank::Step]]);
        let show = path.key("show");
        match &feedback.write {
            None => self.template(&feedback.show, &show, &[Blank::Siblings], &[&[Blank::Siblings]]),
            Some(write) => {
                let shown = [Blank::Siblings, Blank::Advice];
                self.template(&feedback.show, &show, &shown, &[&[Blank::Advice]]);
                let asked = [Blank::Prompt, Blank::Answer, Blank::Siblings];
                self.writer(write, &path.key("write"), (&asked, &[&[Blank::Siblings]]));
            }
        }
    }

    /// Who writes, and whether the template has `shown` places alone and one of each group that is `needed`.
    pub(super) fn writer(&mut self, write: &Write, path: &Path, (shown, needed): (&[Blank], &[&[Blank]])) {
        self.speaker(write.role.as_ref(), path);
        self.template(&write.ask, &path.key("ask"), shown, needed);
        self.between(&path.key("temperature"), write.temperature, 0.0, 5.0);
        self.max_tokens(Some(write.max_tokens), path);
        self.until(write.until.as_deref(), path);
    }

    pub(super) fn discriminate(&mut self, choice: &Discriminate, path: &Path, (plays, scope): (bool, &Scope)) {
        self.whole(&path.key("of"), choice.of, 2, MAX_LOOKED_AT);
        let by = path.key("by");
        match &choice.by {
            Discriminator::Verifier(verifier) => {
                let by = by.key("verifier");
                self.verifier(verifier, &by, (scope, 1));
                self.knows(verifier, &by, plays);
                if speaks_of_all(verifier) {
                    let message = format!("`{}` compares all that a search left", verifier.name());
                    self.refuse(&by, message, "name a verifier that scores one answer, or use `argue`");
                }
                if verifier.holds(&|verifier| matches!(verifier, Verifier::McRollout(_))) {
                    self.refuse(&by, "an answer has no continuations", "name a verifier of whole answers");
                }
            }
            Discriminator::Argue(argue) => self.argue(argue, &by.key("argue")),
        }
    }

    pub(super) fn critic_sampling(&mut self, search: &CriticSampling, path: &Path, scope: &Scope) {
        let tests = path.key("tests");
        self.verifier(&search.tests, &tests, (scope, 1));
        self.knows(&search.tests, &tests, false);
        if !search.tests.decides() || speaks_of_all(&search.tests) {
            let message = format!("`{}` does not say of an answer whether it passes", search.tests.name());
            self.refuse(&tests, message, "use what decides, for example `{unit_tests: {examples: 2}}`");
        }
        let critic = path.key("critic");
        self.verifier(&search.critic, &critic, (scope, 1));
        self.knows(&search.critic, &critic, false);
        let scores = weighs(&search.critic) || matches!(search.critic, Verifier::Rules(_));
        if !scores || search.critic.holds(&cannot_weigh) {
            let message = format!("`{}` gives no score to what was written up to a step", search.critic.name());
            let help = "use `value`, `orm`, `prm`, `judge`, `principles`, `rules` or `self_log_prob`";
            self.refuse(&critic, message, help);
        }
        if matches!(search.unit, Unit::Answer | Unit::Turn) {
            let help = "say what a step is, for example `unit: line`";
            self.refuse(&path.key("unit"), "an answer of one step cannot be cut", help);
        }
        self.whole(&path.key("rounds"), search.rounds, 1, MAX_ARGUING);
        if let Some(refine) = search.refine {
            let path = path.key("refine");
            self.whole(&path.key("seeds"), refine.seeds, 1, MAX_SAMPLES);
            self.whole(&path.key("n"), refine.n, 1, MAX_SAMPLES);
        }
        if let Some(repair) = &search.repair {
            let path = path.key("repair");
            self.whole(&path.key("programs"), repair.programs, 1, MAX_SAMPLES);
            self.whole(&path.key("n"), repair.n, 1, MAX_SAMPLES);
            let shown = [Blank::Prompt, Blank::Answer, Blank::Error];
            self.writer(&repair.write, &path.key("write"), (&shown, &[&[Blank::Answer]]));
            if repair.n > 1 && repair.write.temperature == 0.0 {
                let message = format!("at temperature 0 all {} repairs of an answer are the same", repair.n);
                let help = "use `n: 1`, or a temperature above 0";
                self.refuse(&path.key("write").key("temperature"), message, help);
            }
        }
        if (search.refine, &search.repair) == (None, &None) {
            let help = "write `refine` or `repair`, or use `best_of_n`";
            self.refuse(path, "nothing is done with what was tested", help);
        }
    }

    fn argue(&mut self, argue: &Argue, path: &Path) {
        self.whole(&path.key("agents"), argue.agents, 1, MAX_ARGUING.min(MAX_SAMPLES));
        self.whole(&path.key("rounds"), argue.rounds, 1, MAX_ARGUING);
        let shown = [Blank::Prompt, Blank::Solutions, Blank::Others];
        self.writer(&argue.write, &path.key("write"), (&shown, &[&[Blank::Solutions]]));
        if argue.agents > 1 && argue.write.temperature == 0.0 {
            let message = format!("at temperature 0 all {} agents say the same", argue.agents);
            self.refuse(&path.key("write").key("temperature"), message, "use a temperature above 0, or `agents: 1`");
        }
        if let Some(conclude) = &argue.conclude {
            self.writer(conclude, &path.key("conclude"), (&shown, &[&[Blank::Others]]));
        }
    }
}

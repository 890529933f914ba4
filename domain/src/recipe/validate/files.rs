//! Rules about data sets. What stands in the files is checked when they are read; here it is known by what was stored.

use super::Check;
use super::data::MAX_TOKENS;
use super::scope::Scope;
use crate::recipe::path::Path;
use crate::recipe::search::Rollout;
use crate::recipe::tasks::files::{End, Files, Rows};
use crate::recipe::verify::Verifier;

impl Check<'_> {
    /// A data set at `path`.
    pub(super) fn files(&mut self, files: &Files, path: &Path) {
        if files.stored.is_none() {
            let help = "submit the recipe with `galapagos run` or `galapagos submit`, which read the files and store their rows";
            self.refuse(path, format!("the rows of `{}` have not been read", files.path), help);
        }
        if let Some(max_tokens) = files.max_tokens {
            self.whole(&path.key("max_tokens"), max_tokens, 1, MAX_TOKENS);
        }
        for (key, rows) in [("val", &files.splits.val), ("test", &files.splits.test)] {
            if let Some(Rows::Share(share)) = rows {
                self.between(&path.key("splits").key(key), *share, 0.0, 1.0);
            }
        }
        if let End(Some(end)) = files.end
            && (end.is_alphanumeric() || end == ' ')
        {
            let help = "use a character that stands in no answer, such as \"#\", or `line`, or `token`";
            self.refuse(&path.key("end"), format!("{end:?} stands in almost every text"), help);
        }
        let Some(rule) = &files.rule else { return };
        let path = path.key("rule");
        if *rule == Verifier::Rule || !rule.checks_answers() {
            let message = format!("`{}` does not compare an answer with the right one", rule.name());
            let help = "use exact, numeric, list, multiple_choice, regex, json_schema, math or unit_tests";
            self.refuse(&path, message, help);
            return;
        }
        if matches!(rule, Verifier::UnitTests(_)) && files.tests.is_none() {
            self.refuse(
                &path,
                "the rows bring no tests",
                "name their column: `tests: asserts` and `columns: {tests: ...}`",
            );
        }
        self.verifier(rule, &path, (&Scope::default(), 1));
    }

    /// Programs can only be tested where tasks bring tests.
    pub(super) fn tests_are_there(&mut self, rollout: &Rollout, path: &Path) {
        let evaluators = rollout.search.evaluators().iter().map(|evaluate| &evaluate.verifier);
        if !rollout.verify.iter().chain(evaluators).any(|verifier| matches!(verifier, Verifier::UnitTests(_))) {
            return;
        }
        for name in rollout.tasks.keys() {
            if self.recipe.task_source(name).is_some_and(|set| !set.has_tests()) {
                let message = format!("`unit_tests` needs tests, and the tasks `{name}` bring none");
                let help = "take tasks from `files` with `tests` and `columns: {tests: ...}`";
                self.refuse(&path.key(name), message, help);
            }
        }
    }
}

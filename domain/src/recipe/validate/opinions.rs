//! Rules about symbolic rules and judges: templates without what is judged, words that cannot be told apart, numbers out of range.

use super::Check;
use super::data::MAX_SAMPLES;
use super::scope::Scope;
use crate::ids::Name;
use crate::recipe::path::Path;
use crate::recipe::verify::{
    Blank, Calibrate, FirstError, Generate, Judge, JudgePair, Mode, Must, Principle, Principles, PrinciplesFrom,
    Rationale, Rules, Template, Verifier,
};

/// Deepest rule within rules.
const MAX_RULE_DEPTH: u32 = 8;
/// Most of what is counted.
const MAX_COUNT: u32 = 1_000_000;
/// Most known answers that a judge is tried on.
const MAX_KNOWN: u32 = 1000;
/// Largest weight.
const MAX_WEIGHT: f64 = 1.0e6;

/// What a judge's template may show.
const SHOWN: &[Blank] = &[Blank::Prompt, Blank::Answer, Blank::Step, Blank::Expected];

impl Check<'_> {
    pub(super) fn rules(&mut self, rules: &Rules, path: &Path) {
        let list = path.key("list");
        if rules.list.is_empty() {
            self.refuse(
                &list,
                "there is no rule",
                "write at least one, for example `{id: R1, must: {max_words: 100}}`",
            );
        }
        if !(rules.pass_at >= 0.0 && rules.pass_at <= 1.0) {
            let help = "use a number from 0 to 1; 1 wants all rules kept, 0 gives the score alone";
            self.refuse(&path.key("pass_at"), format!("{} is out of range", rules.pass_at), help);
        }
        for (index, rule) in rules.list.iter().enumerate() {
            let path = list.index(index);
            if rule.id.trim().is_empty() {
                self.refuse(&path.key("id"), "the rule has no name", "name it, for example `R1`: verdicts cite it");
            }
            if rules.list[..index].iter().any(|before| before.id == rule.id) {
                let message = format!("two rules are named `{}`", rule.id);
                self.refuse(&path.key("id"), message, "give each rule a name of its own");
            }
            self.inside(&path.key("weight"), rule.weight, 0.0, MAX_WEIGHT);
            self.must(&rule.must, &path.key("must"), 1);
        }
    }

    fn must(&mut self, must: &Must, path: &Path, depth: u32) {
        if depth > MAX_RULE_DEPTH {
            let message = format!("rules stand within rules more than {MAX_RULE_DEPTH} deep");
            return self.refuse(path, message, "write several rules");
        }
        match must {
            Must::Match(text) | Must::Contain(text) if text.is_empty() => {
                self.refuse(path, "the text is empty, which every answer holds", "write what is looked for");
            }
            Must::MinWords(count) | Must::MaxWords(count) | Must::MinSteps(count) | Must::MaxSteps(count) => {
                self.whole(path, *count, 0, MAX_COUNT);
            }
            Must::All(several) | Must::Any(several) if several.is_empty() => {
                self.refuse(path, "the list is empty", "write at least one requirement");
            }
            Must::Match(_)
            | Must::Contain(_)
            | Must::Equations(_)
            | Must::Not(_)
            | Must::All(_)
            | Must::Any(_)
            | Must::EveryStep(_)
            | Must::FirstStep(_)
            | Must::LastStep(_) => {}
        }
        for inner in must.inner() {
            self.must(inner, path, depth + 1);
        }
    }

    pub(super) fn judge(&mut self, judge: &Judge, path: &Path) {
        self.speaker(judge.role.as_ref(), path);
        self.template(&judge.ask, &path.key("ask"), SHOWN, &[&[Blank::Answer, Blank::Step]]);
        match &judge.mode {
            Mode::Logits(logits) => {
                let path = path.key("mode").key("logits");
                self.words((&logits.yes, "yes"), (&logits.no, "no"), &path);
                self.between(&path.key("floor"), logits.floor, 0.0, 1.0);
            }
            Mode::Rationale(rationale) => self.rationale(rationale, &path.key("mode").key("rationale")),
        }
        self.fence(&judge.fence, &path.key("fence"));
        self.between(&path.key("pass_at"), judge.pass_at, 0.0, 1.0);
        self.calibrate(judge.calibrate, &path.key("calibrate"));
    }

    fn rationale(&mut self, rationale: &Rationale, path: &Path) {
        self.written(rationale.samples, rationale.temperature, path);
        self.max_tokens(Some(rationale.max_tokens), path);
        self.until(rationale.until.as_deref(), path);
        if let Some([low, high]) = rationale.scale
            && !(low < high && low.is_finite() && high.is_finite())
        {
            let help = "write the worst score and the best one, for example `[1, 10]`";
            self.refuse(&path.key("scale"), format!("[{low}, {high}] is no scale"), help);
        }
    }

    pub(super) fn judge_pair(&mut self, pair: &JudgePair, path: &Path) {
        self.speaker(pair.role.as_ref(), path);
        let shown = [Blank::Prompt, Blank::First, Blank::Second, Blank::Expected];
        self.template(&pair.ask, &path.key("ask"), &shown, &[&[Blank::First], &[Blank::Second]]);
        self.words((&pair.first, "first"), (&pair.second, "second"), path);
        self.between(&path.key("floor"), pair.floor, 0.0, 1.0);
        self.fence(&pair.fence, &path.key("fence"));
        self.whole(&path.key("pairs"), pair.pairs, 1, MAX_COUNT);
        self.calibrate(pair.calibrate, &path.key("calibrate"));
    }

    pub(super) fn principles(&mut self, principles: &Principles, path: &Path) {
        self.speaker(principles.role.as_ref(), path);
        let shown = [SHOWN, &[Blank::Principle]].concat();
        self.template(&principles.ask, &path.key("ask"), &shown, &[&[Blank::Principle], &[Blank::Answer, Blank::Step]]);
        match &principles.from {
            PrinciplesFrom::List(list) => self.principle_list(list, &path.key("from").key("list")),
            PrinciplesFrom::Generate(generate) => self.generate(generate, &path.key("from").key("generate")),
        }
        self.words((&principles.yes, "yes"), (&principles.no, "no"), path);
        self.between(&path.key("floor"), principles.floor, 0.0, 1.0);
        self.fence(&principles.fence, &path.key("fence"));
        self.between(&path.key("pass_at"), principles.pass_at, 0.0, 1.0);
        self.calibrate(principles.calibrate, &path.key("calibrate"));
    }

    fn principle_list(&mut self, list: &[Principle], path: &Path) {
        if list.is_empty() {
            self.refuse(path, "there is no principle", "write at least one, or let the judge write them: `generate`");
        }
        for (index, principle) in list.iter().enumerate() {
            let path = path.index(index);
            if principle.text.trim().is_empty() {
                self.refuse(&path, "the principle is empty", "write what a good answer does");
            }
            self.inside(&path.key("weight"), principle.weight, 0.0, MAX_WEIGHT);
        }
    }

    fn generate(&mut self, generate: &Generate, path: &Path) {
        self.template(&generate.ask, &path.key("ask"), &[Blank::Prompt], &[&[Blank::Prompt]]);
        self.written(generate.samples, generate.temperature, path);
        self.whole(&path.key("most"), generate.most, 1, 100);
        self.max_tokens(Some(generate.max_tokens), path);
        self.until(generate.until.as_deref(), path);
    }

    pub(super) fn first_error(&mut self, first: &FirstError, path: &Path, known: (&Scope, u32)) {
        let by = path.key("by");
        self.between(&path.key("below"), first.below, -MAX_WEIGHT, MAX_WEIGHT);
        match &*first.by {
            Verifier::McRollout(mc) if mc.by.is_some() || mc.role.is_some() => {
                let help = "leave `by` and `role` out, or ask a critic of steps: `prm`";
                self.refuse(&by.key("mc_rollout"), "steps are judged by the policy's continuations and the rule", help);
            }
            Verifier::Value(_)
            | Verifier::Orm(_)
            | Verifier::Prm(_)
            | Verifier::Judge(_)
            | Verifier::Principles(_)
            | Verifier::Rules(_)
            | Verifier::Working
            | Verifier::McRollout(_) => self.verifier(&first.by, &by, known),
            other => {
                let message = format!("`{}` gives no score to what was written up to a step", other.name());
                let help = "use `prm`, `value`, `orm`, `judge`, `principles`, `rules`, `working` or `mc_rollout`";
                self.refuse(&by, message, help);
            }
        }
    }

    pub(super) fn speaker(&mut self, role: Option<&Name>, path: &Path) {
        if let Some(role) = role {
            self.lm_role(&path.key("role"), role);
        }
    }

    /// `needed`: of each of these groups one place at least.
    pub(super) fn template(&mut self, text: &str, path: &Path, shown: &[Blank], needed: &[&[Blank]]) {
        let listed = |blanks: &[Blank], between| blanks.iter().map(Blank::to_string).collect::<Vec<_>>().join(between);
        let template = match Template::parse(text) {
            Ok(template) => template,
            Err(error) => {
                return self.refuse(path, error.to_string(), format!("places are {}", listed(shown, ", ")));
            }
        };
        if let Some(blank) = template.blanks().find(|blank| !shown.contains(blank)) {
            self.refuse(path, format!("there is no {blank} here"), format!("places are {}", listed(shown, ", ")));
        }
        for group in needed {
            if !template.blanks().any(|blank| group.contains(&blank)) {
                let message = format!("the text has no {}", listed(group, " or "));
                self.refuse(path, message, "write it where it is to be read");
            }
        }
    }

    fn words(&mut self, (one, key): (&str, &'static str), (other, second): (&str, &'static str), path: &Path) {
        for (word, key) in [(one, key), (other, second)] {
            if word.is_empty() {
                self.refuse(&path.key(key), "the word is empty", "write what the judge says, with the space before it");
            }
        }
        if one == other {
            let message = format!("`{key}` and `{second}` are the same word");
            self.refuse(&path.key(second), message, "use two words whose first tokens differ");
        }
    }

    fn fence(&mut self, fence: &[String; 2], path: &Path) {
        if fence.iter().any(|side| side.trim().is_empty()) {
            let help = "write two texts that no answer holds, for example `[\"[[\", \"]]\"]`";
            self.refuse(path, "an answer without a fence could speak to the judge", help);
        }
    }

    fn calibrate(&mut self, calibrate: Calibrate, path: &Path) {
        self.whole(&path.key("items"), calibrate.items, 0, MAX_KNOWN);
        if calibrate.items == 1 {
            let help = "use at least 2, half of them right; or `calibrate: none`";
            self.refuse(&path.key("items"), "one answer says nothing of both kinds", help);
        }
        self.between(&path.key("at_least"), calibrate.at_least, 0.0, 1.0);
    }

    fn written(&mut self, samples: u32, temperature: f64, path: &Path) {
        self.whole(&path.key("samples"), samples, 1, MAX_SAMPLES);
        self.between(&path.key("temperature"), temperature, 0.0, 5.0);
        if samples > 1 && temperature == 0.0 {
            let message = format!("at temperature 0 all {samples} samples are the same");
            self.refuse(&path.key("temperature"), message, "use `samples: 1`, or a temperature above 0");
        }
    }

    pub(super) fn until(&mut self, until: Option<&str>, path: &Path) {
        if until.is_some_and(str::is_empty) {
            self.refuse(&path.key("until"), "the text is empty", "write what ends the text, or leave it out");
        }
    }
}

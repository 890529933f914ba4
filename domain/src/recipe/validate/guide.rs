//! Rules about how tokens are cut off and what guides may say. Whether a vocabulary can follow a guide is not known here: the engine
//! that compiles it refuses the job.

use std::collections::BTreeSet;

use super::Check;
use crate::ids::Name;
use crate::recipe::Base;
use crate::recipe::guide::Guide;
use crate::recipe::path::Path;
use crate::recipe::search::Propose;

/// More tokens than any vocabulary has.
const MAX_TOP_K: u32 = 1_000_000;
/// Beyond it hardly any token may come twice.
const MAX_REPETITION_PENALTY: f64 = 2.0;

impl Check<'_> {
    /// `top_k`, `min_p` and `repetition_penalty`.
    pub(super) fn cuts(&mut self, sample: &Propose, path: &Path) {
        if let Some(number) = &sample.top_k
            && let Some(value) = self.number(&path.key("top_k"), number)
            && !number.whole(&self.recipe.vars).is_some_and(|top_k| (1..=MAX_TOP_K).contains(&top_k))
        {
            let help = format!("use a whole number from 1 to {MAX_TOP_K}; leave it out to keep all tokens");
            self.refuse(&path.key("top_k"), format!("{value} is out of range"), help);
        }
        if let Some(min_p) = self.number(&path.key("min_p"), &sample.min_p) {
            self.between(&path.key("min_p"), min_p, 0.0, 1.0);
        }
        let path = path.key("repetition_penalty");
        if let Some(penalty) = self.number(&path, &sample.repetition_penalty)
            && !(penalty > 0.0 && penalty <= MAX_REPETITION_PENALTY)
        {
            let help = format!("use a number greater than 0 and at most {MAX_REPETITION_PENALTY}; 1 changes nothing");
            self.refuse(&path, format!("{penalty} is out of range"), help);
        }
    }

    /// A guide of completions of the task sets `sets`.
    pub(super) fn guide<'a>(&mut self, guide: &Guide, path: &Path, sets: impl Iterator<Item = &'a Name>) {
        let path = path.key(guide.form());
        match guide {
            Guide::Regex(text) | Guide::Lark(text) if text.trim().is_empty() => {
                let help = match guide {
                    Guide::Regex(_) => "write what a whole completion must match, for example `\" [0-9]+\"`",
                    Guide::Lark(_) | Guide::JsonSchema(_) | Guide::Choice(_) => {
                        "write a grammar whose first rule is `start`"
                    }
                };
                self.refuse(&path, "the guide is empty", help);
            }
            Guide::Regex(_) | Guide::Lark(_) | Guide::JsonSchema(_) => {}
            Guide::Choice(texts) => self.choices(texts, &path, sets),
        }
    }

    fn choices<'a>(&mut self, texts: &[String], path: &Path, sets: impl Iterator<Item = &'a Name>) {
        if texts.is_empty() {
            self.refuse(
                path,
                "there is nothing to choose from",
                "list at least one text, for example `[\" yes\", \" no\"]`",
            );
        }
        let ends: BTreeSet<char> = sets.filter_map(|name| self.recipe.task_source(name)?.terminator()).collect();
        for (index, text) in texts.iter().enumerate() {
            let path = path.index(index);
            if text.is_empty() {
                self.refuse(&path, "the choice is empty", "give it at least one character");
            }
            if texts[..index].contains(text) {
                self.refuse(&path, format!("the choice {text:?} stands twice"), "list each choice once");
            }
            if let Some(end) = text.chars().find(|c| ends.contains(c)) {
                let message = format!("the choice {text:?} holds {end:?}, which ends the answers of these tasks");
                self.refuse(&path, message, format!("take {end:?} out: it comes by itself behind a choice"));
            }
            self.written_in_alphabet(text, &path);
        }
    }

    /// A model of characters can only write its alphabet.
    fn written_in_alphabet(&mut self, text: &str, path: &Path) {
        let Base::Characters(shape) = &self.recipe.base else { return };
        let missing: BTreeSet<char> = text.chars().filter(|c| *c != '\n' && !shape.alphabet.contains(*c)).collect();
        if !missing.is_empty() {
            let missing: String = missing.into_iter().collect();
            let message = format!("the choice {text:?} uses characters that the alphabet of `base` lacks: {missing:?}");
            self.refuse(path, message, "use the alphabet's characters, or add them to it");
        }
    }
}

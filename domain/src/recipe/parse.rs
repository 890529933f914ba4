//! From text to a recipe that may run, and back to its filled-in text and digest.

use serde::Deserialize;

use super::Recipe;
use super::diagnostic::{Diagnostic, Diagnostics};
use super::document::{Document, Loader, Value};
use super::path::Path;
use super::read::read;
use super::validate::BrokenRule;
use crate::ids::Digest;

/// Fills in what a recipe's text does not hold, such as what its data files are; says what is broken.
pub type Fill<'a> = &'a mut dyn FnMut(&mut Recipe) -> Vec<BrokenRule>;

/// The format version that this build reads.
pub const FORMAT_VERSION: u32 = 1;

impl Document {
    /// Reads the document as any type of the grammar.
    ///
    /// # Errors
    /// Every unknown field, and the first mistake of another kind.
    pub(crate) fn read<T: for<'de> Deserialize<'de>>(&self) -> Result<T, Diagnostics> {
        read(self)
    }

    /// Reads the recipe, fills in the defaults and checks every rule.
    ///
    /// # Errors
    /// Every unknown field, or else every broken rule, each with its place.
    pub fn recipe(&self) -> Result<Recipe, Diagnostics> {
        self.filled_recipe(&mut |_| Vec::new())
    }

    /// As [`Document::recipe`], with what only the world outside knows filled in by `fill` before the rules are checked.
    ///
    /// # Errors
    /// As [`Document::recipe`]; what `fill` finds broken comes alone.
    pub fn filled_recipe(&self, fill: Fill<'_>) -> Result<Recipe, Diagnostics> {
        self.check_version()?;
        let mut recipe: Recipe = self.read()?;
        self.located(fill(&mut recipe))?;
        self.located(recipe.validate())?;
        Ok(recipe)
    }

    /// Broken rules with their places.
    fn located(&self, broken: Vec<BrokenRule>) -> Result<(), Diagnostics> {
        let broken = broken.into_iter().map(|rule| {
            let place = self.place_of(&rule.path);
            let topic = rule.path.within_step().segments().first().map(|_| rule.topic());
            Diagnostic { help: rule.help.clone(), topic, ..self.diagnose(place, rule.path.clone(), rule.to_string()) }
        });
        Diagnostics::of(broken.collect()).map_or(Ok(()), Err)
    }

    /// A recipe of another version is refused before its fields are, since those may well differ.
    fn check_version(&self) -> Result<(), Diagnostics> {
        let Value::Map(entries) = &self.root().value else { return Ok(()) };
        let Some(version) = entries.iter().find(|e| e.key == "galapagos") else { return Ok(()) };
        if version.node.value == Value::Integer(i64::from(FORMAT_VERSION)) {
            return Ok(());
        }
        let found = version.node.value.describe();
        let message = format!("the recipe's format version is {found}; this build reads version {FORMAT_VERSION}");
        let newer = matches!(version.node.value, Value::Integer(n) if n > i64::from(FORMAT_VERSION));
        let help = if newer { "use a newer Galapagos" } else { "write `galapagos: 1`" };
        let diagnostic = self.diagnose(version.node.place, Path::root().key("galapagos"), message);
        Err(Diagnostic { help: Some(help.to_owned()), ..diagnostic }.into())
    }
}

impl Recipe {
    /// Parses and checks a recipe's text; `file` is its name in messages, `loader` gives the files that `extends` names.
    ///
    /// # Errors
    /// [`Diagnostics`] shows every mistake with its place and what would be right.
    pub fn parse(file: &str, text: &str, loader: Loader<'_>) -> Result<Self, Diagnostics> {
        Document::load(file, text, loader)?.recipe()
    }

    /// As [`Recipe::parse`], with `fill` as [`Document::filled_recipe`] has it.
    ///
    /// # Errors
    /// [`Diagnostics`].
    pub fn parse_filled(file: &str, text: &str, loader: Loader<'_>, fill: Fill<'_>) -> Result<Self, Diagnostics> {
        Document::load(file, text, loader)?.filled_recipe(fill)
    }

    /// The digest of the filled-in recipe: its identity.
    #[must_use]
    pub fn digest(&self) -> Digest {
        #[expect(clippy::expect_used, reason = "keys are strings, and numbers that are not finite become null")]
        let canonical = serde_json::to_vec(self).expect("a recipe is valid JSON");
        Digest::of(&canonical)
    }

    /// The recipe as YAML with all defaults filled in; parses to an equal recipe.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        // Without YAML 1.2 the keys `n` and `on` would be put in quotes.
        let options = serde_saphyr::ser_options! { yaml_12: true, no_lang_directive: true };
        #[expect(clippy::expect_used, reason = "keys are strings, and writing to a string does not fail")]
        let text = serde_saphyr::to_string_with_options(self, options).expect("a recipe is valid YAML");
        text
    }
}

#[cfg(test)]
mod tests;

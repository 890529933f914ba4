//! Number ranges: one helper per shape of rule, so that all messages read alike.

use super::Check;
use crate::recipe::Number;
use crate::recipe::path::Path;

impl Check<'_> {
    /// `low <= value <= high`.
    pub(super) fn whole(&mut self, path: &Path, value: u32, low: u32, high: u32) {
        if !(low..=high).contains(&value) {
            self.refuse(path, format!("{value} is out of range"), format!("use a whole number from {low} to {high}"));
        }
    }

    /// `low <= value <= high`; never true of a value that is not finite.
    pub(super) fn between(&mut self, path: &Path, value: f64, low: f64, high: f64) {
        if !(low..=high).contains(&value) {
            self.refuse(path, format!("{value} is out of range"), format!("use a number from {low} to {high}"));
        }
    }

    /// `low < value < high`; never true of a value that is not finite.
    pub(super) fn inside(&mut self, path: &Path, value: f64, low: f64, high: f64) {
        if !(value > low && value < high) {
            let help = format!("use a number greater than {low} and less than {high}");
            self.refuse(path, format!("{value} is out of range"), help);
        }
    }

    /// Resolves a number, or refuses a variable that is not declared.
    pub(super) fn number(&mut self, path: &Path, number: &Number) -> Option<f64> {
        let value = number.resolve(&self.recipe.vars);
        if let (None, Number::Variable(name)) = (value, number) {
            let declared: Vec<_> = self.recipe.vars.keys().map(|v| format!("${v}")).collect();
            let help = if declared.is_empty() {
                format!("declare it: `vars: {{{}: 0.8}}`", name.trim_start_matches('$'))
            } else {
                format!("declared under `vars`: {}", declared.join(", "))
            };
            self.refuse(path, format!("the variable `{name}` is not declared"), help);
        }
        value
    }

    /// A sampling temperature.
    pub(super) fn temperature(&mut self, path: &Path, number: &Number) {
        if let Some(value) = self.number(path, number) {
            self.between(path, value, 0.0, 5.0);
        }
    }
}

//! Equality of numbers within a tolerance: decimals, thousands separators, percentages, scientific notation, fractions, currency signs.
//! Expressions are not evaluated: that is `math`'s.

use std::sync::LazyLock;

use regex::Regex;

use super::{CheckError, Extract, Judgement, find};

/// Which number of an answer counts when it holds several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    First,
    Last,
}

/// Compares numbers. Right if |read − expected| ≤ absolute or ≤ relative·|expected|.
#[derive(Debug, Clone, PartialEq)]
pub struct Numeric {
    pub extract: Vec<Extract>,
    pub which: Which,
    pub absolute: f64,
    pub relative: f64,
}

impl Default for Numeric {
    fn default() -> Self {
        Self { extract: Extract::USUAL.to_vec(), which: Which::Last, absolute: 1e-9, relative: 1e-9 }
    }
}

/// A number in a text: sign, currency, digits with thousands separators, point, power of ten, fraction, percent.
static NUMBER: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?x) (?P<sign>[-−+]?) \s? (?:\\?\$|€|£|¥)? (?P<inner>[-−]?)
        (?P<digits> \d{1,3}(?:(?:,|\{,\}|\\,)\d{3})+(?:\.\d+)? | \d+(?:\.\d+)? | \.\d+ )
        (?P<power> [eE][+-]?\d{1,3} | \s*(?:\\times|\\cdot|×|\*)\s*10\^\{?[-−+]?\d{1,3}\}? )?
        (?: \s*/\s* (?P<under> \d+(?:\.\d+)? ) )?
        (?P<percent> \s*\\?% )?",
    )
    .ok()
});

/// `\frac{a}{b}` as `a/b`.
static FRACTION: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\\[dt]?frac\{\s*([-−]?[\d.,]+)\s*\}\{\s*([\d.,]+)\s*\}").ok());

/// The first or the last number of a text; a percentage is a hundredth of what stands before its sign.
#[must_use]
pub fn number(text: &str, which: Which) -> Option<f64> {
    let plain = FRACTION.as_ref()?.replace_all(text, "$1/$2");
    let mut found = NUMBER.as_ref()?.captures_iter(&plain);
    let captures = match which {
        Which::First => found.next()?,
        Which::Last => found.last()?,
    };
    let group = |name: &str| captures.name(name).map_or("", |part| part.as_str());
    let digits: String = group("digits").chars().filter(|c| c.is_ascii_digit() || *c == '.').collect();
    let mut value: f64 = digits.parse().ok()?;
    let power: String = match group("power") {
        "" => "0".to_owned(),
        power if power.starts_with(['e', 'E']) => power[1..].to_owned(),
        power => power.rsplit('^').next()?.replace('−', "-").replace(['{', '}'], ""),
    };
    value *= 10f64.powi(power.trim_start_matches('+').parse().ok()?);
    if !group("under").is_empty() {
        value /= group("under").parse::<f64>().ok().filter(|under| *under != 0.0)?;
    }
    if !group("percent").is_empty() {
        value /= 100.0;
    }
    let before = captures.get(0).map_or("", |all| &plain[..all.start()]);
    // A minus sign after a digit or a letter subtracts.
    let subtracts = before.ends_with(|c: char| c.is_alphanumeric() || c == ')');
    let negative = |sign: &str| matches!(sign, "-" | "−");
    let minus = (negative(group("sign")) && !subtracts) != negative(group("inner"));
    Some(if minus { -value } else { value }).filter(|value| value.is_finite())
}

impl Numeric {
    /// The completion's number; `None` if it has none.
    #[must_use]
    pub fn read(&self, completion: &str) -> Option<String> {
        let found = find(&self.extract, completion)?;
        number(found.text, self.which).map(|number| number.to_string())
    }

    /// Whether the completion's number is the expected one.
    ///
    /// # Errors
    /// If the expected answer holds no number, or a tolerance is none.
    pub fn check(&self, expected: &str, completion: &str) -> Result<Judgement, CheckError> {
        for (option, value) in [("absolute", self.absolute), ("relative", self.relative)] {
            if !(value.is_finite() && value >= 0.0) {
                return Err(CheckError::Option { option, what: format!("{value} is no tolerance: 0 or more is") });
            }
        }
        // A data set's own solution may stand before its answer.
        let marked = find(&[Extract::Hashes, Extract::Boxed, Extract::Whole], expected).map_or("", |found| found.text);
        let wanted = number(marked, Which::Last).ok_or_else(|| CheckError::expected(expected, "a number"))?;
        let Some(found) = find(&self.extract, completion) else {
            return Ok(Judgement::wrong("", "the completion has no answer"));
        };
        let Some(read) = number(found.text, self.which) else {
            return Ok(Judgement::wrong(found.text, "the answer holds no number"));
        };
        let gap = (read - wanted).abs();
        let right = gap <= self.absolute || gap <= self.relative * wanted.abs();
        Ok(Judgement::same(right, read.to_string(), expected))
    }
}

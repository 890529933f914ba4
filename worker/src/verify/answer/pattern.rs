//! A regular expression over a completion: that it matches, or what it captures. The engine is linear in the text.

use regex::{Regex, RegexBuilder};

use super::{CheckError, Exact, Judgement};

/// How much of the completion must match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matching {
    /// All of it, without white space around.
    Whole,
    /// Any part; the last match counts.
    Search,
}

/// Matches completions.
#[derive(Debug, Clone)]
pub struct Pattern {
    pattern: Regex,
    matching: Matching,
    /// The group that is compared with the expected answer.
    capture: Option<String>,
}

/// Largest compiled expression, in bytes.
const MAX_COMPILED_BYTES: usize = 1 << 20;

impl Pattern {
    /// A checker from an expression; `capture` names a group (or gives its number) whose text must be the expected answer.
    ///
    /// # Errors
    /// If the expression is none, is too large, or has no such group.
    pub fn new(pattern: &str, matching: Matching, capture: Option<&str>) -> Result<Self, CheckError> {
        let wrong = |option, what| CheckError::Option { option, what };
        let whole = match matching {
            Matching::Whole => format!("^(?:{pattern})$"),
            Matching::Search => pattern.to_owned(),
        };
        let built = RegexBuilder::new(&whole).size_limit(MAX_COMPILED_BYTES).build();
        let built = built.map_err(|error| wrong("pattern", error.to_string()))?;
        if let Some(name) = capture {
            let known = match name.parse::<usize>() {
                Ok(number) => number < built.captures_len(),
                Err(_) => built.capture_names().flatten().any(|known| known == name),
            };
            if !known {
                return Err(wrong("capture", format!("the expression has no group `{name}`")));
            }
        }
        Ok(Self { pattern: built, matching, capture: capture.map(str::to_owned) })
    }

    /// Whether the completion matches and captures what is expected. Without a capture, `expected` is not used.
    ///
    /// # Errors
    /// If the expected answer is empty but is compared.
    pub fn check(&self, expected: &str, completion: &str) -> Result<Judgement, CheckError> {
        let text = if self.matching == Matching::Whole { completion.trim() } else { completion };
        let Some(found) = self.pattern.captures_iter(text).last() else {
            return Ok(Judgement::wrong("", "the completion does not match"));
        };
        let all = found.get(0).map_or("", |all| all.as_str());
        let Some(name) = &self.capture else { return Ok(Judgement::right(all)) };
        let part = match name.parse::<usize>() {
            Ok(number) => found.get(number),
            Err(_) => found.name(name),
        };
        let Some(part) = part else {
            return Ok(Judgement::wrong(all, format!("the group `{name}` took no part in the match")));
        };
        let judged = Exact::default().check(expected, part.as_str())?;
        Ok(Judgement { read: part.as_str().to_owned(), ..judged })
    }
}

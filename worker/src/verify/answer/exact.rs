//! Equality of text, after the forms of it that do not matter are made the same.

use super::{CheckError, Extract, Judgement, find};

/// Compares text. White space within is never changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exact {
    pub extract: Vec<Extract>,
    /// White space around does not matter.
    pub trim: bool,
    /// Capital and small letters are the same.
    pub fold_case: bool,
    /// Quotes, brackets and punctuation around do not matter.
    pub strip_marks: bool,
}

impl Default for Exact {
    fn default() -> Self {
        Self { extract: vec![Extract::Whole], trim: true, fold_case: false, strip_marks: false }
    }
}

impl Exact {
    /// Whether the completion's answer is the expected text.
    ///
    /// # Errors
    /// If nothing is left of the expected answer.
    pub fn check(&self, expected: &str, completion: &str) -> Result<Judgement, CheckError> {
        let wanted = self.form(expected);
        if wanted.is_empty() {
            return Err(CheckError::expected(expected, "a text of at least one character"));
        }
        // Without trimming the whole completion counts, white space included.
        let read = match self.extract.as_slice() {
            [Extract::Whole] if !self.trim => completion,
            ways => match find(ways, completion) {
                Some(found) => found.text,
                None => return Ok(Judgement::wrong("", "the completion has no answer")),
            },
        };
        Ok(Judgement::same(self.form(read) == wanted, read, expected))
    }

    /// The completion's answer without what does not matter; `None` if it has none.
    #[must_use]
    pub fn read(&self, completion: &str) -> Option<String> {
        find(&self.extract, completion).map(|found| self.form(found.text)).filter(|text| !text.is_empty())
    }

    fn form(&self, text: &str) -> String {
        let mut text = text;
        if self.trim {
            text = text.trim();
        }
        if self.strip_marks {
            text = text.trim_matches(|c: char| c.is_whitespace() || is_mark(c));
        }
        if self.fold_case { text.to_lowercase() } else { text.to_owned() }
    }
}

fn is_mark(c: char) -> bool {
    matches!(
        c,
        '"' | '\''
            | '`'
            | '“'
            | '”'
            | '‘'
            | '’'
            | '«'
            | '»'
            | '.'
            | ','
            | ';'
            | ':'
            | '!'
            | '?'
            | '('
            | ')'
            | '['
            | ']'
            | '*'
    )
}

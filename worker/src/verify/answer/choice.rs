//! The letter of a multiple-choice answer: `(B)`, `B.`, `answer: B`, `\boxed{B}`, or the text of the option itself. An answer that names
//! two letters is wrong, and says so.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;

use super::{CheckError, Exact, Extract, Judgement, find};

/// Reads one of the letters A to J.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    pub extract: Vec<Extract>,
    /// The options' texts from A on; may be empty. With texts, letters beyond them do not count.
    pub options: Vec<String>,
}

impl Default for Choice {
    fn default() -> Self {
        Self { extract: Extract::USUAL.to_vec(), options: Vec::new() }
    }
}

/// Most options.
const LETTERS: &str = "ABCDEFGHIJ";

/// A letter that stands alone, or in brackets.
static LETTER: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?:^|[\s({\[*:,/])([A-Ja-j])(?:$|[\s.)}\]*:,;/!])").ok());

impl Choice {
    /// Whether the completion chooses the expected letter.
    ///
    /// # Errors
    /// If the expected answer is no letter of the options, or there are more options than letters.
    pub fn check(&self, expected: &str, completion: &str) -> Result<Judgement, CheckError> {
        if self.options.len() > LETTERS.len() {
            let what = format!("{} options are more than {}", self.options.len(), LETTERS.len());
            return Err(CheckError::Option { option: "options", what });
        }
        let bare = expected.trim().trim_matches(['(', ')', '.']).to_ascii_uppercase();
        let wanted = bare.chars().next().filter(|letter| bare.len() == 1 && self.known(*letter));
        let wanted = wanted.ok_or_else(|| CheckError::expected(expected, "the letter of an option"))?;
        let Some(found) = find(&self.extract, completion) else {
            return Ok(Judgement::wrong("", "the completion has no answer"));
        };
        let mut named = self.letters(found.text);
        if named.is_empty() {
            named = self.by_text(found.text);
        }
        let letters: String = named.iter().map(char::to_string).collect::<Vec<_>>().join(" ");
        Ok(match named.len() {
            0 => Judgement::wrong(found.text, "the answer names no option"),
            1 => Judgement::same(named.contains(&wanted), letters, expected),
            _ => Judgement::wrong(letters.clone(), format!("the answer is ambiguous: it names {letters}")),
        })
    }

    fn known(&self, letter: char) -> bool {
        let place = LETTERS.find(letter);
        place.is_some_and(|place| self.options.is_empty() || place < self.options.len())
    }

    /// The letters that an answer names. `A` and `I` are words too: with text around they count in capitals and marked only.
    fn letters(&self, text: &str) -> BTreeSet<char> {
        let plain = text.replace("\\text", " ").replace("\\mathrm", " ").replace(['$', '\\'], " ");
        let mut named = BTreeSet::new();
        let Some(pattern) = LETTER.as_ref() else { return named };
        let alone = plain.chars().filter(char::is_ascii_alphanumeric).count() == 1;
        let mut at = 0;
        while let Some(found) = pattern.captures_at(&plain, at) {
            let Some(letter) = found.get(1) else { break };
            at = letter.end();
            let before = plain[..letter.start()].chars().next_back();
            let after = plain[letter.end()..].chars().next();
            let marked = matches!(before, Some('(' | '{' | '[' | '*' | ':'))
                || matches!(after, Some('.' | ')' | '}' | ']' | '*' | ':'));
            let first = plain[..letter.start()].trim().is_empty() && !matches!(after, Some(' '));
            let last = after.is_none();
            let capital = letter.as_str().chars().all(|c| c.is_ascii_uppercase());
            let word = matches!(letter.as_str(), "A" | "I") && !marked && !first && !last;
            if alone || (capital && !word) {
                named.extend(letter.as_str().to_ascii_uppercase().chars().filter(|letter| self.known(*letter)));
            }
        }
        named
    }

    /// The options whose text the answer is, or else that it contains.
    fn by_text(&self, text: &str) -> BTreeSet<char> {
        let exact = Exact { fold_case: true, strip_marks: true, ..Exact::default() };
        let options = || LETTERS.chars().zip(&self.options).filter(|(_, option)| !option.trim().is_empty());
        let is = |option: &str| exact.check(option, text).is_ok_and(|judgement| judgement.right);
        let equal: BTreeSet<char> = options().filter(|(_, option)| is(option)).map(|(letter, _)| letter).collect();
        if !equal.is_empty() {
            return equal;
        }
        let small = text.to_lowercase();
        options()
            .filter(|(_, option)| small.contains(&option.trim().to_lowercase()))
            .map(|(letter, _)| letter)
            .collect()
    }
}

//! Equality of lists and sets of short answers, element by element.

use super::numeric::{Which, number};
use super::{CheckError, Exact, Extract, Judgement, find};

/// How elements compare.
#[derive(Debug, Clone, PartialEq)]
pub enum Element {
    /// As text; the `extract` of it is not used.
    Exact(Exact),
    /// As numbers within an absolute tolerance.
    Numeric { tolerance: f64 },
}

/// Compares lists. Brackets around the whole list do not matter.
#[derive(Debug, Clone, PartialEq)]
pub struct List {
    pub extract: Vec<Extract>,
    pub separator: String,
    /// Whether the order matters. Without order each element must have its own partner.
    pub ordered: bool,
    pub element: Element,
}

impl Default for List {
    fn default() -> Self {
        Self {
            extract: Extract::USUAL.to_vec(),
            separator: ",".to_owned(),
            ordered: false,
            element: Element::Exact(Exact { fold_case: true, strip_marks: true, ..Exact::default() }),
        }
    }
}

/// Most elements of a list without order.
const MAX_ELEMENTS: usize = 1_000;

impl List {
    /// Whether the completion's list is the expected one.
    ///
    /// # Errors
    /// If the expected list is empty or has an element of the wrong kind, or the separator is empty.
    pub fn check(&self, expected: &str, completion: &str) -> Result<Judgement, CheckError> {
        if self.separator.is_empty() {
            return Err(CheckError::Option { option: "separator", what: "it is empty".to_owned() });
        }
        let wanted = self.items(expected);
        if wanted.is_empty() || wanted.len() > MAX_ELEMENTS {
            return Err(CheckError::expected(expected, format!("a list of 1 to {MAX_ELEMENTS} elements")));
        }
        if let Element::Numeric { .. } = self.element
            && let Some(odd) = wanted.iter().find(|item| number(item, Which::Last).is_none())
        {
            return Err(CheckError::expected(expected, format!("a list of numbers: `{odd}` is none")));
        }
        let Some(found) = find(&self.extract, completion) else {
            return Ok(Judgement::wrong("", "the completion has no answer"));
        };
        let read = self.items(found.text);
        if read.len() != wanted.len() {
            let reason = format!("{} elements where {} are expected", read.len(), wanted.len());
            return Ok(Judgement::wrong(found.text, reason));
        }
        let right = if self.ordered {
            wanted.iter().zip(&read).all(|(a, b)| self.same(a, b))
        } else {
            self.paired(&wanted, read)
        };
        Ok(Judgement::same(right, found.text, expected))
    }

    fn items<'a>(&self, text: &'a str) -> Vec<&'a str> {
        let text = text.trim().trim_matches('$').trim();
        let pairs = [("\\{", "\\}"), ("{", "}"), ("[", "]"), ("(", ")")];
        let inner = pairs.into_iter().find_map(|(open, close)| text.strip_prefix(open)?.strip_suffix(close));
        let items = inner.unwrap_or(text).split(self.separator.as_str());
        items.map(str::trim).filter(|item| !item.is_empty()).collect()
    }

    fn paired(&self, wanted: &[&str], mut read: Vec<&str>) -> bool {
        wanted.iter().all(|item| match read.iter().position(|other| self.same(item, other)) {
            Some(place) => {
                read.swap_remove(place);
                true
            }
            None => false,
        })
    }

    fn same(&self, wanted: &str, read: &str) -> bool {
        match &self.element {
            Element::Exact(exact) => {
                let whole = Exact { extract: vec![Extract::Whole], ..exact.clone() };
                whole.check(wanted, read).is_ok_and(|judgement| judgement.right)
            }
            Element::Numeric { tolerance } => match (number(wanted, Which::Last), number(read, Which::Last)) {
                (Some(a), Some(b)) => (a - b).abs() <= *tolerance,
                _ => false,
            },
        }
    }
}

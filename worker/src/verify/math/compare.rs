//! The comparison from two texts to an outcome: reading both, the shortcuts that need no value, and the normal forms for people.
//! What equality means for each kind of answer lies in `structure` and below.

use super::exact::exact;
use super::lexer::{ReadError, lex};
use super::node::Node;
use super::numeric::Numeric;
use super::parser::{normal_text, parse};
use super::steps::{Steps, Stop};
use super::{Comparison, MAX_BYTES, Options, Outcome, Side, TooLarge, Undecided, structure};

/// What a comparison carries along.
pub(super) struct Context<'a> {
    pub options: &'a Options,
    pub steps: Steps,
    pub numeric: Numeric,
}

/// Equal or not.
pub(super) type Decision = Result<bool, Undecided>;

pub(super) fn compare(gold: &str, answer: &str, options: &Options) -> Comparison {
    let undecided =
        |reason| Comparison { outcome: Outcome::Undecided(reason), gold: shown(gold), answer: shown(answer) };
    for (side, text) in [(Side::Gold, gold), (Side::Answer, answer)] {
        if text.len() > MAX_BYTES {
            return undecided(Undecided::Unwieldy { side, what: TooLarge::Bytes });
        }
    }
    let read = |side, text| read(text).map_err(|error| refused(side, error));
    let same_text = !normal_text(gold).is_empty() && spaceless(gold) == spaceless(answer);
    let (left, right) = match (read(Side::Gold, gold), read(Side::Answer, answer)) {
        (Ok(left), Ok(right)) => (left, right),
        (left, right) => {
            let too_large = [&left, &right].into_iter().any(|side| matches!(side, Err(Undecided::Unwieldy { .. })));
            if same_text && !too_large {
                return Comparison { outcome: Outcome::Equal, gold: shown(gold), answer: shown(answer) };
            }
            let reason = left.err().or_else(|| right.err()).unwrap_or(Undecided::Precision);
            return undecided(reason);
        }
    };
    let Some(numeric) = Numeric::new() else { return undecided(Undecided::TooLarge(TooLarge::Magnitude)) };
    let mut context = Context { options, steps: Steps::new(), numeric };
    let outcome = match left == right || same_text {
        true => Outcome::Equal,
        false => match structure::same(&left, &right, &mut context) {
            Ok(true) => Outcome::Equal,
            Ok(false) => Outcome::Different,
            Err(reason) => Outcome::Undecided(reason),
        },
    };
    Comparison { outcome, gold: normal_form(&left), answer: normal_form(&right) }
}

fn read(text: &str) -> Result<Node, ReadError> {
    // Bold in Markdown.
    let text = text.trim();
    let text = text.strip_prefix("**").and_then(|text| text.strip_suffix("**")).unwrap_or(text);
    let tokens = lex(text.trim())?;
    if tokens.is_empty() {
        return Err(ReadError::Unreadable("it is empty".to_owned()));
    }
    parse(tokens)
}

fn refused(side: Side, error: ReadError) -> Undecided {
    match error {
        ReadError::TooLarge(what) => Undecided::Unwieldy { side, what },
        ReadError::Unreadable(what) => Undecided::Unreadable { side, what },
    }
}

fn spaceless(text: &str) -> String {
    text.split_whitespace().collect()
}

/// The beginning of a text.
fn shown(text: &str) -> String {
    const LONGEST: usize = 200;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// The exact value where there is one, else the tree.
fn normal_form(node: &Node) -> String {
    let mut steps = Steps::new();
    match exact(node, &mut steps) {
        Ok(Some(value)) => shown(&value.to_string()),
        _ => shown(&node.to_string()),
    }
}

/// Why a side has no value, as an outcome.
pub(super) fn stopped(side: Side, stop: Stop) -> Undecided {
    match stop {
        Stop::Undefined(what) => Undecided::Undefined { side, what },
        Stop::TooLarge(TooLarge::Steps) => Undecided::TooLarge(TooLarge::Steps),
        Stop::TooLarge(what) => Undecided::Unwieldy { side, what },
    }
}

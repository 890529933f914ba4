//! Where in a completion its answer stands: the last box, the part after `####`, the part after "the answer is", the last line, all of
//! it. It finds text only; what the text means is a checker's.

/// A way to find the answer in a completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extract {
    /// The content of the last `\boxed{..}` or `\fbox{..}` whose braces are balanced.
    Boxed,
    /// What follows the last `####` on its line.
    Hashes,
    /// What follows the last "answer is", "answer:" or "answer =" on its line.
    Phrase,
    /// The last line that is not blank.
    LastLine,
    /// The whole completion without white space around.
    Whole,
}

impl Extract {
    /// The order that suits free text: the surest mark first.
    pub const USUAL: [Self; 4] = [Self::Boxed, Self::Hashes, Self::Phrase, Self::LastLine];

    /// The answer found this way, without white space around; never empty.
    #[must_use]
    pub fn find(self, text: &str) -> Option<&str> {
        let found = match self {
            Self::Boxed => boxed(text)?,
            Self::Hashes => first_line(&text[text.rfind("####")? + 4..]),
            Self::Phrase => phrase(text)?,
            Self::LastLine => text.lines().rev().find(|line| !line.trim().is_empty())?,
            Self::Whole => text,
        };
        let found = found.trim();
        (!found.is_empty()).then_some(found)
    }
}

/// An answer and the way it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found<'a> {
    pub text: &'a str,
    pub way: Extract,
}

/// The answer by the first of the ways that finds one.
#[must_use]
pub fn find<'a>(ways: &[Extract], text: &'a str) -> Option<Found<'a>> {
    ways.iter().find_map(|way| way.find(text).map(|text| Found { text, way: *way }))
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// One pass from the front; boxes within boxes belong to the outer one.
fn boxed(text: &str) -> Option<&str> {
    let (mut last, mut at) = (None, 0);
    while let Some(found) = text[at..].find("boxed").map(|found| found + at) {
        at = found + "boxed".len();
        if !text[..found].ends_with('\\') {
            continue;
        }
        let rest = text[at..].trim_start();
        let Some(inner) = rest.strip_prefix('{') else { continue };
        let from = text.len() - inner.len();
        match closing(inner) {
            Some(end) => {
                last = Some(&inner[..end]);
                at = from + end;
            }
            // No later box within this one can be told from the text.
            None => break,
        }
    }
    last
}

/// Where the brace that is open before the text closes; escaped braces do not count.
fn closing(text: &str) -> Option<usize> {
    let (mut depth, mut escaped) = (0usize, false);
    for (at, c) in text.char_indices() {
        match c {
            '{' if !escaped => depth += 1,
            '}' if !escaped && depth == 0 => return Some(at),
            '}' if !escaped => depth -= 1,
            _ => {}
        }
        escaped = c == '\\' && !escaped;
    }
    None
}

/// After the last "answer is" and its like, without the stop at the end of the sentence.
fn phrase(text: &str) -> Option<&str> {
    // ASCII letters only change, so the places in both are the same.
    let small = text.to_ascii_lowercase();
    let mut end = small.len();
    while let Some(at) = small[..end].rfind("answer") {
        let rest = &text[at + "answer".len()..];
        let after = rest.trim_start_matches(['*', ' ', '_']);
        let begins = |mark: &&str| after.get(..mark.len()).is_some_and(|start| start.eq_ignore_ascii_case(mark));
        if let Some(mark) = ["is:", "is ", "is\n", ":", "="].into_iter().find(begins) {
            let line = after[mark.len()..].trim_start_matches(['*', ' ', ':', '_', '\n']);
            return Some(first_line(line).trim_end_matches(['*', ' ', '_', '.']));
        }
        end = at;
    }
    None
}

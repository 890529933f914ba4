//! Exact checkers: what counts as the right answer, and what to tell people about a wrong one.

use crate::trajectory::Verdict;

/// Passes if the first integer in the completion, commas left out, equals the answer.
pub(super) fn first_integer(answer: &str, completion: &str) -> Verdict {
    let answer = answer.trim();
    match find_integer(completion) {
        Some(found) if found == answer => pass(&found),
        Some(found) => fail(&format!("first number is {found}, not {answer}")),
        None => fail(&format!("no number in {:?}; the answer is {answer}", clip(completion))),
    }
}

/// Passes if the completion, without surrounding space, dots and quotes and in lower case, equals the answer.
pub(super) fn word(answer: &str, completion: &str) -> Verdict {
    compare(answer.trim(), &read_word(completion))
}

/// The completion without surrounding space, dots and quotes, in lower case.
pub(super) fn read_word(completion: &str) -> String {
    completion.trim().trim_matches(['.', '"', '\'']).to_lowercase()
}

/// What the last line that is not empty says behind its last `=`, without space.
pub(super) fn read_last_line(completion: &str) -> String {
    let last = completion.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    last.rsplit('=').next().unwrap_or_default().trim().trim_end_matches('.').split_whitespace().collect()
}

/// The text, if there is any.
pub(super) fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// Passes if the completion equals the answer but for surrounding space.
pub(super) fn exact(answer: &str, completion: &str) -> Verdict {
    compare(answer.trim(), completion.trim())
}

fn compare(answer: &str, read: &str) -> Verdict {
    if read == answer { pass(read) } else { fail(&format!("read {:?}, not {answer:?}", clip(read))) }
}

/// The first run of digits, with its minus sign and without leading zeros.
pub(super) fn find_integer(text: &str) -> Option<String> {
    let text = text.replace(',', "");
    let start = text.find(|c: char| c.is_ascii_digit())?;
    let digits: String = text[start..].chars().take_while(char::is_ascii_digit).collect();
    let significant = digits.trim_start_matches('0');
    let significant = if significant.is_empty() { "0" } else { significant };
    let minus = if text[..start].ends_with('-') && significant != "0" { "-" } else { "" };
    Some(format!("{minus}{significant}"))
}

pub(super) fn pass(read: &str) -> Verdict {
    Verdict::pass(format!("read {read}"))
}

pub(super) fn fail(reason: &str) -> Verdict {
    Verdict::fail(reason)
}

pub(super) fn clip(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trajectory::Outcome;

    #[test]
    fn the_first_integer_decides() {
        let cases =
            [(" 94", true), (" 94 is the largest", true), ("It is 94.", true), (" 094", true), (" 9, 4", false)];
        for (completion, right) in cases {
            let verdict = first_integer(" 94", completion);
            assert_eq!(verdict.outcome == Outcome::Pass, right, "{completion:?}: {}", verdict.reason);
        }
        for wrong in ["-94", "949", "9 4", "ninety-four", "", "93 or 94"] {
            assert_eq!(first_integer(" 94", wrong).outcome, Outcome::Fail, "{wrong:?}");
        }
    }

    #[test]
    fn words_lose_dots_and_quotes_and_digits_lose_only_space() {
        assert_eq!(word(" d", " \"D\".").outcome, Outcome::Pass);
        assert_eq!(word(" d", " D.").outcome, Outcome::Pass);
        assert_eq!(word(" d", " d, m").outcome, Outcome::Fail);
        assert_eq!(exact("012359", " 012359\n").outcome, Outcome::Pass);
        assert_eq!(exact("012359", "12359").outcome, Outcome::Fail);
    }
}

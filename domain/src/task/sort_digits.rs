//! Digits in ascending order, for character models: `352910>` is answered by `012359`.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::split::{Part, Space};
use super::{Draft, Family, check};
use crate::trajectory::Verdict;

pub(super) fn draw(rng: &mut ChaCha8Rng, digits: usize) -> Draft {
    let drawn: Vec<u8> = (0..digits).map(|_| b'0' + rng.random_range(0..10u8)).collect();
    let mut sorted = drawn.clone();
    sorted.sort_unstable();
    let text = |bytes: &[u8]| bytes.iter().copied().map(char::from).collect::<String>();
    Draft { canonical: text(&sorted), prompt: format!("{}>", text(&drawn)), answer: text(&sorted) }
}

pub(super) fn space(family: Family, part: Part, digits: usize) -> Space {
    let mut all = Vec::new();
    multisets(&mut String::new(), digits, &mut all);
    Space::count(
        family,
        part,
        all.into_iter().map(|form| {
            let orderings = orderings(&form);
            (form, orderings)
        }),
    )
}

/// All ascending digit strings that start with `prefix` and have `digits` more digits.
fn multisets(prefix: &mut String, digits: usize, into: &mut Vec<String>) {
    if digits == 0 {
        into.push(prefix.clone());
        return;
    }
    for digit in prefix.chars().last().unwrap_or('0')..='9' {
        prefix.push(digit);
        multisets(prefix, digits - 1, into);
        prefix.pop();
    }
}

/// The multinomial coefficient: different orderings of a multiset of digits.
fn orderings(form: &str) -> u64 {
    let factorial = |n: usize| (1..=n as u64).product::<u64>();
    let repeats: u64 = ('0'..='9').map(|d| factorial(form.chars().filter(|c| *c == d).count())).product();
    factorial(form.len()) / repeats
}

/// Whether every digit so far is the one that comes next.
pub(super) fn check_working(sorted: &str, so_far: &str) -> Verdict {
    let wrong = so_far.trim().chars().zip(sorted.chars()).position(|(written, next)| written != next);
    match wrong {
        Some(place) => check::fail(&format!("digit {} is not the one that comes next", place + 1)),
        None if so_far.trim().len() > sorted.len() => check::fail("there are more digits than were given"),
        None => Verdict::pass("all digits so far come next"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trajectory::Outcome;

    #[test]
    fn the_counted_space_is_every_digit_string() {
        for (digits, strings, forms) in [(3, 1000, 220), (6, 1_000_000, 5005)] {
            let mut all = Vec::new();
            multisets(&mut String::new(), digits, &mut all);
            assert_eq!(all.len(), forms);
            assert_eq!(all.iter().map(|form| orderings(form)).sum::<u64>(), strings);
        }
    }

    #[test]
    fn a_part_of_an_answer_is_checked_digit_by_digit() {
        let checked = |so_far: &str| check_working("012359", so_far).outcome;
        assert!(["", "0", "0123", "012359", "012359\n"].iter().all(|text| checked(text) == Outcome::Pass));
        assert!(["1", "0133", "0123599", "01235x"].iter().all(|text| checked(text) == Outcome::Fail));
    }
}

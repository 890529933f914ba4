//! Answers whose truth is known: the right answer of a problem, and one like it that is wrong. Judges are measured on them before
//! their verdicts count, and canaries are such answers in the midst of the work. Pure: the same seed makes the same items.
//!
//! What is right is decided by whoever calls, by a rule that it trusts; an answer on which the rule does not decide is never made an item.

use std::collections::BTreeSet;

use galapagos_domain::seed::Seed;
use galapagos_domain::trajectory::Outcome;
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// Programs that end as if all were well before anything was tested, or do nothing: no test that looks at results passes them. Fenced,
/// so that they are whole programs wherever answers go on from the question.
pub const WRONG_PROGRAMS: [&str; 3] = [
    "```python\nimport os\nos._exit(0)\n```",
    "```python\nraise SystemExit(0)\n```",
    "```python\nimport sys\nsys.modules['__main__'].passed = True\n```",
];

/// An answer whose truth is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Place of its problem among those that were given.
    pub place: usize,
    pub answer: String,
    pub right: bool,
}

/// A right and a wrong answer to the same problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    pub place: usize,
    pub right: String,
    pub wrong: String,
}

/// What is known of an answer to the problem at a place.
pub type Truth<'a> = dyn Fn(usize, &str) -> Outcome + 'a;

/// How often each way to spoil an answer is tried.
const TRIES: u32 = 4;

/// `count` items, half of them right (of an odd number the one more), of as many different problems as there are; in a drawn order.
/// `expected` are the problems' right answers. Fewer, and still as many right as wrong or one more, if not enough problems have a right
/// and a wrong answer that `truth` decides on.
#[must_use]
pub fn items(expected: &[&str], count: usize, seed: Seed, truth: &Truth<'_>) -> Vec<Known> {
    let pairs = pairs(expected, count, seed, truth);
    let mut rng = seed.derive("known/order").stream();
    let right = |Pair { place, right, .. }: &Pair| Known { place: *place, answer: right.clone(), right: true };
    let wrong = |Pair { place, wrong, .. }: &Pair| Known { place: *place, answer: wrong.clone(), right: false };
    // Each problem once, then, where there are too few, each with its other answer.
    let first = pairs.iter().enumerate().map(|(i, pair)| if i % 2 == 0 { right(pair) } else { wrong(pair) });
    let second = pairs.iter().enumerate().map(|(i, pair)| if i % 2 == 0 { wrong(pair) } else { right(pair) });
    let (mut rights, mut wrongs): (Vec<Known>, Vec<Known>) = first.chain(second).partition(|known| known.right);
    rights.truncate(count.div_ceil(2));
    wrongs.truncate(count / 2);
    let mut items = [rights, wrongs].concat();
    items.shuffle(&mut rng);
    items
}

/// Up to `count` pairs of different problems, in a drawn order.
#[must_use]
pub fn pairs(expected: &[&str], count: usize, seed: Seed, truth: &Truth<'_>) -> Vec<Pair> {
    let mut places: Vec<usize> = (0..expected.len()).collect();
    places.shuffle(&mut seed.derive("known/places").stream());
    places.into_iter().filter_map(|place| pair(expected, place, seed, truth)).take(count).collect()
}

/// The pair of the problem at `place`; `None` if its own answer does not pass, or nothing was found that fails.
#[must_use]
pub fn pair(expected: &[&str], place: usize, seed: Seed, truth: &Truth<'_>) -> Option<Pair> {
    let right = *expected.get(place)?;
    if truth(place, right) != Outcome::Pass {
        return None;
    }
    let wrong = wrong(expected, place, seed, truth)?;
    Some(Pair { place, right: right.to_owned(), wrong })
}

/// A wrong answer to the problem at `place` that looks like a right one: that of another problem, or its own with a digit or two letters
/// changed; where all of these are right, or undecided, one that is cut short. `None` if that is no wrong answer either.
#[must_use]
pub fn wrong(expected: &[&str], place: usize, seed: Seed, truth: &Truth<'_>) -> Option<String> {
    let right = *expected.get(place)?;
    let mut rng = seed.derive(&format!("known/wrong/{place}")).stream();
    let mut ways = [Spoil::Other, Spoil::Digit, Spoil::Swap];
    ways.shuffle(&mut rng);
    let mut tried = BTreeSet::from([right.to_owned()]);
    for way in ways.into_iter().chain([Spoil::Cut]) {
        for _ in 0..TRIES {
            let Some(spoilt) = way.spoil(expected, right, &mut rng) else { break };
            if spoilt.trim() != right.trim() && tried.insert(spoilt.clone()) && truth(place, &spoilt) == Outcome::Fail {
                return Some(spoilt);
            }
        }
    }
    None
}

/// A way to make a right answer wrong.
#[derive(Debug, Clone, Copy)]
enum Spoil {
    /// The answer of another problem.
    Other,
    /// Another digit in its last number.
    Digit,
    /// Two neighbouring characters change places.
    Swap,
    /// Its last character is missing.
    Cut,
}

impl Spoil {
    fn spoil(self, expected: &[&str], right: &str, rng: &mut ChaCha8Rng) -> Option<String> {
        match self {
            Self::Other => {
                let other = rng.random_range(0..expected.len());
                Some(expected[other].to_owned())
            }
            Self::Digit => digit(right, rng),
            Self::Swap => swap(right, rng),
            Self::Cut => {
                let trimmed = right.trim_end();
                let (last, _) = trimmed.char_indices().next_back()?;
                Some(trimmed[..last].to_owned())
            }
        }
    }
}

/// Another digit somewhere in the last run of digits; its first does not become 0 unless it stands alone.
fn digit(text: &str, rng: &mut ChaCha8Rng) -> Option<String> {
    let mut bytes = text.as_bytes().to_vec();
    let end = bytes.iter().rposition(u8::is_ascii_digit)?;
    let start = bytes[..end].iter().rposition(|byte| !byte.is_ascii_digit()).map_or(0, |before| before + 1);
    let at = rng.random_range(start..=end);
    let least = u8::from(at == start && start < end);
    let others: Vec<u8> = (b'0' + least..=b'9').filter(|other| *other != bytes[at]).collect();
    bytes[at] = others[rng.random_range(0..others.len())];
    String::from_utf8(bytes).ok()
}

/// Two neighbouring characters that differ, neither of them space, change places.
fn swap(text: &str, rng: &mut ChaCha8Rng) -> Option<String> {
    let mut characters: Vec<char> = text.chars().collect();
    let differ = |at: &usize| {
        let (a, b) = (characters[*at], characters[at + 1]);
        a != b && !a.is_whitespace() && !b.is_whitespace()
    };
    let places: Vec<usize> = (0..characters.len().saturating_sub(1)).filter(differ).collect();
    if places.is_empty() {
        return None;
    }
    let at = places[rng.random_range(0..places.len())];
    characters.swap(at, at + 1);
    Some(characters.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use galapagos_domain::recipe::tasks::{Builtin, Split};
    use galapagos_domain::task::{Family, Problem, TaskSetData};
    use proptest::prelude::*;

    use super::*;

    fn problems(family: Family, train: u32) -> Vec<Problem> {
        let source = Builtin { train, ..Builtin::of(family) };
        TaskSetData::generate(&source, Split::Train, Seed(5)).unwrap().problems().to_vec()
    }

    fn truth_of(family: Family, problems: &[Problem]) -> impl Fn(usize, &str) -> Outcome {
        move |place, answer| family.verify(&problems[place], answer).outcome
    }

    fn expected(problems: &[Problem]) -> Vec<&str> {
        problems.iter().map(|problem| problem.answer.as_str()).collect()
    }

    #[test]
    fn every_family_has_right_and_wrong_answers() {
        for family in Family::ALL {
            let problems = problems(family, 20);
            let truth = truth_of(family, &problems);
            let items = items(&expected(&problems), 16, Seed(3), &truth);
            assert_eq!(items.len(), 16, "{family}");
            assert_eq!(items.iter().filter(|known| known.right).count(), 8, "{family}");
            let places: BTreeSet<_> = items.iter().map(|known| known.place).collect();
            assert_eq!(places.len(), 16, "{family}: every item is of another problem");
            for Known { place, answer, right } in &items {
                let wanted = if *right { Outcome::Pass } else { Outcome::Fail };
                assert_eq!(truth(*place, answer), wanted, "{family}: {answer:?}");
            }
        }
    }

    #[test]
    fn few_problems_give_each_both_of_their_answers_and_no_more() {
        let family = Family::of_name("arithmetic_steps").unwrap();
        let problems = problems(family, 3);
        let truth = truth_of(family, &problems);
        let made = items(&expected(&problems), 16, Seed(3), &truth);
        assert_eq!(made.iter().filter(|known| known.right).count(), 3);
        assert_eq!(made.len(), 6);
        let alone = [problems[0].answer.as_str()];
        assert_eq!(items(&alone, 5, Seed(3), &truth).len(), 2, "a single problem's answer is spoilt itself");
        assert_eq!(items(&expected(&problems), 0, Seed(3), &truth), []);
        assert_eq!(items(&[], 4, Seed(3), &truth), []);
    }

    #[test]
    fn what_the_rule_does_not_decide_on_is_no_item() {
        let undecided = |_: usize, answer: &str| match answer {
            "7" => Outcome::Pass,
            "no rule" => Outcome::Error,
            _ => Outcome::Suspect,
        };
        assert_eq!(pair(&["7", "8"], 0, Seed(1), &undecided), None, "nothing that is shown wrong");
        assert_eq!(pair(&["no rule", "8"], 0, Seed(1), &|_, answer| undecided(0, answer)), None);
        assert_eq!(items(&["7", "no rule"], 4, Seed(1), &undecided), []);
    }

    proptest! {
        #[test]
        fn wrong_answers_are_wrong_and_a_seed_makes_them_again(texts in prop::collection::vec("[a-z0-9 ]{1,6}", 1..8), seed: u64) {
            let expected: Vec<&str> = texts.iter().map(String::as_str).collect();
            let truth = |place: usize, answer: &str| {
                if answer.trim() == texts[place].trim() { Outcome::Pass } else { Outcome::Fail }
            };
            let made = items(&expected, 6, Seed(seed), &truth);
            for Known { place, answer, right } in &made {
                prop_assert_eq!(answer.trim() == texts[*place].trim(), *right);
            }
            let rights = made.iter().filter(|known| known.right).count();
            prop_assert!(made.len() <= 6 && (made.len() - rights..=made.len() - rights + 1).contains(&rights));
            prop_assert_eq!(made, items(&expected, 6, Seed(seed), &truth));
        }
    }
}

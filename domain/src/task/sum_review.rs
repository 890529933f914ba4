//! Review of sums: some of a few short sums are wrong. The answer lists the letters of the wrong ones, then how many are right: a score
//! with its reasons, so that judges can be trained and their reasons measured.
//!
//! How many are wrong is drawn evenly from none to all. The score decides; [`defects`] compares the reasons.

use std::collections::BTreeSet;

use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::shape::{self, ShapeFault};
use super::{Draft, check};
use crate::trajectory::{Outcome, Verdict};

/// What instances look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shape {
    /// Fewest and most sums, 1 to 9.
    pub count: (u32, u32),
    /// Fewest and most digits of a number, 1 to 6.
    pub digits: (u32, u32),
    /// Whether demonstrations list the wrong sums before the score. Without, they give the score alone; an answer may list them in any case.
    pub reasons: bool,
}

impl Shape {
    /// What holds where nothing is said.
    pub const DEFAULT: Self = Self { count: (3, 5), digits: (1, 2), reasons: true };

    /// What is out of range.
    pub(super) fn faults(self) -> Vec<ShapeFault> {
        let faults = [shape::range("count", self.count, &(1..=9)), shape::range("digits", self.digits, &(1..=6))];
        faults.into_iter().flatten().collect()
    }

    /// The shape, or the default if it is out of range.
    fn or_default(self) -> Self {
        if self.faults().is_empty() { self } else { Self::DEFAULT }
    }

    /// Characters of the longest prompt and of the longest answer.
    pub(super) fn longest(self) -> (u32, u32) {
        let Self { count: (_, count), digits: (_, digits), .. } = self.or_default();
        // A letter, a space, two numbers with their sign, a result one digit longer; a space between two.
        let sum = 2 + 2 * digits + 2 + digits + 1;
        (3 + count * sum + (count - 1) + 3, 1 + count + 2)
    }
}

impl Default for Shape {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// One sum as it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sum {
    a: u32,
    plus: bool,
    b: u32,
    shown: u32,
}

impl Sum {
    fn is_right(self) -> bool {
        let Self { a, plus, b, shown } = self;
        if plus { a.checked_add(b) == Some(shown) } else { a.checked_sub(b) == Some(shown) }
    }

    fn draw(rng: &mut ChaCha8Rng, digits: (u32, u32)) -> Self {
        let number = |rng: &mut ChaCha8Rng| {
            let digits = rng.random_range(digits.0..=digits.1);
            rng.random_range(if digits == 1 { 1 } else { 10u32.pow(digits - 1) }..10u32.pow(digits))
        };
        let (a, b, plus) = (number(rng), number(rng), rng.random_range(0..2) == 0);
        if plus {
            Self { a, plus, b, shown: a + b }
        } else {
            Self { a: a.max(b), plus, b: a.min(b), shown: a.abs_diff(b) }
        }
    }

    /// The same sum with a result that is off by 1 to 3.
    fn spoilt(self, rng: &mut ChaCha8Rng) -> Self {
        let off = rng.random_range(1..=3);
        let below = if rng.random_range(0..2) == 0 { self.shown.checked_sub(off) } else { None };
        Self { shown: below.unwrap_or(self.shown + off), ..self }
    }

    fn text(self) -> String {
        format!("{}{}{}={}", self.a, if self.plus { '+' } else { '-' }, self.b, self.shown)
    }

    fn parse(text: &str) -> Option<Self> {
        let (left, shown) = text.split_once('=')?;
        let at = left.find(['+', '-'])?;
        let (a, b) = (left[..at].parse().ok()?, left[at + 1..].parse().ok()?);
        Some(Self { a, plus: left[at..].starts_with('+'), b, shown: shown.parse().ok()? })
    }
}

/// The letters of a completion's reasons, and those of the sums that are wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defects {
    /// What was read before the score.
    pub listed: BTreeSet<char>,
    /// What is wrong.
    pub planted: BTreeSet<char>,
}

impl Defects {
    /// The harmonic mean of precision and recall; 1 where nothing is wrong and nothing is listed.
    #[must_use]
    pub fn f1(&self) -> f64 {
        let sizes = self.listed.len() + self.planted.len();
        if sizes == 0 {
            return 1.0;
        }
        2.0 * self.listed.intersection(&self.planted).count() as f64 / sizes as f64
    }
}

/// The defects that a completion lists, and those of the problem's prompt. `None` if that is no prompt of this family.
#[must_use]
pub fn defects(prompt: &str, completion: &str) -> Option<Defects> {
    let sums = sums(prompt)?;
    let planted = sums.iter().filter(|(_, sum)| !sum.is_right()).map(|(letter, _)| *letter).collect();
    let reasons = last_number(completion).map_or(completion, |(at, _)| &completion[..at]);
    let listed = reasons.chars().filter(char::is_ascii_lowercase).collect();
    Some(Defects { listed, planted })
}

fn sums(prompt: &str) -> Option<Vec<(char, Sum)>> {
    let question = prompt.strip_prefix("Q: ")?.split_once('\n')?.0;
    let words: Vec<&str> = question.split(' ').collect();
    let named = words.chunks(2).map(|pair| match pair {
        [letter, sum] => Some((letter.chars().next()?, Sum::parse(sum)?)),
        _ => None,
    });
    named.collect()
}

/// Where the last run of digits begins, and what it is without leading zeros.
fn last_number(text: &str) -> Option<(usize, String)> {
    let end = text.rfind(|character: char| character.is_ascii_digit())? + 1;
    let start = text[..end]
        .rfind(|character: char| !character.is_ascii_digit())
        .map_or(0, |at| at + text[at..].chars().next().map_or(1, char::len_utf8));
    check::find_integer(&text[start..end]).map(|number| (start, number))
}

/// A problem of the task family. Of a shape out of range, one of the default.
pub(super) fn draw(rng: &mut ChaCha8Rng, shape: Shape) -> Draft {
    let shape = shape.or_default();
    let count = rng.random_range(shape.count.0..=shape.count.1) as usize;
    let wrong = rng.random_range(0..=count);
    let mut places: Vec<usize> = (0..count).collect();
    places.shuffle(rng);
    places.truncate(wrong);
    let sums: Vec<Sum> = (0..count)
        .map(|place| {
            let sum = Sum::draw(rng, shape.digits);
            if places.contains(&place) { sum.spoilt(rng) } else { sum }
        })
        .collect();
    let named: Vec<String> = ('a'..).zip(&sums).map(|(letter, sum)| format!("{letter} {}", sum.text())).collect();
    let letters: String = ('a'..).zip(&sums).filter(|(_, sum)| !sum.is_right()).map(|(letter, _)| letter).collect();
    let reasons = if letters.is_empty() { "-".to_owned() } else { letters };
    let score = count - wrong;
    let answer = if shape.reasons { format!("{reasons} {score}") } else { score.to_string() };
    let mut canonical: Vec<String> = sums.iter().map(|sum| sum.text()).collect();
    canonical.sort_unstable();
    Draft::question(&named.join(" "), &answer, canonical.join(" "))
}

/// The last number decides; the verdict's score says how near it is, and the reason tells the reasons.
pub(super) fn verify(prompt: &str, completion: &str) -> Verdict {
    let Some(sums) = sums(prompt) else {
        return Verdict::new(Outcome::Error, format!("{:?} is no prompt of sum_review", check::clip(prompt)));
    };
    let right = sums.iter().filter(|(_, sum)| sum.is_right()).count().to_string();
    let f1 = defects(prompt, completion).map_or(0.0, |defects| defects.f1());
    match last_number(completion) {
        Some((_, read)) if read == right => {
            Verdict::pass(format!("the score read is {read}; F1 of the defects {f1:.2}")).scored(1.0)
        }
        Some((_, read)) => check::fail(&format!("the score read is {read}, not {right}; F1 of the defects {f1:.2}"))
            .scored(nearness(&read, &right, sums.len())),
        None => check::fail(&format!("no score in {:?}; it is {right}", check::clip(completion))),
    }
}

/// The sums listed so far are wrong ones; the verdict's score is the F1 of all that is listed.
pub(super) fn check_working(prompt: &str, so_far: &str) -> Verdict {
    let Some(defects) = defects(prompt, so_far) else {
        return Verdict::new(Outcome::Error, format!("{:?} is no prompt of sum_review", check::clip(prompt)));
    };
    let f1 = defects.f1();
    let verdict = match defects.listed.difference(&defects.planted).next() {
        Some(letter) => check::fail(&format!("{letter} is listed and is no wrong sum; F1 of the defects {f1:.2}")),
        None => Verdict::pass(format!("what is listed is wrong; F1 of the defects {f1:.2}")),
    };
    verdict.scored(f1 as f32)
}

/// How near a score is to the right one: 1 if it is it, 0 if it is as far off as a score of so many sums can be.
fn nearness(read: &str, right: &str, sums: usize) -> f32 {
    let (Ok(read), Ok(right)) = (read.parse::<f32>(), right.parse::<f32>()) else { return 0.0 };
    (1.0 - (read - right).abs() / sums.max(1) as f32).max(0.0)
}

/// The score.
pub(super) fn read(completion: &str) -> Option<String> {
    last_number(completion).map(|(_, number)| number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::seed::Seed;

    const PROMPT: &str = "Q: a 3+4=7 b 2+9=12 c 8-5=3\nA:";

    #[test]
    fn the_score_decides_and_the_reasons_are_measured() {
        let verdict = |text: &str| verify(PROMPT, text);
        for right in [" b 2", "2", " ac 02", "b, which is 12 and not 11: 2", "é2"] {
            assert_eq!(verdict(right).outcome, Outcome::Pass, "{right:?}: {}", verdict(right).reason);
        }
        for wrong in [" b 1", "", "b", " b 12", "2 b 3"] {
            assert_eq!(verdict(wrong).outcome, Outcome::Fail, "{wrong:?}: {}", verdict(wrong).reason);
        }
        let scores = [" b 2", " b 1", " abc 0", " 12", " b"].map(|text| verdict(text).score);
        assert_eq!(scores[..2], [Some(1.0), Some(1.0 - 1.0 / 3.0)]);
        assert!((scores[2].unwrap() - 1.0 / 3.0).abs() < 1e-6 && scores[3] == Some(0.0) && scores[4].is_none());
        let f1 = |text: &str| defects(PROMPT, text).unwrap().f1();
        assert_eq!([f1(" b 2"), f1(" bc 2"), f1(" - 2"), f1(" a 2"), f1(" b")], [1.0, 2.0 / 3.0, 0.0, 0.0, 1.0]);
        assert_eq!(defects("Q: a 1+1=2\nA:", " - 1").unwrap().f1(), 1.0);
        assert_eq!(defects("Q: a 1+1=2\nA:", " a 0").unwrap().f1(), 0.0);
        assert_eq!(defects("Q: Largest of 3\nA:", "3"), None);
    }

    #[test]
    fn the_working_is_what_is_listed() {
        let working = |text: &str| {
            let verdict = check_working(PROMPT, text);
            (verdict.outcome, verdict.score)
        };
        assert_eq!(working(" b 2"), (Outcome::Pass, Some(1.0)));
        assert_eq!(working(" b 1"), (Outcome::Pass, Some(1.0)), "the score is not looked at");
        assert_eq!(working(" b"), (Outcome::Pass, Some(1.0)));
        assert_eq!(working(" 2"), (Outcome::Pass, Some(0.0)), "nothing is listed");
        assert_eq!(working(" a"), (Outcome::Fail, Some(0.0)));
        assert_eq!(working(" bc 2"), (Outcome::Fail, Some(2.0 / 3.0)));
        assert_eq!(check_working("Q: Largest of 3\nA:", " 3").outcome, Outcome::Error);
    }

    #[test]
    fn without_reasons_the_same_items_are_scored_alone() {
        let (with, without) = (Shape::DEFAULT, Shape { reasons: false, ..Shape::DEFAULT });
        let (mut one, mut other) = (Seed(1).stream(), Seed(1).stream());
        for _ in 0..100 {
            let (full, short) = (draw(&mut one, with), draw(&mut other, without));
            assert_eq!((&full.prompt, &full.canonical), (&short.prompt, &short.canonical));
            assert_eq!(short.answer.trim(), full.answer.rsplit(' ').next().unwrap());
            assert_eq!(verify(&short.prompt, &short.answer).outcome, Outcome::Pass);
        }
    }

    #[test]
    fn every_number_of_defects_comes_up() {
        let shape = Shape { count: (4, 4), ..Shape::DEFAULT };
        let mut counts = [0; 5];
        let mut rng = Seed(1).stream();
        for _ in 0..1000 {
            let draft = draw(&mut rng, shape);
            counts[defects(&draft.prompt, "").unwrap().planted.len()] += 1;
        }
        assert!(counts.iter().all(|count| (140..=260).contains(count)), "even within five deviations: {counts:?}");
    }

    proptest! {
        #[test]
        fn answers_list_what_is_wrong(seed in 0u64.., least in 1u32..=9, digits in 1u32..=6) {
            let shape = Shape { count: (least, 9), digits: (1, digits), ..Shape::DEFAULT };
            let draft = draw(&mut Seed(seed).stream(), shape);
            let sums = sums(&draft.prompt).unwrap();
            let wrong: String = sums.iter().filter(|(_, sum)| !sum.is_right()).map(|(letter, _)| *letter).collect();
            let listed = if wrong.is_empty() { "-" } else { wrong.as_str() };
            prop_assert_eq!(&draft.answer, &format!(" {listed} {}", sums.len() - wrong.len()));
            prop_assert_eq!(verify(&draft.prompt, &draft.answer).outcome, Outcome::Pass);
            prop_assert_eq!(defects(&draft.prompt, &draft.answer).unwrap().f1(), 1.0);
            let (prompt, answer) = shape.longest();
            prop_assert!(draft.prompt.len() <= prompt as usize && draft.answer.len() <= answer as usize);
        }

        #[test]
        fn no_text_breaks_the_checker(text in "[-a-d0-9 é]{0,12}") {
            let _verdict = (verify(PROMPT, &text), read(&text));
        }
    }
}

//! Enumerable answers: each of a few contexts has a known law over a few short strings. What a model learns of demonstrations that are
//! drawn by it, and what a loss makes of that, can be compared with exact probabilities.
//!
//! A context's law is fixed by its number and the shape, whatever the seed of a run. Its most likely string is the right answer, with a
//! probability of 0.2 to 0.5; a runner-up comes next, as near as the shape says, and up to six others share the rest evenly.
//!
//! Here, and in no other family, all splits hold the same contexts: the question is what law a model has, not whether it goes on beyond
//! what it saw. A result on `test` therefore says nothing about generalisation.

use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::shape::{self, ShapeFault};
use super::split::{Part, Space};
use super::{Draft, check};
use crate::seed::Seed;
use crate::trajectory::{Outcome, Verdict};

/// What instances look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shape {
    /// Contexts, 1 to 10000.
    pub contexts: u32,
    /// Letters of the alphabet, 4 to 10.
    pub letters: u32,
    /// Fewest and most letters of an answer, 1 to 3.
    pub length: (u32, u32),
    /// Least and most percent of the right answer's probability that the runner-up has, 60 to 99. If nothing is said, it lies 0.3 to 0.9 of
    /// the way from an even share to the right answer's probability.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runner_up: Option<(u32, u32)>,
}

/// Strings that a context gives a probability to, if there are so many.
const SUPPORT: usize = 8;
/// Probability of the right answer, least and most.
const RIGHT: (f64, f64) = (0.2, 0.5);

impl Shape {
    /// What holds where nothing is said.
    pub const DEFAULT: Self = Self { contexts: 64, letters: 6, length: (1, 3), runner_up: None };

    /// What is out of range.
    pub(super) fn faults(self) -> Vec<ShapeFault> {
        let faults = [
            shape::whole("contexts", self.contexts, &(1..=10_000)),
            shape::whole("letters", self.letters, &(4..=10)),
            shape::range("length", self.length, &(1..=3)),
            // Below 60 a runner-up might be no likelier than the others.
            self.runner_up.and_then(|percent| shape::range("runner_up", percent, &(60..=99))),
        ];
        faults.into_iter().flatten().collect()
    }

    /// The shape, or the default if it is out of range.
    pub(super) fn or_default(self) -> Self {
        if self.faults().is_empty() { self } else { Self::DEFAULT }
    }

    /// Characters of the longest prompt and of the longest answer.
    pub(super) fn longest(self) -> (u32, u32) {
        let shape = self.or_default();
        (shape::digits(u64::from(shape.contexts - 1)) + 1, shape.length.1)
    }

    /// All strings, the shortest first.
    #[must_use]
    pub fn strings(self) -> Vec<String> {
        let shape = self.or_default();
        let (mut all, mut longest) = (Vec::new(), vec![String::new()]);
        for length in 1..=shape.length.1 {
            let longer = |text: &String| {
                let text = text.clone();
                ('a'..).take(shape.letters as usize).map(move |letter| format!("{text}{letter}"))
            };
            longest = longest.iter().flat_map(longer).collect();
            if length >= shape.length.0 {
                all.extend(longest.iter().cloned());
            }
        }
        all
    }
}

impl Default for Shape {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The law of a context, the most likely answer first: it is the right one. Probabilities add up to 1; what is not listed has none.
#[must_use]
pub fn law(shape: Shape, context: u32) -> Vec<(String, f64)> {
    let shape = shape.or_default();
    let (letters, (least, most)) = (shape.letters, shape.length);
    let seed = Seed(0).derive(&format!("enumerable/{letters}/{least}/{most}")).nth(u64::from(context));
    let mut rng = seed.stream();
    let mut strings = shape.strings();
    strings.shuffle(&mut rng);
    strings.truncate(SUPPORT);
    let others = strings.len() as f64 - 1.0;
    // With few strings the right one must be more likely than an even share of the rest.
    let low = RIGHT.0.max(1.5 / (others + 1.0));
    let right = low + (RIGHT.1 - low) * rng.random_range(0.0..1.0);
    let even = (1.0 - right) / others;
    let second = match shape.runner_up {
        None => even + (right - even) * rng.random_range(0.3..0.9),
        Some((least, most)) => right * rng.random_range(f64::from(least)..=f64::from(most)) / 100.0,
    };
    let rest = (1.0 - right - second) / (others - 1.0);
    strings.into_iter().zip([right, second].into_iter().chain(std::iter::repeat(rest))).collect()
}

/// The problem of a context, with its right answer.
pub(super) fn draft(shape: Shape, context: u32) -> Draft {
    let answer = law(shape, context).into_iter().next().map(|(answer, _)| answer).unwrap_or_default();
    Draft { canonical: context.to_string(), prompt: format!("{context}:"), answer }
}

/// The problem of a context, with an answer drawn by its law.
pub(super) fn demonstrated(shape: Shape, context: u32, rng: &mut ChaCha8Rng) -> Draft {
    let (law, mut left) = (law(shape, context), rng.random_range(0.0..1.0));
    let last = law.last().map(|(answer, _)| answer.clone());
    let drawn = law.into_iter().find(|(_, probability)| {
        left -= probability;
        left < 0.0
    });
    let answer = drawn.map(|(answer, _)| answer).or(last).unwrap_or_default();
    Draft { answer, ..draft(shape, context) }
}

/// Passes the right answer, whatever a demonstration says.
pub(super) fn verify(shape: Shape, canonical: &str, completion: &str) -> Verdict {
    match canonical.parse() {
        Ok(context) => check::exact(&draft(shape, context).answer, completion),
        Err(_) => Verdict::new(Outcome::Error, format!("{canonical:?} is no context of enumerable")),
    }
}

/// Every part holds every context; there are no examples to put before questions, as they would be answers to the questions.
pub(super) fn space(shape: Shape, part: Part) -> Space {
    let contexts = match part {
        Part::Train | Part::Val | Part::Test => u64::from(shape.or_default().contexts),
        Part::Shots => 0,
    };
    Space::Counted { forms: contexts, prompts: contexts }
}

/// Any problem of the task family.
pub(super) fn draw(rng: &mut ChaCha8Rng, shape: Shape) -> Draft {
    let shape = shape.or_default();
    draft(shape, rng.random_range(0..shape.contexts))
}

/// `count` different problems in an order given by `rng`; `count` is at most the number of contexts.
pub(super) fn problems(shape: Shape, count: usize, rng: &mut ChaCha8Rng) -> Vec<Draft> {
    let mut contexts: Vec<u32> = (0..shape.or_default().contexts).collect();
    contexts.shuffle(rng);
    contexts.into_iter().take(count).map(|context| draft(shape, context)).collect()
}

/// `count` demonstrations: every context as often as every other (but for one), in turn, each with an answer of its law.
pub(super) fn demonstrations(shape: Shape, count: usize, rng: &mut ChaCha8Rng) -> Vec<Draft> {
    let mut contexts: Vec<u32> = (0..shape.or_default().contexts).collect();
    contexts.shuffle(rng);
    contexts.into_iter().cycle().take(count).map(|context| demonstrated(shape, context, rng)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn strings_are_all_of_their_lengths() {
        let strings = Shape::DEFAULT.strings();
        assert_eq!(strings.len(), 6 + 36 + 216);
        assert_eq!(strings.iter().collect::<BTreeSet<_>>().len(), strings.len());
        assert_eq!(Shape { letters: 4, length: (1, 1), contexts: 1, ..Shape::DEFAULT }.strings(), ["a", "b", "c", "d"]);
        assert_eq!(Shape { letters: 4, length: (2, 2), contexts: 1, ..Shape::DEFAULT }.strings().len(), 16);
    }

    #[test]
    fn the_first_law_is_what_it_was() {
        let law = law(Shape::DEFAULT, 0);
        let shown: Vec<String> = law.iter().map(|(answer, probability)| format!("{answer} {probability:.4}")).collect();
        let changed = "a law that changes makes results of other days incomparable";
        assert_eq!(shown[..3], ["bab 0.2439", "fe 0.1751", "ecc 0.0968"], "{changed}");
    }

    #[test]
    fn demonstrations_follow_the_law() {
        let shape = Shape { contexts: 3, ..Shape::DEFAULT };
        let drawn = demonstrations(shape, 12_000, &mut Seed(1).stream());
        for context in 0..3 {
            let mut counts: BTreeMap<&str, f64> = BTreeMap::new();
            let own = drawn.iter().filter(|draft| draft.canonical == context.to_string());
            own.for_each(|draft| *counts.entry(&draft.answer).or_default() += 1.0);
            assert_eq!(counts.values().sum::<f64>(), 4000.0, "in turn");
            for (answer, probability) in law(shape, context) {
                let (seen, deviation) = (
                    counts.remove(answer.as_str()).unwrap_or(0.0),
                    (4000.0 * probability * (1.0 - probability)).sqrt(),
                );
                assert!(
                    (seen - 4000.0 * probability).abs() < 5.0 * deviation,
                    "{context} {answer}: {seen} of {probability}"
                );
            }
            assert!(counts.is_empty(), "outside of the law: {counts:?}");
        }
    }

    proptest! {
        #[test]
        fn laws_are_laws_with_one_mode(
            context in 0u32..10_000,
            letters in 4u32..=10,
            (least, more) in (1u32..=3, 0u32..=2),
            runner_up in prop::option::of((60u32..=99, 0u32..=39)),
        ) {
            let runner_up = runner_up.map(|(from, more)| (from, (from + more).min(99)));
            let shape = Shape { contexts: 10_000, letters, length: (least, (least + more).min(3)), runner_up };
            let law = law(shape, context);
            if let Some((from, to)) = runner_up {
                let percent = 100.0 * law[1].1 / law[0].1;
                prop_assert!(f64::from(from) - 1e-9 <= percent && percent <= f64::from(to) + 1e-9, "{:?}", law);
            }
            prop_assert!((law.iter().map(|(_, probability)| probability).sum::<f64>() - 1.0).abs() < 1e-12);
            prop_assert!(law[0].1 <= 0.5 && law[0].1 >= 0.2 && law[0].1 > law[1].1, "{:?}", law);
            prop_assert!(law[2..].iter().all(|(_, probability)| *probability < law[1].1 && *probability > 0.0), "{:?}", law);
            prop_assert_eq!(law.iter().map(|(answer, _)| answer).collect::<BTreeSet<_>>().len(), law.len());
            prop_assert_eq!(&law, &super::law(Shape { contexts: 3, ..shape }, context), "contexts do not change a law");
        }
    }
}

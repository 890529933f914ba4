//! Procedural tasks: seeded generators with exact checkers. A task is a pure function of (source, seed, split, index).
//!
//! Splits are disjoint by canonical problem: the canonical form (order-free where order does not matter) is hashed to a
//! part of the space, so no validation or test item is a reordering of a training item, whatever the seeds of two runs.

mod check;
mod first_in_alphabet;
mod five_numbers;
mod letters_in_word;
mod odd_one_out;
mod set;
mod sort_digits;
mod split;
mod words;

pub(crate) use set::check_sizes;
pub use set::{MAX_SPLIT, TaskError, TaskSetData, few_shot_prefix};

use std::collections::BTreeSet;
use std::fmt;

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::trajectory::Verdict;
use five_numbers::Wanted;
use split::{Part, Space};

/// A family of problems.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// The largest of five different numbers from 1 to 99.
    LargestOfFive,
    /// The smallest of five different numbers from 1 to 99.
    SmallestOfFive,
    /// The number of letters in an English word.
    LettersInWord,
    /// The first in the alphabet of four different letters.
    FirstInAlphabet,
    /// The word that stands once among four words, of which three are the same.
    OddOneOut,
    /// Six digits in ascending order.
    SortSixDigits,
    /// Three digits in ascending order: for tests that must be quick.
    SortThreeDigits,
}

/// One problem with its right answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Split and index, for example `train/17`.
    pub key: String,
    /// What the policy reads after the few-shot prefix.
    pub prompt: String,
    /// What a right completion starts with; the terminator follows it.
    pub answer: String,
    /// Equal for two problems that differ in order only.
    pub canonical: String,
}

impl Problem {
    /// The problem with its answer, as it stands in a few-shot prefix or in training text.
    #[must_use]
    pub fn solved(&self) -> String {
        format!("{}{}\n", self.prompt, self.answer)
    }
}

/// What a generator draws, before it has a place in a split.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Draft {
    canonical: String,
    prompt: String,
    answer: String,
}

impl Draft {
    /// The frame of the families that language models read.
    fn question(question: &str, answer: &str, canonical: String) -> Self {
        Self { canonical, prompt: format!("Q: {question}\nA:"), answer: format!(" {answer}") }
    }
}

impl Family {
    /// All families.
    pub const ALL: [Self; 7] = [
        Self::LargestOfFive,
        Self::SmallestOfFive,
        Self::LettersInWord,
        Self::FirstInAlphabet,
        Self::OddOneOut,
        Self::SortSixDigits,
        Self::SortThreeDigits,
    ];

    /// The name, as written in a recipe.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::LargestOfFive => "largest_of_five",
            Self::SmallestOfFive => "smallest_of_five",
            Self::LettersInWord => "letters_in_word",
            Self::FirstInAlphabet => "first_in_alphabet",
            Self::OddOneOut => "odd_one_out",
            Self::SortSixDigits => "sort_six_digits",
            Self::SortThreeDigits => "sort_three_digits",
        }
    }

    /// Longest useful completion in tokens, the terminator counted.
    #[must_use]
    pub fn max_tokens(self) -> u32 {
        match self {
            Self::LargestOfFive | Self::SmallestOfFive => 5,
            Self::LettersInWord => 4,
            Self::FirstInAlphabet => 3,
            Self::OddOneOut => 5,
            Self::SortSixDigits => 7,
            Self::SortThreeDigits => 4,
        }
    }

    /// The character that ends a completion.
    #[must_use]
    pub fn terminator(self) -> char {
        '\n'
    }

    /// Longest prompt and longest answer in characters: an upper bound of their tokens.
    #[must_use]
    pub fn longest(self) -> (u32, u32) {
        match self {
            Self::LargestOfFive => (35, 3),
            Self::SmallestOfFive => (36, 3),
            Self::LettersInWord => (6 + 26 + words::LONGEST, 2),
            Self::FirstInAlphabet => (6 + 33, 2),
            Self::OddOneOut => (6 + 13 + 4 * (words::LONGEST + 1), words::LONGEST + 1),
            Self::SortSixDigits => (7, 6),
            Self::SortThreeDigits => (4, 3),
        }
    }

    /// Every character that a prompt, an answer or the terminator may hold.
    #[must_use]
    pub fn characters(self) -> BTreeSet<char> {
        let text = match self {
            Self::LargestOfFive => "Q: Largest of 0123456789,\nA:",
            Self::SmallestOfFive => "Q: Smallest of 0123456789,\nA:",
            Self::LettersInWord => "Q: How many letters are in abcdefghijklmnopqrstuvwxyz?\nA: 0123456789",
            Self::FirstInAlphabet => "Q: First in the alphabet: abcdefghijklmnopqrstuvwxyz,\nA:",
            Self::OddOneOut => "Q: Odd one out: abcdefghijklmnopqrstuvwxyz\nA:",
            Self::SortSixDigits | Self::SortThreeDigits => "0123456789>\n",
        };
        text.chars().collect()
    }

    /// Decides whether `completion` solves `problem`, and says what was read.
    ///
    /// Number families read the first integer (commas left out), letter families the trimmed text without surrounding
    /// dots and quotes, digit families the trimmed text.
    #[must_use]
    pub fn verify(self, problem: &Problem, completion: &str) -> Verdict {
        match self {
            Self::LargestOfFive | Self::SmallestOfFive | Self::LettersInWord => {
                check::first_integer(&problem.answer, completion)
            }
            Self::FirstInAlphabet | Self::OddOneOut => check::word(&problem.answer, completion),
            Self::SortSixDigits | Self::SortThreeDigits => check::exact(&problem.answer, completion),
        }
    }

    /// What [`Family::verify`] reads of a completion, in one form: completions with the same reading are the same answer. `None` if there
    /// is nothing to read.
    #[must_use]
    pub fn read(self, completion: &str) -> Option<String> {
        match self {
            Self::LargestOfFive | Self::SmallestOfFive | Self::LettersInWord => check::find_integer(completion),
            Self::FirstInAlphabet | Self::OddOneOut => check::some(check::read_word(completion)),
            Self::SortSixDigits | Self::SortThreeDigits => check::some(completion.trim().to_owned()),
        }
    }

    fn draw(self, rng: &mut ChaCha8Rng) -> Draft {
        match self {
            Self::LargestOfFive => five_numbers::draw(rng, Wanted::Largest),
            Self::SmallestOfFive => five_numbers::draw(rng, Wanted::Smallest),
            Self::LettersInWord => letters_in_word::draw(rng),
            Self::FirstInAlphabet => first_in_alphabet::draw(rng),
            Self::OddOneOut => odd_one_out::draw(rng),
            Self::SortSixDigits => sort_digits::draw(rng, 6),
            Self::SortThreeDigits => sort_digits::draw(rng, 3),
        }
    }

    /// How many canonical forms and prompts a part of the family's space holds.
    fn space(self, part: Part) -> Space {
        match self {
            Self::LargestOfFive | Self::SmallestOfFive | Self::OddOneOut => Space::Vast,
            Self::LettersInWord => letters_in_word::space(self, part),
            Self::FirstInAlphabet => first_in_alphabet::space(self, part),
            Self::SortSixDigits => sort_digits::space(self, part, 6),
            Self::SortThreeDigits => sort_digits::space(self, part, 3),
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

//! Procedural tasks: seeded generators with exact checkers. A task is a pure function of (source, seed, split, index).
//!
//! Splits are disjoint by canonical problem: the canonical form (order-free where order does not matter) is hashed to a
//! part of the space, so no validation or test item is a reordering of a training item, whatever the seeds of two runs.

pub mod arithmetic;
mod check;
pub mod countdown;
pub mod countdown_steps;
pub mod dataset;
pub mod enumerable;
mod first_in_alphabet;
mod five_numbers;
mod instance;
pub mod leakage;
mod letters_in_word;
pub mod life;
pub mod list_program;
mod odd_one_out;
mod posed;
pub mod proposed;
pub mod rendered_sums;
mod rule;
mod set;
mod shape;
mod shown;
mod sort_digits;
mod split;
pub mod sum_review;
mod words;
mod written;

pub use instance::{NoInstance, draw_instance};
pub use rule::TaskRule;
pub(crate) use set::check_sizes;
pub use set::{MAX_SPLIT, TaskError, TaskSetData, few_shot_prefix};
pub use shape::ShapeFault;
pub(crate) use shown::{longest_begun, longest_taken_back, most_begun, styles};

use std::collections::BTreeSet;
use std::fmt;

use rand_chacha::ChaCha8Rng;

use crate::trajectory::Verdict;
use five_numbers::Wanted;
pub use split::Part;

/// A family of problems, with what its instances look like where that may be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
    /// An expression of a few given numbers that has a given value.
    Countdown(countdown::Shape),
    /// The same, one line for each operation; lines may be taken back.
    CountdownSteps(countdown::Shape),
    /// The value of a short expression, after one line for each operation.
    ArithmeticSteps(arithmetic::Shape),
    /// A program of the list language that does what two examples show.
    ListProgram(list_program::Shape),
    /// The next state of a small board of the game of life.
    LifeStep,
    /// The value of a sum that an image shows, after one line for each operation.
    RenderedSums(rendered_sums::Shape),
    /// Which of a few sums are wrong, and how many are right.
    SumReview(sum_review::Shape),
    /// A short string by a known law of its context.
    Enumerable(enumerable::Shape),
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
    /// All families, those with options with their defaults.
    pub const ALL: [Self; 15] = [
        Self::LargestOfFive,
        Self::SmallestOfFive,
        Self::LettersInWord,
        Self::FirstInAlphabet,
        Self::OddOneOut,
        Self::SortSixDigits,
        Self::SortThreeDigits,
        Self::Countdown(countdown::Shape::DEFAULT),
        Self::CountdownSteps(countdown::Shape::DEFAULT),
        Self::ArithmeticSteps(arithmetic::Shape::DEFAULT),
        Self::ListProgram(list_program::Shape::DEFAULT),
        Self::LifeStep,
        Self::RenderedSums(rendered_sums::Shape::DEFAULT),
        Self::SumReview(sum_review::Shape::DEFAULT),
        Self::Enumerable(enumerable::Shape::DEFAULT),
    ];

    /// Their names, in the same order.
    pub const WORDS: [&str; 15] = [
        "largest_of_five",
        "smallest_of_five",
        "letters_in_word",
        "first_in_alphabet",
        "odd_one_out",
        "sort_six_digits",
        "sort_three_digits",
        "countdown",
        "countdown_steps",
        "arithmetic_steps",
        "list_program",
        "life_step",
        "rendered_sums",
        "sum_review",
        "enumerable",
    ];

    /// The family of that name, with the defaults of its options.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.name() == name)
    }

    /// Options that are out of range. Nothing may be drawn of a family that has such.
    #[must_use]
    pub fn faults(self) -> Vec<ShapeFault> {
        match self {
            Self::Countdown(shape) | Self::CountdownSteps(shape) => shape.faults(),
            Self::ArithmeticSteps(shape) => shape.faults(),
            Self::RenderedSums(shape) => shape.faults(),
            Self::SumReview(shape) => shape.faults(),
            Self::Enumerable(shape) => shape.faults(),
            Self::ListProgram(shape) => shape.faults(),
            Self::LargestOfFive
            | Self::SmallestOfFive
            | Self::LettersInWord
            | Self::FirstInAlphabet
            | Self::OddOneOut
            | Self::SortSixDigits
            | Self::SortThreeDigits
            | Self::LifeStep => Vec::new(),
        }
    }

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
            Self::Countdown(_) => "countdown",
            Self::CountdownSteps(_) => "countdown_steps",
            Self::ArithmeticSteps(_) => "arithmetic_steps",
            Self::ListProgram(_) => "list_program",
            Self::LifeStep => "life_step",
            Self::RenderedSums(_) => "rendered_sums",
            Self::SumReview(_) => "sum_review",
            Self::Enumerable(_) => "enumerable",
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
            // A token a character is the worst that a tokenizer does with these.
            Self::Countdown(_)
            | Self::CountdownSteps(_)
            | Self::ArithmeticSteps(_)
            | Self::ListProgram(_)
            | Self::LifeStep
            | Self::RenderedSums(_)
            | Self::SumReview(_)
            | Self::Enumerable(_) => self.longest().1 + 1,
        }
    }

    /// The character that ends a completion; in no answer. Answers of several lines end with `#`, which is one token of every
    /// tokenizer that we know and has no part in arithmetic.
    #[must_use]
    pub fn terminator(self) -> char {
        match self {
            Self::LargestOfFive
            | Self::SmallestOfFive
            | Self::LettersInWord
            | Self::FirstInAlphabet
            | Self::OddOneOut
            | Self::SortSixDigits
            | Self::SortThreeDigits
            | Self::Countdown(_)
            | Self::ListProgram(_)
            | Self::LifeStep
            | Self::SumReview(_)
            | Self::Enumerable(_) => '\n',
            Self::ArithmeticSteps(_) | Self::CountdownSteps(_) | Self::RenderedSums(_) => '#',
        }
    }

    /// A problem with its answer, as it stands in a few-shot prefix: ended by the terminator, and by a line end in any case.
    #[must_use]
    pub fn solved(self, prompt: &str, answer: &str) -> String {
        match self.terminator() {
            '\n' => format!("{prompt}{answer}\n"),
            terminator => format!("{prompt}{answer}{terminator}\n"),
        }
    }

    /// Longest prompt and longest answer in characters, patches of images among them: an upper bound of their tokens.
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
            Self::Countdown(shape) => {
                let (target, numbers, expression) = shape.longest(2);
                (17 + target + numbers, 1 + expression)
            }
            Self::CountdownSteps(shape) => {
                let longest = countdown_steps::longest(shape);
                (longest.prompt, 1 + longest.search)
            }
            // One more than the longest answer: a solved example has a line end behind the terminator.
            Self::ArithmeticSteps(shape) => {
                let (expression, working) = shape.longest();
                (6 + expression, 2 + working)
            }
            Self::ListProgram(shape) => {
                let (shown, program) = shape.longest();
                (6 + shown, 1 + program)
            }
            Self::LifeStep => (43, 30),
            Self::RenderedSums(shape) => shape.longest(),
            Self::SumReview(shape) => shape.longest(),
            Self::Enumerable(shape) => shape.longest(),
        }
    }

    /// Every character that a prompt, an answer or the terminator may hold, but for the patches of images.
    #[must_use]
    pub fn characters(self) -> BTreeSet<char> {
        let text = match self {
            Self::LargestOfFive => "Q: Largest of 0123456789,\nA:",
            Self::SmallestOfFive => "Q: Smallest of 0123456789,\nA:",
            Self::LettersInWord => "Q: How many letters are in abcdefghijklmnopqrstuvwxyz?\nA: 0123456789",
            Self::FirstInAlphabet => "Q: First in the alphabet: abcdefghijklmnopqrstuvwxyz,\nA:",
            Self::OddOneOut => "Q: Odd one out: abcdefghijklmnopqrstuvwxyz\nA:",
            Self::SortSixDigits | Self::SortThreeDigits => "0123456789>\n",
            Self::Countdown(_) => "Q: Make from 0123456789,()+-*/\nA:",
            Self::CountdownSteps(_) => "0123456789: +-*/=\nundochek.#",
            Self::ArithmeticSteps(_) => "Q: 0123456789+-*=\nA:#",
            Self::ListProgram(_) => "Q: 0123456789abcdefghijklmnopqrstuvwxyz[],;+-*<>|\nA:",
            Self::LifeStep => "Q: Next of O./\nA:",
            Self::RenderedSums(_) => "Q: 0123456789+=\nA:#",
            Self::SumReview(_) => "Q: abcdefghi0123456789+-=\nA:",
            Self::Enumerable(_) => "0123456789:abcdefghij\n",
        };
        text.chars().collect()
    }

    /// Decides whether `completion` solves `problem`, and says what was read.
    ///
    /// Number families read the first integer (commas left out), letter families the trimmed text without surrounding
    /// dots and quotes, digit families the trimmed text. `countdown` takes any right expression, `countdown_steps` replays
    /// the lines, `arithmetic_steps` and `rendered_sums` read the last line, `list_program` runs the program on hidden examples, `life_step` reads the first word,
    /// `sum_review` the last number, `enumerable` the trimmed text.
    #[must_use]
    pub fn verify(self, problem: &Problem, completion: &str) -> Verdict {
        match self {
            Self::LargestOfFive | Self::SmallestOfFive | Self::LettersInWord => {
                check::first_integer(&problem.answer, completion)
            }
            Self::FirstInAlphabet | Self::OddOneOut => check::word(&problem.answer, completion),
            Self::SortSixDigits | Self::SortThreeDigits => check::exact(&problem.answer, completion),
            Self::Countdown(_) => countdown::verify(problem, completion),
            Self::CountdownSteps(_) => countdown_steps::verify(problem, completion),
            Self::ArithmeticSteps(_) => arithmetic::verify(&problem.answer, &problem.prompt, completion),
            Self::ListProgram(_) => list_program::verify(problem, completion),
            Self::LifeStep => life::verify(&problem.answer, completion),
            Self::RenderedSums(_) => rendered_sums::verify(&problem.answer, completion),
            Self::SumReview(_) => sum_review::verify(&problem.prompt, completion),
            Self::Enumerable(shape) => enumerable::verify(shape, &problem.canonical, completion),
        }
    }

    /// Whether the steps written so far can be done: lines of working, digits that come next, a program on the examples that are shown, reasons; `None`
    /// for families whose answers have no such thing. It may be asked of a part, and says nothing of where lines of countdown lead.
    #[must_use]
    pub fn check_working(self, problem: &Problem, so_far: &str) -> Option<Verdict> {
        match self {
            Self::CountdownSteps(_) => Some(countdown_steps::check(problem, so_far)),
            Self::ArithmeticSteps(_) => Some(arithmetic::check_working(&problem.prompt, so_far)),
            Self::RenderedSums(_) => Some(rendered_sums::check_working(&problem.answer, so_far)),
            Self::SortSixDigits | Self::SortThreeDigits => Some(sort_digits::check_working(&problem.answer, so_far)),
            Self::ListProgram(_) => Some(list_program::check_shown(problem, so_far)),
            Self::SumReview(_) => Some(sum_review::check_working(&problem.prompt, so_far)),
            Self::LargestOfFive
            | Self::SmallestOfFive
            | Self::LettersInWord
            | Self::FirstInAlphabet
            | Self::OddOneOut
            | Self::Countdown(_)
            | Self::LifeStep
            | Self::Enumerable(_) => None,
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
            Self::Countdown(_) | Self::ListProgram(_) => check::some(completion.split_whitespace().collect()),
            Self::CountdownSteps(_) => countdown_steps::read(completion),
            Self::ArithmeticSteps(_) | Self::RenderedSums(_) => check::some(check::read_last_line(completion)),
            Self::SumReview(_) => sum_review::read(completion),
            Self::Enumerable(_) => check::some(completion.trim().to_owned()),
            Self::LifeStep => completion.split_whitespace().next().map(str::to_owned),
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
            Self::Countdown(shape) => countdown::draw(rng, shape),
            Self::CountdownSteps(shape) => countdown_steps::draw(rng, shape),
            Self::ArithmeticSteps(shape) => arithmetic::draw(rng, shape),
            Self::ListProgram(shape) => list_program::draw(shape, rng),
            Self::LifeStep => life::draw(rng),
            Self::RenderedSums(shape) => rendered_sums::draw(rng, shape),
            Self::SumReview(shape) => sum_review::draw(rng, shape),
            Self::Enumerable(shape) => enumerable::draw(rng, shape),
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

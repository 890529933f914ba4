//! Which part of a space (a family's, an environment's) a canonical problem belongs to: a fixed function, independent of any seed,
//! so that no run can train on what another run is tested on.

use super::{
    Family, arithmetic, countdown, enumerable, first_in_alphabet, letters_in_word, list_program, shape, sort_digits,
    sum_review,
};
use crate::recipe::tasks::Split;

/// A part of a family's space. Training problems and demonstrations share one and differ by prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Half of all forms.
    Train,
    /// A fifth.
    Val,
    /// A fifth; sealed.
    Test,
    /// A tenth: solved examples in prompts.
    Shots,
}

impl Part {
    /// The part that a split takes its problems from.
    #[must_use]
    pub fn of_split(split: Split) -> Self {
        match split {
            Split::Train | Split::Demonstrations => Self::Train,
            Split::Val => Self::Val,
            Split::Test => Self::Test,
        }
    }

    /// [`Part::of`] in a family's space.
    pub(super) fn of_form(family: Family, canonical: &str) -> Self {
        Self::of(family.space_name(), canonical)
    }

    /// The part of `space` that a canonical form falls into: of ten equal buckets, two are test, two val, five train, one shots.
    #[must_use]
    pub fn of(space: &str, canonical: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(space.as_bytes());
        hasher.update(b":");
        hasher.update(canonical.as_bytes());
        let mut first = [0u8; 8];
        first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        match u64::from_le_bytes(first) % 10 {
            0 | 1 => Self::Test,
            2 | 3 => Self::Val,
            4 => Self::Shots,
            _ => Self::Train,
        }
    }

    /// The name, for messages.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::Test => "test",
            Self::Shots => "shots",
        }
    }
}

/// The size of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Space {
    Counted {
        /// Canonical forms.
        forms: u64,
        /// Prompts, all orderings counted.
        prompts: u64,
    },
    /// Not counted; so many may be asked for at least.
    Sampled {
        /// Canonical forms.
        forms: u64,
        /// Prompts.
        prompts: u64,
    },
    /// Far more than any split may ask for.
    Vast,
}

impl Space {
    /// Counts the `(canonical form, orderings)` pairs that fall into `part`.
    pub(super) fn count(family: Family, part: Part, all: impl Iterator<Item = (String, u64)>) -> Self {
        let (mut forms, mut prompts) = (0, 0);
        for (canonical, orderings) in all {
            if Part::of_form(family, &canonical) == part {
                forms += 1;
                prompts += orderings;
            }
        }
        Self::Counted { forms, prompts }
    }
}

impl Family {
    /// The space whose parts are the splits: families that ask the same question in two ways share one, and so do all shapes of a family.
    pub(super) fn space_name(self) -> &'static str {
        match self {
            Self::CountdownSteps(_) => "countdown",
            // A sum that is seen is the sum that is read.
            Self::RenderedSums(_) => "arithmetic_steps",
            Self::LargestOfFive
            | Self::SmallestOfFive
            | Self::LettersInWord
            | Self::FirstInAlphabet
            | Self::OddOneOut
            | Self::SortSixDigits
            | Self::SortThreeDigits
            | Self::Countdown(_)
            | Self::ArithmeticSteps(_)
            | Self::ListProgram(_)
            | Self::LifeStep
            | Self::SumReview(_)
            | Self::Enumerable(_) => self.name(),
        }
    }

    /// Whether all splits hold the same problems, because what is asked is the law of a model's answers and not what it makes of new
    /// problems: `enumerable` alone.
    #[must_use]
    pub fn shares_problems(self) -> bool {
        match self {
            Self::Enumerable(_) => true,
            Self::LargestOfFive
            | Self::SmallestOfFive
            | Self::LettersInWord
            | Self::FirstInAlphabet
            | Self::OddOneOut
            | Self::SortSixDigits
            | Self::SortThreeDigits
            | Self::Countdown(_)
            | Self::CountdownSteps(_)
            | Self::ArithmeticSteps(_)
            | Self::ListProgram(_)
            | Self::LifeStep
            | Self::RenderedSums(_)
            | Self::SumReview(_) => false,
        }
    }

    /// How many canonical forms and prompts a part of the family's space holds; where that is not counted, whether it holds `asked`.
    pub(super) fn space(self, part: Part, asked: u64) -> Space {
        match self {
            Self::LargestOfFive
            | Self::SmallestOfFive
            | Self::OddOneOut
            | Self::Countdown(countdown::Shape::DEFAULT)
            | Self::CountdownSteps(countdown::Shape::DEFAULT)
            | Self::ArithmeticSteps(arithmetic::Shape::DEFAULT)
            | Self::LifeStep
            | Self::SumReview(sum_review::Shape::DEFAULT) => Space::Vast,
            Self::Countdown(_)
            | Self::CountdownSteps(_)
            | Self::ArithmeticSteps(_)
            | Self::RenderedSums(_)
            | Self::SumReview(_) => shape::sampled(self, part, asked),
            Self::Enumerable(shape) => enumerable::space(shape, part),
            Self::LettersInWord => letters_in_word::space(self, part),
            Self::FirstInAlphabet => first_in_alphabet::space(self, part),
            Self::SortSixDigits => sort_digits::space(self, part, 6),
            Self::SortThreeDigits => sort_digits::space(self, part, 3),
            Self::ListProgram(list_program::Shape::DEFAULT) => list_program::space(),
            Self::ListProgram(_) => shape::sampled(self, part, asked),
        }
    }
}

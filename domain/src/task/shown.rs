//! How problems of a family are shown: what a prompt has begun already, and how demonstrations are worked. Neither changes a key or a
//! canonical form, so a split has the same problems however they are shown. Functions of the problem alone.

use super::countdown::Shape;
use super::countdown_steps::{self as steps, Asked, Ending, UNDO};
use super::{Draft, Family, arithmetic};
use crate::recipe::tasks::{Begun, Builtin, Split, Style, TakenBack};
use crate::seed::Seed;

/// The styles that demonstrations of the family can have.
pub(crate) fn styles(family: Family) -> &'static [Style] {
    if matches!(working(family), Working::Search(_)) {
        &[Style::Direct, Style::Wrong, Style::Search, Style::WrongSearch, Style::Filler]
    } else {
        &[Style::Direct]
    }
}

/// Most wrong lines that a prompt of the family may have begun: every problem has so many operations. `None` if answers have no working.
pub(crate) fn most_begun(family: Family) -> Option<u32> {
    match working(family) {
        Working::None => None,
        Working::Lines | Working::Search(_) => fewest_numbers(family).map(|fewest| fewest.saturating_sub(1)),
    }
}

/// Characters that begun lines add to a prompt and to an answer at most.
pub(crate) fn longest_begun(family: Family) -> (u32, u32) {
    match family {
        Family::ArithmeticSteps(shape) => (most_begun(family).unwrap_or(0) * (shape.longest_line() + 1) + 1, 0),
        Family::CountdownSteps(shape) => {
            let longest = steps::longest(shape);
            (longest.begun, longest.taken_back)
        }
        Family::LargestOfFive
        | Family::SmallestOfFive
        | Family::LettersInWord
        | Family::FirstInAlphabet
        | Family::OddOneOut
        | Family::SortSixDigits
        | Family::SortThreeDigits
        | Family::Countdown(_)
        | Family::ListProgram(_)
        | Family::LifeStep
        | Family::RenderedSums(_)
        | Family::SumReview(_)
        | Family::Enumerable(_) => (0, 0),
    }
}

/// Characters that searches with such dead ends add to an answer at most.
pub(crate) fn longest_taken_back(family: Family, taken_back: TakenBack) -> u32 {
    match (working(family), taken_back) {
        (Working::Search(shape), TakenBack::WhenPlayed) => steps::longest(shape).played,
        (Working::Search(_), TakenBack::AtOnce) | (Working::None | Working::Lines, _) => 0,
    }
}

/// What stands between a question and its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Working {
    None,
    /// Lines, of which the last decides.
    Lines,
    /// Lines that are replayed, and may be taken back, of problems of that shape.
    Search(Shape),
}

fn working(family: Family) -> Working {
    match family {
        Family::ArithmeticSteps(_) => Working::Lines,
        Family::CountdownSteps(shape) => Working::Search(shape),
        Family::LargestOfFive
        | Family::SmallestOfFive
        | Family::LettersInWord
        | Family::FirstInAlphabet
        | Family::OddOneOut
        | Family::SortSixDigits
        | Family::SortThreeDigits
        | Family::Countdown(_)
        | Family::ListProgram(_)
        | Family::LifeStep
        | Family::RenderedSums(_)
        | Family::SumReview(_)
        | Family::Enumerable(_) => Working::None,
    }
}

fn fewest_numbers(family: Family) -> Option<u32> {
    match family {
        Family::ArithmeticSteps(shape) => Some(shape.count.0),
        Family::CountdownSteps(shape) | Family::Countdown(shape) => Some(shape.count.0),
        Family::LargestOfFive
        | Family::SmallestOfFive
        | Family::LettersInWord
        | Family::FirstInAlphabet
        | Family::OddOneOut
        | Family::SortSixDigits
        | Family::SortThreeDigits
        | Family::ListProgram(_)
        | Family::LifeStep
        | Family::RenderedSums(_)
        | Family::SumReview(_)
        | Family::Enumerable(_) => None,
    }
}

impl Family {
    /// Whether its prompts hold images, which need a policy with a vision encoder.
    #[must_use]
    pub fn has_images(self) -> bool {
        match self {
            Self::RenderedSums(_) => true,
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
            | Self::SumReview(_)
            | Self::Enumerable(_) => false,
        }
    }
}

/// The problem as the task set shows it in a split. What validation refuses is left as it is.
pub(super) fn shown(source: &Builtin, split: Split, draft: Draft) -> Draft {
    let seed = Seed(0).derive(&draft.prompt);
    let worked = match (working(source.family), split) {
        (Working::Search(shape), Split::Demonstrations) => styled(draft, shape, source, seed.derive("style")),
        (Working::Search(_) | Working::Lines | Working::None, _) => draft,
    };
    match (source.begun, working(source.family)) {
        (Begun::None, _) | (Begun::WrongSteps(_), Working::None) => worked,
        (Begun::WrongSteps(wrong), Working::Lines) => begun_lines(worked, wrong, seed.derive("begun")),
        (Begun::WrongSteps(wrong), Working::Search(shape)) => begun_search(worked, shape, wrong, seed.derive("begun")),
    }
}

fn styled(draft: Draft, shape: Shape, source: &Builtin, seed: Seed) -> Draft {
    let Some((instance, _)) = steps::of_prompt(&draft.prompt) else { return draft };
    let (direct, rng) = (steps::steps_of(&draft.answer), &mut seed.stream());
    let asked = Asked { instance: &instance, operators: shape.operators(), taken_back: source.taken_back };
    let answer = match source.style {
        Style::Direct => draft.answer,
        Style::Wrong => steps::wrong(asked, rng),
        Style::Search => steps::search(asked, &direct, Ending::Right, rng),
        Style::WrongSearch => steps::search(asked, &direct, Ending::Wrong, rng),
        Style::Filler => steps::filler(asked, &direct, rng),
    };
    Draft { answer, ..draft }
}

/// The last line decides, so the right working may simply follow.
fn begun_lines(draft: Draft, wrong: u32, seed: Seed) -> Draft {
    let Ok(expression) = arithmetic::of_prompt(&draft.prompt) else { return draft };
    let lines = arithmetic::begin(&expression, wrong, &mut seed.stream());
    let prompt = format!("{} {}\n", draft.prompt, lines.join("\n"));
    Draft { prompt, answer: draft.answer.trim_start().to_owned(), canonical: draft.canonical }
}

/// What is begun must be taken back first.
fn begun_search(draft: Draft, shape: Shape, wrong: u32, seed: Seed) -> Draft {
    let Some((instance, _)) = steps::of_prompt(&draft.prompt) else { return draft };
    let begun = steps::begin((&instance, shape.operators()), wrong, &mut seed.stream());
    let lines: String = begun.iter().map(|step| format!("{}\n", steps::line(*step))).collect();
    let undone = format!("{UNDO}\n").repeat(begun.len());
    let (prompt, answer) = (format!("{}{lines}", draft.prompt), format!("{undone}{}", draft.answer));
    Draft { prompt, answer, canonical: draft.canonical }
}

#[cfg(test)]
mod tests;

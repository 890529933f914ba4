//! A program in plain words, with a phrase drawn for each stage: what a question tells before its examples.

use std::fmt::Write;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{Program, Stage};

/// Longest phrase with what joins it to the next, in characters.
pub(super) const LONGEST_PHRASE: u32 = 36;

/// What joins phrases.
const THEN: &str = ", then ";

/// Ends the words; no phrase has it.
pub(super) const END: &str = ". ";

/// The stages in words, in their order. Of two phrases for each stage one is drawn.
pub(super) fn tell(program: &Program, rng: &mut ChaCha8Rng) -> String {
    let mut words = String::new();
    for (at, stage) in program.stages().iter().enumerate() {
        let phrases = phrases(*stage);
        let phrase = &phrases[rng.random_range(0..phrases.len())];
        // Writing to a string does not fail.
        let _ = write!(words, "{}{phrase}", if at == 0 { "" } else { THEN });
    }
    words
}

/// Two ways to say what a stage does.
fn phrases(stage: Stage) -> [String; 2] {
    let say = |one: &str, other: &str| [one.to_owned(), other.to_owned()];
    match stage {
        Stage::Add(number) if number < 0 => {
            let number = number.unsigned_abs();
            [format!("lower each by {number}"), format!("subtract {number} from each")]
        }
        Stage::Add(number) => [format!("raise each by {number}"), format!("add {number} to each")],
        Stage::Multiply(number) => [format!("multiply each by {number}"), format!("make each {number} times itself")],
        Stage::Square => say("square each", "multiply each by itself"),
        Stage::Greater(number) => [format!("keep those above {number}"), format!("leave out all up to {number}")],
        Stage::Less(number) => [format!("keep those below {number}"), format!("leave out all from {number} on")],
        Stage::Even => say("keep the even ones", "leave out the odd ones"),
        Stage::Odd => say("keep the odd ones", "leave out the even ones"),
        Stage::Sort => say("sort them", "put the smaller ones first"),
        Stage::Reverse => say("turn them round", "read them from the end"),
        Stage::Take(count) => [format!("keep the first {count}"), format!("stop after {count}")],
        Stage::Drop(count) => [format!("leave out the first {count}"), format!("start behind {count}")],
        Stage::Unique => say("leave out repeats", "keep each number once"),
        Stage::Sums => say("make running sums", "add up as you go"),
        Stage::Repeat(count) => [format!("repeat all {count} times"), format!("write it {count} times")],
        Stage::Sum => say("add all up", "give the total"),
        Stage::Max => say("give the largest", "give the highest"),
        Stage::Min => say("give the smallest", "give the lowest"),
        Stage::Count => say("count them", "say how many there are"),
        Stage::First => say("give the first", "give what stands in front"),
        Stage::Last => say("give the last", "give what stands at the end"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::seed::Seed;

    #[test]
    fn words_follow_the_stages() {
        let program = Program::compile("filter even | take 2 | sum").unwrap();
        let told: Vec<String> = (0..20).map(|seed| tell(&program, &mut Seed(seed).stream())).collect();
        for text in [
            "keep the even ones, then keep the first 2, then add all up",
            "leave out the odd ones, then stop after 2, then give the total",
        ] {
            let parts: Vec<&str> = text.split(THEN).collect();
            for (at, part) in parts.iter().enumerate() {
                assert!(told.iter().any(|words| words.split(THEN).nth(at) == Some(part)), "{part}: {told:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn phrases_are_short_and_tell_stages_apart(seed in 0u64.., other in 0u64..) {
            let draw = |seed: u64| Program::draw(&mut Seed(seed).stream(), (1, 1), true);
            let (one, two) = (draw(seed), draw(other));
            for phrase in phrases(one.stages()[0]) {
                prop_assert!((phrase.len() + THEN.len()) as u32 <= LONGEST_PHRASE, "{phrase}");
                prop_assert!(!phrase.contains(END) && !phrase.contains(['[', ']', ';']), "{phrase}");
                prop_assert!(one == two || !phrases(two.stages()[0]).contains(&phrase), "{phrase} says `{one}` and `{two}`");
            }
        }
    }
}

//! Questions read back: whether a text that somebody wrote is a question of a family, and its canonical form. Nothing is solved here.

use super::countdown::{self, Countdown};
use super::{Family, countdown_steps, words};

/// What stands behind the question in the frame of the families that language models read.
const FRAME: &str = "\nA:";

impl Family {
    /// What stands behind the line of a question in its prompt; `None` for families whose questions cannot be read back.
    #[must_use]
    pub fn behind_question(self) -> Option<&'static str> {
        match self {
            Self::SortSixDigits | Self::SortThreeDigits => Some(""),
            Self::CountdownSteps(_) => Some("\n"),
            Self::LargestOfFive
            | Self::SmallestOfFive
            | Self::LettersInWord
            | Self::FirstInAlphabet
            | Self::OddOneOut
            | Self::Countdown(_) => Some(FRAME),
            Self::ArithmeticSteps(_)
            | Self::ListProgram(_)
            | Self::LifeStep
            | Self::RenderedSums(_)
            | Self::SumReview(_)
            | Self::Enumerable(_) => None,
        }
    }

    /// Whether [`Family::check_working`] reads the question alone and knows no answer, so that it can be asked of questions whose answer
    /// nobody knows.
    #[must_use]
    pub fn works_without_answer(self) -> bool {
        match self {
            Self::CountdownSteps(_) | Self::ArithmeticSteps(_) | Self::ListProgram(_) | Self::SumReview(_) => true,
            Self::SortSixDigits
            | Self::SortThreeDigits
            | Self::LargestOfFive
            | Self::SmallestOfFive
            | Self::LettersInWord
            | Self::FirstInAlphabet
            | Self::OddOneOut
            | Self::Countdown(_)
            | Self::LifeStep
            | Self::RenderedSums(_)
            | Self::Enumerable(_) => false,
        }
    }

    /// The canonical form of a prompt that may be a question of the family, whether it has an answer or not.
    ///
    /// # Errors
    /// What keeps it from being one.
    pub fn pose(self, prompt: &str) -> Result<String, String> {
        match self {
            Self::SortSixDigits => sorted(prompt, 6),
            Self::SortThreeDigits => sorted(prompt, 3),
            Self::CountdownSteps(shape) => {
                let form = || "it is not of the form `24: 3 5 9`".to_owned();
                let (instance, working) = countdown_steps::of_prompt(prompt).ok_or_else(form)?;
                let shown = instance.numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
                if working.operations() > 0 || prompt != format!("{}: {shown}\n", instance.target) {
                    return Err(form());
                }
                fits(&instance, shape)
            }
            Self::Countdown(shape) => {
                let form = || "it is not of the form `Q: Make 24 from 3, 5, 9`".to_owned();
                let (target, listed) =
                    question(prompt)?.strip_prefix("Make ").and_then(|q| q.split_once(" from ")).ok_or_else(form)?;
                let numbers = numbers(listed).ok_or_else(form)?;
                fits(&Countdown { numbers, target: plain(target).ok_or_else(form)? }, shape)
            }
            Self::LargestOfFive => five(prompt, "Largest of "),
            Self::SmallestOfFive => five(prompt, "Smallest of "),
            Self::LettersInWord => {
                let word = question(prompt)?.strip_prefix("How many letters are in ").and_then(|q| q.strip_suffix('?'));
                let word = word.ok_or("it is not of the form `Q: How many letters are in apple?`")?;
                known(word)?;
                Ok(word.to_owned())
            }
            Self::FirstInAlphabet => {
                let form = "it is not of the form `Q: First in the alphabet: d, a, x, c`";
                let listed = question(prompt)?.strip_prefix("First in the alphabet: ").ok_or(form)?;
                let mut letters: Vec<&str> = listed.split(", ").collect();
                let plain = |letter: &&str| letter.len() == 1 && letter.bytes().all(|byte| byte.is_ascii_lowercase());
                if letters.len() != 4 || !letters.iter().all(plain) {
                    return Err(form.to_owned());
                }
                letters.sort_unstable();
                if letters.windows(2).any(|two| two[0] == two[1]) {
                    return Err("its letters are not four different ones".to_owned());
                }
                Ok(letters.concat())
            }
            Self::OddOneOut => odd(prompt),
            Self::ArithmeticSteps(_)
            | Self::ListProgram(_)
            | Self::LifeStep
            | Self::RenderedSums(_)
            | Self::SumReview(_)
            | Self::Enumerable(_) => Err(format!("questions of {self} cannot be read back")),
        }
    }
}

/// The question in the frame.
fn question(prompt: &str) -> Result<&str, String> {
    let inside = prompt.strip_prefix("Q: ").and_then(|rest| rest.strip_suffix(FRAME));
    inside.ok_or_else(|| "it does not begin with `Q: `".to_owned())
}

/// A number as it is shown: without signs and leading zeros.
fn plain(text: &str) -> Option<u32> {
    let number: u32 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

fn numbers(listed: &str) -> Option<Vec<u32>> {
    listed.split(", ").map(plain).collect()
}

fn sorted(prompt: &str, digits: usize) -> Result<String, String> {
    let given = prompt.strip_suffix('>').filter(|given| given.bytes().all(|byte| byte.is_ascii_digit()));
    let given = given.ok_or_else(|| "it is not digits before a `>`".to_owned())?;
    if given.len() != digits {
        return Err(format!("it has {} digits, not {digits}", given.len()));
    }
    let mut digits: Vec<char> = given.chars().collect();
    digits.sort_unstable();
    Ok(digits.into_iter().collect())
}

fn fits(instance: &Countdown, shape: countdown::Shape) -> Result<String, String> {
    let shape = shape.or_default();
    let (least, most) = shape.count;
    let count = instance.numbers.len();
    if !(least as usize..=most as usize).contains(&count) {
        return Err(format!("it gives {count} numbers, not {least} to {most}"));
    }
    if let Some(number) = instance.numbers.iter().find(|number| !(1..=shape.largest).contains(*number)) {
        return Err(format!("{number} is not from 1 to {}", shape.largest));
    }
    if !(1..=shape.target).contains(&instance.target) {
        return Err(format!("the target {} is not from 1 to {}", instance.target, shape.target));
    }
    if instance.numbers.contains(&instance.target) {
        return Err(format!("the target {} is given", instance.target));
    }
    Ok(instance.canonical())
}

fn five(prompt: &str, words: &str) -> Result<String, String> {
    let form = || format!("it is not of the form `Q: {words}3, 94, 7, 21, 68`");
    let mut given = question(prompt)?.strip_prefix(words).and_then(numbers).ok_or_else(form)?;
    given.sort_unstable();
    if given.len() != 5 || given.windows(2).any(|two| two[0] == two[1]) {
        return Err("its numbers are not five different ones".to_owned());
    }
    if let Some(number) = given.iter().find(|number| !(1..=99).contains(*number)) {
        return Err(format!("{number} is not from 1 to 99"));
    }
    Ok(given.iter().map(u32::to_string).collect::<Vec<_>>().join(", "))
}

fn known(word: &str) -> Result<(), String> {
    if words::all().binary_search(&word).is_err() {
        return Err(format!("{word:?} is not one of the family's words"));
    }
    Ok(())
}

fn odd(prompt: &str) -> Result<String, String> {
    let form = || "it is not of the form `Q: Odd one out: pear pear apple pear`".to_owned();
    let listed = question(prompt)?.strip_prefix("Odd one out: ").ok_or_else(form)?;
    let listed: Vec<&str> = listed.split(' ').collect();
    listed.iter().try_for_each(|word| known(word))?;
    let times = |word: &str| listed.iter().filter(|other| **other == word).count();
    let once = listed.iter().filter(|word| times(word) == 1).count();
    let repeated = listed.iter().find(|word| times(word) == 3);
    match (repeated, listed.iter().find(|word| times(word) == 1)) {
        (Some(repeated), Some(other)) if once == 1 && listed.len() == 4 => Ok(format!("{repeated} {other}")),
        _ => Err("three of its four words are not the same".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::split::Part;
    use super::*;
    use crate::seed::Seed;

    #[test]
    fn what_families_draw_is_read_back_with_its_form() {
        let mut rng = Seed(5).stream();
        for family in Family::ALL {
            let Some(behind) = family.behind_question() else {
                assert!(family.pose("Q: 1\nA:").unwrap_err().contains("cannot be read back"), "{family}");
                continue;
            };
            for _ in 0..40 {
                let draft = family.draw(&mut rng);
                assert_eq!(family.pose(&draft.prompt), Ok(draft.canonical.clone()), "{family} {}", draft.prompt);
                let line = draft.prompt.strip_suffix(behind).unwrap();
                assert!(!line.contains('\n') && line == line.trim(), "{line:?}");
                assert_eq!(
                    Part::of_form(family, &draft.canonical),
                    Part::of_form(family, &family.pose(&draft.prompt).unwrap())
                );
            }
        }
    }

    #[test]
    fn what_is_no_question_is_refused_with_the_reason() {
        let why = |family: &str, prompt: &str| {
            let family: Family = serde_json::from_str(family).unwrap();
            family.pose(prompt).unwrap_err()
        };
        let six = "\"sort_six_digits\"";
        assert_eq!(why(six, "35291>"), "it has 5 digits, not 6");
        assert_eq!(why(six, "352910"), "it is not digits before a `>`");
        let steps = r#"{"countdown_steps": {"count": [3, 3], "largest": 20, "target": 40}}"#;
        assert_eq!(why(steps, "24 3 5 9\n"), "it is not of the form `24: 3 5 9`");
        assert_eq!(why(steps, "24: 3 5\n"), "it gives 2 numbers, not 3 to 3");
        assert_eq!(why(steps, "24: 3 5 21\n"), "21 is not from 1 to 20");
        assert_eq!(why(steps, "41: 3 5 9\n"), "the target 41 is not from 1 to 40");
        assert_eq!(why(steps, "9: 3 5 9\n"), "the target 9 is given");
        assert_eq!(why(steps, "24: 3 5 09\n"), "it is not of the form `24: 3 5 9`");
        assert_eq!(why(steps, "24: 3 5 9\n3*5=15\n"), "it is not of the form `24: 3 5 9`");
        assert_eq!(
            why("\"largest_of_five\"", "Q: Largest of 3, 3, 4, 5, 6\nA:"),
            "its numbers are not five different ones"
        );
        assert_eq!(why("\"smallest_of_five\"", "Q: Smallest of 0, 3, 4, 5, 6\nA:"), "0 is not from 1 to 99");
        assert_eq!(
            why("\"first_in_alphabet\"", "Q: First in the alphabet: a, b, b, c\nA:"),
            "its letters are not four different ones"
        );
        assert_eq!(
            why("\"odd_one_out\"", "Q: Odd one out: apple apple bread bread\nA:"),
            "three of its four words are not the same"
        );
        assert_eq!(
            why("\"letters_in_word\"", "Q: How many letters are in qqq?\nA:"),
            "\"qqq\" is not one of the family's words"
        );
        assert!(why("\"countdown\"", "Make 24 from 3, 5, 9\nA:").contains("begin with"));
    }
}

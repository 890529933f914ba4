//! What the mock engine knows: the answers to the digit and number families, read from the last question of a prompt.

/// The right answer to the question that `prompt` ends with; `None` for other families.
pub(super) fn answer(prompt: &str) -> Option<String> {
    if let Some(question) = prompt.strip_suffix('>') {
        let mut digits: Vec<char> = question.lines().last()?.chars().collect();
        digits.sort_unstable();
        return Some(digits.into_iter().collect());
    }
    let question = prompt.strip_suffix("\nA:")?.lines().last()?;
    let numbers = |list: &str| list.split(", ").map(str::parse).collect::<Result<Vec<u32>, _>>().ok();
    let wanted = match question.split_once(" of ")? {
        ("Q: Largest", list) => numbers(list)?.into_iter().max()?,
        ("Q: Smallest", list) => numbers(list)?.into_iter().min()?,
        _ => return None,
    };
    Some(format!(" {wanted}"))
}

/// Another answer of the same form: its first digit is moved by 1 to 9, as `bits` say.
pub(super) fn spoil(answer: &str, bits: u64) -> String {
    let mut spoiled = false;
    let spoil_digit = |character: char| match character.to_digit(10) {
        Some(digit) if !spoiled => {
            spoiled = true;
            let moved = (u64::from(digit) + 1 + bits % 9) % 10;
            char::from(b'0' + moved as u8)
        }
        Some(_) | None => character,
    };
    answer.chars().map(spoil_digit).collect()
}

/// Whether `text` ends with a question and its right answer.
pub(super) fn is_solved(text: &str) -> bool {
    let text = text.trim_end_matches('\n');
    let split = text.rfind('>').map(|at| at + 1).or_else(|| text.rfind("\nA:").map(|at| at + 3));
    split.is_some_and(|at| answer(&text[..at]).as_deref() == Some(&text[at..]))
}

#[cfg(test)]
mod tests {
    use galapagos_domain::recipe::tasks::{Builtin, Split};
    use galapagos_domain::seed::Seed;
    use galapagos_domain::task::{Family, TaskSetData, few_shot_prefix};
    use galapagos_domain::trajectory::Outcome;

    use super::*;

    #[test]
    fn the_oracle_agrees_with_the_checkers() {
        for family in [Family::LargestOfFive, Family::SmallestOfFive, Family::SortSixDigits, Family::SortThreeDigits] {
            let source = Builtin { train: 40, shots: 2, ..Builtin::of(family) };
            let prefix = few_shot_prefix(&source, Seed(1)).unwrap();
            for problem in TaskSetData::generate(&source, Split::Train, Seed(1)).unwrap().problems() {
                let prompt = format!("{prefix}{}", problem.prompt);
                let right = answer(&prompt).unwrap();
                assert_eq!(family.verify(problem, &right).outcome, Outcome::Pass, "{prompt}{right}");
                assert!(is_solved(&format!("{prompt}{right}\n")));
                for bits in 0..9 {
                    let wrong = spoil(&right, bits);
                    assert_eq!(family.verify(problem, &wrong).outcome, Outcome::Fail, "{prompt}{wrong}");
                    assert!(!is_solved(&format!("{prompt}{wrong}\n")));
                }
            }
        }
    }
}

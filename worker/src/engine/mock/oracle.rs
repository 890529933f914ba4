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

/// Another question like those that `prompt` lists, of digits as `bits` say; `None` if it lists none.
pub(super) fn question(prompt: &str, bits: u64) -> Option<String> {
    let last = prompt.strip_suffix('\n')?.lines().last()?;
    let digits = last.strip_suffix('>').filter(|digits| digits.chars().all(|digit| digit.is_ascii_digit()))?;
    let digit = |place: u32| char::from(b'0' + (bits >> (4 * place) & 15).min(9) as u8);
    Some((0..digits.len() as u32).map(digit).chain(['>']).collect())
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
    fn a_question_is_asked_behind_a_list_of_them() {
        assert_eq!(question("352910>\n481273>\n", 0x00fe_4321).as_deref(), Some("123499>"));
        assert_eq!(question("352910>\n481273>", 1), None);
        assert_eq!(question("Q: 1\n", 1), None);
    }

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

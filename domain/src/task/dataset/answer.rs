//! What the answer is in the text of its column.

use crate::recipe::tasks::files::AnswerForm;

/// The answer in `text`, or what is wrong with it and what would be right.
pub(super) fn parse(form: AnswerForm, text: &str) -> Result<String, (String, &'static str)> {
    let answer = match form {
        AnswerForm::Plain => text.trim().to_owned(),
        AnswerForm::Gsm8k => {
            let help =
                "the answer stands behind `####`, as in `2 + 2 = 4\\n#### 4`; other columns want `answer: plain`";
            let Some((_, behind)) = text.rsplit_once("####") else {
                return Err((format!("there is no `####` in {}", shown(text)), help));
            };
            let behind = behind.trim();
            if behind.is_empty() || behind.contains('\n') {
                return Err((format!("behind `####` stands {}", shown(behind)), help));
            }
            behind.replace(',', "")
        }
        AnswerForm::Boxed => {
            let help = "the answer stands in `\\boxed{...}`; other columns want `answer: plain`";
            boxed(text).ok_or_else(|| (format!("there is no closed `\\boxed{{...}}` in {}", shown(text)), help))?
        }
    };
    if answer.is_empty() {
        return Err(("the answer is empty".to_owned(), "every row needs an answer; leave out rows without one"));
    }
    Ok(answer)
}

/// What the last `\boxed{...}` holds.
fn boxed(text: &str) -> Option<String> {
    let (_, behind) = text.rsplit_once("\\boxed{")?;
    let mut depth = 1u32;
    let mut escaped = false;
    for (at, character) in behind.char_indices() {
        match character {
            '{' if !escaped => depth += 1,
            '}' if !escaped => depth -= 1,
            _ => {}
        }
        escaped = character == '\\' && !escaped;
        if depth == 0 {
            return Some(behind[..at].trim().to_owned());
        }
    }
    None
}

/// The end of a text in quotes: answers stand at the end.
fn shown(text: &str) -> String {
    const MOST: usize = 60;
    let length = text.chars().count();
    if length <= MOST {
        return format!("{text:?}");
    }
    let end: String = text.chars().skip(length - MOST).collect();
    format!("...{end:?}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Written for this test in the manner of GSM8K.
    const SOLUTION: &str = "Ada bakes 3 trays of 24 rolls, 3*24=<<3*24=72>>72 rolls.\nShe sells them at $15, \
                            so she has 72*15=<<72*15=1080>>1,080 dollars.\n#### 1,080";

    #[test]
    fn grade_school_answers_stand_behind_four_hashes() {
        assert_eq!(parse(AnswerForm::Gsm8k, SOLUTION).unwrap(), "1080");
        assert_eq!(parse(AnswerForm::Gsm8k, "#### 1\nno: #### -2.5 ").unwrap(), "-2.5");
        assert_eq!(parse(AnswerForm::Gsm8k, "x\n####7").unwrap(), "7");
        for (text, said) in [
            ("the answer is 4", "there is no `####` in \"the answer is 4\""),
            ("4 ####  ", "behind `####` stands \"\""),
            ("#### 4\nor so", "behind `####` stands \"4\\nor so\""),
        ] {
            assert_eq!(parse(AnswerForm::Gsm8k, text).unwrap_err().0, said);
        }
    }

    #[test]
    fn boxes_may_hold_braces() {
        let form = AnswerForm::Boxed;
        assert_eq!(parse(form, r"so $\boxed{1}$, no, $\boxed{\frac{1}{2}}$.").unwrap(), r"\frac{1}{2}");
        assert_eq!(parse(form, r"\boxed{\{1, 2\}}").unwrap(), r"\{1, 2\}");
        assert_eq!(parse(form, r"\boxed{1").unwrap_err().0, r#"there is no closed `\boxed{...}` in "\\boxed{1""#);
    }

    #[test]
    fn long_texts_are_shown_by_their_end() {
        let error = parse(AnswerForm::Gsm8k, &"ab".repeat(50)).unwrap_err().0;
        assert_eq!(error, format!("there is no `####` in ...{:?}", "ab".repeat(30)));
    }

    proptest! {
        #[test]
        fn whatever_stands_before_the_hashes_the_answer_is_read(before in "[^#]{0,40}", number in -1_000_000i64..1_000_000) {
            let text = format!("{before}\n#### {number}");
            prop_assert_eq!(parse(AnswerForm::Gsm8k, &text).unwrap(), number.to_string());
        }

        #[test]
        fn a_box_gives_what_was_put_into_it(inside in "[a-z0-9]{1,5}(\\{[a-z]{0,3}\\}){0,2}", behind in "[^{}\\\\]{0,20}") {
            prop_assert_eq!(parse(AnswerForm::Boxed, &format!("\\boxed{{{inside}}}{behind}")).unwrap(), inside);
        }
    }
}

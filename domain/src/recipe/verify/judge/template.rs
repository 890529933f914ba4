//! Templates: a text with places where something else goes. Filled in in one pass: what goes in is never read as a place itself.

use std::fmt;

/// A text with places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Part>);

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    Text(String),
    Blank(Blank),
}

/// What goes into a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Blank {
    /// The task's question.
    Prompt,
    /// What the policy wrote, so far or to the end.
    Answer,
    /// The last step of it.
    Step,
    /// The answer that the task expects.
    Expected,
    /// Of two answers the one that stands first.
    First,
    Second,
    /// The principle that is judged by.
    Principle,
    /// What was shown behind a step.
    Shown,
    /// What a step is worth.
    Value,
    /// What came of other steps from the same place.
    Siblings,
    /// What was written about them.
    Advice,
    /// Finished answers, numbered.
    Solutions,
    /// What others wrote.
    Others,
    /// What went wrong.
    Error,
}

impl Blank {
    const ALL: [Self; 14] = [
        Self::Prompt,
        Self::Answer,
        Self::Step,
        Self::Expected,
        Self::First,
        Self::Second,
        Self::Principle,
        Self::Shown,
        Self::Value,
        Self::Siblings,
        Self::Advice,
        Self::Solutions,
        Self::Others,
        Self::Error,
    ];

    /// The word, as written in a template.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Prompt => "prompt",
            Self::Answer => "answer",
            Self::Step => "step",
            Self::Expected => "expected",
            Self::First => "first",
            Self::Second => "second",
            Self::Principle => "principle",
            Self::Shown => "shown",
            Self::Value => "value",
            Self::Siblings => "siblings",
            Self::Advice => "advice",
            Self::Solutions => "solutions",
            Self::Others => "others",
            Self::Error => "error",
        }
    }

    /// Whether a policy wrote what goes there, so that it stands between fences of a judge.
    #[must_use]
    pub fn is_written(self) -> bool {
        match self {
            Self::Answer | Self::Step | Self::First | Self::Second => true,
            Self::Prompt | Self::Expected | Self::Principle => false,
            // No judge is shown these; who lists them puts fences where they are needed.
            Self::Shown
            | Self::Value
            | Self::Siblings
            | Self::Advice
            | Self::Solutions
            | Self::Others
            | Self::Error => false,
        }
    }
}

impl fmt::Display for Blank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{}}}", self.name())
    }
}

/// What is wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error("`{{{0}}}` is no place")]
    Unknown(String),
    #[error("a brace is open and not closed; write `{{{{` for a brace")]
    Open,
    #[error("a brace is closed that was not open; write `}}}}` for a brace")]
    Closed,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// [`TemplateError`].
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let (mut parts, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(&rest[..at]);
            let (brace, behind) = rest[at..].split_at(1);
            if let Some(behind) = behind.strip_prefix(brace) {
                plain.push_str(brace);
                rest = behind;
                continue;
            }
            if brace == "}" {
                return Err(TemplateError::Closed);
            }
            let (word, behind) = behind.split_once('}').ok_or(TemplateError::Open)?;
            let blank = Blank::ALL.into_iter().find(|blank| blank.name() == word);
            let blank = blank.ok_or_else(|| TemplateError::Unknown(word.chars().take(40).collect()))?;
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(Part::Blank(blank));
            rest = behind;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self(parts))
    }

    /// Its pieces in order.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.0
    }

    /// Its places in order, as often as they stand there.
    pub fn blanks(&self) -> impl Iterator<Item = Blank> + '_ {
        self.0.iter().filter_map(|part| match part {
            Part::Blank(blank) => Some(*blank),
            Part::Text(_) => None,
        })
    }

    /// The text, with what `fill` gives in each place.
    pub fn filled(&self, mut fill: impl FnMut(Blank) -> String) -> String {
        let piece = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Blank(blank) => fill(*blank),
        };
        self.0.iter().map(piece).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn places_are_filled_once_and_braces_doubled() {
        let template = Template::parse("Q {prompt} {{a}} A {answer}").unwrap();
        assert_eq!(template.blanks().collect::<Vec<_>>(), [Blank::Prompt, Blank::Answer]);
        let text =
            template.filled(|blank| if blank == Blank::Answer { "{prompt}".to_owned() } else { "1+1".to_owned() });
        assert_eq!(text, "Q 1+1 {a} A {prompt}");
        assert_eq!(Template::parse("").unwrap().parts(), []);
    }

    #[test]
    fn broken_templates_say_what_is_wrong() {
        let message = |text: &str| Template::parse(text).unwrap_err().to_string();
        assert_eq!(message("{id}"), "`{id}` is no place");
        assert_eq!(message("a {answer"), "a brace is open and not closed; write `{{` for a brace");
        assert_eq!(message("a } b"), "a brace is closed that was not open; write `}}` for a brace");
        assert_eq!(message("{ answer }"), "`{ answer }` is no place");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_and_doubled_braces_are_plain_text(text in "[a{}é ]{0,24}") {
            drop(Template::parse(&text));
            let doubled = text.replace('{', "{{").replace('}', "}}");
            prop_assert_eq!(Template::parse(&doubled).unwrap().filled(|_| unreachable!()), text);
        }
    }
}

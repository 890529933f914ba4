//! Texts with the names of columns in braces: `Q: {question}\nA:`. Two braces stand for one.

/// A text with holes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(Vec<Piece>);

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Name(String),
}

impl Template {
    /// Takes a text apart, or says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (mut pieces, mut plain) = (Vec::new(), String::new());
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(behind) = rest.strip_prefix(brace) {
                plain.push_str(brace);
                rest = behind;
                continue;
            }
            let closed =
                rest.split_once('}').filter(|(name, _)| brace == "{" && !name.is_empty() && !name.contains('{'));
            let Some((name, behind)) = closed else {
                return Err(format!("{text:?} has a brace without its fellow, or an empty name"));
            };
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(Piece::Name(name.to_owned()));
            rest = behind;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Self(pieces))
    }

    /// The names that it asks for.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Name(name) => Some(name.as_str()),
            Piece::Text(_) => None,
        })
    }

    /// The text with its holes filled by `of`.
    pub(super) fn fill<E>(&self, mut of: impl FnMut(&str) -> Result<String, E>) -> Result<String, E> {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(plain) => text.push_str(plain),
                Piece::Name(name) => text.push_str(&of(name)?),
            }
        }
        Ok(text)
    }
}

/// The texts around the prompt, of a template that holds nothing else.
#[must_use]
pub fn around_prompt(template: &str) -> Option<(String, String)> {
    let Template(pieces) = Template::parse(template).ok()?;
    let text = |pieces: &[Piece]| match pieces {
        [] => Some(String::new()),
        [Piece::Text(text)] => Some(text.clone()),
        _ => None,
    };
    let hole = pieces.iter().position(|piece| matches!(piece, Piece::Name(_)))?;
    if !matches!(&pieces[hole], Piece::Name(name) if name == "prompt") {
        return None;
    }
    Some((text(&pieces[..hole])?, text(&pieces[hole + 1..])?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filled(text: &str) -> String {
        Template::parse(text).unwrap().fill(|name| Ok::<_, ()>(format!("<{name}>"))).unwrap()
    }

    #[test]
    fn names_are_filled_in_and_doubled_braces_are_braces() {
        assert_eq!(filled("Q: {question}\nA: {choices.0}"), "Q: <question>\nA: <choices.0>");
        assert_eq!(filled("{{x}} {y}}}{{"), "{x} <y>}{");
        assert_eq!(filled(""), "");
        for wrong in ["{", "}", "a {b", "{}", "{a{b}}", "a } b"] {
            assert!(Template::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_prompt_stands_alone_between_two_texts() {
        let around = |text| around_prompt(text).map(|(before, behind)| format!("{before}|{behind}"));
        assert_eq!(around("Q: {prompt}\nA:").as_deref(), Some("Q: |\nA:"));
        assert_eq!(around("{prompt}").as_deref(), Some("|"));
        for other in ["{prompt}{hint}", "a {hint} b", "a", "{prompt} {prompt}"] {
            assert_eq!(around(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn any_text_can_be_written_by_doubling_braces(text in "\\PC*") {
            let written = text.replace('{', "{{").replace('}', "}}");
            prop_assert_eq!(filled(&written), text);
        }
    }
}

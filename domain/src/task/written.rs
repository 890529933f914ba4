//! A family as it is written: the bare word where its options are the defaults, else a map with that one key. A family without options
//! written has one form only, so recipes that say the same have the same digest.

use std::fmt;

use serde::de::{Error, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Family;

impl Serialize for Family {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if Self::of_name(self.name()) == Some(*self) {
            return serializer.serialize_str(self.name());
        }
        let mut map = serializer.serialize_map(Some(1))?;
        match self {
            Self::Countdown(shape) | Self::CountdownSteps(shape) => map.serialize_entry(self.name(), shape)?,
            Self::ArithmeticSteps(shape) => map.serialize_entry(self.name(), shape)?,
            Self::RenderedSums(shape) => map.serialize_entry(self.name(), shape)?,
            Self::SumReview(shape) => map.serialize_entry(self.name(), shape)?,
            Self::Enumerable(shape) => map.serialize_entry(self.name(), shape)?,
            Self::ListProgram(shape) => map.serialize_entry(self.name(), shape)?,
            Self::LargestOfFive
            | Self::SmallestOfFive
            | Self::LettersInWord
            | Self::FirstInAlphabet
            | Self::OddOneOut
            | Self::SortSixDigits
            | Self::SortThreeDigits
            | Self::LifeStep => {}
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Family {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FamilyVisitor)
    }
}

struct FamilyVisitor;

fn named<E: Error>(word: &str) -> Result<Family, E> {
    Family::of_name(word).ok_or_else(|| E::unknown_variant(word, &Family::WORDS))
}

impl<'de> Visitor<'de> for FamilyVisitor {
    type Value = Family;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a family, or a map with one family and its options")
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<Family, E> {
        named(word)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Family, A::Error> {
        let Some(Word(word)) = map.next_key()? else {
            return Err(A::Error::custom("a choice is a map with one key; found 0"));
        };
        let family = match word {
            Family::Countdown(_) => Family::Countdown(map.next_value()?),
            Family::CountdownSteps(_) => Family::CountdownSteps(map.next_value()?),
            Family::ArithmeticSteps(_) => Family::ArithmeticSteps(map.next_value()?),
            Family::RenderedSums(_) => Family::RenderedSums(map.next_value()?),
            Family::SumReview(_) => Family::SumReview(map.next_value()?),
            Family::Enumerable(_) => Family::Enumerable(map.next_value()?),
            Family::ListProgram(_) => Family::ListProgram(map.next_value()?),
            Family::LargestOfFive
            | Family::SmallestOfFive
            | Family::LettersInWord
            | Family::FirstInAlphabet
            | Family::OddOneOut
            | Family::SortSixDigits
            | Family::SortThreeDigits
            | Family::LifeStep => {
                return Err(A::Error::custom(format!("`{word}` has no options: write the bare word")));
            }
        };
        match map.next_key::<String>()? {
            None => Ok(family),
            Some(other) => {
                Err(A::Error::custom(format!("a choice is a map with one key; found {} and {other}", family.name())))
            }
        }
    }
}

/// A key that names a family, so that a wrong one is told where it stands.
struct Word(Family);

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(WordVisitor).map(Self)
    }
}

struct WordVisitor;

impl Visitor<'_> for WordVisitor {
    type Value = Family;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a family")
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<Family, E> {
        named(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::{arithmetic, countdown};

    fn read(json: &str) -> Result<Family, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn words_are_the_families_in_order() {
        assert_eq!(Family::ALL.map(Family::name), Family::WORDS);
        for family in Family::ALL {
            assert_eq!(Family::of_name(family.name()), Some(family));
            let bare = serde_json::to_string(&family).unwrap();
            assert_eq!(bare, format!("{:?}", family.name()), "without options a family is its bare word");
            assert_eq!(read(&bare).unwrap(), family);
        }
    }

    #[test]
    fn options_have_defaults_and_one_form() {
        let short = read(r#"{"arithmetic_steps": {"count": [2, 3], "products": false}}"#).unwrap();
        let shape = arithmetic::Shape { count: (2, 3), products: false, ..arithmetic::Shape::default() };
        assert_eq!(short, Family::ArithmeticSteps(shape));
        assert_eq!(read(&serde_json::to_string(&short).unwrap()).unwrap(), short);
        let plain = read(r#"{"countdown": {"largest": 50}}"#).unwrap();
        assert_eq!(plain, Family::Countdown(countdown::Shape::default()));
        assert_eq!(serde_json::to_string(&plain).unwrap(), "\"countdown\"");
        let older = read(r#"{"countdown": {"largest_target": 30}}"#).unwrap();
        assert_eq!(older, read(r#"{"countdown": {"target": 30}}"#).unwrap());
    }

    #[test]
    fn what_is_no_family_is_told() {
        for (json, what) in [
            ("\"sums\"", "unknown variant `sums`"),
            (r#"{"sums": {}}"#, "unknown variant `sums`"),
            (r#"{"life_step": {}}"#, "`life_step` has no options"),
            (r#"{"countdown": {}, "life_step": {}}"#, "one key"),
            (r#"{"countdown": {"digits": [1, 2]}}"#, "unknown field `digits`"),
            ("{}", "one key"),
            ("3", "a family"),
        ] {
            let message = read(json).unwrap_err().to_string();
            assert!(message.contains(what), "{json}: {message}");
        }
    }
}

//! Values that a person may write in two ways (`200` or `all`; `samples` or `{all: samples}`), read without losing the
//! message of what is wrong, as derived untagged enums would.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// What was written; `M` reads maps and `L` lists.
#[derive(Debug)]
pub(super) enum Shape<M, L> {
    Text(String),
    Number(f64),
    Map(M),
    List(L),
}

/// A shape that does not occur.
#[derive(Debug)]
pub(super) enum Never {}

impl<'de> Deserialize<'de> for Never {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(D::Error::custom("a map or a list has no meaning here"))
    }
}

/// Reads a value of either shape; `expecting` says what may stand here.
pub(super) fn read<'de, D, M, L>(deserializer: D, expecting: &'static str) -> Result<Shape<M, L>, D::Error>
where
    D: Deserializer<'de>,
    M: Deserialize<'de>,
    L: Deserialize<'de>,
{
    deserializer.deserialize_any(ShapeVisitor { expecting, shapes: PhantomData })
}

struct ShapeVisitor<M, L> {
    expecting: &'static str,
    shapes: PhantomData<(M, L)>,
}

impl<'de, M: Deserialize<'de>, L: Deserialize<'de>> Visitor<'de> for ShapeVisitor<M, L> {
    type Value = Shape<M, L>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expecting)
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Shape::Text(text.to_owned()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Shape::Number(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        let exact = u32::try_from(number).map_err(|_| E::custom(format!("{number} is too large a number")))?;
        Ok(Shape::Number(f64::from(exact)))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        let exact = i32::try_from(number).map_err(|_| E::custom(format!("{number} is too large a number")))?;
        Ok(Shape::Number(f64::from(exact)))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        M::deserialize(MapAccessDeserializer::new(map)).map(Shape::Map)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        L::deserialize(SeqAccessDeserializer::new(seq)).map(Shape::List)
    }
}

/// The whole number that `number` is, if it is one that fits.
pub(crate) fn whole(number: f64) -> Option<u32> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked by the comparison")]
    let rounded = number as u32;
    (f64::from(rounded) == number).then_some(rounded)
}

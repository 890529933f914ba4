//! Asks serde which fields and words a type of the grammar has, without a value of it: the reader below notes what the
//! type asks for and gives nothing.

use std::cell::Cell;
use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, EnumAccess, Error, IntoDeserializer, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

type Words = &'static [&'static str];

/// The fields of the map `T`, or the words of the choice `T`; with `choose`, the fields behind that word.
pub fn words<'de, T: Deserialize<'de>>(choose: Option<&'static str>) -> Option<Words> {
    let noted = Cell::new(None);
    // Nothing can be read from a reader that gives nothing: the error is the expected end.
    drop(T::deserialize(Reader { choose, noted: &noted }));
    noted.get()
}

#[derive(Clone, Copy)]
struct Reader<'a> {
    choose: Option<&'static str>,
    noted: &'a Cell<Option<Words>>,
}

impl Reader<'_> {
    fn note<T>(self, words: Words) -> Result<T, Nothing> {
        self.noted.set(Some(words));
        Err(Nothing)
    }
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = Nothing;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Nothing> {
        Err(Nothing)
    }

    fn deserialize_struct<V: Visitor<'de>>(self, _: &'static str, fields: Words, _: V) -> Result<V::Value, Nothing> {
        self.note(fields)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: Words,
        visitor: V,
    ) -> Result<V::Value, Nothing> {
        if self.choose.is_some() { visitor.visit_enum(self) } else { self.note(variants) }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map identifier ignored_any
    }
}

impl<'de> EnumAccess<'de> for Reader<'_> {
    type Error = Nothing;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Nothing> {
        let word: StrDeserializer<'_, Nothing> = self.choose.unwrap_or_default().into_deserializer();
        Ok((seed.deserialize(word)?, Self { choose: None, ..self }))
    }
}

impl<'de> VariantAccess<'de> for Reader<'_> {
    type Error = Nothing;

    fn unit_variant(self) -> Result<(), Nothing> {
        Err(Nothing)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Nothing> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Nothing> {
        Err(Nothing)
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: Words, _: V) -> Result<V::Value, Nothing> {
        self.note(fields)
    }
}

#[derive(Debug)]
struct Nothing;

impl fmt::Display for Nothing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is nothing to read")
    }
}

impl std::error::Error for Nothing {}

impl Error for Nothing {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

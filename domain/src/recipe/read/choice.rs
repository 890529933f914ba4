//! A choice: a bare word when it has no options, else a map with one key.

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{DeserializeSeed, EnumAccess, VariantAccess, Visitor};

use super::{Fault, Reader};
use crate::recipe::document::{Place, Value};

/// The chosen word and its options.
pub(super) struct Choice<'a, 'de> {
    word: &'de str,
    place: Place,
    /// The reader of the whole choice, and of its options if there are any.
    whole: Reader<'a, 'de>,
    options: Option<Reader<'a, 'de>>,
}

impl<'a, 'de> Choice<'a, 'de> {
    /// Takes a node apart.
    pub(super) fn of(reader: Reader<'a, 'de>, variants: &'static [&'static str]) -> Result<Self, Fault> {
        match &reader.node.value {
            Value::Text(word) => Ok(Self { word, place: reader.node.place, whole: reader, options: None }),
            Value::Map(entries) => match entries.as_slice() {
                [entry] => {
                    let options = reader.child(&entry.node, reader.path.key(&entry.key));
                    Ok(Self { word: &entry.key, place: entry.place, whole: reader, options: Some(options) })
                }
                several => {
                    let keys: Vec<_> = several.iter().map(|e| e.key.as_str()).collect();
                    Err(Fault::wrong(format!(
                        "a choice is a map with one key; found {}: {}",
                        keys.len(),
                        keys.join(", ")
                    )))
                }
            },
            other => Err(Fault::wrong(format!("expected one of {}; found {}", variants.join(", "), other.describe()))),
        }
    }
}

impl<'de> EnumAccess<'de> for Choice<'_, 'de> {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Fault> {
        let variant = seed.deserialize(BorrowedStrDeserializer::new(self.word));
        let variant = variant.map_err(|fault: Fault| fault.at(self.place, &self.whole.path))?;
        Ok((variant, self))
    }
}

impl<'de> VariantAccess<'de> for Choice<'_, 'de> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        match self.options {
            None => Ok(()),
            Some(_) => {
                let message = format!("`{}` has no options: write the bare word", self.word);
                Err(Fault::wrong(message).at(self.place, &self.whole.path))
            }
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        let word = self.word;
        let options = self.options.ok_or_else(|| needs_options(word).at(self.place, &self.whole.path))?;
        options.read_seed(seed)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Fault> {
        Err(Fault::wrong(format!("`{}` takes no list of options", self.word)))
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Fault> {
        let word = self.word;
        let options = self.options.ok_or_else(|| needs_options(word).at(self.place, &self.whole.path))?;
        let (place, path) = (options.node.place, options.path.clone());
        options.read_struct(fields, visitor).map_err(|fault| fault.at(place, &path))
    }
}

fn needs_options(word: &str) -> Fault {
    Fault::wrong(format!("`{word}` needs options: write {{{word}: ...}}"))
}

//! From the located tree to the grammar's types: a serde deserializer that knows where it is. Unknown fields are all
//! collected, so that a person sees every one of them at once; any other mistake ends the reading.

mod choice;
mod fault;
mod map;

pub(crate) use fault::Fault;

use std::cell::RefCell;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::diagnostic::Diagnostics;
use super::document::{Document, Entry, Node, Value};
use super::path::Path;
use choice::Choice;
use map::{Fields, Items};

/// Reads the document as a `T`.
///
/// # Errors
/// Every unknown field, and the first mistake of another kind.
pub(crate) fn read<'de, T: Deserialize<'de>>(document: &'de Document) -> Result<T, Diagnostics> {
    let faults = RefCell::new(Vec::new());
    let reader = Reader { node: document.root(), path: Path::root(), unknown: &faults };
    let read = reader.read_seed(PhantomData::<T>);
    let mut faults = faults.into_inner();
    let value = read.map_err(|fault| faults.push(fault)).ok();
    let found = faults.into_iter().map(|fault| fault.diagnostic(document)).collect();
    match (Diagnostics::of(found), value) {
        (None, Some(value)) => Ok(value),
        (Some(diagnostics), _) => Err(diagnostics),
        (None, None) => unreachable!("a failed read leaves its fault"),
    }
}

/// Reads one node.
struct Reader<'a, 'de> {
    node: &'de Node,
    path: Path,
    unknown: &'a RefCell<Vec<Fault>>,
}

impl<'a, 'de> Reader<'a, 'de> {
    fn child(&self, node: &'de Node, path: Path) -> Self {
        Self { node, path, unknown: self.unknown }
    }

    /// Reads this node as `seed` asks; a fault that has no place yet is here.
    fn read_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Fault> {
        let (place, path) = (self.node.place, self.path.clone());
        seed.deserialize(self).map_err(|fault| fault.at(place, &path))
    }

    /// A list must be read to its end: an entry too many is a mistake, not something to drop.
    fn read_list<V: Visitor<'de>>(&self, nodes: &'de [Node], visitor: V) -> Result<V::Value, Fault> {
        let mut items = Items::new(nodes, self.path.clone(), self.unknown);
        let value = visitor.visit_seq(&mut items)?;
        match items.left() {
            0 => Ok(value),
            left => Err(Fault::wrong(format!("found {} entries where {} belong", nodes.len(), nodes.len() - left))),
        }
    }

    /// The entries of a map whose keys are `fields`; others are noted and left out.
    fn known(&self, entries: &'de [Entry], fields: &'static [&'static str]) -> Fields<'a, 'de> {
        let (known, unknown): (Vec<_>, Vec<_>) = entries.iter().partition(|e| fields.contains(&e.key.as_str()));
        for entry in unknown {
            let fault = Fault::unknown_field(&entry.key, fields).at(entry.place, &self.path);
            self.unknown.borrow_mut().push(fault);
        }
        Fields::new(known, self.path.clone(), self.unknown)
    }

    fn read_struct<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Fault> {
        let Value::Map(entries) = &self.node.value else {
            let listed = fields.join(", ");
            let message = format!("expected a map with fields of {listed}; found {}", self.node.value.describe());
            return Err(Fault::wrong(message));
        };
        visitor.visit_map(self.known(entries, fields))
    }

    fn read_any<V: Visitor<'de>>(&self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Integer(value) => match u64::try_from(*value) {
                Ok(value) => visitor.visit_u64(value),
                Err(_) => visitor.visit_i64(*value),
            },
            Value::Large(value) => visitor.visit_u64(*value),
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Text(text) => visitor.visit_borrowed_str(text),
            Value::List(nodes) => self.read_list(nodes, visitor),
            Value::Map(entries) => {
                visitor.visit_map(Fields::new(entries.iter().collect(), self.path.clone(), self.unknown))
            }
        }
    }
}

impl<'de> Deserializer<'de> for Reader<'_, 'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.read_any(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.node.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.read_struct(fields, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_enum(Choice::of(self, variants)?)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct seq tuple tuple_struct map identifier
    }
}

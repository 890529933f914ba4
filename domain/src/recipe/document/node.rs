//! The located tree: YAML scalars, lists and maps, each with the place where it starts.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use super::Place;

/// A value with its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub place: Place,
    pub value: Value,
}

/// What YAML can say.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Integer(i64),
    /// Above `i64::MAX`.
    Large(u64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key with its place, and its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub key: String,
    pub place: Place,
    pub node: Node,
}

impl Node {
    pub(super) fn null() -> Self {
        Self { place: Place { file: 0, line: 1, column: 1, width: 1 }, value: Value::Null }
    }

    /// Takes the value under `key` out of a map.
    pub(super) fn take(&mut self, key: &str) -> Option<Self> {
        let Value::Map(entries) = &mut self.value else { return None };
        let index = entries.iter().position(|e| e.key == key)?;
        Some(entries.remove(index).node)
    }

    /// Takes the entries under `keys` out of a map, as a map.
    pub(super) fn split(&mut self, keys: &[&str]) -> Self {
        let taken = match &mut self.value {
            Value::Map(entries) => entries.extract_if(.., |e| keys.contains(&e.key.as_str())).collect(),
            _ => Vec::new(),
        };
        Self { place: self.place, value: Value::Map(taken) }
    }

    /// Adds `by` to every file index.
    pub(super) fn shift_files(&mut self, by: usize) {
        self.place.file += by;
        match &mut self.value {
            Value::List(nodes) => nodes.iter_mut().for_each(|node| node.shift_files(by)),
            Value::Map(entries) => entries.iter_mut().for_each(|entry| {
                entry.place.file += by;
                entry.node.shift_files(by);
            }),
            Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Large(_) | Value::Float(_) | Value::Text(_) => {}
        }
    }
}

impl Value {
    /// What it is, for people.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Null => "nothing".to_owned(),
            Self::Bool(b) => format!("`{b}`"),
            Self::Integer(n) => format!("the number {n}"),
            Self::Large(n) => format!("the number {n}"),
            Self::Float(n) => format!("the number {n}"),
            Self::Text(text) => format!("the text `{}`", text.chars().take(40).collect::<String>()),
            Self::List(_) => "a list".to_owned(),
            Self::Map(_) => "a map".to_owned(),
        }
    }
}

/// Parses one YAML document; every place gets the file index `file`.
pub(super) fn parse(text: &str, file: usize) -> Result<Node, (Place, String)> {
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    let located: Located = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let place = error.location().map_or(Place { file, line: 1, column: 1, width: 1 }, |l| place(&l, file));
        (place, format!("not valid YAML: {}", first_line(&error.to_string())))
    })?;
    Ok(located.into_node(file))
}

/// The message without the position that serde-saphyr appends.
fn first_line(message: &str) -> &str {
    let line = message.lines().next().unwrap_or(message);
    line.rsplit_once(" at line ").map_or(line, |(text, _)| text)
}

fn place(location: &Location, file: usize) -> Place {
    let number = |n: u64| u32::try_from(n).unwrap_or(u32::MAX).max(1);
    let width = number(location.span().len()).min(120);
    Place { file, line: number(location.line()), column: number(location.column()), width }
}

/// A node as serde-saphyr gives it, before the file index is known.
struct Located(Spanned<Bare>);

enum Bare {
    Scalar(Value),
    List(Vec<Located>),
    Map(Vec<(Spanned<String>, Located)>),
}

impl Located {
    fn into_node(self, file: usize) -> Node {
        let place_here = place(&self.0.referenced, file);
        let value = match self.0.value {
            Bare::Scalar(value) => value,
            Bare::List(nodes) => Value::List(nodes.into_iter().map(|node| node.into_node(file)).collect()),
            Bare::Map(entries) => Value::Map(
                entries
                    .into_iter()
                    .map(|(key, node)| Entry {
                        place: place(&key.referenced, file),
                        key: key.value,
                        node: node.into_node(file),
                    })
                    .collect(),
            ),
        };
        Node { place: place_here, value }
    }
}

impl<'de> Deserialize<'de> for Located {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Spanned::deserialize(deserializer).map(Self)
    }
}

impl<'de> Deserialize<'de> for Bare {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BareVisitor)
    }
}

struct BareVisitor;

impl<'de> Visitor<'de> for BareVisitor {
    type Value = Bare;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a scalar, a list or a map")
    }

    fn visit_unit<E>(self) -> Result<Bare, E> {
        Ok(Bare::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Bare, E> {
        Ok(Bare::Scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Bare, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Bare, E> {
        Ok(Bare::Scalar(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Bare, E> {
        Ok(Bare::Scalar(Value::Integer(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Bare, E> {
        Ok(Bare::Scalar(i64::try_from(value).map_or(Value::Large(value), Value::Integer)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Bare, E> {
        Ok(Bare::Scalar(Value::Float(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Bare, E> {
        Ok(Bare::Scalar(Value::Text(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Bare, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = seq.next_element()? {
            nodes.push(node);
        }
        Ok(Bare::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Bare, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Bare::Map(entries))
    }
}

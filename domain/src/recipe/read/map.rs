//! The entries of a map and of a list, one after the other, for serde.

use std::cell::RefCell;
use std::{slice, vec};

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{DeserializeSeed, MapAccess, SeqAccess};

use super::{Fault, Reader};
use crate::recipe::document::{Entry, Node};
use crate::recipe::path::Path;

/// Entries that are left to read.
pub(super) struct Fields<'a, 'de> {
    entries: vec::IntoIter<&'de Entry>,
    current: Option<&'de Entry>,
    path: Path,
    unknown: &'a RefCell<Vec<Fault>>,
}

impl<'a, 'de> Fields<'a, 'de> {
    pub(super) fn new(entries: Vec<&'de Entry>, path: Path, unknown: &'a RefCell<Vec<Fault>>) -> Self {
        Self { entries: entries.into_iter(), current: None, path, unknown }
    }
}

impl<'de> MapAccess<'de> for Fields<'_, 'de> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        self.current = self.entries.next();
        let Some(entry) = self.current else { return Ok(None) };
        let key = seed.deserialize(BorrowedStrDeserializer::new(&entry.key));
        key.map(Some).map_err(|fault: Fault| fault.at(entry.place, &self.path))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let Some(entry) = self.current.take() else { return Err(Fault::wrong("a value was asked for before its key")) };
        Reader { node: &entry.node, path: self.path.key(&entry.key), unknown: self.unknown }.read_seed(seed)
    }
}

/// Nodes that are left to read.
pub(super) struct Items<'a, 'de> {
    nodes: std::iter::Enumerate<slice::Iter<'de, Node>>,
    path: Path,
    unknown: &'a RefCell<Vec<Fault>>,
}

impl<'a, 'de> Items<'a, 'de> {
    pub(super) fn new(nodes: &'de [Node], path: Path, unknown: &'a RefCell<Vec<Fault>>) -> Self {
        Self { nodes: nodes.iter().enumerate(), path, unknown }
    }

    /// How many are left.
    pub(super) fn left(&self) -> usize {
        self.nodes.len()
    }
}

impl<'de> SeqAccess<'de> for Items<'_, 'de> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let Some((index, node)) = self.nodes.next() else { return Ok(None) };
        let reader = Reader { node, path: self.path.index(index), unknown: self.unknown };
        reader.read_seed(seed).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left())
    }
}

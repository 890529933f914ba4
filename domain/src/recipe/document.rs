//! A recipe's text as a tree that knows where every key and value stands. Files that `extends` names and overrides of
//! experiments are merged here, before the tree is read into types. Files come through a loader: nothing here does IO.

mod merge;
mod node;

pub(crate) use node::{Entry, Node, Value};

use super::diagnostic::{Diagnostic, Diagnostics};
use super::path::{Path, Segment};
use crate::ids::Name;

/// Gives the text of the file that `extends` names, or says why it cannot.
pub type Loader<'a> = &'a dyn Fn(&str) -> Result<String, String>;

/// Most files in one chain of `extends`.
const MAX_CHAIN: usize = 8;

/// Where a key or a value starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Index into the document's files.
    pub file: usize,
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    /// Characters to underline.
    pub width: u32,
}

/// One source text.
#[derive(Debug, Clone, PartialEq)]
struct File {
    name: String,
    text: String,
}

/// A merged tree with the texts it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    files: Vec<File>,
    root: Node,
}

impl Document {
    /// Parses `text` and merges it over what it `extends`.
    ///
    /// # Errors
    /// [`Diagnostics`] with the place of a syntax error, or of an `extends` that cannot be followed.
    pub fn load(name: &str, text: &str, loader: Loader<'_>) -> Result<Self, Diagnostics> {
        let mut document = Self { files: Vec::new(), root: Node::null() };
        document.root = document.load_chain(name, text, loader, &mut vec![name.to_owned()])?;
        Ok(document)
    }

    fn load_chain(
        &mut self,
        name: &str,
        text: &str,
        loader: Loader<'_>,
        chain: &mut Vec<String>,
    ) -> Result<Node, Diagnostics> {
        let mut root = self.parse(name, text)?;
        let Some(extends) = root.take("extends") else { return Ok(root) };
        let refuse = |document: &Self, message: String| -> Diagnostics {
            document.diagnose(extends.place, Path::root().key("extends"), message).into()
        };
        let Some(parents) = file_names(&extends.value) else {
            let message = "`extends` names a file or several, for example `extends: quickstart.yaml`".to_owned();
            return Err(refuse(self, message));
        };
        let mut merged: Option<Node> = None;
        for parent in parents {
            if chain.contains(&parent) || chain.len() >= MAX_CHAIN {
                let links = chain.join(" -> ");
                let message = format!("`extends` must end: {links} -> {parent} (no circle, at most {MAX_CHAIN} files)");
                return Err(refuse(self, message));
            }
            let text = loader(&parent).map_err(|e| refuse(self, format!("cannot read `{parent}`: {e}")))?;
            chain.push(parent.clone());
            let node = self.load_chain(&parent, &text, loader, chain)?;
            chain.pop();
            match &mut merged {
                Some(merged) => merge::merge(merged, node),
                None => merged = Some(node),
            }
        }
        let Some(mut merged) = merged else { return Ok(root) };
        merge::merge(&mut merged, root);
        Ok(merged)
    }

    fn parse(&mut self, name: &str, text: &str) -> Result<Node, Diagnostics> {
        let file = self.files.len();
        self.files.push(File { name: name.to_owned(), text: text.to_owned() });
        node::parse(text, file).map_err(|(place, message)| self.diagnose(place, Path::root(), message).into())
    }

    /// Whether there is a top-level key of that name.
    #[must_use]
    pub(crate) fn has(&self, key: &str) -> bool {
        matches!(&self.root.value, Value::Map(entries) if entries.iter().any(|entry| entry.key == key))
    }

    /// Takes the value under a top-level key out of the document, as a document of its own.
    #[must_use]
    pub(crate) fn take(&mut self, key: &str) -> Option<Self> {
        self.root.take(key).map(|root| Self { files: self.files.clone(), root })
    }

    /// Divides a map into the entries under `keys` and the rest.
    #[must_use]
    pub(crate) fn split(mut self, keys: &[&str]) -> (Self, Self) {
        let taken = self.root.split(keys);
        (Self { files: self.files.clone(), root: taken }, self)
    }

    /// The entries of a map, each a document of its own.
    ///
    /// # Errors
    /// If the document is no map, or a key is no name.
    pub(crate) fn into_entries(self) -> Result<Vec<(Name, Self)>, Diagnostics> {
        let Value::Map(entries) = &self.root.value else {
            let message = format!("expected a map, found {}", self.root.value.describe());
            return Err(self.diagnose(self.root.place, Path::root(), message).into());
        };
        let named = entries.iter().map(|entry| {
            let name = Name::new(entry.key.clone())
                .map_err(|e| Diagnostics::from(self.diagnose(entry.place, Path::root(), e.to_string())))?;
            Ok((name, Self { files: self.files.clone(), root: entry.node.clone() }))
        });
        named.collect()
    }

    /// Merges `over` into this document: maps deeply, lists of named recipe steps by `as`, all else replaced.
    pub fn merge(&mut self, over: Self) {
        let shift = self.files.len();
        self.files.extend(over.files);
        let mut root = over.root;
        root.shift_files(shift);
        merge::merge(&mut self.root, root);
    }

    pub(crate) fn root(&self) -> &Node {
        &self.root
    }

    /// A diagnostic with its source line.
    pub(crate) fn diagnose(&self, place: Place, path: Path, message: String) -> Diagnostic {
        let file = &self.files[place.file];
        Diagnostic {
            file: file.name.clone(),
            line: place.line,
            column: place.column,
            width: place.width,
            source_line: file.text.lines().nth(place.line.saturating_sub(1) as usize).unwrap_or("").to_owned(),
            path,
            message,
            help: None,
            topic: None,
        }
    }

    /// The place of the deepest part of `path` that the text has: a defaulted field is found at the map it belongs to.
    pub(crate) fn place_of(&self, path: &Path) -> Place {
        let (mut node, mut place) = (&self.root, self.root.place);
        for segment in path.segments() {
            let next = match (segment, &node.value) {
                (Segment::Key(key), Value::Map(entries)) => entries.iter().find(|e| e.key == *key).map(|e| {
                    let scalar = !matches!(e.node.value, Value::Map(_) | Value::List(_));
                    (&e.node, if scalar { e.node.place } else { e.place })
                }),
                (Segment::Index(index), Value::List(nodes)) => nodes.get(*index).map(|n| (n, n.place)),
                _ => None,
            };
            let Some(found) = next else { break };
            (node, place) = found;
        }
        place
    }
}

/// The files that `extends` names, in the order in which they are merged: later ones over earlier ones.
fn file_names(value: &Value) -> Option<Vec<String>> {
    let text = |value: &Value| match value {
        Value::Text(name) => Some(name.clone()),
        _ => None,
    };
    match value {
        Value::List(nodes) => nodes.iter().map(|node| text(&node.value)).collect(),
        other => text(other).map(|name| vec![name]),
    }
}

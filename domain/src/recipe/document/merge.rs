//! The merge rule of `extends` and of experiments: maps merge deeply; a list of recipe steps merges step by step; a choice (a map
//! with one key, such as `base`) with another key is replaced; `null` takes a field away, and where there is none it stays, for the
//! reader to refuse what it does not know; all else is replaced. What stands under a name of the reader's choice, such as an arm
//! called `control`, is no choice for its name.
//!
//! A recipe step is known by its verb and its `as`, a `train` without one by its role. One that is not there yet comes last, or in
//! front of the step that `before` names; `omit: true` takes one away. Both words are read here and never reach the grammar.

use super::{Entry, Node, Value};

/// Fields whose value is a choice: merging two different choices would make neither.
const CHOICES: [&str; 20] = [
    "base",
    "search",
    "loss",
    "gate",
    "stop",
    "control",
    "from",
    "on",
    "family",
    "baseline",
    "metric",
    "unit",
    "select",
    "merge",
    "width",
    "guide",
    "optimiser",
    "credit",
    "surrogate",
    "verifier",
];

/// Kinds of task sets: one in place of another.
const TASK_SETS: [&str; 3] = ["builtin", "files", "env"];

/// Maps whose keys are names of the reader's choice.
const NAMED: [&str; 4] = ["arms", "roles", "numbers", "vars"];

/// What the keys of a map are.
#[derive(Clone, Copy)]
enum Keys {
    Words,
    Names,
}

/// Merges `over` into `node`.
pub(super) fn merge(node: &mut Node, over: Node) {
    merge_map(node, over, Keys::Words);
}

fn merge_map(node: &mut Node, over: Node, keys: Keys) {
    match (&mut node.value, over.value) {
        (Value::Map(entries), Value::Map(over)) => over.into_iter().for_each(|entry| merge_entry(entries, entry, keys)),
        (Value::List(nodes), Value::List(over)) if over.iter().any(|n| known_by(n).is_some()) => {
            over.into_iter().for_each(|node| merge_step(nodes, node));
        }
        (_, value) => *node = Node { place: over.place, value },
    }
}

fn merge_entry(entries: &mut Vec<Entry>, over: Entry, keys: Keys) {
    let Some(at) = entries.iter().position(|entry| entry.key == over.key) else { return entries.push(over) };
    match &mut entries[at] {
        _ if over.node.value == Value::Null => drop(entries.remove(at)),
        entry if is_choice(&over, keys) && sole_key(&entry.node) != sole_key(&over.node) => *entry = over,
        entry => {
            let keys = if NAMED.contains(&over.key.as_str()) { Keys::Names } else { Keys::Words };
            merge_map(&mut entry.node, over.node, keys);
        }
    }
}

fn is_choice(over: &Entry, keys: Keys) -> bool {
    let word = matches!(keys, Keys::Words) && CHOICES.contains(&over.key.as_str());
    word || sole_key(&over.node).is_some_and(|key| TASK_SETS.contains(&key))
}

/// Merges a recipe step into the one that it means, or adds it.
fn merge_step(nodes: &mut Vec<Node>, over: Node) {
    let known = known_by(&over).map(|(verb, name)| (verb.to_owned(), name.to_owned()));
    let means = |node: &Node| known.as_ref().is_some_and(|(verb, name)| known_by(node) == Some((verb, name)));
    let at = nodes.iter().position(means);
    let Some(at) = at else { return add_step(nodes, over) };
    let omitted = field(&over, "omit").is_some_and(|node| node.value == Value::Bool(true));
    if omitted {
        nodes.remove(at);
    } else {
        merge(&mut nodes[at], over);
    }
}

/// Adds a recipe step. A `before` or an `omit` that names none stays in it, for the reader to refuse.
fn add_step(nodes: &mut Vec<Node>, mut over: Node) {
    let before = field(&over, "before").and_then(|before| match &before.value {
        Value::Text(name) => nodes.iter().position(|node| known_by(node).is_some_and(|(_, known)| known == name)),
        _ => None,
    });
    if before.is_some() {
        take_field(&mut over, "before");
    }
    nodes.insert(before.unwrap_or(nodes.len()), over);
}

fn sole_key(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Map(entries) if entries.len() == 1 => Some(&entries[0].key),
        _ => None,
    }
}

/// The verb and the name that a recipe step `{verb: {as: name, ...}}` is known by.
fn known_by(node: &Node) -> Option<(&str, &str)> {
    let Value::Map(entries) = &node.value else { return None };
    let [Entry { key: verb, node: Node { value: Value::Map(fields), .. }, .. }] = entries.as_slice() else {
        return None;
    };
    let text = |key: &str| {
        fields.iter().find(|field| field.key == key).and_then(|field| match &field.node.value {
            Value::Text(name) => Some(name.as_str()),
            _ => None,
        })
    };
    let role = || if verb == "train" { text("role") } else { None };
    Some((verb, text("as").or_else(role)?))
}

/// A field of a recipe step.
fn field<'a>(node: &'a Node, key: &str) -> Option<&'a Node> {
    let Value::Map(entries) = &node.value else { return None };
    let [Entry { node: Node { value: Value::Map(fields), .. }, .. }] = entries.as_slice() else { return None };
    fields.iter().find(|field| field.key == key).map(|field| &field.node)
}

/// Takes a field of a recipe step out of it.
fn take_field(node: &mut Node, key: &str) -> Option<Node> {
    let Value::Map(entries) = &mut node.value else { return None };
    let [step] = entries.as_mut_slice() else { return None };
    step.node.take(key)
}

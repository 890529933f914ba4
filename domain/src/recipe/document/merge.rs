//! The merge rule of `extends` and of experiments: maps merge deeply; a list whose entries are named with `as` merges
//! by that name; a choice (a map with one key, such as `base`) with another key is replaced; all else is replaced.

use super::{Entry, Node, Value};

/// Fields whose value is a choice: merging two different choices would make neither.
const CHOICES: [&str; 9] = ["base", "search", "loss", "gate", "stop", "control", "from", "on", "metric"];

/// Merges `over` into `node`.
pub(super) fn merge(node: &mut Node, over: Node) {
    match (&mut node.value, over.value) {
        (Value::Map(entries), Value::Map(over)) => over.into_iter().for_each(|entry| merge_entry(entries, entry)),
        (Value::List(nodes), Value::List(over)) if over.iter().any(|n| given_name(n).is_some()) => {
            over.into_iter().for_each(|node| merge_step(nodes, node));
        }
        (_, value) => *node = Node { place: over.place, value },
    }
}

fn merge_entry(entries: &mut Vec<Entry>, over: Entry) {
    match entries.iter_mut().find(|e| e.key == over.key) {
        None => entries.push(over),
        Some(entry) if CHOICES.contains(&over.key.as_str()) && sole_key(&entry.node) != sole_key(&over.node) => {
            *entry = over;
        }
        Some(entry) => merge(&mut entry.node, over.node),
    }
}

/// Merges a recipe step into the one of the same verb and name, or appends it.
fn merge_step(nodes: &mut Vec<Node>, over: Node) {
    let name = given_name(&over).map(str::to_owned);
    let same = nodes
        .iter_mut()
        .find(|n| name.is_some() && given_name(n).map(str::to_owned) == name && sole_key(n) == sole_key(&over));
    match same {
        Some(node) => merge(node, over),
        None => nodes.push(over),
    }
}

fn sole_key(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Map(entries) if entries.len() == 1 => Some(&entries[0].key),
        _ => None,
    }
}

/// The `as` name of a recipe step `{verb: {as: name, ...}}`.
fn given_name(node: &Node) -> Option<&str> {
    let Value::Map(entries) = &node.value else { return None };
    let [Entry { node: Node { value: Value::Map(fields), .. }, .. }] = entries.as_slice() else { return None };
    fields.iter().find(|f| f.key == "as").and_then(|f| match &f.node.value {
        Value::Text(name) => Some(name.as_str()),
        _ => None,
    })
}

//! Equality of whole answers by their kind: values, tuples, sets, lists, matrices, words, relations. Which kinds may stand for each
//! other is decided here: `x = 5` for `5`, a list for a set or a tuple, a set of one for its element.

use super::compare::{Context, Decision};
use super::node::{Bracket, Joint, Node, Sign};
use super::parser::normal_text;
use super::{TooLarge, Undecided, relations, scalar, spans};

/// Most items of a set that are matched with each other.
const MAX_ITEMS: usize = 48;

/// Whether two answers are the same.
pub(super) fn same(gold: &Node, answer: &Node, context: &mut Context<'_>) -> Decision {
    context.steps.take(1).map_err(Undecided::TooLarge)?;
    let (gold, answer) = (both_signs(gold), both_signs(answer));
    let (gold, answer) = unlabelled(gold, answer);
    if let Some(decided) = computed(&gold, &answer, context) {
        return decided;
    }
    if gold == answer {
        return Ok(true);
    }
    if let (Node::Text(_), _) | (_, Node::Text(_)) = (&gold, &answer) {
        return Ok(text(&gold) == text(&answer));
    }
    if let Some(decided) = relations::same(&gold, &answer, context) {
        return decided;
    }
    if (spans::is_set(&gold) || spans::is_set(&answer))
        && let Some(decided) = spans::same(&gold, &answer, context)
    {
        return decided;
    }
    match (&gold, &answer) {
        (Node::Named(a), Node::Named(b)) => Ok(a == b),
        (Node::Matrix(a), Node::Matrix(b)) => matrices(a, b, context),
        (Node::Tuple(open, a, close), Node::Tuple(other_open, b, other_close)) => {
            // Two items may be an interval, where the brackets mean something.
            let brackets = a.len() != 2 || (open == other_open && close == other_close);
            if brackets { ordered(a, b, context) } else { Ok(false) }
        }
        (Node::Tuple(Bracket::Round, a, Bracket::Round), Node::List(_, b))
        | (Node::List(_, a), Node::Tuple(Bracket::Round, b, Bracket::Round)) => {
            ordered(&values(a), &values(b), context)
        }
        (Node::Set(a), Node::Set(b)) => contained(a, b, context)?.and_also(|| contained(b, a, context)),
        (Node::List(_, a), Node::Set(b)) | (Node::Set(a), Node::List(_, b)) => {
            let (a, b) = (solutions(a), solutions(b));
            contained(&a, &b, context)?.and_also(|| contained(&b, &a, context))
        }
        (Node::List(_, a), Node::List(_, b)) => lists(a, b, context),
        (Node::Set(items), value) if is_value(value) => alone(items, value, context, false),
        (value, Node::Set(items)) if is_value(value) => alone(items, value, context, true),
        (a, b) if is_value(a) && is_value(b) => scaled_or_scalar(a, b, context),
        (Node::Matrix(_), b) if has_matrix(b) => scaled_or_scalar(&gold, b, context),
        (a, Node::Matrix(_)) if has_matrix(a) => scaled_or_scalar(a, &answer, context),
        _ => Ok(false),
    }
}

/// `and` of a decision with one that is made only if it is needed.
trait AndAlso {
    fn and_also(self, next: impl FnOnce() -> Decision) -> Decision;
}

impl AndAlso for bool {
    fn and_also(self, next: impl FnOnce() -> Decision) -> Decision {
        if self { next() } else { Ok(false) }
    }
}

fn text(node: &Node) -> String {
    match node {
        Node::Text(text) => normal_text(text),
        other => normal_text(&other.to_string()),
    }
}

/// `a ± b` as the list of its two values.
fn both_signs(node: &Node) -> Node {
    let has = |node: &Node| with_sign(node, true) != *node;
    match node {
        Node::Relation(first, rest) if rest.iter().any(|(_, node)| has(node)) => {
            let one = |upper| {
                let rest = rest.iter().map(|(sign, node)| (*sign, with_sign(node, upper))).collect();
                Node::Relation(first.clone(), rest)
            };
            Node::List(Joint::Or, vec![one(true), one(false)])
        }
        Node::Set(items) | Node::List(_, items) if items.iter().any(has) => {
            let all = items.iter().flat_map(|item| {
                if has(item) { vec![with_sign(item, true), with_sign(item, false)] } else { vec![item.clone()] }
            });
            let all = all.collect();
            if matches!(node, Node::Set(_)) { Node::Set(all) } else { Node::List(Joint::Comma, all) }
        }
        node if is_value(node) && has(node) => {
            Node::List(Joint::Or, vec![with_sign(node, true), with_sign(node, false)])
        }
        node => node.clone(),
    }
}

/// The value with the upper or with the lower signs.
fn with_sign(node: &Node, upper: bool) -> Node {
    let inner = |node: &Node| Box::new(with_sign(node, upper));
    let all = |nodes: &[Node]| nodes.iter().map(|node| with_sign(node, upper)).collect();
    match node {
        Node::PlusMinus(left, right, plus) => {
            let right = with_sign(right, upper);
            Node::Sum(vec![with_sign(left, upper), if *plus == upper { right } else { right.negated() }])
        }
        Node::Negative(value) => Node::Negative(inner(value)),
        Node::Measure(value, unit) => Node::Measure(inner(value), unit.clone()),
        Node::Quotient(left, right) => Node::Quotient(inner(left), inner(right)),
        Node::Power(left, right) => Node::Power(inner(left), inner(right)),
        Node::Sum(nodes) => Node::Sum(all(nodes)),
        Node::Product(nodes) => Node::Product(all(nodes)),
        Node::Call(function, nodes) => Node::Call(*function, all(nodes)),
        other => other.clone(),
    }
}

/// A computation `6!/4! = 30` against `30`: its last part counts, if its parts are the same.
fn computed(gold: &Node, answer: &Node, context: &mut Context<'_>) -> Option<Decision> {
    let parts = |node: &Node| match node {
        Node::Relation(first, rest) if rest.iter().all(|(sign, node)| *sign == Sign::Equal && is_value(node)) => {
            let constant = is_value(first) && scalar::variables(first).is_empty();
            constant.then(|| rest.last().map(|(_, last)| (first.as_ref().clone(), last.clone()))).flatten()
        }
        _ => None,
    };
    let (first, last, value) = match (parts(gold), parts(answer)) {
        (Some((first, last)), None) if is_value(answer) => (first, last, answer),
        (None, Some((first, last))) if is_value(gold) => (first, last, gold),
        _ => return None,
    };
    let gold_first = std::ptr::eq(value, answer);
    let whole = if gold_first { same(&last, value, context) } else { same(value, &last, context) };
    Some(match whole {
        Ok(true) => same(&first, &last, context),
        other => other,
    })
}

/// What an answer's name is left out of: `x = 5` against `5`.
fn unlabelled(gold: Node, answer: Node) -> (Node, Node) {
    match (assigned(&gold), assigned(&answer)) {
        (Some((_, value)), None) if !is_relation(&answer) => (value.clone(), answer),
        (None, Some((_, value))) if !is_relation(&gold) => (gold, value.clone()),
        (Some((name, value)), Some((other, other_value))) if name == other => (value.clone(), other_value.clone()),
        _ => {
            let (gold, answer) = (named_list(gold), named_list(answer));
            (gold, answer)
        }
    }
}

/// `x = 1, 2` as a list of values of one name; `x = 1 or x = 2` likewise.
fn named_list(node: Node) -> Node {
    match node {
        Node::List(joint, mut items) => {
            if items.iter().skip(1).all(|item| !is_relation(item))
                && let Some((_, value)) = items.first().and_then(assigned)
            {
                items[0] = value.clone();
            }
            Node::List(joint, items)
        }
        node => node,
    }
}

fn is_relation(node: &Node) -> bool {
    match node {
        Node::Relation(..) => true,
        Node::List(_, items) => items.iter().any(is_relation),
        _ => false,
    }
}

/// The name and the last value of `x = ...`, `f(x) = ...`, `x \in ...`.
pub(super) fn assigned(node: &Node) -> Option<(&Node, &Node)> {
    let Node::Relation(name, rest) = node else { return None };
    // `AB` is a length; `(x, y)` names a pair.
    let upper = |letter: &Node| matches!(letter, Node::Symbol(name) if name.chars().all(|c| c.is_ascii_uppercase()));
    let named = match name.as_ref() {
        Node::Symbol(_) | Node::Apply(..) | Node::Text(_) => true,
        Node::Product(letters) => letters.iter().all(upper),
        Node::Tuple(_, items, _) => items.iter().all(|item| matches!(item, Node::Symbol(_))),
        _ => false,
    };
    let equal = rest.iter().all(|(sign, _)| matches!(sign, Sign::Equal | Sign::Within | Sign::About));
    if !named || !equal {
        return None;
    }
    let exact = rest.iter().rev().find(|(sign, _)| *sign != Sign::About).or_else(|| rest.last());
    exact.map(|(_, value)| (name.as_ref(), value))
}

/// Items without their names.
fn values(items: &[Node]) -> Vec<Node> {
    items.iter().map(|item| assigned(item).map_or_else(|| item.clone(), |(_, value)| value.clone())).collect()
}

/// Items without their names, if all have the same name.
fn solutions(items: &[Node]) -> Vec<Node> {
    let names: Vec<Option<&Node>> = items.iter().map(|item| assigned(item).map(|(name, _)| name)).collect();
    if names.windows(2).all(|pair| pair[0] == pair[1]) { values(items) } else { items.to_vec() }
}

pub(super) fn is_value(node: &Node) -> bool {
    matches!(
        node,
        Node::Number(_)
            | Node::Constant(_)
            | Node::Infinity
            | Node::Symbol(_)
            | Node::Apply(..)
            | Node::Sum(_)
            | Node::Product(_)
            | Node::Negative(_)
            | Node::Quotient(..)
            | Node::Power(..)
            | Node::Call(..)
            | Node::PlusMinus(..)
            | Node::Measure(..)
    )
}

fn alone(items: &[Node], value: &Node, context: &mut Context<'_>, gold_first: bool) -> Decision {
    match items {
        [item] if gold_first => same(value, item, context),
        [item] => same(item, value, context),
        _ => Ok(false),
    }
}

fn ordered(gold: &[Node], answer: &[Node], context: &mut Context<'_>) -> Decision {
    if gold.len() != answer.len() {
        return Ok(false);
    }
    let mut undecided = None;
    for (a, b) in gold.iter().zip(answer) {
        match same(a, b, context) {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(reason) => undecided = Some(reason),
        }
    }
    undecided.map_or(Ok(true), Err)
}

/// Whether each of `part` is one of `all`.
fn contained(part: &[Node], all: &[Node], context: &mut Context<'_>) -> Decision {
    if part.len() > MAX_ITEMS || all.len() > MAX_ITEMS {
        return Err(Undecided::TooLarge(TooLarge::Steps));
    }
    for item in part {
        let mut undecided = None;
        let mut found = false;
        for other in all {
            match same(item, other, context) {
                Ok(true) => {
                    found = true;
                    break;
                }
                Ok(false) => {}
                Err(reason) => undecided = Some(reason),
            }
        }
        if !found {
            return undecided.map_or(Ok(false), Err);
        }
    }
    Ok(true)
}

/// Lists without brackets are compared without order, item by item.
fn lists(gold: &[Node], answer: &[Node], context: &mut Context<'_>) -> Decision {
    if gold.len() != answer.len() {
        return Ok(false);
    }
    if gold.len() > MAX_ITEMS {
        return Err(Undecided::TooLarge(TooLarge::Steps));
    }
    let plain = |items: &[Node]| items.iter().all(|item| assigned(item).is_none());
    let (gold, answer) = if plain(gold) == plain(answer) {
        (gold.to_vec(), answer.to_vec())
    } else {
        (solutions(gold), solutions(answer))
    };
    let mut free: Vec<&Node> = answer.iter().collect();
    for item in &gold {
        let mut undecided = None;
        let mut found = None;
        for (place, other) in free.iter().enumerate() {
            match same(item, other, context) {
                Ok(true) => {
                    found = Some(place);
                    break;
                }
                Ok(false) => {}
                Err(reason) => undecided = Some(reason),
            }
        }
        match found {
            Some(place) => {
                free.remove(place);
            }
            None => return undecided.map_or(Ok(false), Err),
        }
    }
    Ok(true)
}

fn matrices(gold: &[Vec<Node>], answer: &[Vec<Node>], context: &mut Context<'_>) -> Decision {
    if gold.len() != answer.len() {
        return Ok(false);
    }
    let mut undecided = None;
    for (a, b) in gold.iter().zip(answer) {
        match ordered(a, b, context) {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(reason) => undecided = Some(reason),
        }
    }
    undecided.map_or(Ok(true), Err)
}

fn has_matrix(node: &Node) -> bool {
    match node {
        Node::Product(factors) => factors.iter().filter(|factor| matches!(factor, Node::Matrix(_))).count() == 1,
        Node::Negative(inner) => has_matrix(inner),
        Node::Matrix(_) => true,
        _ => false,
    }
}

/// A number times a matrix, as a matrix.
fn scaled(node: &Node) -> Option<Vec<Vec<Node>>> {
    match node {
        Node::Matrix(rows) => Some(rows.clone()),
        Node::Negative(inner) => {
            let rows = scaled(inner)?;
            Some(rows.into_iter().map(|row| row.into_iter().map(Node::negated).collect()).collect())
        }
        Node::Product(factors) if has_matrix(node) => {
            let rows = factors.iter().find_map(|factor| match factor {
                Node::Matrix(rows) => Some(rows),
                _ => None,
            })?;
            let rest: Vec<Node> = factors.iter().filter(|factor| !matches!(factor, Node::Matrix(_))).cloned().collect();
            let times = |node: &Node| Node::Product(rest.iter().cloned().chain([node.clone()]).collect());
            Some(rows.iter().map(|row| row.iter().map(times).collect()).collect())
        }
        _ => None,
    }
}

fn scaled_or_scalar(gold: &Node, answer: &Node, context: &mut Context<'_>) -> Decision {
    match (scaled(gold), scaled(answer)) {
        (Some(a), Some(b)) => matrices(&a, &b, context),
        (None, None) => scalar::same(gold, answer, context),
        _ => Ok(false),
    }
}

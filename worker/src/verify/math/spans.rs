//! Sets of real numbers made of intervals and points: unions, inequalities of one variable, the reals without some points. They are
//! brought to one form, sorted and joined where they touch, and compared end by end.

use std::cmp::Ordering;

use super::compare::{Context, Decision};
use super::node::{Bracket, Joint, Node, Sign};
use super::{Undecided, scalar};

/// Most intervals of a set.
const MAX_SPANS: usize = 48;

/// From `low` to `high`; whether the ends belong to it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Span {
    low: Node,
    closed_low: bool,
    high: Node,
    closed_high: bool,
}

impl Span {
    fn all() -> Self {
        Self { low: Node::Infinity.negated(), closed_low: false, high: Node::Infinity, closed_high: false }
    }

    fn point(value: &Node) -> Self {
        Self { low: value.clone(), closed_low: true, high: value.clone(), closed_high: true }
    }
}

/// Whether an answer can only be meant as a set of reals.
pub(super) fn is_set(node: &Node) -> bool {
    match node {
        Node::Union(_) | Node::Meet(_) | Node::Without(..) => true,
        Node::Named(name) => name == "R",
        Node::Tuple(open, items, close) => {
            items.len() == 2 && (open != close || items.iter().any(|item| scalar::infinite(item).is_some()))
        }
        Node::Relation(..) => of_relation(node).is_some(),
        Node::List(_, items) => !items.is_empty() && items.iter().all(is_set),
        _ => false,
    }
}

/// Whether two sets of reals are the same; `None` if one is no such set.
pub(super) fn same(gold: &Node, answer: &Node, context: &mut Context<'_>) -> Option<Decision> {
    let (left, right) = (spans(gold)?, spans(answer)?);
    Some(compare(left, right, context))
}

fn compare(left: Vec<Span>, right: Vec<Span>, context: &mut Context<'_>) -> Decision {
    let (left, right) = (joined(left, context)?, joined(right, context)?);
    if left.len() != right.len() {
        return Ok(false);
    }
    for (a, b) in left.iter().zip(&right) {
        if a.closed_low != b.closed_low || a.closed_high != b.closed_high {
            return Ok(false);
        }
        if !scalar::same(&a.low, &b.low, context)? || !scalar::same(&a.high, &b.high, context)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The intervals of a set, as written.
fn spans(node: &Node) -> Option<Vec<Span>> {
    match node {
        Node::Union(parts) => {
            let mut all = Vec::new();
            for part in parts {
                all.extend(spans(part)?);
            }
            (all.len() <= MAX_SPANS).then_some(all)
        }
        Node::Named(name) if name == "R" => Some(vec![Span::all()]),
        Node::Without(all, less) if matches!(all.as_ref(), Node::Named(name) if name == "R") => match less.as_ref() {
            Node::Set(points) => without(points),
            _ => None,
        },
        Node::Tuple(open, items, close) => match items.as_slice() {
            [low, high] => Some(vec![Span {
                low: low.clone(),
                closed_low: *open == Bracket::Square,
                high: high.clone(),
                closed_high: *close == Bracket::Square,
            }]),
            _ => None,
        },
        Node::Set(items) => Some(items.iter().map(Span::point).collect()),
        Node::Relation(..) => of_relation(node).map(|(_, spans)| spans),
        Node::List(Joint::Or, items) => {
            let mut variable = None;
            let mut all = Vec::new();
            for item in items {
                let (name, found) = of_relation(item)?;
                if variable.is_some_and(|known: Node| known != name) {
                    return None;
                }
                variable = Some(name);
                all.extend(found);
            }
            Some(all)
        }
        _ => None,
    }
}

/// The reals without some points, which must be given in order.
fn without(points: &[Node]) -> Option<Vec<Span>> {
    if points.len() >= MAX_SPANS {
        return None;
    }
    let mut spans = Vec::new();
    let mut low = Node::Infinity.negated();
    for point in points {
        spans.push(Span { low, closed_low: false, high: point.clone(), closed_high: false });
        low = point.clone();
    }
    spans.push(Span { low, closed_low: false, high: Node::Infinity, closed_high: false });
    Some(spans)
}

/// The variable and the intervals of `x > a`, `a < x <= b`, `x != a`.
pub(super) fn of_relation(node: &Node) -> Option<(Node, Vec<Span>)> {
    let Node::Relation(first, rest) = node else { return None };
    let is_name = |node: &Node| matches!(node, Node::Symbol(_));
    let constant = |node: &Node| scalar::variables(node).is_empty();
    match rest.as_slice() {
        [(sign, bound)] if is_name(first) && constant(bound) => Some((first.as_ref().clone(), beyond(*sign, bound)?)),
        [(sign, name)] if is_name(name) && constant(first) => Some((name.clone(), beyond(sign.flipped(), first)?)),
        [(low_sign, name), (high_sign, high)] if is_name(name) && constant(first) && constant(high) => {
            let (low, high, low_sign, high_sign) = match (low_sign, high_sign) {
                (Sign::Less | Sign::AtMost, Sign::Less | Sign::AtMost) => (first.as_ref(), high, *low_sign, *high_sign),
                (Sign::Greater | Sign::AtLeast, Sign::Greater | Sign::AtLeast) => {
                    (high, first.as_ref(), high_sign.flipped(), low_sign.flipped())
                }
                _ => return None,
            };
            let span = Span {
                low: low.clone(),
                closed_low: low_sign == Sign::AtMost,
                high: high.clone(),
                closed_high: high_sign == Sign::AtMost,
            };
            Some((name.clone(), vec![span]))
        }
        _ => None,
    }
}

/// The reals on one side of a bound.
fn beyond(sign: Sign, bound: &Node) -> Option<Vec<Span>> {
    let below = |closed| Span { high: bound.clone(), closed_high: closed, ..Span::all() };
    let above = |closed| Span { low: bound.clone(), closed_low: closed, ..Span::all() };
    match sign {
        Sign::Less => Some(vec![below(false)]),
        Sign::AtMost => Some(vec![below(true)]),
        Sign::Greater => Some(vec![above(false)]),
        Sign::AtLeast => Some(vec![above(true)]),
        Sign::Unequal => Some(vec![below(false), above(false)]),
        Sign::Equal | Sign::Within | Sign::About => None,
    }
}

/// Sorted, without empty ones, joined where they touch.
fn joined(spans: Vec<Span>, context: &mut Context<'_>) -> Result<Vec<Span>, Undecided> {
    let mut sorted: Vec<Span> = Vec::new();
    for span in spans {
        let order = ordered(&span.low, &span.high, context)?;
        if order == Ordering::Greater || (order == Ordering::Equal && !(span.closed_low && span.closed_high)) {
            continue;
        }
        let mut place = sorted.len();
        while place > 0 && before(&span, &sorted[place - 1], context)? {
            place -= 1;
        }
        sorted.insert(place, span);
    }
    let mut joined: Vec<Span> = Vec::new();
    for span in sorted {
        let Some(last) = joined.last_mut() else {
            joined.push(span);
            continue;
        };
        let gap = ordered(&span.low, &last.high, context)?;
        let touches = gap == Ordering::Less || (gap == Ordering::Equal && (span.closed_low || last.closed_high));
        if !touches {
            joined.push(span);
            continue;
        }
        match ordered(&span.high, &last.high, context)? {
            Ordering::Greater => (last.high, last.closed_high) = (span.high, span.closed_high),
            Ordering::Equal => last.closed_high |= span.closed_high,
            Ordering::Less => {}
        }
    }
    Ok(joined)
}

fn before(span: &Span, other: &Span, context: &mut Context<'_>) -> Result<bool, Undecided> {
    Ok(match ordered(&span.low, &other.low, context)? {
        Ordering::Less => true,
        Ordering::Equal => span.closed_low && !other.closed_low,
        Ordering::Greater => false,
    })
}

/// Ends with variables, or that are not real, keep the order in which they are written.
fn ordered(left: &Node, right: &Node, context: &mut Context<'_>) -> Result<Ordering, Undecided> {
    if left == right {
        return Ok(Ordering::Equal);
    }
    if !scalar::variables(left).is_empty() || !scalar::variables(right).is_empty() {
        return Ok(Ordering::Less);
    }
    Ok(scalar::order(left, right, context)?.unwrap_or(Ordering::Less))
}

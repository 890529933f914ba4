//! Whether two expressions have the same value: exactly where both are quotients of polynomials, else at many digits at seeded points.
//! Units, percentages and rounded decimals are decided here; sets and relations are not.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Signed};

use super::compare::{Context, Decision, stopped};
use super::exact::exact;
use super::node::{Constant, Node};
use super::numeric::{Point, Seen};
use super::steps::Stop;
use super::units::Unit;
use super::{Side, TooLarge, Undecided, Units};

/// Points at which expressions with variables are looked at, and how many of them must have a value.
const POINTS: u64 = 14;
const ENOUGH: usize = 3;

/// Whether two quantities are the same.
pub(super) fn same(gold: &Node, answer: &Node, context: &mut Context<'_>) -> Decision {
    let (left, left_unit) = quantity(gold);
    let (right, right_unit) = quantity(answer);
    if left_unit.is_none() && right_unit.is_none() {
        return same_value(gold, answer, context);
    }
    let units = context.options.units;
    if units == Units::Drop {
        return any_reading(&[(left, right), (plain(gold), right), (left, plain(answer))], context);
    }
    match (left_unit, right_unit) {
        (Some(a), Some(b)) if a.is_plain() == b.is_plain() => {
            if a.dimensions != b.dimensions {
                return Ok(false);
            }
            if a == b {
                return same_value(left, right, context);
            }
            same_value(&converted(left, a), &converted(right, b), context)
        }
        (Some(_), Some(_)) => Ok(false),
        _ if units == Units::WhereGiven => {
            any_reading(&[(left, right), (plain(gold), right), (left, plain(answer))], context)
        }
        (Some(unit), None) if unit.is_plain() => same_value(gold, right, context),
        (None, Some(unit)) if unit.is_plain() => same_value(left, answer, context),
        _ => Ok(false),
    }
}

/// A percentage or an angle as the number it is; any other quantity without its unit.
fn plain(node: &Node) -> &Node {
    match node {
        Node::Measure(_, unit) if unit.is_plain() => node,
        Node::Measure(value, _) => value,
        node => node,
    }
}

fn any_reading(readings: &[(&Node, &Node)], context: &mut Context<'_>) -> Decision {
    let mut undecided = None;
    for (left, right) in readings {
        match same_value(left, right, context) {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(reason) => undecided = Some(reason),
        }
    }
    undecided.map_or(Ok(false), Err)
}

fn quantity(node: &Node) -> (&Node, Option<&Unit>) {
    match node {
        Node::Measure(value, unit) => (value, Some(unit)),
        Node::Negative(inner) if matches!(inner.as_ref(), Node::Measure(..)) => (node, None),
        node => (node, None),
    }
}

/// The value in the dimensions' own units.
fn converted(value: &Node, unit: &Unit) -> Node {
    let plain = Unit { dimensions: std::collections::BTreeMap::new(), ..unit.clone() };
    Node::Measure(Box::new(value.clone()), plain)
}

/// Whether two expressions without units have the same value.
pub(super) fn same_value(gold: &Node, answer: &Node, context: &mut Context<'_>) -> Decision {
    if gold == answer {
        return Ok(true);
    }
    if let (Some(a), Some(b)) = (infinite(gold), infinite(answer)) {
        return Ok(a == b);
    }
    if infinite(gold).is_some() || infinite(answer).is_some() {
        return Ok(false);
    }
    let left = exact(gold, &mut context.steps).map_err(|stop| stopped(Side::Gold, stop))?;
    let right = exact(answer, &mut context.steps).map_err(|stop| stopped(Side::Answer, stop))?;
    let mut decided = None;
    if let (Some(left), Some(right)) = (&left, &right) {
        decided = left.same(right, &mut context.steps).map_err(Undecided::TooLarge)?;
    }
    let equal = match decided {
        Some(equal) => equal,
        None => same_at_points(gold, answer, context)?,
    };
    Ok(equal || rounded(gold, answer, context)?)
}

/// Whether an infinity, and its sign.
pub(super) fn infinite(node: &Node) -> Option<bool> {
    match node {
        Node::Infinity => Some(true),
        Node::Negative(inner) => infinite(inner).map(|sign| !sign),
        _ => None,
    }
}

/// A decimal as written: its value and its digits after the point.
fn decimal(node: &Node) -> Option<(BigRational, u32)> {
    match node {
        Node::Number(literal) => literal.places.map(|places| (literal.value.clone(), places)),
        Node::Negative(inner) => decimal(inner).map(|(value, places)| (-value, places)),
        _ => None,
    }
}

/// Whether one side is a decimal with enough places, to which the other rounds.
fn rounded(gold: &Node, answer: &Node, context: &mut Context<'_>) -> Decision {
    let Some(least) = context.options.rounded_places else { return Ok(false) };
    let mut places: Option<u32> = None;
    for (_, written) in [gold, answer].into_iter().filter_map(decimal) {
        if written >= least {
            places = Some(places.map_or(written, |places| places.min(written)));
        }
    }
    let Some(places) = places.filter(|_| variables(gold).is_empty() && variables(answer).is_empty()) else {
        return Ok(false);
    };
    let ten = num_traits::pow(BigInt::from(10), places as usize);
    let half = Node::rational(BigRational::new(BigInt::one(), ten * 2));
    let gap = Node::Sum(vec![gold.clone(), answer.clone().negated()]);
    let gap = Node::Call(super::node::Function::Abs, vec![gap]);
    let order = order(&gap, &half, context)?;
    Ok(order != Some(Ordering::Greater))
}

/// How two real values without variables compare; `None` if they are not both real.
pub(super) fn order(left: &Node, right: &Node, context: &mut Context<'_>) -> Result<Option<Ordering>, Undecided> {
    match (infinite(left), infinite(right)) {
        (Some(a), Some(b)) => return Ok(Some(a.cmp(&b))),
        (Some(a), None) => return Ok(Some(if a { Ordering::Greater } else { Ordering::Less })),
        (None, Some(b)) => return Ok(Some(if b { Ordering::Less } else { Ordering::Greater })),
        (None, None) => {}
    }
    let value = |node: &Node, context: &mut Context<'_>| {
        exact(node, &mut context.steps).map(|value| value.and_then(|value| value.as_constant()))
    };
    let (a, b) = (value(left, context), value(right, context));
    if let (Ok(Some(a)), Ok(Some(b))) = (a, b) {
        return Ok(Some(a.cmp(&b)));
    }
    let seen = look(left, right, &Vec::new(), context).map_err(|(place, stop)| stopped(side(place), stop))?;
    match seen.0 {
        Seen::Same => Ok(Some(Ordering::Equal)),
        Seen::Unlike(order) => Ok(order),
        Seen::Unclear => Err(Undecided::Precision),
    }
}

fn side(place: usize) -> Side {
    if place == 0 { Side::Gold } else { Side::Answer }
}

/// How two values compare at a point, and whether both are real there.
fn look(
    left: &Node,
    right: &Node,
    point: &Point,
    context: &mut Context<'_>,
) -> Result<(Seen, bool, bool), (usize, Stop)> {
    let sample = context.numeric.sample(&[left, right], point, &mut context.steps)?;
    let seen = sample.compare(0, 1, &mut context.steps).map_err(|stop| (0, stop))?;
    Ok((seen, sample.is_real(0), sample.is_real(1)))
}

/// Variables of an expression.
pub(super) fn variables(node: &Node) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    gather(node, &mut names);
    names
}

fn gather(node: &Node, names: &mut BTreeSet<String>) {
    match node {
        Node::Symbol(name) => {
            names.insert(name.clone());
        }
        Node::Apply(..) => {
            names.insert(node.to_string());
        }
        Node::Negative(inner) | Node::Measure(inner, _) => gather(inner, names),
        Node::Quotient(left, right) | Node::Power(left, right) | Node::PlusMinus(left, right, _) => {
            gather(left, names);
            gather(right, names);
        }
        Node::Sum(nodes) | Node::Product(nodes) | Node::Call(_, nodes) => {
            nodes.iter().for_each(|node| gather(node, names))
        }
        _ => {}
    }
}

/// Whether the imaginary unit occurs.
fn is_complex(node: &Node) -> bool {
    match node {
        Node::Constant(constant) => *constant == Constant::I,
        Node::Negative(inner) | Node::Measure(inner, _) => is_complex(inner),
        Node::Quotient(left, right) | Node::Power(left, right) => is_complex(left) || is_complex(right),
        Node::Sum(nodes) | Node::Product(nodes) | Node::Call(_, nodes) => nodes.iter().any(is_complex),
        _ => false,
    }
}

/// The seeded point number `index`: values of all sizes and signs, then small whole ones.
pub(super) fn point(names: &BTreeSet<String>, index: u64, context: &Context<'_>) -> Point {
    let seed = context.options.seed.derive("math points").nth(index);
    let value = |name: &String| {
        let draw = seed.derive(name).0;
        let part = BigRational::new(BigInt::from(1 + draw % 9_973), BigInt::from(9_974));
        let far = BigRational::from_integer(BigInt::from(1 + (draw >> 32) % 4));
        match index % 7 {
            0 | 1 => part,
            2 => part + far,
            3 => -part,
            4 => -(part + far),
            5 if draw.is_multiple_of(2) => -part,
            5 => part,
            _ => BigRational::from_integer(BigInt::from(1 + draw % 7)),
        }
    };
    names.iter().map(|name| (name.clone(), value(name))).collect()
}

/// Compares at points. With variables, only points count at which both are real, unless the imaginary unit is written.
fn same_at_points(gold: &Node, answer: &Node, context: &mut Context<'_>) -> Decision {
    let mut names = variables(gold);
    names.extend(variables(answer));
    if names.is_empty() {
        let seen = look(gold, answer, &Vec::new(), context).map_err(|(place, stop)| stopped(side(place), stop))?;
        return match seen.0 {
            Seen::Same => Ok(true),
            Seen::Unlike(_) => Ok(false),
            Seen::Unclear => Err(Undecided::Precision),
        };
    }
    let complex = is_complex(gold) || is_complex(answer);
    let (mut agreed, mut agreed_complex, mut apart_complex) = (0, 0, false);
    for index in 0..POINTS {
        let point = point(&names, index, context);
        match look(gold, answer, &point, context) {
            Ok((Seen::Same, left, right)) => {
                agreed += usize::from(complex || left && right);
                agreed_complex += 1;
            }
            Ok((Seen::Unlike(_), left, right)) if complex || left && right => return Ok(false),
            Ok((Seen::Unlike(_), ..)) => apart_complex = true,
            Ok((Seen::Unclear, ..)) | Err((_, Stop::Undefined(_) | Stop::TooLarge(TooLarge::Magnitude))) => {}
            Err((_, Stop::TooLarge(limit))) => return Err(Undecided::TooLarge(limit)),
        }
    }
    if agreed >= ENOUGH || (agreed == 0 && !apart_complex && agreed_complex >= ENOUGH) {
        return Ok(true);
    }
    if agreed == 0 && apart_complex {
        return Ok(false);
    }
    Err(Undecided::NoCommonPoints)
}

/// The sign of the constant that makes one expression of the other, if there is one.
pub(super) fn factor(gold: &Node, answer: &Node, context: &mut Context<'_>) -> Result<Option<i8>, Undecided> {
    let left = exact(gold, &mut context.steps).map_err(|stop| stopped(Side::Gold, stop))?;
    let right = exact(answer, &mut context.steps).map_err(|stop| stopped(Side::Answer, stop))?;
    if let (Some(left), Some(right)) = (left, right)
        && let Some(found) = left.factor(&right, &mut context.steps).map_err(Undecided::TooLarge)?
    {
        return Ok(found);
    }
    let mut names = variables(gold);
    names.extend(variables(answer));
    let first = point(&names, 0, context);
    let (mut agreed, mut sign) = (0, None);
    for index in 1..POINTS {
        let point = point(&names, index, context);
        let here = [at(gold, &first), at(answer, &first), at(gold, &point), at(answer, &point)];
        let sample = match context.numeric.sample(&here.each_ref(), &Vec::new(), &mut context.steps) {
            Ok(sample) => sample,
            Err((_, Stop::TooLarge(TooLarge::Steps))) => return Err(Undecided::TooLarge(TooLarge::Steps)),
            Err(_) => continue,
        };
        if !(0..4).all(|place| sample.is_real(place)) || sample.is_zero(0) || sample.is_zero(1) {
            continue;
        }
        match sample.cross([0, 1, 2, 3], &mut context.steps).map_err(|stop| stopped(Side::Gold, stop))? {
            Seen::Same => {
                agreed += 1;
                sign = Some(if sample.is_positive(0) == sample.is_positive(1) { 1 } else { -1 });
            }
            Seen::Unlike(_) => return Ok(None),
            Seen::Unclear => {}
        }
    }
    if agreed >= ENOUGH { Ok(sign) } else { Err(Undecided::NoCommonPoints) }
}

/// The expression with its variables replaced.
fn at(node: &Node, point: &Point) -> Node {
    let inner = |node: &Node| Box::new(at(node, point));
    let all = |nodes: &[Node]| nodes.iter().map(|node| at(node, point)).collect();
    match node {
        Node::Symbol(_) | Node::Apply(..) => {
            let name = node.to_string();
            let value = point.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
            value.map_or_else(
                || node.clone(),
                |value| if value.is_negative() { Node::rational(-value).negated() } else { Node::rational(value) },
            )
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

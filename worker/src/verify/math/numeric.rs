//! The value of a tree at a point, at many digits, and whether two values are the same within the error they carry. What has no
//! value there is `Stop::Undefined`; it chooses no points and draws no conclusion for more than one.

mod complex;

use std::cmp::Ordering;

use astro_float_num::{BigFloat, Consts};
use num_rational::BigRational;

use super::TooLarge;
use super::node::{Constant, Function, Node};
use super::steps::{Steps, Stop};
use complex::{Arithmetic, Number, ROUND, small_whole};

/// Largest power of two of any value.
pub(super) const MAX_EXPONENT: i64 = 65_536;
/// Bits of a first and of a second look.
const PRECISIONS: [usize; 2] = [256, 1_024];
/// Bits in which two values must agree.
const AGREE: i64 = 100;

/// Variables with their values.
pub(super) type Point = Vec<(String, BigRational)>;

/// How two values at a point compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    Same,
    /// How the first compares with the second, if both are real.
    Unlike(Option<Ordering>),
    /// They differ by no more than their error, which is large.
    Unclear,
}

/// Values of trees at a point, all at one precision.
pub(super) struct Sample {
    values: Vec<Number>,
    bits: usize,
}

/// Evaluates; holds what does not change between points.
pub(super) struct Numeric {
    consts: Consts,
}

impl std::fmt::Debug for Numeric {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Numeric")
    }
}

impl Numeric {
    /// `None` if there is no memory for the constants.
    pub(super) fn new() -> Option<Self> {
        Consts::new().ok().map(|consts| Self { consts })
    }

    /// The values of trees at a point, with as many bits as it takes for at least `AGREE` to be right.
    ///
    /// # Errors
    /// For the first tree without a value: its place and why.
    pub(super) fn sample(
        &mut self,
        nodes: &[&Node],
        point: &Point,
        steps: &mut Steps,
    ) -> Result<Sample, (usize, Stop)> {
        let mut last = Sample { values: Vec::new(), bits: 0 };
        for bits in PRECISIONS {
            let mut arithmetic = Arithmetic { bits, consts: &mut self.consts, steps, vanished: false };
            let mut values = Vec::with_capacity(nodes.len());
            for (place, node) in nodes.iter().enumerate() {
                match evaluate(node, point, &mut arithmetic) {
                    Ok(value) => values.push(value),
                    // What vanished may not have, and its inverse may exist.
                    Err(Stop::Undefined(_)) if arithmetic.vanished && bits != PRECISIONS[1] => break,
                    Err(stop) => return Err((place, stop)),
                }
            }
            let complete = values.len() == nodes.len();
            let wanted = AGREE + complex::SLACK;
            let precision = i64::try_from(bits).unwrap_or(i64::MAX);
            let clear = !arithmetic.vanished && values.iter().all(|value| precision - value.lost > wanted);
            last = Sample { values, bits };
            if complete && clear {
                break;
            }
        }
        Ok(last)
    }
}

impl Sample {
    pub(super) fn is_real(&self, place: usize) -> bool {
        self.values.get(place).is_some_and(Number::is_real)
    }

    /// Compares the values at two places.
    pub(super) fn compare(&self, left: usize, right: usize, steps: &mut Steps) -> Result<Seen, Stop> {
        let (Some(a), Some(b)) = (self.values.get(left), self.values.get(right)) else { return Ok(Seen::Unclear) };
        seen(a, b, self.bits, steps)
    }

    /// Compares a·d with b·c, for values at four places: whether a/b and c/d are the same.
    pub(super) fn cross(&self, places: [usize; 4], steps: &mut Steps) -> Result<Seen, Stop> {
        let [Some(a), Some(b), Some(c), Some(d)] = places.map(|place| self.values.get(place)) else {
            return Ok(Seen::Unclear);
        };
        let Some(mut consts) = Consts::new().ok() else { return Ok(Seen::Unclear) };
        let mut arithmetic = Arithmetic { bits: self.bits, consts: &mut consts, steps, vanished: false };
        let (left, right) = (arithmetic.mul(a, d)?, arithmetic.mul(b, c)?);
        seen(&left, &right, self.bits, steps)
    }

    pub(super) fn is_zero(&self, place: usize) -> bool {
        self.values.get(place).is_some_and(Number::is_zero)
    }

    /// Whether the real value at a place is above zero.
    pub(super) fn is_positive(&self, place: usize) -> bool {
        self.values.get(place).is_some_and(|value| !value.re.is_zero() && value.re.is_positive())
    }
}

fn seen(a: &Number, b: &Number, bits: usize, steps: &mut Steps) -> Result<Seen, Stop> {
    steps.take(2)?;
    let re = a.re.sub(&b.re, bits, ROUND);
    let im = a.im.sub(&b.im, bits, ROUND);
    let order = (a.is_real() && b.is_real()).then(|| if re.is_negative() { Ordering::Less } else { Ordering::Greater });
    let difference = Number { re, im, lost: 0 };
    let Some(gap) = difference.exponent() else { return Ok(Seen::Same) };
    let (Some(left), Some(right)) = (a.exponent(), b.exponent()) else { return Ok(Seen::Unlike(order)) };
    let good = i64::try_from(bits).unwrap_or(i64::MAX) - complex::SLACK - a.lost.max(b.lost);
    if gap > left.max(right) - good {
        return Ok(Seen::Unlike(order));
    }
    Ok(if good >= AGREE { Seen::Same } else { Seen::Unclear })
}

fn evaluate(node: &Node, point: &Point, arithmetic: &mut Arithmetic<'_>) -> Result<Number, Stop> {
    arithmetic.steps.take(1)?;
    match node {
        Node::Number(literal) => arithmetic.rational(&literal.value),
        Node::Constant(Constant::Pi) => Ok(Number::real(arithmetic.pi())),
        Node::Constant(Constant::E) => Ok(Number::real(arithmetic.e())),
        Node::Constant(Constant::I) => Ok(Number { re: BigFloat::new(64), im: BigFloat::from_word(1, 64), lost: 0 }),
        Node::Symbol(name) => variable(name, point, arithmetic),
        Node::Apply(..) => variable(&node.to_string(), point, arithmetic),
        Node::Negative(inner) => {
            let value = evaluate(inner, point, arithmetic)?;
            Ok(arithmetic.negate(&value))
        }
        Node::Sum(terms) => {
            let mut total = Number::real(BigFloat::new(64));
            for term in terms {
                let value = evaluate(term, point, arithmetic)?;
                total = arithmetic.add(&total, &value)?;
            }
            Ok(total)
        }
        Node::Product(factors) => {
            let mut total = Number::real(BigFloat::from_word(1, 64));
            for factor in factors {
                let value = evaluate(factor, point, arithmetic)?;
                total = arithmetic.mul(&total, &value)?;
            }
            Ok(total)
        }
        Node::Quotient(over, under) => {
            let (over, under) = (evaluate(over, point, arithmetic)?, evaluate(under, point, arithmetic)?);
            arithmetic.div(&over, &under)
        }
        Node::Power(base, power) => raised(base, power, point, arithmetic),
        Node::Call(function, arguments) => {
            let mut values = Vec::with_capacity(arguments.len());
            for argument in arguments {
                values.push(evaluate(argument, point, arithmetic)?);
            }
            called(*function, &values, arithmetic)
        }
        Node::Measure(value, unit) if unit.is_plain() => {
            let value = evaluate(value, point, arithmetic)?;
            let factor = arithmetic.rational(&unit.factor)?;
            let mut value = arithmetic.mul(&value, &factor)?;
            if unit.degrees {
                let pi = Number::real(arithmetic.pi());
                let half_turn = arithmetic.rational(&BigRational::from_integer(180.into()))?;
                value = arithmetic.mul(&value, &pi)?;
                value = arithmetic.div(&value, &half_turn)?;
            }
            Ok(value)
        }
        Node::Measure(..) => Err(Stop::Undefined("a unit within an expression")),
        Node::Infinity => Err(Stop::Undefined("an infinity within an expression")),
        _ => Err(Stop::Undefined("something that is no number within an expression")),
    }
}

/// A power; a rational power with an odd denominator keeps the principal value, as the notation says.
fn raised(base: &Node, power: &Node, point: &Point, arithmetic: &mut Arithmetic<'_>) -> Result<Number, Stop> {
    if *base == Node::Constant(Constant::E) {
        let power = evaluate(power, point, arithmetic)?;
        return arithmetic.exp(&power);
    }
    let (base, power) = (evaluate(base, point, arithmetic)?, evaluate(power, point, arithmetic)?);
    arithmetic.pow(&base, &power)
}

fn variable(name: &str, point: &Point, arithmetic: &mut Arithmetic<'_>) -> Result<Number, Stop> {
    match point.iter().find(|(known, _)| known == name) {
        Some((_, value)) => arithmetic.rational(value),
        None => Err(Stop::Undefined("a variable without a value")),
    }
}

fn called(function: Function, values: &[Number], arithmetic: &mut Arithmetic<'_>) -> Result<Number, Stop> {
    let Some(first) = values.first() else { return Err(Stop::Undefined("a function without an argument")) };
    let one = Number::real(BigFloat::from_word(1, 64));
    match function {
        Function::Sin => arithmetic.wave(first, true),
        Function::Cos => arithmetic.wave(first, false),
        Function::Tan | Function::Cot => {
            let (sin, cos) = (arithmetic.wave(first, true)?, arithmetic.wave(first, false)?);
            if function == Function::Tan { arithmetic.div(&sin, &cos) } else { arithmetic.div(&cos, &sin) }
        }
        Function::Sec | Function::Csc => {
            let wave = arithmetic.wave(first, function == Function::Csc)?;
            arithmetic.div(&one, &wave)
        }
        Function::Arcsin | Function::Arccos | Function::Arctan => inverse(function, first, arithmetic),
        Function::Exp => arithmetic.exp(first),
        Function::Sinh | Function::Cosh | Function::Tanh => hyperbolic(function, first, arithmetic),
        Function::Ln => arithmetic.ln(first),
        Function::Abs => arithmetic.abs(first),
        Function::Log => match values {
            [base, argument] => {
                let (over, under) = (arithmetic.ln(argument)?, arithmetic.ln(base)?);
                arithmetic.div(&over, &under)
            }
            _ => Err(Stop::Undefined("a logarithm without a base")),
        },
        Function::Root => match values {
            [degree, radicand] => arithmetic.root(degree, radicand),
            _ => Err(Stop::Undefined("a root without a degree")),
        },
        Function::Factorial => factorial(first, arithmetic),
        Function::Binomial => match values {
            [from, of] => binomial(from, of, arithmetic),
            _ => Err(Stop::Undefined("a binomial without two arguments")),
        },
        Function::Min | Function::Max => extreme(function, values),
        Function::Floor | Function::Ceil => rounded(function, first, arithmetic),
        Function::Gcd | Function::Lcm => Err(Stop::Undefined("a common divisor of what is not whole")),
    }
}

fn inverse(function: Function, value: &Number, arithmetic: &mut Arithmetic<'_>) -> Result<Number, Stop> {
    arithmetic.pay()?;
    if !value.is_real() {
        return Err(Stop::Undefined("an angle that is not real"));
    }
    let (bits, consts) = (arithmetic.bits, &mut *arithmetic.consts);
    let angle = match function {
        Function::Arcsin => value.re.asin(bits, ROUND, consts),
        Function::Arccos => value.re.acos(bits, ROUND, consts),
        _ => value.re.atan(bits, ROUND, consts),
    };
    let shrunk = if angle.is_zero() { 0 } else { angle.exponent().map_or(0, |size| -i64::from(size)).max(0) };
    // Near ±1 an error of the argument grows to its root.
    let edge = if function == Function::Arctan { 0 } else { value.lost };
    let lost = value.lost + edge + if function == Function::Arccos { 2 * shrunk } else { 0 } + 2;
    arithmetic.checked(Number { lost, ..Number::real(angle) })
}

fn hyperbolic(function: Function, value: &Number, arithmetic: &mut Arithmetic<'_>) -> Result<Number, Stop> {
    let up = arithmetic.exp(value)?;
    let negative = arithmetic.negate(value);
    let down = arithmetic.exp(&negative)?;
    let (sum, difference) = (arithmetic.add(&up, &down)?, arithmetic.sub(&up, &down)?);
    let two = Number::real(BigFloat::from_word(2, 64));
    match function {
        Function::Sinh => arithmetic.div(&difference, &two),
        Function::Cosh => arithmetic.div(&sum, &two),
        _ => arithmetic.div(&difference, &sum),
    }
}

fn factorial(value: &Number, arithmetic: &mut Arithmetic<'_>) -> Result<Number, Stop> {
    let Some(count) = small_whole(value).filter(|count| *count >= 0) else {
        let large = value.is_real() && value.re.is_int() && value.re.is_positive();
        return Err(if large {
            Stop::TooLarge(TooLarge::Magnitude)
        } else {
            Stop::Undefined("a factorial of what is not whole")
        });
    };
    let mut total = Number::real(BigFloat::from_word(1, 64));
    for factor in 2..=count {
        let factor = arithmetic.rational(&BigRational::from_integer(factor.into()))?;
        total = arithmetic.mul(&total, &factor)?;
        total.lost = 0;
    }
    Ok(total)
}

/// n(n-1)..(n-k+1)/k! for whole k.
fn binomial(from: &Number, of: &Number, arithmetic: &mut Arithmetic<'_>) -> Result<Number, Stop> {
    let Some(count) = small_whole(of).filter(|count| *count >= 0) else {
        return Err(Stop::Undefined("a binomial of what is not whole"));
    };
    let mut total = Number::real(BigFloat::from_word(1, 64));
    for step in 0..count {
        let step_value = arithmetic.rational(&BigRational::from_integer(step.into()))?;
        let divisor = arithmetic.rational(&BigRational::from_integer((step + 1).into()))?;
        let factor = arithmetic.sub(from, &step_value)?;
        total = arithmetic.mul(&total, &factor)?;
        total = arithmetic.div(&total, &divisor)?;
    }
    Ok(total)
}

fn extreme(function: Function, values: &[Number]) -> Result<Number, Stop> {
    let wanted = if function == Function::Min { -1 } else { 1 };
    let mut best: Option<&Number> = None;
    for value in values {
        if !value.is_real() {
            return Err(Stop::Undefined("an order of what is not real"));
        }
        let better = best.is_none_or(|best| value.re.cmp(&best.re).is_some_and(|order| order.signum() == wanted));
        if better {
            best = Some(value);
        }
    }
    best.cloned().ok_or(Stop::Undefined("a function without an argument"))
}

fn rounded(function: Function, value: &Number, arithmetic: &mut Arithmetic<'_>) -> Result<Number, Stop> {
    if !value.is_real() {
        return Err(Stop::Undefined("a rounding of what is not real"));
    }
    arithmetic.steps.take(1)?;
    let size = value.exponent().unwrap_or(0).max(0);
    let good = i64::try_from(arithmetic.bits).unwrap_or(i64::MAX) - value.lost - size - complex::SLACK;
    if good < 64 {
        return Err(Stop::TooLarge(TooLarge::Magnitude));
    }
    // A value within its error of a whole number is that number.
    let half = BigFloat::from_f64(0.5, 64);
    let nearest = value.re.add(&half, arithmetic.bits, ROUND).floor();
    let gap = value.re.sub(&nearest, arithmetic.bits, ROUND);
    if gap.is_zero() || gap.exponent().is_some_and(|gap| i64::from(gap) < -good) {
        return Ok(Number::real(nearest));
    }
    Ok(Number::real(if function == Function::Floor { value.re.floor() } else { value.re.ceil() }))
}

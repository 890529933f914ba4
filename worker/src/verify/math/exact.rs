//! The exact value of a tree, where there is one: a quotient of polynomials with rational coefficients. Roots, logarithms, angles and
//! whatever grows too large have none (`None`) and are evaluated instead. It compares nothing.

use num_bigint::BigInt;
use num_integer::Integer;
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive, Zero};

use super::node::{Constant, Function, Node};
use super::poly::Ratio;
use super::steps::{Steps, Stop};

/// Most bits of a power of numbers.
const MAX_POWER_BITS: u64 = 16_384;
/// Highest power of a polynomial.
const MAX_POWER: u64 = 60;
/// Largest factorial.
const MAX_FACTORIAL: u64 = 1_000;

type Exact = Result<Option<Ratio>, Stop>;

/// The exact value of a tree.
pub(super) fn exact(node: &Node, steps: &mut Steps) -> Exact {
    steps.take(1)?;
    match node {
        Node::Number(literal) => Ok(Some(Ratio::constant(literal.value.clone()))),
        Node::Constant(Constant::I) => Ok(Some(Ratio::variable("i"))),
        Node::Symbol(name) => Ok(Some(Ratio::variable(name))),
        Node::Apply(..) => Ok(Some(Ratio::variable(&node.to_string()))),
        Node::Negative(inner) => Ok(exact(inner, steps)?.map(|value| value.negated())),
        Node::Sum(terms) => folded(terms, steps, Ratio::plus),
        Node::Product(factors) => folded(factors, steps, Ratio::times),
        Node::Quotient(over, under) => quotient(over, under, steps),
        Node::Power(base, power) => raised(base, power, steps),
        Node::Call(function, arguments) => called(*function, arguments, steps),
        Node::Measure(value, unit) if unit.is_plain() && !unit.degrees => {
            let Some(value) = exact(value, steps)? else { return Ok(None) };
            Ok(value.times(&Ratio::constant(unit.factor.clone()), steps)?)
        }
        _ => Ok(None),
    }
}

fn folded(
    nodes: &[Node],
    steps: &mut Steps,
    join: fn(&Ratio, &Ratio, &mut Steps) -> super::poly::Grown<Ratio>,
) -> Exact {
    let mut total: Option<Ratio> = None;
    for node in nodes {
        let Some(value) = exact(node, steps)? else { return Ok(None) };
        total = match total {
            None => Some(value),
            Some(before) => match join(&before, &value, steps)? {
                Some(sum) => Some(sum),
                None => return Ok(None),
            },
        };
    }
    Ok(total)
}

fn quotient(over: &Node, under: &Node, steps: &mut Steps) -> Exact {
    let (Some(over), Some(under)) = (exact(over, steps)?, exact(under, steps)?) else { return Ok(None) };
    let inverse = under.inverse().ok_or(Stop::Undefined("a division by zero"))?;
    Ok(over.times(&inverse, steps)?)
}

fn raised(base: &Node, power: &Node, steps: &mut Steps) -> Exact {
    let (Some(base), Some(power)) = (exact(base, steps)?, exact(power, steps)?) else { return Ok(None) };
    let Some(power) = power.as_constant().filter(BigRational::is_integer) else { return Ok(None) };
    let Some(times) = power.numer().magnitude().to_u64() else { return Ok(None) };
    let base = if power.is_negative() { base.inverse().ok_or(Stop::Undefined("a division by zero"))? } else { base };
    if let Some(value) = base.as_constant() {
        let bits = value.numer().bits() + value.denom().bits();
        if bits.saturating_mul(times) > MAX_POWER_BITS {
            return Ok(None);
        }
        steps.take(1 + bits * times / 64)?;
        return Ok(Some(Ratio::constant(num_traits::pow::Pow::pow(value, times))));
    }
    if times > MAX_POWER && base != Ratio::variable("i") {
        return Ok(None);
    }
    let times = if base == Ratio::variable("i") { times % 4 } else { times };
    let mut total = Ratio::constant(BigRational::one());
    for _ in 0..times {
        match total.times(&base, steps)? {
            Some(product) => total = product,
            None => return Ok(None),
        }
    }
    Ok(Some(total))
}

fn called(function: Function, arguments: &[Node], steps: &mut Steps) -> Exact {
    let mut values = Vec::with_capacity(arguments.len());
    for argument in arguments {
        match exact(argument, steps)?.and_then(|value| value.as_constant()) {
            Some(value) => values.push(value),
            None => return Ok(None),
        }
    }
    let Some(first) = values.first() else { return Ok(None) };
    let whole =
        || values.iter().map(|value| value.is_integer().then(|| value.to_integer())).collect::<Option<Vec<_>>>();
    let value = match function {
        Function::Abs => Some(first.abs()),
        Function::Floor => Some(first.floor()),
        Function::Ceil => Some(first.ceil()),
        Function::Min => values.iter().min().cloned(),
        Function::Max => values.iter().max().cloned(),
        Function::Gcd => whole().map(|whole| whole.iter().fold(BigInt::zero(), |a, b| a.gcd(b)).into()),
        Function::Lcm => whole().map(|whole| whole.iter().fold(BigInt::one(), |a, b| a.lcm(b)).into()),
        Function::Factorial => factorial(first, steps)?,
        Function::Binomial => binomial(&values, steps)?,
        Function::Root => root(&values),
        _ => None,
    };
    Ok(value.map(Ratio::constant))
}

/// n!, for whole n from 0; nothing for others and for large ones.
fn factorial(value: &BigRational, steps: &mut Steps) -> Result<Option<BigRational>, Stop> {
    if !value.is_integer() {
        return Ok(None);
    }
    if value.is_negative() {
        return Err(Stop::Undefined("a factorial of a negative number"));
    }
    let Some(count) = value.numer().to_u64().filter(|count| *count <= MAX_FACTORIAL) else { return Ok(None) };
    steps.take(count * 8)?;
    Ok(Some(BigRational::from_integer((1..=count).map(BigInt::from).product())))
}

fn binomial(values: &[BigRational], steps: &mut Steps) -> Result<Option<BigRational>, Stop> {
    let [from, of] = values else { return Ok(None) };
    if !from.is_integer() || !of.is_integer() || from.is_negative() || of.is_negative() {
        return Ok(None);
    }
    if of > from {
        return Ok(Some(BigRational::zero()));
    }
    let of = of.min(&(from - of)).clone();
    let Some(count) = of.numer().to_u64().filter(|count| *count <= MAX_FACTORIAL) else { return Ok(None) };
    steps.take(count * 16)?;
    let mut value = BigInt::one();
    for step in 0..count {
        value = value * (from.to_integer() - step) / (step + 1);
        if value.bits() > MAX_POWER_BITS {
            return Ok(None);
        }
    }
    Ok(Some(value.into()))
}

/// The root of a perfect power.
fn root(values: &[BigRational]) -> Option<BigRational> {
    let [degree, radicand] = values else { return None };
    let degree =
        degree.is_integer().then(|| degree.numer().to_u32()).flatten().filter(|degree| (1..=64).contains(degree))?;
    if radicand.is_negative() && degree % 2 == 0 {
        return None;
    }
    let part = |whole: &BigInt| {
        let root = whole.magnitude().nth_root(degree);
        (root.pow(degree) == *whole.magnitude()).then(|| BigInt::from(root))
    };
    let root = BigRational::new(part(radicand.numer())?, part(radicand.denom())?);
    Some(if radicand.is_negative() { -root } else { root })
}

//! Polynomials over the rationals in any variables, and their quotients, exactly. The imaginary unit is the variable `i`, of which
//! powers are reduced. Nothing is cancelled: quotients are compared by cross-multiplication, which needs no common divisors.

use std::collections::BTreeMap;
use std::fmt;

use num_rational::BigRational;
use num_traits::{One, Signed, Zero};

use super::TooLarge;
use super::steps::Steps;

/// Most terms of a polynomial, and most bits of a coefficient; what is larger is evaluated instead.
const MAX_TERMS: usize = 400;
const MAX_BITS: u64 = 16_384;

/// Variables with their powers, by name.
type Monomial = Vec<(String, u32)>;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Poly(BTreeMap<Monomial, BigRational>);

/// Whether exact arithmetic goes on: `None` if the result is larger than it should be.
pub(super) type Grown<T> = Result<Option<T>, TooLarge>;

fn bits(value: &BigRational) -> u64 {
    value.numer().bits() + value.denom().bits()
}

impl Poly {
    pub(super) fn constant(value: BigRational) -> Self {
        let mut poly = Self::default();
        poly.add_term(Vec::new(), value);
        poly
    }

    pub(super) fn variable(name: &str) -> Self {
        Self(BTreeMap::from([(vec![(name.to_owned(), 1)], BigRational::one())]))
    }

    pub(super) fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn as_constant(&self) -> Option<BigRational> {
        match self.0.len() {
            0 => Some(BigRational::zero()),
            1 => self.0.get(&Vec::new()).cloned(),
            _ => None,
        }
    }

    fn add_term(&mut self, monomial: Monomial, value: BigRational) {
        let sum = match self.0.remove(&monomial) {
            Some(old) => old + value,
            None => value,
        };
        if !sum.is_zero() {
            self.0.insert(monomial, sum);
        }
    }

    pub(super) fn plus(mut self, other: &Self) -> Self {
        for (monomial, value) in &other.0 {
            self.add_term(monomial.clone(), value.clone());
        }
        self
    }

    pub(super) fn scaled(&self, factor: &BigRational) -> Self {
        if factor.is_zero() {
            return Self::default();
        }
        Self(self.0.iter().map(|(monomial, value)| (monomial.clone(), value * factor)).collect())
    }

    pub(super) fn times(&self, other: &Self, steps: &mut Steps) -> Grown<Self> {
        if self.0.len() > MAX_TERMS || other.0.len() > MAX_TERMS {
            return Ok(None);
        }
        let mut product = Self::default();
        for (left, a) in &self.0 {
            for (right, b) in &other.0 {
                let size = bits(a) + bits(b);
                if size > MAX_BITS {
                    return Ok(None);
                }
                steps.take(2 + size / 256)?;
                let (monomial, negative) = join(left, right);
                product.add_term(monomial, if negative { -(a * b) } else { a * b });
            }
            if product.0.len() > MAX_TERMS {
                return Ok(None);
            }
        }
        Ok(Some(product))
    }

    /// Whether one is the other times a rational that is not zero; the sign of that rational.
    pub(super) fn proportional(&self, other: &Self) -> Option<i8> {
        let (last, value) = self.0.last_key_value()?;
        let (other_last, other_value) = other.0.last_key_value()?;
        if last != other_last || self.0.len() != other.0.len() {
            return None;
        }
        let ratio = other_value / value;
        let sign = if ratio.is_positive() { 1 } else { -1 };
        (self.scaled(&ratio) == *other).then_some(sign)
    }
}

/// The product of two monomials; `true` if a minus sign came out of powers of `i`.
fn join(left: &Monomial, right: &Monomial) -> (Monomial, bool) {
    let mut powers: BTreeMap<&str, u32> = BTreeMap::new();
    for (name, power) in left.iter().chain(right) {
        let sum = powers.entry(name).or_default();
        *sum = sum.saturating_add(*power);
    }
    let mut negative = false;
    if let Some(power) = powers.get_mut("i") {
        negative = *power % 4 >= 2;
        *power %= 2;
    }
    (
        powers.into_iter().filter(|(_, power)| *power > 0).map(|(name, power)| (name.to_owned(), power)).collect(),
        negative,
    )
}

impl fmt::Display for Poly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("0");
        }
        for (at, (monomial, value)) in self.0.iter().rev().enumerate() {
            let sign = match (at, value.is_negative()) {
                (0, true) => "-",
                (0, false) => "",
                (_, true) => " - ",
                (_, false) => " + ",
            };
            f.write_str(sign)?;
            let size = value.abs();
            if monomial.is_empty() || !size.is_one() {
                write!(f, "{size}")?;
            }
            for (place, (name, power)) in monomial.iter().enumerate() {
                f.write_str(if place > 0 || !size.is_one() { "*" } else { "" })?;
                f.write_str(name)?;
                if *power > 1 {
                    write!(f, "^{power}")?;
                }
            }
        }
        Ok(())
    }
}

/// A quotient of polynomials; the lower one is not zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ratio {
    pub over: Poly,
    pub under: Poly,
}

impl Ratio {
    pub(super) fn constant(value: BigRational) -> Self {
        Self { over: Poly::constant(value), under: Poly::constant(BigRational::one()) }
    }

    pub(super) fn variable(name: &str) -> Self {
        Self { over: Poly::variable(name), under: Poly::constant(BigRational::one()) }
    }

    pub(super) fn as_constant(&self) -> Option<BigRational> {
        let under = self.under.as_constant()?;
        Some(self.over.as_constant()? / under)
    }

    pub(super) fn negated(&self) -> Self {
        Self { over: self.over.scaled(&-BigRational::one()), under: self.under.clone() }
    }

    pub(super) fn plus(&self, other: &Self, steps: &mut Steps) -> Grown<Self> {
        if self.under == other.under {
            return Ok(Some(Self { over: self.over.clone().plus(&other.over), under: self.under.clone() }));
        }
        let (Some(left), Some(right), Some(under)) = (
            self.over.times(&other.under, steps)?,
            other.over.times(&self.under, steps)?,
            self.under.times(&other.under, steps)?,
        ) else {
            return Ok(None);
        };
        Ok(Some(Self { over: left.plus(&right), under }.settled()))
    }

    pub(super) fn times(&self, other: &Self, steps: &mut Steps) -> Grown<Self> {
        let over = self.over.times(&other.over, steps)?;
        let under = self.under.times(&other.under, steps)?;
        Ok(over.zip(under).map(|(over, under)| Self { over, under }.settled()))
    }

    /// `None` for zero.
    pub(super) fn inverse(&self) -> Option<Self> {
        (!self.over.is_zero()).then(|| Self { over: self.under.clone(), under: self.over.clone() }.settled())
    }

    /// A constant below is brought above.
    fn settled(self) -> Self {
        match self.under.as_constant() {
            Some(under) if !under.is_zero() => {
                let one = BigRational::one();
                Self { over: self.over.scaled(&(&one / under)), under: Poly::constant(one) }
            }
            _ => self,
        }
    }

    /// Whether two quotients are the same function.
    pub(super) fn same(&self, other: &Self, steps: &mut Steps) -> Grown<bool> {
        let left = self.over.times(&other.under, steps)?;
        let right = other.over.times(&self.under, steps)?;
        Ok(left.zip(right).map(|(left, right)| left == right))
    }

    /// The sign of the constant that makes one of the other; `Some(None)` if there is none.
    pub(super) fn factor(&self, other: &Self, steps: &mut Steps) -> Grown<Option<i8>> {
        let left = self.over.times(&other.under, steps)?;
        let right = other.over.times(&self.under, steps)?;
        Ok(left.zip(right).map(|(left, right)| left.proportional(&right)))
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.under == Poly::constant(BigRational::one()) {
            self.over.fmt(f)
        } else {
            write!(f, "({})/({})", self.over, self.under)
        }
    }
}

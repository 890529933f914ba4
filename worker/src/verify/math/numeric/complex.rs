//! Complex numbers at many digits, each with a bound of the bits it has lost to cancellation. A sum that cancels down to its own error
//! is zero, and says so: the caller repeats it with more digits before it believes it. Formulae for complex arguments are the
//! usual ones (principal branches).

use astro_float_num::{BigFloat, Consts, RoundingMode, Sign};
use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::Signed;

use super::MAX_EXPONENT;
use crate::verify::math::TooLarge;
use crate::verify::math::steps::{Steps, Stop};

pub(super) const ROUND: RoundingMode = RoundingMode::ToEven;
/// Bits that are always taken to be wrong.
pub(super) const SLACK: i64 = 32;

/// re + im·i. An imaginary part of exact zero marks a real number.
#[derive(Debug, Clone)]
pub(super) struct Number {
    pub re: BigFloat,
    pub im: BigFloat,
    /// Bits lost, at most.
    pub lost: i64,
}

impl Number {
    pub(super) fn real(re: BigFloat) -> Self {
        Self { im: BigFloat::new(64), re, lost: 0 }
    }

    pub(super) fn is_real(&self) -> bool {
        self.im.is_zero()
    }

    pub(super) fn is_zero(&self) -> bool {
        self.re.is_zero() && self.im.is_zero()
    }

    /// The power of two above the larger part; `None` for zero.
    pub(super) fn exponent(&self) -> Option<i64> {
        let part = |part: &BigFloat| if part.is_zero() { None } else { part.exponent().map(i64::from) };
        part(&self.re).max(part(&self.im))
    }
}

/// Arithmetic at one precision.
pub(super) struct Arithmetic<'a> {
    pub bits: usize,
    pub consts: &'a mut Consts,
    pub steps: &'a mut Steps,
    /// Something cancelled to nothing.
    pub vanished: bool,
}

impl Arithmetic<'_> {
    fn precision(&self) -> i64 {
        i64::try_from(self.bits).unwrap_or(i64::MAX)
    }

    /// Steps of a function such as the sine.
    pub(super) fn pay(&mut self) -> Result<(), Stop> {
        let words = (self.bits / 64) as u64;
        Ok(self.steps.take(8 * words + words * words)?)
    }

    pub(super) fn checked(&self, number: Number) -> Result<Number, Stop> {
        if number.re.is_nan() || number.im.is_nan() {
            return Err(Stop::Undefined("a function outside its domain"));
        }
        if number.re.is_inf() || number.im.is_inf() || number.exponent().is_some_and(|e| e.abs() > MAX_EXPONENT) {
            return Err(Stop::TooLarge(TooLarge::Magnitude));
        }
        Ok(number)
    }

    pub(super) fn rational(&mut self, value: &BigRational) -> Result<Number, Stop> {
        self.steps.take(1 + (value.numer().bits() + value.denom().bits()) / 1_024)?;
        let over = whole(value.numer());
        let number = if value.is_integer() { over } else { over.div(&whole(value.denom()), self.bits, ROUND) };
        self.checked(Number::real(number))
    }

    pub(super) fn pi(&mut self) -> BigFloat {
        self.consts.pi(self.bits, ROUND)
    }

    pub(super) fn e(&mut self) -> BigFloat {
        self.consts.e(self.bits, ROUND)
    }

    pub(super) fn add(&mut self, a: &Number, b: &Number) -> Result<Number, Stop> {
        self.steps.take(1)?;
        let re = a.re.add(&b.re, self.bits, ROUND);
        let im = if a.is_real() && b.is_real() { BigFloat::new(64) } else { a.im.add(&b.im, self.bits, ROUND) };
        let mut sum = Number { re, im, lost: 0 };
        let (Some(left), Some(right)) = (a.exponent(), b.exponent()) else {
            sum.lost = a.lost.max(b.lost);
            return self.checked(sum);
        };
        // The absolute error of the sum as a power of two.
        let error = (left + a.lost).max(right + b.lost) - self.precision();
        if sum.exponent().is_none_or(|size| size <= error + SLACK) {
            // Even an exact zero may be one of rounding.
            self.vanished = true;
            return Ok(Number::real(BigFloat::new(64)));
        }
        // A part that is nothing but error would make a real number complex.
        for part in [&mut sum.re, &mut sum.im] {
            if !part.is_zero() && part.exponent().is_some_and(|size| i64::from(size) <= error + SLACK) {
                *part = BigFloat::new(64);
                self.vanished = true;
            }
        }
        sum.lost = (error + self.precision() - sum.exponent().unwrap_or(0)).max(0);
        self.checked(sum)
    }

    pub(super) fn negate(&self, a: &Number) -> Number {
        Number { re: a.re.neg(), im: a.im.neg(), lost: a.lost }
    }

    pub(super) fn sub(&mut self, a: &Number, b: &Number) -> Result<Number, Stop> {
        let b = self.negate(b);
        self.add(a, &b)
    }

    pub(super) fn mul(&mut self, a: &Number, b: &Number) -> Result<Number, Stop> {
        self.steps.take(2)?;
        let lost = a.lost.max(b.lost) + 1;
        let times = |a: &BigFloat, b: &BigFloat| a.mul(b, self.bits, ROUND);
        if a.is_real() && b.is_real() {
            return self.checked(Number { lost, ..Number::real(times(&a.re, &b.re)) });
        }
        let (rr, ii) = (times(&a.re, &b.re), times(&a.im, &b.im));
        let (ri, ir) = (times(&a.re, &b.im), times(&a.im, &b.re));
        let re = self.difference(&rr, &ii.neg(), lost);
        let re = re.unwrap_or_else(|| BigFloat::new(64));
        let im = self.difference(&ri, &ir, lost).unwrap_or_else(|| BigFloat::new(64));
        self.checked(Number { re, im, lost })
    }

    /// The sum of two parts, or nothing if only error is left of it.
    fn difference(&mut self, a: &BigFloat, b: &BigFloat, lost: i64) -> Option<BigFloat> {
        let sum = a.add(b, self.bits, ROUND);
        let (Some(left), Some(right)) = (a.exponent(), b.exponent()) else { return Some(sum) };
        if a.is_zero() || b.is_zero() {
            return Some(sum);
        }
        let error = i64::from(left.max(right)) + lost - self.precision();
        if sum.is_zero() || i64::from(sum.exponent()?) <= error + SLACK {
            self.vanished = true;
            return None;
        }
        Some(sum)
    }

    pub(super) fn div(&mut self, a: &Number, b: &Number) -> Result<Number, Stop> {
        if b.is_zero() {
            return Err(Stop::Undefined("a division by zero"));
        }
        self.steps.take(4)?;
        let lost = a.lost.max(b.lost) + 2;
        if b.is_real() {
            let re = a.re.div(&b.re, self.bits, ROUND);
            let im = if a.is_real() { BigFloat::new(64) } else { a.im.div(&b.re, self.bits, ROUND) };
            return self.checked(Number { re, im, lost });
        }
        let conjugate = Number { re: b.re.clone(), im: b.im.neg(), lost: b.lost };
        let size = b.re.mul(&b.re, self.bits, ROUND).add(&b.im.mul(&b.im, self.bits, ROUND), self.bits, ROUND);
        let top = self.mul(a, &conjugate)?;
        self.div(&top, &Number { lost: b.lost + 1, ..Number::real(size) })
    }

    /// |a|.
    pub(super) fn abs(&mut self, a: &Number) -> Result<Number, Stop> {
        if a.is_real() {
            return Ok(Number { lost: a.lost, ..Number::real(a.re.abs()) });
        }
        let square = a.re.mul(&a.re, self.bits, ROUND).add(&a.im.mul(&a.im, self.bits, ROUND), self.bits, ROUND);
        self.checked(Number { lost: a.lost + 1, ..Number::real(square.sqrt(self.bits, ROUND)) })
    }

    /// The angle of a number that is not zero, in (-π, π].
    fn angle(&mut self, a: &Number) -> Result<BigFloat, Stop> {
        self.pay()?;
        let pi = self.pi();
        if a.is_real() {
            return Ok(if a.re.is_negative() { pi } else { BigFloat::new(64) });
        }
        let half = pi.div(&BigFloat::from_word(2, 64), self.bits, ROUND);
        if a.re.is_zero() {
            return Ok(if a.im.is_negative() { half.neg() } else { half });
        }
        let base = a.im.div(&a.re, self.bits, ROUND).atan(self.bits, ROUND, self.consts);
        Ok(match (a.re.is_negative(), a.im.is_negative()) {
            (false, _) => base,
            (true, false) => base.add(&pi, self.bits, ROUND),
            (true, true) => base.sub(&pi, self.bits, ROUND),
        })
    }

    pub(super) fn ln(&mut self, a: &Number) -> Result<Number, Stop> {
        if a.is_zero() {
            return Err(Stop::Undefined("a logarithm of zero"));
        }
        self.pay()?;
        let size = self.abs(a)?;
        let re = size.re.ln(self.bits, ROUND, self.consts);
        let im = if a.is_real() && a.re.is_positive() { BigFloat::new(64) } else { self.angle(a)? };
        let near_one = re.exponent().map_or(0, |size| -i64::from(size)).max(0);
        let mut number = Number { re, im, lost: a.lost + 1 };
        let nothing = number.re.is_zero() || near_one >= self.precision() - SLACK - a.lost;
        if nothing && number.im.is_zero() {
            self.vanished = true;
            return Ok(Number::real(BigFloat::new(64)));
        }
        if number.im.is_zero() {
            number.lost += near_one;
        }
        self.checked(number)
    }

    pub(super) fn exp(&mut self, a: &Number) -> Result<Number, Stop> {
        self.pay()?;
        let size = a.exponent().unwrap_or(0).max(0);
        if size > 17 {
            return Err(Stop::TooLarge(TooLarge::Magnitude));
        }
        let scale = a.re.exp(self.bits, ROUND, self.consts);
        let lost = a.lost + size + 1;
        if a.is_real() {
            return self.checked(Number { lost, ..Number::real(scale) });
        }
        let (cos, sin) = (a.im.cos(self.bits, ROUND, self.consts), a.im.sin(self.bits, ROUND, self.consts));
        let turn = Number { re: self.cut(cos, lost), im: self.cut(sin, lost), lost };
        self.mul(&Number { lost, ..Number::real(scale) }, &turn)
    }

    /// Zero instead of nothing but error, for a part of a number of size one.
    fn cut(&mut self, part: BigFloat, lost: i64) -> BigFloat {
        let error = lost - self.precision() + SLACK;
        if !part.is_zero() && part.exponent().is_some_and(|size| i64::from(size) <= error) {
            self.vanished = true;
            return BigFloat::new(64);
        }
        part
    }

    /// sin (`true`) or cos of a real number.
    pub(super) fn wave(&mut self, a: &Number, sine: bool) -> Result<Number, Stop> {
        self.pay()?;
        if !a.is_real() {
            return Err(Stop::Undefined("an angle that is not real"));
        }
        let size = a.exponent().unwrap_or(0).max(0);
        if size > 512 {
            return Err(Stop::TooLarge(TooLarge::Magnitude));
        }
        // A small angle's sine has the angle's own relative error.
        let small = a.exponent().is_none_or(|size| size < 0);
        let value =
            if sine { a.re.sin(self.bits, ROUND, self.consts) } else { a.re.cos(self.bits, ROUND, self.consts) };
        if sine && small {
            return self.checked(Number { lost: a.lost + 1, ..Number::real(value) });
        }
        let value = self.cut(value, a.lost + size);
        let shrunk = if value.is_zero() { 0 } else { value.exponent().map_or(0, |size| -i64::from(size)).max(0) };
        self.checked(Number { lost: a.lost + size + shrunk + 1, ..Number::real(value) })
    }

    /// The principal value of a^b.
    pub(super) fn pow(&mut self, a: &Number, b: &Number) -> Result<Number, Stop> {
        if a.is_zero() {
            return match (b.is_zero(), b.is_real() && b.re.is_positive()) {
                (true, _) => Ok(Number::real(BigFloat::from_word(1, self.bits))),
                (_, true) => Ok(a.clone()),
                _ => Err(Stop::Undefined("a division by zero")),
            };
        }
        if let Some(times) = small_whole(b) {
            return self.powi(a, times);
        }
        let log = self.ln(a)?;
        let power = self.mul(&log, b)?;
        self.exp(&power)
    }

    pub(super) fn powi(&mut self, a: &Number, times: i64) -> Result<Number, Stop> {
        let mut total = Number::real(BigFloat::from_word(1, self.bits));
        let (mut square, mut left) = (a.clone(), times.unsigned_abs());
        while left > 0 {
            if left % 2 == 1 {
                total = self.mul(&total, &square)?;
            }
            left /= 2;
            if left > 0 {
                square = self.mul(&square, &square)?;
            }
        }
        if times < 0 {
            let one = Number::real(BigFloat::from_word(1, self.bits));
            return self.div(&one, &total);
        }
        Ok(total)
    }

    /// The real root where there is one, else the principal one.
    pub(super) fn root(&mut self, degree: &Number, a: &Number) -> Result<Number, Stop> {
        self.pay()?;
        let whole = small_whole(degree);
        if whole == Some(2) && a.is_real() && !a.re.is_negative() {
            return self.checked(Number { lost: a.lost, ..Number::real(a.re.sqrt(self.bits, ROUND)) });
        }
        let one = Number::real(BigFloat::from_word(1, self.bits));
        let power = self.div(&one, degree)?;
        let odd = whole.is_some_and(|degree| degree % 2 != 0);
        if odd && a.is_real() && a.re.is_negative() {
            let size = self.negate(a);
            let root = self.pow(&size, &power)?;
            return Ok(self.negate(&root));
        }
        if whole == Some(2) && a.is_real() {
            let size = self.negate(a).re.sqrt(self.bits, ROUND);
            return self.checked(Number { re: BigFloat::new(64), im: size, lost: a.lost });
        }
        self.pow(a, &power)
    }
}

/// A whole number as a float with all its digits.
fn whole(value: &BigInt) -> BigFloat {
    let words = value.magnitude().to_u64_digits();
    if words.is_empty() {
        return BigFloat::new(64);
    }
    let bits = i32::try_from(words.len() * 64).unwrap_or(i32::MAX);
    BigFloat::from_words(&words, if value.is_negative() { Sign::Neg } else { Sign::Pos }, bits)
}

/// A real whole number of at most five digits.
pub(super) fn small_whole(number: &Number) -> Option<i64> {
    if !number.is_real() {
        return None;
    }
    if number.re.is_zero() {
        return Some(0);
    }
    let size = number.re.exponent()?;
    if !number.re.is_int() || !(1..=16).contains(&size) {
        return None;
    }
    // The mantissa is a fraction of one, its highest word last.
    let word = number.re.mantissa_digits()?.last().copied()?;
    let value = i64::try_from(word >> (64 - u32::try_from(size).ok()?)).ok()?;
    Some(if number.re.is_negative() { -value } else { value })
}

//! Expressions of whole numbers with + - * / and brackets, evaluated exactly in fractions. Any text gives a value or an
//! error; length and depth are limited, so no text takes long.

use std::fmt;

use super::Operator;

/// Longest expression in characters.
const LONGEST: usize = 200;

/// Deepest nesting of brackets.
const DEEPEST: u32 = 16;

/// An exact value in lowest terms, with a positive denominator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fraction {
    over: i64,
    under: i64,
}

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// Not an expression.
    #[error("not an expression: {expected} was expected at {rest:?}")]
    Form {
        /// What could stand there.
        expected: &'static str,
        /// The text from there on, cut short.
        rest: String,
    },
    /// Division by zero.
    #[error("it divides by zero")]
    ByZero,
    /// Beyond 64 bits.
    #[error("its numbers are too large")]
    TooLarge,
    /// Beyond the limits of length or depth.
    #[error("it is too long: at most {LONGEST} characters and {DEEPEST} brackets inside each other")]
    TooLong,
}

impl Fraction {
    /// A whole number.
    #[must_use]
    pub fn whole(value: i64) -> Self {
        Self { over: value, under: 1 }
    }

    fn new(over: i128, under: i128) -> Result<Self, ExpressionError> {
        if under == 0 {
            return Err(ExpressionError::ByZero);
        }
        let divisor = gcd(over.unsigned_abs(), under.unsigned_abs());
        let divisor = i128::try_from(divisor).map_err(|_| ExpressionError::TooLarge)? * under.signum();
        let fit = |value: i128| i64::try_from(value / divisor).map_err(|_| ExpressionError::TooLarge);
        Ok(Self { over: fit(over)?, under: fit(under)? })
    }

    fn apply(self, operator: Operator, other: Self) -> Result<Self, ExpressionError> {
        // Products of 64-bit numbers fit 127 bits; the sum of two may not.
        let [a, b, c, d] = [self.over, self.under, other.over, other.under].map(i128::from);
        match operator {
            Operator::Plus => Self::new((a * d).checked_add(c * b).ok_or(ExpressionError::TooLarge)?, b * d),
            Operator::Minus => Self::new((a * d).checked_sub(c * b).ok_or(ExpressionError::TooLarge)?, b * d),
            Operator::Times => Self::new(a * c, b * d),
            Operator::Over => Self::new(a * d, b * c),
        }
    }
}

impl fmt::Display for Fraction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.under == 1 { write!(f, "{}", self.over) } else { write!(f, "{}/{}", self.over, self.under) }
    }
}

fn gcd(a: u128, b: u128) -> u128 {
    if b == 0 { a.max(1) } else { gcd(b, a % b) }
}

/// The value of an expression and the numbers it uses, in order. `*` and `/` bind more tightly than `+` and `-`, equals from the left.
///
/// # Errors
/// [`ExpressionError`] says why there is none.
pub fn evaluate(text: &str) -> Result<(Fraction, Vec<u64>), ExpressionError> {
    if text.chars().count() > LONGEST {
        return Err(ExpressionError::TooLong);
    }
    let mut reader = Reader { rest: text.trim_start(), used: Vec::new(), depth: 0 };
    let value = reader.sum()?;
    if reader.rest.is_empty() { Ok((value, reader.used)) } else { Err(reader.form("an operator or the end")) }
}

struct Reader<'a> {
    rest: &'a str,
    used: Vec<u64>,
    depth: u32,
}

impl Reader<'_> {
    fn sum(&mut self) -> Result<Fraction, ExpressionError> {
        self.chain([Operator::Plus, Operator::Minus], Self::product)
    }

    fn product(&mut self) -> Result<Fraction, ExpressionError> {
        self.chain([Operator::Times, Operator::Over], Self::atom)
    }

    fn chain(
        &mut self,
        operators: [Operator; 2],
        part: fn(&mut Self) -> Result<Fraction, ExpressionError>,
    ) -> Result<Fraction, ExpressionError> {
        let mut value = part(self)?;
        while let Some(operator) = self.peek().and_then(Operator::of).filter(|found| operators.contains(found)) {
            self.skip();
            value = value.apply(operator, part(self)?)?;
        }
        Ok(value)
    }

    fn atom(&mut self) -> Result<Fraction, ExpressionError> {
        if self.peek() == Some('(') {
            self.depth += 1;
            if self.depth > DEEPEST {
                return Err(ExpressionError::TooLong);
            }
            self.skip();
            let value = self.sum()?;
            if self.peek() != Some(')') {
                return Err(self.form("`)`"));
            }
            self.skip();
            self.depth -= 1;
            return Ok(value);
        }
        let digits = self.rest.len() - self.rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if digits == 0 {
            return Err(self.form("a number or `(`"));
        }
        let (number, rest) = self.rest.split_at(digits);
        let number: u32 = number.parse().map_err(|_| ExpressionError::TooLarge)?;
        self.rest = rest.trim_start();
        self.used.push(u64::from(number));
        Ok(Fraction::whole(i64::from(number)))
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn skip(&mut self) {
        let mut characters = self.rest.chars();
        characters.next();
        self.rest = characters.as_str().trim_start();
    }

    fn form(&self, expected: &'static str) -> ExpressionError {
        ExpressionError::Form { expected, rest: self.rest.chars().take(20).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> String {
        evaluate(text).map_or_else(|error| error.to_string(), |(value, _)| value.to_string())
    }

    #[test]
    fn values_by_hand() {
        let cases = [
            ("1+2*3", "7"),
            ("(1+2)*3", "9"),
            ("8-3-2", "3"),
            ("16/4/2", "2"),
            ("1/3+1/6", "1/2"),
            ("2-5", "-3"),
            ("4/(2-4)", "-2"),
            ("0/(1-3)", "0"),
            ("7/(2-2)", "it divides by zero"),
            ("", "not an expression: a number or `(` was expected at \"\""),
            ("2 3", "not an expression: an operator or the end was expected at \"3\""),
            ("(2", "not an expression: `)` was expected at \"\""),
            ("99999999999", "its numbers are too large"),
        ];
        for (text, expected) in cases {
            assert_eq!(value(text), expected, "{text}");
        }
        assert_eq!(evaluate(&"(".repeat(100)).unwrap_err(), ExpressionError::TooLong);
        assert_eq!(evaluate(&"1".repeat(201)).unwrap_err(), ExpressionError::TooLong);
        let large = ["4000000000"; 8].join("*");
        assert_eq!(evaluate(&large).unwrap_err(), ExpressionError::TooLarge);
        assert_eq!(evaluate("3*(4+5)").unwrap().1, [3, 4, 5]);
    }
}

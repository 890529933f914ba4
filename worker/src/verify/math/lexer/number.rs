//! Numbers as written: decimals, thousands separators, scientific notation, repeating decimals. It reads digits only; signs are the
//! parser's.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Zero};

use super::Digits;
use crate::verify::math::TooLarge;

/// Most digits of one number, and the largest power of ten of scientific notation.
const MAX_DIGITS: usize = 4_000;

/// Reads a number from the front of `rest`, which begins with a digit, or a point and a digit. `commas`: a comma may separate
/// thousands, which inside brackets it may not.
pub(super) fn read(rest: &mut &str, commas: bool) -> Result<Digits, TooLarge> {
    let mut text = whole(rest, commas);
    let mut places = None;
    if let Some(after) = rest.strip_prefix('.')
        && after.starts_with(|c: char| c.is_ascii_digit())
    {
        let (digits, left) = split_digits(after);
        text.push('.');
        text.push_str(digits);
        places = u32::try_from(digits.len()).ok();
        *rest = left;
    }
    if text.len() > MAX_DIGITS {
        return Err(TooLarge::Magnitude);
    }
    let mut value = decimal(&text);
    if let Some((digits, left)) = repeating(rest, &text) {
        value += repeated(digits, places.unwrap_or(0));
        *rest = left;
        return Ok(Digits { text: String::new(), value, places: None });
    }
    if let Some((power, left)) = scientific(rest) {
        value *= power_of_ten(power?);
        *rest = left;
        return Ok(Digits { text: String::new(), value, places: None });
    }
    Ok(Digits { text, value, places })
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// The digits before the point, thousands joined.
fn whole(rest: &mut &str, commas: bool) -> String {
    let (first, mut left) = split_digits(rest);
    let mut text = first.to_owned();
    if text.is_empty() {
        text.push('0');
    }
    if (1..=3).contains(&first.len()) && first != "0" {
        for (separator, always) in [(",", false), ("{,}", true), (",\\!", true), ("\\,", true), ("\\!,\\!", true)] {
            let Some((groups, after)) = thousands(left, separator) else { continue };
            if always || commas {
                text.push_str(&groups);
                left = after;
                break;
            }
        }
    }
    *rest = left;
    text
}

/// Groups of three digits, each after the separator; `None` unless all that follow are such groups.
fn thousands<'a>(text: &'a str, separator: &str) -> Option<(String, &'a str)> {
    let (mut groups, mut left) = (String::new(), text);
    while let Some(after) = left.strip_prefix(separator) {
        let (digits, next) = split_digits(after);
        if digits.is_empty() {
            break;
        }
        if digits.len() != 3 {
            return None;
        }
        groups.push_str(digits);
        left = next;
    }
    (!groups.is_empty()).then_some((groups, left))
}

/// The value of digits with at most one point.
fn decimal(text: &str) -> BigRational {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = format!("{whole}{part}");
    let number = BigInt::parse_bytes(digits.as_bytes(), 10).unwrap_or_default();
    BigRational::new(number, power_of_ten(i32::try_from(part.len()).unwrap_or(0)).to_integer())
}

fn power_of_ten(power: i32) -> BigRational {
    let ten = num_traits::pow(BigInt::from(10), power.unsigned_abs() as usize);
    if power < 0 { BigRational::new(BigInt::one(), ten) } else { BigRational::from_integer(ten) }
}

/// `\overline{3}` or `\dot{3}` after a point: the digits that repeat.
fn repeating<'a>(rest: &'a str, text: &str) -> Option<(&'a str, &'a str)> {
    let after = if text.contains('.') { rest } else { rest.strip_prefix('.')? };
    let inner = after.strip_prefix("\\overline{").or_else(|| after.strip_prefix("\\dot{"))?;
    let (digits, left) = split_digits(inner);
    let left = left.strip_prefix('}')?;
    (!digits.is_empty() && digits.len() <= 64).then_some((digits, left))
}

/// 0.00ddd.. with `places` zeros before the first repetition.
fn repeated(digits: &str, places: u32) -> BigRational {
    let number = BigInt::parse_bytes(digits.as_bytes(), 10).unwrap_or_default();
    if number.is_zero() {
        return BigRational::zero();
    }
    let nines = power_of_ten(i32::try_from(digits.len()).unwrap_or(0)).to_integer() - 1;
    BigRational::new(number, nines) / power_of_ten(i32::try_from(places).unwrap_or(0))
}

/// `e5`, `E-3` directly after a number.
fn scientific(rest: &str) -> Option<(Result<i32, TooLarge>, &str)> {
    let after = rest.strip_prefix(['e', 'E'])?;
    let (negative, after) = match after.strip_prefix('-') {
        Some(after) => (true, after),
        None => (false, after.strip_prefix('+').unwrap_or(after)),
    };
    let (digits, left) = split_digits(after);
    if digits.is_empty() || left.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    let power = digits.parse::<i32>().ok().filter(|power| (*power as usize) <= MAX_DIGITS).ok_or(TooLarge::Magnitude);
    Some((power.map(|power| if negative { -power } else { power }), left))
}

//! Units: length, mass, time, volume, speed, money, degrees, percent, and counted things by their word. A unit is a factor and powers
//! of dimensions; two quantities compare after conversion. Temperatures are not converted: their scales have different zeros.

use std::collections::BTreeMap;

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::One;

/// A unit as written and what it means.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Unit {
    /// How many of the dimensions' own units it is.
    pub factor: BigRational,
    /// Power of each dimension; without any, the quantity is a plain number.
    pub dimensions: BTreeMap<String, i32>,
    /// Degrees of an angle: π/180 each.
    pub degrees: bool,
    /// As written, spaces made single.
    pub label: String,
}

impl Unit {
    /// A plain number that may also stand for the number before its sign.
    pub(super) fn is_plain(&self) -> bool {
        self.dimensions.is_empty()
    }
}

/// Powers of a unit beyond this are refused.
const MAX_POWER: i32 = 9;

/// Reads a unit such as `cm`, `square meters`, `km/h`, `m^2`, `dollars per hour`, `apples`.
pub(super) fn read(text: &str) -> Unit {
    let label = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut unit = Unit { factor: BigRational::one(), dimensions: BTreeMap::new(), degrees: false, label };
    let spaced = text.replace('/', " / ").replace(['*', '·', '(', ')', '{', '}', '.', ','], " ").replace('^', " ^ ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let (mut sign, mut power, mut at) = (1, 1, 0);
    while let Some(word) = words.get(at).copied() {
        at += 1;
        match word.to_ascii_lowercase().as_str() {
            "/" | "per" => sign = -1,
            "square" | "sq" | "squared" => power = 2,
            "cubic" | "cu" | "cubed" => power = 3,
            "a" | "an" | "the" | "of" | "each" | "about" | "approximately" | "^" => {}
            _ => {
                let mut times = power;
                if let (Some(&"^"), Some(written)) = (words.get(at), words.get(at + 1)) {
                    times = written.parse().unwrap_or(1);
                    at += 2;
                }
                unit.multiply(word, sign * times.clamp(-MAX_POWER, MAX_POWER));
                (sign, power) = (1, 1);
            }
        }
    }
    unit.dimensions.retain(|_, power| *power != 0);
    unit
}

impl Unit {
    fn multiply(&mut self, word: &str, power: i32) {
        let Some((over, under, dimension, times)) = known(word) else {
            *self.dimensions.entry(counted(word)).or_default() += power;
            return;
        };
        match dimension {
            "degree" => self.degrees = true,
            "plain" => {}
            "speed" => {
                *self.dimensions.entry("length".to_owned()).or_default() += power;
                *self.dimensions.entry("time".to_owned()).or_default() -= power;
            }
            _ => *self.dimensions.entry(dimension.to_owned()).or_default() += power * times,
        }
        let factor = BigRational::new(BigInt::from(over), BigInt::from(under));
        self.factor *= num_traits::pow::Pow::pow(factor, power);
    }
}

/// A counted thing, singular and in small letters.
fn counted(word: &str) -> String {
    let small = word.to_lowercase();
    match small.strip_suffix("ies") {
        Some(stem) if stem.len() > 1 => format!("{stem}y"),
        _ => small.strip_suffix('s').filter(|stem| stem.len() > 1 && !stem.ends_with('s')).unwrap_or(&small).to_owned(),
    }
}

/// Whether a word is a unit with a meaning of its own.
pub(super) fn is_known(word: &str) -> bool {
    known(word).is_some()
}

/// (numerator, denominator) of the factor, dimension and its power; the dimensions `plain`, `degree` and `speed` are read specially.
/// Length is in metres, mass in grams, time in seconds.
fn known(word: &str) -> Option<(i64, i64, &'static str, i32)> {
    // Single letters and prefixes mean different things in different cases.
    let by_case = match word {
        "m" => Some((1, 1, "length", 1)),
        "g" => Some((1, 1, "mass", 1)),
        "s" => Some((1, 1, "time", 1)),
        "h" => Some((3_600, 1, "time", 1)),
        "L" | "l" => Some((1, 1_000, "length", 3)),
        "N" => Some((1, 1, "newton", 1)),
        "J" => Some((1, 1, "joule", 1)),
        "W" => Some((1, 1, "watt", 1)),
        "V" => Some((1, 1, "volt", 1)),
        "K" => Some((1, 1, "kelvin", 1)),
        "C" | "°C" => Some((1, 1, "celsius", 1)),
        "F" | "°F" => Some((1, 1, "fahrenheit", 1)),
        "mL" => Some((1, 1_000_000, "length", 3)),
        "Hz" => Some((1, 1, "time", -1)),
        "kJ" => Some((1_000, 1, "joule", 1)),
        "kW" => Some((1_000, 1, "watt", 1)),
        _ => None,
    };
    by_case.or_else(|| length(word)).or_else(|| other(word))
}

fn length(word: &str) -> Option<(i64, i64, &'static str, i32)> {
    let (over, under) = match word.to_ascii_lowercase().as_str() {
        "nm" => (1, 1_000_000_000),
        "mm" | "millimeter" | "millimeters" | "millimetre" | "millimetres" => (1, 1_000),
        "cm" | "centimeter" | "centimeters" | "centimetre" | "centimetres" => (1, 100),
        "dm" | "decimeter" | "decimeters" => (1, 10),
        "meter" | "meters" | "metre" | "metres" => (1, 1),
        "km" | "kilometer" | "kilometers" | "kilometre" | "kilometres" => (1_000, 1),
        "inch" | "inches" => (254, 10_000),
        "ft" | "foot" | "feet" => (3_048, 10_000),
        "yd" | "yard" | "yards" => (9_144, 10_000),
        "mi" | "mile" | "miles" => (1_609_344, 1_000),
        _ => return None,
    };
    Some((over, under, "length", 1))
}

fn other(word: &str) -> Option<(i64, i64, &'static str, i32)> {
    Some(match word.to_ascii_lowercase().as_str() {
        "mg" | "milligram" | "milligrams" => (1, 1_000, "mass", 1),
        "gram" | "grams" => (1, 1, "mass", 1),
        "kg" | "kilogram" | "kilograms" => (1_000, 1, "mass", 1),
        "ton" | "tons" | "tonne" | "tonnes" => (1_000_000, 1, "mass", 1),
        "lb" | "lbs" | "pound" | "pounds" => (45_359_237, 100_000, "mass", 1),
        "oz" | "ounce" | "ounces" => (45_359_237, 1_600_000, "mass", 1),
        "ms" | "millisecond" | "milliseconds" => (1, 1_000, "time", 1),
        "sec" | "second" | "seconds" | "secs" => (1, 1, "time", 1),
        "min" | "minute" | "minutes" | "mins" => (60, 1, "time", 1),
        "hr" | "hrs" | "hour" | "hours" => (3_600, 1, "time", 1),
        "day" | "days" => (86_400, 1, "time", 1),
        "week" | "weeks" => (604_800, 1, "time", 1),
        "mph" => (1_609_344, 3_600_000, "speed", 1),
        "liter" | "liters" | "litre" | "litres" => (1, 1_000, "length", 3),
        "ml" | "milliliter" | "milliliters" => (1, 1_000_000, "length", 3),
        "$" | "dollar" | "dollars" | "usd" => (1, 1, "dollar", 1),
        "cent" | "cents" => (1, 100, "dollar", 1),
        "€" | "euro" | "euros" | "eur" => (1, 1, "euro", 1),
        "£" | "gbp" => (1, 1, "sterling", 1),
        "¥" | "yen" | "yuan" => (1, 1, "yen", 1),
        "%" | "percent" => (1, 100, "plain", 0),
        "°" | "degree" | "degrees" | "deg" => (1, 1, "degree", 0),
        "rad" | "radian" | "radians" => (1, 1, "plain", 0),
        _ => return None,
    })
}

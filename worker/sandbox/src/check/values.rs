//! Are two values the same? Values of Python programs as JSON, with tags for what JSON lacks.

use std::cmp::Ordering;

use serde_json::Value;

/// How far numbers may be apart: `|got - expected| <= absolute + relative * |expected|`. Zero, the default, means equal.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Tolerance {
    pub absolute: f64,
    pub relative: f64,
}

pub(super) fn close(expected: f64, got: f64, tolerance: Tolerance) -> bool {
    if expected.is_nan() || got.is_nan() {
        return expected.is_nan() && got.is_nan();
    }
    expected == got || (got - expected).abs() <= tolerance.absolute + tolerance.relative * expected.abs()
}

/// Whether `got`, as the harness sends it, is what the author of a test means by `expected`.
///
/// Plain JSON means what it looks like, where 1 and 1.0 are the same, `true` and 1 are not, and a list stands for a tuple or, in
/// any order, for a set. Tags are for the rest, on both sides: `{"$": "tuple", "v": [..]}` is a tuple and no list, `"set"` a set,
/// `"dict"` with pairs a dictionary whose keys are not all text, `"int"` with digits an integer beyond 64 bits, `"float"` with
/// `"nan"`, `"inf"` or `"-inf"`, `"bytes"` with hexadecimal digits, `"complex"` with two parts.
#[must_use]
pub fn same(expected: &Value, got: &Value, tolerance: Tolerance) -> bool {
    if let (Some(expected), Some(got)) = (Number::of(expected), Number::of(got)) {
        return expected.same(&got, tolerance);
    }
    match (tag(expected), tag(got)) {
        (None, None) => plain(expected, got, tolerance),
        (None, Some(("tuple", inner))) => in_order(expected, inner, tolerance),
        (None | Some(("set", _)), Some(("set", inner))) => {
            in_any_order(tag(expected).map_or(expected, |(_, expected)| expected), inner, tolerance)
        }
        (Some(("tuple", expected)), Some(("tuple", got))) => in_order(expected, got, tolerance),
        (Some(("complex", expected)), Some(("complex", got))) => in_order(expected, got, tolerance),
        (Some(("dict", expected)), Some(("dict", got))) => in_any_order(expected, got, tolerance),
        (Some(("bytes", expected)), Some(("bytes", got))) => expected == got,
        _ => false,
    }
}

fn plain(expected: &Value, got: &Value, tolerance: Tolerance) -> bool {
    match (expected, got) {
        (Value::Array(_), Value::Array(_)) => in_order(expected, got, tolerance),
        (Value::Object(expected), Value::Object(got)) => {
            let found = |(key, value): (&String, &Value)| got.get(key).is_some_and(|got| same(value, got, tolerance));
            expected.len() == got.len() && expected.iter().all(found)
        }
        (Value::Null | Value::Bool(_) | Value::String(_), _) => expected == got,
        (Value::Array(_) | Value::Object(_) | Value::Number(_), _) => false,
    }
}

fn in_order(expected: &Value, got: &Value, tolerance: Tolerance) -> bool {
    let (Some(expected), Some(got)) = (expected.as_array(), got.as_array()) else { return false };
    expected.len() == got.len() && expected.iter().zip(got).all(|(expected, got)| same(expected, got, tolerance))
}

/// Sorted by number, then by text; so numbers within the tolerance meet unless others lie between them.
fn in_any_order(expected: &Value, got: &Value, tolerance: Tolerance) -> bool {
    let (Some(expected), Some(got)) = (expected.as_array(), got.as_array()) else { return false };
    let sorted = |values: &[Value]| {
        let mut keyed: Vec<(Option<f64>, String, Value)> = values
            .iter()
            .map(|value| (Number::of(value).map(|number| number.float()), value.to_string(), value.clone()))
            .collect();
        keyed.sort_by(|(a, text_a, _), (b, text_b, _)| match (a, b) {
            (Some(a), Some(b)) => a.total_cmp(b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => text_a.cmp(text_b),
        });
        Value::Array(keyed.into_iter().map(|(_, _, value)| value).collect())
    };
    expected.len() == got.len() && in_order(&sorted(expected), &sorted(got), tolerance)
}

/// The tag of a value and what it holds.
fn tag(value: &Value) -> Option<(&str, &Value)> {
    let object = value.as_object()?;
    Some((object.get("$")?.as_str()?, object.get("v")?))
}

/// A number of either form.
#[derive(Debug)]
enum Number {
    /// Its digits, for those that no float holds exactly.
    Integer(String),
    Float(f64),
}

impl Number {
    fn of(value: &Value) -> Option<Self> {
        if let Value::Number(number) = value {
            return if number.is_f64() {
                number.as_f64().map(Self::Float)
            } else {
                Some(Self::Integer(number.to_string()))
            };
        }
        match tag(value)? {
            ("int", Value::String(digits)) => {
                let (sign, bare) = digits.strip_prefix('-').map_or(("", digits.as_str()), |bare| ("-", bare));
                let whole = !bare.is_empty() && bare.bytes().all(|byte| byte.is_ascii_digit());
                let bare = bare.trim_start_matches('0');
                let zero = bare.is_empty();
                whole.then(|| Self::Integer(if zero { "0".to_owned() } else { format!("{sign}{bare}") }))
            }
            ("float", Value::String(text)) => text.parse().ok().map(Self::Float),
            _ => None,
        }
    }

    fn float(&self) -> f64 {
        match self {
            Self::Integer(digits) => digits.parse().unwrap_or(f64::NAN),
            Self::Float(value) => *value,
        }
    }

    fn same(&self, other: &Self, tolerance: Tolerance) -> bool {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) if a == b => true,
            (Self::Integer(_), Self::Integer(_)) if tolerance == Tolerance::default() => false,
            _ => close(self.float(), other.float(), tolerance),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const EXACT: Tolerance = Tolerance { absolute: 0.0, relative: 0.0 };

    fn is(expected: Value, got: Value) -> bool {
        same(&expected, &got, EXACT)
    }

    #[test]
    fn plain_values() {
        assert!(is(json!(1), json!(1.0)) && is(json!(null), json!(null)) && is(json!({"a": [1]}), json!({"a": [1]})));
        assert!(!is(json!(1), json!(true)) && !is(json!("1"), json!(1)) && !is(json!([1]), json!([1, 1])));
        assert!(!is(json!({"a": 1}), json!({"a": 1, "b": 2})) && !is(json!(0), json!(null)));
        assert!(!is(json!(9_007_199_254_740_993_i64), json!(9_007_199_254_740_992_i64)));
    }

    #[test]
    fn tagged_values() {
        let tuple = json!({"$": "tuple", "v": [1, 2]});
        assert!(is(json!([1, 2]), tuple.clone()) && is(tuple.clone(), tuple.clone()) && !is(tuple, json!([1, 2])));
        let set = json!({"$": "set", "v": [3, "a", 1]});
        assert!(is(json!([1, 3, "a"]), set.clone()) && is(json!({"$": "set", "v": ["a", 1, 3]}), set.clone()));
        assert!(!is(json!([1, 3]), set.clone()) && !is(json!([1, 3, 3]), set));
        let dict = |a: u32, b: u32| json!({"$": "dict", "v": [[a, "x"], [b, "y"]]});
        assert!(is(dict(1, 2), json!({"$": "dict", "v": [[2, "y"], [1, "x"]]})) && !is(dict(1, 2), dict(2, 1)));
        let big = |digits: &str| json!({"$": "int", "v": digits});
        assert!(is(big("36893488147419103232"), big("36893488147419103232")));
        assert!(!is(big("36893488147419103232"), big("36893488147419103233")));
        assert!(is(json!({"$": "float", "v": "nan"}), json!({"$": "float", "v": "nan"})));
        assert!(is(json!({"$": "float", "v": "inf"}), json!({"$": "float", "v": "inf"})));
        assert!(!is(json!({"$": "float", "v": "inf"}), json!(1e308)));
        assert!(!is(json!({"a": 1}), json!({"$": "ref", "v": {"id": 1}})));
    }

    #[test]
    fn numbers_within_the_tolerance() {
        let about = Tolerance { absolute: 1e-9, relative: 1e-3 };
        assert!(same(&json!(1000), &json!(1000.9), about) && !same(&json!(1000), &json!(1001.1), about));
        assert!(same(&json!([1.0, [2]]), &json!({"$": "tuple", "v": [1.0005, [2]]}), about));
        assert!(!same(&json!("1.0"), &json!(1.0), about));
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-1e6..1e6).prop_map(Value::from),
            "[a-z]{0,4}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-z]{1,3}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_value_is_the_same_as_itself_and_not_as_a_list_of_itself(value in any_value()) {
            prop_assert!(same(&value, &value, EXACT));
            let within = json!([value]);
            prop_assert!(!same(&value, &within, EXACT));
        }

        #[test]
        fn sets_have_no_order(mut values in prop::collection::vec(any_value(), 0..6), turn in 0_usize..6) {
            let expected = Value::from(values.clone());
            if !values.is_empty() {
                let turn = turn % values.len();
                values.rotate_left(turn);
            }
            let got = json!({"$": "set", "v": values});
            prop_assert!(same(&expected, &got, EXACT));
        }
    }
}

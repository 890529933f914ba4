//! The key-value section of a GGUF file: read with bounded memory, given out by type. A key of another type than asked for
//! is an error and never a default.

use std::collections::BTreeMap;
use std::io::Read;

use super::GgufError;
use super::cursor::Cursor;
use super::error::key as key_error;

/// More entries than any model has.
const MAX_ENTRIES: u64 = 1 << 16;
/// More elements than any vocabulary or merge table has; bounds the memory of a hostile array.
const MAX_ELEMENTS: u64 = 1 << 22;

/// A value; numbers of all widths in the widest form of their kind.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Integer(i128),
    Number(f64),
    Flag(bool),
    Text(String),
    Integers(Vec<i64>),
    Numbers(Vec<f32>),
    Flags(Vec<bool>),
    Texts(Vec<String>),
}

impl Value {
    fn kind(&self) -> &'static str {
        match self {
            Self::Integer(_) => "an integer",
            Self::Number(_) => "a floating-point number",
            Self::Flag(_) => "true or false",
            Self::Text(_) => "a text",
            Self::Integers(_) => "an array of integers",
            Self::Numbers(_) => "an array of floating-point numbers",
            Self::Flags(_) => "an array of truth values",
            Self::Texts(_) => "an array of texts",
        }
    }
}

/// All entries by key.
#[derive(Clone, Debug, Default)]
pub struct Metadata(BTreeMap<String, Value>);

/// A typed look at an entry: absent is `None`, another type an error that says what was expected.
macro_rules! typed {
    ($(#[$doc:meta])* $name:ident, $variant:ident, $type:ty, $expected:literal) => {
        $(#[$doc])*
        pub(super) fn $name(&self, key: &str) -> Result<Option<&$type>, GgufError> {
            match self.0.get(key) {
                None => Ok(None),
                Some(Value::$variant(value)) => Ok(Some(value)),
                Some(other) => Err(wrong_type(key, other, $expected)),
            }
        }
    };
}

impl Metadata {
    typed!(text, Text, String, "a text");
    typed!(texts, Texts, Vec<String>, "an array of texts");
    typed!(numbers, Numbers, Vec<f32>, "an array of floating-point numbers");
    typed!(integers, Integers, Vec<i64>, "an array of integers");
    typed!(flag, Flag, bool, "true or false");

    /// A whole number that counts or names something.
    pub(super) fn size(&self, key: &str) -> Result<Option<usize>, GgufError> {
        match self.0.get(key) {
            None => Ok(None),
            // Dimensions and token ids of all formats and of libtorch end here.
            Some(Value::Integer(value)) => match i32::try_from(*value).ok().and_then(|v| usize::try_from(v).ok()) {
                Some(size) => Ok(Some(size)),
                None => Err(key_error(key, format!("is {value}; it must be between 0 and {}", i32::MAX))),
            },
            Some(other) => Err(wrong_type(key, other, "an integer")),
        }
    }

    /// A finite number.
    pub(super) fn number(&self, key: &str) -> Result<Option<f64>, GgufError> {
        match self.0.get(key) {
            None => Ok(None),
            Some(Value::Number(value)) if value.is_finite() => Ok(Some(*value)),
            Some(Value::Number(value)) => Err(key_error(key, format!("is {value}; it must be finite"))),
            Some(other) => Err(wrong_type(key, other, "a floating-point number")),
        }
    }

    /// Keys that begin with `prefix`.
    pub(super) fn keys_under<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.keys().filter_map(move |key| key.starts_with(prefix).then_some(key.as_str()))
    }

    /// Reads `count` entries.
    pub(super) fn read<R: Read>(cursor: &mut Cursor<R>, count: usize) -> Result<Self, GgufError> {
        let mut entries = BTreeMap::new();
        for index in 0..count {
            cursor.enter(format!("the key of metadata entry {index}"));
            let key = cursor.text()?;
            cursor.enter(format!("metadata key `{key}`"));
            let value = read_value(cursor)?;
            if entries.contains_key(&key) {
                return Err(cursor.error("occurs twice before this byte"));
            }
            entries.insert(key, value);
        }
        Ok(Self(entries))
    }

    /// The number of entries, checked: each has at least a key's length, a type and a byte.
    pub(super) fn read_count<R: Read>(cursor: &mut Cursor<R>) -> Result<usize, GgufError> {
        cursor.count("metadata entries", 13, MAX_ENTRIES)
    }
}

fn wrong_type(key: &str, found: &Value, expected: &str) -> GgufError {
    key_error(key, format!("is {}; it must be {expected}", found.kind()))
}

/// Types of the format, by their numbers.
mod id {
    pub(super) const U8: u32 = 0;
    pub(super) const I8: u32 = 1;
    pub(super) const U16: u32 = 2;
    pub(super) const I16: u32 = 3;
    pub(super) const U32: u32 = 4;
    pub(super) const I32: u32 = 5;
    pub(super) const F32: u32 = 6;
    pub(super) const BOOL: u32 = 7;
    pub(super) const TEXT: u32 = 8;
    pub(super) const ARRAY: u32 = 9;
    pub(super) const U64: u32 = 10;
    pub(super) const I64: u32 = 11;
    pub(super) const F64: u32 = 12;
}

fn read_value<R: Read>(cursor: &mut Cursor<R>) -> Result<Value, GgufError> {
    match cursor.u32()? {
        id::ARRAY => read_array(cursor),
        id::F32 => Ok(Value::Number(decimal(f32::from_le_bytes(cursor.array()?)))),
        id::F64 => Ok(Value::Number(f64::from_le_bytes(cursor.array()?))),
        id::BOOL => read_flag(cursor).map(Value::Flag),
        id::TEXT => cursor.text().map(Value::Text),
        other => match read_integer(cursor, other)? {
            Some(value) => Ok(Value::Integer(value)),
            None => Err(cursor.error(format!("has value type {other}; types 0 to 12 are defined"))),
        },
    }
}

fn read_array<R: Read>(cursor: &mut Cursor<R>) -> Result<Value, GgufError> {
    let element = cursor.u32()?;
    let least_bytes = match element {
        id::U8 | id::I8 | id::BOOL => 1,
        id::U16 | id::I16 => 2,
        id::U32 | id::I32 | id::F32 => 4,
        id::U64 | id::I64 | id::F64 | id::TEXT => 8,
        id::ARRAY => return Err(cursor.error("is an array of arrays; no metadata of a model is")),
        other => return Err(cursor.error(format!("is an array of type {other}; types 0 to 12 are defined"))),
    };
    let count = cursor.count("array elements", least_bytes, MAX_ELEMENTS)?;
    match element {
        id::TEXT => (0..count).map(|_| cursor.text()).collect::<Result<_, _>>().map(Value::Texts),
        id::BOOL => (0..count).map(|_| read_flag(cursor)).collect::<Result<_, _>>().map(Value::Flags),
        id::F32 => {
            (0..count).map(|_| cursor.array().map(f32::from_le_bytes)).collect::<Result<_, _>>().map(Value::Numbers)
        }
        #[expect(clippy::cast_possible_truncation, reason = "scores are compared, never computed with")]
        id::F64 => (0..count)
            .map(|_| cursor.array().map(|bytes| f64::from_le_bytes(bytes) as f32))
            .collect::<Result<_, _>>()
            .map(Value::Numbers),
        _ => (0..count).map(|_| read_element(cursor, element)).collect::<Result<_, _>>().map(Value::Integers),
    }
}

fn read_element<R: Read>(cursor: &mut Cursor<R>, element: u32) -> Result<i64, GgufError> {
    let value = read_integer(cursor, element)?;
    value
        .and_then(|value| i64::try_from(value).ok())
        .ok_or_else(|| cursor.error("has an array element above 9223372036854775807"))
}

/// An integer of that type, or nothing if the type is none of an integer.
fn read_integer<R: Read>(cursor: &mut Cursor<R>, kind: u32) -> Result<Option<i128>, GgufError> {
    Ok(Some(match kind {
        id::U8 => u8::from_le_bytes(cursor.array()?).into(),
        id::I8 => i8::from_le_bytes(cursor.array()?).into(),
        id::U16 => u16::from_le_bytes(cursor.array()?).into(),
        id::I16 => i16::from_le_bytes(cursor.array()?).into(),
        id::U32 => cursor.u32()?.into(),
        id::I32 => i32::from_le_bytes(cursor.array()?).into(),
        id::U64 => cursor.u64()?.into(),
        id::I64 => i64::from_le_bytes(cursor.array()?).into(),
        _ => return Ok(None),
    }))
}

fn read_flag<R: Read>(cursor: &mut Cursor<R>) -> Result<bool, GgufError> {
    match cursor.array::<1>()? {
        [0] => Ok(false),
        [1] => Ok(true),
        [other] => Err(cursor.error(format!("has {other} as a truth value; 0 and 1 are defined"))),
    }
}

/// The number a person would have written for this f32: 1e-5 and not 0.000009999999747378752.
fn decimal(value: f32) -> f64 {
    value.to_string().parse().unwrap_or_else(|_| f64::from(value))
}

//! The little list language: `stage | stage | stage` over a list of whole numbers, and its interpreter.
//!
//! A stage makes a list of a list; a last stage may make a number of it. Any text compiles or says why not; a run counts its steps and
//! stops at a limit, so no program takes long or grows without bound.

use std::fmt;
use std::iter;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// The language in words, for prompts.
pub const GUIDE: &str = "A program is stages joined by ` | `, for example `filter even | map *2 | sum`. \
     Stages: map +N, map -N, map *N, map square, filter >N, filter <N, filter even, filter odd, sort, reverse, take N, drop N, \
     unique, sums (running sums), repeat N; as the last stage also sum, max, min, count, first, last.";

/// Most stages of a program.
const MOST_STAGES: usize = 16;

/// What flows between stages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// One number.
    Number(i64),
    /// A list.
    List(Vec<i64>),
}

impl Value {
    /// Reads `[1, 2]`.
    #[must_use]
    pub fn read_list(text: &str) -> Option<Vec<i64>> {
        let inner = text.trim().strip_prefix('[')?.strip_suffix(']')?.trim();
        if inner.is_empty() {
            return Some(Vec::new());
        }
        inner.split(',').map(|number| number.trim().parse().ok()).collect()
    }

    /// Reads `[1, 2]` or `3`.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        Self::read_list(text).map(Self::List).or_else(|| text.trim().parse().ok().map(Self::Number))
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::List(list) => {
                let numbers: Vec<String> = list.iter().map(i64::to_string).collect();
                write!(f, "[{}]", numbers.join(", "))
            }
        }
    }
}

/// One stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Adds to every number.
    Add(i64),
    /// Multiplies every number.
    Multiply(i64),
    /// Squares every number.
    Square,
    /// Keeps the larger ones.
    Greater(i64),
    /// Keeps the smaller ones.
    Less(i64),
    /// Keeps the even ones.
    Even,
    /// Keeps the odd ones.
    Odd,
    /// Ascending.
    Sort,
    /// From the end.
    Reverse,
    /// The first N.
    Take(usize),
    /// Without the first N.
    Drop(usize),
    /// First appearances only.
    Unique,
    /// Running sums.
    Sums,
    /// The list N times.
    Repeat(usize),
    /// The sum; 0 of an empty list.
    Sum,
    /// The largest.
    Max,
    /// The smallest.
    Min,
    /// How many.
    Count,
    /// The first.
    First,
    /// The last.
    Last,
}

impl Stage {
    /// Whether it makes a number, so must be the last.
    #[must_use]
    pub fn ends(self) -> bool {
        matches!(self, Self::Sum | Self::Max | Self::Min | Self::Count | Self::First | Self::Last)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let (verb, argument) = (words.next()?, words.collect::<Vec<_>>().concat());
        let signed = |sign: char| argument.strip_prefix(sign).and_then(|number| number.parse::<i64>().ok());
        let plain = || argument.parse::<usize>().ok();
        match (verb, argument.as_str()) {
            ("map", "square") => Some(Self::Square),
            ("map", "") | ("filter", "") => None,
            ("map", _) => {
                let add = signed('+').or_else(|| signed('-').and_then(i64::checked_neg)).map(Self::Add);
                add.or_else(|| signed('*').map(Self::Multiply))
            }
            ("filter", "even") => Some(Self::Even),
            ("filter", "odd") => Some(Self::Odd),
            ("filter", _) => signed('>').map(Self::Greater).or_else(|| signed('<').map(Self::Less)),
            ("take", _) => plain().map(Self::Take),
            ("drop", _) => plain().map(Self::Drop),
            ("repeat", _) => plain().map(Self::Repeat),
            (verb, "") => {
                let bare = [Self::Sort, Self::Reverse, Self::Unique, Self::Sums].into_iter().chain(ENDS);
                bare.into_iter().find(|stage| stage.to_string() == verb)
            }
            (_, _) => None,
        }
    }

    /// Whether it makes new numbers of the list's numbers, or compares them with one of its own.
    fn calculates(self) -> bool {
        match self {
            Self::Add(_)
            | Self::Multiply(_)
            | Self::Square
            | Self::Greater(_)
            | Self::Less(_)
            | Self::Sums
            | Self::Sum => true,
            Self::Even
            | Self::Odd
            | Self::Sort
            | Self::Reverse
            | Self::Take(_)
            | Self::Drop(_)
            | Self::Unique
            | Self::Repeat(_)
            | Self::Max
            | Self::Min
            | Self::Count
            | Self::First
            | Self::Last => false,
        }
    }

    /// One that calculates only if it may.
    fn draw(rng: &mut ChaCha8Rng, last: bool, calculations: bool) -> Self {
        loop {
            let stage = Self::draw_any(rng, last);
            if calculations || !stage.calculates() {
                return stage;
            }
        }
    }

    fn draw_any(rng: &mut ChaCha8Rng, last: bool) -> Self {
        let small = |rng: &mut ChaCha8Rng, low: i64, high: i64| rng.random_range(low..=high);
        let count = |rng: &mut ChaCha8Rng| rng.random_range(1..=4usize);
        match rng.random_range(0..if last { 20 } else { 14 }) {
            0 => Self::Add(small(rng, 1, 9)),
            1 => Self::Add(-small(rng, 1, 9)),
            2 => Self::Multiply(small(rng, 2, 5)),
            3 => Self::Multiply(-small(rng, 1, 3)),
            4 => Self::Square,
            5 => Self::Greater(small(rng, -5, 15)),
            6 => Self::Less(small(rng, -5, 15)),
            7 => [Self::Even, Self::Odd][rng.random_range(0..2)],
            8 => Self::Sort,
            9 => Self::Reverse,
            10 => Self::Take(count(rng)),
            11 => Self::Drop(count(rng)),
            12 => [Self::Unique, Self::Sums][rng.random_range(0..2)],
            13 => Self::Repeat(2),
            end => ENDS[(end - 14) % ENDS.len()],
        }
    }
}

const ENDS: [Stage; 6] = [Stage::Sum, Stage::Max, Stage::Min, Stage::Count, Stage::First, Stage::Last];

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add(number) => write!(f, "map {number:+}"),
            Self::Multiply(number) => write!(f, "map *{number}"),
            Self::Greater(number) => write!(f, "filter >{number}"),
            Self::Less(number) => write!(f, "filter <{number}"),
            Self::Take(count) => write!(f, "take {count}"),
            Self::Drop(count) => write!(f, "drop {count}"),
            Self::Repeat(count) => write!(f, "repeat {count}"),
            Self::Square => f.write_str("map square"),
            Self::Even => f.write_str("filter even"),
            Self::Odd => f.write_str("filter odd"),
            Self::Sort => f.write_str("sort"),
            Self::Reverse => f.write_str("reverse"),
            Self::Unique => f.write_str("unique"),
            Self::Sums => f.write_str("sums"),
            Self::Sum => f.write_str("sum"),
            Self::Max => f.write_str("max"),
            Self::Min => f.write_str("min"),
            Self::Count => f.write_str("count"),
            Self::First => f.write_str("first"),
            Self::Last => f.write_str("last"),
        }
    }
}

/// Why a text is no program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// Nothing there.
    #[error("the program is empty")]
    Empty,
    /// An unknown stage.
    #[error("stage {number} is no stage: {read:?}")]
    Stage {
        /// From 1.
        number: usize,
        /// What stands there, cut short.
        read: String,
    },
    /// A stage behind one that makes a number.
    #[error("`{stage}` makes a number, so it must be the last stage; it is stage {number} of {of}")]
    Ends {
        /// The stage.
        stage: String,
        /// From 1.
        number: usize,
        /// Stages in all.
        of: usize,
    },
    /// Too many stages.
    #[error("{stages} stages; at most {MOST_STAGES} are allowed")]
    TooLong {
        /// How many there are.
        stages: usize,
    },
}

/// Why a run stopped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// No number to give.
    #[error("`{stage}` of an empty list")]
    Empty {
        /// The stage.
        stage: String,
    },
    /// Beyond 64 bits.
    #[error("`{stage}` gives a number beyond 64 bits")]
    Overflow {
        /// The stage.
        stage: String,
    },
    /// Too much work.
    #[error("stopped at `{stage}` after {limit} steps")]
    Steps {
        /// The stage.
        stage: String,
        /// The limit.
        limit: usize,
    },
}

/// How far a run may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Numbers read or written by all stages together.
    pub steps: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { steps: 10_000 }
    }
}

/// A program that compiled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Program {
    stages: Vec<Stage>,
}

impl Program {
    /// Reads a program text.
    ///
    /// # Errors
    /// [`CompileError`] names the stage.
    pub fn compile(text: &str) -> Result<Self, CompileError> {
        if text.trim().is_empty() {
            return Err(CompileError::Empty);
        }
        let of = text.split('|').count();
        if of > MOST_STAGES {
            return Err(CompileError::TooLong { stages: of });
        }
        let mut stages = Vec::with_capacity(of);
        for (at, part) in text.split('|').enumerate() {
            let number = at + 1;
            let unknown = || CompileError::Stage { number, read: part.trim().chars().take(30).collect() };
            let stage = Stage::parse(part).ok_or_else(unknown)?;
            if stage.ends() && number < of {
                return Err(CompileError::Ends { stage: stage.to_string(), number, of });
            }
            stages.push(stage);
        }
        Ok(Self { stages })
    }

    /// Runs it on a list.
    ///
    /// # Errors
    /// [`RunError`] names the stage that stopped.
    pub fn run(&self, input: &[i64], limits: Limits) -> Result<Value, RunError> {
        let (mut list, mut left) = (input.to_vec(), limits.steps);
        for stage in &self.stages {
            let work = match stage {
                // An empty list costs too: it is walked as often.
                Stage::Repeat(times) => list.len().max(1).saturating_mul(*times),
                _ => list.len(),
            };
            let stopped = || RunError::Steps { stage: stage.to_string(), limit: limits.steps };
            left = left.checked_sub(work.saturating_add(1)).ok_or_else(stopped)?;
            match apply(*stage, list)? {
                Value::List(next) => list = next,
                number @ Value::Number(_) => return Ok(number),
            }
        }
        Ok(Value::List(list))
    }

    /// What it does, in order.
    #[must_use]
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// All programs that lack one stage of this one.
    pub(super) fn without_one(&self) -> impl Iterator<Item = Self> + '_ {
        (0..self.stages.len()).map(|left_out| {
            let mut stages = self.stages.clone();
            stages.remove(left_out);
            Self { stages }
        })
    }

    /// A random program of so many stages, which calculate only if they may.
    pub(super) fn draw(rng: &mut ChaCha8Rng, (fewest, most): (u32, u32), calculations: bool) -> Self {
        let count = rng.random_range(fewest..=most);
        Self { stages: (1..=count).map(|number| Stage::draw(rng, number == count, calculations)).collect() }
    }
}

fn apply(stage: Stage, mut list: Vec<i64>) -> Result<Value, RunError> {
    let overflow = || RunError::Overflow { stage: stage.to_string() };
    let empty = || RunError::Empty { stage: stage.to_string() };
    let each = |list: Vec<i64>, f: &dyn Fn(i64) -> Option<i64>| {
        list.into_iter().map(f).collect::<Option<Vec<_>>>().map(Value::List).ok_or_else(overflow)
    };
    let one = |number: Option<i64>| number.map(Value::Number).ok_or_else(empty);
    let sum = |total: &mut i64, number: &i64| total.checked_add(*number);
    match stage {
        Stage::Add(by) => return each(list, &|number| number.checked_add(by)),
        Stage::Multiply(by) => return each(list, &|number| number.checked_mul(by)),
        Stage::Square => return each(list, &|number| number.checked_mul(number)),
        Stage::Greater(than) => list.retain(|number| *number > than),
        Stage::Less(than) => list.retain(|number| *number < than),
        Stage::Even => list.retain(|number| number % 2 == 0),
        Stage::Odd => list.retain(|number| number % 2 != 0),
        Stage::Sort => list.sort_unstable(),
        Stage::Reverse => list.reverse(),
        Stage::Take(count) => list.truncate(count),
        Stage::Drop(count) => drop(list.drain(..count.min(list.len()))),
        Stage::Unique => {
            let mut seen = std::collections::BTreeSet::new();
            list.retain(|number| seen.insert(*number));
        }
        Stage::Sums => {
            let mut total = 0;
            for number in &mut list {
                total = sum(&mut total, number).ok_or_else(overflow)?;
                *number = total;
            }
        }
        Stage::Repeat(times) => list = iter::repeat_n(list, times).flatten().collect(),
        Stage::Sum => {
            let total = list.iter().try_fold(0i64, |mut total, number| sum(&mut total, number));
            return total.map(Value::Number).ok_or_else(overflow);
        }
        Stage::Max => return one(list.iter().copied().max()),
        Stage::Min => return one(list.iter().copied().min()),
        Stage::Count => return one(i64::try_from(list.len()).ok()),
        Stage::First => return one(list.first().copied()),
        Stage::Last => return one(list.last().copied()),
    }
    Ok(Value::List(list))
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stages: Vec<String> = self.stages.iter().map(Stage::to_string).collect();
        f.write_str(&stages.join(" | "))
    }
}

impl TryFrom<String> for Program {
    type Error = CompileError;

    fn try_from(text: String) -> Result<Self, CompileError> {
        Self::compile(&text)
    }
}

impl From<Program> for String {
    fn from(program: Program) -> Self {
        program.to_string()
    }
}

#[cfg(test)]
mod tests;

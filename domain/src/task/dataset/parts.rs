//! Which rows each split has. Splits share no prompt: rows of one file are told apart by what their prompts say, so that equal prompts
//! are together, whatever the order or the seed; rows of several files are compared, and an exact copy in two of them is refused.

use std::collections::{BTreeMap, BTreeSet};

use super::row::Maker;
use super::{DataFault, RawRow, Row};
use crate::recipe::tasks::files::{Files, Longest, Rows, Splits, Stored};
use crate::task::leakage::{self, Kind, canonical};

/// Where the rows of a split come from.
#[derive(Debug, Clone, PartialEq)]
pub enum From {
    /// A file or split of that name.
    Named(String),
    /// A share of the training rows.
    Share(f64),
}

/// What must be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    pub train: String,
    pub val: From,
    pub test: From,
    /// The columns that are needed, without what is within them.
    pub columns: Vec<String>,
}

/// The rows of the files that [`Choice`] names.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Read {
    pub train: Vec<RawRow>,
    /// Empty where it is a share.
    pub val: Vec<RawRow>,
    pub test: Vec<RawRow>,
}

/// Everything of a data set.
#[derive(Debug, Clone, PartialEq)]
pub struct Assembled {
    pub train: Vec<Row>,
    pub val: Vec<Row>,
    pub test: Vec<Row>,
    pub shots: Vec<Row>,
    pub longest: Longest,
    pub characters: String,
    pub notes: Notes,
}

/// What people should know of a data set that is used all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Notes {
    /// Rows of `val` and `test` whose prompts are nearly those of training rows.
    pub near_val: u64,
    pub near_test: u64,
    /// Rows whose prompt an earlier row of the same split has.
    pub repeated: u64,
}

/// Most rows of a data set.
const MAX_ROWS: usize = 1_000_000;

/// What people call the splits.
const TRAIN: [&str; 2] = ["train", "training"];
const VAL: [&str; 4] = ["val", "validation", "valid", "dev"];
const TEST: [&str; 2] = ["test", "testing"];

/// What to read of a folder with these splits (by file or folder name), by the recipe.
///
/// # Errors
/// [`DataFault`] about `splits`, a template or a share.
pub fn choose(files: &Files, there: &BTreeSet<String>) -> Result<Choice, DataFault> {
    let list = || there.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let find = |names: &[&str]| names.iter().find(|name| there.contains(**name)).map(|name| (*name).to_owned());
    let named = |name: &str| {
        let known = there.contains(name);
        let fault = || {
            let what = format!("there is no split or file `{name}`");
            DataFault::new("splits", what, format!("there are: {}", list()))
        };
        known.then(|| name.to_owned()).ok_or_else(fault)
    };
    let train = match &files.splits.train {
        Some(Rows::Named(name)) => named(name)?,
        Some(Rows::Share(_)) => {
            let help = "give the shares of `val` and `test`; the rest is trained on. A name says which file to take";
            return Err(DataFault::new("splits", "`train` is a share", help));
        }
        None => match (find(&TRAIN), there.len()) {
            (Some(train), _) => train,
            (None, 1) => there.first().cloned().unwrap_or_default(),
            (None, _) => {
                let help = format!("name one with `splits: {{train: ...}}`; there are: {}", list());
                return Err(DataFault::new("splits", "no split is called `train`", help));
            }
        },
    };
    let other = |rows: &Option<Rows>, names: &[&str]| match rows {
        Some(Rows::Named(name)) => named(name).map(From::Named),
        Some(Rows::Share(share)) => Ok(From::Share(*share)),
        None => Ok(find(names).map_or(From::Share(Splits::SHARE), From::Named)),
    };
    let (val, test) = (other(&files.splits.val, &VAL)?, other(&files.splits.test, &TEST)?);
    let shares = [&val, &test].map(|from| match from {
        From::Share(share) => *share,
        From::Named(_) => 0.0,
    });
    if shares.iter().any(|share| !(0.0..1.0).contains(share)) || shares[0] + shares[1] >= 1.0 {
        let what = format!("the shares of `val` and `test` are {} and {}", shares[0], shares[1]);
        return Err(DataFault::new("splits", what, "each is 0 or more, and together they leave something to train on"));
    }
    match (files.tests, &files.columns.tests) {
        (Some(_), None) => {
            let help = "name the column with `columns: {tests: ...}`";
            return Err(DataFault::new("tests", "no column of tests is named", help));
        }
        (None, Some(column)) => {
            let help = "write `tests: asserts`, `tests: inputs` or `tests: calls`";
            return Err(DataFault::new("tests", format!("what the column `{column}` holds is not said"), help));
        }
        (Some(_), Some(_)) | (None, None) => {}
    }
    let columns = Maker::new(files)?.columns();
    Ok(Choice { train, val, test, columns })
}

/// The data set that the rows make.
///
/// # Errors
/// [`DataFault`]: a row that cannot be used, an empty split of files, too few rows for the solved examples, or a prompt of `train` that
/// is in `test` or `val` too.
pub fn assemble(files: &Files, choice: &Choice, read: Read) -> Result<Assembled, DataFault> {
    let maker = Maker::new(files)?;
    let all = read.train.len() + read.val.len() + read.test.len();
    if all > MAX_ROWS {
        let help = "take a part of it: name files of fewer rows under `splits`";
        return Err(DataFault::new("path", format!("the data set has {all} rows, more than {MAX_ROWS}"), help));
    }
    let mut parts: [Vec<Placed>; 3] = Default::default();
    for raw in &read.train {
        let placed = Placed::new(&maker, raw)?;
        parts[share_of(&placed.canonical, choice)].push(placed);
    }
    for (place, rows) in [(1, &read.val), (2, &read.test)] {
        for raw in rows {
            parts[place].push(Placed::new(&maker, raw)?);
        }
    }
    let repeated = parts.iter().map(|part| repeated(part)).sum();
    let [mut train, val, test] = parts;
    let shots = take_shots(&mut train, files.shots)?;
    if train.is_empty() {
        let help = "a data set needs rows to train on";
        return Err(DataFault::new("splits", "no row is left for `train`", help));
    }
    let learnt = || train.iter().chain(&shots);
    let near_test = compare(learnt(), &test, "test")?;
    let near_val = compare(learnt(), &val, "val")?;
    compare(val.iter(), &test, "test")?;
    let every = || learnt().chain(&val).chain(&test);
    let length = |text: &str| u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
    let prefix = shots
        .iter()
        .map(|shot| length(&solved(files, &shot.row.prompt, &shot.row.completion)))
        .fold(0, u32::saturating_add);
    let longest = Longest {
        prompt: every().map(|placed| length(&placed.row.prompt)).max().unwrap_or(0),
        completion: every().map(|placed| length(&placed.row.completion)).max().unwrap_or(0),
        prefix,
    };
    let mut characters: BTreeSet<char> = BTreeSet::new();
    for placed in every() {
        characters.extend(placed.row.prompt.chars().chain(placed.row.completion.chars()));
    }
    // Behind a solved example stands a line end in any case.
    characters.extend((!shots.is_empty()).then_some('\n'));
    let rows = |part: Vec<Placed>| part.into_iter().map(|placed| placed.row).collect();
    Ok(Assembled {
        longest,
        characters: characters.into_iter().take(Stored::MAX_CHARACTERS).collect(),
        notes: Notes { near_val, near_test, repeated },
        train: rows(train),
        val: rows(val),
        test: rows(test),
        shots: rows(shots),
    })
}

/// A solved example as it stands in a few-shot prefix: ended, and by a line end in any case.
#[must_use]
pub fn solved(files: &Files, prompt: &str, completion: &str) -> String {
    match files.end.0 {
        Some('\n') => format!("{prompt}{completion}\n"),
        Some(end) => format!("{prompt}{completion}{end}\n"),
        None => format!("{prompt}{completion}\n\n"),
    }
}

/// A row, where it stood, and what tells it from others.
struct Placed {
    row: Row,
    place: String,
    canonical: String,
}

impl Placed {
    fn new(maker: &Maker<'_>, raw: &RawRow) -> Result<Self, DataFault> {
        let row = maker.make(raw)?;
        Ok(Self { canonical: canonical(&row.prompt), place: raw.place(), row })
    }
}

/// A number from 0 to 1 that depends on the text alone.
fn fraction(space: &str, canonical: &str) -> f64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(space.as_bytes());
    hasher.update(b":");
    hasher.update(canonical.as_bytes());
    let mut first = [0u8; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    (u64::from_le_bytes(first) >> 11) as f64 / (1u64 << 53) as f64
}

/// The part of a training row: 0 train, 1 val, 2 test.
fn share_of(canonical: &str, choice: &Choice) -> usize {
    let share = |from: &From| match from {
        From::Share(share) => *share,
        From::Named(_) => 0.0,
    };
    let (val, test) = (share(&choice.val), share(&choice.test));
    match fraction("data set", canonical) {
        at if at < test => 2,
        at if at < test + val => 1,
        _ => 0,
    }
}

/// Takes the solved examples out of the training rows, with every row of the same prompt.
fn take_shots(train: &mut Vec<Placed>, count: u32) -> Result<Vec<Placed>, DataFault> {
    let mut order: Vec<(u64, &str)> = train
        .iter()
        .map(|placed| (fraction("solved examples", &placed.canonical).to_bits(), placed.canonical.as_str()))
        .collect();
    order.sort_unstable();
    order.dedup();
    if order.len() < count as usize {
        let what =
            format!("{count} solved examples are asked for, and there are {} different training rows", order.len());
        return Err(DataFault::new("shots", what, "ask for fewer"));
    }
    let chosen: BTreeMap<String, usize> =
        order.iter().take(count as usize).enumerate().map(|(at, (_, text))| ((*text).to_owned(), at)).collect();
    let mut shots: BTreeMap<usize, Placed> = BTreeMap::new();
    for placed in std::mem::take(train) {
        match chosen.get(&placed.canonical) {
            Some(at) => drop(shots.entry(*at).or_insert(placed)),
            None => train.push(placed),
        }
    }
    Ok(shots.into_values().collect())
}

fn repeated(part: &[Placed]) -> u64 {
    let different: BTreeSet<&str> = part.iter().map(|placed| placed.canonical.as_str()).collect();
    (part.len() - different.len()) as u64
}

/// Refuses exact copies; counts the near ones.
fn compare<'a>(left: impl Iterator<Item = &'a Placed>, right: &[Placed], name: &str) -> Result<u64, DataFault> {
    if right.is_empty() {
        return Ok(0);
    }
    let items = |placed: &Placed| (placed.place.clone(), placed.row.prompt.clone());
    let options = leakage::Options::default();
    let found = leakage::check(options, left.map(items), right.iter().map(items)).map_err(|error| {
        DataFault::new("splits", error.to_string(), "report this: the options are the program's own")
    })?;
    if found.exact > 0 {
        let first = found.pairs.iter().find(|pair| pair.kind == Kind::Exact);
        let first =
            first.map(|pair| format!("; the first is {}, the same as {}", pair.right, pair.left)).unwrap_or_default();
        let what = format!("{} prompts of `{name}` are those of rows of another split{first}", found.exact);
        let help =
            "take the copies out of the files, or let shares of one file be the splits: equal prompts stay together";
        return Err(DataFault::new("splits", what, help));
    }
    Ok(found.near)
}

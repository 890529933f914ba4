//! Task sets from data files: where they lie, which columns mean what, how a row becomes a question with an answer, and which rows each
//! split has. What was read of them stands in `stored`, by digest: workers never see a path.

use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer, Serialize};

use super::Split;
use crate::artifact::ArtifactRef;
use crate::recipe::shape::{self, Never, Shape};
use crate::recipe::verify::{Exact, Math, Numeric, Place, Units, Verifier, Which};

/// A data set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Files {
    /// A file or a folder, relative to the recipe's folder.
    pub path: String,
    #[serde(default)]
    pub format: Format,
    #[serde(default)]
    pub columns: Columns,
    /// How the answer stands in its column.
    #[serde(default)]
    pub answer: AnswerForm,
    /// What the verifier `rule` asks; by the form of the answer when absent.
    #[serde(default)]
    pub rule: Option<Verifier>,
    /// What the policy reads; `{prompt}` and the names of columns stand for their texts.
    #[serde(default = "prompt_alone")]
    pub template: String,
    /// What a right completion is, for demonstrations and solved examples.
    #[serde(default = "solution_alone")]
    pub completion: String,
    /// What ends a completion.
    #[serde(default)]
    pub end: End,
    /// Longest completion; the longest solution in characters when absent, at most [`Files::MAX_TOKENS`].
    #[serde(default)]
    pub max_tokens: Option<u32>,
    #[serde(default)]
    pub splits: Splits,
    /// Solved examples put before every question, taken out of the training rows.
    #[serde(default)]
    pub shots: u32,
    /// What the column `tests` holds.
    #[serde(default)]
    pub tests: Option<TestForm>,
    /// How many rows the splits have: a dry run goes by it where the files are not at hand. What is there is read as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<RowCounts>,
    /// What was read; written by the client.
    #[serde(default)]
    pub stored: Option<Stored>,
}

/// Rows of each split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowCounts {
    pub train: u32,
    pub val: u32,
    pub test: u32,
}

fn prompt_alone() -> String {
    "{prompt}".to_owned()
}

fn solution_alone() -> String {
    "{solution}".to_owned()
}

impl Files {
    /// Longest completion where the recipe does not say it and solutions are longer.
    pub const MAX_TOKENS: u32 = 512;

    /// Longest completion in tokens, the end counted.
    #[must_use]
    pub fn max_tokens(&self) -> u32 {
        let longest = self.stored.as_ref().map_or(Self::MAX_TOKENS, |stored| stored.longest.completion);
        self.max_tokens.unwrap_or_else(|| longest.saturating_add(1).min(Self::MAX_TOKENS))
    }

    /// What the verifier `rule` asks.
    #[must_use]
    pub fn rule(&self) -> Verifier {
        let read = vec![Place::Boxed, Place::Hashes, Place::Phrase, Place::LastLine];
        self.rule.clone().unwrap_or_else(|| match self.answer {
            AnswerForm::Plain => {
                Verifier::Exact(Exact { read: vec![Place::Whole], fold_case: false, strip_marks: false })
            }
            AnswerForm::Gsm8k => Verifier::Numeric(Numeric { read, which: Which::Last, absolute: 0.0, relative: 0.0 }),
            AnswerForm::Boxed => Verifier::Math(Math { units: Units::default(), rounded_places: 6 }),
        })
    }
}

/// How files are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// By the names of the files.
    #[default]
    Auto,
    /// One JSON object a line.
    Jsonl,
    Parquet,
    /// Arrow streams, as Hugging Face `datasets` saves them.
    Arrow,
}

/// Which columns mean what. Columns within columns are named by dots, places of lists by numbers: `choices.0`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Columns {
    #[serde(default = "prompt")]
    pub prompt: String,
    #[serde(default = "answer")]
    pub answer: String,
    /// The worked solution; the whole text of the answer's column when absent.
    #[serde(default)]
    pub solution: Option<String>,
    /// What people call the row.
    #[serde(default)]
    pub id: Option<String>,
    #[serde(default)]
    pub tests: Option<String>,
    /// The function that a test program with `check(candidate)` is asked about.
    #[serde(default)]
    pub entry_point: Option<String>,
    /// A program that stands before every test program.
    #[serde(default)]
    pub setup: Option<String>,
}

fn prompt() -> String {
    "prompt".to_owned()
}

fn answer() -> String {
    "answer".to_owned()
}

impl Default for Columns {
    fn default() -> Self {
        let (prompt, answer) = (prompt(), answer());
        Self { prompt, answer, solution: None, id: None, tests: None, entry_point: None, setup: None }
    }
}

/// How an answer stands in its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerForm {
    /// All of it, without white space around.
    #[default]
    Plain,
    /// Behind the last `####`, without commas.
    Gsm8k,
    /// In the last `\boxed{...}`.
    Boxed,
}

/// What a column of tests holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TestForm {
    /// Programs with assertions: a list of them, or one that defines `check(candidate)`.
    Asserts,
    /// Pairs of standard input and output.
    Inputs,
    /// Calls of functions and what they return.
    Calls,
}

/// What ends a completion: a character, or the model's own token alone. Written as the character, as `line` for a line end, or as `token`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct End(pub Option<char>);

impl Default for End {
    fn default() -> Self {
        Self(Some('\n'))
    }
}

impl TryFrom<String> for End {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut characters = text.chars();
        match (text.as_str(), characters.next(), characters.next()) {
            ("token", ..) => Ok(Self(None)),
            ("line", ..) => Ok(Self(Some('\n'))),
            (_, Some(one), None) => Ok(Self(Some(one))),
            _ => Err(format!("{text:?} ends nothing: write `line`, `token` or one character, for example \"#\"")),
        }
    }
}

impl From<End> for String {
    fn from(end: End) -> Self {
        match end.0 {
            None => "token".to_owned(),
            Some('\n') => "line".to_owned(),
            Some(end) => end.into(),
        }
    }
}

/// Which rows each split has; what is left out is looked for by name in the folder, and is [`Splits::SHARE`] of the training rows if
/// it is not there.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Splits {
    #[serde(default)]
    pub train: Option<Rows>,
    #[serde(default)]
    pub val: Option<Rows>,
    #[serde(default)]
    pub test: Option<Rows>,
}

impl Splits {
    /// Of the training rows, for a split that nothing names.
    pub const SHARE: f64 = 0.1;
}

/// Rows of a split.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Rows {
    /// This share of the training rows, chosen by what they say.
    Share(f64),
    /// A file, or a split of the folder by its name.
    Named(String),
}

impl<'de> Deserialize<'de> for Rows {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const EXPECTED: &str = "a share such as 0.1, or the name of a file or split";
        match shape::read::<D, Never, Never>(deserializer, EXPECTED)? {
            Shape::Number(share) => Ok(Self::Share(share)),
            Shape::Text(name) if !name.is_empty() => Ok(Self::Named(name)),
            Shape::Text(name) => Err(D::Error::invalid_value(Unexpected::Str(&name), &EXPECTED)),
            Shape::Map(never) | Shape::List(never) => match never {},
        }
    }
}

/// What was read, as files of the artifact store: one row a line. The numbers and the alphabet are over all of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stored {
    pub train: ArtifactRef,
    pub val: ArtifactRef,
    pub test: ArtifactRef,
    /// The solved examples.
    pub shots: ArtifactRef,
    pub longest: Longest,
    /// Every character in order; of very many the first [`Stored::MAX_CHARACTERS`].
    pub characters: String,
}

impl Stored {
    /// The rows of a split; demonstrations are the training rows with their solutions.
    #[must_use]
    pub fn rows(&self, split: Split) -> &ArtifactRef {
        match split {
            Split::Train | Split::Demonstrations => &self.train,
            Split::Val => &self.val,
            Split::Test => &self.test,
        }
    }

    /// All files.
    #[must_use]
    pub fn all(&self) -> [&ArtifactRef; 4] {
        [&self.train, &self.val, &self.test, &self.shots]
    }

    /// More than any alphabet of a character model.
    pub const MAX_CHARACTERS: usize = 512;
}

/// Lengths in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Longest {
    pub prompt: u32,
    pub completion: u32,
    /// The whole few-shot prefix.
    pub prefix: u32,
}

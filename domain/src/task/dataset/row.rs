//! One row: from a file's cells to a question with an answer, and the form in which rows are kept, a JSON object a line.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::program::{Beside, ProgramTests, parse as parse_tests};
use super::template::Template;
use super::{DataFault, answer};
use crate::recipe::tasks::Split;
use crate::recipe::tasks::files::Files;
use crate::task::leakage::canonical;
use crate::task::{Problem, TaskSetData};

/// A row as it stands in a file: the wanted columns.
#[derive(Debug, Clone, PartialEq)]
pub struct RawRow {
    pub file: Arc<str>,
    /// From 1.
    pub number: u64,
    pub cells: Map<String, Value>,
}

/// A row as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// What people call it; empty if nothing names it.
    pub id: String,
    pub prompt: String,
    /// What verifiers compare with.
    pub answer: String,
    /// A right completion, without its end.
    pub completion: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tests: Option<ProgramTests>,
}

/// What a row brings beside its problem.
#[derive(Debug, Clone, PartialEq)]
pub struct Given {
    pub completion: String,
    pub tests: Option<Arc<ProgramTests>>,
}

/// Kept rows that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the stored rows cannot be read: {what}")]
pub struct Damaged {
    pub line: usize,
    pub what: String,
}

/// Rows as bytes: the same rows give the same bytes.
#[must_use]
pub fn encode(rows: &[Row]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for row in rows {
        #[expect(clippy::expect_used, reason = "keys are strings, and writing to a vector does not fail")]
        serde_json::to_writer(&mut bytes, row).expect("a row is valid JSON");
        bytes.push(b'\n');
    }
    bytes
}

/// The problems of a split, in order, and what each brings. `label` names the set in messages.
///
/// # Errors
/// [`Damaged`].
pub fn decode(bytes: &[u8], split: Split, label: &str) -> Result<(TaskSetData, Vec<Given>), Damaged> {
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let (mut problems, mut given) = (Vec::new(), Vec::new());
    for (index, line) in lines.enumerate() {
        let row: Row =
            serde_json::from_slice(line).map_err(|error| Damaged { line: index + 1, what: error.to_string() })?;
        let Row { prompt, answer, completion, tests, .. } = row;
        let canonical = canonical(&prompt);
        problems.push(Problem { key: format!("{split}/{index}"), prompt, answer, canonical });
        given.push(Given { completion, tests: tests.map(Arc::new) });
    }
    Ok((TaskSetData::of(label.to_owned(), split, problems), given))
}

impl RawRow {
    /// Where it stands, for people.
    pub(super) fn place(&self) -> String {
        format!("{}, row {}", self.file, self.number)
    }

    /// The cell of a column, or of a column within it.
    fn cell(&self, path: &str) -> Option<&Value> {
        if let Some(cell) = self.cells.get(path) {
            return Some(cell);
        }
        let mut parts = path.split('.');
        let mut at = self.cells.get(parts.next()?)?;
        for part in parts {
            at = match at {
                Value::Object(map) => map.get(part)?,
                Value::Array(items) => items.get(part.parse::<usize>().ok()?)?,
                _ => return None,
            };
        }
        Some(at)
    }

    /// The cell that must be there.
    fn need(&self, column: &str) -> Result<&Value, DataFault> {
        self.cell(column).ok_or_else(|| {
            let there: Vec<String> = self.cells.keys().map(|name| format!("`{name}`")).collect();
            let what = format!("there is no column `{column}`");
            let help = format!("columns that are there: {}; name the right one under `columns`", there.join(", "));
            DataFault::new("columns", what, help).at(self.place())
        })
    }

    fn text(&self, column: &str) -> Result<String, DataFault> {
        match self.need(column)? {
            Value::String(text) => Ok(text.clone()),
            Value::Number(number) => Ok(number.to_string()),
            Value::Bool(yes) => Ok(yes.to_string()),
            other => {
                let kind = match other {
                    Value::Null => "is empty",
                    Value::Array(_) => "is a list",
                    _ => "holds columns of its own",
                };
                let help =
                    "a text, a number or a truth value would be right; `column.0` and `column.name` reach into one";
                Err(DataFault::new("columns", format!("column `{column}` {kind}"), help).at(self.place()))
            }
        }
    }
}

/// How rows become problems, by the recipe.
#[derive(Debug)]
pub(super) struct Maker<'a> {
    files: &'a Files,
    template: Template,
    completion: Template,
}

impl<'a> Maker<'a> {
    /// Reads the templates.
    pub(super) fn new(files: &'a Files) -> Result<Self, DataFault> {
        let read = |field, text: &str| {
            Template::parse(text).map_err(|what| {
                DataFault::new(field, what, "names stand in braces, as in `Q: {prompt}\\nA:`; write {{ for a brace")
            })
        };
        let (template, completion) = (read("template", &files.template)?, read("completion", &files.completion)?);
        Ok(Self { files, template, completion })
    }

    /// The columns of files that are needed, without what is within them.
    pub(super) fn columns(&self) -> Vec<String> {
        let columns = &self.files.columns;
        let beside = [&columns.solution, &columns.id, &columns.tests, &columns.entry_point, &columns.setup];
        let own = |name: &&str| !matches!(*name, "prompt" | "answer" | "solution");
        let mut all: Vec<String> = [columns.prompt.as_str(), &columns.answer]
            .into_iter()
            .chain(beside.into_iter().flatten().map(String::as_str))
            .chain(self.template.names().chain(self.completion.names()).filter(own))
            .map(str::to_owned)
            .collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The problem in a row.
    pub(super) fn make(&self, raw: &RawRow) -> Result<Row, DataFault> {
        let columns = &self.files.columns;
        let whole = raw.text(&columns.answer)?;
        let answer = answer::parse(self.files.answer, &whole).map_err(|(what, help)| {
            DataFault::new("answer", format!("column `{}`: {what}", columns.answer), help).at(raw.place())
        })?;
        let solution = match &columns.solution {
            Some(column) => raw.text(column)?,
            None if self.files.answer == crate::recipe::tasks::files::AnswerForm::Plain => answer.clone(),
            None => whole,
        };
        let fill = |template: &Template| {
            template.fill(|name| match name {
                "prompt" => raw.text(&columns.prompt),
                "answer" => Ok(answer.clone()),
                "solution" => Ok(solution.clone()),
                column => raw.text(column),
            })
        };
        let (prompt, completion) = (fill(&self.template)?, fill(&self.completion)?);
        if canonical(&prompt).is_empty() {
            let help = "every row needs a question; leave out rows without one";
            return Err(DataFault::new("template", "the question is empty", help).at(raw.place()));
        }
        if let Some(end) = self.files.end.0.filter(|end| completion.contains(*end)) {
            let what = format!("the solution holds {end:?}, which ends completions");
            let help = "write another character as `end`, or `end: token` for the model's own end of text";
            return Err(DataFault::new("end", what, help).at(raw.place()));
        }
        let id = columns.id.as_ref().map_or_else(|| Ok(String::new()), |column| raw.text(column))?;
        Ok(Row { id, prompt, answer, completion, tests: self.tests(raw)? })
    }

    fn tests(&self, raw: &RawRow) -> Result<Option<ProgramTests>, DataFault> {
        let columns = &self.files.columns;
        let (Some(form), Some(column)) = (self.files.tests, &columns.tests) else { return Ok(None) };
        let maybe = |column: &Option<String>| column.as_ref().map(|column| raw.text(column)).transpose();
        let beside = Beside { entry_point: maybe(&columns.entry_point)?, setup: maybe(&columns.setup)? };
        let tests = parse_tests(form, raw.need(column)?, &beside).map_err(|(what, help)| {
            DataFault::new("tests", format!("column `{column}`: {what}"), help).at(raw.place())
        })?;
        Ok(Some(tests))
    }
}

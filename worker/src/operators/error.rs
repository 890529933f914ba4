//! Why operators could not be applied.

use galapagos_domain::ids::Name;
use galapagos_domain::recipe::verify::TemplateError;

use crate::engine::EngineError;

/// What stopped a data operator.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OperatorError {
    #[error("cannot read or write a table of records")]
    Table(#[source] Box<galapagos_artifacts::Error>),
    #[error("cannot keep records in a scratch file")]
    Scratch(#[source] std::io::Error),
    #[error("a record in a scratch file cannot be read back")]
    Spill(#[source] postcard::Error),
    #[error("`{operator}` inserts text, and the job names no tokenizer")]
    NoTokenizer { operator: &'static str },
    #[error("`{operator}` asks the tasks' rules, and the job brings none")]
    NoRules { operator: &'static str },
    #[error("`{operator}` asks a role, and the job brings none")]
    NoRoles { operator: &'static str },
    #[error("the job brings no files of the dataset `{0}`")]
    NoDataset(Name),
    #[error("cannot write the text that `{operator}` inserts in tokens")]
    Text { operator: &'static str, source: EngineError },
    #[error("`{operator}` has no template")]
    Template { operator: &'static str, source: TemplateError },
    #[error("`filter` still names the variable `{0}`; a job's operators have numbers")]
    Variable(String),
    #[error("tree `{tree}` is broken at node {node}: {problem}")]
    Tree { tree: String, node: u32, problem: &'static str },
    #[error("the record {sample} of task {task} cannot be verified again: {reason}")]
    Reverify { task: String, sample: u32, reason: String },
    #[error("`hindsight` cannot relabel episode {sample} of {task}: {reason}")]
    Hindsight { task: String, sample: u32, reason: String },
    #[error("`certainty` cannot ask the role `{role}`: {reason}")]
    Certainty { role: Name, reason: String, transient: bool },
    #[error("the preference `{0}` has not one chosen and one rejected record; put `{1}` right behind `pair`")]
    Sides(String, &'static str),
    #[error("the attempt was cancelled")]
    Cancelled,
}

impl OperatorError {
    /// Another attempt may succeed: the place or the moment is at fault.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Table(source) => source.is_transient(),
            Self::Scratch(_) | Self::Cancelled => true,
            Self::Certainty { transient, .. } => *transient,
            Self::Spill(_)
            | Self::NoTokenizer { .. }
            | Self::NoRules { .. }
            | Self::NoRoles { .. }
            | Self::NoDataset(_)
            | Self::Text { .. }
            | Self::Template { .. }
            | Self::Variable(_)
            | Self::Tree { .. }
            | Self::Reverify { .. }
            | Self::Sides(..)
            | Self::Hindsight { .. } => false,
        }
    }
}

impl From<galapagos_artifacts::Error> for OperatorError {
    fn from(source: galapagos_artifacts::Error) -> Self {
        Self::Table(Box::new(source))
    }
}

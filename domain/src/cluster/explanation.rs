//! The answer to `galapagos explain ID`: what something is doing, what it waits for, who is the culprit, what helps.

use serde::{Deserialize, Serialize};

/// Why something is as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The id asked for.
    pub id: String,
    pub subject: Subject,
    /// One line: the state and for how long.
    pub state: String,
    /// Facts, one a line: what was tried, what it needs, what it made.
    pub facts: Vec<String>,
    /// What it waits for, if it waits.
    pub waits_for: Option<String>,
    /// Who or what keeps it waiting or made it fail.
    pub culprit: Option<String>,
    /// What a person can do.
    pub helps: Option<String>,
}

/// The kind of thing explained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    Evolution,
    Job,
    Round,
    Member,
    Worker,
}

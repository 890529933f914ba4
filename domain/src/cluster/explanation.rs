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

impl std::fmt::Display for Explanation {
    /// The form for people: the state, then facts, what it waits for, the culprit and what helps, a line each.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}: {}", self.id, self.state)?;
        for fact in &self.facts {
            writeln!(f, "  {fact}")?;
        }
        let rest = [("waits for", &self.waits_for), ("culprit", &self.culprit), ("helps", &self.helps)];
        for (word, text) in rest {
            if let Some(text) = text {
                writeln!(f, "  {word:<9} {text}")?;
            }
        }
        Ok(())
    }
}

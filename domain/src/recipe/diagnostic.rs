//! What a person sees of a mistake in a recipe: where, what, and what would be right.

use std::fmt;

use super::path::Path;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    pub file: String,
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    /// Characters to underline.
    pub width: u32,
    /// The text of the line.
    pub source_line: String,
    pub path: Path,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
    /// What to look up with `galapagos help recipe`.
    pub topic: Option<String>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}:{}:{}  {}", self.file, self.line, self.column, self.message)?;
        writeln!(f, "{:>5} | {}", self.line, self.source_line)?;
        let indent = " ".repeat(self.column.saturating_sub(1) as usize);
        let room = self.source_line.chars().count().saturating_sub(indent.len()).max(1);
        let carets = "^".repeat((self.width as usize).min(room));
        match &self.help {
            Some(help) => write!(f, "      | {indent}{carets} {help}")?,
            None => write!(f, "      | {indent}{carets}")?,
        }
        match &self.topic {
            Some(topic) => write!(f, "\n   see: galapagos help recipe {topic}"),
            None => Ok(()),
        }
    }
}

/// All mistakes that were found, in order of their place; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// `None` if there is nothing to complain about.
    #[must_use]
    pub fn of(mut found: Vec<Diagnostic>) -> Option<Self> {
        found.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
        (!found.is_empty()).then_some(Self(found))
    }

    /// The mistakes in order of their place.
    #[must_use]
    pub fn all(&self) -> &[Diagnostic] {
        &self.0
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self(vec![diagnostic])
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, diagnostic) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            diagnostic.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

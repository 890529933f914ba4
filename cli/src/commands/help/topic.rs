//! What a help topic is, and how it looks as text and as Markdown. The tables themselves are in `topics`; a test holds them
//! against the grammar's types, so that neither a field nor a default can be missing or wrong.

use crate::render::table::aligned;

/// One word of the recipe language that can be looked up.
#[derive(Debug, Clone, Copy)]
pub struct Topic {
    pub word: &'static str,
    /// Where it stands in a recipe.
    pub place: &'static str,
    pub about: &'static str,
    pub form: Form,
    pub entries: &'static [Entry],
    /// YAML that shows it in use; may be empty.
    pub example: &'static str,
}

/// How a value of the topic is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A map with these fields.
    Map,
    /// One of these words: bare, or a map with that one key.
    Choice,
}

/// A field of a map or a word of a choice.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    pub word: &'static str,
    /// The type of the value.
    pub takes: &'static str,
    pub preset: Preset,
    pub about: &'static str,
}

/// What holds where a recipe says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    Required,
    /// May be left out; nothing takes its place.
    Absent,
    Default(&'static str),
    /// A word of a choice.
    Word,
}

impl Preset {
    fn text(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Absent => "none",
            Self::Default(value) => value,
            Self::Word => "",
        }
    }
}

impl Topic {
    /// The topic for a terminal.
    #[must_use]
    pub fn text(&self) -> String {
        let rows = std::iter::once(self.heads().map(str::to_owned).to_vec())
            .chain(self.entries.iter().map(|entry| self.row(entry)))
            .collect::<Vec<_>>();
        let example = match self.example {
            "" => String::new(),
            example => format!("\nfor example\n{}", indented(example)),
        };
        format!(
            "{}  ({})\n{}\n\n{}{example}",
            self.word,
            self.place,
            self.about,
            indented(&aligned(&without_empty(rows)))
        )
    }

    /// The topic as a section of the reference.
    #[must_use]
    pub fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let heads = self.heads().map(str::to_owned);
        let mut rows = vec![heads.to_vec()];
        rows.extend(self.entries.iter().map(|entry| {
            let mut row = self.row(entry);
            row[0] = format!("`{}`", row[0]);
            row
        }));
        let rows = without_empty(rows);
        let rule: Vec<String> = rows[0].iter().map(|_| "---".to_owned()).collect();
        let table: String =
            [line(&rows[0]), line(&rule)].into_iter().chain(rows[1..].iter().map(|r| line(r))).collect();
        let example = match self.example {
            "" => String::new(),
            example => format!("\n```yaml\n{example}\n```\n"),
        };
        format!("## `{}`\n\n*{}*. {}\n\n{table}{example}", self.word, self.place, self.about)
    }

    fn heads(&self) -> [&'static str; 4] {
        match self.form {
            Form::Map => ["field", "value", "default", "meaning"],
            Form::Choice => ["word", "options", "", "meaning"],
        }
    }

    fn row(&self, entry: &Entry) -> Vec<String> {
        [entry.word, entry.takes, entry.preset.text(), entry.about].map(str::to_owned).to_vec()
    }
}

/// The rows without the columns that are empty in all of them.
fn without_empty(rows: Vec<Vec<String>>) -> Vec<Vec<String>> {
    let used: Vec<bool> = (0..rows[0].len()).map(|column| rows.iter().any(|row| !row[column].is_empty())).collect();
    let kept = |row: Vec<String>| row.into_iter().zip(&used).filter(|(_, used)| **used).map(|(cell, _)| cell).collect();
    rows.into_iter().map(kept).collect()
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

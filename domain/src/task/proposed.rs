//! Questions that a model proposes: how known ones are shown to it, what of its texts is a new question, and the table that new questions
//! are kept in. A question is one line; several stand one below the other.

use std::collections::BTreeSet;

use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::dataset::{Damaged, Given, around_prompt};
use super::leakage::canonical;
use super::split::Part;
use super::{Family, Problem, TaskSetData};
use crate::recipe::tasks::{Begun, Split, TaskSet};
use crate::seed::Seed;

/// What ends a question.
pub const END: char = '\n';

/// How the questions of a task set stand in their prompts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// Who reads questions back, where a generator made them.
    family: Option<Family>,
    before: String,
    behind: String,
}

/// Why questions of a task set cannot be proposed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Formless {
    #[error("the questions of {0} cannot be read back")]
    Family(Family),
    #[error("its questions are begun")]
    Begun,
    #[error("an environment has no questions")]
    Environment,
    #[error("its template is not one `{{prompt}}` with texts around it")]
    Template,
}

impl Form {
    /// The form of a set's questions.
    ///
    /// # Errors
    /// [`Formless`].
    pub fn of(set: &TaskSet) -> Result<Self, Formless> {
        match set {
            TaskSet::Builtin(source) if source.begun != Begun::None => Err(Formless::Begun),
            TaskSet::Builtin(source) => {
                let behind = source.family.behind_question().ok_or(Formless::Family(source.family))?.to_owned();
                Ok(Self { family: Some(source.family), before: String::new(), behind })
            }
            TaskSet::Files(files) => {
                let (before, behind) = around_prompt(&files.template).ok_or(Formless::Template)?;
                Ok(Self { family: None, before, behind })
            }
            TaskSet::Env(_) => Err(Formless::Environment),
        }
    }

    /// The question of a prompt on one line.
    #[must_use]
    pub fn line(&self, prompt: &str) -> String {
        let inside = prompt.strip_prefix(self.before.as_str()).unwrap_or(prompt);
        let inside = inside.strip_suffix(self.behind.as_str()).unwrap_or(inside);
        inside.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// The prompt that asks the question of a line, and its canonical form.
    ///
    /// # Errors
    /// What keeps the line from being a question.
    pub fn prompt(&self, line: &str) -> Result<(String, String), String> {
        let line = line.trim();
        if canonical(line).is_empty() {
            return Err("it is empty".to_owned());
        }
        let prompt = format!("{}{line}{}", self.before, self.behind);
        let form = match self.family {
            Some(family) => family.pose(&prompt)?,
            None => canonical(&prompt),
        };
        Ok((prompt, form))
    }
}

/// Known questions, and behind them the place for another.
#[must_use]
pub fn shown(form: &Form, prompts: &[&str]) -> String {
    prompts.iter().map(|prompt| format!("{}{END}", form.line(prompt))).collect()
}

/// The places of `seeds` different problems out of `count`, `but` one that is to be asked itself; fewer if there are not so many.
#[must_use]
pub fn seeds(count: usize, seeds: usize, but: Option<usize>, seed: Seed) -> Vec<usize> {
    let others = count.saturating_sub(usize::from(but.is_some()));
    let (mut rng, mut drawn) = (seed.stream(), Vec::new());
    while drawn.len() < seeds.min(others) {
        let place = rng.random_range(0..others);
        if !drawn.contains(&place) {
            drawn.push(place);
        }
    }
    // The drawn places skip the one that is left out.
    drawn.into_iter().map(|place| place + usize::from(but.is_some_and(|but| place >= but))).collect()
}

/// What a written text is refused for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// It is no question of the kind; why.
    Malformed(String),
    /// It is a training question.
    Known,
    /// It is one that is validated or tested on, or could be in another run.
    HeldOut,
}

/// Tells new questions from those that may not come out.
#[derive(Debug)]
pub struct Sieve {
    form: Form,
    known: BTreeSet<String>,
    held_out: BTreeSet<String>,
}

impl Sieve {
    /// For questions of `form`, where these prompts are trained on and those are held out.
    pub fn new<'a>(form: Form, known: impl Iterator<Item = &'a str>, held_out: impl Iterator<Item = &'a str>) -> Self {
        Self { form, known: known.map(canonical).collect(), held_out: held_out.map(canonical).collect() }
    }

    /// The prompt of a new question.
    ///
    /// # Errors
    /// [`Refused`], the first reason that holds.
    pub fn sift(&self, text: &str) -> Result<String, Refused> {
        let (prompt, form) = self.form.prompt(text).map_err(Refused::Malformed)?;
        let plain = canonical(&prompt);
        if self.known.contains(&plain) {
            return Err(Refused::Known);
        }
        // A generator's space is cut by canonical form, whatever the seed: what is not of the training part may be tested on anywhere.
        let elsewhere = self.form.family.is_some_and(|family| Part::of_form(family, &form) != Part::Train);
        if elsewhere || self.held_out.contains(&plain) {
            return Err(Refused::HeldOut);
        }
        Ok(prompt)
    }
}

/// A question as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// What its task is called.
    pub key: String,
    pub prompt: String,
}

/// Each question once, whatever its case and spacing, in order, up to `most`; and how many came again, and how many were too many.
#[must_use]
pub fn gather(all: impl Iterator<Item = Question>, most: u32, keys: &str) -> (Vec<Question>, u64, u64) {
    let (mut seen, mut kept) = (BTreeSet::new(), Vec::new());
    let (mut repeated, mut surplus) = (0, 0);
    for Question { prompt, .. } in all {
        if !seen.insert(canonical(&prompt)) {
            repeated += 1;
        } else if kept.len() as u64 >= u64::from(most) {
            surplus += 1;
        } else {
            kept.push(Question { key: format!("{keys}/{}", kept.len()), prompt });
        }
    }
    (kept, repeated, surplus)
}

/// Questions as bytes, a JSON object a line: the same questions give the same bytes.
#[must_use]
pub fn encode(questions: &[Question]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for question in questions {
        #[expect(clippy::expect_used, reason = "two texts are JSON, and writing to a vector does not fail")]
        serde_json::to_writer(&mut bytes, question).expect("a question is valid JSON");
        bytes.push(b'\n');
    }
    bytes
}

/// The questions of a table.
///
/// # Errors
/// [`Damaged`].
pub fn decode(bytes: &[u8]) -> Result<Vec<Question>, Damaged> {
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let read = |(index, line)| {
        serde_json::from_slice(line).map_err(|error| Damaged { line: index + 1, what: error.to_string() })
    };
    lines.enumerate().map(read).collect()
}

/// Proposed questions as problems: nobody knows their answers, so each has an empty one.
#[must_use]
pub fn problems(questions: Vec<Question>, source: &TaskSet, label: &str) -> (TaskSetData, Vec<Given>) {
    let form = |prompt: &str| match source {
        TaskSet::Builtin(source) => source.family.pose(prompt).unwrap_or_else(|_| canonical(prompt)),
        TaskSet::Files(_) | TaskSet::Env(_) => canonical(prompt),
    };
    let problem = |Question { key, prompt }: Question| {
        let canonical = form(&prompt);
        Problem { key, prompt, answer: String::new(), canonical }
    };
    let problems: Vec<Problem> = questions.into_iter().map(problem).collect();
    let given = problems.iter().map(|_| Given { completion: String::new(), tests: None }).collect();
    (TaskSetData::of(label.to_owned(), Split::Train, problems), given)
}

#[cfg(test)]
mod tests;

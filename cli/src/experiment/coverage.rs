//! A conformance table over the shipped recipes: which of them have what a survey names, and what their experiments found.

use std::path::Path;

use galapagos_domain::experiment::{Conformance, Outcome, Tick};
use galapagos_domain::recipe::Recipe;
use serde::Serialize;

use super::evidence::{Evidence, Known};
use crate::error::{Error, Exit};
use crate::recipe_file;
use crate::render::table::aligned;

/// The table, ticked.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Coverage {
    pub name: String,
    pub claim: String,
    pub title: String,
    pub arxiv: Option<String>,
    pub verdict: Outcome,
    pub rows: Vec<Covered>,
}

/// A row with what is known of its recipes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Covered {
    #[serde(flatten)]
    pub tick: Tick,
    pub is_right: bool,
    /// Its recipes with an experiment whose evidence is there, and whether the claim holds.
    pub evidence: Vec<(String, Outcome)>,
}

impl Coverage {
    /// Reads all recipes of `folder` and ticks the table by them.
    ///
    /// # Errors
    /// A recipe or a record that cannot be read.
    pub fn of(name: &str, table: &Conformance, folder: &Path, evidence: Option<&Evidence>) -> Result<Self, Error> {
        let ticks = table.ticks(&recipes(folder)?);
        let mut rows = Vec::with_capacity(ticks.len());
        for tick in ticks {
            let mut found = Vec::new();
            for recipe in &tick.recipes {
                let known: Option<Known> = evidence.map(|e| e.known(recipe)).transpose()?.flatten();
                found.extend(known.map(|known| (recipe.clone(), known.verdict)));
            }
            rows.push(Covered { is_right: tick.is_right(), evidence: found, tick });
        }
        let holds = rows.iter().all(|row| row.is_right);
        Ok(Self {
            name: name.to_owned(),
            claim: table.claim.clone(),
            title: table.source.title.clone(),
            arxiv: table.source.arxiv.clone(),
            verdict: if holds { Outcome::Holds } else { Outcome::DoesNotHold },
            rows,
        })
    }

    #[must_use]
    pub fn exit(&self) -> Exit {
        match self.verdict {
            Outcome::Holds => Exit::Done,
            Outcome::DoesNotHold => Exit::Failed,
        }
    }

    /// The table for a terminal.
    #[must_use]
    pub fn text(&self) -> String {
        let mut rows = vec![["", "", "recipes", "with evidence"].map(str::to_owned).to_vec()];
        rows.extend(
            self.rows
                .iter()
                .map(|row| vec![row.tick.row.group.clone(), row.tick.row.name.clone(), row.recipes(), row.evidence()]),
        );
        format!("{}\n  claim    {}\n\n{}\nclaim    {}\n", self.name, self.claim, aligned(&rows), self.said())
    }

    /// The page of evidence.
    #[must_use]
    pub fn page(&self) -> String {
        let arxiv = self.arxiv.as_ref().map(|number| format!(" (arXiv {number})")).unwrap_or_default();
        let rows: String = self
            .rows
            .iter()
            .map(|row| {
                format!("| {} | {} | {} | {} |\n", row.tick.row.group, row.tick.row.name, row.recipes(), row.evidence())
            })
            .collect();
        format!(
            "# {}\n\n> {}\n\n**{}**\n\nThe taxonomy of: {}{arxiv}. A row is ticked by the recipes that use one of its words of the recipe language, so by \
             what they do; the words stand in `recipes/experiments/{0}.yaml`.\n\n| | | recipes | with evidence |\n| --- | --- | --- | --- |\n{rows}",
            self.name,
            self.claim,
            self.said(),
            self.title,
        )
    }

    fn said(&self) -> String {
        let missing: Vec<&str> =
            self.rows.iter().filter(|row| !row.is_right).map(|row| row.tick.row.name.as_str()).collect();
        if missing.is_empty() { "holds".to_owned() } else { format!("does not hold: {}", missing.join(", ")) }
    }
}

impl Covered {
    fn recipes(&self) -> String {
        match (self.tick.recipes.is_empty(), self.tick.row.must_fail) {
            (true, true) => "none, as it must be".to_owned(),
            (true, false) => "none".to_owned(),
            (false, _) => self.tick.recipes.join(", "),
        }
    }

    fn evidence(&self) -> String {
        let said = |(name, outcome): &(String, Outcome)| match outcome {
            Outcome::Holds => name.clone(),
            Outcome::DoesNotHold => format!("{name} (does not hold)"),
        };
        self.evidence.iter().map(said).collect::<Vec<_>>().join(", ")
    }
}

/// The recipes of a folder by name, in order, planned without their data.
fn recipes(folder: &Path) -> Result<Vec<(String, Recipe)>, Error> {
    let unreadable = |source| Error::Read { path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|ending| ending == "yaml") {
            files.push(path);
        }
    }
    files.sort_unstable();
    let named = |path: &std::path::PathBuf| {
        let file = recipe_file::read_to_plan_quietly(path)?;
        Ok((file.recipe.name.to_string(), file.recipe))
    };
    files.iter().map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_survey_is_covered_by_shipped_recipes_and_its_control_by_none() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../recipes");
        let path = format!("{root}/experiments/rl-genai-survey.yaml");
        let text = std::fs::read_to_string(&path).unwrap();
        let table = Conformance::parse(&path, &text, &|name: &str| Err(format!("no {name}"))).unwrap().unwrap();
        let coverage = Coverage::of("rl-genai-survey", &table, Path::new(root), None).unwrap();
        assert_eq!(coverage.verdict, Outcome::Holds, "{}", coverage.text());
        assert!(coverage.rows.len() >= 12 && coverage.page().contains("none, as it must be"));
    }
}

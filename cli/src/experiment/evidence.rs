//! Evidence: what an experiment found, kept as a page for people, its figures, and a record for programs, in one folder. The index of
//! that folder is made of its records, so it never says more than was measured.

mod index;
mod page;

use std::path::{Path, PathBuf};

use galapagos_domain::experiment::{Experiment, PlannedArm};
use galapagos_domain::ids::Digest;
use galapagos_domain::recipe::Recipe;
use serde::{Deserialize, Serialize};

use super::coverage::Coverage;
use super::findings::Findings;
use crate::error::Error;
use crate::local::write_atomically;

/// Where conformance tables lie in it.
const TABLES: &str = "tables";

/// A folder of evidence.
#[derive(Debug, Clone)]
pub struct Evidence {
    folder: PathBuf,
}

/// What a record says of an experiment, as it is read again.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Known {
    pub name: String,
    pub claim: String,
    /// Of the experiment and its recipes: [`digest`].
    pub digest: String,
    /// Year, month and day.
    pub date: String,
    pub verdict: galapagos_domain::experiment::Outcome,
    pub control_fails: bool,
    pub seconds: f64,
    pub seeds: Vec<u64>,
    pub method: Option<KnownMean>,
    pub baseline: Option<KnownMean>,
    pub control: Option<KnownMean>,
}

/// A mean with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct KnownMean {
    pub mean: f64,
    pub ci95: [f64; 2],
}

#[derive(Debug, Serialize)]
struct Record<'a> {
    digest: &'a str,
    date: &'a str,
    #[serde(flatten)]
    findings: &'a Findings,
}

/// Changes whenever something changes that the figures depend on: a recipe, a seed, an expectation.
#[must_use]
pub fn digest(experiment: &Experiment, arms: &[PlannedArm], warm: Option<&Recipe>) -> String {
    let header = experiment.header();
    let read: Vec<String> = arms
        .iter()
        .map(|arm| format!("{} {} {} {:?}", arm.name, arm.recipe.digest().hex(), arm.member, arm.measures))
        .collect();
    let warm = warm.map(|recipe| recipe.digest().hex());
    let text = format!("{:?} {:?} {:?} {warm:?} {}", header.seeds, header.metric, header.expect, read.join("\n"));
    Digest::of(text.as_bytes()).hex()
}

impl Evidence {
    /// The evidence in `folder`, which is made if it is not there.
    ///
    /// # Errors
    /// If it can neither be found nor made.
    pub fn at(folder: &Path) -> Result<Self, Error> {
        std::fs::create_dir_all(folder).map_err(|source| Error::Write { path: folder.to_owned(), source })?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// What is known of an experiment; `None` if there is no record of it.
    ///
    /// # Errors
    /// If its record cannot be read.
    pub fn known(&self, name: &str) -> Result<Option<Known>, Error> {
        let path = self.folder.join(format!("{name}.json"));
        match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|source| Error::Json { source }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::Read { path, source }),
        }
    }

    /// Writes page, figures and record of an experiment, and the index anew. The record comes last, so that what it says is there.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn keep(
        &self,
        findings: &Findings,
        experiment: &Experiment,
        arms: &[PlannedArm],
        digest: &str,
    ) -> Result<PathBuf, Error> {
        let date = today();
        let name = &findings.name;
        let figures = page::figures(findings);
        for (number, svg) in (1..).zip(&figures) {
            self.write(&format!("{name}-{number}.svg"), svg)?;
        }
        let path = self.write(&format!("{name}.md"), &page::text(findings, experiment, arms, &date))?;
        let record = Record { digest, date: &date, findings };
        let mut json = serde_json::to_string_pretty(&record).map_err(|source| Error::Json { source })?;
        json.push('\n');
        self.write(&format!("{name}.json"), &json)?;
        self.index()?;
        Ok(path)
    }

    /// Writes page and record of a conformance table.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn keep_coverage(&self, coverage: &Coverage) -> Result<PathBuf, Error> {
        let mut json = serde_json::to_string_pretty(coverage).map_err(|source| Error::Json { source })?;
        json.push('\n');
        std::fs::create_dir_all(self.folder.join(TABLES))
            .map_err(|source| Error::Write { path: self.folder.clone(), source })?;
        self.write(&format!("{TABLES}/{}.json", coverage.name), &json)?;
        self.write(&format!("{TABLES}/{}.md", coverage.name), &coverage.page())
    }

    /// Every record in the folder, by name.
    fn all(&self) -> Result<Vec<Known>, Error> {
        let unreadable = |source| Error::Read { path: self.folder.clone(), source };
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if path.extension().is_some_and(|ending| ending == "json") {
                names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
            }
        }
        names.sort_unstable();
        names.iter().filter_map(|name| self.known(name).transpose()).collect()
    }

    fn index(&self) -> Result<PathBuf, Error> {
        self.write("README.md", &index::text(&self.all()?))
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf, Error> {
        let path = self.folder.join(name);
        write_atomically(&path, text.as_bytes()).map_err(|source| Error::Folder { source })?;
        Ok(path)
    }
}

/// Today in UTC, as `2026-01-31`.
fn today() -> String {
    let (year, month, day) = civil(galapagos_telemetry::clock::wall_ms() / 86_400_000);
    format!("{year}-{month:02}-{day:02}")
}

/// Year, month and day of a day since 1970 in the Gregorian calendar (Hinnant, "chrono-compatible low-level date algorithms").
fn civil(days: u64) -> (u64, u64, u64) {
    let from_march = days + 719_468;
    let era = from_march / 146_097;
    let day_of_era = from_march % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests;

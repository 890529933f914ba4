//! Reads recipe files, with the files they extend.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use galapagos_artifacts::datasets::Shelves;
use galapagos_domain::recipe::Recipe;

use crate::error::Error;
use crate::render;

/// A recipe as read from a file.
#[derive(Debug, Clone)]
pub struct RecipeFile {
    pub recipe: Recipe,
    /// The filled-in recipe as text: what is submitted, recorded and shown.
    pub yaml: String,
    /// The rows of its data sets.
    pub shelves: Arc<Shelves>,
}

/// Reads, fills in and checks the recipe at `path`; reads its data sets.
///
/// # Errors
/// [`Error::Recipe`] with every mistake and its place, or [`Error::Read`].
pub fn read(path: &Path) -> Result<RecipeFile, Error> {
    read_with(path, Shelves::new(folder(path)))
}

/// The same for a dry run, which needs no data set to be there whose rows the recipe counts.
///
/// # Errors
/// Those of [`read`].
pub fn read_to_plan(path: &Path) -> Result<RecipeFile, Error> {
    read_with(path, Shelves::for_planning(folder(path)))
}

/// The same without a word about what is not there.
///
/// # Errors
/// Those of [`read`].
pub fn read_to_plan_quietly(path: &Path) -> Result<RecipeFile, Error> {
    filled(path, Shelves::for_planning(folder(path)))
        .map(|(recipe, shelves)| RecipeFile::with(recipe, Arc::new(shelves)))
}

fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or_else(|| Path::new("."))
}

fn filled(path: &Path, mut shelves: Shelves) -> Result<(Recipe, Shelves), Error> {
    let text = read_text(path)?;
    let folder = folder(path);
    let loader = |name: &str| std::fs::read_to_string(folder.join(name)).map_err(|error| error.to_string());
    let recipe = Recipe::parse_filled(&path.display().to_string(), &text, &loader, &mut |recipe| shelves.fill(recipe))
        .map_err(|diagnostics| Error::Recipe { diagnostics: diagnostics.to_string() })?;
    Ok((recipe, shelves))
}

fn read_with(path: &Path, shelves: Shelves) -> Result<RecipeFile, Error> {
    let (recipe, shelves) = filled(path, shelves)?;
    for line in shelves.notes().iter().filter_map(|(set, notes)| render::notes(set, *notes)) {
        let _ = writeln!(std::io::stderr(), "{line}");
    }
    for set in shelves.absent() {
        let _ =
            writeln!(std::io::stderr(), "{set}: its files are not here; planned with the rows that the recipe names");
    }
    Ok(RecipeFile::with(recipe, Arc::new(shelves)))
}

impl RecipeFile {
    /// A recipe made in memory, such as a control or an experiment's arm.
    #[must_use]
    pub fn of(recipe: Recipe) -> Self {
        Self::with(recipe, Arc::default())
    }

    /// A recipe whose data sets have been read.
    #[must_use]
    pub fn with(recipe: Recipe, shelves: Arc<Shelves>) -> Self {
        let yaml = recipe.to_yaml();
        Self { recipe, yaml, shelves }
    }
}

/// The text of a file.
///
/// # Errors
/// [`Error::Read`].
pub fn read_text(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use galapagos_domain::plan::Plan;

    use super::*;

    #[test]
    fn every_shipped_recipe_can_be_planned_without_its_data() {
        let folder = format!("{}/../recipes", env!("CARGO_MANIFEST_DIR"));
        let mut seen = 0;
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_none_or(|ending| ending != "yaml") {
                continue;
            }
            let file = read_to_plan(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert!(Plan::of(&file.recipe).totals.jobs > 0);
            let name = file.recipe.name.as_str();
            assert_eq!(path.file_stem().unwrap().to_string_lossy(), name, "a recipe has the name of its file");
            seen += 1;
        }
        assert!(seen >= 8, "{seen}");
    }

    #[test]
    fn a_run_needs_the_data_that_a_plan_does_without() {
        let folder = tempfile::tempdir().unwrap();
        let text =
            std::fs::read_to_string(format!("{}/../recipes/sharpening.yaml", env!("CARGO_MANIFEST_DIR"))).unwrap();
        let path = folder.path().join("sharpening.yaml");
        std::fs::create_dir(folder.path().join("parts")).unwrap();
        for part in ["governance", "math"] {
            let from = format!("{}/../recipes/parts/{part}.yaml", env!("CARGO_MANIFEST_DIR"));
            std::fs::copy(from, folder.path().join(format!("parts/{part}.yaml"))).unwrap();
        }
        std::fs::write(&path, text).unwrap();
        assert!(read_to_plan(&path).is_ok());
        let message = read(&path).unwrap_err().to_string();
        assert!(message.contains("math"), "{message}");
    }
}

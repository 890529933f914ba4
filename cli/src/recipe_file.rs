//! Reads recipe files, with the files they extend.

use std::path::Path;

use galapagos_domain::recipe::Recipe;

use crate::error::Error;

/// A recipe as read from a file.
#[derive(Debug, Clone)]
pub struct RecipeFile {
    pub recipe: Recipe,
    /// The filled-in recipe as text: what is submitted, recorded and shown.
    pub yaml: String,
}

/// Reads, fills in and checks the recipe at `path`.
///
/// # Errors
/// [`Error::Recipe`] with every mistake and its place, or [`Error::Read`].
pub fn read(path: &Path) -> Result<RecipeFile, Error> {
    let text = read_text(path)?;
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    let loader = |name: &str| std::fs::read_to_string(folder.join(name)).map_err(|error| error.to_string());
    let recipe = Recipe::parse(&path.display().to_string(), &text, &loader)
        .map_err(|diagnostics| Error::Recipe { diagnostics: diagnostics.to_string() })?;
    Ok(RecipeFile::of(recipe))
}

impl RecipeFile {
    /// A recipe made in memory, such as a control or an experiment's arm.
    #[must_use]
    pub fn of(recipe: Recipe) -> Self {
        let yaml = recipe.to_yaml();
        Self { recipe, yaml }
    }
}

/// The text of a file.
///
/// # Errors
/// [`Error::Read`].
pub fn read_text(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })
}

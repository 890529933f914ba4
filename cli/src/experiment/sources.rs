//! Finds an experiment's file by name or path, and the recipes that it names.

use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::nearest::nearest;

/// Where experiments lie below a folder of recipes.
const EXPERIMENTS: &str = "recipes/experiments";

/// The file of an experiment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources {
    path: PathBuf,
}

impl Sources {
    /// The experiment that `named` means: a file, or the name of one in `recipes/experiments` here or beside the executable.
    ///
    /// # Errors
    /// [`Error::Usage`] lists where it was looked for, and what there is.
    pub fn find(named: &str) -> Result<Self, Error> {
        Self::find_in(named, &roots())
    }

    fn find_in(named: &str, roots: &[PathBuf]) -> Result<Self, Error> {
        let file = Path::new(named);
        if file.is_file() {
            return Ok(Self { path: file.to_owned() });
        }
        let folders: Vec<PathBuf> = roots.iter().map(|root| root.join(EXPERIMENTS)).collect();
        let found = folders.iter().map(|folder| folder.join(format!("{named}.yaml"))).find(|path| path.is_file());
        if let Some(path) = found {
            return Ok(Self { path });
        }
        let looked = folders.iter().map(|folder| format!("`{}`", folder.display())).collect::<Vec<_>>().join(" or ");
        let known: Vec<String> = folders.iter().flat_map(|folder| names(folder)).collect();
        let meant = nearest(named, known.iter().map(String::as_str)).map(|name| format!("; did you mean `{name}`?"));
        let what = meant.unwrap_or_else(|| ": it is neither a file nor the name of one".to_owned());
        let known = if known.is_empty() { "none there".to_owned() } else { known.join(", ") };
        let message = format!("no experiment `{named}`{what} (looked in {looked}; experiments: {known})");
        Err(Error::Usage { message })
    }

    /// The names of all experiments, of the first folder that has any.
    #[must_use]
    pub fn all() -> Vec<String> {
        let folders = roots().into_iter().map(|root| root.join(EXPERIMENTS));
        folders.map(|folder| names(&folder)).find(|names| !names.is_empty()).unwrap_or_default()
    }

    /// The folder of the recipes at full scale.
    #[must_use]
    pub fn recipes(&self) -> PathBuf {
        self.path.parent().unwrap_or_else(|| Path::new(".")).join("..")
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The experiment's name: its file's, without the ending.
    #[must_use]
    pub fn name(&self) -> String {
        self.path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// The text of a recipe that the experiment, or another recipe, names: beside the experiment's folder, or in it.
    ///
    /// # Errors
    /// A message that says where it was looked for.
    pub fn load(&self, recipe: &str) -> Result<String, String> {
        let beside = self.path.parent().unwrap_or_else(|| Path::new("."));
        let folders = [beside.join(".."), beside.to_owned()];
        let file = |folder: &PathBuf| {
            let plain = folder.join(recipe);
            if plain.is_file() { plain } else { folder.join(format!("{recipe}.yaml")) }
        };
        match folders.iter().map(file).find(|path| path.is_file()) {
            Some(path) => std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display())),
            None => Err(format!("no such file in `{}` or `{}`", folders[0].display(), folders[1].display())),
        }
    }
}

/// Here, and beside the executable.
fn roots() -> Vec<PathBuf> {
    let installed = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.parent()?.join("share/galapagos")));
    std::iter::once(PathBuf::new()).chain(installed).collect()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path());
    let files = entries.filter(|path| path.extension().is_some_and(|ending| ending == "yaml"));
    let mut names: Vec<String> =
        files.filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned())).collect();
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_a_file_and_the_recipes_beside_it_are_found() {
        let at = tempfile::tempdir().unwrap();
        let folder = at.path().join(EXPERIMENTS);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("mine.yaml"), "claim: a").unwrap();
        std::fs::write(at.path().join("recipes/base.yaml"), "galapagos: 1").unwrap();
        let roots = [PathBuf::from("nowhere"), at.path().to_owned()];
        let by_name = Sources::find_in("mine", &roots).unwrap();
        let by_path = Sources::find_in(&folder.join("mine.yaml").display().to_string(), &[]).unwrap();
        assert_eq!((by_name.name().as_str(), &by_name), ("mine", &by_path));
        assert_eq!(by_name.load("base.yaml").unwrap(), "galapagos: 1");
        assert_eq!(by_name.load("base").unwrap(), "galapagos: 1");
        assert!(by_name.load("other.yaml").unwrap_err().contains("no such file"));
        let unknown = Sources::find_in("yours", &roots).unwrap_err().to_string();
        assert!(unknown.contains("experiments: mine") && !unknown.contains("mean"), "{unknown}");
        let near = Sources::find_in("mien", &roots).unwrap_err().to_string();
        assert!(near.contains("no experiment `mien`; did you mean `mine`?"), "{near}");
    }
}

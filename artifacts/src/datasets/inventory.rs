//! Which files a data set has, by split: a file; a folder that `save_to_disk` wrote (`state.json`, or `dataset_dict.json` with a folder
//! for each split); or a folder of files whose names say the split, such as `data/train-00000-of-00002.parquet`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use galapagos_domain::recipe::tasks::files::{Files, Format, Rows};
use galapagos_domain::task::dataset::DataFault;
use serde_json::Value;

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// JSON objects, one a line or in one list.
    Json,
    Parquet,
    /// Arrow, as a stream or as a file.
    Arrow,
}

/// A file and how people call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DataFile {
    pub path: PathBuf,
    /// The path below the data set's folder.
    pub name: String,
    pub kind: Kind,
}

/// See the head of this file.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    splits: BTreeMap<String, Vec<DataFile>>,
}

/// What the recipe should say.
const KNOWN: &str =
    "files end in .jsonl, .json, .parquet or .arrow; `format` says how files of other names are written";

impl Inventory {
    /// The files of a data set whose path is relative to `root`.
    pub(super) fn of(files: &Files, root: &Path) -> Result<Self, DataFault> {
        let path = root.join(&files.path);
        let mut found = Self::default();
        if path.is_file() {
            let name = file_name(&path);
            found.splits.insert(name.clone(), vec![data_file(path.clone(), name, files.format)?]);
        } else if path.is_dir() {
            found.folder(&path, files.format)?;
        } else {
            let help = "name a file, or a folder that `datasets` saved or that was downloaded, relative to the recipe's folder";
            return Err(DataFault::new("path", format!("{} is not there", path.display()), help));
        }
        found.named(files, if path.is_file() { path.parent().unwrap_or(root) } else { &path })?;
        if found.splits.is_empty() {
            return Err(nothing(&path));
        }
        Ok(found)
    }

    pub(super) fn names(&self) -> BTreeSet<String> {
        self.splits.keys().cloned().collect()
    }

    pub(super) fn files(&self, split: &str) -> &[DataFile] {
        self.splits.get(split).map_or(&[], Vec::as_slice)
    }

    /// Files that `splits` names by their paths.
    fn named(&mut self, files: &Files, folder: &Path) -> Result<(), DataFault> {
        let splits = &files.splits;
        for rows in [&splits.train, &splits.val, &splits.test].into_iter().flatten() {
            if let Rows::Named(name) = rows
                && !self.splits.contains_key(name)
                && folder.join(name).is_file()
            {
                let file = data_file(folder.join(name), name.clone(), files.format)?;
                self.splits.insert(name.clone(), vec![file]);
            }
        }
        Ok(())
    }

    fn folder(&mut self, path: &Path, format: Format) -> Result<(), DataFault> {
        if path.join("dataset_dict.json").is_file() {
            let dict = json(&path.join("dataset_dict.json"))?;
            let names = dict.get("splits").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
            for name in names {
                self.saved(&path.join(name), name)?;
            }
            return Ok(());
        }
        if path.join("state.json").is_file() {
            let state = json(&path.join("state.json"))?;
            let name = state.get("_split").and_then(Value::as_str).unwrap_or("all").to_owned();
            return self.saved(path, &name);
        }
        for (folder, prefix) in [(path.to_owned(), ""), (path.join("data"), "data/")] {
            for file in data_files(&folder)? {
                let name = format!("{prefix}{}", file_name(&file));
                let found = data_file(file, name, format)?;
                self.splits.entry(split_of(&found.name)).or_default().push(found);
            }
        }
        for (split, files) in &self.splits {
            if files.iter().any(|file| file.kind != files[0].kind) {
                let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
                let what = format!("the split `{split}` is there in several formats: {}", names.join(", "));
                return Err(DataFault::new(
                    "splits",
                    what,
                    "name the file to take, for example `splits: {train: FILE}`",
                ));
            }
        }
        Ok(())
    }

    /// A folder that `save_to_disk` wrote: `state.json` lists its files.
    fn saved(&mut self, folder: &Path, split: &str) -> Result<(), DataFault> {
        let state = json(&folder.join("state.json"))?;
        let listed = state.get("_data_files").and_then(Value::as_array).into_iter().flatten();
        let names: Vec<&str> = listed.filter_map(|file| file.get("filename")?.as_str()).collect();
        if names.is_empty() {
            let what = format!("{} lists no data files", folder.join("state.json").display());
            return Err(DataFault::new("path", what, "save the data set again with `save_to_disk`"));
        }
        // With indices the rows of the files are not the rows of the data set.
        if state.get("_indices_data_files").is_some_and(|files| !files.is_null()) {
            let what = format!("{} selects rows by a table of indices", folder.join("state.json").display());
            return Err(DataFault::new("path", what, "call `flatten_indices()` before `save_to_disk`"));
        }
        for name in names {
            let shown = format!("{split}/{name}");
            let file = DataFile { path: folder.join(name), name: shown, kind: Kind::Arrow };
            self.splits.entry(split.to_owned()).or_default().push(file);
        }
        Ok(())
    }
}

fn json(path: &Path) -> Result<Value, DataFault> {
    let failed = |error: String| {
        DataFault::new("path", format!("{} cannot be read: {error}", path.display()), "save the data set again")
    };
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| failed(error.to_string()))
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn kind_of(path: &Path) -> Option<Kind> {
    match path.extension()?.to_str()? {
        "jsonl" | "json" | "ndjson" => Some(Kind::Json),
        "parquet" => Some(Kind::Parquet),
        "arrow" => Some(Kind::Arrow),
        _ => None,
    }
}

/// A file that the recipe names or that was found.
fn data_file(path: PathBuf, name: String, format: Format) -> Result<DataFile, DataFault> {
    let kind = match format {
        Format::Jsonl => Some(Kind::Json),
        Format::Parquet => Some(Kind::Parquet),
        Format::Arrow => Some(Kind::Arrow),
        Format::Auto => kind_of(&path),
    };
    let fault = || DataFault::new("format", format!("how {name} is written cannot be told from its name"), KNOWN);
    Ok(DataFile { kind: kind.ok_or_else(fault)?, path, name })
}

/// Files of data in a folder, by name; `*_info.json` and their like describe a data set and are none.
fn data_files(folder: &Path) -> Result<Vec<PathBuf>, DataFault> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let failed = |error: std::io::Error| {
        DataFault::new("path", format!("{} cannot be read: {error}", folder.display()), "let it be read")
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let about = ["dataset_info.json", "dataset_infos.json"].contains(&file_name(&path).as_str());
        if path.is_file() && kind_of(&path).is_some() && !about {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The split that a file's name says: without folder, ending and `-00000-of-00002`, and of `gsm8k-train` the last word.
fn split_of(name: &str) -> String {
    let name = name.rsplit('/').next().unwrap_or(name);
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let numbers = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let whole = stem
        .rsplit_once("-of-")
        .filter(|(_, of)| numbers(of))
        .and_then(|(before, _)| before.rsplit_once('-'))
        .filter(|(_, number)| numbers(number))
        .map_or(stem, |(before, _)| before);
    const SPLITS: [&str; 8] = ["train", "training", "validation", "valid", "val", "dev", "test", "testing"];
    let last = whole.rsplit(['-', '_', '.']).next().unwrap_or(whole);
    if SPLITS.contains(&last) { last.to_owned() } else { whole.to_owned() }
}

/// A folder without data: folders within it that have some are named.
fn nothing(path: &Path) -> DataFault {
    let folders = std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let has = |folder: &PathBuf| {
        folder.join("state.json").is_file()
            || folder.join("dataset_dict.json").is_file()
            || [folder.clone(), folder.join("data")]
                .iter()
                .any(|at| data_files(at).is_ok_and(|files| !files.is_empty()))
    };
    let mut within: Vec<String> = folders.filter(|at| at.is_dir()).filter(has).map(|at| file_name(&at)).collect();
    within.sort();
    let what = format!("{} holds no data files", path.display());
    match within.as_slice() {
        [] => DataFault::new("path", what, KNOWN),
        names => DataFault::new("path", what, format!("name the folder within it: {}", names.join(", "))),
    }
}

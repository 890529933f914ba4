//! The import: what a file will become, and the folder written beside its place until it is whole.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::architecture::{self, Plan};
use super::file::GgufFile;
use super::tokenizer::{self, Made};
use super::{GgufError, stream};
use crate::files::{file_error, write_atomically};

const WEIGHTS: &str = "model.safetensors";

/// The number format of the written weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredType {
    /// Exactly the values of the file, whatever it stores.
    F32,
    /// Rounded to the nearest; half the size.
    BF16,
    /// Rounded to the nearest; half the size; values beyond 65504 are refused.
    F16,
}

impl StoredType {
    /// The name that `transformers` has for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::BF16 => "bfloat16",
            Self::F16 => "float16",
        }
    }
}

/// How far the writing of weights is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Values written.
    pub done: u64,
    /// Values in all.
    pub total: u64,
}

/// What a file holds.
#[derive(Clone, Debug)]
pub struct Summary {
    /// GGUF's name of the architecture.
    pub architecture: String,
    /// `general.name`, if the file has one.
    pub name: Option<String>,
    /// `general.license`, if the file has one.
    pub licence: Option<String>,
    /// Number of weights.
    pub parameters: u64,
    /// Number of tensors by the name of their format.
    pub types: BTreeMap<&'static str, usize>,
    /// Tokens with a text.
    pub tokens: usize,
    /// Rows of the embedding.
    pub vocabulary: usize,
    /// Longest sequence.
    pub context: usize,
    /// Whether the file has a chat template.
    pub chat_template: bool,
}

/// A GGUF file that can be imported.
pub struct GgufModel {
    file: GgufFile,
    plan: Plan,
    tokenizer: Made,
}

impl std::fmt::Debug for GgufModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GgufModel").field("summary", &self.summary()).finish_non_exhaustive()
    }
}

impl GgufModel {
    /// Opens a GGUF file and checks that all of it can be expressed as a folder. Weights are not read yet.
    ///
    /// # Errors
    /// [`GgufError`] names the key, the tensor or the byte, and what is supported.
    pub fn open(path: &Path) -> Result<Self, GgufError> {
        let file = GgufFile::open(path)?;
        let plan = architecture::plan(&file)?;
        let tokenizer = tokenizer::make(&file.metadata, plan.context, plan.vocabulary)?;
        Ok(Self { file, plan, tokenizer })
    }

    /// What the file holds.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let text = |key| self.file.metadata.text(key).ok().flatten().cloned();
        let mut types = BTreeMap::new();
        for tensor in &self.plan.tensors {
            *types.entry(tensor.source.kind.name()).or_insert(0) += 1;
        }
        Summary {
            architecture: self.plan.architecture.clone(),
            name: text("general.name"),
            licence: text("general.license"),
            parameters: self.parameters(),
            types,
            tokens: self.tokenizer.size,
            vocabulary: self.plan.vocabulary,
            context: self.plan.context,
            chat_template: text(tokenizer::TEMPLATE).is_some(),
        }
    }

    /// Writes the folder under a temporary name beside `target`, which must not exist or be empty. Weights are read and
    /// written a stretch at a time; `progress` hears of each.
    ///
    /// # Errors
    /// [`GgufError::Target`] when `target` is taken, or what went wrong; nothing is left behind then.
    pub fn stage(
        &self,
        target: &Path,
        stored: StoredType,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Staged, GgufError> {
        let staged = Staged::new(target)?;
        for (name, bytes) in &self.tokenizer.files {
            staged.write(name, bytes)?;
        }
        let mut ids = self.tokenizer.special.ids();
        staged.write("generation_config.json", pretty(ids.clone()).as_bytes())?;
        stream::write(&staged.path.join(WEIGHTS), &self.file, &self.plan.tensors, stored, &mut |done| {
            progress(Progress { done, total: self.parameters() });
        })?;
        let mut config = self.plan.config.clone();
        config.append(&mut ids);
        config.insert("torch_dtype".into(), stored.name().into());
        // Last, since a folder with a configuration counts as whole.
        staged.write("config.json", pretty(config).as_bytes())?;
        Ok(staged)
    }

    fn parameters(&self) -> u64 {
        self.plan.tensors.iter().map(|tensor| tensor.source.values() as u64).sum()
    }
}

fn pretty(map: Map<String, Value>) -> String {
    format!("{:#}\n", Value::Object(map))
}

/// A whole folder that has not got its name yet; dropped without [`Staged::publish`], it is removed.
#[derive(Debug)]
pub struct Staged {
    path: PathBuf,
    target: PathBuf,
    published: bool,
}

impl Staged {
    /// An empty folder beside `target`, whose parents are made.
    fn new(target: &Path) -> Result<Self, GgufError> {
        refuse_taken(target)?;
        let name = target.file_name().ok_or_else(|| GgufError::Target {
            path: target.to_owned(),
            problem: "has no last part to name the folder by",
        })?;
        let mut own = std::ffi::OsString::from(".");
        own.push(name);
        own.push(format!(".importing-{}", std::process::id()));
        let path = target.with_file_name(own);
        std::fs::create_dir_all(&path).map_err(file_error::<GgufError>("writing", &path))?;
        Ok(Self { path, target: target.to_owned(), published: false })
    }

    /// Where the folder is for now.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the folder its name, in one step.
    ///
    /// # Errors
    /// [`GgufError::Target`] when the name was taken meanwhile, [`GgufError::File`] when the system refuses.
    pub fn publish(mut self) -> Result<(), GgufError> {
        refuse_taken(&self.target)?;
        std::fs::rename(&self.path, &self.target).map_err(file_error::<GgufError>("writing", &self.target))?;
        self.published = true;
        Ok(())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), GgufError> {
        let path = self.path.join(name);
        write_atomically(&path, |file| file.write_all(bytes)).map_err(file_error("writing", &path))
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.published {
            // What led here is the error to report; a left-over folder has a name that nothing reads.
            drop(std::fs::remove_dir_all(&self.path));
        }
    }
}

fn refuse_taken(target: &Path) -> Result<(), GgufError> {
    let taken = |problem| Err(GgufError::Target { path: target.to_owned(), problem });
    match std::fs::read_dir(target) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => taken("is not empty; name a new folder, or remove this one first"),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => taken("is not a folder; name a new folder"),
        Err(source) => Err(file_error("reading", target)(source)),
    }
}

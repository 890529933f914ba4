//! The weights of a model folder: one `safetensors` file, or several with an index, checked as a whole before any tensor is read.
//!
//! Folders in use differ from one another: the bare model leaves out the beginning of its tensors' names, old versions stored
//! tensors that follow from the shape, and some store a tied output projection a second time. All of it is resolved here, so that
//! a model has the same names whatever folder it came from.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use tch::{Device, Tensor};

use super::safetensors_file::WeightsFile;
use super::{Parameters, WeightsError, check_layout, tensor_error};
use crate::ModelConfig;
use crate::family::{self, TensorPlan};
use crate::files::file_error;

/// The one file of small models.
pub(crate) const SINGLE: &str = "model.safetensors";
/// Says which tensor is in which file.
pub(crate) const INDEX: &str = "model.safetensors.index.json";

/// Opened files whose tensors are exactly those of a configuration.
#[derive(Debug)]
pub(crate) struct StoredWeights {
    files: Vec<WeightsFile>,
    /// Where each tensor of the model is: file and name there.
    places: BTreeMap<String, (usize, String)>,
    /// A tied output projection that is stored too, and the embedding it must be equal to.
    twin: Option<(String, String)>,
}

impl StoredWeights {
    /// Opens the weights in `folder`, which must fit `config`.
    pub(crate) fn open(folder: &Path, config: &ModelConfig) -> Result<Self, WeightsError> {
        let single = folder.join(SINGLE);
        let files = if single.is_file() { vec![WeightsFile::open(&single)?] } else { open_shards(folder)? };
        let names = Names { expected: family::tensors(config), config };
        let mut stored = Self { files, places: BTreeMap::new(), twin: None };
        let mut shapes = BTreeMap::new();
        for (index, file) in stored.files.iter().enumerate() {
            file.check_dtypes()?;
            for (name, shape) in file.shapes() {
                match names.resolve(&name) {
                    Resolved::Tensor(canonical) => {
                        if let Some((_, other)) = stored.places.insert(canonical.clone(), (index, name.clone())) {
                            let problem =
                                format!("tensors `{other}` and `{name}` are the same one; remove one of them");
                            return Err(WeightsError::Index { path: file.path().to_owned(), problem });
                        }
                        shapes.insert(canonical, shape);
                    }
                    Resolved::Twin(embedding) => {
                        stored.places.insert(name.clone(), (index, name.clone()));
                        stored.twin = Some((name, embedding));
                    }
                    Resolved::Derived => {}
                }
            }
        }
        check_layout(&shapes, config)?;
        Ok(stored)
    }

    /// Reads every tensor, in the format it is stored in.
    pub(crate) fn read(&mut self, device: Device) -> Result<Parameters, WeightsError> {
        let mut parameters = Parameters::new();
        for (index, file) in self.files.iter_mut().enumerate() {
            for name in file.names() {
                let place = self.places.iter().find(|(_, place)| place.0 == index && place.1 == name);
                if let Some((canonical, _)) = place {
                    parameters.insert(canonical.clone(), file.read_tensor(&name, device)?);
                }
            }
        }
        match &self.twin {
            Some((name, embedding)) => without_twin(parameters, name, embedding),
            None => Ok(parameters),
        }
    }
}

/// Takes the second copy of a tied tensor out, if it is one.
fn without_twin(parameters: Parameters, name: &str, twin: &str) -> Result<Parameters, WeightsError> {
    let equal = match (parameters.get(name), parameters.get(twin)) {
        (Some(a), Some(b)) if a.size() == b.size() && a.kind() == b.kind() => {
            a.f_eq_tensor(b).and_then(|same| same.f_all()).and_then(|all| all.f_int64_value(&[])).map(|all| all != 0)
        }
        _ => Ok(false),
    };
    if !equal.map_err(|source| tensor_error("comparing", name, source))? {
        return Err(WeightsError::Untied { name: name.to_owned(), twin: twin.to_owned() });
    }
    Ok(parameters
        .iter()
        .filter(|(key, _)| *key != name)
        .map(|(key, t)| (key.to_owned(), Tensor::shallow_clone(t)))
        .collect())
}

/// What a stored name means.
enum Resolved {
    /// A tensor of the model, by its name there; unknown names are left for the check of the layout.
    Tensor(String),
    /// The output projection, stored although it is the embedding of this name.
    Twin(String),
    /// Follows from the shape.
    Derived,
}

struct Names<'a> {
    expected: BTreeMap<String, TensorPlan>,
    config: &'a ModelConfig,
}

impl Names<'_> {
    fn resolve(&self, stored: &str) -> Resolved {
        let definition = self.config.family.definition();
        if self.expected.contains_key(stored) {
            return Resolved::Tensor(stored.to_owned());
        }
        // TensorFlow's names of layer norms, in old folders.
        let modern = match (stored.strip_suffix(".gamma"), stored.strip_suffix(".beta")) {
            (Some(module), _) => format!("{module}.weight"),
            (_, Some(module)) => format!("{module}.bias"),
            (None, None) => stored.to_owned(),
        };
        let candidates = [format!("{}{modern}", definition.trunk), modern];
        if let Some(known) = candidates.into_iter().find(|name| self.expected.contains_key(name)) {
            return Resolved::Tensor(known);
        }
        if definition.derived.iter().any(|end| stored.ends_with(end)) {
            return Resolved::Derived;
        }
        if stored == "lm_head.weight" && self.config.tie_word_embeddings && self.config.label_count() == 0 {
            return Resolved::Twin(family::plan(self.config).embedding.tokens);
        }
        Resolved::Tensor(stored.to_owned())
    }
}

/// The files that the index names, which hold exactly the tensors it says.
fn open_shards(folder: &Path) -> Result<Vec<WeightsFile>, WeightsError> {
    let path = folder.join(INDEX);
    let weight_map = read_index(&path)?;
    let mut by_shard: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (tensor, shard) in &weight_map {
        let wrong = |problem| WeightsError::Index { path: path.clone(), problem };
        let shard =
            shard.as_str().ok_or_else(|| wrong(format!("the file of `{tensor}` must be a name, it is {shard}")))?;
        if shard.contains(['/', '\\']) || !shard.ends_with(".safetensors") {
            return Err(wrong(format!("`{shard}` must name a .safetensors file beside the index")));
        }
        by_shard.entry(shard).or_default().insert(tensor);
    }
    let open = |(shard, tensors): (&str, BTreeSet<&str>)| open_shard(folder.join(shard), &tensors, &weight_map);
    by_shard.into_iter().map(open).collect()
}

fn read_index(path: &Path) -> Result<Map<String, Value>, WeightsError> {
    let text = std::fs::read(path).map_err(file_error::<WeightsError>("reading", path))?;
    let index: Value =
        serde_json::from_slice(&text).map_err(|source| WeightsError::Header { path: path.to_owned(), source })?;
    match index.get("weight_map").and_then(Value::as_object) {
        Some(weight_map) if !weight_map.is_empty() => Ok(weight_map.clone()),
        Some(_) | None => {
            let problem = "`weight_map` must say which tensor is in which file".to_owned();
            Err(WeightsError::Index { path: path.to_owned(), problem })
        }
    }
}

fn open_shard(
    path: PathBuf,
    tensors: &BTreeSet<&str>,
    weight_map: &Map<String, Value>,
) -> Result<WeightsFile, WeightsError> {
    let wrong = |problem| Err(WeightsError::Index { path: path.clone(), problem });
    if !path.is_file() {
        return wrong(format!(
            "the file is missing; {INDEX} says that it holds {} tensors; copy it here",
            tensors.len()
        ));
    }
    let file = WeightsFile::open(&path)?;
    let held = file.shapes();
    if let Some(absent) = tensors.iter().find(|name| !held.contains_key(**name)) {
        return wrong(format!("tensor `{absent}` is not in it, although {INDEX} says so; copy both files again"));
    }
    match held.keys().find(|name| !tensors.contains(name.as_str())) {
        None => Ok(file),
        Some(extra) => wrong(match weight_map.get(extra) {
            Some(elsewhere) => format!("it holds tensor `{extra}`, which {INDEX} says is in {elsewhere}"),
            None => format!("it holds tensor `{extra}`, which {INDEX} does not name"),
        }),
    }
}

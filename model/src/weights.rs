//! A model's weights as named tensors in name order, and their `safetensors` files.
//!
//! The order of names is the order of everything derived from it: trainable parameters, gradients, digests, files. Nothing
//! here knows what a tensor is for; shapes are checked against a configuration by [`Parameters::check`].

use std::collections::BTreeMap;
use std::path::PathBuf;

use tch::{Device, Kind, TchError, Tensor};

use crate::ModelConfig;
use crate::family::TensorPlan;
use crate::files::FileError;

pub(crate) mod safetensors_file;
pub(crate) mod shards;
pub(crate) mod stored;

/// Named tensors, in name order.
#[derive(Debug, Default)]
pub struct Parameters(BTreeMap<String, Tensor>);

impl Parameters {
    /// An empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds or replaces a tensor.
    pub fn insert(&mut self, name: impl Into<String>, tensor: Tensor) {
        self.0.insert(name.into(), tensor);
    }

    /// The tensor of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.0.get(name)
    }

    /// Names and tensors in name order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Tensor)> {
        self.0.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// Number of tensors.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no tensor.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Second handles on the same tensors: what is written through one is seen through the other.
    #[must_use]
    pub fn share(&self) -> Self {
        Self(self.0.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect())
    }

    /// A detached copy in memory of its own, converted to `kind` on `device`.
    ///
    /// # Errors
    /// [`WeightsError::Tensor`] when libtorch cannot, for example without memory.
    pub fn copy_to(&self, kind: Kind, device: Device) -> Result<Self, WeightsError> {
        self.map("copying", |tensor| tensor.f_detach()?.f_to_device(device)?.f_to_dtype(kind, false, true))
    }

    /// Marks every tensor as trainable or not.
    ///
    /// # Errors
    /// [`WeightsError::Tensor`] for tensors that cannot have gradients (integers).
    pub fn set_trainable(&self, trainable: bool) -> Result<(), WeightsError> {
        for (name, tensor) in self.iter() {
            let _ = tensor.f_set_requires_grad(trainable).map_err(|source| tensor_error("marking", name, source))?;
        }
        Ok(())
    }

    /// Checks that the names and shapes are exactly those of `config`.
    ///
    /// # Errors
    /// The first missing, wrongly shaped or unknown tensor, by name.
    pub fn check(&self, config: &ModelConfig) -> Result<(), WeightsError> {
        let shapes = self.0.iter().map(|(name, tensor)| {
            let shape = tensor.size().into_iter().map(|size| usize::try_from(size).unwrap_or(0)).collect();
            (name.clone(), shape)
        });
        check_layout(&shapes.collect(), config)
    }

    /// Name of a tensor with a value that is not finite, if there is one.
    ///
    /// # Errors
    /// [`WeightsError::Tensor`] when libtorch fails.
    pub fn first_not_finite(&self) -> Result<Option<&str>, WeightsError> {
        for (name, tensor) in self.iter() {
            let finite = tensor
                .f_isfinite()
                .and_then(|mask| mask.f_all())
                .and_then(|all| all.f_int64_value(&[]))
                .map_err(|source| tensor_error("checking", name, source))?;
            if finite == 0 {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    fn map(&self, doing: &'static str, f: impl Fn(&Tensor) -> Result<Tensor, TchError>) -> Result<Self, WeightsError> {
        let mut mapped = Self::new();
        for (name, tensor) in self.iter() {
            mapped.insert(name, f(tensor).map_err(|source| tensor_error(doing, name, source))?);
        }
        Ok(mapped)
    }
}

impl FromIterator<(String, Tensor)> for Parameters {
    fn from_iter<I: IntoIterator<Item = (String, Tensor)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

/// Checks names and shapes against those a model of `config` has.
pub(crate) fn check_layout(shapes: &BTreeMap<String, Vec<usize>>, config: &ModelConfig) -> Result<(), WeightsError> {
    let expected = crate::family::tensors(config);
    for (name, TensorPlan { shape, optional, .. }) in &expected {
        match shapes.get(name) {
            None if *optional => {}
            None => return Err(WeightsError::Missing { name: name.clone(), shape: shape.clone() }),
            Some(found) if found != shape => {
                return Err(WeightsError::Shape { name: name.clone(), found: found.clone(), expected: shape.clone() });
            }
            Some(_) => {}
        }
    }
    match shapes.keys().find(|name| !expected.contains_key(*name)) {
        Some(name) => Err(WeightsError::Unknown { name: name.clone(), family: config.family, kind: config.kind }),
        None => Ok(()),
    }
}

/// Number format of the embedding, which is that of the model.
pub(crate) fn kind_of_weights(parameters: &Parameters, config: &ModelConfig) -> Kind {
    let embedding = parameters.get(&crate::family::plan(config).embedding.tokens);
    embedding.map_or(Kind::Float, Tensor::kind)
}

pub(crate) fn tensor_error(doing: &'static str, name: &str, source: TchError) -> WeightsError {
    WeightsError::Tensor { doing, name: name.to_owned(), source }
}

/// Why weights cannot be used, read or written.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// A tensor the model needs is absent.
    #[error("tensor `{name}` is missing; the configuration asks for it with shape {shape:?}")]
    Missing {
        /// Its name.
        name: String,
        /// The shape it should have.
        shape: Vec<usize>,
    },
    /// A tensor of another shape than the configuration says.
    #[error("tensor `{name}` has shape {found:?}; the configuration asks for {expected:?}")]
    Shape {
        /// Its name.
        name: String,
        /// The shape it has.
        found: Vec<usize>,
        /// The shape it should have.
        expected: Vec<usize>,
    },
    /// A tensor no model of this configuration has.
    #[error("tensor `{name}` is not part of a {family} model with a {kind} head and this configuration")]
    Unknown {
        /// Its name.
        name: String,
        /// The configuration's family.
        family: crate::Family,
        /// The configuration's head.
        kind: crate::ModelKind,
    },
    /// Two stored tensors that the configuration says are one.
    #[error(
        "tensors `{name}` and `{twin}` differ, but the configuration ties them (`tie_word_embeddings`): set it to false, or remove `{name}`"
    )]
    Untied {
        /// The tensor that should not be there.
        name: String,
        /// The one it should be equal to.
        twin: String,
    },
    /// A shard's tensors are not those the index names.
    #[error("{}: {problem}", path.display())]
    Index {
        /// The index, or the shard that contradicts it.
        path: PathBuf,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// A number format this crate does not compute with.
    #[error("tensor `{name}` is stored as {dtype}; only F32, BF16 and F16 are implemented")]
    Dtype {
        /// Its name.
        name: String,
        /// The format in the file.
        dtype: String,
    },
    /// A decoder was asked for.
    #[error("a {family} model is an encoder, which classifies and does not generate; load it as an encoder")]
    NotADecoder {
        /// The configuration's family.
        family: crate::Family,
    },
    /// An encoder was asked for.
    #[error("a {family} model is a decoder; load it as a decoder")]
    NotAnEncoder {
        /// The configuration's family.
        family: crate::Family,
    },
    /// libtorch could not put the model together.
    #[error("putting the model together from its tensors failed")]
    Build {
        /// What libtorch said.
        #[source]
        source: TchError,
    },
    /// libtorch failed on one tensor.
    #[error("{doing} tensor `{name}` failed")]
    Tensor {
        /// What we tried.
        doing: &'static str,
        /// The tensor.
        name: String,
        /// What libtorch said.
        #[source]
        source: TchError,
    },
    /// The system refused to read or to write.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is shorter than its own header says, or longer.
    #[error(
        "{} is corrupt: its header describes {expected_bytes} bytes but the file has {found_bytes}; copy or download it again",
        path.display()
    )]
    Length {
        /// The file.
        path: PathBuf,
        /// Size that the header asks for.
        expected_bytes: u64,
        /// Size on disk.
        found_bytes: u64,
    },
    /// The header is no `safetensors` header, or contradicts itself.
    #[error("{} is corrupt: its safetensors header cannot be used; copy or download it again", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
}

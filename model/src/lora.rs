//! LoRA adapters: small low-rank updates `scale * B A` of a base's projections, in PEFT's layout.
//!
//! [`Adapter::open`] reads a folder and checks all of it against the base; [`merge`] adds it into a copy of the base, and
//! [`Merged::unmerge`] gives the base back bit for bit. A population of adapters is served without copies of the base: `rows`
//! says which rows of a pass have which adapter and what that adds. Only the projections inside layers can have updates; what a setting
//! would change beyond that is refused, never ignored.

use std::collections::BTreeMap;
use std::path::Path;

use tch::{Device, Kind, TchError, Tensor};

mod config;
mod error;
mod files;
mod init;
mod merge;
mod rows;
mod targets;

pub use config::{AdapterConfig, ModuleNames};
pub use error::{AdapterConfigError, AdapterError};
pub use merge::{Merged, merge};
pub(crate) use rows::{AdapterRange, AdapterRows, AppliedAdapter};

use crate::weights::Parameters;
use crate::{ModelConfig, weights_digest};
use targets::{BaseModules, Update};

/// An adapter that fits a base.
#[derive(Debug)]
pub struct Adapter {
    config: AdapterConfig,
    parameters: Parameters,
    updates: BTreeMap<String, LowRankUpdate>,
    transposed: bool,
}

/// The update of one projection. The tensors are second handles on the adapter's parameters.
#[derive(Debug)]
pub(crate) struct LowRankUpdate {
    /// A [rank, inputs].
    pub(crate) down: Tensor,
    /// B [outputs, rank].
    pub(crate) up: Tensor,
    /// Factor of the update.
    pub(crate) scale: f64,
}

impl LowRankUpdate {
    /// `scale * x A^T B^T` for `x` [.., inputs], computed in `kind`.
    pub(crate) fn apply(&self, x: &Tensor, kind: Kind) -> Result<Tensor, TchError> {
        let product = |x: &Tensor, weight: &Tensor| x.f_linear(&weight.f_to_kind(kind)?, None::<&Tensor>);
        product(&product(&x.f_to_kind(kind)?, &self.down)?, &self.up)?.f_mul_scalar(self.scale)
    }

    /// Second handles on the same weights.
    fn share(&self) -> Self {
        Self { down: self.down.shallow_clone(), up: self.up.shallow_clone(), scale: self.scale }
    }

    /// Contiguous copies of the weights.
    fn copy_to(&self, kind: Kind, device: Device) -> Result<Self, TchError> {
        let copy =
            |tensor: &Tensor| tensor.f_detach()?.f_to_device(device)?.f_to_dtype(kind, false, true)?.f_contiguous();
        Ok(Self { down: copy(&self.down)?, up: copy(&self.up)?, scale: self.scale })
    }

    /// `scale * B A`, [outputs, inputs], in 32-bit floats.
    fn delta(&self) -> Result<Tensor, TchError> {
        let wide = |tensor: &Tensor| tensor.f_detach()?.f_to_kind(Kind::Float);
        wide(&self.up)?.f_matmul(&wide(&self.down)?)?.f_mul_scalar(self.scale)
    }
}

impl Adapter {
    /// Opens the folder at `path` and checks its settings and weights against `base`, before any weight is read.
    ///
    /// # Errors
    /// [`AdapterError`] names the file, the tensor or setting, and what would be right.
    pub fn open(path: &Path, base: &ModelConfig, device: Device) -> Result<Self, AdapterError> {
        files::open(path, base, device)
    }

    /// An adapter of these weights, named as in PEFT's files, for `base`.
    ///
    /// # Errors
    /// [`AdapterError`] for settings or weights that do not fit each other or `base`.
    pub fn new(config: AdapterConfig, parameters: Parameters, base: &ModelConfig) -> Result<Self, AdapterError> {
        let modules = BaseModules::of(base);
        let updates = modules.updates(&config).map_err(|source| AdapterError::Unfit { source })?;
        let place = "the adapter";
        files::check_layout(place, (&modules, &updates), &files::shapes(&parameters))?;
        files::check_finite(place, &parameters)?;
        Self::assemble(config, parameters, &updates, modules.transposed())
    }

    /// Checks that every update is one of a projection of `base`.
    ///
    /// # Errors
    /// [`AdapterError::Tensor`] names a tensor of a module that `base` does not have or has with another shape.
    pub fn check_base(&self, base: &ModelConfig) -> Result<(), AdapterError> {
        let modules = BaseModules::of(base);
        let updates = modules.updates(&self.config).map_err(|source| AdapterError::Unfit { source })?;
        files::check_layout("the adapter", (&modules, &updates), &files::shapes(&self.parameters))
    }

    /// Joins what has been checked.
    fn assemble(
        config: AdapterConfig,
        parameters: Parameters,
        updates: &BTreeMap<String, Update>,
        transposed: bool,
    ) -> Result<Self, AdapterError> {
        let find = |name: String| match parameters.get(&name) {
            Some(tensor) => Ok(tensor.shallow_clone()),
            None => Err(files::tensor_problem("the adapter", &name, "is missing")),
        };
        let pair = |(module, update): (&String, &Update)| {
            let (down, up) = (find(files::down_name(module))?, find(files::up_name(module))?);
            Ok((module.clone(), LowRankUpdate { down, up, scale: update.scale }))
        };
        let updates = updates.iter().map(pair).collect::<Result<_, AdapterError>>()?;
        Ok(Self { config, parameters, updates, transposed })
    }

    /// A new adapter for training, in 32-bit floats: A is uniform in `±1 / sqrt(inputs)` (PEFT's Kaiming initialisation),
    /// B is zero, so the adapted model computes what the base does. The same seed gives the same bytes on every machine.
    ///
    /// # Errors
    /// [`AdapterError`] for settings that do not fit `base`.
    pub fn init(config: AdapterConfig, base: &ModelConfig, seed: u64, device: Device) -> Result<Self, AdapterError> {
        let updates = BaseModules::of(base).updates(&config).map_err(|source| AdapterError::Unfit { source })?;
        let parameters = init::parameters(&updates, seed, device)
            .map_err(|source| AdapterError::Weights { place: "the adapter".to_owned(), source: Box::new(source) })?;
        Self::new(config, parameters, base)
    }

    /// Writes the adapter as a folder that PEFT and vLLM load, made if it is not there. The settings come last: a folder
    /// with them is whole.
    ///
    /// # Errors
    /// [`AdapterError`] names the file that could not be written.
    pub fn save(&self, path: &Path) -> Result<(), AdapterError> {
        files::save(path, self)
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &AdapterConfig {
        &self.config
    }

    /// Number of projections it changes.
    #[must_use]
    pub fn projections(&self) -> usize {
        self.updates.len()
    }

    /// The weights under the names of PEFT's files, in name order. What is changed in place here changes the adapter.
    #[must_use]
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// BLAKE3 over the weights, as [`weights_digest`], and the scale of every update: equal digests, equal functions.
    ///
    /// # Errors
    /// [`AdapterError::Weights`] when libtorch cannot hand out a tensor's bytes.
    pub fn digest(&self) -> Result<blake3::Hash, AdapterError> {
        let weights = weights_digest(&self.parameters)
            .map_err(|source| AdapterError::Weights { place: "the adapter".to_owned(), source: Box::new(source) })?;
        let mut hasher = blake3::Hasher::new();
        hasher.update(weights.as_bytes());
        for update in self.updates.values() {
            hasher.update(&update.scale.to_le_bytes());
        }
        Ok(hasher.finalize())
    }

    /// The update of the projection at `module` (`model.layers.0.self_attn.q_proj`), if it has one.
    pub(crate) fn update(&self, module: &str) -> Option<&LowRankUpdate> {
        self.updates.get(module)
    }
}

#[cfg(test)]
mod rows_tests;
#[cfg(test)]
pub(crate) mod test_base;
#[cfg(test)]
mod tests;

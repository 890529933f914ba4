//! Probes: what a model computes for fixed tokens, recorded when its checkpoint is made and compared at every load. A digest shows that
//! the bytes are right; a probe, that what is computed with them is.
//!
//! A probe is the file `probe.json` of a model's folder. Folders without one are as good as before.

use std::io;
use std::io::Write;
use std::path::Path;

use galapagos_domain::image::{PATCH_PIXELS, Patch};
use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

use crate::compute::{ComputeError, Doing};
use crate::engine::{AdapterId, GenerateError, Read, RunControl, ScoreRequest};
use crate::files::write_atomically;
use crate::lora::Adapter;
use crate::{Decoder, Engine, ModelKind, PackedOptions, Precision};

/// The file in a model's folder.
pub const FILE: &str = "probe.json";

/// Tokens of a probe.
const LENGTH: usize = 24;

/// What a model computes for fixed tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// Format of the file.
    pub version: u32,
    pub tokens: Vec<u32>,
    /// Of a language model the log-probability of each token but the first and the patches of images; else the head's outputs at every
    /// token, one after another.
    pub outputs: Vec<f32>,
}

/// A probe could not be read, or was not met.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    #[error("{FILE} cannot be read")]
    Read { source: io::Error },
    #[error("{FILE} is no probe")]
    Parse { source: serde_json::Error },
    #[error("{FILE} has no tokens or no outputs, so it would prove nothing")]
    Empty,
    #[error("the outputs that {FILE} records cannot be computed")]
    Engine { source: Box<GenerateError> },
    #[error("{found} outputs were computed, {expected} are recorded")]
    Count { found: usize, expected: usize },
    #[error(
        "output {at} is {found}, recorded is {expected}; on average they are {mean:.4} apart, allowed is {tolerance}: \
         other weights, another configuration or a wrong kernel. If the weights were changed on purpose, remove {FILE}"
    )]
    Differs { at: usize, found: f32, expected: f32, mean: f64, tolerance: f64 },
}

impl Probe {
    /// The mean distance of outputs that another machine's 32-bit arithmetic may have.
    pub const EXACT: f64 = 2e-3;
    /// The same for arithmetic in bfloat16.
    pub const ROUNDED: f64 = 0.15;

    /// The probe of a model, with `adapter` if it has one. Computed in 32-bit floats.
    ///
    /// # Errors
    /// A failing kernel.
    pub fn of(model: &Decoder, adapter: Option<&Adapter>) -> Result<Self, ComputeError> {
        let config = model.config();
        let length = LENGTH.min(config.max_position_embeddings);
        // Any fixed tokens serve; these are spread over the vocabulary and do not repeat early. A model that sees begins with an image.
        let number = |i: usize| i * i * 7919 + i * 104_729 + 17;
        let image = if config.vision.is_some() { length / 3 } else { 0 };
        let token = |i: usize| {
            if i < image {
                let ends_row = i % 4 == 3 || i + 1 == image;
                Patch { pixels: (number(i) % (1 << PATCH_PIXELS)) as u16, ends_row }.code()
            } else {
                (number(i) % config.vocab_size) as u32
            }
        };
        let probe = Self { version: 1, tokens: (0..length).map(token).collect(), outputs: Vec::new() };
        let outputs = probe.outputs_of(model, adapter)?;
        Ok(Self { outputs, ..probe })
    }

    /// What a model computes for this probe's tokens.
    ///
    /// # Errors
    /// A failing kernel, or tokens that the model does not have.
    pub fn outputs_of(&self, model: &Decoder, adapter: Option<&Adapter>) -> Result<Vec<f32>, ComputeError> {
        let options = PackedOptions { adapter, ..PackedOptions::new(Precision::F32) };
        let count = self.tokens.len() as i64;
        tch::no_grad(|| {
            let hidden = model.packed(&self.tokens, &[self.tokens.len()], options)?.hidden_states()?;
            let rows = |end: i64| Tensor::f_arange(end, (tch::Kind::Int64, model.device())).doing("the probe");
            let outputs = match model.config().kind {
                ModelKind::CausalLm => {
                    let from = self.first_read();
                    let before = rows(count - 1)?.f_slice(0, from as i64 - 1, count - 1, 1).doing("the probe")?;
                    let logits = model.logits_at(&hidden, &before, Precision::F32)?;
                    let next: Vec<i64> = self.tokens.iter().skip(from).map(|token| i64::from(*token)).collect();
                    let chosen = || -> Result<Tensor, tch::TchError> {
                        let next = Tensor::f_from_slice(&next)?.f_to_device(model.device())?.f_unsqueeze(-1)?;
                        logits.f_log_softmax(-1, tch::Kind::Float)?.f_gather(-1, &next, false)
                    };
                    chosen().doing("the probe")?
                }
                ModelKind::Scalar => model.scores_at(&hidden, &rows(count)?)?,
                ModelKind::SequenceClassifier | ModelKind::TokenClassifier => {
                    model.labels_at(&hidden, &rows(count)?)?
                }
            };
            let flat = outputs.f_reshape([-1]).and_then(|flat| flat.f_to_device(Device::Cpu)).doing("the probe")?;
            Vec::try_from(&flat).doing("the probe")
        })
    }

    /// The first token whose log-probability is recorded: behind the first token, and behind an image, which no model writes.
    fn first_read(&self) -> usize {
        self.tokens.iter().rposition(|token| Patch::is_code(*token)).map_or(1, |last| last + 1)
    }

    /// Compares computed outputs with the recorded ones: their mean distance must be within `tolerance`.
    ///
    /// # Errors
    /// [`ProbeError`] names the output that is farthest off.
    pub fn check(&self, found: &[f32], tolerance: f64) -> Result<(), ProbeError> {
        let (count, expected) = (found.len(), self.outputs.len());
        if count != expected {
            return Err(ProbeError::Count { found: count, expected });
        }
        let distances: Vec<f64> =
            found.iter().zip(&self.outputs).map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs()).collect();
        let mean = distances.iter().sum::<f64>() / count.max(1) as f64;
        // Written so that a distance that is no number does not pass.
        if mean <= tolerance {
            return Ok(());
        }
        let far = |distance: f64| if distance.is_nan() { f64::INFINITY } else { distance };
        let at = (0..count).max_by(|a, b| far(distances[*a]).total_cmp(&far(distances[*b]))).unwrap_or(0);
        Err(ProbeError::Differs { at, found: found[at], expected: self.outputs[at], mean, tolerance })
    }

    /// The mean distance that an engine of this number format may have.
    #[must_use]
    pub fn tolerance(precision: Precision) -> f64 {
        match precision {
            Precision::F32 => Self::EXACT,
            Precision::Bf16 => Self::ROUNDED,
        }
    }

    /// Lets `engine` compute the recorded outputs, with `adapter` if the probe is one's, and compares. Requests that run in the
    /// engine go on meanwhile.
    ///
    /// # Errors
    /// [`ProbeError`] when the outputs differ or cannot be computed.
    pub fn check_engine(&self, engine: &mut Engine, adapter: Option<AdapterId>) -> Result<(), ProbeError> {
        if self.tokens.is_empty() || self.outputs.is_empty() {
            return Err(ProbeError::Empty);
        }
        let read = match engine.config().kind {
            ModelKind::CausalLm => Read::LogProbs { from: self.first_read() },
            ModelKind::Scalar | ModelKind::SequenceClassifier | ModelKind::TokenClassifier => {
                Read::Values { positions: (0..self.tokens.len()).collect() }
            }
        };
        let request = ScoreRequest { tokens: self.tokens.clone(), adapter, read };
        let found = engine.score(&[request], &mut RunControl::default());
        let found = found.map_err(|source| ProbeError::Engine { source: Box::new(source) })?;
        self.check(&found.concat(), Self::tolerance(engine.options().precision))
    }

    /// [`Probe::check_engine`] with the probe of `folder`, if it has one; says whether it has.
    ///
    /// # Errors
    /// As [`Probe::read`] and [`Probe::check_engine`].
    pub fn check_folder(folder: &Path, engine: &mut Engine, adapter: Option<AdapterId>) -> Result<bool, ProbeError> {
        let Some(probe) = Self::read(folder)? else { return Ok(false) };
        probe.check_engine(engine, adapter).map(|()| true)
    }

    /// The probe of a model's folder, if it has one.
    ///
    /// # Errors
    /// If the file cannot be read or is something else.
    pub fn read(folder: &Path) -> Result<Option<Self>, ProbeError> {
        let text = match std::fs::read(folder.join(FILE)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(ProbeError::Read { source }),
        };
        serde_json::from_slice(&text).map(Some).map_err(|source| ProbeError::Parse { source })
    }

    /// Writes the probe into a model's folder.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        let text = serde_json::to_vec(self)?;
        write_atomically(&folder.join(FILE), |file| file.write_all(&text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(outputs: &[f32]) -> Probe {
        Probe { version: 1, tokens: vec![1, 2], outputs: outputs.to_vec() }
    }

    #[test]
    fn what_is_farthest_off_is_named_and_no_number_never_passes() {
        let recorded = probe(&[-1.0, -2.0, -3.0]);
        recorded.check(&[-1.0, -2.001, -3.0], Probe::EXACT).unwrap();
        let error = recorded.check(&[-1.0, -2.0, -4.0], Probe::ROUNDED).unwrap_err();
        assert!(matches!(error, ProbeError::Differs { at: 2, .. }), "{error}");
        assert!(matches!(recorded.check(&[f32::NAN, -2.0, -3.0], 1e9), Err(ProbeError::Differs { at: 0, .. })));
        assert!(matches!(recorded.check(&[-1.0], 1.0), Err(ProbeError::Count { .. })));
    }

    #[test]
    fn a_folder_keeps_its_probe_and_may_have_none() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Probe::read(folder.path()).unwrap().is_none());
        let recorded = probe(&[0.1, -7.25]);
        recorded.write(folder.path()).unwrap();
        assert_eq!(Probe::read(folder.path()).unwrap().unwrap(), recorded);
        std::fs::write(folder.path().join(FILE), "{").unwrap();
        assert!(matches!(Probe::read(folder.path()), Err(ProbeError::Parse { .. })));
    }
}

//! Random initial weights. The generator is ours and keyed by (seed, tensor name), so that weights depend neither on
//! libtorch's global generator nor on the order or number of threads in which tensors are made.

use std::f64::consts::TAU;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use tch::{Device, Kind, Tensor};

use super::layout;
use crate::ModelConfig;
use crate::weights::{Parameters, WeightsError, tensor_error};

pub(super) fn parameters(config: &ModelConfig, seed: u64, device: Device) -> Result<Parameters, WeightsError> {
    let mut parameters = Parameters::new();
    for (name, shape) in layout::expected(config) {
        let tensor = initial(config, seed, (&name, &shape), (Kind::Float, device))?;
        parameters.insert(name, tensor);
    }
    Ok(parameters)
}

/// Adds a new scalar head in the format and on the device of `like`.
pub(super) fn scalar_head(
    config: &ModelConfig,
    seed: u64,
    like: &Tensor,
    parameters: &mut Parameters,
) -> Result<(), WeightsError> {
    let expected = layout::expected(config);
    for name in [layout::SCORE_WEIGHT, layout::SCORE_BIAS] {
        if let Some(shape) = expected.get(name) {
            parameters.insert(name, initial(config, seed, (name, shape), (like.kind(), like.device()))?);
        }
    }
    Ok(())
}

/// Matrices are normal, norms one, biases zero.
fn initial(
    config: &ModelConfig,
    seed: u64,
    (name, shape): (&str, &[usize]),
    (kind, device): (Kind, Device),
) -> Result<Tensor, WeightsError> {
    let count: usize = shape.iter().product();
    let values = match (shape.len(), name) {
        (1, layout::SCORE_BIAS) => vec![0.0; count],
        (1, _) => vec![1.0; count],
        _ => normal(seed, name, count, config.initializer_range),
    };
    let shape: Vec<i64> = shape.iter().map(|size| *size as i64).collect();
    Tensor::f_from_slice(&values)
        .and_then(|tensor| tensor.f_reshape(&shape)?.f_to_device(device)?.f_to_kind(kind))
        .map_err(|source| tensor_error("initialising", name, source))
}

/// Box-Muller over a ChaCha stream.
fn normal(seed: u64, name: &str, count: usize, deviation: f64) -> Vec<f32> {
    let key = blake3::Hasher::new().update(&seed.to_le_bytes()).update(name.as_bytes()).finalize();
    let mut stream = ChaCha8Rng::from_seed(*key.as_bytes());
    let mut values = Vec::with_capacity(count + 1);
    while values.len() < count {
        // In (0, 1], so that the logarithm is finite.
        let first = 1.0 - unit(&mut stream);
        let (sin, cos) = (TAU * unit(&mut stream)).sin_cos();
        let radius = deviation * (-2.0 * first.ln()).sqrt();
        values.extend([(radius * cos) as f32, (radius * sin) as f32]);
    }
    values.truncate(count);
    values
}

/// Uniform in [0, 1) with 53 bits.
pub(crate) fn unit(stream: &mut impl Rng) -> f64 {
    (stream.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

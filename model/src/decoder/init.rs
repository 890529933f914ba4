//! Random initial weights. The generator is ours and keyed by (seed, tensor name), so that weights depend neither on
//! libtorch's global generator nor on the order or number of threads in which tensors are made.

use std::f64::consts::TAU;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use tch::{Device, Kind, Tensor};

use crate::ModelConfig;
use crate::family::{self, Initial, TensorPlan};
use crate::weights::{Parameters, WeightsError, tensor_error};

/// A whole model's tensors, in 32-bit floats.
pub(crate) fn parameters(config: &ModelConfig, seed: u64, device: Device) -> Result<Parameters, WeightsError> {
    let mut parameters = Parameters::new();
    for (name, plan) in family::tensors(config) {
        let tensor = initial(config, seed, (&name, &plan), (Kind::Float, device))?;
        parameters.insert(name, tensor);
    }
    Ok(parameters)
}

/// The tensors of a model of `config`, whose trunk is that of `trunk`: copies, and a new head drawn by `seed`.
pub(crate) fn new_head(trunk: &Parameters, config: &ModelConfig, seed: u64) -> Result<Parameters, WeightsError> {
    let device = trunk.iter().next().map_or(Device::Cpu, |(_, tensor)| tensor.device());
    let kind = crate::weights::kind_of_weights(trunk, config);
    let mut parameters = Parameters::new();
    for (name, plan) in family::tensors(config) {
        // Heads of another kind may have tensors of the same name.
        let same = |tensor: &&Tensor| plan.shape.iter().map(|size| *size as i64).eq(tensor.size());
        let tensor = match trunk.get(&name).filter(same).filter(|_| !is_head(config, &name)) {
            Some(tensor) => tensor.f_detach().and_then(|tensor| tensor.f_to_dtype(tensor.kind(), false, true)),
            None => Ok(initial(config, seed, (&name, &plan), (kind, device))?),
        };
        parameters.insert(name.clone(), tensor.map_err(|source| tensor_error("copying", &name, source))?);
    }
    Ok(parameters)
}

fn is_head(config: &ModelConfig, name: &str) -> bool {
    !name.starts_with(config.family.definition().trunk)
}

/// The initial value of one tensor.
pub(super) fn initial(
    config: &ModelConfig,
    seed: u64,
    (name, plan): (&str, &TensorPlan),
    (kind, device): (Kind, Device),
) -> Result<Tensor, WeightsError> {
    let count: usize = plan.shape.iter().product();
    let values = match plan.initial {
        Initial::Zero => vec![0.0; count],
        Initial::One => vec![1.0; count],
        Initial::Normal => normal(seed, name, count, config.initializer_range),
    };
    let shape: Vec<i64> = plan.shape.iter().map(|size| *size as i64).collect();
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

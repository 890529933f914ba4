//! Initial weights of an adapter, keyed by (seed, tensor name) as those of models are.

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use tch::{Device, Kind, TchError, Tensor};

use super::files::{down_name, up_name};
use super::targets::Update;
use crate::decoder::init::unit;
use crate::weights::{Parameters, WeightsError, tensor_error};

/// A uniform in `±1 / sqrt(inputs)`: Kaiming's bound `sqrt(6 / ((1 + a^2) inputs))` with `a = sqrt(5)`. B zero.
pub(super) fn parameters(
    updates: &BTreeMap<String, Update>,
    seed: u64,
    device: Device,
) -> Result<Parameters, WeightsError> {
    let mut parameters = Parameters::new();
    for (module, update) in updates {
        let (rank, inputs, outputs) = (update.rank, update.projection.inputs, update.projection.outputs);
        let name = down_name(module);
        let values = uniform(seed, &name, rank * inputs, 1.0 / (inputs as f64).sqrt());
        let down = on_device(&values, [rank, inputs], device).map_err(|e| tensor_error("initialising", &name, e))?;
        parameters.insert(name, down);
        let name = up_name(module);
        let up = Tensor::f_zeros([outputs as i64, rank as i64], (Kind::Float, device))
            .map_err(|source| tensor_error("initialising", &name, source))?;
        parameters.insert(name, up);
    }
    Ok(parameters)
}

fn uniform(seed: u64, name: &str, count: usize, bound: f64) -> Vec<f32> {
    let key = blake3::Hasher::new().update(&seed.to_le_bytes()).update(name.as_bytes()).finalize();
    let mut stream = ChaCha8Rng::from_seed(*key.as_bytes());
    (0..count).map(|_| (bound * (2.0 * unit(&mut stream) - 1.0)) as f32).collect()
}

fn on_device(values: &[f32], shape: [usize; 2], device: Device) -> Result<Tensor, TchError> {
    Tensor::f_from_slice(values)?.f_reshape(shape.map(|size| size as i64))?.f_to_device(device)
}

//! LoRA adapters with weights of their own for the `lora` row: every projection of every layer, rank 16.

use galapagos_domain::seed::Seed;
use galapagos_model::ModelConfig;
use galapagos_model::lora::{Adapter, AdapterConfig, ModuleNames};
use rand::Rng;
use tch::{Device, TchError, Tensor};

const RANK: usize = 16;
const ALPHA: f64 = 16.0;

/// Largest entry of B: large enough to change tokens, small enough to keep activations in range.
const UP: f64 = 0.02;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// An adapter of `base` that no other `number` has.
///
/// # Errors
/// If the base has no projections that adapters know, or libtorch cannot hold the weights.
pub fn random(base: &ModelConfig, number: u64) -> Result<Adapter, BoxError> {
    let config = AdapterConfig::new(RANK, ALPHA, ModuleNames::AllLinear);
    let adapter = Adapter::init(config, base, number, Device::Cpu)?;
    let mut stream = Seed(number).derive("lora_B").stream();
    for (_, tensor) in adapter.parameters().iter().filter(|(name, _)| name.contains("lora_B")) {
        fill(tensor, || UP * (2.0 * (stream.next_u64() as f64 / u64::MAX as f64) - 1.0))?;
    }
    Ok(adapter)
}

fn fill(tensor: &Tensor, mut draw: impl FnMut() -> f64) -> Result<(), TchError> {
    let values: Vec<f32> = (0..tensor.numel()).map(|_| draw() as f32).collect();
    tensor.shallow_clone().f_copy_(&Tensor::f_from_slice(&values)?.f_reshape(tensor.size())?)
}

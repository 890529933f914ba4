//! Folders of random adapters.

use std::path::Path;

use galapagos_model::ModelFolder;
use galapagos_model::lora::{Adapter, AdapterConfig, ModuleNames};
use tch::{Device, Kind, Tensor};

/// Writes an adapter of the model in `base` into `folder`: rank 4, all projections of Llama; the numbers of B lie in `±bound`.
pub fn write_adapter(base: &Path, folder: &Path, seed: u64, bound: f64) {
    let base = ModelFolder::open(base).unwrap();
    let names = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];
    let settings = AdapterConfig::new(4, 8.0, ModuleNames::List(names.map(str::to_owned).to_vec()));
    let adapter = Adapter::init(settings, base.config(), seed, Device::Cpu).unwrap();
    for (name, tensor) in adapter.parameters().iter().filter(|(name, _)| name.contains("lora_B")) {
        let values = Tensor::arange(tensor.numel() as i64, (Kind::Float, Device::Cpu)) * 0.37;
        let values = (values + name.len() as f64 + seed as f64).sin() * bound;
        tensor.shallow_clone().copy_(&values.reshape(tensor.size()));
    }
    adapter.save(folder).unwrap();
}

//! Folders in and out, what is refused, and merging.

use std::path::Path;

use tch::{Device, Kind, Tensor};

use super::test_base::{self, base};
use super::*;
use crate::Decoder;
use crate::weights::safetensors_file;

fn settings() -> AdapterConfig {
    AdapterConfig::new(4, 8.0, ModuleNames::List(vec!["q_proj".into(), "v_proj".into(), "down_proj".into()]))
}

fn trained(seed: u64) -> Adapter {
    test_base::trained(settings(), seed)
}

fn bytes(parameters: &Parameters) -> blake3::Hash {
    weights_digest(parameters).unwrap()
}

#[test]
fn a_saved_adapter_is_read_back_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let adapter = trained(1);
    adapter.save(folder.path()).unwrap();
    let again = Adapter::open(folder.path(), &base(), Device::Cpu).unwrap();
    assert_eq!(bytes(adapter.parameters()), bytes(again.parameters()));
    assert_eq!(adapter.digest().unwrap(), again.digest().unwrap());
    assert_eq!(adapter.config().targets, again.config().targets);
}

#[test]
fn the_digest_covers_weights_and_scales() {
    let adapter = trained(1);
    let scaled = AdapterConfig { alpha: 9.0, ..settings() };
    let scaled = Adapter::new(scaled, adapter.parameters().share(), &base()).unwrap();
    assert_ne!(adapter.digest().unwrap(), scaled.digest().unwrap());
    assert_ne!(adapter.digest().unwrap(), trained(2).digest().unwrap());
}

#[test]
fn a_new_adapter_changes_nothing_and_depends_on_the_seed_alone() {
    let adapter = Adapter::init(settings(), &base(), 5, Device::Cpu).unwrap();
    let model = Decoder::init(base(), 1, Device::Cpu).unwrap();
    let merged = merge(&model, &adapter).unwrap();
    assert_eq!(bytes(merged.model().parameters()), bytes(model.parameters()));
    let same = Adapter::init(settings(), &base(), 5, Device::Cpu).unwrap();
    assert_eq!(adapter.digest().unwrap(), same.digest().unwrap());
    let other = Adapter::init(settings(), &base(), 6, Device::Cpu).unwrap();
    assert_ne!(adapter.digest().unwrap(), other.digest().unwrap());
    let (_, down) = adapter.parameters().iter().find(|(name, _)| name.contains("0.mlp.down_proj.lora_A")).unwrap();
    let bound = 1.0 / 40f64.sqrt();
    let (most, deviation) = (down.abs().max().double_value(&[]), down.std(true).double_value(&[]));
    assert!(most <= bound && most > 0.9 * bound, "{most} and {bound}");
    assert!((deviation * 3f64.sqrt() / bound - 1.0).abs() < 0.15, "{deviation}");
}

#[test]
fn unmerging_gives_the_base_back_bit_for_bit() {
    for kind in [Kind::Float, Kind::BFloat16] {
        let model = Decoder::init(base(), 3, Device::Cpu).unwrap().copy_to(kind, Device::Cpu).unwrap();
        let before = bytes(model.parameters());
        let merged = merge(&model, &trained(1)).unwrap();
        assert_ne!(bytes(merged.model().parameters()), before);
        assert_eq!(bytes(model.parameters()), before, "the base itself is untouched");
        drop(model);
        assert_eq!(bytes(merged.unmerge().unwrap().parameters()), before, "{kind:?}");
    }
}

#[test]
fn merging_adds_the_scaled_product() {
    let model = Decoder::init(base(), 3, Device::Cpu).unwrap();
    let adapter = trained(1);
    let merged = merge(&model, &adapter).unwrap();
    let name = "model.layers.1.self_attn.v_proj";
    let of = |model: &Decoder| model.parameters().get(&format!("{name}.weight")).unwrap().to_kind(Kind::Double);
    let update = adapter.update(name).unwrap();
    let product = update.up.to_kind(Kind::Double).matmul(&update.down.to_kind(Kind::Double)) * 2.0;
    let error = (of(merged.model()) - of(&model) - product).abs().max().double_value(&[]);
    assert!(error < 1e-6, "{error}");
}

#[test]
fn merging_into_another_base_is_refused() {
    let smaller = ModelConfig { num_hidden_layers: 1, ..base() };
    let model = Decoder::init(smaller, 3, Device::Cpu).unwrap();
    let error = merge(&model, &trained(1)).unwrap_err().to_string();
    assert!(error.contains("belongs to layer 1") && error.contains("layers 0 to 0"), "{error}");
}

/// The error of opening the adapter after `change` was made to its weights.
fn refused(change: impl FnOnce(&mut Vec<(String, Tensor)>)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let adapter = trained(1);
    adapter.save(folder.path()).unwrap();
    let mut tensors: Vec<_> =
        adapter.parameters().iter().map(|(name, tensor)| (name.to_owned(), tensor.shallow_clone())).collect();
    change(&mut tensors);
    let path = folder.path().join("adapter_model.safetensors");
    safetensors_file::write(&path, &tensors.into_iter().collect()).unwrap();
    let error = Adapter::open(folder.path(), &base(), Device::Cpu).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("adapter_model.safetensors"), "{text}");
    let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    format!("{text}: {source}")
}

const DOWN: &str = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight";

fn of<'a>(tensors: &'a mut [(String, Tensor)], name: &str) -> &'a mut Tensor {
    &mut tensors.iter_mut().find(|(found, _)| found == name).unwrap().1
}

#[test]
fn what_does_not_fit_the_base_is_refused_by_name() {
    let half = refused(|tensors| tensors.retain(|(name, _)| name != DOWN));
    assert!(half.contains(DOWN) && half.contains("other half") && half.contains("[4, 24]"), "{half}");
    let shape = refused(|tensors| *of(tensors, DOWN) = Tensor::zeros([3, 24], (Kind::Float, Device::Cpu)));
    assert!(shape.contains(DOWN) && shape.contains("[3, 24]") && shape.contains("[4, 24]"), "{shape}");
    let module = refused(|tensors| tensors[0].0 = DOWN.replace("q_proj", "c_attn"));
    assert!(module.contains("c_attn") && module.contains("q_proj, up_proj"), "{module}");
    let target = refused(|tensors| tensors[0].0 = DOWN.replace("q_proj", "k_proj"));
    assert!(target.contains("k_proj") && target.contains("target_modules"), "{target}");
    let layer = refused(|tensors| tensors[0].0 = DOWN.replace("layers.0", "layers.7"));
    assert!(layer.contains("layer 7") && layer.contains("layers 0 to 1"), "{layer}");
    let name = refused(|tensors| tensors[0].0 = "base_model.model.lm_head.weight".to_owned());
    assert!(name.contains("no part of a plain LoRA adapter"), "{name}");
    let nan = refused(|tensors| *of(tensors, DOWN) = Tensor::full([4, 24], f64::NAN, (Kind::Float, Device::Cpu)));
    assert!(nan.contains(DOWN) && nan.contains("finite"), "{nan}");
}

#[test]
fn an_absent_module_of_the_settings_is_missed() {
    let missing = refused(|tensors| tensors.retain(|(name, _)| !name.contains("layers.1.mlp")));
    assert!(missing.contains("layers.1.mlp.down_proj.lora_A") && missing.contains("target_modules"), "{missing}");
}

#[test]
fn incomplete_folders_are_refused_by_file() {
    let error = |path: &Path| Adapter::open(path, &base(), Device::Cpu).unwrap_err().to_string();
    let folder = tempfile::tempdir().unwrap();
    assert!(error(&folder.path().join("nowhere")).contains("there is no adapter folder"));
    assert!(error(folder.path()).contains("lacks") && error(folder.path()).contains("adapter_config.json"));
    trained(1).save(folder.path()).unwrap();
    let weights = folder.path().join("adapter_model.safetensors");
    std::fs::rename(&weights, folder.path().join("adapter_model.bin")).unwrap();
    assert!(error(folder.path()).contains("pickled"));
    std::fs::write(&weights, b"garbage of some length").unwrap();
    assert!(error(folder.path()).contains("adapter_model.safetensors"));
}

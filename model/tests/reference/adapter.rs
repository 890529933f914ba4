//! LoRA adapters against PEFT: what it saves is read, what we save it loads, and the numbers are the same.

use std::path::Path;

use galapagos_model::lora::{Adapter, merge};
use galapagos_model::{Decoder, ModelFolder, Precision, weights_digest};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

use crate::python::{Made, Shape, ask, max_difference, padded, sequences, tensors};

/// Ranks, targets, scales and patterns of adapters of a Llama.
fn settings() -> Vec<Value> {
    vec![
        json!({"r": 1, "lora_alpha": 1, "target_modules": ["q_proj", "v_proj"]}),
        json!({"r": 4, "lora_alpha": 7, "target_modules": "all-linear"}),
        json!({"r": 16, "lora_alpha": 8, "target_modules": "all-linear", "use_rslora": true}),
        json!({
            "r": 4, "lora_alpha": 8, "target_modules": r".*\.(o|up|down)_proj", "rank_pattern": {"o_proj": 2},
            "alpha_pattern": {r"layers\.1\.mlp\.up_proj": 3}, "exclude_modules": ["layers.0.mlp.down_proj"],
        }),
        json!({"r": 3, "lora_alpha": 6, "target_modules": ["k_proj", "gate_proj"], "layers_to_transform": [0]}),
    ]
}

/// Logits of each sequence with the adapter, computed as one right-padded batch.
fn adapted_logits(model: &Decoder, adapter: &Adapter, sequences: &[Vec<u32>]) -> Vec<Tensor> {
    let tokens = padded(sequences);
    let (_, time) = tokens.size2().unwrap();
    let hidden = model.adapted_hidden_states(adapter, &tokens, Precision::F32).unwrap();
    let rows = |(index, sequence): (i64, &Vec<u32>)| {
        let rows = Tensor::arange_start(index * time, index * time + sequence.len() as i64, (Kind::Int64, Device::Cpu));
        model.logits_at(&hidden, &rows, Precision::F32).unwrap()
    };
    (0i64..).zip(sequences).map(rows).collect()
}

/// Checks adapters of `base` with these settings against PEFT.
fn check(base: &ModelFolder, settings: &[Value]) {
    let _no_gradients = tch::no_grad_guard();
    let out = tempfile::tempdir().unwrap();
    let file = |kind: &str, index: usize| out.path().join(format!("{kind}{index}"));
    let make = |(index, settings): (usize, &Value)| json!({"do": "make_adapter", "base": base.path(), "folder": file("made", index), "config": settings, "seed": index});
    ask(&settings.iter().enumerate().map(make).collect::<Vec<_>>());
    let adapters: Vec<Adapter> = (0..settings.len())
        .map(|index| Adapter::open(&file("made", index), base.config(), Device::Cpu).unwrap())
        .collect();
    let sequences = sequences(base.config().vocab_size, &[3, 21]);
    let request = |(index, adapter): (usize, &Adapter)| {
        adapter.save(&file("saved", index)).unwrap();
        json!({
            "do": "adapted", "base": base.path(), "adapter": file("saved", index), "sequences": sequences,
            "out": file("logits", index), "merged": file("merged", index),
        })
    };
    ask(&adapters.iter().enumerate().map(request).collect::<Vec<_>>());
    let model = base.load(Device::Cpu).unwrap().copy_to(Kind::Float, Device::Cpu).unwrap();
    for (index, adapter) in adapters.iter().enumerate() {
        assert_eq!(stored(&file("made", index)), stored(&file("saved", index)), "adapter {index} is saved as it was");
        let expected = tensors(&file("logits", index));
        for (sequence, found) in adapted_logits(&model, adapter, &sequences).iter().enumerate() {
            let difference = max_difference(found, &expected[&sequence.to_string()]);
            assert!(difference <= 2e-4, "adapter {index}: logits differ by {difference}");
        }
        let merged = merge(&model, adapter).unwrap();
        for (name, expected) in tensors(&file("merged", index)) {
            let difference = max_difference(merged.model().parameters().get(&name).unwrap(), &expected);
            assert!(difference <= 1e-6, "adapter {index}: {name} differs by {difference}");
        }
        let digest = |model: &Decoder| weights_digest(model.parameters()).unwrap();
        assert_ne!(digest(merged.model()), digest(&model));
        assert_eq!(digest(&merged.unmerge().unwrap()), digest(&model));
    }
}

/// The tensors of an adapter's folder.
fn stored(folder: &Path) -> String {
    let tensors = tensors(&folder.join("adapter_model.safetensors"));
    weights_digest(&tensors.into_iter().collect()).unwrap().to_hex().to_string()
}

#[test]
fn reference_adapters_of_a_llama() {
    let [made] = Made::all([Shape::UNTIED]);
    check(&made.open(), &settings());
}

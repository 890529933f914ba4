//! LoRA adapters against PEFT: what it saves is read, what we save it loads, and the numbers are the same.

use std::path::Path;

use galapagos_model::lora::{Adapter, merge};
use galapagos_model::{Decoder, ModelFolder, Precision, weights_digest};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

use crate::python::{ask, max_difference, padded, sequences, single_thread, tensors, write_tokenizer};

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

const VOCABULARY: usize = 40;

/// Bases and what to adapt in them. Beside Llama: GPT-2 stores weights transposed and has queries, keys and values in one; Gemma 2
/// has norms behind its projections, Qwen 2 biases.
fn bases() -> [(Value, Vec<Value>); 4] {
    let common = |model_type: &str| {
        json!({
            "model_type": model_type, "vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 56,
            "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8,
            "max_position_embeddings": 64, "bos_token_id": null, "eos_token_id": 1, "pad_token_id": 0,
        })
    };
    let all = || json!({"r": 3, "lora_alpha": 5, "target_modules": "all-linear"});
    let gpt2 = json!({
        "model_type": "gpt2", "vocab_size": VOCABULARY, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64,
        "bos_token_id": null, "eos_token_id": 1, "pad_token_id": 0,
    });
    let some = json!({"r": 4, "lora_alpha": 4, "target_modules": ["c_attn"], "fan_in_fan_out": true});
    [
        (common("llama"), settings()),
        (gpt2, vec![some, all()]),
        (common("gemma2"), vec![all()]),
        (common("qwen2"), vec![all()]),
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

#[test]
fn reference_adapters_of_several_families() {
    single_thread();
    let _no_gradients = tch::no_grad_guard();
    let out = tempfile::tempdir().unwrap();
    let file = |kind: &str, index: usize| out.path().join(format!("{kind}{index}"));
    let (configs, settings): (Vec<Value>, Vec<Vec<Value>>) = bases().into_iter().unzip();
    let cases: Vec<(usize, Value)> =
        (0..).zip(settings).flat_map(|(base, all)| all.into_iter().map(move |settings| (base, settings))).collect();
    let base = |(index, config): (usize, &Value)| json!({"do": "make_base", "folder": file("base", index), "config": config, "seed": 5});
    let make = |(index, (base, settings)): (usize, &(usize, Value))| json!({"do": "make_adapter", "base": file("base", *base), "folder": file("made", index), "config": settings, "seed": index});
    let requests = configs.iter().enumerate().map(base).chain(cases.iter().enumerate().map(make));
    ask(&requests.collect::<Vec<_>>());
    let folders = (0..configs.len()).map(|index| {
        write_tokenizer(&file("base", index), VOCABULARY);
        ModelFolder::open(&file("base", index)).unwrap()
    });
    let folders: Vec<ModelFolder> = folders.collect();
    let cases: Vec<&ModelFolder> = cases.iter().map(|(base, _)| &folders[*base]).collect();
    let open = |(index, base): (usize, &&ModelFolder)| {
        Adapter::open(&file("made", index), base.config(), Device::Cpu).unwrap()
    };
    let adapters: Vec<Adapter> = cases.iter().enumerate().map(open).collect();
    let sequences = sequences(VOCABULARY, &[3, 21]);
    let request = |(index, adapter): (usize, &Adapter)| {
        adapter.save(&file("saved", index)).unwrap();
        json!({
            "do": "adapted", "base": cases[index].path(), "adapter": file("saved", index), "sequences": sequences,
            "out": file("logits", index), "merged": file("merged", index),
        })
    };
    ask(&adapters.iter().enumerate().map(request).collect::<Vec<_>>());
    for (index, adapter) in adapters.iter().enumerate() {
        assert_eq!(stored(&file("made", index)), stored(&file("saved", index)), "adapter {index} is saved as it was");
        let model = cases[index].load(Device::Cpu).unwrap();
        let expected = tensors(&file("logits", index));
        for (sequence, found) in adapted_logits(&model, adapter, &sequences).iter().enumerate() {
            let difference = max_difference(found, &expected[&sequence.to_string()]);
            assert!(difference <= 2e-4, "adapter {index}: logits differ by {difference}");
        }
        check_merging(&model, adapter, &file("merged", index));
    }
}

/// The merged weights are those that PEFT merged, and unmerging gives the base back.
fn check_merging(model: &Decoder, adapter: &Adapter, expected: &Path) {
    let merged = merge(model, adapter).unwrap();
    for (name, expected) in tensors(expected) {
        let difference = max_difference(merged.model().parameters().get(&name).unwrap(), &expected);
        assert!(difference <= 1e-6, "{name} differs by {difference}");
    }
    let digest = |model: &Decoder| weights_digest(model.parameters()).unwrap();
    assert_ne!(digest(merged.model()), digest(model));
    assert_eq!(digest(&merged.unmerge().unwrap()), digest(model));
}

/// The tensors of an adapter's folder.
fn stored(folder: &Path) -> String {
    let tensors = tensors(&folder.join("adapter_model.safetensors"));
    weights_digest(&tensors.into_iter().collect()).unwrap().to_hex().to_string()
}

//! Folders written here and read by `transformers`.

use galapagos_model::{Decoder, ModelConfig, ModelFolder, ModelKind, SaveOptions, weights_digest};
use serde_json::json;
use tch::Device;

use crate::python::{Made, Shape, ask, character_tokenizer, max_difference, sequences, single_thread, tensors};

#[test]
fn reference_saved_folders_give_the_same_logits_and_the_same_bytes() {
    for made in Made::all([Shape::UNTIED, Shape::SINGLE_KEY]) {
        let folder = made.open();
        let model = folder.load(Device::Cpu).unwrap();
        let saved = tempfile::tempdir().unwrap();
        ModelFolder::save(saved.path(), &model, folder.tokenizer()).unwrap();

        let reopened = ModelFolder::open(saved.path()).unwrap();
        assert_eq!(reopened.config(), folder.config());
        assert_eq!(reopened.tokenizer().files(), folder.tokenizer().files());
        let digest = weights_digest(model.parameters()).unwrap();
        assert_eq!(weights_digest(reopened.load(Device::Cpu).unwrap().parameters()).unwrap(), digest);

        let split = tempfile::tempdir().unwrap();
        let options = SaveOptions { max_shard_bytes: Some(20_000) };
        ModelFolder::save_with(split.path(), &model, folder.tokenizer(), &options).unwrap();
        assert!(split.path().join("model.safetensors.index.json").is_file());

        let out = tempfile::tempdir().unwrap();
        let files = ["before", "after", "split"].map(|name| out.path().join(name));
        let sequences = sequences(folder.config().vocab_size, &[20]);
        ask(&[
            json!({"do": "logits", "folder": made.path(), "sequences": sequences, "out": files[0]}),
            json!({"do": "logits", "folder": saved.path(), "sequences": sequences, "out": files[1]}),
            json!({"do": "logits", "folder": split.path(), "sequences": sequences, "out": files[2]}),
        ]);
        for written in &files[1..] {
            assert_eq!(max_difference(&tensors(&files[0])["0"], &tensors(written)["0"]), 0.0);
        }
    }
}

#[test]
fn reference_a_model_made_from_scratch_loads_in_transformers() {
    single_thread();
    let config = ModelConfig {
        kind: ModelKind::CausalLm,
        vocab_size: 24,
        hidden_size: 32,
        intermediate_size: 64,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim: 8,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        max_position_embeddings: 64,
        tie_word_embeddings: true,
        initializer_range: 0.1,
        bos_token_id: None,
        eos_token_ids: vec![1],
        pad_token_id: Some(0),
        ..ModelConfig::default()
    };
    let model = Decoder::init(config, 3, Device::Cpu).unwrap();
    let saved = tempfile::tempdir().unwrap();
    ModelFolder::save(saved.path(), &model, &character_tokenizer(24)).unwrap();
    let sequences = sequences(24, &[30]);
    let out = saved.path().join("logits");
    ask(&[json!({"do": "logits", "folder": saved.path(), "sequences": sequences, "out": out})]);
    let tokens = crate::python::padded(&sequences);
    let hidden = model.hidden_states(&tokens, galapagos_model::Precision::F32).unwrap();
    let rows = tch::Tensor::arange(30, (tch::Kind::Int64, Device::Cpu));
    let logits = model.logits_at(&hidden, &rows, galapagos_model::Precision::F32).unwrap();
    assert!(max_difference(&logits, &tensors(&out)["0"]) <= 2e-4);
}

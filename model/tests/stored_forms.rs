//! The forms a folder's weights come in: several files, a tied projection stored twice, names without their beginning; and every way
//! in which several files can contradict each other.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use galapagos_model::{Decoder, Family, ModelConfig, ModelFolder, Parameters, SaveOptions, Tokenizer, weights_digest};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

const ALPHABET: &str = "0123456789>=+- abcdef\nxyz";
const INDEX: &str = "model.safetensors.index.json";

fn config(family: Family) -> ModelConfig {
    ModelConfig {
        family,
        vocab_size: ALPHABET.chars().count() + 2,
        hidden_size: 16,
        intermediate_size: 24,
        num_hidden_layers: 2,
        num_attention_heads: 2,
        num_key_value_heads: 2,
        head_dim: 8,
        max_position_embeddings: 64,
        tie_word_embeddings: true,
        attention_bias: family == Family::Gpt2,
        mlp_bias: family == Family::Gpt2,
        eos_token_ids: vec![1],
        ..ModelConfig::default()
    }
}

fn model(family: Family) -> Decoder {
    tch::set_num_threads(1);
    Decoder::init(config(family), 1, Device::Cpu).unwrap()
}

fn tokenizer() -> Tokenizer {
    Tokenizer::characters(ALPHABET).unwrap()
}

fn digest(parameters: &Parameters) -> String {
    weights_digest(parameters).unwrap().to_string()
}

/// A folder of several files of at most 2,000 bytes of tensors.
fn sharded() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let options = SaveOptions { max_shard_bytes: Some(2000) };
    ModelFolder::save_with(folder.path(), &model(Family::Llama), &tokenizer(), &options).unwrap();
    folder
}

fn index(folder: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join(INDEX)).unwrap()).unwrap()
}

fn edit_index(folder: &Path, edit: impl FnOnce(&mut serde_json::Map<String, Value>)) {
    let mut index = index(folder);
    edit(index["weight_map"].as_object_mut().unwrap());
    std::fs::write(folder.join(INDEX), index.to_string()).unwrap();
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn error_of(folder: &Path) -> String {
    let error = ModelFolder::open(folder).unwrap_err();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Rewrites the single file of `folder` with other tensors.
fn rewrite(folder: &Path, change: impl FnOnce(&mut BTreeMap<String, Tensor>)) {
    let path = folder.join("model.safetensors");
    let mut tensors: BTreeMap<String, Tensor> = Tensor::read_safetensors(&path).unwrap().into_iter().collect();
    change(&mut tensors);
    let pairs: Vec<(String, Tensor)> = tensors.into_iter().collect();
    Tensor::write_safetensors(&pairs, &path).unwrap();
}

#[test]
fn several_files_hold_what_one_holds() {
    let folder = sharded();
    let expected = digest(model(Family::Llama).parameters());
    let read = |folder: &Path| digest(ModelFolder::open(folder).unwrap().load(Device::Cpu).unwrap().parameters());
    assert_eq!(read(folder.path()), expected);
    let shards: Vec<String> = names(folder.path()).into_iter().filter(|name| name.starts_with("model-")).collect();
    assert!(shards.len() > 3 && shards[0] == format!("model-00001-of-{:05}.safetensors", shards.len()), "{shards:?}");
    let total: u64 = model(Family::Llama).parameters().iter().map(|(_, tensor)| tensor.numel() as u64 * 4).sum();
    assert_eq!(index(folder.path())["metadata"]["total_size"], json!(total));

    // One file replaces them all, and the other way round.
    ModelFolder::save(folder.path(), &model(Family::Llama), &tokenizer()).unwrap();
    assert!(names(folder.path()).iter().all(|name| !name.starts_with("model-") && name != INDEX));
    assert_eq!(read(folder.path()), expected);
    let options = SaveOptions { max_shard_bytes: Some(4000) };
    ModelFolder::save_with(folder.path(), &model(Family::Llama), &tokenizer(), &options).unwrap();
    assert!(!names(folder.path()).contains(&"model.safetensors".to_owned()));
    assert_eq!(read(folder.path()), expected);
}

type Spoil = fn(&Path);

#[test]
fn files_that_contradict_the_index_are_named() {
    let cases: [(Spoil, &[&str]); 6] = [
        (
            |folder| std::fs::remove_file(folder.join("model-00002-of-00015.safetensors")).unwrap(),
            &["model-00002-of-00015.safetensors: the file is missing"],
        ),
        (
            |folder| edit_index(folder, |map| drop(map.remove("model.norm.weight"))),
            &["holds tensor `model.norm.weight`", "does not name"],
        ),
        (
            |folder| edit_index(folder, |map| drop(map.insert("extra".into(), map["model.norm.weight"].clone()))),
            &["tensor `extra` is not in it"],
        ),
        (
            |folder| {
                edit_index(folder, |map| {
                    map.insert("model.norm.weight".into(), "model-00001-of-00015.safetensors".into());
                });
            },
            &["tensor `model.norm.weight` is not in it", "model-00001"],
        ),
        (
            |folder| edit_index(folder, |map| drop(map.insert("model.norm.weight".into(), "../x.safetensors".into()))),
            &["`../x.safetensors` must name a .safetensors file beside the index"],
        ),
        (|folder| std::fs::write(folder.join(INDEX), "{\"weight_map\": {}}").unwrap(), &["`weight_map` must say"]),
    ];
    for (spoil, expected) in cases {
        let folder = sharded();
        assert!(
            names(folder.path()).contains(&"model-00015-of-00015.safetensors".to_owned()),
            "{:?}",
            names(folder.path())
        );
        spoil(folder.path());
        let text = error_of(folder.path());
        assert!(expected.iter().all(|part| text.contains(part)), "{text}");
    }
}

#[test]
fn a_tied_projection_that_is_stored_too_must_be_the_embedding() {
    let folder = tempfile::tempdir().unwrap();
    let model = model(Family::Llama);
    ModelFolder::save(folder.path(), &model, &tokenizer()).unwrap();
    rewrite(folder.path(), |tensors| {
        tensors.insert("lm_head.weight".into(), tensors["model.embed_tokens.weight"].copy());
    });
    let read = ModelFolder::open(folder.path()).unwrap().load(Device::Cpu).unwrap();
    assert_eq!(digest(read.parameters()), digest(model.parameters()));
    rewrite(folder.path(), |tensors| {
        tensors.insert("lm_head.weight".into(), &tensors["model.embed_tokens.weight"] + 1.0);
    });
    let error = ModelFolder::open(folder.path()).unwrap().load(Device::Cpu).unwrap_err();
    let text = error.source().unwrap().to_string();
    assert!(text.contains("`lm_head.weight` and `model.embed_tokens.weight` differ"), "{text}");
}

#[test]
fn names_without_their_beginning_and_stored_masks_are_understood() {
    let folder = tempfile::tempdir().unwrap();
    let model = model(Family::Gpt2);
    ModelFolder::save(folder.path(), &model, &tokenizer()).unwrap();
    rewrite(folder.path(), |tensors| {
        let bare = std::mem::take(tensors)
            .into_iter()
            .map(|(name, tensor)| (name.strip_prefix("transformer.").unwrap().to_owned(), tensor));
        *tensors = bare.collect();
        tensors.insert("h.0.attn.bias".into(), Tensor::ones([1, 1, 4, 4], (Kind::Float, Device::Cpu)));
    });
    let read = ModelFolder::open(folder.path()).unwrap().load(Device::Cpu).unwrap();
    assert_eq!(digest(read.parameters()), digest(model.parameters()));
    rewrite(folder.path(), |tensors| {
        tensors.insert("transformer.wte.weight".into(), tensors["wte.weight"].copy());
    });
    let text = error_of(folder.path());
    assert!(text.contains("are the same one"), "{text}");
}

#[test]
fn special_tokens_of_the_generation_config_count() {
    let folder = tempfile::tempdir().unwrap();
    ModelFolder::save(folder.path(), &model(Family::Llama), &tokenizer()).unwrap();
    let path = folder.path().join("generation_config.json");
    let set = |value: Value| std::fs::write(&path, value.to_string()).unwrap();
    set(json!({"eos_token_id": [1, 7], "pad_token_id": 0, "temperature": 0.6}));
    let config = ModelFolder::open(folder.path()).unwrap().config().clone();
    assert_eq!((config.eos_token_ids, config.pad_token_id), (vec![1, 7], Some(0)));
    set(json!({"eos_token_id": 99}));
    let text = error_of(folder.path());
    assert!(text.contains("generation_config.json") && text.contains("below vocab_size (27)"), "{text}");
    std::fs::remove_file(&path).unwrap();
    assert_eq!(ModelFolder::open(folder.path()).unwrap().config().eos_token_ids, [1]);
}

/// A vocabulary alone makes a tokenizer; what is written from it has the newer form, and nothing of the older one stays behind.
#[test]
fn older_tokenizers_open_and_are_written_in_the_newer_form() {
    let gpt2 = model(Family::Gpt2);
    let folder = tempfile::tempdir().unwrap();
    ModelFolder::save(folder.path(), &gpt2, &tokenizer()).unwrap();
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        std::fs::remove_file(folder.path().join(name)).unwrap();
    }
    let letters = (2..27).zip('a'..).map(|(id, letter)| (letter.to_string(), Value::from(id)));
    let special = [("<|endoftext|>".to_owned(), 1.into()), ("ab".to_owned(), 0.into())];
    let vocabulary = letters.chain(special).collect::<serde_json::Map<_, _>>();
    std::fs::write(folder.path().join("vocab.json"), Value::Object(vocabulary).to_string()).unwrap();
    let error = ModelFolder::open(folder.path()).unwrap_err();
    assert!(error.to_string().contains("tokenizer.json"), "merges are missing: {error}");
    std::fs::write(folder.path().join("merges.txt"), "#version: 0.2\na b\n").unwrap();

    let opened = ModelFolder::open(folder.path()).unwrap();
    assert_eq!(opened.tokenizer().encode("abc<|endoftext|>b").unwrap(), [0, 4, 1, 3]);
    assert_eq!(opened.tokenizer().eos(), Some(1));
    let written = tempfile::tempdir().unwrap();
    ModelFolder::save(written.path(), &gpt2, opened.tokenizer()).unwrap();
    assert!(names(written.path()).contains(&"tokenizer.json".to_owned()));
    assert_eq!(ModelFolder::open(written.path()).unwrap().tokenizer().files(), opened.tokenizer().files());
    ModelFolder::save(written.path(), &gpt2, &tokenizer()).unwrap();
    let left: Vec<String> = names(written.path()).into_iter().filter(|name| name.contains("vocab")).collect();
    assert_eq!(left, Vec::<String>::new());
}

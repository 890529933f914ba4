//! Every way in which a model folder can be wrong gives an error that names what is wrong.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests may panic")]

use std::error::Error;
use std::path::{Path, PathBuf};

use galapagos_model::{
    Decoder, FolderError, ModelConfig, ModelFolder, ModelKind, Tokenizer, WeightsError, weights_digest,
};
use tch::Device;

const ALPHABET: &str = "0123456789>=+- abcdef\nxyz";

fn config() -> ModelConfig {
    ModelConfig {
        kind: ModelKind::CausalLm,
        vocab_size: ALPHABET.chars().count() + 2,
        hidden_size: 16,
        intermediate_size: 24,
        num_hidden_layers: 2,
        num_attention_heads: 2,
        num_key_value_heads: 1,
        head_dim: 8,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        max_position_embeddings: 64,
        tie_word_embeddings: true,
        initializer_range: 0.02,
        bos_token_id: None,
        eos_token_ids: vec![1],
        pad_token_id: Some(0),
        ..ModelConfig::default()
    }
}

/// A good folder, to be spoiled.
fn good() -> tempfile::TempDir {
    tch::set_num_threads(1);
    let folder = tempfile::tempdir().unwrap();
    let model = Decoder::init(config(), 1, Device::Cpu).unwrap();
    ModelFolder::save(folder.path(), &model, &Tokenizer::characters(ALPHABET).unwrap()).unwrap();
    ModelFolder::open(folder.path()).unwrap();
    folder
}

type Spoil = fn(&Path);

/// Opens a folder after `spoil` and gives the error with its causes.
fn error_after(spoil: impl FnOnce(&Path)) -> (FolderError, String) {
    let folder = good();
    spoil(folder.path());
    let error = ModelFolder::open(folder.path()).expect_err("a spoiled folder must be refused");
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    (error, text)
}

fn edit(path: PathBuf, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(&path).unwrap();
    change(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

/// Changes the safetensors header as text of the same length.
fn edit_header(folder: &Path, from: &str, to: &str) {
    assert_eq!(from.len(), to.len());
    edit(folder.join("model.safetensors"), |bytes| {
        let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    });
}

fn edit_config(folder: &Path, field: &str, value: serde_json::Value) {
    edit(folder.join("config.json"), |bytes| {
        let mut config: serde_json::Value = serde_json::from_slice(bytes).unwrap();
        config[field] = value;
        *bytes = config.to_string().into_bytes();
    });
}

#[test]
fn a_missing_folder_and_missing_files_are_named() {
    let nowhere = ModelFolder::open(Path::new("/nonexistent/model")).unwrap_err();
    assert!(matches!(&nowhere, FolderError::NoFolder { path } if path.ends_with("model")), "{nowhere}");
    for name in ["config.json", "tokenizer.json", "model.safetensors"] {
        let (error, text) = error_after(|folder| std::fs::remove_file(folder.join(name)).unwrap());
        assert!(matches!(&error, FolderError::NoFile { path, .. } if path.ends_with(name)), "{text}");
    }
    let (_, text) = error_after(|folder| {
        std::fs::rename(folder.join("model.safetensors"), folder.join("pytorch_model.bin")).unwrap();
    });
    assert!(text.contains("can run any code") && text.contains("save_pretrained"), "{text}");
}

#[test]
fn corrupt_safetensors_are_refused_before_any_tensor_is_read() {
    let spoiled: [(&str, Spoil, &str); 6] = [
        ("empty", |f| edit(f.join("model.safetensors"), Vec::clear), "describes 8 bytes but the file has 0"),
        ("cut in the header", |f| edit(f.join("model.safetensors"), |b| b.truncate(100)), "the file has 100"),
        ("cut in the data", |f| edit(f.join("model.safetensors"), |b| b.truncate(b.len() - 1)), "but the file has"),
        ("too long", |f| edit(f.join("model.safetensors"), |b| b.push(0)), "but the file has"),
        ("not JSON", |f| edit(f.join("model.safetensors"), |b| b[8] = b'x'), "header cannot be used"),
        ("bad offsets", |f| edit_header(f, "\"data_offsets\":[0,", "\"data_offsets\":[4,"), "offset"),
    ];
    for (what, spoil, expected) in spoiled {
        let (error, text) = error_after(spoil);
        assert!(matches!(&error, FolderError::Weights { .. }), "{what}: {text}");
        assert!(text.contains(expected) && text.contains("model.safetensors"), "{what}: {text}");
    }
}

#[test]
fn tensors_that_do_not_fit_the_configuration_are_named() {
    let weights = |(error, text): (FolderError, String)| match error {
        FolderError::Weights { source, .. } => *source,
        _ => panic!("{text}"),
    };
    let layers = |count: u64| weights(error_after(|f| edit_config(f, "num_hidden_layers", count.into())));
    match layers(3) {
        WeightsError::Missing { name, .. } => assert!(name.starts_with("model.layers.2."), "{name}"),
        other => panic!("{other}"),
    }
    match layers(1) {
        WeightsError::Unknown { name, .. } => assert!(name.starts_with("model.layers.1."), "{name}"),
        other => panic!("{other}"),
    }
    match weights(error_after(|f| edit_config(f, "intermediate_size", 20.into()))) {
        WeightsError::Shape { name, found, expected } => {
            assert!(name.ends_with("mlp.down_proj.weight"), "{name}");
            assert_eq!((found, expected), (vec![16, 24], vec![16, 20]));
        }
        other => panic!("{other}"),
    }
    let renamed = weights(error_after(|f| edit_header(f, "model.norm.weight", "model.nurm.weight")));
    assert!(matches!(&renamed, WeightsError::Missing { name, .. } if name == "model.norm.weight"), "{renamed}");
    let integers = weights(error_after(|f| {
        for _ in 0..20 {
            edit_header(f, "\"dtype\":\"F32\"", "\"dtype\":\"I32\"");
        }
    }));
    assert!(matches!(&integers, WeightsError::Dtype { dtype, .. } if dtype == "I32"), "{integers}");
}

#[test]
fn a_tokenizer_of_another_model_is_refused() {
    let put = |folder: &Path, alphabet: &str| {
        let tokenizer = Tokenizer::characters(alphabet).unwrap();
        std::fs::write(folder.join("tokenizer.json"), &tokenizer.files()["tokenizer.json"]).unwrap();
    };
    for alphabet in ["abcdef", &format!("{ALPHABET}!")] {
        let (error, text) = error_after(|folder| put(folder, alphabet));
        assert!(matches!(error, FolderError::WrongTokenizer { .. }), "{text}");
        assert!(text.contains("embedding has 27 rows"), "{text}");
    }
    let (error, text) = error_after(|folder| {
        edit_config(folder, "eos_token_id", 5.into());
        std::fs::remove_file(folder.join("generation_config.json")).unwrap();
    });
    assert!(matches!(error, FolderError::WrongTokenizer { .. }), "{text}");
    assert!(text.contains("end-of-sequence token has id 1"), "{text}");
    let (error, text) = error_after(|folder| edit(folder.join("tokenizer.json"), |bytes| bytes.truncate(50)));
    assert!(matches!(error, FolderError::Tokenizer { .. }), "{text}");
}

#[test]
fn configurations_that_are_not_implemented_are_refused_by_field() {
    let rope = |kind: &str, extra: &str| serde_json::json!({"rope_type": kind, "factor": 2.0, extra: 1.0});
    let refused = [
        ("model_type", "mamba".into(), "`model_type` is \"mamba\"; only \"llama\""),
        ("rope_scaling", serde_json::json!({"type": "linear", "factor": 2.0}), "the same as `rope_parameters`"),
        ("rope_parameters", rope("longrope", "rope_theta"), "`rope_parameters.rope_type` is \"longrope\""),
        ("rope_parameters", rope("linear", "low_freq_factor"), "`rope_parameters.low_freq_factor`"),
        ("rope_parameters", rope("llama3", "rope_theta"), "`low_freq_factor` is missing"),
        ("rope_parameters", serde_json::json!({"rope_type": "linear", "factor": 0.5}), "`factor` is 0.5"),
        ("quantization_config", serde_json::json!({"bits": 4}), "`quantization_config`"),
        ("sliding_window", 16.into(), "`sliding_window` is 16"),
        ("attention_bias", "yes".into(), "true or false"),
        ("hidden_act", "tanh".into(), "`hidden_act` is \"tanh\""),
        ("architectures", serde_json::json!(["LlamaForQuestionAnswering"]), "`architectures`"),
        ("num_key_value_heads", 3.into(), "a divisor of num_attention_heads (2)"),
        ("head_dim", 7.into(), "even"),
        ("vocab_size", "many".into(), "a whole number"),
        ("rms_norm_eps", (-1.0).into(), "a positive number"),
        ("eos_token_id", 99.into(), "below vocab_size (27)"),
        ("hidden_size", serde_json::Value::Null, "`hidden_size` is missing"),
    ];
    for (field, value, expected) in refused {
        let (error, text) = error_after(|folder| edit_config(folder, field, value));
        assert!(matches!(error, FolderError::Config { .. }), "{field}: {text}");
        assert!(text.contains(expected), "{field}: {text}");
    }
    let (_, text) = error_after(|folder| std::fs::write(folder.join("config.json"), "[]").unwrap());
    assert!(text.contains("it is not a JSON object"), "{text}");
}

#[test]
fn biases_that_the_configuration_asks_for_must_be_there() {
    let (error, text) = error_after(|folder| edit_config(folder, "attention_bias", true.into()));
    assert!(matches!(error, FolderError::Weights { .. }), "{text}");
    assert!(text.contains("self_attn.k_proj.bias` is missing"), "{text}");
}

#[test]
fn unknown_keys_are_named_and_harmless_ones_are_not() {
    let text = |extra: &str| format!("{{{extra}, {}", &config().to_json("float32")[1..]);
    let ignored = |extra| ModelConfig::from_json_with_ignored(&text(extra)).unwrap().1;
    assert_eq!(ignored("\"transformers_version\": \"5.0\", \"hidden_dropout\": 0.1"), Vec::<String>::new());
    assert_eq!(ignored("\"residual_gate\": true, \"attention_dropout\": 0.1, \"x\": null"), ["residual_gate"]);
    assert_eq!(ignored("\"b\": false, \"a\": 1"), ["a", "b"]);
}

#[test]
fn saving_is_exact_replaces_an_older_model_and_leaves_no_other_files() {
    let folder = good();
    std::fs::write(folder.path().join("chat_template.jinja"), "another tokenizer's").unwrap();
    let critic = Decoder::init(config(), 2, Device::Cpu).unwrap().to_scalar(3).unwrap();
    ModelFolder::save(folder.path(), &critic, &Tokenizer::characters(ALPHABET).unwrap()).unwrap();
    let reopened = ModelFolder::open(folder.path()).unwrap();
    assert_eq!(reopened.config(), critic.config());
    let read = reopened.load(Device::Cpu).unwrap();
    assert_eq!(weights_digest(read.parameters()).unwrap(), weights_digest(critic.parameters()).unwrap());
    let mut names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(
        names,
        ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
    );
    let wrong = ModelFolder::save(folder.path(), &critic, &Tokenizer::characters("ab").unwrap());
    assert!(matches!(wrong, Err(FolderError::WrongTokenizer { .. })));
}

#[test]
fn the_same_seed_makes_the_same_weights() {
    let digest = |seed| weights_digest(Decoder::init(config(), seed, Device::Cpu).unwrap().parameters()).unwrap();
    assert_eq!(digest(7), digest(7));
    assert_ne!(digest(7), digest(8));
    let model = Decoder::init(config(), 7, Device::Cpu).unwrap();
    let embedding = model.parameters().get("model.embed_tokens.weight").unwrap();
    let deviation = embedding.std(false).double_value(&[]);
    assert!((deviation - 0.02).abs() < 0.002, "{deviation}");
}

//! `export`: weights in several files.

use galapagos_model::{ModelFolder, weights_digest};
use tch::Device;

use crate::process::{run, text, write_model};

#[test]
fn weights_are_split_into_files_that_load_to_the_same_weights() {
    let place = tempfile::tempdir().unwrap();
    let [model, whole, split] = ["model", "whole", "split"].map(|name| place.path().join(name));
    write_model(&model, 64);
    let export = |to: &std::path::Path, options: &[&str]| {
        run(&[&["export", model.to_str().unwrap(), to.to_str().unwrap()], options].concat())
    };
    assert!(export(&whole, &["--max-shard-size", "1GB"]).status.success());
    assert!(whole.join("model.safetensors").is_file() && !whole.join("model.safetensors.index.json").exists());

    let out = export(&split, &["--max-shard-size", "10KB", "--dtype", "bf16"]);
    assert!(out.status.success(), "{}", text(&out.stderr));
    let index = std::fs::read_to_string(split.join("model.safetensors.index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_str(&index).unwrap();
    let files: std::collections::BTreeSet<&str> =
        index["weight_map"].as_object().unwrap().values().map(|file| file.as_str().unwrap()).collect();
    assert!(files.len() > 1, "{files:?}");
    assert!(!split.join("model.safetensors").exists());
    for file in &files {
        let bytes = std::fs::metadata(split.join(file)).unwrap().len();
        assert!(bytes < 10_000 + 2_000, "{file} has {bytes} bytes, header included");
    }

    let once = place.path().join("once");
    assert!(export(&once, &["--dtype", "bf16"]).status.success());
    let digest = |folder: &std::path::Path| {
        weights_digest(ModelFolder::open(folder).unwrap().load(Device::Cpu).unwrap().parameters()).unwrap()
    };
    assert_eq!(digest(&split), digest(&once));

    let bad = export(&place.path().join("bad"), &["--max-shard-size", "5 apples"]);
    assert_eq!(bad.status.code(), Some(2));
    assert!(text(&bad.stderr).contains("5GB"), "{}", text(&bad.stderr));
}

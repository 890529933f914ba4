//! What is said before anything is computed: of devices that are not there, and of configuration keys that nothing uses.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Stdio;

use galapagos_domain::recipe::Characters;
use galapagos_domain::seed::Seed;
use galapagos_model::ModelFolder;
use galapagos_model::lora::{Adapter, AdapterConfig, ModuleNames};
use galapagos_model::probe::Probe;
use galapagos_worker::engine::Engine;
use galapagos_worker::engine::tch::TchEngine;
use serde_json::json;
use tch::{Cuda, Device};

use crate::process::{add_keys, run, text, worker, write_model};

const RECIPE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../recipes/tests/micro.yaml");

/// A command line of every command that computes.
fn computing(model: &str) -> [Vec<&str>; 4] {
    let place = ["--coordinator", "127.0.0.1:9", "--artifacts", model, "--cache", model, "--models", model];
    [
        vec!["serve", model, "--listen", "127.0.0.1:0"],
        vec!["eval", model, "--recipe", RECIPE],
        vec!["chat", model, "--raw"],
        [&["run", "--name", "w1"][..], &place].concat(),
    ]
}

#[test]
fn a_device_that_is_not_there_ends_the_program_at_once_with_what_would_be_right() {
    if Cuda::is_available() {
        // Then another number is not there, which the unit tests of `device` cover.
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    write_model(folder.path(), 64);
    for line in computing(folder.path().to_str().unwrap()) {
        let ended = run(&[&line[..], &["--device", "cuda"]].concat());
        let said = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(2), "{line:?}: {said}");
        assert!(said.contains("no CUDA device") && said.contains("--device cpu"), "{line:?}: {said}");
        let ended = run(&[&line[..], &["--device", "gpu"]].concat());
        assert_eq!(ended.status.code(), Some(2), "{line:?}");
        assert!(text(&ended.stderr).contains("cuda:N"), "{}", text(&ended.stderr));
    }
}

#[test]
fn a_model_that_does_not_compute_what_its_maker_recorded_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    write_model(folder.path(), 64);
    let model = ModelFolder::open(folder.path()).unwrap().load(Device::Cpu).unwrap();
    let mut probe = Probe::of(&model, None).unwrap();
    let place = folder.path().to_str().unwrap();
    probe.write(folder.path()).unwrap();
    let ended = run(&["chat", place, "--raw", "--device", "cpu"]);
    assert!(ended.status.success(), "{}", text(&ended.stderr));
    probe.outputs[5] -= 1.0;
    probe.write(folder.path()).unwrap();
    let [serve, _, chat, _] = computing(place);
    for line in [serve, chat] {
        let ended = run(&[&line[..], &["--device", "cpu"]].concat());
        let said = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(1), "{line:?}: {said}");
        assert!(said.contains("output 5 is") && said.contains("probe.json"), "{line:?}: {said}");
    }
}

#[test]
fn an_adapter_is_talked_to_on_its_base_and_on_no_other() {
    let place = tempfile::tempdir().unwrap();
    let [base, other, adapter, merged] = ["base", "other", "adapter", "merged"].map(|name| place.path().join(name));
    write_model(&base, 64);
    let model = ModelFolder::open(&base).unwrap().load(Device::Cpu).unwrap();
    let settings = AdapterConfig::new(2, 4.0, ModuleNames::AllLinear);
    let update = Adapter::init(settings, model.config(), 1, Device::Cpu).unwrap();
    for (name, tensor) in update.parameters().iter().filter(|(name, _)| name.contains("lora_B")) {
        let bound = if name.contains("mlp") { 0.5 } else { 0.2 };
        let _ = tensor.shallow_clone().f_uniform_(-bound, bound).unwrap();
    }
    update.save(&adapter).unwrap();
    Probe::of(&model, Some(&update)).unwrap().write(&adapter).unwrap();
    let [base, other, adapter, merged] = [&base, &other, &adapter, &merged].map(|path| path.to_str().unwrap());
    let ended = run(&["merge", base, adapter, merged]);
    assert!(ended.status.success(), "{}", text(&ended.stderr));

    let said = |line: &[&str]| {
        let mut child = worker()
            .args(line)
            .args(["--raw", "--device", "cpu", "--max-tokens", "12"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(b"31415\n").unwrap();
        child.wait_with_output().unwrap()
    };
    let [alone, on_base, whole] =
        [said(&["chat", base]), said(&["chat", adapter, "--base", base]), said(&["chat", merged])];
    assert!(on_base.status.success(), "{}", text(&on_base.stderr));
    assert_eq!(text(&on_base.stdout), text(&whole.stdout));
    assert_ne!(text(&on_base.stdout), text(&alone.stdout), "the adapter changes something");

    // Of the same shape, with the adapter's own update in its weights.
    ModelFolder::save(
        Path::new(other),
        &ModelFolder::open(Path::new(merged)).unwrap().load(Device::Cpu).unwrap(),
        ModelFolder::open(Path::new(base)).unwrap().tokenizer(),
    )
    .unwrap();
    let refused = said(&["chat", adapter, "--base", other]);
    assert!(!refused.status.success() && text(&refused.stderr).contains("probe.json"), "{}", text(&refused.stderr));
}

#[test]
fn a_folder_is_served_under_its_own_name_however_it_is_written() {
    let place = tempfile::tempdir().unwrap();
    let model = place.path().join("darwin");
    write_model(&model, 64);
    for written in [model.to_str().unwrap(), ".", "../darwin/"] {
        let mut child = worker()
            .args(["serve", written, "--listen", "127.0.0.1:0", "--device", "cpu", "--lifeline"])
            .current_dir(&model)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        // It comes once it serves, or the output ends without it.
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(line.starts_with("serving darwin at http://"), "{written}: {line:?}");
    }
}

fn adapter(model: &Path, to: &Path) {
    let folder = ModelFolder::open(model).unwrap();
    let settings = AdapterConfig::new(2, 4.0, ModuleNames::List(vec!["q_proj".into()]));
    Adapter::init(settings, folder.config(), 1, Device::Cpu).unwrap().save(to).unwrap();
}

#[test]
fn keys_of_the_configuration_that_nothing_uses_are_named_once_and_harmless_ones_are_not() {
    let place = tempfile::tempdir().unwrap();
    let [model, lora, out] = ["model", "lora", "out"].map(|name| place.path().join(name));
    // It has the characters that the recipe's tasks are written in.
    let alphabet = "0123456789>".to_owned();
    let shape = Characters { alphabet, layers: 1, hidden: 32, heads: 2, ffn: 32, context: 64, vision: None };
    TchEngine::new().initialise(&shape, Seed(1), &model).unwrap();
    adapter(&model, &lora);
    let keys = [("zeta_routing", json!(3)), ("alpha_gate", json!(true)), ("use_cache", json!(true))];
    add_keys(&model, &keys);
    let [model, lora, out] = [&model, &lora, &out].map(|path| path.to_str().unwrap());
    let merged = format!("{out}-merged");
    let lines = [
        vec!["export", model, out],
        vec!["merge", model, lora, &merged],
        vec!["eval", model, "--recipe", RECIPE, "--n", "1"],
        vec!["chat", model, "--raw"],
        // Fails after the model was read: no machine has this address.
        vec!["serve", model, "--listen", "192.0.2.1:9"],
    ];
    for line in lines {
        let said = text(&run(&line).stderr);
        let warnings: Vec<&str> = said.lines().filter(|line| line.contains("ignored keys")).collect();
        assert_eq!(warnings.len(), 1, "{line:?}: {said}");
        assert!(warnings[0].contains("config.json: ignored keys: alpha_gate, zeta_routing"), "{said}");
        assert!(warnings[0].contains("WARN") && !said.contains("use_cache"), "{said}");
    }
}

//! Adapter checkpoints in the built-in engine: one base for all of them, and clear refusals.

use std::path::{Path, PathBuf};

use galapagos_domain::ids::Digest;
use galapagos_model::engine::Engine as ModelEngine;
use galapagos_model::lora::{Adapter, merge};
use galapagos_model::{EngineOptions, ModelFolder, Precision, RunControl, Sampling};
use galapagos_worker::engine::openai::probe;
use galapagos_worker::engine::tch::TchEngine;
use galapagos_worker::engine::{Batch, CheckpointDir, Engine, EngineError, Watch};
use tch::Device;

use crate::adapter_folder::write_adapter;
use crate::engines::{adapter_checkpoint, batch, chain, checkpoint};
use crate::process::{write_model, write_model_of_width};

struct Family {
    _folder: tempfile::TempDir,
    base: PathBuf,
    adapters: Vec<PathBuf>,
}

fn family(adapters: u64) -> Family {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("base");
    write_model(&base, 1);
    let write = |seed: u64| {
        let adapter = folder.path().join(format!("adapter-{seed}"));
        write_adapter(&base, &adapter, seed, 0.3);
        adapter
    };
    let adapters = (0..adapters).map(write).collect();
    Family { adapters, base, _folder: folder }
}

/// What the model's own engine makes of `asked` with the adapter in `adapter`.
fn by_the_models_engine(base: &Path, adapter: &Path, asked: &Batch) -> Vec<galapagos_model::Completion> {
    let model = ModelFolder::open(base).unwrap().load(Device::Cpu).unwrap();
    let options = EngineOptions { precision: Precision::F32, ..EngineOptions::default() };
    let mut engine = ModelEngine::new(&model, options).unwrap();
    let adapter = Adapter::open(adapter, model.config(), Device::Cpu).unwrap();
    let adapter = Some(engine.add_adapter(&adapter).unwrap());
    let request = |request: &galapagos_worker::engine::Request| galapagos_model::Request {
        samples: request.samples as usize,
        sampling: std::sync::Arc::new(Sampling {
            top_p: request.sampling.top_p,
            ..Sampling::at(request.sampling.temperature)
        }),
        stop_tokens: std::sync::Arc::new(asked.stop.iter().copied().collect()),
        seed: request.seed.0,
        adapter,
        ..galapagos_model::Request::greedy([&asked.prefix[..], &request.prompt].concat(), asked.max_tokens as usize)
    };
    let requests: Vec<galapagos_model::Request> = asked.requests.iter().map(request).collect();
    engine.generate(&requests, &mut RunControl::default()).unwrap().into_iter().flatten().collect()
}

#[test]
fn a_population_of_adapters_is_computed_over_one_base() {
    let family = family(3);
    let mut engine = TchEngine::new().standing_on(Some(family.base.clone()));
    let mut made = Vec::new();
    for (place, folder) in family.adapters.iter().enumerate() {
        let checkpoint = adapter_checkpoint(&family.base, folder);
        let asked = batch(&checkpoint);
        let expected = by_the_models_engine(&family.base, folder, &asked);
        if place == 1 {
            // The first adapter loaded the base: it must not be read again.
            std::fs::rename(family.base.join("model.safetensors"), family.base.join("hidden")).unwrap();
        }
        let completions = engine.generate(&asked, &Watch::nobody()).unwrap();
        std::fs::rename(family.base.join("hidden"), family.base.join("model.safetensors")).ok();
        assert_eq!(completions.len(), expected.len());
        for (completion, expected) in completions.iter().zip(&expected) {
            assert_eq!(completion.tokens, expected.tokens);
            assert_eq!(completion.log_probs, expected.log_probs);
        }
        assert!(engine.codec(&checkpoint).unwrap().encode("12").is_ok(), "the base's tokenizer");
        made.push(completions);
    }
    assert!(made[0] != made[1] && made[1] != made[2], "the adapters differ");
}

#[test]
fn an_adapter_that_made_room_comes_back() {
    let family = family(66);
    let mut engine = TchEngine::new().standing_on(Some(family.base.clone()));
    let mut asked = batch(&adapter_checkpoint(&family.base, &family.adapters[0]));
    asked.requests.truncate(1);
    let first = engine.generate(&asked, &Watch::nobody()).unwrap();
    for folder in &family.adapters[1..] {
        asked.checkpoint = adapter_checkpoint(&family.base, folder);
        engine.generate(&asked, &Watch::nobody()).unwrap();
    }
    asked.checkpoint = adapter_checkpoint(&family.base, &family.adapters[0]);
    assert_eq!(engine.generate(&asked, &Watch::nobody()).unwrap(), first);
}

#[test]
fn a_probe_of_an_adapter_says_what_the_merged_model_says() {
    let family = family(2);
    let mut engine = TchEngine::new().standing_on(Some(family.base.clone()));
    let base = ModelFolder::open(&family.base).unwrap();
    let model = base.load(Device::Cpu).unwrap();
    for folder in &family.adapters {
        let adapter = Adapter::open(folder, model.config(), Device::Cpu).unwrap();
        let merged = tempfile::tempdir().unwrap();
        ModelFolder::save(merged.path(), merge(&model, &adapter).unwrap().model(), base.tokenizer()).unwrap();
        let (vocabulary, here) = engine.probe(&adapter_checkpoint(&family.base, folder), probe::sequences).unwrap();
        let (same, there) = engine.probe(&checkpoint(merged.path()), probe::sequences).unwrap();
        let (_, plain) = engine.probe(&checkpoint(&family.base), probe::sequences).unwrap();
        assert_eq!(vocabulary, same);
        let far = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(here.len() == there.len() && far(&here, &there) <= 1e-3, "{}", far(&here, &there));
        assert!(far(&here, &plain) > 0.05, "the adapter changes something: {}", far(&here, &plain));
    }
}

#[test]
fn an_adapter_without_its_base_or_with_other_weights_is_refused() {
    let family = family(2);
    let adapter = &family.adapters[0];
    let asked = |checkpoint: &CheckpointDir, base: Option<&Path>| {
        let error =
            TchEngine::new().standing_on(base.map(Path::to_owned)).generate(&batch(checkpoint), &Watch::nobody());
        error.unwrap_err()
    };
    let right = adapter_checkpoint(&family.base, adapter);

    let error = asked(&right, None);
    assert!(matches!(error, EngineError::NoBase { .. }) && error.to_string().contains("--engine-base"), "{error}");
    assert!(matches!(TchEngine::new().inspect(adapter), Err(EngineError::NoBase { .. })));

    let wider = family.base.with_file_name("wider");
    write_model_of_width(&wider, 1, 80);
    let error = asked(&right, Some(&wider));
    let said = chain(&error);
    assert!(matches!(error, EngineError::Adapter { .. }), "{said}");
    assert!(said.contains(&wider.display().to_string()) && said.contains("shape"), "{said}");

    let nowhere = family.base.with_file_name("nowhere");
    assert!(matches!(asked(&right, Some(&nowhere)), EngineError::Base { .. }));

    let other = CheckpointDir { weights: Digest::of(b"other"), ..right.clone() };
    assert!(matches!(asked(&other, Some(&family.base)), EngineError::WrongWeights { .. }));
    // The scale is part of an adapter's weights, although it stands in the settings.
    let settings = adapter.join("adapter_config.json");
    let text = std::fs::read_to_string(&settings).unwrap();
    std::fs::write(&settings, text.replace("\"lora_alpha\": 8", "\"lora_alpha\": 9")).unwrap();
    let said = chain(&asked(&right, Some(&family.base)));
    assert!(said.contains("was committed with") && said.contains(&adapter.display().to_string()), "{said}");
}

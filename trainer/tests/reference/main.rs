//! Optimiser and losses against PyTorch and transformers, each with its tolerance.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test's helpers fail by panicking, like the test")]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use galapagos_collective::{Group, GroupSpec, Store, clear_grads};
use galapagos_domain::ids::{Digest, JobId, Name};
use galapagos_domain::recipe::train::{Loss, On, Pointwise, Precision, Start, Train};
use galapagos_domain::seed::Seed;
use galapagos_domain::trajectory::{Outcome, Trajectory, Verdict};
use galapagos_model::{Decoder, ModelConfig, ModelKind, Parameters};
use galapagos_trainer::data::{Dataset, Limits};
use galapagos_trainer::optimiser::{Adamw, Optimiser};
use galapagos_trainer::step::Training;
use tch::{Kind, Tensor};

/// Runs a script of `tests/reference` with `folder` as its argument.
fn python(script: &str, folder: &Path) {
    let python = std::env::var_os("GALAPAGOS_PYTHON").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").expect("HOME is set")).join(".cache/galapagos/venv/bin/python"),
        PathBuf::from,
    );
    assert!(python.exists(), "{} is missing: run `make setup`, or set GALAPAGOS_PYTHON", python.display());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference").join(script);
    let mut command = Command::new(python);
    command.arg(script).arg(folder).env("OMP_NUM_THREADS", "1");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn read(path: &Path) -> BTreeMap<String, Tensor> {
    Tensor::read_safetensors(path).unwrap().into_iter().collect()
}

/// Norm of the difference, relative to the norm of `wanted`.
fn distance(found: &Tensor, wanted: &Tensor) -> f64 {
    let norm = |t: &Tensor| t.to_kind(Kind::Double).norm().double_value(&[]);
    norm(&(found.detach() - wanted)) / norm(wanted)
}

#[test]
fn adamw_equals_the_reference_over_twenty_steps() {
    tch::set_num_threads(1);
    let folder = tempfile::tempdir().unwrap();
    python("adamw.py", folder.path());
    let tensors = read(&folder.path().join("adamw.safetensors"));
    let names = ["matrix", "vector"];
    let weights = names.map(|name| tensors[name].copy().set_requires_grad(true));
    let mut optimiser = Optimiser::new(&weights, Adamw::new(0.1)).unwrap();
    for step in 0..20 {
        clear_grads(&weights).unwrap();
        for (weight, name) in weights.iter().zip(names) {
            (weight * &tensors[&format!("{name}.{step}")] * 4.0).sum(Kind::Float).backward();
        }
        // Four times the gradient, scaled by a quarter as clipping would: both exact.
        optimiser.step(0.01 / (1.0 + f64::from(step)), 0.25).unwrap();
    }
    for (weight, name) in weights.iter().zip(names) {
        let end = &tensors[&format!("{name}.end")];
        let largest = (weight.detach() - end).abs().max().double_value(&[]);
        assert!(largest <= 1e-6, "{name} is off by {largest:e}");
        assert!(distance(&tensors[name], end) > 1e-3, "{name} did not move");
    }
}

struct Record {
    prompt: Vec<u32>,
    completion: Vec<u32>,
    outcome: Outcome,
}

/// Records of unequal length with all kinds of verdicts.
fn records() -> Vec<Record> {
    let outcomes = [Outcome::Pass, Outcome::Fail, Outcome::Error, Outcome::Fail, Outcome::Pass, Outcome::Timeout];
    let record = |(n, outcome): (u32, Outcome)| Record {
        prompt: (0..5 + 3 * n).map(|i| 2 + (i * 7 + n * 11) % 48).collect(),
        completion: (0..2 + n % 4).map(|i| 2 + (i * 13 + n * 5) % 48).chain([1]).collect(),
        outcome,
    };
    (0..).zip(outcomes).map(record).collect()
}

fn trajectory(n: usize, record: &Record) -> Trajectory {
    Trajectory {
        job: JobId::new("e/g1/samples/0").unwrap(),
        task_set: Name::new("numbers").unwrap(),
        task: format!("train/{n}"),
        sample: 0,
        policy: Digest::of(b"policy"),
        prompt_tokens: record.prompt.clone(),
        prefix_len: 3,
        completion_tokens: record.completion.clone(),
        log_probs: Vec::new(),
        completion: String::new(),
        verdict: Verdict { outcome: record.outcome, reason: String::new() },
    }
}

fn train(loss: Loss, micro_batch: u32) -> Train {
    Train {
        name: None,
        role: Name::new("policy").unwrap(),
        on: On::One(Name::new("samples").unwrap()),
        loss,
        start: Start::Continue,
        data_epochs: 1,
        lr: 1e-3,
        ranks: 1,
        batch: 6,
        micro_batch,
        pack: 1,
        shots: true,
        warmup: 0.0,
        floor: 1.0,
        weight_decay: 0.0,
        clip: 1.0,
        precision: Precision::F32,
    }
}

/// Writes the records for the script, runs it and returns what it wrote about `name`: weights and gradients, and the loss.
fn transformers(folder: &Path, name: &str) -> (ModelConfig, BTreeMap<String, Tensor>, f64) {
    let rows: Vec<_> = records()
        .iter()
        .map(|r| serde_json::json!({"prompt": r.prompt, "completion": r.completion, "outcome": r.outcome}))
        .collect();
    std::fs::write(folder.join("records.json"), serde_json::to_vec(&rows).unwrap()).unwrap();
    python("losses.py", folder);
    let config = ModelConfig::from_json(&std::fs::read_to_string(folder.join("config.json")).unwrap()).unwrap();
    let loss: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.join(format!("{name}.json"))).unwrap()).unwrap();
    (config, read(&folder.join(format!("{name}.safetensors"))), loss["loss"].as_f64().unwrap())
}

/// One step on all records at once, with micro batches of every size; loss and gradients must be the reference's.
fn compare(loss: Loss, kind: ModelKind, name: &str) {
    tch::set_num_threads(1);
    let folder = tempfile::tempdir().unwrap();
    let (config, tensors, wanted_loss) = transformers(folder.path(), name);
    let config = ModelConfig { kind, ..config };
    let trajectories: Vec<_> = records().iter().enumerate().map(|(n, record)| trajectory(n, record)).collect();
    let store = Store::listen(IpAddr::V4(Ipv4Addr::LOCALHOST), Duration::from_secs(20)).unwrap();
    for micro_batch in [1, 4, 6] {
        let train = train(loss, micro_batch);
        let weights = tensors.iter().filter(|(name, _)| !name.starts_with("grad."));
        let weights: Parameters = weights.map(|(name, weight)| (name.clone(), weight.copy())).collect();
        let model = Decoder::new(config.clone(), weights).unwrap();
        let spec = GroupSpec {
            prefix: format!("{name}-{micro_batch}"),
            rank: 0,
            world_size: 1,
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            timeout: Duration::from_secs(20),
        };
        let group = Group::gloo(&store, &spec).unwrap();
        let limits = Limits { positions: config.max_position_embeddings, vocabulary: config.vocab_size };
        let data = Dataset::new(&trajectories, &train, limits).unwrap();
        let batch = data.batches(Seed(3)).next().unwrap();
        let update = Training::new(&model, &group, &train).unwrap().step(&batch, 1, 1e-3).unwrap();
        assert!((update.loss - wanted_loss).abs() <= 1e-5 * wanted_loss, "{} is not {wanted_loss}", update.loss);
        for (name, weight) in model.parameters().iter() {
            let off = distance(&weight.grad(), &tensors[&format!("grad.{name}")]);
            assert!(off <= 1e-5, "micro batch {micro_batch}: the gradient of {name} is off by {off:e}");
        }
    }
}

#[test]
fn nll_and_its_gradients_equal_the_reference() {
    compare(Loss::Nll, ModelKind::CausalLm, "nll");
}

#[test]
fn bce_and_its_gradients_equal_the_reference() {
    compare(Loss::Pointwise(Pointwise::Bce), ModelKind::Scalar, "bce");
}

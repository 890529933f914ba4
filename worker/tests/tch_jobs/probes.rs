//! What a checkpoint's maker recorded is what a worker computes, in both number formats; anything else is no result.

use std::path::Path;

use galapagos_artifacts::checkpoint;
use galapagos_domain::ids::Digest;
use galapagos_domain::job::{EvaluateSpec, FailureClass, JobKind};
use galapagos_domain::recipe::tasks::Split;
use galapagos_model::probe::Probe;
use galapagos_model::{Decoder, ModelConfig, ModelFolder, Tokenizer, weights_digest};
use galapagos_worker::failure;
use tch::Device;

use crate::bench::{Bench, SAMPLING, shape, slice};

/// Models of the first width compute in 32-bit floats here, of the second in bfloat16.
pub const WIDTHS: [usize; 2] = [64, 256];

/// A model that is drawn from `seed`, with visible differences between its log-probabilities.
pub fn model(hidden_size: usize, seed: u64) -> (Decoder, Tokenizer) {
    let tokenizer = Tokenizer::characters(&format!("{}\n", shape().alphabet)).unwrap();
    let config = ModelConfig {
        vocab_size: tokenizer.vocab_size(),
        hidden_size,
        intermediate_size: 96,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim: hidden_size / 4,
        max_position_embeddings: 64,
        initializer_range: 0.1,
        eos_token_ids: tokenizer.eos().into_iter().collect(),
        pad_token_id: tokenizer.pad(),
        ..ModelConfig::default()
    };
    (Decoder::init(config, seed, Device::Cpu).unwrap(), tokenizer)
}

/// Commits `model` with `probe`.
pub fn commit(bench: &Bench, (model, tokenizer): &(Decoder, Tokenizer), probe: &Probe) -> Digest {
    let folder = tempfile::tempdir_in(bench.folder.path()).unwrap();
    ModelFolder::save(folder.path(), model, tokenizer).unwrap();
    probe.write(folder.path()).unwrap();
    let weights = Digest::from_bytes(*weights_digest(model.parameters()).unwrap().as_bytes());
    bench.runtime.block_on(checkpoint::upload(&bench.shop.store, folder.path(), weights)).unwrap()
}

/// Every output a little off.
fn falsified(probe: &Probe, width: usize) -> Probe {
    let off = if width == WIDTHS[0] { 0.01 } else { 0.4 };
    Probe { outputs: probe.outputs.iter().map(|output| output + off).collect(), ..probe.clone() }
}

/// Checks that the job is refused as invalid, naming the checkpoint.
#[track_caller]
pub fn refused(bench: &Bench, checkpoint: Digest, kind: JobKind, why: &str) {
    let error = bench.run(kind).unwrap_err();
    let chain = failure::report(error.class(), &error).chain.join("\n");
    assert_eq!(error.class(), FailureClass::Invalid, "{chain}");
    for part in [checkpoint.to_string().as_str(), why, "does not compute here what it did"] {
        assert!(chain.contains(part), "{part} is not in: {chain}");
    }
}

#[test]
fn a_policy_that_computes_what_was_recorded_samples_and_another_does_not() {
    for width in WIDTHS {
        let bench = Bench::new();
        let made = model(width, 1);
        let probe = Probe::of(&made.0, None).unwrap();
        let right = commit(&bench, &made, &probe);
        assert!(!bench.rows(right, 0..1).is_empty());

        let wrong = commit(&bench, &made, &falsified(&probe, width));
        refused(&bench, wrong, bench.rollout(wrong, 0..1), "on average they are");
        let others = commit(&bench, &made, &Probe::of(&model(width, 2).0, None).unwrap());
        refused(&bench, others, bench.rollout(others, 0..1), "on average they are");
        let shorter = Probe { outputs: probe.outputs[1..].to_vec(), ..probe.clone() };
        let shorter = commit(&bench, &made, &shorter);
        refused(&bench, shorter, bench.rollout(shorter, 0..1), "23 outputs were computed, 22 are recorded");
        let strange = Probe { tokens: vec![0, 999, 1], ..probe.clone() };
        let strange = commit(&bench, &made, &strange);
        refused(&bench, strange, bench.rollout(strange, 0..1), "outside the model's vocabulary");
        // What was refused once is not taken for loaded.
        refused(&bench, wrong, bench.rollout(wrong, 0..1), "on average they are");
        assert!(!bench.rows(right, 0..1).is_empty());
    }
}

#[test]
fn a_critic_is_compared_at_every_token() {
    for width in WIDTHS {
        let bench = Bench::new();
        let (made, tokenizer) = model(width, 1);
        let policy = commit(&bench, &(made, tokenizer), &Probe::of(&model(width, 1).0, None).unwrap());
        let (made, tokenizer) = model(width, 1);
        let critic = (made.to_scalar(3).unwrap(), tokenizer);
        let probe = Probe::of(&critic.0, None).unwrap();
        let evaluate = |critic: Digest| {
            JobKind::Evaluate(EvaluateSpec {
                policy,
                critic: Some(critic),
                critic_shots: true,
                tasks: slice(Split::Val, 0..2),
                samples: 2,
                sampling: SAMPLING,
            })
        };
        let right = commit(&bench, &critic, &probe);
        bench.run(evaluate(right)).unwrap();
        let wrong = commit(&bench, &critic, &falsified(&probe, width));
        refused(&bench, wrong, evaluate(wrong), "on average they are");
    }
}

#[test]
fn what_is_no_probe_is_refused() {
    let bench = Bench::new();
    let made = model(WIDTHS[0], 1);
    let probe = Probe::of(&made.0, None).unwrap();
    let empty = commit(&bench, &made, &Probe { outputs: Vec::new(), ..probe });
    refused(&bench, empty, bench.rollout(empty, 0..1), "prove nothing");
    let folder = tempfile::tempdir().unwrap();
    write_folder(&made, folder.path());
    std::fs::write(folder.path().join("probe.json"), "[]").unwrap();
    let weights = Digest::from_bytes(*weights_digest(made.0.parameters()).unwrap().as_bytes());
    let garbled = bench.runtime.block_on(checkpoint::upload(&bench.shop.store, folder.path(), weights)).unwrap();
    refused(&bench, garbled, bench.rollout(garbled, 0..1), "is no probe");
}

fn write_folder((model, tokenizer): &(Decoder, Tokenizer), folder: &Path) {
    ModelFolder::save(folder, model, tokenizer).unwrap();
}

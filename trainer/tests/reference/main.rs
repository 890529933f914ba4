//! The whole training forward and backward, from records to the gradient of every weight, against transformers and PyTorch: every loss
//! of the recipe with its options, and every way to lay out and to cut up the work.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test's helpers fail by panicking, like the test")]

mod cases;
mod world;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use cases::Case;
use galapagos_collective::{Group, GroupSpec, Store};
use galapagos_domain::ids::Digest;
use galapagos_domain::recipe::train::{Component, Layout, Loss, Reads, Train};
use galapagos_domain::seed::Seed;
use galapagos_domain::trajectory::Trajectory;
use galapagos_trainer::data::{Dataset, Limits};
use galapagos_trainer::objective::Objective;
use galapagos_trainer::plan::{Batch, Plan};
use galapagos_trainer::step::{Frozen, Spent, Training};
use galapagos_trainer::subject::Subject;
use serde_json::json;
use tch::{Kind, Tensor};

/// Largest norm of a difference, relative to the norm of what is wanted.
const TOLERANCE: f64 = 1e-5;
const HOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const DEADLINE: Duration = Duration::from_secs(60);

/// Runs a script of `tests/reference` with `folder` as its argument.
fn python(script: &str, folder: &Path) {
    let python = std::env::var_os("GALAPAGOS_PYTHON").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").expect("HOME is set")).join(".cache/galapagos/venv/bin/python"),
        PathBuf::from,
    );
    assert!(python.exists(), "{} is missing: run `make setup`, or set GALAPAGOS_PYTHON", python.display());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference").join(script);
    let mut command = Command::new(python);
    command.arg(script).arg(folder).env("OMP_NUM_THREADS", "1").env("PYTHONDONTWRITEBYTECODE", "1");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn dataset(case: &Case, records: &[Trajectory]) -> Plan {
    let limits = Limits {
        positions: 96,
        vocabulary: world::VOCABULARY as usize,
        images: false,
        classes: if case.model == "classes" { world::CLASSES } else { 0 },
        start: Digest::of(b"start"),
    };
    let main = Dataset::new(records, &case.train, limits, Seed(3)).unwrap_or_else(|e| panic!("{}: {e:?}", case.name));
    Plan { main, mix: None }
}

/// All records in use are one batch.
fn batch(plan: &Plan, name: &str) -> Batch {
    assert_eq!(plan.steps(), 1, "{name}");
    plan.batches(0).next().unwrap()
}

fn subject(case: &Case) -> Subject {
    let adapter = case.train.adapter.as_ref().map(|adapter| world::adapter(case.model, adapter.rank).0);
    Subject { model: world::decoder(case.model, "policy"), adapter }
}

fn frozen(case: &Case) -> Frozen {
    let of = |model: &str, role| Some(Subject { model: world::decoder(model, role), adapter: None });
    Frozen {
        reference: if case.train.loss.reads() == Reads::Tokens { of(case.model, "reference") } else { None },
        start: of(case.model, "start"),
        critic: match (case.train.loss.critic(), case.train.loss.value_critic()) {
            (None, _) => None,
            (Some(_), Some(_)) => of("scalar", "critic"),
            (Some(_), None) => of("classes", "critic"),
        },
        reward_kl: Frozen::reward_kl(&case.train),
    }
}

/// What the script needs of a case beside its records and weights.
fn told(case: &Case, batch: &Batch) -> serde_json::Value {
    let trained = subject(case).trainable(case.train.freeze).unwrap();
    let hidden = matches!(case.train.loss, Loss::Component(Component::Masked(_)));
    let masks: BTreeMap<u32, Vec<u32>> = batch
        .items
        .iter()
        .filter(|_| hidden)
        .map(|item| (item.rows[0], item.sequences[0].marks.iter().map(|mark| mark.position).collect()))
        .collect();
    json!({
        "name": case.name, "records": case.records, "model": case.model, "train": case.train, "masks": masks,
        "items": batch.items.iter().map(|item| item.rows.clone()).collect::<Vec<_>>(),
        "trained": trained.into_iter().map(|(name, _)| name).collect::<Vec<_>>(),
        "adapter": case.train.adapter.as_ref().map(|adapter| world::adapter(case.model, adapter.rank).1),
    })
}

/// What the script found: losses and mismatches by case, and gradients as CASE/WEIGHT.
struct Wanted {
    losses: BTreeMap<String, f64>,
    mismatches: BTreeMap<String, f64>,
    gradients: BTreeMap<String, Tensor>,
}

fn reference(cases: &[Case], records: &BTreeMap<&str, Vec<Trajectory>>) -> Wanted {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let write = |name: &str, value: &serde_json::Value| std::fs::write(folder.join(name), value.to_string()).unwrap();
    write("config.json", &world::config_json());
    for (name, records) in records {
        write(&format!("{name}.json"), &json!(records));
    }
    let of_cases = cases.iter().map(|case| told(case, &batch(&dataset(case, &records[case.records]), case.name)));
    write("cases.json", &of_cases.collect());
    for model in ["tied", "untied", "scalar", "classes"] {
        for role in ["policy", "start", "reference", "critic"] {
            world::save(&world::weights(model, role), &folder.join(format!("{model}-{role}.safetensors")));
        }
    }
    world::save(world::adapter("tied", 2).0.parameters(), &folder.join("adapter.safetensors"));
    python("losses.py", folder);
    let read = |name: &str| serde_json::from_slice(&std::fs::read(folder.join(name)).unwrap()).unwrap();
    Wanted {
        losses: read("losses.json"),
        mismatches: read("mismatches.json"),
        gradients: Tensor::read_safetensors(folder.join("gradients.safetensors")).unwrap().into_iter().collect(),
    }
}

/// One way to compute the same.
#[derive(Debug, Clone, Copy)]
struct Way {
    micro_batch: u32,
    layout: Layout,
    recompute: bool,
    /// Most logits at once.
    logits: usize,
    world_size: u32,
}

const WHOLE: usize = 1 << 26;
const WAYS: [Way; 6] = [
    Way { micro_batch: 64, layout: Layout::Packed, recompute: false, logits: WHOLE, world_size: 1 },
    Way { micro_batch: 1, layout: Layout::Packed, recompute: false, logits: 150, world_size: 1 },
    Way { micro_batch: 3, layout: Layout::Padded, recompute: false, logits: 350, world_size: 1 },
    Way { micro_batch: 64, layout: Layout::Packed, recompute: true, logits: 1000, world_size: 1 },
    Way { micro_batch: 3, layout: Layout::Padded, recompute: true, logits: WHOLE, world_size: 2 },
    Way { micro_batch: 2, layout: Layout::Packed, recompute: false, logits: 450, world_size: 2 },
];

/// Loss, mismatch, and the gradient of each weight by name.
type Found = (f64, Option<f64>, Vec<(String, Tensor)>);

/// A case's loss and gradients on one rank.
fn measured(case: &Case, records: &[Trajectory], way: Way, group: &Group) -> Found {
    let Way { micro_batch, layout, recompute, logits, .. } = way;
    let train = Train { micro_batch, layout, recompute, ..case.train.clone() };
    let plan = dataset(case, records);
    let batch = batch(&plan, case.name);
    let (subject, frozen) = (subject(case), frozen(case));
    let mut training = Training::new(&subject, &frozen, group, &train).unwrap();
    training.limit_logits(logits);
    let found = training.measure(&Objective::new(&train), (&batch.items, batch.least), &mut Spent::begin());
    let found = found.unwrap_or_else(|error| panic!("{} by {way:?}: {error:?}", case.name));
    let gradients = training.weights().iter().map(|(name, weight)| (name.clone(), weight.grad())).collect();
    (found.loss, found.parts.mismatch(), gradients)
}

fn norm(tensor: &Tensor) -> f64 {
    tensor.detach().to_kind(Kind::Double).norm().double_value(&[])
}

/// What is wrong with a case, if anything.
fn compare(case: &Case, way: Way, (loss, mismatch, gradients): Found, wanted: &Wanted) -> Vec<String> {
    let mut wrong = Vec::new();
    let wanted_loss = wanted.losses[case.name];
    // Terms of about 1 may cancel, as those of whitened advantages do; what is left is then rounded as they are.
    let off = (loss - wanted_loss).abs() / wanted_loss.abs().max(0.1);
    if off.is_nan() || off > TOLERANCE {
        wrong.push(format!("{} by {way:?}: the loss is {loss} and not {wanted_loss}", case.name));
    }
    // Known of records alone, behind all that the policy that sampled them saw.
    let comparable = case.train.pack == 1 && case.train.shots;
    match (mismatch, wanted.mismatches.get(case.name).filter(|_| comparable)) {
        (Some(found), Some(wanted)) if (found - wanted).abs() > TOLERANCE => {
            wrong.push(format!("{} by {way:?}: the mismatch is {found} and not {wanted}", case.name));
        }
        (None, Some(_)) => wrong.push(format!("{} has no mismatch", case.name)),
        _ => {}
    }
    let of_case = wanted.gradients.iter().filter(|(key, _)| key.split('/').next() == Some(case.name));
    let norms: Vec<f64> = of_case.map(|(_, gradient)| norm(gradient)).collect();
    assert_eq!(norms.len(), gradients.len(), "{}", case.name);
    let whole = norms.iter().map(|norm| norm.powi(2)).sum::<f64>().sqrt();
    assert!(whole > 1e-3, "{} has a gradient of {whole}: the case tries nothing", case.name);
    for (name, gradient) in gradients {
        let wanted = &wanted.gradients[&format!("{}/{name}", case.name)];
        // A bias may cancel in every difference of scores; what is left is then rounding of the whole.
        let off = norm(&(gradient.detach() - wanted)) / norm(wanted).max(0.01 * whole);
        if off.is_nan() || off > TOLERANCE {
            wrong.push(format!("{} by {way:?}: the gradient of {name} is off by {off:e}", case.name));
        }
    }
    wrong
}

/// What one of the ranks of a group found: of each case and way, in order, the loss and the gradients.
fn rank(store: &Store, (rank, world_size): (u32, u32), cases: &[Case]) -> Vec<(usize, Way, Found)> {
    let records = records();
    let spec = GroupSpec { prefix: format!("of-{world_size}"), rank, world_size, host: HOST, timeout: DEADLINE };
    let group = Group::gloo(store, &spec).unwrap();
    let mut found = Vec::new();
    for (index, case) in cases.iter().enumerate() {
        for way in WAYS.into_iter().filter(|way| way.world_size == world_size) {
            // What a record is contrasted with is its micro-batch.
            if matches!(case.train.loss, Loss::ContrastiveMi(_)) && way.micro_batch < world::RECORDS {
                continue;
            }
            found.push((index, way, measured(case, &records[case.records], way, &group)));
        }
    }
    found
}

fn records() -> BTreeMap<&'static str, Vec<Trajectory>> {
    BTreeMap::from([("plain", world::records(false)), ("parts", world::records(true)), ("graded", world::graded())])
}

#[test]
fn every_loss_and_the_gradient_of_every_weight_equal_the_reference() {
    tch::set_num_threads(1);
    let cases = cases::all(64);
    let wanted = reference(&cases, &records());
    let store = Store::listen(HOST, DEADLINE).unwrap();
    let mut found = rank(&store, (0, 1), &cases);
    let address = store.addr();
    std::thread::scope(|scope| {
        let other = scope.spawn(|| rank(&Store::connect(address, DEADLINE).unwrap(), (1, 2), &cases));
        found.extend(rank(&store, (0, 2), &cases));
        found.extend(other.join().unwrap());
    });
    let compared = |(index, way, found): (usize, Way, Found)| compare(&cases[index], way, found, &wanted);
    let wrong: Vec<String> = found.into_iter().flat_map(compared).collect();
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

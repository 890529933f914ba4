//! What people and programs get wrong before or at the start of a run: each is refused or fails with the right exit code and
//! a message that says what, where and what would be right; nothing panics and no process is left.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test: what is missing fails it")]

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use galapagos_proto::client::Address;
use galapagos_proto::status::Kind;
use galapagos_tests::client::{Answer, finish};
use galapagos_tests::service::{self, Service};
use galapagos_tests::{Client, Ended, RunCommand, SEED, Sandbox, Tmpfs, binaries, eventually, tree, undisturbed, wire};
use redb::{Database, TableDefinition};
use serde_json::{Value, json};

/// The store's table of numbers about itself, as the coordinator defines it.
const META: TableDefinition<&str, u64> = TableDefinition::new("meta");

#[test]
fn an_unknown_recipe_field_is_named_with_its_place_and_the_likely_one() {
    let sandbox = Sandbox::new();
    let recipe = sandbox.write("bad.yaml", &micro_with("temperature:", "temprature:"));
    let ended = RunCommand::new(&recipe, &sandbox.join("run")).finish();
    ended.expect_exit(2);
    let (line, column) = place_of(&recipe, "temprature");
    ended.expect_says(&[
        &format!("bad.yaml:{line}:{column}"),
        "unknown field `temprature`",
        "did you mean `temperature`",
    ]);
    assert!(!sandbox.join("run").exists(), "a refused recipe must leave no run folder");
}

#[test]
fn a_world_size_that_no_round_can_have_is_refused() {
    let sandbox = Sandbox::new();
    let none = sandbox.write("none.yaml", &micro_with("ranks: 2", "ranks: 0"));
    let ended = RunCommand::new(&none, &sandbox.join("run")).finish();
    ended.expect_exit(2);
    ended.expect_says(&["none.yaml:", "ranks"]);

    // One worker with one slot can never hold two ranks at once.
    let ended = RunCommand::micro(&sandbox.join("run")).option("--workers", "1").finish();
    ended.expect_exit(2);
    ended.expect_says(&["2 ranks", "1 slots", "--workers", "--slots"]);

    let uneven = sandbox.write("uneven.yaml", &micro_with("ranks: 2", "ranks: 3"));
    let ended = RunCommand::new(&uneven, &sandbox.join("run")).finish();
    ended.expect_exit(2);
    ended.expect_says(&["uneven.yaml:", "batch of 40 does not split evenly over 3 ranks", "use 39 or 42"]);
}

#[test]
fn a_missing_model_folder_is_named_with_all_places_looked_at() {
    let sandbox = Sandbox::new();
    let recipe = sandbox.write("bad.yaml", &micro_on("finch-900b"));
    let command = RunCommand::new(&recipe, &sandbox.join("run")).option("--models", sandbox.join("models"));
    let ended = command.finish();
    ended.expect_exit(2);
    ended.expect_says(&["finch-900b", &sandbox.join("models").display().to_string(), "config.json", "make setup"]);
}

#[test]
fn damaged_weights_and_a_foreign_tokenizer_fail_the_run_with_their_file() {
    let sandbox = Sandbox::new();
    let healthy = undisturbed().folder().join("export/champion");

    let mut run = start_on(&sandbox, "healthy", &healthy, |_| {});
    let base = run.until("the base step", galapagos_tests::END_LIMIT, |event| event["phase"] == "base");
    assert_eq!(base["step"]["done"], true, "the undamaged folder must be taken: {base}");
    drop(run);

    let cut = fail_on(&sandbox, "cut", &healthy, |folder| {
        let path = folder.join("model.safetensors");
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    });
    cut.expect_says(&["model.safetensors"]);

    let scribbled = fail_on(&sandbox, "scribbled", &healthy, |folder| {
        let path = folder.join("model.safetensors");
        let mut bytes = fs::read(&path).unwrap();
        bytes[8..40].fill(b'#');
        fs::write(&path, bytes).unwrap();
    });
    scribbled.expect_says(&["model.safetensors"]);

    let foreign = fail_on(&sandbox, "foreign", &healthy, |folder| {
        let path = folder.join("config.json");
        let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let size = config["vocab_size"].as_u64().unwrap();
        widen_tokenizer(&folder.join("tokenizer.json"), size);
        config["bos_token_id"] = json!(null);
        fs::write(&path, config.to_string()).unwrap();
    });
    foreign.expect_says(&["the tokenizer in", "is not this model's", "embedding"]);
}

#[test]
fn a_store_of_a_newer_version_is_refused_and_left_as_it_is() {
    let sandbox = Sandbox::new();
    let run = sandbox.join("run");
    undisturbed().copy_to(&run);
    let store = run.join("store/cluster.redb");
    write_format_version(&store, 99);
    let ended = RunCommand::micro(&run).seed(SEED).finish();
    ended.expect_exit(4);
    ended.expect_says(&["format version 99", "cluster.redb", "choose another folder"]);
    let answer = Client::of(&run).call(&["status"]);
    assert_eq!(answer.code, Some(4), "{answer:?}");
    assert_eq!(format_version(&store), 99);
}

#[test]
fn a_port_in_use_is_named_with_the_option_that_chooses_another() {
    let sandbox = Sandbox::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for option in ["--listen", "--http"] {
        let ended = RunCommand::micro(&sandbox.join("run")).option(option, &address).finish();
        ended.expect_exit(4);
        ended.expect_says(&[&address, "in use", option]);
    }
}

#[test]
fn a_full_disk_fails_the_run_with_the_path_that_did_not_fit() {
    let sandbox = Sandbox::new();
    // The run folder alone is full: what `run` says is kept beside it.
    let disk = Tmpfs::mount(&sandbox.join("disk"), 800);
    let ended = RunCommand::micro(&sandbox.join("disk")).finish();
    ended.expect_exit(1);
    let said = ended.stderr.to_lowercase();
    assert!(said.contains("no space left") || said.contains("storage full"), "{}", ended.report());
    ended.expect_says(&[&sandbox.join("disk").display().to_string()]);
    drop(disk);
}

#[test]
fn a_folder_is_used_by_one_coordinator_and_one_run_at_a_time() {
    let sandbox = Sandbox::new();
    let dir = sandbox.join("run");
    let command = RunCommand::micro(&dir).seed(SEED);
    let run = command.start();
    eventually("the announcement of the coordinator", galapagos_tests::END_LIMIT, || {
        dir.join("coordinator.json").is_file().then_some(())
    });

    let coordinator = finish(service::command(&dir.join("store")));
    assert_eq!(coordinator.code, Some(4), "{coordinator:?}");
    says(&coordinator, &["in use by another coordinator", "cluster.redb"]);

    let second = Client::of(&dir).call(&["run", &binaries::micro_recipe().display().to_string(), "--seed", "1"]);
    assert_eq!(second.code, Some(4), "{second:?}");
    says(&second, &["another `galapagos run`", &dir.display().to_string(), "--dir"]);

    assert_eq!(run.wait(galapagos_tests::END_LIMIT).result(), undisturbed().result, "the first run was disturbed");
}

#[test]
fn another_recipe_or_seed_is_refused_on_the_folder_of_a_run() {
    let sandbox = Sandbox::new();
    let run = sandbox.join("run");
    undisturbed().copy_to(&run);
    let ended = RunCommand::micro(&run).seed(SEED + 6).finish();
    ended.expect_exit(4);
    ended.expect_says(&[&run.display().to_string(), "seed 1", "seed 7", "--dir"]);

    let recipe = sandbox.write("other.yaml", &micro_with("ranks: 2", "ranks: 1"));
    let ended = RunCommand::new(&recipe, &run).seed(SEED).finish();
    ended.expect_exit(4);
    ended.expect_says(&[&run.display().to_string(), "recipe", "--dir"]);
}

#[test]
fn a_coordinator_refuses_foreign_workers_and_invalid_recipes() {
    let sandbox = Sandbox::new();
    let service = Service::start(sandbox.path());
    let address = Address::from(service.announcement().addr);
    let foreign = wire::foreign_worker(&address);
    assert_eq!(foreign.kind, Kind::WrongVersion, "{foreign:?}");
    assert!(foreign.message.contains("protocol") && foreign.message.contains("one release"), "{foreign:?}");
    let invalid = wire::refused_recipe(&address, &micro_with("temperature:", "temprature:"));
    assert_eq!(invalid.kind, Kind::Invalid, "{invalid:?}");
    for piece in ["temprature", "temperature"] {
        assert!(invalid.message.contains(piece), "the refusal lacks `{piece}`: {invalid:?}");
    }
    assert!(!service.log().contains("panicked at"), "{}", service.log());
    drop(service);
    eventually("the end of the coordinator", galapagos_tests::END_LIMIT, || {
        tree::of_run(sandbox.path()).is_empty().then_some(())
    });
}

/// The micro recipe with every `from` replaced.
#[track_caller]
fn micro_with(from: &str, to: &str) -> String {
    let text = fs::read_to_string(binaries::micro_recipe()).unwrap();
    assert!(text.contains(from), "the micro recipe has no `{from}` to replace");
    text.replace(from, to)
}

/// The micro recipe on the base model `name`.
#[track_caller]
fn micro_on(name: &str) -> String {
    let text = fs::read_to_string(binaries::micro_recipe()).unwrap();
    let start = text.find("\nbase:").expect("the micro recipe has a `base`") + 1;
    let after = text[start..].match_indices('\n').map(|(at, _)| start + at + 1);
    let end = after.into_iter().find(|at| text[*at..].starts_with(|c: char| c.is_ascii_lowercase())).unwrap();
    format!("{}base: {{model: {name}}}\n{}", &text[..start], &text[end..])
}

/// Line and column, from 1, of the first `what`.
fn place_of(file: &Path, what: &str) -> (usize, usize) {
    let text = fs::read_to_string(file).unwrap();
    let at = text.find(what).unwrap();
    let before = &text[..at];
    (before.matches('\n').count() + 1, at - before.rfind('\n').map_or(0, |newline| newline + 1) + 1)
}

/// Starts the micro recipe on a copy of `model` after `change`.
fn start_on(sandbox: &Sandbox, name: &str, model: &Path, change: impl Fn(&Path)) -> galapagos_tests::Run {
    let folder: PathBuf = sandbox.join(&format!("{name}-model"));
    galapagos_tests::sandbox::copy_folder(model, &folder);
    change(&folder);
    let recipe = sandbox.write(&format!("{name}.yaml"), &micro_on(&folder.display().to_string()));
    RunCommand::new(&recipe, &sandbox.join(name)).start()
}

/// The same, which must fail with its cause.
#[track_caller]
fn fail_on(sandbox: &Sandbox, name: &str, model: &Path, change: impl Fn(&Path)) -> Ended {
    let ended = start_on(sandbox, name, model, change).wait(galapagos_tests::END_LIMIT);
    ended.expect_exit(1);
    ended.expect_says(&["failed", &format!("{name}-model")]);
    ended
}

/// Gives a tokenizer one token more than the model has rows.
fn widen_tokenizer(path: &Path, size: u64) {
    let mut tokenizer: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let extra = json!({
        "id": size + 40, "content": "<|foreign|>", "single_word": false, "lstrip": false, "rstrip": false,
        "normalized": false, "special": true
    });
    tokenizer["added_tokens"].as_array_mut().unwrap().push(extra);
    tokenizer["model"]["vocab"]["<|foreign|>"] = json!(size + 40);
    fs::write(path, tokenizer.to_string()).unwrap();
}

fn write_format_version(store: &Path, version: u64) {
    let database = Database::open(store).unwrap();
    let write = database.begin_write().unwrap();
    write.open_table(META).unwrap().insert("format_version", version).unwrap();
    write.commit().unwrap();
}

fn format_version(store: &Path) -> u64 {
    use redb::ReadableDatabase;
    let database = Database::open(store).unwrap();
    database.begin_read().unwrap().open_table(META).unwrap().get("format_version").unwrap().unwrap().value()
}

#[track_caller]
fn says(answer: &Answer, pieces: &[&str]) {
    for piece in pieces {
        assert!(answer.stderr.contains(piece), "the message lacks `{piece}`:\n{}", answer.stderr);
    }
}

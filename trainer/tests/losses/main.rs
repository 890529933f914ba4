//! Losses and advantages against references written independently in Python, what the formulas promise, and what is
//! refused.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test's helpers fail by panicking, like the test")]

mod advantages;
mod cases;
mod promises;
mod refusals;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use tch::{Kind, TchError, Tensor};

/// Largest norm of a difference, relative to the norm of what is wanted.
const TOLERANCE: f64 = 1e-5;

/// Runs a script of `tests/losses` with `folder` as its argument.
fn python(script: &str, folder: &Path) {
    let python = std::env::var_os("GALAPAGOS_PYTHON").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").expect("HOME is set")).join(".cache/galapagos/venv/bin/python"),
        PathBuf::from,
    );
    assert!(python.exists(), "{} is missing: run `make setup`, or set GALAPAGOS_PYTHON", python.display());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/losses").join(script);
    let mut command = Command::new(python);
    command.arg(script).arg(folder).env("OMP_NUM_THREADS", "1").env("PYTHONDONTWRITEBYTECODE", "1");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn distance(found: &Tensor, wanted: &Tensor) -> f64 {
    let norm = |t: &Tensor| t.to_kind(Kind::Double).norm().double_value(&[]);
    norm(&(found.detach().to_kind(Kind::Double) - wanted)) / norm(wanted)
}

/// What is wrong with `found`, if anything.
fn difference(found: &Tensor, wanted: &Tensor) -> Option<String> {
    if found.size() != wanted.size() {
        return Some(format!("is {:?} and not {:?}", found.size(), wanted.size()));
    }
    let off = distance(found, wanted);
    (off.is_nan() || off > TOLERANCE).then(|| format!("is off by {off:e}"))
}

/// What a script wrote about one loss; see `cases.py`. Every float input asks for a gradient, also those that are to be
/// detached.
struct Case {
    tensors: BTreeMap<String, Tensor>,
}

/// Named results of a loss.
type Results = Vec<(&'static str, Tensor)>;

impl Case {
    fn read(path: &Path) -> Self {
        let mut tensors: BTreeMap<_, _> = Tensor::read_safetensors(path).unwrap().into_iter().collect();
        for (name, tensor) in &mut tensors {
            if name.starts_with("in.") && tensor.kind() == Kind::Float {
                *tensor = tensor.set_requires_grad(true);
            }
        }
        Self { tensors }
    }

    fn input(&self, name: &str) -> &Tensor {
        &self.tensors[&format!("in.{name}")]
    }

    fn option(&self, name: &str) -> f64 {
        self.try_option(name).unwrap_or_else(|| panic!("no option {name}"))
    }

    fn try_option(&self, name: &str) -> Option<f64> {
        self.tensors.get(&format!("option.{name}")).map(|value| value.double_value(&[]))
    }

    /// Names of the tensors of one kind, without the kind.
    fn names(&self, kind: &str) -> BTreeSet<&str> {
        self.tensors.keys().filter_map(|name| name.strip_prefix(kind)).collect()
    }

    /// Compares results and gradients, and looks for gradients where none may flow; says what is wrong.
    fn check(&self, results: &Results) -> Vec<String> {
        assert_eq!(results.iter().map(|result| result.0).collect::<BTreeSet<_>>(), self.names("out."));
        let mut wrong = Vec::new();
        let mut total = Tensor::from(0.0f32);
        for (name, found) in results {
            wrong.extend(difference(found, &self.tensors[&format!("out.{name}")]).map(|off| format!("{name} {off}")));
            match self.tensors.get(&format!("weight.{name}")) {
                Some(weight) => total += (weight * found).sum(Kind::Float),
                None if found.requires_grad() => wrong.push(format!("{name} is not detached")),
                None => {}
            }
        }
        let learned = self.names("grad.");
        if !learned.is_empty() {
            total.backward();
        }
        for name in self.names("in.") {
            let gradient = self.input(name).grad();
            match self.tensors.get(&format!("grad.{name}")) {
                None if gradient.defined() => wrong.push(format!("{name} got a gradient")),
                None => {}
                Some(_) if !gradient.defined() => wrong.push(format!("{name} got no gradient")),
                Some(wanted) => {
                    wrong.extend(difference(&gradient, wanted).map(|off| format!("the gradient of {name} {off}")));
                }
            }
        }
        wrong
    }

    /// Each branch that the script marked must have been taken by some items and not by others.
    fn check_branches(&self) {
        for name in self.names("branch.") {
            let mean = self.tensors[&format!("branch.{name}")].mean(Kind::Float).double_value(&[]);
            assert!(mean > 0.0 && mean < 1.0, "only one side of {name} is tried");
        }
    }
}

#[test]
fn every_loss_and_its_gradients_equal_the_reference() {
    tch::set_num_threads(1);
    let folder = tempfile::tempdir().unwrap();
    python("losses.py", folder.path());
    let file_stem = |entry: std::fs::DirEntry| entry.path().file_stem().unwrap().to_string_lossy().into_owned();
    let written: BTreeSet<String> = std::fs::read_dir(folder.path()).unwrap().map(|e| file_stem(e.unwrap())).collect();
    let known: BTreeSet<String> = cases::ALL.iter().map(|case| case.0.to_owned()).collect();
    assert_eq!(written, known, "a case that only one side knows");
    let mut wrong = Vec::new();
    for (name, compute) in cases::ALL {
        let case = Case::read(&folder.path().join(format!("{name}.safetensors")));
        case.check_branches();
        match compute(&case) {
            Ok(results) => wrong.extend(case.check(&results).into_iter().map(|what| format!("{name}: {what}"))),
            Err(error) => wrong.push(format!("{name}: {error}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

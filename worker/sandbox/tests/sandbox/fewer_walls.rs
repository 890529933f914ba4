//! Hosts that allow less: what is refused, and that the walls that are left hold by themselves.

use std::collections::BTreeSet;
use std::sync::Arc;

use galapagos_sandbox::check::{Budget, Comparison, Grade, InputTest, StepEnd, inputs, steps};
use galapagos_sandbox::{
    BelowFloor, End, Floor, Layer, Limits, Pool, Program, Report, Sandbox, SandboxError, Settings,
};

use super::host::{launcher, text};

fn host_with(layers: &[Layer], floor: Floor) -> Sandbox {
    let without = Layer::ALL.into_iter().filter(|layer| !layers.contains(layer)).collect();
    Sandbox::new(Settings { without, floor, ..Settings::new(launcher()) }).unwrap()
}

fn run(sandbox: &Sandbox, source: &str) -> Report {
    let program = Program::Python { source: source.to_owned(), input: Vec::new() };
    sandbox.run(&program, &Limits { wall_ms: 5_000, ..Limits::default() }).unwrap()
}

const LEAST: [Layer; 2] = [Layer::NoNewPrivileges, Layer::ResourceLimits];

/// Others than root need a user namespace to make any other.
fn for_namespaces() -> &'static [Layer] {
    if rustix::process::geteuid().is_root() { &[] } else { &[Layer::UserNamespace] }
}

#[test]
fn a_host_below_the_floor_is_refused_with_the_layers_and_the_remedy() {
    let mut layers = Layer::ALL.to_vec();
    layers.retain(|layer| *layer != Layer::Seccomp && *layer != Layer::Landlock);
    let sandbox = host_with(&layers, Floor::Strict);
    let program = Program::Python { source: "print(1)".to_owned(), input: Vec::new() };
    let error = sandbox.run(&program, &Limits::default()).unwrap_err();
    let SandboxError::BelowFloor(BelowFloor { missing }) = &error else { panic!("{error}") };
    assert_eq!(missing.iter().map(|tried| tried.layer).collect::<Vec<_>>(), [Layer::Landlock, Layer::Seccomp]);
    assert!(error.to_string().contains("CONFIG_SECCOMP_FILTER"), "{error}");
    let pool = Pool::new(Arc::new(sandbox), 0).unwrap();
    let refused = steps(&pool, &["x = 1".to_owned()], Budget::default()).unwrap_err();
    assert!(matches!(refused, SandboxError::BelowFloor(_)));
    assert_eq!(text(&run(&host_with(&layers, Floor::Namespaces), "print(1)").out), "1\n");
}

#[test]
fn the_lowest_floor_still_limits() {
    let sandbox = host_with(&LEAST, Floor::ProcessOnly);
    assert_eq!(sandbox.probe().available(), BTreeSet::from(LEAST));
    let report = run(&sandbox, "import os\nprint(os.environ.get('CARGO_MANIFEST_DIR'))\nx = bytearray(2 << 30)");
    assert_eq!((report.end, text(&report.out)), (End::OutOfMemory, "None\n".to_owned()));
    let pool = Pool::new(Arc::new(sandbox), 0).unwrap();
    assert_eq!(steps(&pool, &["x = 1".to_owned()], Budget::default()).unwrap(), [StepEnd::Ran]);
}

/// Each wall alone, against what it is there for. All these work where it is missing, as the red team shows.
#[test]
fn each_wall_holds_by_itself() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "the host's secret").unwrap();
    let read = format!("print(open({:?}).read())", secret.path());
    let with = |layer| host_with(&[&LEAST[..], &[layer], for_namespaces()].concat(), Floor::ProcessOnly);
    assert!(
        text(&run(&host_with(&LEAST, Floor::ProcessOnly), &read).out).contains("secret"),
        "the attempt is a real one"
    );
    let connect = "import socket\ns = socket.socket()\ns.bind(('127.0.0.1', 0))\nprint('bound')";
    assert!(text(&run(&host_with(&LEAST, Floor::ProcessOnly), connect).out).contains("bound"));
    for (layer, attempt, denied) in [
        (Layer::Landlock, read.as_str(), "PermissionError"),
        (Layer::Landlock, connect, "PermissionError"),
        (Layer::PrivateRoot, read.as_str(), "FileNotFoundError"),
        (Layer::Seccomp, connect, "PermissionError"),
        (Layer::Seccomp, "import os\nos.fork()\nprint('bound secret')", "PermissionError"),
        (Layer::Seccomp, "import os\nos.kill(os.getppid(), 0)\nprint('bound secret')", "PermissionError"),
    ] {
        let report = run(&with(layer), attempt);
        assert!(text(&report.err).contains(denied), "{layer}: {} {}", text(&report.out), text(&report.err));
        assert!(!text(&report.out).contains("bound") && !text(&report.out).contains("secret"), "{layer}");
    }
    let report = run(&with(Layer::PidNamespace), "import os\nprint(os.getpid() < 10, os.getppid())");
    assert_eq!(text(&report.out), "True 1\n");
    // Nobody may not look into the home of who installed this Python; a root of its own shows it.
    let layers = [&LEAST[..], &[Layer::PrivateRoot, Layer::NotRoot], for_namespaces()].concat();
    let report = run(&host_with(&layers, Floor::ProcessOnly), "import os\nprint(os.getuid() != 0)");
    assert_eq!(text(&report.out), "True\n");
    let report = run(&with(Layer::UserNamespace), "import os\nprint(os.getuid())");
    assert_eq!(text(&report.out), "1000\n");
}

#[test]
fn programs_with_input_run_without_a_root_of_their_own() {
    let test = [InputTest { input: "2 3".to_owned(), expected: "5".to_owned() }];
    let code = "print(sum(map(int, input().split())))";
    let graded = |layers: &[Layer]| {
        let layers = [&LEAST[..], layers, for_namespaces()].concat();
        let pool = Pool::new(Arc::new(host_with(&layers, Floor::ProcessOnly)), 0).unwrap();
        inputs(&pool, code, &test, Comparison::Trimmed, Budget::default())
    };
    let outcome = graded(&[Layer::PidNamespace, Layer::Landlock, Layer::Seccomp]).unwrap();
    assert_eq!((outcome.grade, outcome.detail.as_str()), (Grade::Passed, ""));
    // Where they could not fork, that is no fault of theirs.
    let refused = graded(&[Layer::Landlock, Layer::Seccomp]).unwrap_err();
    assert!(matches!(refused, SandboxError::Check { .. }), "{refused}");
}

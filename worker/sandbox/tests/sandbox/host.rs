//! The one sandbox that the tests of a process share, and small things they all need.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use galapagos_sandbox::{Limits, Pool, Program, Report, Sandbox, Settings};

/// The launcher of this build.
pub fn launcher() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_galapagos-sandbox"))
}

pub fn sandbox() -> &'static Arc<Sandbox> {
    static SANDBOX: OnceLock<Arc<Sandbox>> = OnceLock::new();
    SANDBOX.get_or_init(|| Arc::new(Sandbox::new(Settings::new(launcher())).unwrap()))
}

/// A pool that keeps nothing warm: each check starts its interpreter, so no test depends on a thread's pace.
pub fn cold() -> Pool {
    Pool::new(Arc::clone(sandbox()), 0).unwrap()
}

pub fn run_python(source: &str) -> Report {
    run_limited(source, &Limits::default())
}

pub fn run_limited(source: &str, limits: &Limits) -> Report {
    let program = Program::Python { source: source.to_owned(), input: Vec::new() };
    sandbox().run(&program, limits).unwrap()
}

/// Compiles C with the compiler that the workspace needs anyway.
pub fn compile(source: &str, flags: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let (code, executable) = (folder.path().join("main.c"), folder.path().join("main"));
    std::fs::write(&code, source).unwrap();
    let status = std::process::Command::new("cc").args(flags).arg("-o").arg(&executable).arg(&code).status().unwrap();
    assert!(status.success());
    std::fs::read(executable).unwrap()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub fn is_alive(process: i32) -> bool {
    Path::new("/proc").join(process.to_string()).exists()
}

/// The process and all below it.
pub fn descendants(of: u32) -> Vec<i32> {
    let parents: Vec<(i32, i32)> = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| {
            let number: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let status = std::fs::read_to_string(Path::new("/proc").join(number.to_string()).join("stat")).ok()?;
            let parent = status.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()?;
            Some((number, parent))
        })
        .collect();
    let mut found = vec![i32::try_from(of).unwrap()];
    let mut at = 0;
    while at < found.len() {
        let here = found[at];
        found.extend(parents.iter().filter(|(_, parent)| *parent == here).map(|(number, _)| *number));
        at += 1;
    }
    found
}

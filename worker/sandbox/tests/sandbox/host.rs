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

/// Numbers of the processes whose command line holds `words`, this one's excepted.
pub fn processes_with(words: &str) -> Vec<i32> {
    let own = std::process::id().to_string();
    let numbers = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let name = entry.ok()?.file_name().into_string().ok()?;
        let number: i32 = name.parse().ok()?;
        let line = std::fs::read(Path::new("/proc").join(&name).join("cmdline")).ok()?;
        (name != own && text(&line).replace('\0', " ").contains(words)).then_some(number)
    });
    numbers.collect()
}

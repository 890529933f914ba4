//! Compiles the C++ shim (`shim/`) against the libtorch that `torch-sys` found, and gives this crate's tests the
//! rpath to it. The rpath does not reach dependents: a crate with a binary or tests that link libtorch depends on
//! `torch-sys` directly and prints the same two `rustc-link-arg` lines from a `build.rs` of its own.

use std::env;
use std::path::{Path, PathBuf};

const SOURCES: [&str; 5] = ["shim/guard.cpp", "shim/store.cpp", "shim/gloo.cpp", "shim/group.cpp", "shim/reducer.cpp"];

fn main() {
    println!("cargo:rerun-if-changed=shim");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
    let Ok(lib) = env::var("DEP_TCH_LIBTORCH_LIB").map(PathBuf::from) else {
        panic!(
            "torch-sys did not say where libtorch is (DEP_TCH_LIBTORCH_LIB is not set): set LIBTORCH to a libtorch 2.13 folder, or run `make setup`"
        );
    };
    let include = include_dir(&lib);
    cc::Build::new()
        .cpp(true)
        .std("c++20")
        .opt_level(2)
        .warnings(false)
        .include("shim/gloo_headers")
        .flag("-isystem")
        .flag(include.as_os_str())
        .flag("-isystem")
        .flag(include.join("torch/csrc/api/include").as_os_str())
        .files(SOURCES)
        .compile("galapagos_collective");
    println!("cargo:rustc-link-search=native={}", lib.display());
    println!("cargo:rustc-link-lib=torch_cpu");
    println!("cargo:rustc-link-lib=c10");
    println!("cargo:rustc-link-arg=-Wl,-rpath,$ORIGIN/../lib");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", lib.display());
}

/// The header folder beside `lib`; ends the build with what is missing and how to get it.
fn include_dir(lib: &Path) -> PathBuf {
    let include = lib.with_file_name("include");
    let needed = include.join("torch/csrc/distributed/c10d/reducer.hpp");
    if !needed.is_file() {
        panic!(
            "the libtorch at {} has no c10d headers: {} is missing. The folder `include` of the PyPI wheel torch 2.13 must lie beside `lib`; `make setup` puts both in place",
            lib.display(),
            needed.display(),
        );
    }
    include
}

//! Compiles the C++ shim (`shim/`) against the libtorch that `torch-sys` found, and gives this crate's tests and examples
//! what they need to link and find it. That does not reach dependents: a crate with a binary or tests that link libtorch
//! depends on `torch-sys` directly and prints the same `rustc-link-arg` lines from a `build.rs` of its own.
//!
//! With the feature `cuda` the shim gets NCCL too. That needs a libtorch for CUDA and the headers of CUDA and NCCL, which
//! are looked for in the folders of GALAPAGOS_CUDA_INCLUDE (separated by colons), then beside libtorch as PyPI's wheels
//! put them. No CUDA compiler is needed.

use std::env;
use std::path::{Path, PathBuf};

const SOURCES: [&str; 7] = [
    "shim/guard.cpp",
    "shim/store.cpp",
    "shim/gloo.cpp",
    "shim/group.cpp",
    "shim/collectives.cpp",
    "shim/reducer.cpp",
    "shim/fused.cpp",
];

/// A header of each package that NCCL's part needs, and the package on PyPI that has it.
const CUDA_HEADERS: [(&str, &str); 4] = [
    ("cuda_runtime_api.h", "nvidia-cuda-runtime"),
    ("crt/host_config.h", "nvidia-cuda-crt"),
    ("nv/target", "nvidia-cuda-cccl"),
    ("nccl.h", "nvidia-nccl-cu13"),
];

fn main() {
    println!("cargo:rerun-if-changed=shim");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
    println!("cargo:rerun-if-env-changed=GALAPAGOS_CUDA_INCLUDE");
    let Ok(lib) = env::var("DEP_TCH_LIBTORCH_LIB").map(PathBuf::from) else {
        panic!(
            "torch-sys did not say where libtorch is (DEP_TCH_LIBTORCH_LIB is not set): set LIBTORCH to a libtorch 2.13 folder, or run `make setup`"
        );
    };
    let include = include_dir(&lib);
    let mut shim = cc::Build::new();
    shim.cpp(true)
        .std("c++20")
        .opt_level(3)
        .warnings(false)
        .include("shim/gloo_headers")
        .flag("-isystem")
        .flag(include.as_os_str())
        .flag("-isystem")
        .flag(include.join("torch/csrc/api/include").as_os_str())
        .files(SOURCES);
    if env::var_os("CARGO_FEATURE_CUDA").is_some() {
        shim.define("GALAPAGOS_CUDA", None).file("shim/nccl.cpp");
        for folder in cuda_include_dirs(&lib) {
            shim.flag("-isystem").flag(folder.as_os_str());
        }
    }
    shim.compile("galapagos_collective");
    link(&lib);
}

fn link(lib: &Path) {
    println!("cargo:rustc-link-search=native={}", lib.display());
    println!("cargo:rustc-link-lib=torch_cpu");
    println!("cargo:rustc-link-lib=c10");
    println!("cargo:rustc-link-arg=-Wl,-rpath,$ORIGIN/../lib");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", lib.display());
    if env::var_os("CARGO_FEATURE_CUDA").is_some() {
        println!("cargo:rustc-link-lib=torch_cuda");
        println!("cargo:rustc-link-lib=c10_cuda");
    }
    if lib.join("libtorch_cuda.so").is_file() {
        // libtorch finds its CUDA part by having it loaded, and NVIDIA's libraries when that is loaded: the linker must neither
        // leave out what nobody names nor follow what it cannot see.
        println!("cargo:rustc-link-arg=-Wl,--unresolved-symbols=ignore-in-shared-libs");
        println!("cargo:rustc-link-arg=-Wl,--push-state,--no-as-needed,-ltorch_cuda,-lc10_cuda,--pop-state");
    }
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

/// The folders with the headers of CUDA and NCCL; ends the build with what is missing and how to get it.
fn cuda_include_dirs(lib: &Path) -> Vec<PathBuf> {
    if !lib.join("libtorch_cuda.so").is_file() {
        panic!(
            "the feature `cuda` needs a libtorch for CUDA, but {} has no libtorch_cuda.so: set LIBTORCH to the folder `torch` of the whole PyPI wheel torch 2.13, and LIBTORCH_BYPASS_VERSION_CHECK=1",
            lib.display(),
        );
    }
    let mut folders: Vec<PathBuf> = env::var_os("GALAPAGOS_CUDA_INCLUDE")
        .iter()
        .flat_map(|paths| env::split_paths(paths).collect::<Vec<_>>())
        .collect();
    if let Some(packages) = lib.parent().and_then(Path::parent) {
        folders.extend(["nvidia/cu13/include", "nvidia/nccl/include"].map(|folder| packages.join(folder)));
    }
    for (header, package) in CUDA_HEADERS {
        if !folders.iter().any(|folder| folder.join(header).is_file()) {
            panic!(
                "the feature `cuda` needs the header `{header}`, which is in none of {folders:?}: install `{package}` (PyPI, of CUDA 13.0) beside torch, or name its include folder in GALAPAGOS_CUDA_INCLUDE",
            );
        }
    }
    folders
}

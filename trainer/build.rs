//! Gives this crate's binaries and tests the rpath to libtorch: beside an installed binary, else where the build found it.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
    let Ok(lib) = std::env::var("DEP_TCH_LIBTORCH_LIB") else {
        panic!(
            "torch-sys did not say where libtorch is: this crate must depend on torch-sys directly; run `make setup` for libtorch"
        );
    };
    println!("cargo:rustc-link-arg=-Wl,-rpath,$ORIGIN/../lib");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{lib}");
    // libtorch finds its CUDA part by having it loaded. No symbol of it is used, so the linker would leave it out; and in PyPI's
    // wheel it finds NVIDIA's libraries when it is loaded, which the linker does not follow.
    if std::path::Path::new(&lib).join("libtorch_cuda.so").exists() {
        println!("cargo:rustc-link-arg=-Wl,--unresolved-symbols=ignore-in-shared-libs");
        println!("cargo:rustc-link-arg=-Wl,--push-state,--no-as-needed,-ltorch_cuda,-lc10_cuda,--pop-state");
    }
}

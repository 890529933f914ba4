//! Compiles the contract in `proto/` to Rust and to a descriptor set, both in `OUT_DIR` only. No `protoc` is needed.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

use prost::Message;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let services = ["worker", "round", "admin"].map(|name| format!("galapagos/v1/{name}.proto"));
    let descriptors = protox::compile(services, ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("galapagos_descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}

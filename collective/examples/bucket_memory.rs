//! Peak memory of a few training steps of a network of 50 million parameters under a reducer, with gradients of their own or as
//! views into the buckets: `cargo run --release --example bucket_memory -- plain|views`. One rank, since the buckets are the
//! same for any number. It measures memory only.

use std::error::Error;
use std::net::Ipv4Addr;
use std::time::Duration;

use galapagos_collective::{Group, GroupSpec, Reducer, ReducerOptions, Store, clear_grads};
use tch::{Device, Kind, Tensor};

const TIMEOUT: Duration = Duration::from_secs(60);
const WIDTH: i64 = 2048;
const LAYERS: usize = 12;
const STEPS: usize = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let bucket_view = match std::env::args().nth(1).as_deref() {
        Some("plain") => false,
        Some("views") => true,
        other => return Err(format!("say `plain` or `views`, not {other:?}").into()),
    };
    let weights: Vec<Tensor> = (0..LAYERS).map(|_| weight()).collect::<Result<_, _>>()?;
    let parameters: usize = weights.iter().map(Tensor::numel).sum();
    let before = peak_kib()?;
    let store = Store::listen(Ipv4Addr::LOCALHOST.into(), TIMEOUT)?;
    let host = Ipv4Addr::LOCALHOST.into();
    let group = Group::gloo(
        &store,
        &GroupSpec { prefix: "memory".to_owned(), rank: 0, world_size: 1, host, timeout: TIMEOUT },
    )?;
    let reducer = Reducer::new(&group, &weights, ReducerOptions { bucket_view, ..ReducerOptions::default() })?;
    let input = Tensor::f_randn([16, WIDTH], (Kind::Float, Device::Cpu))?;
    for _ in 0..STEPS {
        clear_grads(&weights)?;
        reducer.prepare_step()?;
        let mut h = input.shallow_clone();
        for weight in &weights {
            h = h.f_matmul(weight)?.f_gelu("none")?;
        }
        reducer.backward(&h.f_square()?.f_mean(Kind::Float)?)?;
    }
    let mib = |kib: u64| kib / 1024;
    println!(
        "bucket_view {bucket_view}: {parameters} parameters ({} MiB), peak {} MiB, of which {} MiB before the reducer",
        parameters * 4 / (1 << 20),
        mib(peak_kib()?),
        mib(before),
    );
    Ok(())
}

fn weight() -> Result<Tensor, Box<dyn Error>> {
    let values = Tensor::f_randn([WIDTH, WIDTH], (Kind::Float, Device::Cpu))?.f_mul_scalar(0.02)?;
    Ok(values.f_set_requires_grad(true)?)
}

/// The most memory that this process had at once (Linux).
fn peak_kib() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).ok_or("/proc/self/status has no VmHWM")?;
    Ok(line.split_whitespace().nth(1).ok_or("VmHWM has no value")?.parse()?)
}

//! Prints, for each backend, whether this build has it and what joining a group of one rank on it says. `make check-cuda`
//! reads it; it decides nothing and ends well whatever it finds.

use std::error::Error;
use std::net::Ipv4Addr;
use std::time::Duration;

use galapagos_collective::{Backend, Group, GroupSpec, Reduce, Store};
use tch::{Kind, Tensor};

const TIMEOUT: Duration = Duration::from_secs(30);

fn main() -> Result<(), Box<dyn Error>> {
    let store = Store::listen(Ipv4Addr::LOCALHOST.into(), TIMEOUT)?;
    for backend in [Backend::Gloo, Backend::Nccl { device: 0 }] {
        match Group::join(&store, backend, &spec(backend)) {
            Ok(group) => println!("{}: joined; {}", backend.name(), sum_of_one(&group)?),
            Err(error) => println!("{}: cannot be joined: {error}", backend.name()),
        }
    }
    Ok(())
}

fn spec(backend: Backend) -> GroupSpec {
    let host = Ipv4Addr::LOCALHOST.into();
    GroupSpec { prefix: backend.name().to_owned(), rank: 0, world_size: 1, host, timeout: TIMEOUT }
}

/// One collective, so that a device that is there is used.
fn sum_of_one(group: &Group) -> Result<String, Box<dyn Error>> {
    let mut tensor = Tensor::f_ones([2], (Kind::Float, group.backend().device()))?;
    group.all_reduce(&mut tensor, Reduce::Sum)?;
    let sum = tensor.f_sum(Kind::Float)?.f_double_value(&[])?;
    Ok(format!("the elements of [1, 1] summed over 1 rank add up to {sum}"))
}

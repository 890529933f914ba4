//! What this machine can do at most, for the floors: a large read and a large product, through libtorch with the same
//! number of threads as the sides. The best of some tries, because others may be using the machine.

use galapagos_model::Precision;
use tch::{Device, Kind, TchError, Tensor};

use super::floor::Speed;
use super::machine::timed;
use super::rows::Scale;

const TRIES: usize = 15;

/// Measures memory and arithmetic.
///
/// # Errors
/// If libtorch cannot hold the tensors.
pub fn probe(precision: Precision, scale: Scale) -> Result<Speed, TchError> {
    let (megabytes, side) = match scale {
        Scale::Full => (512, 2048),
        Scale::Quick => (64, 256),
    };
    let _no_gradients = tch::no_grad_guard();
    let floats = megabytes * 1_000_000 / 4;
    let read = Tensor::f_ones([floats], (Kind::Float, Device::Cpu))?;
    let read_seconds = best(|| read.f_sum(Kind::Float))?;
    let factor = Tensor::f_ones([side, side], (precision.kind(), Device::Cpu))?;
    let product_seconds = best(|| factor.f_matmul(&factor))?;
    let operations = 2.0 * (side * side * side) as f64;
    Ok(Speed {
        bytes_per_second: 4.0 * floats as f64 / read_seconds,
        operations_per_second: operations / product_seconds,
    })
}

fn best(work: impl Fn() -> Result<Tensor, TchError>) -> Result<f64, TchError> {
    // Kernels are made at their first use.
    drop(work()?);
    let mut least = f64::INFINITY;
    for _ in 0..TRIES {
        let (result, seconds) = timed(&work);
        drop(result?);
        least = least.min(seconds.wall);
    }
    Ok(least)
}

//! Times the optimisers on weights shaped as SmolLM2-135M: `optimiser_time [THREADS] [REPEATS]`. Prints the least and
//! the median seconds of a step on stdout. A measurement for people; nothing depends on it.

use galapagos_telemetry::clock::monotonic_ns;
use galapagos_trainer::optim::{Adamw, Muon, Optimiser, Settings, Sgd, gradient_norm};
use tch::{Device, Kind, Tensor};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let threads: i32 = arguments.next().map_or(Ok(1), |text| text.parse())?;
    let repeats: usize = arguments.next().map_or(Ok(9), |text| text.parse())?;
    tch::set_num_threads(threads);
    let weights = weights()?;
    let elements: usize = weights.iter().map(|(_, weight)| weight.numel()).sum();
    println!("{elements} parameters, {threads} threads, {repeats} repeats");
    time("gradient_norm", repeats, || gradient_norm(weights.iter().map(|(_, w)| w)).map(drop).map_err(Failure::from))?;
    // The factors leave the gradients' size about as it is: an update may write them back.
    let sgd = Sgd { momentum: 0.9, nesterov: false, weight_decay: 0.1 };
    for (name, settings, repeats, factor) in [
        ("adamw", Settings::Adamw(Adamw::new(0.1)), repeats, 1.0),
        ("adamw, clipping", Settings::Adamw(Adamw::new(0.1)), repeats, 0.99),
        ("sgd with momentum", Settings::Sgd(sgd), repeats, 1.0),
        ("muon", Settings::Muon(Muon::new(0.1)), repeats.min(2), 1.0),
        ("muon in bfloat16", Settings::Muon(Muon { bf16: true, ..Muon::new(0.1) }), repeats.min(2), 1.0),
    ] {
        let mut optimiser = Optimiser::new(&weights, settings, &vec![true; weights.len()])?;
        time(name, repeats, || optimiser.step(1e-4, factor).map_err(Failure::from))?;
    }
    Ok(())
}

fn time(name: &str, repeats: usize, mut work: impl FnMut() -> Result<(), Failure>) -> Result<(), Failure> {
    work()?;
    let mut seconds = Vec::new();
    for _ in 0..repeats.max(1) {
        let start = monotonic_ns();
        work()?;
        seconds.push((monotonic_ns() - start) as f64 / 1e9);
    }
    seconds.sort_by(f64::total_cmp);
    println!("{name}: least {:.4} s, median {:.4} s", seconds[0], seconds[seconds.len() / 2]);
    Ok(())
}

/// Random weights, each with a gradient.
fn weights() -> Result<Vec<(String, Tensor)>, Failure> {
    let mut shapes: Vec<(String, Vec<i64>)> = vec![("embed_tokens.weight".to_owned(), vec![49152, 576])];
    for layer in 0..30 {
        let matrices = [[576, 576], [192, 576], [192, 576], [576, 576], [1536, 576], [1536, 576], [576, 1536]];
        shapes.extend(
            matrices.iter().enumerate().map(|(n, shape)| (format!("layers.{layer}.{n}.weight"), shape.to_vec())),
        );
        shapes.extend((0..2).map(|n| (format!("layers.{layer}.norm.{n}"), vec![576])));
    }
    shapes.push(("norm".to_owned(), vec![576]));
    let weight = |(name, shape): (String, Vec<i64>)| {
        let weight = (Tensor::f_randn(&shape, (Kind::Float, Device::Cpu))? * 0.02).f_set_requires_grad(true)?;
        let gradient = Tensor::f_randn(&shape, (Kind::Float, Device::Cpu))?;
        weight.f_mul(&gradient)?.f_sum(Kind::Float)?.f_backward()?;
        Ok((name, weight))
    };
    shapes.into_iter().map(weight).collect()
}

//! The learning rate of each optimiser step: a linear rise from 0, then a half cosine down to a floor. Pure.

use std::f64::consts::PI;

use galapagos_domain::recipe::train::Train;

/// A learning-rate curve over the whole round, read at the middle of each step, so that its shape and its mean do not depend
/// on how many steps there are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    peak: f64,
    warmup: f64,
    floor: f64,
    steps: u64,
}

impl Schedule {
    /// The curve that `train` asks for, over `steps` steps.
    #[must_use]
    pub fn new(train: &Train, steps: u64) -> Self {
        Self { peak: train.lr, warmup: train.warmup, floor: train.floor, steps }
    }

    /// The learning rate of step `step`, counted from 0 and below `steps`.
    #[must_use]
    pub fn lr(&self, step: u64) -> f64 {
        let done = (step as f64 + 0.5) / self.steps as f64;
        if done < self.warmup {
            return self.peak * done / self.warmup;
        }
        let fallen = (done - self.warmup) / (1.0 - self.warmup);
        self.peak * (self.floor + (1.0 - self.floor) * 0.5 * (1.0 + (PI * fallen).cos()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(warmup: f64, floor: f64, steps: u64) -> Schedule {
        Schedule { peak: 2.0, warmup, floor, steps }
    }

    #[test]
    fn it_rises_in_a_line_and_falls_along_a_half_cosine() {
        let curve = schedule(0.5, 0.1, 10);
        let lrs: Vec<f64> = (0..10).map(|step| curve.lr(step)).collect();
        for (lr, wanted) in lrs.iter().zip([0.2, 0.6, 1.0, 1.4, 1.8]) {
            assert!((lr - wanted).abs() < 1e-12, "{lrs:?}");
        }
        // Half way down the cosine stands in the middle between peak and floor.
        assert!((lrs[7] - 1.1).abs() < 1e-12, "{lrs:?}");
        assert!(lrs[5..].windows(2).all(|pair| pair[0] > pair[1]) && lrs[9] > 0.2 && lrs[9] < 0.3, "{lrs:?}");
    }

    #[test]
    fn the_extremes_are_defined() {
        assert!((schedule(0.0, 0.0, 1).lr(0) - 1.0).abs() < 1e-12);
        assert!((schedule(1.0, 0.0, 1).lr(0) - 1.0).abs() < 1e-12);
        assert!((0..7).all(|step| schedule(0.0, 1.0, 7).lr(step) == 2.0));
    }

    #[test]
    fn the_mean_does_not_depend_on_the_number_of_steps() {
        let mean = |steps| (0..steps).map(|step| schedule(0.1, 0.1, steps).lr(step)).sum::<f64>() / steps as f64;
        assert!((mean(10) - mean(1000)).abs() < 0.01 * mean(1000));
    }
}

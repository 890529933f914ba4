//! The learning rate of each optimiser step: a linear rise from 0, then a fall that depends on the shape. Pure.
//!
//! The curve is a function of the part of the run that is done, read at the middle of each step, so that its shape and
//! its mean do not depend on how many steps there are.

use std::f64::consts::PI;

use super::error::{OptimError, check};

/// How the learning rate falls after the warmup.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Shape {
    /// Along a half cosine to the floor (Loshchilov & Hutter, 2017, without restarts).
    Cosine,
    /// In a line to the floor.
    Linear,
    /// Not at all; the floor has no meaning.
    Constant,
    /// Warmup, stable, decay (Hu et al., "MiniCPM", 2024): the peak until the last `decay` of the run, then in a line
    /// to the floor.
    Wsd {
        /// Part of all steps, above 0; warmup and decay together are at most 1.
        decay: f64,
    },
}

/// A learning-rate curve over a whole run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    shape: Shape,
    peak: f64,
    warmup: f64,
    floor: f64,
    steps: u64,
}

impl Schedule {
    /// A curve that rises in a line from 0 to `peak` over the part `warmup` of all `steps`, then falls to `floor *
    /// peak`.
    ///
    /// # Errors
    /// [`OptimError::Setting`] if `peak` is not a positive finite number, `warmup` or `floor` not within 0 to 1,
    /// `steps` 0, or the decay of [`Shape::Wsd`] not within its range.
    pub fn new(shape: Shape, peak: f64, warmup: f64, floor: f64, steps: u64) -> Result<Self, OptimError> {
        check("peak", peak, peak > 0.0 && peak.is_finite(), "a finite number above 0")?;
        check("warmup", warmup, (0.0..=1.0).contains(&warmup), "between 0 and 1")?;
        check("floor", floor, (0.0..=1.0).contains(&floor), "between 0 and 1")?;
        check("steps", steps as f64, steps > 0, "at least 1")?;
        if let Shape::Wsd { decay } = shape {
            // Sums such as 0.1 + 0.9 may end a rounding above 1.
            let fits = decay > 0.0 && warmup + decay <= 1.0 + 1e-9;
            check("decay", decay, fits, "above 0, and at most 1 together with the warmup")?;
        }
        Ok(Self { shape, peak, warmup, floor, steps })
    }

    /// The number of steps of the run.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The learning rate of step `step`, counted from 0; from `steps` on it stays at the end of the curve.
    #[must_use]
    pub fn lr(&self, step: u64) -> f64 {
        let done = ((step as f64 + 0.5) / self.steps as f64).min(1.0);
        if done < self.warmup {
            return self.peak * done / self.warmup;
        }
        // The part of the fall that is done: 0 at its start, 1 at the end of the run.
        let fallen = |start: f64| if start < 1.0 { ((done - start) / (1.0 - start)).clamp(0.0, 1.0) } else { 0.0 };
        let height = match self.shape {
            Shape::Cosine => 0.5 * (1.0 + (PI * fallen(self.warmup)).cos()),
            Shape::Linear => 1.0 - fallen(self.warmup),
            Shape::Constant => 1.0,
            Shape::Wsd { decay } => 1.0 - fallen((1.0 - decay).max(self.warmup)),
        };
        self.peak * (self.floor + (1.0 - self.floor) * height)
    }
}

#[cfg(test)]
mod tests;

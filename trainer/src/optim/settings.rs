//! What a person chooses about an optimiser, and which choices are refused. Holds numbers only; the updates they mean
//! are in `update` and `muon`.
//!
//! Weight decay is decoupled (Loshchilov & Hutter, 2019): each step multiplies a weight by `1 - lr * weight_decay`,
//! apart from its gradient. It applies to weights of two or more dimensions; norms, biases and other vectors are not
//! decayed.

use super::error::{OptimError, check};

/// An optimiser with its constants. The learning rate comes with each step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Settings {
    Adamw(Adamw),
    Sgd(Sgd),
    Muon(Muon),
}

/// Adam with decoupled weight decay (Loshchilov & Hutter, 2019, algorithm 2).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adamw {
    /// Decay of the mean of gradients, in 0..1.
    pub beta1: f64,
    /// Decay of the mean of squared gradients, in 0..1.
    pub beta2: f64,
    /// Added to the root of the squares; above 0.
    pub eps: f64,
    pub weight_decay: f64,
}

impl Adamw {
    /// Betas 0.9 and 0.95, eps 1e-8, as language models are commonly trained (Brown et al., 2020, appendix B).
    #[must_use]
    pub fn new(weight_decay: f64) -> Self {
        Self { beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay }
    }
}

/// Stochastic gradient descent with momentum and decoupled weight decay (Loshchilov & Hutter, 2019, algorithm 1).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sgd {
    /// In 0..1; at 0 there is no state.
    pub momentum: f64,
    /// Looks one step ahead (Nesterov, 1983; Sutskever et al., 2013); needs momentum above 0.
    pub nesterov: bool,
    pub weight_decay: f64,
}

/// Momentum orthogonalised by Newton-Schulz iteration (Jordan et al., 2024), for hidden matrices.
///
/// The update is scaled by `0.2 * sqrt(max(rows, columns))` (Liu et al., "Muon is scalable for LLM training", 2025),
/// which gives it the root mean square of an AdamW update, so that one learning rate serves both. Everything but a
/// hidden matrix is moved by
/// `adamw`: vectors, weights of more than two dimensions, embeddings and heads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Muon {
    /// In 0..1.
    pub momentum: f64,
    pub nesterov: bool,
    /// Of hidden matrices.
    pub weight_decay: f64,
    /// Newton-Schulz iterations, 1 to 99; 5 is usual.
    pub newton_schulz_steps: u32,
    /// Whether the iteration runs in bfloat16, which processors with such products do about twice as fast, and the update
    /// is off by about 2^-9. All ranks must do the same.
    pub bf16: bool,
    /// What moves all other weights, with its own weight decay.
    pub adamw: Adamw,
    /// The learning rate of `adamw` as a part of the step's; above 0.
    pub adamw_lr_factor: f64,
}

impl Muon {
    /// Nesterov momentum 0.95, five iterations in f32, and [`Adamw::new`] at the same learning rate and weight decay.
    #[must_use]
    pub fn new(weight_decay: f64) -> Self {
        Self {
            momentum: 0.95,
            nesterov: true,
            weight_decay,
            newton_schulz_steps: 5,
            bf16: false,
            adamw: Adamw::new(weight_decay),
            adamw_lr_factor: 1.0,
        }
    }
}

const PART: &str = "at least 0 and below 1";
const DECAY: &str = "a finite number that is not negative";

impl Settings {
    /// Refuses constants that would make an update without meaning.
    ///
    /// # Errors
    /// [`OptimError::Setting`] names the first one that is out of its range.
    pub fn check(&self) -> Result<(), OptimError> {
        match self {
            Self::Adamw(adamw) => adamw.check(),
            Self::Sgd(Sgd { momentum, nesterov, weight_decay }) => {
                part("momentum", *momentum)?;
                check("momentum", *momentum, !nesterov || *momentum > 0.0, "above 0 with nesterov")?;
                decay(*weight_decay)
            }
            Self::Muon(muon) => {
                part("momentum", muon.momentum)?;
                decay(muon.weight_decay)?;
                let steps = muon.newton_schulz_steps;
                check("newton_schulz_steps", f64::from(steps), (1..100).contains(&steps), "between 1 and 99")?;
                let factor = muon.adamw_lr_factor;
                check("adamw_lr_factor", factor, factor > 0.0 && factor.is_finite(), "a finite number above 0")?;
                muon.adamw.check()
            }
        }
    }
}

impl Adamw {
    fn check(&self) -> Result<(), OptimError> {
        part("beta1", self.beta1)?;
        part("beta2", self.beta2)?;
        check("eps", self.eps, self.eps > 0.0 && self.eps.is_finite(), "a finite number above 0")?;
        decay(self.weight_decay)
    }
}

fn part(name: &'static str, value: f64) -> Result<(), OptimError> {
    check(name, value, (0.0..1.0).contains(&value), PART)
}

fn decay(value: f64) -> Result<(), OptimError> {
    check("weight_decay", value, value >= 0.0 && value.is_finite(), DECAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_out_of_range_are_refused_by_name() {
        let adamw = Adamw::new(0.1);
        let sgd = Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.0 };
        let muon = Muon::new(0.1);
        for good in [Settings::Adamw(adamw), Settings::Sgd(sgd), Settings::Muon(muon)] {
            good.check().unwrap();
        }
        let refused = |settings: Settings| settings.check().unwrap_err().to_string();
        assert_eq!(
            refused(Settings::Adamw(Adamw { beta2: 1.0, ..adamw })),
            "`beta2` is 1; it must be at least 0 and below 1"
        );
        assert!(refused(Settings::Adamw(Adamw { eps: 0.0, ..adamw })).contains("`eps`"));
        assert!(refused(Settings::Adamw(Adamw { weight_decay: f64::NAN, ..adamw })).contains("`weight_decay`"));
        assert!(refused(Settings::Sgd(Sgd { nesterov: true, ..sgd })).contains("above 0 with nesterov"));
        assert!(refused(Settings::Muon(Muon { newton_schulz_steps: 0, ..muon })).contains("`newton_schulz_steps`"));
        assert!(refused(Settings::Muon(Muon { adamw_lr_factor: -1.0, ..muon })).contains("`adamw_lr_factor`"));
        assert!(refused(Settings::Muon(Muon { adamw: Adamw { beta1: -0.1, ..adamw }, ..muon })).contains("`beta1`"));
    }
}

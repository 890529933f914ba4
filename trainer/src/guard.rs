//! Whether a step can be right: losses that are no numbers, and losses far above the ones before. Pure; the same on all ranks,
//! because they see the same losses.

use std::collections::VecDeque;

use galapagos_domain::recipe::train::{Guard, Policy};

/// Losses that the running mean is over.
const WINDOW: usize = 50;

/// Before so many losses nothing is a spike.
const LEAST: usize = 8;

/// A step that cannot be right.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Alarm {
    pub kind: AlarmKind,
    pub policy: Policy,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum AlarmKind {
    NotFinite,
    /// The loss is above what the ones before let expect.
    Spike {
        limit: f64,
    },
}

/// The losses of a round as they come.
#[derive(Debug, Clone)]
pub struct Watch {
    guard: Guard,
    recent: VecDeque<f64>,
}

impl Watch {
    /// Over the latest of `losses`.
    #[must_use]
    pub fn new(guard: Guard, losses: &[f64]) -> Self {
        let recent = losses.iter().rev().take(WINDOW).rev().copied().collect();
        Self { guard, recent }
    }

    /// Looks at a step's loss and gradient before its update.
    #[must_use]
    pub fn judge(&self, loss: f64, grad_norm: f64) -> Option<Alarm> {
        if !(loss.is_finite() && grad_norm.is_finite()) {
            return Some(Alarm { kind: AlarmKind::NotFinite, policy: self.guard.nonfinite });
        }
        let limit = self.limit()?;
        (loss > limit).then_some(Alarm { kind: AlarmKind::Spike { limit }, policy: self.guard.on_spike })
    }

    /// A loss above this is a spike: so many standard deviations over the mean of the latest losses. A deviation counts as at least a
    /// hundredth of the mean, so that a flat curve does not make noise a spike.
    fn limit(&self) -> Option<f64> {
        let factor = self.guard.spike.filter(|_| self.recent.len() >= LEAST)?;
        let count = self.recent.len() as f64;
        let mean = self.recent.iter().sum::<f64>() / count;
        let squares: f64 = self.recent.iter().map(|loss| (loss - mean).powi(2)).sum();
        let deviation = (squares / (count - 1.0)).sqrt().max(0.01 * mean.abs()).max(1e-9);
        Some(mean + factor * deviation)
    }

    /// A step's loss after its update.
    pub fn accept(&mut self, loss: f64) {
        if self.recent.len() == WINDOW {
            self.recent.pop_front();
        }
        self.recent.push_back(loss);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(spike: Option<f64>, losses: &[f64]) -> Watch {
        Watch::new(Guard { spike, ..Guard::default() }, losses)
    }

    #[test]
    fn what_is_no_number_is_always_an_alarm() {
        let watch = watch(None, &[]);
        for (loss, grad_norm) in [(f64::NAN, 1.0), (1.0, f64::INFINITY)] {
            assert_eq!(watch.judge(loss, grad_norm).map(|alarm| alarm.kind), Some(AlarmKind::NotFinite));
        }
        assert_eq!(watch.judge(1e30, 1e30), None, "nobody asked for spikes");
    }

    #[test]
    fn a_spike_is_far_above_the_latest_losses_and_a_slow_rise_is_none() {
        let calm: Vec<f64> = (0..20).map(|i| 2.0 + 0.05 * f64::from(i % 3)).collect();
        let mut watch = watch(Some(6.0), &calm);
        assert_eq!(watch.judge(2.28, 1.0), None);
        let alarm = watch.judge(4.0, 1.0).unwrap();
        assert!(matches!(alarm.kind, AlarmKind::Spike { limit } if limit > 2.2 && limit < 2.5), "{alarm:?}");
        assert_eq!(alarm.policy, Policy::Skip);
        for i in 0..100 {
            let loss = 2.1 + 0.005 * f64::from(i);
            assert_eq!(watch.judge(loss, 1.0), None, "{i}");
            watch.accept(loss);
        }
    }

    #[test]
    fn too_few_losses_judge_nothing() {
        assert_eq!(watch(Some(2.0), &[1.0; 7]).judge(100.0, 1.0), None);
        assert!(watch(Some(2.0), &[1.0; 8]).judge(100.0, 1.0).is_some());
    }
}

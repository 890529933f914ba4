//! `sample_k`: n independent samples per task. Sample i of a task draws from the task's seed and i alone.

use std::sync::Arc;

use galapagos_domain::job::Sampling;

use super::{Ask, Policy, Sample, Search};
use crate::engine::EngineError;
use crate::jobs::tasks::{Item, Tasks};

/// `n` samples per task.
#[derive(Debug, Clone)]
pub struct SampleK {
    pub n: u32,
    pub sampling: Sampling,
}

impl Search for SampleK {
    fn budget(&self, tasks: &Tasks) -> u64 {
        tasks.items.len() as u64 * u64::from(self.n)
    }

    fn search(&self, policy: &Policy<'_>, tasks: &Tasks) -> Result<Vec<Vec<Sample>>, EngineError> {
        if self.n == 0 {
            return Ok(vec![Vec::new(); tasks.items.len()]);
        }
        let sampling = Arc::new(self.sampling.clone());
        let ask = |(place, item): (usize, &Item)| Ask {
            place,
            samples: self.n,
            seed: item.seed,
            sampling: Arc::clone(&sampling),
        };
        let asks: Vec<Ask> = tasks.items.iter().enumerate().map(ask).collect();
        policy.answer(tasks, &asks)
    }
}

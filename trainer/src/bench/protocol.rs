//! What a process of a comparison is told and what it answers: one JSON object a line. Ours (`rank`) and the peers' scripts
//! (`scripts/bench/peer_protocol.py`) speak the same.

use std::path::PathBuf;

use galapagos_domain::recipe::train::{Layout, Precision};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A command; every one is answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Serve the rendezvous of a group: told to rank 0 alone. Answer: [`Listening`].
    Listen,
    /// Load the model and join the group. Answer: [`Loaded`].
    Load(Box<Load>),
    /// One optimiser step on the batch, always the same. Answer: [`Stepped`].
    Step,
    /// Answer: [`Memory`].
    Memory,
}

/// What a process trains.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// Hugging Face folder.
    pub model: PathBuf,
    /// Of products; weights and optimiser are in 32-bit floats.
    pub precision: Precision,
    pub threads: u32,
    pub rank: u32,
    pub world_size: u32,
    /// Where rank 0 listens; absent for a group of one.
    pub rendezvous: Option<String>,
    pub layout: Layout,
    /// Sequences in one forward pass.
    pub micro_batch: u32,
    /// Settings of AdamW, without weight decay, and the largest gradient norm.
    pub lr: f64,
    pub betas: [f64; 2],
    pub eps: f64,
    pub clip: f64,
    /// The batch over all ranks.
    pub sequences: Vec<Vec<u32>>,
    /// So many tokens at the end of each sequence are learned, of shorter ones all but the first.
    pub answer: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listening {
    pub address: String,
}

/// Versions and settings as the process sees them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Loaded {
    pub versions: Value,
    pub settings: Value,
}

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Stepped {
    /// Wall clock, and processor time of all threads of the process.
    pub seconds: f64,
    pub cpu_seconds: f64,
    /// Before the update: mean over the batch's learned tokens, or over those of this rank.
    pub loss: f64,
    /// Before clipping.
    pub grad_norm: f64,
    pub time: Parts,
}

/// Seconds of the parts of a step. What is reduced during the backward pass counts as that.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Parts {
    #[serde(default)]
    pub data: f64,
    pub forward: f64,
    pub backward: f64,
    /// What else ranks exchange, and the gradient's norm.
    #[serde(default)]
    pub communication: f64,
    /// With clipping.
    pub optimiser: f64,
}

impl Parts {
    /// By name, in order.
    #[must_use]
    pub fn named(&self) -> [(&'static str, f64); 5] {
        [
            ("data", self.data),
            ("forward", self.forward),
            ("backward", self.backward),
            ("communication", self.communication),
            ("optimiser", self.optimiser),
        ]
    }

    /// The mean of several.
    #[must_use]
    pub fn mean(all: &[Self]) -> Self {
        let mean = |part: fn(&Self) -> f64| all.iter().map(part).sum::<f64>() / all.len().max(1) as f64;
        Self {
            data: mean(|parts| parts.data),
            forward: mean(|parts| parts.forward),
            backward: mean(|parts| parts.backward),
            communication: mean(|parts| parts.communication),
            optimiser: mean(|parts| parts.optimiser),
        }
    }
}

/// Resident memory of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// When it was told to load, its libraries loaded.
    pub start_bytes: u64,
    /// The most it ever had.
    pub peak_bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_look_as_the_peers_scripts_read_them() {
        assert_eq!(serde_json::to_value(&Command::Listen).unwrap(), serde_json::json!({"command": "listen"}));
        let load = Load {
            model: PathBuf::from("m"),
            precision: Precision::Bf16,
            threads: 2,
            rank: 1,
            world_size: 2,
            rendezvous: Some("127.0.0.1:1".to_owned()),
            layout: Layout::Packed,
            micro_batch: 4,
            lr: 1e-5,
            betas: [0.9, 0.999],
            eps: 1e-8,
            clip: 1.0,
            sequences: vec![vec![1, 2]],
            answer: 1,
        };
        let value = serde_json::to_value(Command::Load(Box::new(load.clone()))).unwrap();
        assert_eq!((&value["command"], &value["precision"]), (&"load".into(), &"bf16".into()));
        assert_eq!(serde_json::from_value::<Command>(value).unwrap(), Command::Load(Box::new(load)));
    }

    #[test]
    fn means_are_of_each_part() {
        let parts = |forward, backward| Parts { forward, backward, ..Parts::default() };
        assert_eq!(Parts::mean(&[parts(1.0, 4.0), parts(3.0, 6.0)]), parts(2.0, 5.0));
    }
}

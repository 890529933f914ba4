//! Where a rank computes, and over what it meets the others: CPUs over Gloo, CUDA devices over NCCL. All else is the same code.
//!
//! Nothing here has run on a machine with a GPU.

use std::fmt;
use std::str::FromStr;

use galapagos_collective::Backend;
use tch::Device;

/// A device as it is named on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Place {
    #[default]
    Cpu,
    /// The CUDA device of that number.
    Cuda(usize),
}

/// Not the name of a device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no device of a rank; use cpu, cuda or cuda:N")]
pub struct NoPlace {
    text: String,
}

impl Place {
    /// What tensors are made on.
    #[must_use]
    pub fn device(self) -> Device {
        match self {
            Self::Cpu => Device::Cpu,
            Self::Cuda(number) => Device::Cuda(number),
        }
    }

    /// What the ranks meet over.
    #[must_use]
    pub fn backend(self) -> Backend {
        match self {
            Self::Cpu => Backend::Gloo,
            Self::Cuda(device) => Backend::Nccl { device },
        }
    }
}

impl FromStr for Place {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let wrong = || NoPlace { text: text.to_owned() };
        match text.split_once(':') {
            None if text == "cpu" => Ok(Self::Cpu),
            None if text == "cuda" => Ok(Self::Cuda(0)),
            Some(("cuda", number)) => number.parse().map(Self::Cuda).map_err(|_| wrong()),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways_and_others_are_refused() {
        for (text, place) in [("cpu", Place::Cpu), ("cuda:0", Place::Cuda(0)), ("cuda:7", Place::Cuda(7))] {
            assert_eq!(text.parse::<Place>().unwrap(), place);
            assert_eq!(place.to_string(), text);
        }
        assert_eq!("cuda".parse::<Place>().unwrap(), Place::Cuda(0));
        for wrong in ["gpu", "cuda:", "cuda:x", "cpu:0", ""] {
            assert!(wrong.parse::<Place>().unwrap_err().to_string().contains("use cpu, cuda or cuda:N"), "{wrong}");
        }
    }

    #[test]
    fn devices_have_their_backends() {
        assert_eq!(Place::Cpu.backend().device(), Place::Cpu.device());
        assert_eq!(Place::Cuda(3).backend().device(), Place::Cuda(3).device());
    }
}

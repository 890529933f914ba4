//! Which of libtorch's backends carries a group's tensors: Gloo for the CPU, NCCL for CUDA devices. Says what this build and
//! this machine can do; everything after joining is the same code for both.
//!
//! Nothing of NCCL has run on a GPU yet: it is compiled, linked and refused in good order where there is none.

use tch::{Cuda, Device};

use crate::error::Error;
use crate::ffi;

/// What carries a group's tensors. The same on all ranks, but for the number of the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// Tensors on the CPU, over TCP. In every build.
    Gloo,
    /// Tensors on one CUDA device for each rank. In builds with the cargo feature `cuda`.
    ///
    /// Calls return when the collective has ended on the device, as with Gloo, and failures are errors: libtorch's own
    /// handling, which ends the process, is switched off (`TORCH_NCCL_BLOCKING_WAIT`). What hangs inside NCCL or the driver
    /// all the same, [`crate::Watchdog`] ends.
    Nccl {
        /// This rank's device, as numbered by `tch::Device::Cuda`. Two ranks cannot share one.
        device: usize,
    },
}

impl Backend {
    /// `Gloo` or `NCCL`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Gloo => "Gloo",
            Self::Nccl { .. } => "NCCL",
        }
    }

    /// Where the tensors of a group on this backend must be.
    #[must_use]
    pub fn device(self) -> Device {
        match self {
            Self::Gloo => Device::Cpu,
            Self::Nccl { device } => Device::Cuda(device),
        }
    }

    /// Whether a group on this backend can be joined in this process: the build has the backend, and libtorch finds the device.
    ///
    /// # Errors
    /// `NotBuilt` and `NoDevice`.
    pub fn check(self) -> Result<(), Error> {
        let Self::Nccl { device } = self else { return Ok(()) };
        if !cfg!(feature = "cuda") {
            return Err(Error::NotBuilt { backend: self.name() });
        }
        let found = if Cuda::is_available() { usize::try_from(Cuda::device_count()).unwrap_or(0) } else { 0 };
        if device >= found {
            return Err(Error::NoDevice { device, found });
        }
        Ok(())
    }

    /// What the shim takes for the backend and its device.
    pub(crate) fn codes(self) -> Result<(i32, i32), Error> {
        match self {
            Self::Gloo => Ok((ffi::GC_BACKEND_GLOO, 0)),
            Self::Nccl { device } => match i8::try_from(device) {
                Ok(number) => Ok((ffi::GC_BACKEND_NCCL, i32::from(number))),
                Err(_) => {
                    Err(Error::Argument { op: "group.join", wrong: format!("libtorch has no CUDA device {device}") })
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gloo_is_in_every_build() {
        Backend::Gloo.check().unwrap();
        assert_eq!((Backend::Gloo.name(), Backend::Gloo.device()), ("Gloo", Device::Cpu));
    }

    #[test]
    fn nccl_says_what_is_missing() {
        // More devices than any machine has, so that the test means the same on a machine with GPUs.
        let error = Backend::Nccl { device: 100 }.check().unwrap_err();
        let said = error.to_string();
        if cfg!(feature = "cuda") {
            assert!(matches!(error, Error::NoDevice { device: 100, .. }) && said.contains("no CUDA device"), "{said}");
        } else {
            assert!(matches!(error, Error::NotBuilt { backend: "NCCL" }) && said.contains("feature `cuda`"), "{said}");
        }
    }
}

//! Where the engine computes: which device was asked for, whether it is there, and the number format that it computes in.
//!
//! [`choose`], [`precision`] and [`least_capability`] decide and are pure; [`Place::find`] looks at the machine. Nothing here has run on
//! a machine with a GPU.

use std::fmt;
use std::io::Read;
use std::process::{Command, Stdio};
use std::str::FromStr;
use std::time::Duration;

use galapagos_model::Precision;
use galapagos_telemetry::clock;
use tch::{Cuda, Device};

/// Models narrower than this compute in 32-bit floats: too small to gain from bfloat16 and too small to bear its rounding.
pub const SMALL_HIDDEN: usize = 256;

/// The first devices of CUDA with bfloat16.
const BF16_FROM: Capability = Capability { major: 8, minor: 0 };

/// Beyond these, threads of one token's step wait for each other more than they help; whoever knows better says `--threads`.
const MOST_THREADS: u16 = 16;

/// What says how capable the devices are.
const QUERY: [&str; 3] = ["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"];

/// How long it may take.
const QUERY_LIMIT_MS: u64 = 20_000;

/// A device as a command line names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wanted {
    /// The first device of CUDA if there is one, else the CPU.
    #[default]
    Auto,
    Cpu,
    /// The device of CUDA with this number.
    Cuda(usize),
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.strip_prefix("cuda:").and_then(|number| number.parse().ok());
        match (text, number) {
            ("auto", _) => Ok(Self::Auto),
            ("cpu", _) => Ok(Self::Cpu),
            ("cuda", _) => Ok(Self::Cuda(0)),
            (_, Some(number)) => Ok(Self::Cuda(number)),
            (_, None) => Err("must be auto, cpu, cuda or cuda:N".to_owned()),
        }
    }
}

/// CUDA's compute capability: a generation of devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Capability {
    pub major: u32,
    pub minor: u32,
}

impl FromStr for Capability {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (major, minor) = text.trim().split_once('.').ok_or(())?;
        Ok(Self { major: major.parse().map_err(drop)?, minor: minor.parse().map_err(drop)? })
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Why nothing can be computed there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    #[error(
        "no CUDA device: this build's libtorch is for CPUs; use --device cpu (or auto), or build with a libtorch for CUDA (see \
         docs/engine.md)"
    )]
    CpuBuild,
    #[error(
        "no CUDA device: this build's libtorch is for CUDA, but finds no device; `nvidia-smi` must list one, and CUDA_VISIBLE_DEVICES \
         not hide it. Use --device cpu (or auto) to go without"
    )]
    NoneFound,
    #[error("no device cuda:{wanted}: there are {devices}, cuda:0 to cuda:{}", devices - 1)]
    NoSuch { wanted: usize, devices: usize },
    #[error("bfloat16 needs compute capability {BF16_FROM}; the CUDA device has {capability}: use --dtype f32")]
    NoBf16 { capability: Capability },
}

/// Computing threads for a program that has the machine to itself: its cores, as far as this process may use them, and at most 16.
#[must_use]
pub fn cores() -> u16 {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u16::try_from(cores).map_or(MOST_THREADS, |cores| cores.min(MOST_THREADS))
}

/// What there is to compute on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    /// Whether libtorch was built for CUDA.
    pub cuda_build: bool,
    /// Devices of CUDA.
    pub devices: usize,
}

/// A device that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub device: Device,
    /// Known for most devices of CUDA.
    pub capability: Option<Capability>,
    /// Computing threads on a CPU. No result depends on it.
    pub threads: usize,
}

impl Place {
    /// This machine's CPU, by one thread.
    pub const CPU: Self = Self { device: Device::Cpu, capability: None, threads: 1 };

    /// The same with so many computing threads.
    #[must_use]
    pub fn with_threads(self, threads: u16) -> Self {
        Self { threads: usize::from(threads), ..self }
    }

    /// The device that `wanted` means on this machine, with one computing thread. Asks `nvidia-smi` how capable a device of CUDA is; that it cannot say is a
    /// warning in the log.
    ///
    /// # Errors
    /// [`DeviceError`] if there is no such device.
    pub fn find(wanted: Wanted) -> Result<Self, DeviceError> {
        let devices = if Cuda::is_available() { usize::try_from(Cuda::device_count()).unwrap_or(0) } else { 0 };
        let machine = Machine { cuda_build: tch::utils::has_cudart(), devices };
        let device = choose(wanted, machine)?;
        let capability = match device {
            Device::Cpu | Device::Mps | Device::Vulkan => None,
            Device::Cuda(_) => asked_capability(),
        };
        Ok(Self { device, capability, threads: 1 })
    }

    /// The number format that models of this width are computed in here: [`precision`].
    #[must_use]
    pub fn precision(&self, hidden_size: usize) -> Precision {
        precision(self.device, self.capability, hidden_size)
    }

    /// Checks a format that somebody asked for.
    ///
    /// # Errors
    /// [`DeviceError::NoBf16`] if the device is known not to have it.
    pub fn check(&self, asked: Precision) -> Result<(), DeviceError> {
        match (asked, self.capability) {
            (Precision::Bf16, Some(capability)) if capability < BF16_FROM => Err(DeviceError::NoBf16 { capability }),
            (Precision::Bf16 | Precision::F32, _) => Ok(()),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.device {
            Device::Cpu => f.write_str("cpu"),
            Device::Cuda(number) => write!(f, "cuda:{number}"),
            Device::Mps => f.write_str("mps"),
            Device::Vulkan => f.write_str("vulkan"),
        }
    }
}

/// The device that `wanted` means on a machine.
///
/// # Errors
/// [`DeviceError`] if it is not there.
pub fn choose(wanted: Wanted, machine: Machine) -> Result<Device, DeviceError> {
    match wanted {
        Wanted::Cpu => Ok(Device::Cpu),
        Wanted::Auto if machine.devices == 0 => Ok(Device::Cpu),
        Wanted::Auto => Ok(Device::Cuda(0)),
        Wanted::Cuda(number) if number < machine.devices => Ok(Device::Cuda(number)),
        Wanted::Cuda(_) if !machine.cuda_build => Err(DeviceError::CpuBuild),
        Wanted::Cuda(_) if machine.devices == 0 => Err(DeviceError::NoneFound),
        Wanted::Cuda(wanted) => Err(DeviceError::NoSuch { wanted, devices: machine.devices }),
    }
}

/// The number format of a model of this width: 32-bit floats for small models and for devices that are not known to have bfloat16,
/// else bfloat16.
#[must_use]
pub fn precision(device: Device, capability: Option<Capability>, hidden_size: usize) -> Precision {
    let has_bf16 = match device {
        Device::Cpu => true,
        Device::Cuda(_) => capability.is_some_and(|capability| capability >= BF16_FROM),
        Device::Mps | Device::Vulkan => false,
    };
    if has_bf16 && hidden_size >= SMALL_HIDDEN { Precision::Bf16 } else { Precision::F32 }
}

/// The least capability in the answer of `nvidia-smi`, one a line: its order need not be CUDA's, so the least is assumed of each device.
/// `None` unless every line is one.
#[must_use]
pub fn least_capability(answer: &str) -> Option<Capability> {
    let lines = answer.lines().filter(|line| !line.trim().is_empty());
    let all: Result<Vec<Capability>, ()> = lines.map(str::parse).collect();
    all.ok()?.into_iter().min()
}

fn asked_capability() -> Option<Capability> {
    let (capability, why) = match answer_of(QUERY) {
        Ok(answer) => (least_capability(&answer), format!("it says {:?}", answer.trim())),
        Err(error) => (None, error),
    };
    if capability.is_none() {
        let command = QUERY.join(" ");
        tracing::warn!(
            "the CUDA device's compute capability cannot be read from `{command}` ({why}); computing in 32-bit floats"
        );
    }
    capability
}

/// What a program prints, if it ends well and in time.
fn answer_of([program, arguments @ ..]: [&str; 3]) -> Result<String, String> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let deadline_ms = clock::monotonic_ms() + QUERY_LIMIT_MS;
    let status = loop {
        match child.try_wait().map_err(|error| error.to_string())? {
            Some(status) => break status,
            None if clock::monotonic_ms() < deadline_ms => std::thread::sleep(Duration::from_millis(10)),
            None => {
                drop(child.kill());
                drop(child.wait());
                return Err(format!("no answer within {} s", QUERY_LIMIT_MS / 1000));
            }
        }
    };
    let mut answer = String::new();
    if let Some(mut out) = child.stdout.take() {
        out.read_to_string(&mut answer).map_err(|error| error.to_string())?;
    }
    if status.success() { Ok(answer) } else { Err(status.to_string()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CPU_BUILD: Machine = Machine { cuda_build: false, devices: 0 };

    fn gpus(devices: usize) -> Machine {
        Machine { cuda_build: true, devices }
    }

    #[test]
    fn devices_are_read_as_they_are_written() {
        for (text, wanted) in
            [("auto", Wanted::Auto), ("cpu", Wanted::Cpu), ("cuda", Wanted::Cuda(0)), ("cuda:3", Wanted::Cuda(3))]
        {
            assert_eq!(text.parse(), Ok(wanted));
        }
        for bad in ["", "gpu", "cuda:", "cuda:x", "cuda:-1", "CPU"] {
            assert!(bad.parse::<Wanted>().unwrap_err().contains("cuda:N"), "{bad}");
        }
    }

    #[test]
    fn a_device_that_is_not_there_is_an_error_unless_it_was_left_open() {
        assert_eq!(choose(Wanted::Auto, CPU_BUILD), Ok(Device::Cpu));
        assert_eq!(choose(Wanted::Auto, gpus(0)), Ok(Device::Cpu));
        assert_eq!(choose(Wanted::Auto, gpus(2)), Ok(Device::Cuda(0)));
        assert_eq!(choose(Wanted::Cpu, gpus(2)), Ok(Device::Cpu));
        assert_eq!(choose(Wanted::Cuda(1), gpus(2)), Ok(Device::Cuda(1)));
        for (wanted, machine, says) in [
            (Wanted::Cuda(0), CPU_BUILD, "libtorch is for CPUs"),
            (Wanted::Cuda(0), gpus(0), "nvidia-smi"),
            (Wanted::Cuda(2), gpus(2), "cuda:0 to cuda:1"),
        ] {
            let error = choose(wanted, machine).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn bfloat16_is_for_wide_models_on_devices_that_have_it() {
        let capability = |major, minor| Some(Capability { major, minor });
        for (device, capability, hidden_size, expected) in [
            (Device::Cpu, None, 576, Precision::Bf16),
            (Device::Cpu, None, SMALL_HIDDEN, Precision::Bf16),
            (Device::Cpu, None, 255, Precision::F32),
            (Device::Cuda(0), capability(8, 0), 576, Precision::Bf16),
            (Device::Cuda(0), capability(12, 1), 576, Precision::Bf16),
            (Device::Cuda(0), capability(9, 0), 64, Precision::F32),
            (Device::Cuda(0), capability(7, 5), 576, Precision::F32),
            (Device::Cuda(0), None, 576, Precision::F32),
        ] {
            assert_eq!(precision(device, capability, hidden_size), expected, "{device:?} {capability:?} {hidden_size}");
        }
        let old = Place { device: Device::Cuda(0), capability: capability(7, 5), threads: 1 };
        let error = old.check(Precision::Bf16).unwrap_err().to_string();
        assert!(error.contains("7.5") && error.contains("8.0") && error.contains("--dtype f32"), "{error}");
        assert_eq!(old.check(Precision::F32), Ok(()));
        assert_eq!(Place::CPU.check(Precision::Bf16), Ok(()));
    }

    #[test]
    fn the_least_capable_device_counts_and_nonsense_is_no_capability() {
        let least = |answer| least_capability(answer).map(|capability| capability.to_string());
        assert_eq!(least("9.0\n8.6\n12.0\n").as_deref(), Some("8.6"));
        assert_eq!(least(" 10.3 \n").as_deref(), Some("10.3"));
        for bad in ["", "\n", "[N/A]\n", "8.6\n[Not Supported]\n", "8\n"] {
            assert_eq!(least(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_program_that_fails_or_is_missing_gives_a_reason() {
        assert_eq!(answer_of(["printf", "%s", "8.6"]), Ok("8.6".to_owned()));
        assert!(answer_of(["sh", "-c", "exit 3"]).unwrap_err().contains('3'));
        assert!(answer_of(["a-program-that-nobody-has", "", ""]).is_err());
    }

    #[test]
    fn this_machine_has_a_cpu() {
        assert_eq!(Place::find(Wanted::Cpu), Ok(Place::CPU));
        assert_eq!(Place::CPU.with_threads(3).threads, 3);
        assert!((1..=MOST_THREADS).contains(&cores()));
        assert_eq!(Place::CPU.to_string(), "cpu");
    }
}

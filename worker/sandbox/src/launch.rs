//! The launcher: what the executable `galapagos-sandbox` does. Three stages, each the same executable started again, because a
//! process cannot move itself into a PID namespace, and because starting a program is safe where forking is not:
//!
//! 1. `outer` (beside the worker): makes the namespaces, builds the new root, starts `init`, ends it when the worker hangs up;
//! 2. `init` (the first process inside): starts `inner`, collects orphans, reports the end; its end is everybody's end;
//! 3. `inner`: enters the root, gives up every right, and becomes the program.
//!
//! Must stay single-threaded and small: it is started for each solution.

mod confine;
mod filter;
mod init;
mod inner;
mod outer;
mod root;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};

use crate::layer::{Layer, Tried};
use crate::plan::{Doing, Plan, Refusal, Said};
use crate::wire;

/// The first argument of each stage.
pub(crate) const OUTER: &str = "outer";
const INIT: &str = "init";
const INNER: &str = "inner";

/// The whole executable. Not for people: `stage` comes from the worker, everything else over standard input.
#[must_use]
pub fn main(stage: Option<&str>) -> ExitCode {
    let done = match stage {
        Some(OUTER) => stage_main(outer::run),
        Some(INIT) => stage_main(init::run),
        Some(INNER) => stage_main(inner::run),
        Some(_) | None => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "galapagos-sandbox is started by galapagos-worker, which speaks to it over standard input; `galapagos-sandbox probe` tells what this host allows",
        )),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Without a control socket there is nobody else to tell.
            let _ = io::Write::write_all(&mut io::stderr(), format!("{error}\n").as_bytes());
            ExitCode::FAILURE
        }
    }
}

/// Gets the plan from standard input, runs the stage, sends its refusal back the same way.
fn stage_main(run: fn(Plan, Vec<OwnedFd>, &OwnedFd) -> Result<(), Refusal>) -> io::Result<()> {
    let control = io::stdin().as_fd().try_clone_to_owned()?;
    let Some((plan, fds)) = wire::receive::<Plan>(&control)? else { return Ok(()) };
    if let Err(refusal) = run(plan, fds, &control) {
        wire::send(&control, &Said::Refused(refusal), &[])?;
    }
    Ok(())
}

/// Starts the next stage with the plan; returns it with the socket it answers on.
fn next_stage(stage: &str, plan: &Plan, fds: &[OwnedFd]) -> Result<(Child, OwnedFd), Refusal> {
    let what = format!("start the launcher's stage `{stage}`");
    let (here, there) = wire::pair().doing(&what)?;
    // By its link in /proc, because the new root may hide its path.
    let child = Command::new(Path::new("/proc/self/exe"))
        .arg(stage)
        .env_clear()
        .stdin(Stdio::from(there))
        .spawn()
        .doing(&what)?;
    let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
    wire::send(&here, plan, &fds).doing(&what)?;
    Ok((child, here))
}

/// Keeps the record of layers.
struct Layers<'a> {
    plan: &'a Plan,
    tried: Vec<Tried>,
}

impl<'a> Layers<'a> {
    fn new(plan: &'a Plan) -> Self {
        Self { plan, tried: Vec::new() }
    }

    /// Puts up one layer if the plan has it. A layer that fails ends everything, unless the plan is tolerant.
    fn put_up<T>(&mut self, layer: Layer, up: impl FnOnce() -> Result<T, Refusal>) -> Result<Option<T>, Refusal> {
        if !self.plan.has(layer) {
            return Ok(None);
        }
        match up() {
            Ok(value) => {
                self.tried.push(Tried { layer, missing: None });
                Ok(Some(value))
            }
            Err(refusal) if self.plan.tolerant => {
                self.tried.push(Tried { layer, missing: Some(refusal.to_string()) });
                Ok(None)
            }
            Err(refusal) => Err(Refusal { doing: format!("put up {layer}"), reason: refusal.to_string() }),
        }
    }

    /// The layers of the plan that have not failed.
    fn standing(&self) -> Vec<Layer> {
        let failed = |layer| self.tried.iter().any(|tried| tried.layer == layer && tried.missing.is_some());
        self.plan.layers.iter().copied().filter(|layer| !failed(*layer)).collect()
    }
}

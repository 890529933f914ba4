//! Third stage: enters the new root, gives up every right one after the other, and becomes the program.
//!
//! The order matters: each step needs what the next ones take away.

use std::fs::File;
use std::os::fd::{IntoRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use rustix::io::{FdFlags, fcntl_setfd};

use super::{Layers, confine, filter, outer, root};
use crate::layer::Layer;
use crate::plan::{Doing, PROGRAM, Plan, Refusal, Said};
use crate::wire;

/// The program's user and group in its own namespace.
const INSIDE: u32 = 1000;

pub(super) fn run(plan: Plan, fds: Vec<OwnedFd>, control: &OwnedFd) -> Result<(), Refusal> {
    let process = File::open("/proc/self").doing("open /proc/self")?;
    match &plan.root {
        Some(path) => root::enter(path)?,
        None => rustix::process::chdir("/").doing("go to /")?,
    }
    let tried = confine_self(&plan, &process)?;
    drop(process);
    let mut command = command(&plan, fds)?;
    // The control socket closes itself when the program starts.
    wire::send(control, &Said::Started(tried), &[]).doing("report")?;
    Err(command.exec()).doing("execute the program")
}

fn confine_self(plan: &Plan, process: &File) -> Result<Vec<crate::layer::Tried>, Refusal> {
    let mut layers = Layers::new(plan);
    layers.put_up(Layer::NotRoot, || confine::leave_root(plan))?;
    layers.put_up(Layer::UserNamespace, || {
        // After a change of user, /proc/self belongs to root until this is said.
        rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::Dumpable).doing("prctl")?;
        outer::own_user_namespace_by(process, INSIDE)
    })?;
    layers.put_up(Layer::ResourceLimits, || confine::limit(&plan.limits))?;
    layers.put_up(Layer::NoCapabilities, confine::drop_capabilities)?;
    layers.put_up(Layer::NoNewPrivileges, || rustix::thread::set_no_new_privs(true).doing("prctl"))?;
    layers.put_up(Layer::Landlock, || confine::landlock(plan))?;
    layers.put_up(Layer::Seccomp, || filter::apply(plan.has(Layer::PidNamespace), plan.root.is_some()))?;
    Ok(layers.tried)
}

/// The program with its descriptors: standard input first, then the channel, then its own file.
fn command(plan: &Plan, fds: Vec<OwnedFd>) -> Result<Command, Refusal> {
    let mut fds = fds.into_iter();
    let missing =
        || Refusal { doing: "start the program".to_owned(), reason: "a descriptor did not arrive".to_owned() };
    let input = fds.next().ok_or_else(missing)?;
    rustix::stdio::dup2_stdin(&input).doing("set standard input")?;
    let mut number = |wanted: bool| -> Result<Option<i32>, Refusal> {
        if !wanted {
            return Ok(None);
        }
        let fd = fds.next().ok_or_else(missing)?;
        fcntl_setfd(&fd, FdFlags::empty()).doing("pass a descriptor on")?;
        // Left open to be inherited: the process becomes another program next.
        Ok(Some(fd.into_raw_fd()))
    };
    let channel = number(plan.channel)?;
    // With a root of its own the file is a copy in there.
    let file = number(plan.program && plan.root.is_none())?;
    let file = file.map_or_else(|| PathBuf::from(PROGRAM), |fd| PathBuf::from(format!("/proc/self/fd/{fd}")));
    let filled = |text: &str| match text {
        "{program}" => file.to_string_lossy().into_owned(),
        "{channel}" => channel.unwrap_or(-1).to_string(),
        _ => text.to_owned(),
    };
    let mut command = Command::new(filled(&plan.execution.path.to_string_lossy()));
    command.args(plan.execution.arguments.iter().map(|text| filled(text)));
    command.env_clear().envs(plan.execution.environment.iter().cloned());
    Ok(command)
}

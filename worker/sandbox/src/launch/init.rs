//! Second stage: the first process inside. It starts the program, collects whoever is orphaned, and reports the program's end;
//! with its own end the kernel ends all others.

use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, set_parent_process_death_signal, waitpid};

use super::{INNER, next_stage};
use crate::layer::Layer;
use crate::plan::{Doing, Ended, Plan, Refusal, Said};
use crate::wire;

pub(super) fn run(plan: Plan, fds: Vec<OwnedFd>, control: &OwnedFd) -> Result<(), Refusal> {
    set_parent_process_death_signal(Some(Signal::KILL)).doing("ask to die with the launcher")?;
    if !plan.has(Layer::PidNamespace) {
        rustix::process::setpgid(None, None).doing("start a process group")?;
    }
    // It may have died before it could be asked.
    let mut hung_up = [PollFd::new(control, PollFlags::RDHUP)];
    poll(&mut hung_up, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).doing("look for the launcher")?;
    if hung_up[0].revents().intersects(PollFlags::RDHUP | PollFlags::HUP) {
        return Ok(());
    }
    let (child, said) = next_stage(INNER, &plan, &fds)?;
    drop(fds);
    while let Some((message, _)) = wire::receive::<Said>(&said).doing("hear the program's stage")? {
        let refused = matches!(message, Said::Refused(_));
        wire::send(control, &message, &[]).doing("report")?;
        if refused {
            return Ok(());
        }
    }
    let status = wait_for(Pid::from_child(&child))?;
    let ended = Ended { code: status.exit_status(), signal: status.terminating_signal(), cpu_ms: 0 };
    wire::send(control, &Said::Ended(ended), &[]).doing("report")
}

/// Waits for the program, and on the way for all orphans.
fn wait_for(program: Pid) -> Result<WaitStatus, Refusal> {
    loop {
        match waitpid(None, WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == program => return Ok(status),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).doing("wait for the program"),
        }
    }
}

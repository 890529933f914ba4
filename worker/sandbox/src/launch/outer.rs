//! First stage: namespaces and the new root, then watches: when the worker hangs up, whoever is inside dies.
//!
//! It stays outside the PID namespace and holds nothing that foreign code could want but the ends of its output.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::Child;

use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{UsageWho, getrusage};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, pidfd_send_signal};
use rustix::thread::{CapabilitySet, capabilities};

use super::{INIT, Layers, next_stage, root};
use crate::layer::{Layer, Tried};
use crate::plan::{Doing, Ended, Plan, Refusal, Said};
use crate::wire;

pub(super) fn run(mut plan: Plan, fds: Vec<OwnedFd>, control: &OwnedFd) -> Result<(), Refusal> {
    close_inherited(&fds, control)?;
    // A session of its own: no terminal to type into, no group to be signalled with.
    rustix::process::setsid().doing("start a session")?;
    let Walls { tried, standing, root, outside_user } = wall_in(&plan, fds.last())?;
    plan.layers = standing;
    plan.root = root;
    plan.outside_user = outside_user;
    let (child, said) = next_stage(INIT, &plan, &fds)?;
    drop(fds);
    let namespace = plan.has(Layer::PidNamespace);
    watch(child, &said, control, Watch { tried, namespace })
}

/// Closes what came from the worker by accident: its libraries may open files without close-on-exec.
fn close_inherited(fds: &[OwnedFd], control: &OwnedFd) -> Result<(), Refusal> {
    use std::os::fd::AsRawFd;
    let kept: Vec<i32> = fds.iter().map(AsRawFd::as_raw_fd).chain([0, 1, 2, control.as_raw_fd()]).collect();
    let listed = fs::read_dir("/proc/self/fd").doing("list descriptors in /proc/self/fd")?;
    let open: Vec<i32> = listed.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    for fd in open.into_iter().filter(|fd| !kept.contains(fd)) {
        // The descriptor that listed the folder is closed already.
        let _ = nix::unistd::close(fd);
    }
    Ok(())
}

struct Walls {
    tried: Vec<Tried>,
    standing: Vec<Layer>,
    root: Option<PathBuf>,
    outside_user: Option<u32>,
}

fn wall_in(plan: &Plan, last: Option<&OwnedFd>) -> Result<Walls, Refusal> {
    let mut layers = Layers::new(plan);
    let privileged = capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_ADMIN));
    let mut outside_user = None;
    if !privileged {
        let user = rustix::process::geteuid().as_raw();
        // The rights to make the other namespaces come from this one. `inner` makes a second one, the program's own.
        let made = layers.put_up(Layer::UserNamespace, || own_user_namespace(0))?;
        if made.is_some() {
            layers.tried.pop();
            outside_user = Some(user);
        }
    }
    for (layer, flag) in [
        (Layer::PidNamespace, CloneFlags::CLONE_NEWPID),
        (Layer::NetNamespace, CloneFlags::CLONE_NEWNET),
        (Layer::IpcNamespace, CloneFlags::CLONE_NEWIPC),
        (Layer::CgroupNamespace, CloneFlags::CLONE_NEWCGROUP),
    ] {
        layers.put_up(layer, || unshare(flag).doing("unshare"))?;
    }
    layers.put_up(Layer::UtsNamespace, || {
        unshare(CloneFlags::CLONE_NEWUTS).doing("unshare")?;
        rustix::system::sethostname(b"sandbox").doing("set the host name")
    })?;
    let program = last.filter(|_| plan.program);
    let root = layers.put_up(Layer::PrivateRoot, || root::build(plan, program))?;
    Ok(Walls { standing: layers.standing(), tried: layers.tried, root, outside_user })
}

/// A user namespace in which this process' user is `id`, and nobody else exists.
pub(super) fn own_user_namespace(id: u32) -> Result<(), Refusal> {
    let process = fs::File::open("/proc/self").doing("open /proc/self")?;
    own_user_namespace_by(&process, id)
}

/// The same with `/proc/self` opened before.
pub(super) fn own_user_namespace_by(process: &impl AsFd, id: u32) -> Result<(), Refusal> {
    use rustix::fs::{Mode, OFlags, openat};
    use std::io::Write;
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    unshare(CloneFlags::CLONE_NEWUSER).doing("unshare")?;
    for (file, text) in [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("{id} {user} 1")),
        ("gid_map", format!("{id} {group} 1")),
    ] {
        let what = format!("write {file}");
        let opened = openat(process, file, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()).doing(&what)?;
        fs::File::from(opened).write_all(text.as_bytes()).doing(&what)?;
    }
    Ok(())
}

struct Watch {
    tried: Vec<Tried>,
    namespace: bool,
}

/// Passes on what `init` says until it is gone; kills it when the worker hangs up.
fn watch(mut child: Child, said: &OwnedFd, control: &OwnedFd, mut watch: Watch) -> Result<(), Refusal> {
    let process = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).doing("watch the first process")?;
    let mut ended = None;
    let (mut refused, mut killed) = (false, false);
    loop {
        let worker = if killed { PollFlags::empty() } else { PollFlags::IN | PollFlags::RDHUP };
        let mut fds = [PollFd::new(control, worker), PollFd::new(said, PollFlags::IN)];
        let awaited = &mut fds[usize::from(killed)..];
        match poll(awaited, None) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error).doing("wait for the worker"),
        }
        let [worker, inside] = fds.each_ref().map(|fd| !fd.revents().is_empty());
        if worker && !killed {
            killed = true;
            kill(&child, &process, watch.namespace);
        }
        if inside || killed {
            match wire::receive::<Said>(said).doing("hear the first process")? {
                None => break,
                Some((Said::Started(inner), _)) => {
                    let mut tried = std::mem::take(&mut watch.tried);
                    tried.extend(inner);
                    tell(control, &Said::Started(tried));
                }
                Some((Said::Ended(end), _)) => ended = Some(end),
                Some((Said::Refused(refusal), _)) => {
                    refused = true;
                    tell(control, &Said::Refused(refusal));
                }
            }
        }
    }
    // Its end means that everybody inside is gone.
    kill(&child, &process, watch.namespace);
    let status = child.wait().doing("wait for the first process")?;
    if !refused {
        use std::os::unix::process::ExitStatusExt;
        let of_init = Ended { code: None, signal: status.signal(), cpu_ms: 0 };
        tell(control, &Said::Ended(Ended { cpu_ms: processor_ms()?, ..ended.unwrap_or(of_init) }));
    }
    Ok(())
}

fn tell(control: &OwnedFd, said: &Said) {
    // A worker that hung up needs no answer.
    drop(wire::send(control, said, &[]));
}

fn kill(child: &Child, process: &OwnedFd, namespace: bool) {
    if !namespace {
        // The group is all there is; what left it cannot be found.
        let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
    }
    let _ = pidfd_send_signal(process, Signal::KILL);
}

fn processor_ms() -> Result<u64, Refusal> {
    let used = getrusage(UsageWho::RUSAGE_CHILDREN).doing("read the processor time")?;
    let ms = |time: nix::sys::time::TimeVal| time.tv_sec() * 1000 + time.tv_usec() / 1000;
    Ok(u64::try_from(ms(used.user_time()) + ms(used.system_time())).unwrap_or(0))
}

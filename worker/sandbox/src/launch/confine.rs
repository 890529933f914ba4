//! Rights that a process gives up for itself: its user, its capabilities, resources, and by Landlock files, network and signals.

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus,
    Scope, path_beneath_rules,
};
use rustix::process::{Resource, Rlimit, geteuid, setrlimit};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set, remove_capability_from_bounding_set,
    set_capabilities, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

use crate::plan::{Doing, Limits, PROGRAM, Plan, Refusal};

/// `nobody`, who owns no file.
const NOBODY: u32 = 65_534;

/// Becomes another user than the host's root. Whoever is another already stays it.
pub(super) fn leave_root(plan: &Plan) -> Result<(), Refusal> {
    match plan.outside_user {
        // The launcher's own namespace maps this user alone.
        Some(0) => {
            let reason = "root without CAP_SYS_ADMIN can make no namespace in which anybody else exists".to_owned();
            return Err(Refusal { doing: "change the user".to_owned(), reason });
        }
        Some(_) => return Ok(()),
        None if !geteuid().is_root() => return Ok(()),
        None => {}
    }
    let (user, group) = (rustix::process::Uid::from_raw(NOBODY), rustix::process::Gid::from_raw(NOBODY));
    set_thread_groups(&[]).doing("leave all groups")?;
    set_thread_res_gid(group, group, group).doing("change the group")?;
    set_thread_res_uid(user, user, user).doing("change the user")
}

/// Sets each limit for good.
pub(super) fn limit(limits: &Limits) -> Result<(), Refusal> {
    let set = |resource, value: u64| {
        let both = Rlimit { current: Some(value), maximum: Some(value) };
        setrlimit(resource, both).doing(&format!("limit {resource:?}"))
    };
    set(Resource::Cpu, limits.cpu_s)?;
    set(Resource::As, limits.memory_bytes)?;
    set(Resource::Nproc, limits.processes)?;
    set(Resource::Fsize, limits.file_bytes)?;
    set(Resource::Nofile, limits.open_files)?;
    set(Resource::Core, 0)?;
    set(Resource::Memlock, 0)?;
    set(Resource::Msgqueue, 0)
}

/// Drops every capability, and the ways to get one.
pub(super) fn drop_capabilities() -> Result<(), Refusal> {
    for bit in 0..u64::BITS {
        let one = CapabilitySet::from_bits_retain(1 << bit);
        match remove_capability_from_bounding_set(one) {
            Ok(()) => {}
            // The kernel knows no more.
            Err(rustix::io::Errno::INVAL) => break,
            // Without the right to drop it there is none to gain: no-new-privileges is checked as a layer of its own.
            Err(rustix::io::Errno::PERM) if holds_none() => break,
            Err(error) => return Err(error).doing(&format!("drop capability {bit} for good")),
        }
    }
    clear_ambient_capability_set().doing("clear the ambient capabilities")?;
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })
        .doing("drop the capabilities")?;
    if holds_none() {
        Ok(())
    } else {
        Err(Refusal { doing: "drop the capabilities".to_owned(), reason: "some are left".to_owned() })
    }
}

fn holds_none() -> bool {
    capabilities(None).is_ok_and(|sets| sets.effective.is_empty() && sets.permitted.is_empty())
}

/// Files: what the tree shares may be read and executed, `/tmp` of the private root written. No TCP, no signal and no abstract
/// socket out of the sandbox. What the kernel is too old for is left out; a kernel without Landlock is an error.
pub(super) fn landlock(plan: &Plan) -> Result<(), Refusal> {
    let what = "restrict itself";
    let abi = ABI::V7;
    let read = AccessFs::ReadFile | AccessFs::ReadDir | AccessFs::Execute;
    let devices = AccessFs::ReadFile | AccessFs::WriteFile;
    let mut scratch = AccessFs::from_all(abi);
    scratch.remove(AccessFs::Execute | AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev);
    let own = plan.root.is_some().then_some(["/tmp"]);
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))
        .doing(what)?
        .handle_access(AccessNet::from_all(abi))
        .doing(what)?
        .scope(Scope::from_all(abi))
        .doing(what)?
        .create()
        .doing(what)?
        .add_rules(path_beneath_rules(&plan.tree.shared, read))
        .doing(what)?
        .add_rules(path_beneath_rules(&plan.tree.devices, devices))
        .doing(what)?
        .add_rules(path_beneath_rules([PROGRAM], read))
        .doing(what)?
        .add_rules(path_beneath_rules(own.into_iter().flatten(), scratch))
        .doing(what)?;
    let status = ruleset.restrict_self().doing(what)?;
    if status.ruleset == RulesetStatus::NotEnforced {
        let reason = "the kernel has no Landlock, or it is switched off".to_owned();
        return Err(Refusal { doing: what.to_owned(), reason });
    }
    Ok(())
}

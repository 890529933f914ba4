//! The program's root: a small read-only tree with what its runtime needs, built in memory, gone with the last process in it.

use std::ffi::CString;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use nix::sched::{CloneFlags, unshare};
use rustix::fs::{StatVfsMountFlags, statvfs};
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_change, mount_remount, unmount,
};

use crate::plan::{Doing, PROGRAM, Plan, Refusal};

/// Folders that the new root may hide while it is built; nothing is looked up in them.
const PLACES: [&str; 5] = ["/sys", "/mnt", "/media", "/srv", "/opt"];

/// Builds the tree in a mount namespace of its own and returns where.
pub(super) fn build(plan: &Plan, program: Option<&OwnedFd>) -> Result<PathBuf, Refusal> {
    unshare(CloneFlags::CLONE_NEWNS).doing("unshare")?;
    // Nothing that is mounted here may reach the host.
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).doing("detach the mounts")?;
    let root = place(plan)?;
    tmpfs(&root, 64 << 20, 0o755, MountFlags::empty())?;
    let inside = |path: &Path| root.join(path.strip_prefix("/").unwrap_or(path));
    for (at, to) in &plan.tree.links {
        let at = inside(at);
        make_parent(&at)?;
        symlink(to, &at).doing(&format!("link {}", at.display()))?;
    }
    for path in &plan.tree.shared {
        share(path, &inside(path), MountFlags::NODEV)?;
    }
    for path in &plan.tree.devices {
        share(path, &inside(path), MountFlags::NOEXEC)?;
    }
    if let Some(program) = program {
        copy_program(program, &inside(Path::new(PROGRAM)))?;
    }
    let scratch = inside(Path::new("/tmp"));
    fs::create_dir_all(&scratch).doing("make /tmp")?;
    tmpfs(&scratch, plan.limits.scratch_bytes, 0o1777, MountFlags::NOEXEC)?;
    let flags = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
    mount_remount(&root, flags, c"").doing("make the root read-only")?;
    Ok(root)
}

/// Makes `root` the root of this mount namespace; nothing of the old one stays.
pub(super) fn enter(root: &Path) -> Result<(), Refusal> {
    rustix::process::chdir(root).doing("go to the new root")?;
    // The old root lands on the new one, and is then taken off it.
    rustix::process::pivot_root(".", ".").doing("exchange the root")?;
    unmount(".", UnmountFlags::DETACH).doing("detach the old root")?;
    rustix::process::chdir("/tmp").doing("go to /tmp")
}

fn place(plan: &Plan) -> Result<PathBuf, Refusal> {
    let hides = |place: &Path| plan.tree.shared.iter().chain(&plan.tree.devices).any(|path| path.starts_with(place));
    let found = PLACES.iter().map(Path::new).find(|place| place.is_dir() && !hides(place));
    found.map(Path::to_path_buf).ok_or_else(|| Refusal {
        doing: "build the new root".to_owned(),
        reason: format!("none of {} is a folder that can be mounted over", PLACES.join(", ")),
    })
}

fn tmpfs(at: &Path, bytes: u64, mode: u32, more: MountFlags) -> Result<(), Refusal> {
    let what = format!("mount memory at {}", at.display());
    let options = CString::new(format!("size={bytes},nr_inodes=4096,mode={mode:o}")).doing(&what)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | more;
    mount(c"tmpfs", at, c"tmpfs", flags, options.as_c_str()).doing(&what)
}

fn make_parent(path: &Path) -> Result<(), Refusal> {
    let parent = path.parent().unwrap_or_else(|| Path::new("/"));
    fs::create_dir_all(parent).doing(&format!("make {}", parent.display()))
}

/// Shows `source` at `target`, read-only and without set-user-id programs.
fn share(source: &Path, target: &Path, more: MountFlags) -> Result<(), Refusal> {
    let what = format!("show {}", source.display());
    if fs::metadata(source).doing(&what)?.is_dir() {
        fs::create_dir_all(target).doing(&what)?;
    } else {
        make_parent(target)?;
        File::create(target).doing(&what)?;
    }
    mount_bind(source, target).doing(&what)?;
    // What a mount forbids already must stay forbidden, or a user namespace may not change it.
    let had = statvfs(target).doing(&what)?.f_flag;
    let mut flags = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | more;
    for (is, keep) in [
        (StatVfsMountFlags::NODEV, MountFlags::NODEV),
        (StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
        (StatVfsMountFlags::NOATIME, MountFlags::NOATIME),
        (StatVfsMountFlags::NODIRATIME, MountFlags::NODIRATIME),
        (StatVfsMountFlags::RELATIME, MountFlags::RELATIME),
    ] {
        if had.contains(is) {
            flags |= keep;
        }
    }
    mount_remount(target, flags, c"").doing(&what)
}

fn copy_program(program: &OwnedFd, to: &Path) -> Result<(), Refusal> {
    make_parent(to)?;
    let what = "copy the program";
    let mut from = File::from(program.try_clone().doing(what)?);
    io::Seek::rewind(&mut from).doing(what)?;
    io::copy(&mut from, &mut File::create(to).doing(what)?).doing(what)?;
    fs::set_permissions(to, Permissions::from_mode(0o555)).doing(what)
}

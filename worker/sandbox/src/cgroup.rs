//! Memory and number of processes of a whole sandbox, by cgroups of version 1 or 2: the optional layer.
//!
//! The group is made before the launcher gets its plan and removed after its end.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::plan::Limits;

/// The launcher's own stages count as processes too.
const STAGES: u64 = 3;

/// With the number of the owner and a count behind it.
const PREFIX: &str = "galapagos-sandbox-";

/// One group; removed when dropped, which must be after its processes ended.
#[derive(Debug)]
pub(crate) struct Cgroup {
    folders: Vec<PathBuf>,
    /// The file that counts kills for want of memory.
    kills: PathBuf,
}

impl Cgroup {
    /// Makes a group with these limits below the group of this process.
    pub(crate) fn make(limits: &Limits) -> io::Result<Self> {
        let memory = limits.memory_bytes + limits.scratch_bytes;
        let processes = limits.processes + STAGES;
        let parents = parents()?;
        if let [of_memory, of_processes] = &parents[..] {
            let of_memory = child(of_memory)?;
            let mut group = Self { kills: of_memory.join("memory.oom_control"), folders: vec![of_memory.clone()] };
            fs::write(of_memory.join("memory.limit_in_bytes"), memory.to_string())?;
            let of_processes = child(of_processes)?;
            group.folders.push(of_processes.clone());
            fs::write(of_processes.join("pids.max"), processes.to_string())?;
            return Ok(group);
        }
        let parent = parents.first().ok_or_else(|| io::Error::other("this process is in no cgroup"))?;
        fs::write(parent.join("cgroup.subtree_control"), "+memory +pids")?;
        let folder = child(parent)?;
        let group = Self { kills: folder.join("memory.events"), folders: vec![folder.clone()] };
        fs::write(folder.join("memory.max"), memory.to_string())?;
        fs::write(folder.join("memory.swap.max"), "0").or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        })?;
        // One process too many is the end of all; kernels before 4.19 have no such file.
        drop(fs::write(folder.join("memory.oom.group"), "1"));
        fs::write(folder.join("pids.max"), processes.to_string())?;
        Ok(group)
    }

    /// Removes what workers left behind that were killed: empty groups with the number of no process.
    pub(crate) fn sweep() {
        let left =
            parents().unwrap_or_default().into_iter().flat_map(|parent| fs::read_dir(parent).into_iter().flatten());
        for entry in left.flatten() {
            let name = entry.file_name();
            let owner = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next());
            if owner.is_some_and(|owner| !Path::new("/proc").join(owner).exists()) {
                // One with processes stays: the kernel refuses.
                drop(fs::remove_dir(entry.path()));
            }
        }
    }

    /// Moves a process in; its children are born there.
    pub(crate) fn add(&self, process: u32) -> io::Result<()> {
        self.folders.iter().try_for_each(|folder| fs::write(folder.join("cgroup.procs"), process.to_string()))
    }

    /// Whether the kernel killed one of its processes for want of memory.
    pub(crate) fn ran_out_of_memory(&self) -> bool {
        let text = fs::read_to_string(&self.kills).unwrap_or_default();
        text.lines().filter_map(|line| line.strip_prefix("oom_kill ")).any(|count| count.trim() != "0")
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for folder in &self.folders {
            // The kernel lets go of an ended process a moment after it was waited for.
            let gone = (0..50).any(|_| {
                let removed = fs::remove_dir(folder);
                let gone = removed.is_ok() || removed.is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
                if !gone {
                    thread::sleep(Duration::from_millis(2));
                }
                gone
            });
            if !gone {
                tracing::warn!("the cgroup {} could not be removed", folder.display());
            }
        }
    }
}

/// Where groups can be made: for memory and for processes with version 1, one folder with version 2.
fn parents() -> io::Result<Vec<PathBuf>> {
    let groups = fs::read_to_string("/proc/self/cgroup")?;
    let top = Path::new("/sys/fs/cgroup");
    let own = |controller: &str| own_group(&groups, controller);
    Ok(match (own("memory"), own("pids")) {
        (Some(memory), Some(pids)) => vec![top.join("memory").join(memory), top.join("pids").join(pids)],
        _ => own("").map(|path| top.join(path)).into_iter().collect(),
    })
}

/// The path of this process' group under a controller of version 1, or of version 2 for "", relative.
fn own_group<'a>(groups: &'a str, controller: &str) -> Option<&'a str> {
    groups.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        controllers.split(',').any(|name| name == controller).then(|| path.trim_start_matches('/'))
    })
}

fn child(parent: &Path) -> io::Result<PathBuf> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let folder = parent.join(format!("{PREFIX}{}-{number}", std::process::id()));
    fs::create_dir(&folder)?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_group_is_found_in_both_versions() {
        let mixed = "4:memory:/a/b\n1:cpu,pids:/\n0::/unified/x\n";
        assert_eq!(own_group(mixed, "memory"), Some("a/b"));
        assert_eq!(own_group(mixed, "pids"), Some(""));
        assert_eq!(own_group(mixed, ""), Some("unified/x"));
        assert_eq!(own_group(mixed, "freezer"), None);
    }
}

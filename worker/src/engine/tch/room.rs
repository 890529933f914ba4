//! The whole models that one search asks: all of them stay loaded while it runs, so that none is read again and again. How many that may
//! be is the recipe's limit; beyond those that an engine always keeps, each must also fit into the memory that is free when it comes.
//!
//! On other devices than CPUs nobody is asked how much is free: a load that fails says so itself.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use galapagos_domain::ids::Digest;
use galapagos_domain::recipe::verify::MOST_ROLES;
use galapagos_model::EngineOptions;
use tch::Device;

use super::super::{CheckpointDir, EngineError};
use super::{CODECS, LOADED, TchEngine};

/// Most whole models of one search: the policy and its roles.
const MOST_MODELS: usize = MOST_ROLES + 1;

/// The whole models of one search.
#[derive(Debug, Default)]
pub(in crate::engine) struct Held(BTreeMap<Digest, Arc<CheckpointDir>>);

impl Held {
    pub(in crate::engine) fn get(&self, digest: &Digest) -> Option<&Arc<CheckpointDir>> {
        self.0.get(digest)
    }

    /// In order of their digests.
    pub(in crate::engine) fn all(&self) -> Vec<(Digest, Arc<CheckpointDir>)> {
        self.0.iter().map(|(digest, checkpoint)| (*digest, Arc::clone(checkpoint))).collect()
    }
}

impl TchEngine {
    /// The whole model that computes a checkpoint, which from now on stays loaded with the others of `held`.
    ///
    /// # Errors
    /// [`EngineError::Unsupported`] if these are more than a search may ask, [`EngineError::NoRoom`] if there is no memory for it.
    pub(in crate::engine) fn hold(
        &mut self,
        held: &mut Held,
        checkpoint: &Arc<CheckpointDir>,
    ) -> Result<Digest, EngineError> {
        let whole = if checkpoint.is_adapter() { self.base(checkpoint)? } else { Arc::clone(checkpoint) };
        let digest = whole.checkpoint;
        if held.0.contains_key(&digest) {
            return Ok(digest);
        }
        let others = held.0.len();
        if others == MOST_MODELS {
            let what = format!("compute more than {MOST_MODELS} models in one search: a policy and {MOST_ROLES} roles");
            return Err(EngineError::Unsupported { what });
        }
        self.keep(others + 1);
        if others >= LOADED && !self.loaded.holds(&digest) && self.place.device == Device::Cpu {
            while self.loaded.make_room().is_some() {}
            fits(&whole, others)?;
        }
        drop(held.0.insert(digest, whole));
        Ok(digest)
    }

    /// The search is over. Its models stay until others come, and then so many of them as are always kept.
    pub(in crate::engine) fn release(&mut self) {
        self.keep(0);
    }

    fn keep(&mut self, models: usize) {
        self.loaded.set_capacity(models.max(LOADED));
        self.codecs.set_capacity(models.max(CODECS));
    }
}

fn fits(whole: &CheckpointDir, loaded: usize) -> Result<(), EngineError> {
    let (Some(need), Some(free)) = (need(&whole.path), free()) else { return Ok(()) };
    if need <= free {
        return Ok(());
    }
    Err(EngineError::NoRoom { checkpoint: whole.checkpoint, loaded, need: need >> 20, free: free >> 20 })
}

/// Bytes that a model takes at most: its weights twice, as they are copied when it is loaded, and its keys and values.
fn need(folder: &Path) -> Option<u64> {
    let mut weights = 0;
    for file in std::fs::read_dir(folder).ok()? {
        let path = file.ok()?.path();
        if path.extension().is_some_and(|extension| extension == "safetensors") {
            weights += path.metadata().ok()?.len();
        }
    }
    Some(2 * weights + EngineOptions::default().kv_bytes as u64)
}

/// Bytes of memory that are free, by the machine and by this process's control group (version 2 or 1); unknown where neither says.
fn free() -> Option<u64> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let machine = machine_free(&read("/proc/meminfo"));
    let second = ["memory.max", "memory.current", "memory.stat"].map(|file| read(&format!("/sys/fs/cgroup/{file}")));
    let first = ["memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat"]
        .map(|file| read(&format!("/sys/fs/cgroup/memory/{file}")));
    [machine, group_free(&second, "inactive_file"), group_free(&first, "total_inactive_file")]
        .into_iter()
        .flatten()
        .min()
}

fn machine_free(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kibi| kibi << 10)
}

/// What a group may still take; cached files that nobody uses give way. None if it has no limit.
fn group_free([limit, used, stat]: &[String; 3], idle: &str) -> Option<u64> {
    let (limit, used) = (limit.trim().parse::<u64>().ok()?, used.trim().parse::<u64>().ok()?);
    let value =
        |line: &str| line.split_once(' ').filter(|(key, _)| *key == idle).map(|(_, value)| value.trim().parse::<u64>());
    let idle = stat.lines().find_map(value).and_then(Result::ok).unwrap_or(0);
    Some(limit.saturating_sub(used.saturating_sub(idle)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_memory_is_read_as_linux_tells_it() {
        assert_eq!(machine_free("MemTotal:  100 kB\nMemAvailable:   20 kB\nCached: 3 kB\n"), Some(20 << 10));
        assert_eq!(machine_free("MemTotal:  100 kB\n"), None);
        let group = |limit: &str| [limit, "700\n", "anon 400\ninactive_file 250\nactive_file 50\n"].map(str::to_owned);
        assert_eq!(group_free(&group("1000\n"), "inactive_file"), Some(550));
        assert_eq!(group_free(&group("1000\n"), "total_inactive_file"), Some(300), "an older name is not there");
        assert_eq!(group_free(&group("max\n"), "inactive_file"), None);
        assert_eq!(group_free(&["", "", ""].map(str::to_owned), "inactive_file"), None);
    }

    #[test]
    fn a_model_needs_its_weights_twice_and_its_keys_and_values() {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in [("a.safetensors", 5), ("b.safetensors", 7), ("config.json", 11)] {
            std::fs::write(folder.path().join(name), vec![0; bytes]).unwrap();
        }
        assert_eq!(need(folder.path()), Some(24 + (1 << 30)));
        assert_eq!(need(&folder.path().join("none")), None);
    }
}

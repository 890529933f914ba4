//! The walls of the sandbox by name: which there are, what this host allows, and which a job must have.
//!
//! Only words and sets: nothing here touches the system. [`crate::Sandbox::probe`] fills a [`Probe`], a [`Floor`] judges it.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

/// One wall between foreign code and the host. Each stands by itself: with one broken, the others hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// A user namespace of its own: no privilege over anything outside, whatever id the code has inside.
    UserNamespace,
    /// Sees only its own processes; the end of its first process ends all of them.
    PidNamespace,
    /// A network without any interface that is up.
    NetNamespace,
    /// A root of its own: read-only, only what the runtime needs, a small `/tmp`, no `/proc`, `/sys` or host file.
    PrivateRoot,
    IpcNamespace,
    UtsNamespace,
    CgroupNamespace,
    /// Another user than the host's root.
    NotRoot,
    NoNewPrivileges,
    /// All capabilities dropped, also from the bounding set.
    NoCapabilities,
    /// Processor time, address space, processes, file size, open files, no core dumps.
    ResourceLimits,
    /// Landlock: files, TCP, abstract sockets and signals by the kernel's own list.
    Landlock,
    /// A list of permitted system calls.
    Seccomp,
    /// Memory and number of processes of all processes together.
    Cgroup,
}

impl Layer {
    pub const ALL: [Self; 14] = [
        Self::UserNamespace,
        Self::PidNamespace,
        Self::NetNamespace,
        Self::PrivateRoot,
        Self::IpcNamespace,
        Self::UtsNamespace,
        Self::CgroupNamespace,
        Self::NotRoot,
        Self::NoNewPrivileges,
        Self::NoCapabilities,
        Self::ResourceLimits,
        Self::Landlock,
        Self::Seccomp,
        Self::Cgroup,
    ];

    /// The name in reports and settings.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::UserNamespace => "user_namespace",
            Self::PidNamespace => "pid_namespace",
            Self::NetNamespace => "net_namespace",
            Self::PrivateRoot => "private_root",
            Self::IpcNamespace => "ipc_namespace",
            Self::UtsNamespace => "uts_namespace",
            Self::CgroupNamespace => "cgroup_namespace",
            Self::NotRoot => "not_root",
            Self::NoNewPrivileges => "no_new_privileges",
            Self::NoCapabilities => "no_capabilities",
            Self::ResourceLimits => "resource_limits",
            Self::Landlock => "landlock",
            Self::Seccomp => "seccomp",
            Self::Cgroup => "cgroup",
        }
    }

    /// What an operator can do about a host that lacks it.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::UserNamespace
            | Self::PidNamespace
            | Self::NetNamespace
            | Self::PrivateRoot
            | Self::IpcNamespace
            | Self::UtsNamespace
            | Self::CgroupNamespace => {
                "let the worker make namespaces: user.max_user_namespaces above 0, no AppArmor or container profile that forbids unshare and mount"
            }
            Self::NotRoot => "run the worker as another user than root, or map user 65534 into its user namespace",
            Self::NoNewPrivileges | Self::NoCapabilities | Self::ResourceLimits => {
                "a container profile forbids prctl, capset or setrlimit: permit them"
            }
            Self::Landlock => {
                "use Linux 5.13 or newer (6.12 for all of it) with `landlock` among the lsm= of its command line"
            }
            Self::Seccomp => "use a kernel with CONFIG_SECCOMP_FILTER, and no container profile that forbids seccomp",
            Self::Cgroup => "give the worker a writable cgroup with the controllers memory and pids",
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text())
    }
}

/// Which layers a host must have before code of a model runs on it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Floor {
    /// Every layer but cgroups.
    #[default]
    Strict,
    /// The namespaces with a private root, and what costs nothing; neither Landlock nor seccomp.
    Namespaces,
    /// A limited process that sees the host's files. For code one trusts.
    ProcessOnly,
    /// Exactly these.
    Layers(BTreeSet<Layer>),
}

impl Floor {
    #[must_use]
    pub fn required(&self) -> BTreeSet<Layer> {
        let process = [Layer::NoNewPrivileges, Layer::ResourceLimits];
        let namespaces = [
            Layer::UserNamespace,
            Layer::PidNamespace,
            Layer::NetNamespace,
            Layer::PrivateRoot,
            Layer::IpcNamespace,
            Layer::NotRoot,
            Layer::NoCapabilities,
        ];
        match self {
            Self::Strict => Layer::ALL.into_iter().filter(|layer| *layer != Layer::Cgroup).collect(),
            Self::Namespaces => process.into_iter().chain(namespaces).collect(),
            Self::ProcessOnly => process.into(),
            Self::Layers(layers) => layers.clone(),
        }
    }
}

/// A layer as tried on this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    pub layer: Layer,
    /// `None` if it stands; else what the system said.
    pub missing: Option<String>,
}

/// What this host allows: every layer once, in the order of [`Layer::ALL`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    pub layers: Vec<Tried>,
}

impl Probe {
    /// The layers that stand.
    #[must_use]
    pub fn available(&self) -> BTreeSet<Layer> {
        self.layers.iter().filter(|tried| tried.missing.is_none()).map(|tried| tried.layer).collect()
    }

    /// Judges the host: the layers that `floor` requires and that are missing.
    ///
    /// # Errors
    /// [`BelowFloor`], which names them, why they are missing and what to do.
    pub fn check(&self, floor: &Floor) -> Result<(), BelowFloor> {
        let required = floor.required();
        let missing: Vec<Tried> = self
            .layers
            .iter()
            .filter(|tried| tried.missing.is_some() && required.contains(&tried.layer))
            .cloned()
            .collect();
        if missing.is_empty() { Ok(()) } else { Err(BelowFloor { missing }) }
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Tried { layer, missing } in &self.layers {
            match missing {
                None => writeln!(f, "{layer:<18} yes")?,
                Some(reason) => writeln!(f, "{layer:<18} no: {reason}; {}", layer.remedy())?,
            }
        }
        Ok(())
    }
}

/// The host lacks layers that the floor requires: no foreign code runs here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct BelowFloor {
    pub missing: Vec<Tried>,
}

impl fmt::Display for BelowFloor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this host is below the sandbox's floor, so it runs no code of models; it lacks")?;
        for (place, Tried { layer, missing }) in self.missing.iter().enumerate() {
            let comma = if place == 0 { "" } else { ";" };
            write!(f, "{comma} {layer} ({}: {})", missing.as_deref().unwrap_or("missing"), layer.remedy())?;
        }
        f.write_str("; or lower the floor")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe_without(gone: &[Layer]) -> Probe {
        let tried =
            |layer| Tried { layer, missing: gone.contains(&layer).then(|| "Operation not permitted".to_owned()) };
        Probe { layers: Layer::ALL.into_iter().map(tried).collect() }
    }

    #[test]
    fn a_host_with_everything_but_cgroups_meets_every_floor() {
        let probe = probe_without(&[Layer::Cgroup]);
        for floor in [Floor::Strict, Floor::Namespaces, Floor::ProcessOnly] {
            assert_eq!(probe.check(&floor), Ok(()), "{floor:?}");
        }
        let own = Floor::Layers([Layer::Cgroup].into());
        assert_eq!(probe.check(&own).unwrap_err().missing[0].layer, Layer::Cgroup);
    }

    #[test]
    fn floors_are_ordered_and_name_what_is_missing() {
        let probe = probe_without(&[Layer::Seccomp, Layer::UserNamespace]);
        let strict = probe.check(&Floor::Strict).unwrap_err();
        assert_eq!(
            strict.missing.iter().map(|tried| tried.layer).collect::<Vec<_>>(),
            [Layer::UserNamespace, Layer::Seccomp]
        );
        let text = strict.to_string();
        assert!(text.contains("user_namespace (Operation not permitted: let the worker make namespaces"), "{text}");
        assert_eq!(probe.check(&Floor::Namespaces).unwrap_err().missing.len(), 1);
        assert_eq!(probe.check(&Floor::ProcessOnly), Ok(()));
        assert!(Floor::Strict.required().is_superset(&Floor::Namespaces.required()));
        assert!(Floor::Namespaces.required().is_superset(&Floor::ProcessOnly.required()));
    }

    #[test]
    fn a_probe_prints_a_line_for_each_layer() {
        let text = probe_without(&[Layer::Landlock]).to_string();
        assert_eq!(text.lines().count(), Layer::ALL.len());
        assert!(text.contains("landlock           no: Operation not permitted; use Linux 5.13"), "{text}");
    }
}

//! The permitted system calls, by seccomp: what interpreters and ordinary programs need. Everything else fails with EPERM.
//!
//! A call is on the list when an honest program needs it and it cannot reach out of the other walls. Calls of the kernel's
//! little-trodden parts (io_uring, bpf, perf, keys, userfaultfd, splice) are not.

use std::collections::BTreeMap;

use seccompiler::{
    SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Cmp, SeccompCondition as If, SeccompFilter, SeccompRule,
    TargetArch, apply_filter,
};

use crate::plan::{Doing, Refusal};

/// Permitted whatever their arguments are.
const PLAIN: &[i64] = &[
    // Files and descriptors; which files, the root and Landlock decide.
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_preadv,
    libc::SYS_pwritev,
    libc::SYS_openat,
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_lseek,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_getcwd,
    libc::SYS_chdir,
    libc::SYS_fchdir,
    libc::SYS_mkdirat,
    libc::SYS_unlinkat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_linkat,
    libc::SYS_symlinkat,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_utimensat,
    libc::SYS_umask,
    libc::SYS_truncate,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_fadvise64,
    libc::SYS_flock,
    libc::SYS_fcntl,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_pipe2,
    libc::SYS_sendfile,
    libc::SYS_copy_file_range,
    // Waiting.
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_eventfd2,
    libc::SYS_timerfd_create,
    libc::SYS_timerfd_settime,
    libc::SYS_timerfd_gettime,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    // Sockets that exist; none can be made but pairs.
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_shutdown,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    // Memory.
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_msync,
    libc::SYS_brk,
    libc::SYS_membarrier,
    // Time, chance and what one is.
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_gettimeofday,
    libc::SYS_times,
    libc::SYS_getrusage,
    libc::SYS_getitimer,
    libc::SYS_setitimer,
    libc::SYS_getrandom,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_getcpu,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getresuid,
    libc::SYS_getresgid,
    libc::SYS_getgroups,
    libc::SYS_getpgid,
    libc::SYS_getsid,
    libc::SYS_setpgid,
    libc::SYS_setsid,
    libc::SYS_getpriority,
    // Threads, signals, children.
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_get_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_rseq,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_getparam,
    libc::SYS_sched_getscheduler,
    libc::SYS_sched_get_priority_max,
    libc::SYS_sched_get_priority_min,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigpending,
    libc::SYS_rt_sigsuspend,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_wait4,
    libc::SYS_waitid,
    libc::SYS_execve,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// The older forms that x86-64 alone has.
#[cfg(target_arch = "x86_64")]
const OLD: &[i64] = &[
    libc::SYS_open,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_mkdir,
    libc::SYS_rmdir,
    libc::SYS_unlink,
    libc::SYS_rename,
    libc::SYS_link,
    libc::SYS_symlink,
    libc::SYS_creat,
    libc::SYS_chmod,
    libc::SYS_dup2,
    libc::SYS_pipe,
    libc::SYS_poll,
    libc::SYS_select,
    libc::SYS_epoll_create,
    libc::SYS_epoll_wait,
    libc::SYS_eventfd,
    libc::SYS_alarm,
    libc::SYS_pause,
    libc::SYS_time,
    libc::SYS_getpgrp,
    libc::SYS_arch_prctl,
];
#[cfg(not(target_arch = "x86_64"))]
const OLD: &[i64] = &[];

/// Signals to processes: only where a PID namespace leaves nobody else to signal.
const SIGNALS: &[i64] = &[libc::SYS_kill, libc::SYS_tkill, libc::SYS_tgkill, libc::SYS_rt_sigqueueinfo];

/// What a terminal or pipe is asked; above all not TIOCSTI, which types into a terminal.
const IOCTLS: [u64; 6] = [libc::TCGETS, libc::FIONREAD, libc::FIOCLEX, libc::FIONCLEX, libc::FIONBIO, libc::TIOCGWINSZ];

/// Installs the filter for good. With `namespace`, the process is in a PID namespace: it may fork and signal. Without, the
/// process stays one process, because nothing else could end its children for sure.
/// Without `own_root` it has no `/tmp`, so it may make files in memory instead; otherwise not, because nothing bounds all of them together.
pub(super) fn apply(namespace: bool, own_root: bool) -> Result<(), Refusal> {
    let what = "filter system calls";
    // glibc asks clone3 first and takes clone when there is none; the flags of clone3 lie in memory, where no filter can look.
    let none = u32::try_from(libc::ENOSYS).doing(what)?;
    let clone3 = [(libc::SYS_clone3, Vec::new())].into();
    install(clone3, SeccompAction::Allow, SeccompAction::Errno(none))?;
    let denied = u32::try_from(libc::EPERM).doing(what)?;
    install(rules(namespace, own_root).doing(what)?, SeccompAction::Errno(denied), SeccompAction::Allow)
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn install(rules: Rules, otherwise: SeccompAction, matched: SeccompAction) -> Result<(), Refusal> {
    let what = "filter system calls";
    let here = TargetArch::try_from(std::env::consts::ARCH).doing(what)?;
    let filter = SeccompFilter::new(rules, otherwise, matched, here).doing(what)?;
    let program: seccompiler::BpfProgram = filter.try_into().doing(what)?;
    apply_filter(&program).doing(what)
}

fn rules(namespace: bool, own_root: bool) -> Result<Rules, seccompiler::BackendError> {
    let signals = if namespace { SIGNALS } else { &[] };
    let mut rules: Rules = PLAIN.iter().chain(OLD).chain(signals).map(|call| (*call, Vec::new())).collect();
    if !own_root {
        rules.insert(libc::SYS_memfd_create, Vec::new());
    }
    // The other filter answers it.
    rules.insert(libc::SYS_clone3, Vec::new());
    let is = |argument, value: u64| If::new(argument, Len::Dword, Cmp::Eq, value);
    let any_of = |argument, values: &[u64]| {
        values.iter().map(|value| SeccompRule::new(vec![is(argument, *value)?])).collect::<Result<Vec<_>, _>>()
    };
    rules.insert(libc::SYS_ioctl, any_of(1, &IOCTLS)?);
    let names = [libc::PR_SET_NAME, libc::PR_GET_NAME, libc::PR_SET_VMA];
    rules.insert(libc::SYS_prctl, any_of(0, &names.map(|name| name.unsigned_abs().into()))?);
    // Pairs of connected sockets, and no others.
    rules.insert(libc::SYS_socketpair, any_of(0, &[libc::AF_UNIX.unsigned_abs().into()])?);
    // Limits may be read.
    let read = If::new(2, Len::Qword, Cmp::Eq, 0)?;
    rules.insert(libc::SYS_prlimit64, vec![SeccompRule::new(vec![read])?]);
    let made = u64::from((libc::CLONE_NEWUSER | NAMESPACES).unsigned_abs());
    let thread = u64::from(libc::CLONE_THREAD.unsigned_abs());
    let (mask, value) = if namespace { (made, 0) } else { (made | thread, thread) };
    let clone = If::new(0, Len::Dword, Cmp::MaskedEq(mask), value)?;
    rules.insert(libc::SYS_clone, vec![SeccompRule::new(vec![clone])?]);
    #[cfg(target_arch = "x86_64")]
    if namespace {
        rules.insert(libc::SYS_fork, Vec::new());
        rules.insert(libc::SYS_vfork, Vec::new());
    }
    Ok(rules)
}

const NAMESPACES: i32 = libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP
    // CLONE_NEWTIME, which libc does not name for every target.
    | 0x80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_hold_nothing_that_reaches_out() {
        let permitted = rules(true, true).unwrap();
        for call in [
            libc::SYS_ptrace,
            libc::SYS_process_vm_readv,
            libc::SYS_process_vm_writev,
            libc::SYS_unshare,
            libc::SYS_setns,
            libc::SYS_mount,
            libc::SYS_umount2,
            libc::SYS_pivot_root,
            libc::SYS_chroot,
            libc::SYS_socket,
            libc::SYS_connect,
            libc::SYS_bind,
            libc::SYS_bpf,
            libc::SYS_io_uring_setup,
            libc::SYS_perf_event_open,
            libc::SYS_userfaultfd,
            libc::SYS_keyctl,
            libc::SYS_open_by_handle_at,
            libc::SYS_setuid,
            libc::SYS_setrlimit,
            libc::SYS_reboot,
            libc::SYS_personality,
            libc::SYS_clock_settime,
            libc::SYS_shmget,
            libc::SYS_mknodat,
            libc::SYS_execveat,
            libc::SYS_pidfd_getfd,
            libc::SYS_memfd_create,
        ] {
            assert!(!permitted.contains_key(&call), "system call {call}");
        }
    }

    #[test]
    fn without_a_pid_namespace_there_is_no_fork_and_no_signal() {
        let permitted = rules(false, false).unwrap();
        for call in SIGNALS {
            assert!(!permitted.contains_key(call));
        }
        assert_ne!(permitted[&libc::SYS_clone], rules(true, true).unwrap()[&libc::SYS_clone]);
    }
}

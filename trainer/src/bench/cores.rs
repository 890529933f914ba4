//! Which cores a process of a comparison may use: both sides get the same ones. A child inherits the cores of the thread that starts
//! it, so that every thread it ever makes is bound.

use std::io;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The cores that this thread may use, in order.
///
/// # Errors
/// What the system says.
pub fn allowed() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect())
}

/// The cores of one of several ranks with `threads` each, in turns over `all`: ranks share cores when there are not enough.
#[must_use]
pub fn of_rank(all: &[usize], rank: u32, threads: u32) -> Vec<usize> {
    let (first, count) = (rank as usize * threads as usize, (threads as usize).min(all.len()));
    (first..first + count).map(|place| all[place % all.len()]).collect()
}

/// Runs `start` while this thread is bound to `cores`, and unbinds it again.
///
/// # Errors
/// What the system says, for example of a core that is not there, or what `start` said.
pub fn bound<T>(cores: &[usize], start: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let before = sched_getaffinity(None)?;
    let mut set = CpuSet::new();
    cores.iter().for_each(|core| set.set(*core));
    sched_setaffinity(None, &set)?;
    let started = start();
    sched_setaffinity(None, &before)?;
    started
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_get_cores_of_their_own_while_there_are_some() {
        assert_eq!(of_rank(&[0, 1, 2, 3], 1, 2), [2, 3]);
        assert_eq!(of_rank(&[0, 1], 3, 1), [1]);
        assert_eq!(of_rank(&[4, 6], 0, 3), [4, 6]);
    }

    #[test]
    fn a_bound_start_sees_its_core_and_leaves_no_trace() {
        let all = allowed().unwrap();
        let inside = bound(&all[..1], allowed).unwrap();
        assert_eq!((inside.as_slice(), allowed().unwrap()), (&all[..1], all.clone()));
    }
}

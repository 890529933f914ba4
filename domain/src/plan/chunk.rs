//! How a recipe step's tasks are cut into jobs: one rule, used by the plan and by the cluster.

use std::ops::Range;

/// Most tasks in one job: a lost attempt costs at most so much work.
const MOST: u32 = 128;

/// A recipe step is cut into about so many jobs, so that several workers share it.
const PARTS: u32 = 8;

/// Cuts tasks `0..n_tasks` into jobs of `clamp(ceil(n_tasks / 8), 1, 128)` tasks each; the last may be smaller.
#[must_use]
pub fn chunks(n_tasks: u32) -> Vec<Range<u32>> {
    let size = n_tasks.div_ceil(PARTS).clamp(1, MOST);
    (0..n_tasks.div_ceil(size)).map(|i| i * size..((i + 1) * size).min(n_tasks)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn chunks_cover_every_task_once(n in 0u32..5000) {
            let covered: Vec<u32> = chunks(n).into_iter().flatten().collect();
            prop_assert_eq!(covered, (0..n).collect::<Vec<_>>());
            prop_assert!(chunks(n).iter().all(|c| !c.is_empty() && c.len() <= MOST as usize));
        }
    }

    #[test]
    fn a_small_step_is_shared_and_a_large_one_is_capped() {
        assert_eq!(chunks(200).len(), 8);
        assert_eq!(chunks(3), [0..1, 1..2, 2..3]);
        assert_eq!(chunks(4000).len(), 32);
        assert!(chunks(0).is_empty());
    }
}

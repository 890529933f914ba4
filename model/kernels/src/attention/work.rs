//! What all forms of the attention are given, and the memory they share.

use super::AttentionCall;
use super::plan::Plan;
use crate::KvPages;

/// What is to be computed, from where.
#[derive(Clone, Copy, Debug)]
pub(super) struct Work<'a> {
    pub(super) pages: &'a KvPages,
    pub(super) call: &'a AttentionCall<'a>,
    pub(super) plan: &'a Plan,
}

/// Memory that tasks write, each a part of its own.
pub(super) struct Shared(*mut f32, usize);

// SAFETY: `Shared::part` hands out parts; that no two at a time overlap is its callers' promise.
unsafe impl Sync for Shared {}

impl Shared {
    pub(super) fn new(numbers: &mut [f32]) -> Self {
        Self(numbers.as_mut_ptr(), numbers.len())
    }

    /// # Safety
    /// While the part is used, nobody else uses an overlapping one.
    #[expect(clippy::mut_from_ref, reason = "that parts do not overlap is the caller's promise")]
    pub(super) unsafe fn part(&self, start: usize, len: usize) -> &mut [f32] {
        assert!(start + len <= self.1, "a part of the whole");
        // SAFETY: inside the slice, and not shared by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(start), len) }
    }
}

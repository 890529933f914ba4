//! Slices whose parts are written by several threads.

use std::marker::PhantomData;
use std::ops::Range;

use crate::Pool;

/// Numbers a part of [`for_rows`] handles at least: less is not worth a fork.
const LEAST_NUMBERS: usize = 8 * 1024;

/// A slice whose parts are written by several threads.
pub(crate) struct SharedSlice<'a, T> {
    first: *mut T,
    length: usize,
    slice: PhantomData<&'a mut [T]>,
}

// SAFETY: all access is through `range`, whose callers keep ranges apart.
unsafe impl<T: Send> Sync for SharedSlice<'_, T> {}

impl<'a, T> SharedSlice<'a, T> {
    pub(crate) fn new(slice: &'a mut [T]) -> Self {
        Self { first: slice.as_mut_ptr(), length: slice.len(), slice: PhantomData }
    }

    /// Where item `index` lies.
    pub(crate) fn place(&self, index: usize) -> *const T {
        self.first.wrapping_add(index)
    }

    /// `length` items from `start` on.
    ///
    /// # Safety
    /// No two ranges that overlap are alive at the same time.
    #[expect(clippy::mut_from_ref, reason = "ranges do not overlap, by contract")]
    pub(crate) unsafe fn range(&self, start: usize, length: usize) -> &mut [T] {
        assert!(start <= self.length && length <= self.length - start, "a range of a shared slice");
        // SAFETY: inside the slice, which is borrowed exclusively for 'a; the caller keeps ranges apart.
        unsafe { std::slice::from_raw_parts_mut(self.first.add(start), length) }
    }
}

/// Runs `work` for runs of rows of `out` [rows, width], each row once, with the indices of the rows and their slice; `cost`
/// is how many numbers a row costs to read or write. How rows are divided must not show in the result.
///
/// # Panics
/// If `out` is not [rows, width].
pub(crate) fn for_rows<T: Send>(
    pool: &Pool,
    out: &mut [T],
    width: usize,
    cost: usize,
    work: impl Fn(Range<usize>, &mut [T]) + Sync,
) {
    if out.is_empty() {
        return;
    }
    let rows = out.len() / width;
    assert_eq!(out.len(), rows * width, "rows of {width} numbers");
    let parts = (rows * cost / LEAST_NUMBERS).clamp(1, 2 * pool.threads()).min(rows);
    let out = SharedSlice::new(out);
    pool.run(parts, &|part| {
        let rows = share(rows, parts, part);
        // SAFETY: shares of different parts do not overlap, and each part runs once.
        let out = unsafe { out.range(rows.start * width, rows.len() * width) };
        work(rows, out);
    });
}

/// Share `index` of `parts` of `0..count`, as equal as can be.
pub(crate) fn share(count: usize, parts: usize, index: usize) -> Range<usize> {
    index * count / parts..(index + 1) * count / parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_is_worked_on_once() {
        for (rows, threads) in [(0, 2), (1, 2), (7, 1), (7, 3), (100, 2)] {
            let mut out = vec![0; rows * 3];
            for_rows(&Pool::new(threads), &mut out, 3, 10_000, |range, out| {
                assert_eq!(out.len(), range.len() * 3);
                for (row, out) in range.zip(out.chunks_exact_mut(3)) {
                    out.iter_mut().for_each(|out| *out += row + 1);
                }
            });
            assert!(out.iter().enumerate().all(|(at, out)| *out == at / 3 + 1), "{rows} rows, {threads} threads");
        }
    }

    #[test]
    fn shares_are_all_and_do_not_overlap() {
        for (count, parts) in [(10, 3), (3, 3), (2, 5), (0, 2)] {
            let all: Vec<usize> = (0..parts).flat_map(|index| share(count, parts, index)).collect();
            assert_eq!(all, (0..count).collect::<Vec<_>>());
        }
    }
}

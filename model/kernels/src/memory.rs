//! Memory for what every token reads: packed weights, and pages of keys and values.
//!
//! It is cut from large chunks that ask the system for huge pages: read front to back in ordinary ones, a third of the time goes
//! to looking up addresses. The request is a hint; without huge pages the same memory is only slower. A chunk is given back when
//! nothing cut from it is left, so what lives long and what does not are cut from different ones: see [`Arena`].

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

#[cfg(target_os = "linux")]
use memmap2::Advice;
use memmap2::{MmapOptions, MmapRaw};

/// Asks for the cache line at `at` ahead of its use: a hint, which may point anywhere.
#[inline(always)]
pub(crate) fn fetch_early<T>(at: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: prefetching reads nothing and faults at no address; every x86-64 has it.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

/// Bytes of a huge page.
const HUGE: usize = 2 << 20;
/// Bytes of a chunk, unless more is asked for at once. Memory is taken from the system as it is first written.
const CHUNK: usize = 8 << 20;
/// Where a piece may begin: as vectors and pairs of cache lines do.
const ALIGN: usize = 128;

/// A type whose zero bytes are a value, and which needs no drop.
///
/// # Safety
/// Both must hold, and its alignment must be at most 128.
pub(crate) unsafe trait Plain: Copy {}

// SAFETY: numbers.
unsafe impl Plain for u32 {}
// SAFETY: an array of numbers.
unsafe impl<const N: usize> Plain for [u32; N] {}

/// A slice of fixed length in such memory, zero at first.
pub(crate) struct Large<T> {
    start: NonNull<T>,
    len: usize,
    /// Keeps the memory; `None` for an empty slice.
    _chunk: Option<Arc<MmapRaw>>,
    owns: PhantomData<T>,
}

// SAFETY: a piece of memory that belongs to this value alone, as that of a `Vec`.
unsafe impl<T: Send> Send for Large<T> {}
// SAFETY: as above; shared access is by `&[T]`.
unsafe impl<T: Sync> Sync for Large<T> {}

impl<T: Plain> Large<T> {
    /// `len` zeros of a weight, next to the weights made before and after it.
    pub(crate) fn zeros(len: usize) -> Self {
        WEIGHTS.zeros(len)
    }

    fn cut(arena: &Arena, len: usize) -> Self {
        let Some(bytes) = size_of::<T>().checked_mul(len).filter(|bytes| *bytes > 0) else {
            assert!(len == 0 || size_of::<T>() == 0, "{len} elements are more than memory can hold");
            return Self { start: NonNull::dangling(), len, _chunk: None, owns: PhantomData };
        };
        let (start, chunk) = arena.take(bytes);
        Self { start: start.cast(), len, _chunk: Some(chunk), owns: PhantomData }
    }
}

impl<T> Deref for Large<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: `start` heads `len` elements (or is dangling and `len` elements have no bytes) that are zero or were written
        // through this value; `Plain` makes zeros values. The chunk lives as long as this value, and no other piece overlaps.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl<T> DerefMut for Large<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`, and `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl<T> fmt::Debug for Large<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Large").field("len", &self.len).finish_non_exhaustive()
    }
}

/// The chunk that pieces are cut from, and how much of it is taken.
#[derive(Debug)]
struct Open {
    chunk: Arc<MmapRaw>,
    /// First byte of the chunk that lies at a huge page.
    first: NonNull<u8>,
    taken: usize,
    bytes: usize,
}

// SAFETY: an address within a chunk that the same value keeps.
unsafe impl Send for Open {}

/// Where pieces that come and go together are cut from.
#[derive(Debug, Default)]
pub(crate) struct Arena {
    open: Mutex<Option<Open>>,
}

/// Of all models and adapters: those of one are made one after the other.
static WEIGHTS: Arena = Arena { open: Mutex::new(None) };

impl Arena {
    /// `len` zeros.
    pub(crate) fn zeros<T: Plain>(&self, len: usize) -> Large<T> {
        Large::cut(self, len)
    }

    /// `bytes` zero bytes that nobody else has, and what keeps them.
    fn take(&self, bytes: usize) -> (NonNull<u8>, Arc<MmapRaw>) {
        if bytes > CHUNK / 2 {
            let chunk = Open::new(bytes);
            return (chunk.first, chunk.chunk);
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(piece) = open.as_mut().and_then(|open| open.cut(bytes)) {
            return piece;
        }
        // What is left of the chunk before was never written, so it costs addresses alone.
        let fresh = open.insert(Open::new(CHUNK));
        #[expect(clippy::expect_used, reason = "a fresh chunk is larger than the piece")]
        fresh.cut(bytes).expect("a fresh chunk holds two such pieces")
    }
}

impl Open {
    fn new(bytes: usize) -> Self {
        let bytes = bytes.next_multiple_of(HUGE);
        let Ok(chunk) = MmapOptions::new().len(bytes + HUGE).map_anon() else { out_of_memory(bytes) };
        let chunk = MmapRaw::from(chunk);
        let mapped = chunk.as_mut_ptr();
        let offset = mapped.align_offset(HUGE);
        // Refusal costs speed alone.
        #[cfg(target_os = "linux")]
        let _hint = chunk.advise_range(Advice::HugePage, offset, bytes);
        // SAFETY: the mapping is a huge page longer than `bytes`, and the offset is less than a huge page.
        let first = unsafe { mapped.add(offset) };
        let Some(first) = NonNull::new(first) else { out_of_memory(bytes) };
        Self { chunk: Arc::new(chunk), first, taken: 0, bytes }
    }

    fn cut(&mut self, bytes: usize) -> Option<(NonNull<u8>, Arc<MmapRaw>)> {
        let end = self.taken.checked_add(bytes)?;
        if end > self.bytes {
            return None;
        }
        // SAFETY: within the chunk.
        let start = unsafe { self.first.add(self.taken) };
        self.taken = end.next_multiple_of(ALIGN);
        Some((start, Arc::clone(&self.chunk)))
    }
}

/// As a failed `Vec` does.
fn out_of_memory(bytes: usize) -> ! {
    match std::alloc::Layout::from_size_align(bytes, ALIGN) {
        Ok(layout) => std::alloc::handle_alloc_error(layout),
        Err(_) => std::process::abort(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_zero_aligned_and_apart() {
        let sizes = [1, 31, 32, 1000, 300_000, CHUNK / 4 + 7, 5];
        let mut pieces: Vec<Large<u32>> = sizes.iter().map(|size| Large::zeros(*size)).collect();
        for (index, piece) in pieces.iter_mut().enumerate() {
            assert_eq!(piece.as_ptr().addr() % ALIGN, 0);
            assert!(piece.iter().all(|number| *number == 0), "{index}");
            piece.fill(index as u32 + 1);
        }
        for (index, (piece, size)) in pieces.iter().zip(sizes).enumerate() {
            assert!(piece.len() == size && piece.iter().all(|number| *number == index as u32 + 1), "{index}");
        }
    }

    #[test]
    fn memory_that_was_given_back_comes_as_zeros_again() {
        for round in 0..20 {
            let mut piece = Large::<[u32; 16]>::zeros(CHUNK / 64);
            assert!(piece[round * 1000] == [0; 16] && piece[piece.len() - 1] == [0; 16], "{round}");
            piece.iter_mut().step_by(64).for_each(|cell| cell[3] = 7);
        }
    }

    #[test]
    fn an_arena_of_ones_own_shares_no_chunk_with_weights() {
        let arena = Arena::default();
        let (first, _weight, second) = (arena.zeros::<u32>(32), Large::<u32>::zeros(32), arena.zeros::<u32>(32));
        assert_eq!(second.as_ptr().addr() - first.as_ptr().addr(), 128);
    }

    #[test]
    fn nothing_needs_no_memory() {
        assert!(Large::<u32>::zeros(0).is_empty());
    }

    #[test]
    fn threads_take_pieces_of_their_own() {
        std::thread::scope(|scope| {
            for thread in 0..4u32 {
                scope.spawn(move || {
                    for size in (1..200).map(|step| step * 97) {
                        let mut piece = Large::<u32>::zeros(size);
                        piece.fill(thread);
                        assert!(piece.iter().all(|number| *number == thread));
                    }
                });
            }
        });
    }
}

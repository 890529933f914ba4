//! Fork and join on a fixed set of threads, cheap enough for a hundred joins per generated token.
//!
//! A call opens a job, works on it itself, and closes it when no part is left; threads that come too late find it closed, so
//! a busy machine costs the help of a thread and never a wait for one. A thread without work spins for a moment and then
//! sleeps. Which thread runs which part is left to chance: results must not depend on it.

use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};

/// Bits of [`Shared::state`]: threads inside the job, whether it is open, whether the pool ends; above them a count of jobs.
const INSIDE: u64 = 0xffff;
const OPEN: u64 = 1 << 16;
const END: u64 = 1 << 17;
const JOB: u64 = 1 << 18;

/// Most pauses before a thread sleeps; a pause takes 15 to 50 ns on current CPUs.
const SPINS: usize = 1024;
const LEAST_SPINS: usize = 32;

type Work = dyn Fn(usize) + Sync;

/// Threads that run the parts of one kernel call at a time. The calling thread is one of them.
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// Held by the caller whose job is open.
    turn: Mutex<()>,
}

struct Shared {
    state: AtomicU64,
    /// The open job. Written by the caller while no thread is inside.
    job: UnsafeCell<Option<Job>>,
    /// The next part to be claimed.
    next: AtomicUsize,
    /// Threads asleep or about to be.
    sleepers: AtomicUsize,
    sleep: Mutex<()>,
    opened: Condvar,
    left: Condvar,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

#[derive(Clone, Copy)]
struct Job {
    work: *const Work,
    parts: usize,
}

// SAFETY: `job` is the only field that is not `Sync` by itself. It is written by the holder of `Pool::turn` while the state is
// closed and nobody is inside, and read by threads that entered an open job: the state's release and acquire order the two.
// The work it points to is `Sync` and outlives the job, because `Pool::run` waits until nobody is inside.
unsafe impl Sync for Shared {}
// SAFETY: as above; the pointer in `job` is used only while a job is open.
unsafe impl Send for Shared {}

thread_local! {
    /// Whether this thread is running a part of some pool.
    static IN_PART: Cell<bool> = const { Cell::new(false) };
}

impl Pool {
    /// A pool of `threads` threads in all (at least 1). Where the system refuses further threads the pool works with those
    /// it got; [`Pool::threads`] says how many.
    #[must_use]
    pub fn new(threads: usize) -> Self {
        let shared = Arc::new(Shared {
            state: AtomicU64::new(0),
            job: UnsafeCell::new(None),
            next: AtomicUsize::new(0),
            sleepers: AtomicUsize::new(0),
            sleep: Mutex::new(()),
            opened: Condvar::new(),
            left: Condvar::new(),
            panic: Mutex::new(None),
        });
        let start = |index: usize| {
            let shared = Arc::clone(&shared);
            Builder::new().name(format!("kernel-{index}")).spawn(move || shared.serve()).ok()
        };
        let workers = (1..threads.min(INSIDE as usize)).map_while(start).collect();
        Self { shared, workers, turn: Mutex::new(()) }
    }

    /// Threads in all, with the caller.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Runs `work(part)` for every part in `0..parts`, each once, on any thread; returns when all have ended. Calls from
    /// several threads take turns; a call from inside a part runs on that thread alone.
    ///
    /// # Panics
    /// If a part panics: with the payload of one that did, after all parts have ended.
    pub fn run(&self, parts: usize, work: &(dyn Fn(usize) + Sync)) {
        if parts <= 1 || self.workers.is_empty() || IN_PART.get() {
            return (0..parts).for_each(work);
        }
        let turn = lock(&self.turn);
        self.shared.open(work, parts);
        self.shared.work_on(Job { work: erase(work), parts });
        self.shared.close();
        let panic = lock(&self.shared.panic).take();
        drop(turn);
        if let Some(payload) = panic {
            resume_unwind(payload);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.state.fetch_or(END, Ordering::SeqCst);
        self.shared.wake();
        for worker in self.workers.drain(..) {
            // Panics of parts are caught, so a worker ends normally.
            let _ = worker.join();
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("threads", &self.threads()).finish_non_exhaustive()
    }
}

impl Shared {
    /// Makes a job visible and wakes sleeping threads.
    fn open(&self, work: &(dyn Fn(usize) + Sync + '_), parts: usize) {
        // SAFETY: the caller holds `Pool::turn`, the state is closed and nobody is inside (`close` waited for it), so no
        // other thread reads or writes the job.
        unsafe { *self.job.get() = Some(Job { work: erase(work), parts }) };
        self.next.store(0, Ordering::Relaxed);
        let state = self.state.load(Ordering::Relaxed);
        self.state.store((state + JOB) | OPEN, Ordering::SeqCst);
        if self.sleepers.load(Ordering::SeqCst) > 0 {
            self.wake();
        }
    }

    fn wake(&self) {
        // With the lock, a thread is either before its look at the state or already waiting.
        drop(lock(&self.sleep));
        self.opened.notify_all();
    }

    /// Lets nobody else in and waits until everybody is out.
    fn close(&self) {
        let mut inside = self.state.fetch_and(!OPEN, Ordering::SeqCst) & INSIDE;
        let mut spins = 0;
        while inside > 0 && spins < SPINS {
            std::hint::spin_loop();
            inside = self.state.load(Ordering::Acquire) & INSIDE;
            spins += 1;
        }
        if inside > 0 {
            let mut guard = lock(&self.sleep);
            while self.state.load(Ordering::Acquire) & INSIDE > 0 {
                guard = self.left.wait(guard).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// Claims and runs parts until none is left.
    fn work_on(&self, job: Job) {
        IN_PART.set(true);
        loop {
            let part = self.next.fetch_add(1, Ordering::Relaxed);
            if part >= job.parts {
                break;
            }
            // SAFETY: the job is open or this thread is inside it, so `Pool::run`, whose argument this is, has not returned.
            let work = unsafe { &*job.work };
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| work(part))) {
                lock(&self.panic).get_or_insert(payload);
            }
        }
        IN_PART.set(false);
    }

    /// A worker's life.
    fn serve(&self) {
        let mut seen = 0;
        let mut spins = SPINS;
        loop {
            let state = self.await_job(seen, &mut spins);
            if state & END != 0 {
                return;
            }
            seen = state & !(INSIDE | OPEN);
            if self.enter(state) {
                // SAFETY: this thread is inside, so the caller does not write the job, and it was written before the state
                // said that it is open.
                if let Some(job) = unsafe { *self.job.get() } {
                    self.work_on(job);
                }
                self.leave();
            }
        }
    }

    /// Waits for an open job after the one of `seen`, or the end.
    fn await_job(&self, seen: u64, spins: &mut usize) -> u64 {
        let is_due = |state: u64| state & END != 0 || (state & OPEN != 0 && state & !(INSIDE | OPEN) != seen);
        for _ in 0..*spins {
            let state = self.state.load(Ordering::Acquire);
            if is_due(state) {
                *spins = (*spins * 2).min(SPINS);
                return state;
            }
            std::hint::spin_loop();
        }
        // In vain: spin less before the next sleep, until spinning pays again.
        *spins = (*spins / 2).max(LEAST_SPINS);
        let mut guard = lock(&self.sleep);
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        let state = loop {
            let state = self.state.load(Ordering::SeqCst);
            if is_due(state) {
                break state;
            }
            guard = self.opened.wait(guard).unwrap_or_else(PoisonError::into_inner);
        };
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
        state
    }

    /// Counts this thread in, if the job of `state` is still open.
    fn enter(&self, mut state: u64) -> bool {
        let job = state & !INSIDE;
        while state & !INSIDE == job {
            match self.state.compare_exchange_weak(state, state + 1, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return true,
                Err(found) => state = found,
            }
        }
        false
    }

    fn leave(&self) {
        let before = self.state.fetch_sub(1, Ordering::SeqCst);
        if before & INSIDE == 1 && before & OPEN == 0 {
            drop(lock(&self.sleep));
            self.left.notify_all();
        }
    }
}

/// The same reference without its lifetime, which [`Pool::run`] outlives.
fn erase(work: &(dyn Fn(usize) + Sync + '_)) -> *const Work {
    // SAFETY: only the lifetime bound of the trait object changes; the pointer is followed only before `Pool::run` returns.
    unsafe { std::mem::transmute::<*const (dyn Fn(usize) + Sync + '_), *const Work>(work) }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_runs_once_over_many_calls() {
        for threads in [1, 2, 3, 8] {
            let pool = Pool::new(threads);
            assert_eq!(pool.threads(), threads);
            for parts in (0..40).cycle().take(2000) {
                let counts: Vec<AtomicUsize> = (0..parts).map(|_| AtomicUsize::new(0)).collect();
                pool.run(parts, &|part| {
                    counts[part].fetch_add(1, Ordering::Relaxed);
                });
                assert!(
                    counts.iter().all(|count| count.load(Ordering::Relaxed) == 1),
                    "{parts} parts, {threads} threads"
                );
            }
        }
    }

    #[test]
    fn sleeping_threads_are_woken() {
        let pool = Pool::new(2);
        // Each part waits for the other, so this ends only if two threads run.
        for _ in 0..20 {
            while pool.shared.sleepers.load(Ordering::SeqCst) == 0 {
                std::thread::yield_now();
            }
            let barrier = std::sync::Barrier::new(2);
            pool.run(2, &|_| {
                barrier.wait();
            });
        }
    }

    #[test]
    fn a_panic_comes_out_after_all_parts_have_ended_and_the_pool_goes_on() {
        let pool = Pool::new(3);
        for _ in 0..50 {
            let ended = AtomicUsize::new(0);
            let result = catch_unwind(AssertUnwindSafe(|| {
                pool.run(16, &|part| {
                    assert_ne!(part, 5, "part five");
                    ended.fetch_add(1, Ordering::Relaxed);
                });
            }));
            let payload = result.unwrap_err();
            assert!(payload.downcast_ref::<String>().unwrap().contains("part five"));
            assert_eq!(ended.load(Ordering::Relaxed), 15);
        }
    }

    #[test]
    fn calls_from_parts_and_from_several_threads_end() {
        let pool = Pool::new(2);
        let sum = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        pool.run(4, &|_| {
                            pool.run(3, &|part| {
                                sum.fetch_add(part, Ordering::Relaxed);
                            });
                        });
                    }
                });
            }
        });
        assert_eq!(sum.load(Ordering::Relaxed), 3 * 100 * 4 * 3);
    }
}

//! Fork and join on a fixed set of threads, cheap enough for a hundred joins per generated token.

/// Threads that run the parts of one kernel call at a time. The calling thread is one of them.
#[derive(Debug)]
pub struct Pool {
    threads: usize,
}

impl Pool {
    /// A pool of `threads` threads in all (at least 1).
    #[must_use]
    pub fn new(threads: usize) -> Self {
        Self { threads: threads.max(1) }
    }

    /// Threads in all, with the caller.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Runs `work(part)` for every part in `0..parts`, each once, on any thread; returns when all have ended.
    pub fn run(&self, parts: usize, work: &(dyn Fn(usize) + Sync)) {
        for part in 0..parts {
            work(part);
        }
    }
}

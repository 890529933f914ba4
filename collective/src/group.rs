//! A process group: the ranks of one try of a round, how they join, and how the group breaks. What they do together is in
//! `collectives.rs` and `reducer.rs`.
//!
//! After any failure but a disagreement the group is broken for good, and its connections are closed so that the
//! remaining ranks fail at once instead of waiting for their deadline.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::{Rc, Weak};
use std::time::Duration;

use galapagos_telemetry::clock::monotonic_ms;

use crate::agree::Roster;
use crate::backend::Backend;
use crate::classify::{Cause, classify};
use crate::error::Error;
use crate::ffi::{self, GcGroupSpec, GcSlice};
use crate::handle::{GroupHandle, ReducerHandle};
use crate::store::{Store, millis};

/// A rank's place in a group.
#[derive(Debug, Clone)]
pub struct GroupSpec {
    /// Names this try of the round; never used twice with the same store. A fencing token makes a good one.
    pub prefix: String,
    /// This rank, below `world_size`.
    pub rank: u32,
    /// The number of ranks, the same on all of them.
    pub world_size: u32,
    /// The address of this machine that the other ranks connect to. NCCL chooses its interfaces itself (`NCCL_SOCKET_IFNAME`).
    pub host: IpAddr,
    /// The deadline of joining, and of each collective.
    pub timeout: Duration,
}

/// The ranks of one try of a round, connected.
///
/// Neither `Send` nor `Sync`: c10d requires all ranks to issue collectives in one order, so they are issued by one thread,
/// the one that made the group. The same holds for backward passes under a [`crate::Reducer`].
///
/// A call may take up to twice [`GroupSpec::timeout`] (agreement, then the collective) plus a roll call of at most two
/// seconds after a failure; joining up to three times (agreement, connections, agreement that all are connected).
#[derive(Debug)]
pub struct Group {
    pub(crate) inner: Rc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) backend: Backend,
    pub(crate) roster: Roster,
    state: RefCell<State>,
    reducers: RefCell<Vec<Weak<RefCell<Option<ReducerHandle>>>>>,
}

#[derive(Debug)]
enum State {
    Connected(GroupHandle),
    Broken { cause: String },
}

impl Group {
    /// [`Group::join`] over Gloo, for tensors on the CPU.
    ///
    /// # Errors
    /// As [`Group::join`].
    pub fn gloo(store: &Store, spec: &GroupSpec) -> Result<Self, Error> {
        Self::join(store, Backend::Gloo, spec)
    }

    /// Joins the group and connects to all its ranks over `backend`; returns when every rank is connected to every other.
    ///
    /// # Errors
    /// `NotBuilt` and `NoDevice` as [`Backend::check`], before anything is sent; `Argument` for an impossible spec,
    /// `RankTaken` if prefix and rank were used before, `Mismatch` if ranks disagree on the world size or the backend,
    /// `Timeout` with the ranks that did not join, `Store` or `PeerLost` if the store is gone, `Backend` if the devices cannot
    /// be connected.
    pub fn join(store: &Store, backend: Backend, spec: &GroupSpec) -> Result<Self, Error> {
        let (rank, world_size) = numbers(spec)?;
        backend.check()?;
        let (code, device) = backend.codes()?;
        let roster = Roster::join(store, backend, spec)?;
        let host = spec.host.to_string();
        let raw = GcGroupSpec {
            prefix: GcSlice::new(spec.prefix.as_bytes()),
            host: GcSlice::new(host.as_bytes()),
            backend: code,
            device,
            rank,
            world_size,
            timeout_ms: millis(spec.timeout),
        };
        let started_ms = monotonic_ms();
        let handle = GroupHandle::create(|out| {
            // SAFETY: the store is alive, `raw` and the strings it borrows outlive the call, `out` is writable.
            unsafe { ffi::gc_group_join(store.ptr(), &raw const raw, out) }
        });
        let handle = handle.map_err(|message| failure(&roster, "connect", message, waited_since(started_ms)))?;
        let state = RefCell::new(State::Connected(handle));
        let inner = Rc::new(Inner { backend, roster, state, reducers: RefCell::default() });
        // A rank can be connected while others still are not: if it left now, it would cut them off.
        inner.agree("connect", "connected")?;
        Ok(Self { inner })
    }

    #[must_use]
    pub fn backend(&self) -> Backend {
        self.inner.backend
    }

    #[must_use]
    pub fn rank(&self) -> u32 {
        self.inner.roster.rank()
    }

    #[must_use]
    pub fn world_size(&self) -> u32 {
        self.inner.roster.world_size()
    }

    /// Ends the group in good order: the rank that serves the store waits until all others need it no more.
    /// Without it, that rank's exit can cut short the last agreement of a slower one.
    ///
    /// # Errors
    /// `Timeout` with the ranks that have not left; `Store` or `PeerLost` if the store is gone.
    pub fn leave(self, timeout: Duration) -> Result<(), Error> {
        self.inner.shut_down(timeout)?;
        self.inner.roster.leave(timeout)
    }
}

impl Inner {
    /// Agrees with all ranks that `signature` is next.
    pub(crate) fn agree(&self, op: &str, signature: &str) -> Result<(), Error> {
        self.usable(op)?;
        let agreed = self.roster.exchange(op, signature, &[], self.roster.timeout());
        self.settle(agreed).map(drop)
    }

    /// Runs one entry of the shim on the group; a failure breaks the group.
    pub(crate) fn perform(&self, op: &str, entry: impl FnOnce(*mut ffi::GcGroup) -> i32) -> Result<(), Error> {
        self.usable(op)?;
        let started_ms = monotonic_ms();
        let done = match &*self.state.borrow() {
            State::Connected(handle) => ffi::check(entry(handle.as_ptr())),
            State::Broken { cause } => return Err(Error::Broken { op: op.to_owned(), cause: cause.clone() }),
        };
        done.map_err(|message| self.fail(op, message, waited_since(started_ms)))
    }

    /// Breaks the group because of c10d's `message`, and finds out who is missing.
    pub(crate) fn fail(&self, op: &str, message: String, waited_ms: u64) -> Error {
        self.break_off(&format!("{op}: {message}"));
        failure(&self.roster, op, message, waited_ms)
    }

    /// Registers a reducer's handle, which holds the group's connections open, to be dropped when the group breaks.
    pub(crate) fn register(&self, reducer: &Rc<RefCell<Option<ReducerHandle>>>) {
        let mut reducers = self.reducers.borrow_mut();
        reducers.retain(|weak| weak.strong_count() > 0);
        reducers.push(Rc::downgrade(reducer));
    }

    pub(crate) fn usable(&self, op: &str) -> Result<(), Error> {
        match &*self.state.borrow() {
            State::Connected(_) => Ok(()),
            State::Broken { cause } => Err(Error::Broken { op: op.to_owned(), cause: cause.clone() }),
        }
    }

    /// On NCCL, closes the devices' connections after the last collective of all ranks. Gloo's close when they are dropped.
    fn shut_down(&self, timeout: Duration) -> Result<(), Error> {
        if self.backend == Backend::Gloo || self.usable("leave").is_err() {
            return Ok(());
        }
        let finished = self.roster.exchange("leave", "leave", &[], timeout);
        self.settle(finished)?;
        // SAFETY: `group` is alive for the call, and no rank has a collective under way.
        self.perform("leave", |group| unsafe { ffi::gc_group_shutdown(group) })
    }

    /// Ends what runs and closes the connections, so that ranks that wait for this one fail now.
    pub(crate) fn break_off(&self, cause: &str) {
        if let State::Connected(handle) = &*self.state.borrow() {
            // SAFETY: the handle is alive for the call. A failure changes nothing: the group is being given up for another one.
            unsafe { ffi::gc_group_abort(handle.as_ptr()) };
        }
        for reducer in self.reducers.borrow().iter().filter_map(Weak::upgrade) {
            reducer.borrow_mut().take();
        }
        *self.state.borrow_mut() = State::Broken { cause: cause.to_owned() };
    }

    /// A disagreement leaves all ranks at the same number; any other failure of an agreement does not.
    pub(crate) fn settle<T>(&self, agreed: Result<T, Error>) -> Result<T, Error> {
        match agreed {
            Err(error) if !matches!(error, Error::Mismatch { .. }) => {
                self.break_off(&error.to_string());
                self.roster.answer();
                Err(error)
            }
            other => other,
        }
    }

    pub(crate) fn root(&self, op: &'static str, root: u32) -> Result<i32, Error> {
        let world_size = self.roster.world_size();
        match i32::try_from(root) {
            Ok(rank) if root < world_size => Ok(rank),
            _ => Err(Error::Argument { op, wrong: format!("root {root} is not below the world size {world_size}") }),
        }
    }
}

fn failure(roster: &Roster, op: &str, message: String, waited_ms: u64) -> Error {
    let op = op.to_owned();
    match classify(&message) {
        Cause::Timeout => Error::Timeout { op, waited_ms, missing: roster.roll_call() },
        Cause::PeerLost => Error::PeerLost { op, waited_ms, missing: roster.roll_call(), message },
        Cause::Other => Error::Backend { op, message },
    }
}

pub(crate) fn waited_since(started_ms: u64) -> u64 {
    monotonic_ms().saturating_sub(started_ms)
}

fn numbers(spec: &GroupSpec) -> Result<(i32, i32), Error> {
    let wrong = |wrong: String| Error::Argument { op: "group.join", wrong };
    if spec.rank >= spec.world_size {
        return Err(wrong(format!("rank {} is not below the world size {}", spec.rank, spec.world_size)));
    }
    if spec.prefix.is_empty() || spec.prefix.contains('/') {
        return Err(wrong(format!("the prefix `{}` must be non-empty and without `/`", spec.prefix)));
    }
    let int = |n: u32| i32::try_from(n).map_err(|_| wrong(format!("{n} is too large for a rank or world size")));
    Ok((int(spec.rank)?, int(spec.world_size)?))
}

//! A process group: the ranks of one try of a round, and the collectives between them.
//!
//! Every collective is agreed through the store before it runs, so ranks that disagree get [`Error::Mismatch`] and ranks
//! that do not come are named. After any other failure the group is broken for good, and its connections are closed so
//! that the remaining ranks fail at once instead of waiting for their deadline.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::{Rc, Weak};
use std::time::Duration;

use galapagos_telemetry::clock::monotonic_ms;
use tch::{Kind, Tensor};

use crate::agree::Roster;
use crate::classify::{Cause, classify};
use crate::error::Error;
use crate::ffi::{self, GcGroupSpec, GcSlice, tensor_pointer};
use crate::handle::{GroupHandle, ReducerHandle};
use crate::signature::{describe_all, describe_output};
use crate::store::{Store, millis};

/// The most bytes that a rank may give to [`Group::all_gather_bytes`].
pub const MAX_GATHER_BYTES: usize = 1 << 20;

/// How [`Group::all_reduce`] joins the ranks' values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduce {
    /// The sum over ranks.
    Sum,
    /// The sum divided by the world size; for floating-point kinds only.
    Mean,
}

/// A rank's place in a group.
#[derive(Debug, Clone)]
pub struct GroupSpec {
    /// Names this try of the round; never used twice with the same store. A fencing token makes a good one.
    pub prefix: String,
    /// This rank, below `world_size`.
    pub rank: u32,
    /// The number of ranks, the same on all of them.
    pub world_size: u32,
    /// The address of this machine that the other ranks connect to.
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
/// seconds after a failure.
#[derive(Debug)]
pub struct Group {
    pub(crate) inner: Rc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    roster: Roster,
    state: RefCell<State>,
    reducers: RefCell<Vec<Weak<RefCell<Option<ReducerHandle>>>>>,
}

#[derive(Debug)]
enum State {
    Connected(GroupHandle),
    Broken { cause: String },
}

impl Group {
    /// Joins the group and connects to all its ranks over Gloo, for tensors on the CPU.
    ///
    /// # Errors
    /// `Argument` for an impossible spec, `RankTaken` if prefix and rank were used before, `Mismatch` if ranks disagree on
    /// the world size, `Timeout` with the ranks that did not join, `Store` or `PeerLost` if the store is gone.
    pub fn gloo(store: &Store, spec: &GroupSpec) -> Result<Self, Error> {
        let (rank, world_size) = numbers(spec)?;
        let roster = Roster::join(store, &spec.prefix, spec.rank, spec.world_size, spec.timeout)?;
        let host = spec.host.to_string();
        let raw = GcGroupSpec {
            prefix: GcSlice::new(spec.prefix.as_bytes()),
            host: GcSlice::new(host.as_bytes()),
            rank,
            world_size,
            timeout_ms: millis(spec.timeout),
        };
        let started_ms = monotonic_ms();
        let handle = GroupHandle::create(|out| {
            // SAFETY: the store is alive, `raw` and the strings it borrows outlive the call, `out` is writable.
            unsafe { ffi::gc_group_gloo(store.ptr(), &raw const raw, out) }
        });
        let handle = handle.map_err(|message| failure(&roster, "connect", message, waited_since(started_ms)))?;
        let state = RefCell::new(State::Connected(handle));
        Ok(Self { inner: Rc::new(Inner { roster, state, reducers: RefCell::default() }) })
    }

    #[must_use]
    pub fn rank(&self) -> u32 {
        self.inner.roster.rank()
    }

    #[must_use]
    pub fn world_size(&self) -> u32 {
        self.inner.roster.world_size()
    }

    /// Replaces `tensor` on every rank by the sum or mean over ranks. Any shape, the same on all ranks.
    ///
    /// # Errors
    /// `Argument` if the tensor cannot be sent (see [`Error::Argument`]'s message), `Mismatch` if ranks disagree on
    /// reduction, kind or shape; `Timeout`, `PeerLost`, `Backend` and `Broken` as on [`Error`].
    pub fn all_reduce(&self, tensor: &mut Tensor, reduce: Reduce) -> Result<(), Error> {
        let op = "all_reduce";
        let signature = format!("{op} {reduce:?} {}", describe_output(op, tensor)?);
        if reduce == Reduce::Mean && !is_float(tensor)? {
            return Err(Error::Argument { op, wrong: "a mean needs a floating-point tensor".to_owned() });
        }
        self.inner.agree(op, &signature)?;
        // SAFETY: the tensor is dense, contiguous and mutably borrowed until the collective has completed.
        self.inner.perform(op, |group| unsafe { ffi::gc_group_all_reduce_sum(group, tensor_pointer(tensor)) })?;
        match reduce {
            Reduce::Sum => Ok(()),
            Reduce::Mean => tensor
                .f_div_scalar_(f64::from(self.world_size()))
                .map(drop)
                .map_err(|source| Error::Tensor { action: "divide a sum by the world size", source }),
        }
    }

    /// Replaces `tensor` on every rank by `root`'s. Any shape, the same on all ranks.
    ///
    /// # Errors
    /// As [`Group::all_reduce`].
    pub fn broadcast(&self, tensor: &mut Tensor, root: u32) -> Result<(), Error> {
        let op = "broadcast";
        let root_rank = self.inner.root(op, root)?;
        let signature = format!("{op} from {root} {}", describe_output(op, tensor)?);
        self.inner.agree(op, &signature)?;
        // SAFETY: the tensor is dense, contiguous and mutably borrowed until the collective has completed.
        self.inner.perform(op, |group| unsafe { ffi::gc_group_broadcast(group, tensor_pointer(tensor), root_rank) })
    }

    /// Writes `root`'s values into `params` on every rank, in place and outside of any graph. One agreement for all.
    ///
    /// # Errors
    /// As [`Group::all_reduce`]; after a failure on the way `params` hold a mixture.
    pub fn broadcast_parameters(&self, params: &[Tensor], root: u32) -> Result<(), Error> {
        let op = "broadcast_parameters";
        let root_rank = self.inner.root(op, root)?;
        let signature = format!("{op} from {root}\n{}", describe_all(op, params)?);
        self.inner.agree(op, &signature)?;
        for param in params {
            let detached = param.f_detach().map_err(|source| Error::Tensor { action: "detach a parameter", source })?;
            // SAFETY: `detached` shares the dense, contiguous memory of `param` and lives until the collective completed.
            // tch hands out no Rust references into tensor memory, so writing it breaks no borrow.
            self.inner
                .perform(op, |group| unsafe { ffi::gc_group_broadcast(group, tensor_pointer(&detached), root_rank) })?;
        }
        Ok(())
    }

    /// Returns when all ranks have called it, through the group's own connections, which it thereby checks.
    ///
    /// # Errors
    /// As [`Group::all_reduce`]; a rank that does not come is named.
    pub fn barrier(&self) -> Result<(), Error> {
        self.inner.agree("barrier", "barrier")?;
        // SAFETY: `group` is alive for the call.
        self.inner.perform("barrier", |group| unsafe { ffi::gc_group_barrier(group) })
    }

    /// Returns when all ranks have called it with the same `label`, through the store only: for phases whose length
    /// (`timeout`) has nothing to do with that of a collective.
    ///
    /// # Errors
    /// `Timeout` with the ranks that did not come, `Mismatch` if another rank is at another label.
    pub fn monitored_barrier(&self, label: &str, timeout: Duration) -> Result<(), Error> {
        let op = format!("barrier {label}");
        self.inner.usable(&op)?;
        let met = self.inner.roster.exchange(&op, &op, &[], timeout);
        self.inner.settle(met).map(drop)
    }

    /// Every rank's `bytes`, in rank order, through the store: for digests and votes, at most [`MAX_GATHER_BYTES`] each.
    ///
    /// # Errors
    /// `Argument` if `bytes` is too long, else as [`Group::monitored_barrier`].
    pub fn all_gather_bytes(&self, bytes: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
        let op = "all_gather_bytes";
        if bytes.len() > MAX_GATHER_BYTES {
            let wrong = format!("{} bytes are more than the {MAX_GATHER_BYTES} that a rank may give", bytes.len());
            return Err(Error::Argument { op, wrong });
        }
        self.inner.usable(op)?;
        let gathered = self.inner.roster.exchange(op, op, bytes, self.inner.roster.timeout());
        self.inner.settle(gathered)
    }

    /// Ends the group in good order: the rank that serves the store waits until all others need it no more.
    /// Without it, that rank's exit can cut short the last agreement of a slower one.
    ///
    /// # Errors
    /// `Timeout` with the ranks that have not left; `Store` or `PeerLost` if the store is gone.
    pub fn leave(self, timeout: Duration) -> Result<(), Error> {
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

    /// Closes the connections, so that ranks that wait for this one fail now.
    pub(crate) fn break_off(&self, cause: &str) {
        for reducer in self.reducers.borrow().iter().filter_map(Weak::upgrade) {
            reducer.borrow_mut().take();
        }
        *self.state.borrow_mut() = State::Broken { cause: cause.to_owned() };
    }

    /// A disagreement leaves all ranks at the same number; any other failure of an agreement does not.
    fn settle<T>(&self, agreed: Result<T, Error>) -> Result<T, Error> {
        match agreed {
            Err(error) if !matches!(error, Error::Mismatch { .. }) => {
                self.break_off(&error.to_string());
                self.roster.answer();
                Err(error)
            }
            other => other,
        }
    }

    fn root(&self, op: &'static str, root: u32) -> Result<i32, Error> {
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

fn is_float(tensor: &Tensor) -> Result<bool, Error> {
    let kind = tensor.f_kind().map_err(|source| Error::Tensor { action: "read the kind of a tensor", source })?;
    Ok(matches!(kind, Kind::Float | Kind::Double | Kind::Half | Kind::BFloat16))
}

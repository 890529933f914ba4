//! Gradients averaged over ranks while backward runs: libtorch's Reducer, the engine of PyTorch's
//! DistributedDataParallel.
//!
//! One optimiser step with gradient accumulation over `k` micro-batches:
//! `clear_grads(params)`; `k - 1` times forward and [`Reducer::backward_local`]; then [`Reducer::prepare_step`], forward
//! and [`Reducer::backward`]. Gradients are then the mean over ranks of the sum over a rank's micro-batches, so a loss
//! that is a mean over a micro-batch is divided by `k` by the caller.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use galapagos_telemetry::clock::monotonic_ms;
use tch::Tensor;

use crate::backend::Backend;
use crate::error::Error;
use crate::ffi::{self, GcReducerOptions};
use crate::group::{Group, Inner, waited_since};
use crate::handle::ReducerHandle;
use crate::signature::describe_all;

const OP: &str = "reducer";

/// How gradients are packed into all-reduces. The same on all ranks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReducerOptions {
    /// The most bytes in one all-reduce. PyTorch's default: 25 MiB.
    pub bucket_bytes: u32,
    /// The most bytes in the first all-reduce of a backward pass, small so that it starts early. PyTorch's default: 1 MiB.
    pub first_bucket_bytes: u32,
    /// Look for parameters that take no part in the loss, at the cost of a walk over the graph in each step. Without it
    /// such a parameter makes [`Reducer::backward`] fail.
    pub find_unused: bool,
    /// Let gradients be views into the buckets instead of tensors of their own, which saves their memory (one more copy of
    /// the parameters). In turn a gradient must not be detached in place, as tch's `zero_grad` and `backward_step` do, which
    /// then panic: clear with [`crate::clear_grads`]. PyTorch's `gradient_as_bucket_view`.
    pub bucket_view: bool,
}

impl Default for ReducerOptions {
    fn default() -> Self {
        Self { bucket_bytes: 25 << 20, first_bucket_bytes: 1 << 20, find_unused: false, bucket_view: false }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The next backward pass is local, or `prepare_step` comes next.
    Idle,
    /// The next backward pass may reduce.
    Prepared,
}

/// All-reduces the gradients of a fixed list of parameters. Unless [`ReducerOptions::bucket_view`] is set, gradients stay
/// ordinary tensors, so any optimiser and any way of clearing them works.
///
/// Neither `Send` nor `Sync`, as [`Group`]. Backward passes through the parameters run on the thread that made it.
#[derive(Debug)]
pub struct Reducer {
    group: Rc<Inner>,
    handle: Rc<RefCell<Option<ReducerHandle>>>,
    find_unused: bool,
    phase: Cell<Phase>,
}

impl Reducer {
    /// Hooks `params`, which must be leaves that require a gradient, in the same order and of the same kinds and shapes
    /// on all ranks; that is agreed here once. Does not make the values the same: [`Group::broadcast_parameters`] does.
    ///
    /// # Errors
    /// `Argument` for a tensor that is no such leaf or cannot be sent, `Mismatch` with the first parameter or option in
    /// which ranks differ; `Timeout`, `PeerLost`, `Backend` and `Broken` as on [`Error`].
    pub fn new(group: &Group, params: &[Tensor], options: ReducerOptions) -> Result<Self, Error> {
        check_leaves(params)?;
        let signature = format!(
            "{OP} {options:?}\n{}",
            describe_all(OP, params.iter().map(|param| (param, String::new())), group.backend())?
        );
        let group = Rc::clone(&group.inner);
        group.agree(OP, &signature)?;
        let raw = GcReducerOptions {
            bucket_bytes: i64::from(options.bucket_bytes),
            first_bucket_bytes: i64::from(options.first_bucket_bytes),
            find_unused: i32::from(options.find_unused),
            bucket_view: i32::from(options.bucket_view),
        };
        let pointers = ffi::tensor_pointers(params);
        let mut created = None;
        group.perform(OP, |group| {
            // SAFETY: the group is alive, `pointers` are live tensors for the call (the reducer keeps its own references),
            // `raw` outlives the call and `out` is writable.
            let made = ReducerHandle::create(|out| unsafe {
                ffi::gc_reducer_new(group, pointers.as_ptr(), pointers.len(), &raw const raw, out)
            });
            let code = if made.is_ok() { 0 } else { -1 };
            created = made.ok();
            code
        })?;
        let handle = Rc::new(RefCell::new(created));
        group.register(&handle);
        Ok(Self { group, handle, find_unused: options.find_unused, phase: Cell::new(Phase::Idle) })
    }

    /// Before the forward pass whose backward reduces. After the first such step it packs the buckets anew, in the order
    /// in which gradients came.
    ///
    /// # Errors
    /// `Timeout`, `PeerLost`, `Backend` and `Broken` as on [`Error`].
    pub fn prepare_step(&self) -> Result<(), Error> {
        // SAFETY: `reducer` is alive for the call.
        self.call("prepare_step", |reducer| unsafe { ffi::gc_reducer_prepare_forward(reducer) })?;
        self.phase.set(Phase::Prepared);
        Ok(())
    }

    /// Backward from the scalar `loss`, averaging over ranks every gradient collected since it was last cleared. When it
    /// returns, all gradients are there and are the same on all ranks.
    ///
    /// # Errors
    /// `Argument` without a [`Reducer::prepare_step`] before the forward pass, `Unfinished` if a parameter took no part
    /// and `find_unused` is off; `Timeout`, `PeerLost`, `Backend` and `Broken` as on [`Error`]. After a failure
    /// gradients hold a mixture.
    pub fn backward(&self, loss: &Tensor) -> Result<(), Error> {
        let op = "backward";
        self.group.usable(op)?;
        if self.phase.replace(Phase::Idle) != Phase::Prepared {
            let wrong = "call prepare_step before the forward pass of a backward that reduces".to_owned();
            return Err(Error::Argument { op, wrong });
        }
        let outputs = if self.find_unused { ffi::tensor_pointers([loss]) } else { Vec::new() };
        self.call(op, |reducer| {
            // SAFETY: `reducer` is alive and `outputs` are live tensors for the call.
            unsafe { ffi::gc_reducer_prepare_backward(reducer, outputs.as_ptr(), outputs.len()) }
        })?;
        let started_ms = monotonic_ms();
        if let Err(error) = loss.f_backward() {
            let text = error.to_string();
            let message = text.trim_start_matches("Internal torch error: ").lines().next().unwrap_or_default();
            return Err(self.group.fail(op, message.to_owned(), waited_since(started_ms)));
        }
        self.finish()
    }

    /// Backward from the scalar `loss` on this rank alone: gradients are added up and not sent. For all micro-batches of
    /// a step but the last.
    ///
    /// # Errors
    /// `Tensor` if backward fails; `Argument` between [`Reducer::prepare_step`] and [`Reducer::backward`], where another
    /// rank would wait for this one's gradients.
    pub fn backward_local(&self, loss: &Tensor) -> Result<(), Error> {
        if self.phase.get() == Phase::Prepared {
            let wrong = "a local backward must come before prepare_step".to_owned();
            return Err(Error::Argument { op: "backward_local", wrong });
        }
        loss.f_backward().map_err(|source| Error::Tensor { action: "run a local backward pass", source })
    }

    /// The number of all-reduces in a backward pass, as packed now.
    ///
    /// # Errors
    /// `Broken` as on [`Error`].
    pub fn bucket_count(&self) -> Result<usize, Error> {
        let mut count = 0;
        // SAFETY: `reducer` is alive for the call and `count` is writable.
        self.call("bucket_count", |reducer| unsafe { ffi::gc_reducer_bucket_count(reducer, &raw mut count) })?;
        Ok(usize::try_from(count).unwrap_or_default())
    }

    /// Checks that backward reduced every bucket; if not, this rank is out of step with the others.
    fn finish(&self) -> Result<(), Error> {
        let finalized = match &*self.handle.borrow() {
            // SAFETY: the reducer is alive for the call.
            Some(reducer) => ffi::check(unsafe { ffi::gc_reducer_check_finalized(reducer.as_ptr()) }),
            None => return self.group.usable("backward"),
        };
        finalized.map_err(|message| {
            self.group.break_off(&format!("backward: {message}"));
            Error::Unfinished { message }
        })?;
        self.settle_on_device()
    }

    /// On NCCL, backward has only queued the all-reduces on the device, where a lost peer would stop them for ever. A barrier
    /// queued behind them ends when they have, and turns a failure into an error.
    fn settle_on_device(&self) -> Result<(), Error> {
        if self.group.backend == Backend::Gloo {
            return Ok(());
        }
        // SAFETY: `group` is alive for the call.
        self.group.perform("backward", |group| unsafe { ffi::gc_group_barrier(group) })
    }

    fn call(&self, op: &str, entry: impl FnOnce(*mut ffi::GcReducer) -> i32) -> Result<(), Error> {
        self.group.usable(op)?;
        let started_ms = monotonic_ms();
        let done = match &*self.handle.borrow() {
            Some(reducer) => ffi::check(entry(reducer.as_ptr())),
            None => Err("the reducer was dropped with its group".to_owned()),
        };
        done.map_err(|message| self.group.fail(op, message, waited_since(started_ms)))
    }
}

fn check_leaves(params: &[Tensor]) -> Result<(), Error> {
    let wrong = |wrong: String| Err(Error::Argument { op: OP, wrong });
    if params.is_empty() {
        return wrong("there are no parameters".to_owned());
    }
    for (i, param) in params.iter().enumerate() {
        let leaf = param.defined()
            && param.f_is_leaf().map_err(|source| Error::Tensor { action: "look at a parameter", source })?;
        if !leaf || !param.requires_grad() {
            return wrong(format!("tensor {i} is not a leaf that requires a gradient"));
        }
    }
    Ok(())
}

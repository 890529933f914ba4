//! The collectives of a [`Group`]: what its ranks do together.
//!
//! Each is agreed through the store before it runs, so ranks that disagree get [`Error::Mismatch`] with nothing exchanged,
//! and ranks that do not come are named. A result's shape follows from the arguments and the world size alone.

use std::time::Duration;

use tch::{Kind, Tensor};

use crate::error::Error;
use crate::ffi::{self, tensor_pointer};
use crate::group::Group;
use crate::signature::{describe, describe_all, describe_output, sharing_memory};

/// The most bytes that a rank may give to [`Group::all_gather_bytes`].
pub const MAX_GATHER_BYTES: usize = 1 << 20;

/// How [`Group::all_reduce`] and [`Group::reduce_scatter`] join the ranks' values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduce {
    /// The sum over ranks, in the kind of the tensor.
    Sum,
    /// The sum divided by the world size; for floating-point kinds only.
    Mean,
}

impl Group {
    /// Replaces `tensor` on every rank by the sum or mean over ranks. Any shape, the same on all ranks.
    ///
    /// # Errors
    /// `Argument` if the tensor cannot be sent (see [`Error::Argument`]'s message), `Mismatch` if ranks disagree on
    /// reduction, kind or shape; `Timeout`, `PeerLost`, `Backend` and `Broken` as on [`Error`].
    pub fn all_reduce(&self, tensor: &mut Tensor, reduce: Reduce) -> Result<(), Error> {
        let op = "all_reduce";
        let signature = format!("{op} {reduce:?} {}", describe_output(op, tensor, self.backend())?);
        reducible(op, tensor, reduce)?;
        self.inner.agree(op, &signature)?;
        // SAFETY: the tensor is dense, contiguous and mutably borrowed until the collective has completed.
        self.inner.perform(op, |group| unsafe { ffi::gc_group_all_reduce_sum(group, tensor_pointer(tensor)) })?;
        self.finish_reduction(tensor, reduce)
    }

    /// All ranks' `tensor`s as one new tensor `[world size, ..]`, rank by rank, on every rank; `tensor` is `[..]`, any shape,
    /// the same on all ranks. The result is outside of any graph. For a few bytes that are no tensor there is
    /// [`Group::all_gather_bytes`].
    ///
    /// # Errors
    /// As [`Group::all_reduce`]; `Tensor` if there is no memory for the result.
    pub fn all_gather(&self, tensor: &Tensor) -> Result<Tensor, Error> {
        let op = "all_gather";
        let signature = format!("{op} {}", describe(op, tensor, self.backend())?);
        let mut shape = vec![i64::from(self.world_size())];
        shape.extend(tensor.size());
        let gathered = room(&shape, tensor)?;
        self.inner.agree(op, &signature)?;
        if tensor.numel() > 0 {
            let (output, input) = (tensor_pointer(&gathered), tensor_pointer(tensor));
            // SAFETY: both tensors are dense, contiguous and live until the collective has completed; nobody else has the
            // output, and the input is only read.
            self.inner.perform(op, |group| unsafe { ffi::gc_group_all_gather(group, output, input) })?;
        }
        Ok(gathered)
    }

    /// The sum or mean over ranks of this rank's part: `tensor` is `[world size, ..]`, part by part in rank order and of the
    /// same shape on all ranks; the result is a new tensor `[..]`, outside of any graph. `tensor` stays as it is.
    ///
    /// NCCL sends a rank only what it needs. libtorch's Gloo has no such operation of its own: it copies `tensor`, all-reduces
    /// the copy and returns a part of it, so on CPUs this costs the memory and the traffic of [`Group::all_reduce`].
    ///
    /// # Errors
    /// As [`Group::all_reduce`]; `Argument` if the first dimension is not the world size, `Tensor` if there is no memory for
    /// the result.
    pub fn reduce_scatter(&self, tensor: &Tensor, reduce: Reduce) -> Result<Tensor, Error> {
        let op = "reduce_scatter";
        let signature = format!("{op} {reduce:?} {}", describe(op, tensor, self.backend())?);
        reducible(op, tensor, reduce)?;
        let shape = tensor.size();
        let world_size = i64::from(self.world_size());
        let Some((_, part)) = shape.split_first().filter(|(parts, _)| **parts == world_size) else {
            let wrong = format!("the shape {shape:?} must begin with one part for each of {world_size} ranks");
            return Err(Error::Argument { op, wrong });
        };
        let mut reduced = room(part, tensor)?;
        self.inner.agree(op, &signature)?;
        if tensor.numel() > 0 {
            let (output, input) = (tensor_pointer(&reduced), tensor_pointer(tensor));
            // SAFETY: both tensors are dense, contiguous and live until the collective has completed; nobody else has the
            // output, and the input is only read.
            self.inner.perform(op, |group| unsafe { ffi::gc_group_reduce_scatter_sum(group, output, input) })?;
        }
        self.finish_reduction(&mut reduced, reduce)?;
        Ok(reduced)
    }

    /// Replaces `tensor` on every rank by `root`'s. Any shape, the same on all ranks.
    ///
    /// # Errors
    /// As [`Group::all_reduce`].
    pub fn broadcast(&self, tensor: &mut Tensor, root: u32) -> Result<(), Error> {
        let op = "broadcast";
        let root_rank = self.inner.root(op, root)?;
        let signature = format!("{op} from {root} {}", describe_output(op, tensor, self.backend())?);
        self.inner.agree(op, &signature)?;
        // SAFETY: the tensor is dense, contiguous and mutably borrowed until the collective has completed.
        self.inner.perform(op, |group| unsafe { ffi::gc_group_broadcast(group, tensor_pointer(tensor), root_rank) })
    }

    /// Writes into each tensor, on every rank, the values that it has on the rank beside it: in place and outside of any
    /// graph, so leaves that require a gradient are welcome. The list has the same shapes and roots on all ranks; that is
    /// agreed once, then all are sent at the same time. For parameters of which each rank has updated its own share
    /// (ZeRO stage 1; Rajbhandari et al. 2020).
    ///
    /// # Errors
    /// As [`Group::all_reduce`]; `Argument` if two tensors share memory, since they would be written at the same time. After a
    /// failure on the way the tensors hold a mixture.
    pub fn broadcast_from(&self, tensors: &[(&Tensor, u32)]) -> Result<(), Error> {
        self.broadcast_each("broadcast_from", tensors)
    }

    /// Writes `root`'s values into `params` on every rank, in place and outside of any graph. One agreement for all.
    ///
    /// # Errors
    /// As [`Group::broadcast_from`].
    pub fn broadcast_parameters(&self, params: &[Tensor], root: u32) -> Result<(), Error> {
        let tensors: Vec<_> = params.iter().map(|param| (param, root)).collect();
        self.broadcast_each("broadcast_parameters", &tensors)
    }

    fn broadcast_each(&self, op: &'static str, tensors: &[(&Tensor, u32)]) -> Result<(), Error> {
        let roots: Vec<i32> =
            tensors.iter().map(|(_, root)| self.inner.root(op, *root)).collect::<Result<_, Error>>()?;
        let with_roots = tensors.iter().map(|(tensor, root)| (*tensor, format!(" from {root}")));
        let described = describe_all(op, with_roots, self.backend())?;
        if let Some((a, b)) = sharing_memory(tensors.iter().map(|(tensor, _)| *tensor)) {
            let wrong = format!("tensors {a} and {b} share memory; pass each stretch of memory once");
            return Err(Error::Argument { op, wrong });
        }
        self.inner.agree(op, &format!("{op}\n{described}"))?;
        let pointers = ffi::tensor_pointers(tensors.iter().map(|(tensor, _)| *tensor));
        // SAFETY: `pointers` and `roots` are as long as `n` says and outlive the call; the tensors are dense, contiguous, apart
        // in memory and alive until all broadcasts have ended. tch hands out no Rust references into tensor memory, so writing
        // it breaks no borrow.
        self.inner.perform(op, |group| unsafe {
            ffi::gc_group_broadcast_each(group, pointers.as_ptr(), roots.as_ptr(), pointers.len())
        })
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

    /// Turns a sum over ranks into what was asked for.
    fn finish_reduction(&self, sum: &mut Tensor, reduce: Reduce) -> Result<(), Error> {
        match reduce {
            Reduce::Sum => Ok(()),
            Reduce::Mean => sum
                .f_div_scalar_(f64::from(self.world_size()))
                .map(drop)
                .map_err(|source| Error::Tensor { action: "divide a sum by the world size", source }),
        }
    }
}

/// An uninitialised contiguous tensor of the kind and device of `like`.
fn room(shape: &[i64], like: &Tensor) -> Result<Tensor, Error> {
    let made = like.f_kind().and_then(|kind| Tensor::f_empty(shape, (kind, like.device())));
    made.map_err(|source| Error::Tensor { action: "make room for the result of a collective", source })
}

fn reducible(op: &'static str, tensor: &Tensor, reduce: Reduce) -> Result<(), Error> {
    let kind = tensor.f_kind().map_err(|source| Error::Tensor { action: "read the kind of a tensor", source })?;
    let float = matches!(kind, Kind::Float | Kind::Double | Kind::Half | Kind::BFloat16);
    if reduce == Reduce::Mean && !float {
        return Err(Error::Argument { op, wrong: format!("a mean needs a floating-point tensor, not {kind:?}") });
    }
    Ok(())
}

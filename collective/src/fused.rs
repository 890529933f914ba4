//! Updates of many weights in one pass over memory, by libtorch's fused optimiser kernels, which tch does not expose, and
//! the norm of a gradient. They run on the CPU, on libtorch's own threads, and on CUDA.
//!
//! Nothing is kept here: which weights move together, by which numbers and with which state is the caller's. What the
//! kernels take for granted of tensors is checked before, since they would read and write past their ends without it.

use std::ffi::c_void;

use tch::{Device, Kind, Tensor};

use crate::error::Error;
use crate::ffi::{self, GcAdamw, GcMoved, GcSgd};
use crate::signature::sharing_memory;

/// The numbers of one update of AdamW (Loshchilov & Hutter, 2019, algorithm 2).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamwUpdate {
    pub lr: f64,
    /// Decay of the mean of gradients, in 0..1.
    pub beta1: f64,
    /// Decay of the mean of squared gradients, in 0..1.
    pub beta2: f64,
    pub eps: f64,
    /// Decoupled: a weight is first multiplied by `1 - lr * weight_decay`.
    pub weight_decay: f64,
    /// What gradients are multiplied by.
    pub gradient_factor: f64,
    /// The number of this update, counted from 1.
    pub step: u64,
}

/// The numbers of one update of gradient descent with momentum, without dampening (Loshchilov & Hutter, 2019,
/// algorithm 1).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SgdUpdate {
    pub lr: f64,
    /// In 0..1; 0 for none.
    pub momentum: f64,
    pub nesterov: bool,
    /// Decoupled: a weight is first multiplied by `1 - lr * weight_decay`, and the momentum knows nothing of it.
    pub weight_decay: f64,
    /// What gradients are multiplied by.
    pub gradient_factor: f64,
}

/// Moves weights in place, outside of any graph, so leaves that require a gradient are welcome. Each entry of `tensors`
/// is a weight, its gradient, the running mean of its gradients and that of their squares: contiguous f32 of one shape,
/// all entries on one device, no two of the tensors sharing memory. Means and squares are moved too; the gradients hold
/// either what they held or that times `gradient_factor` afterwards.
///
/// Nothing is computed over more than one element, so a weight moves the same bit for bit whatever the number of threads
/// and the weights beside it.
///
/// # Errors
/// `Argument` for a number out of its range or tensors that are not as said, with nothing done; `Backend` if libtorch
/// refuses, with weights half updated.
pub fn fused_adamw(tensors: &[[&Tensor; 4]], by: &AdamwUpdate) -> Result<(), Error> {
    let op = "fused_adamw";
    check_part(op, "beta1", by.beta1)?;
    check_part(op, "beta2", by.beta2)?;
    check_finite(op, [by.lr, by.eps, by.weight_decay, by.gradient_factor])?;
    if by.step == 0 {
        return Err(Error::Argument { op, wrong: "the step is 0; updates are counted from 1".to_owned() });
    }
    check(op, tensors)?;
    let [weights, gradients, firsts, seconds] = columns(tensors);
    let moved = GcMoved {
        weights: weights.as_ptr(),
        gradients: gradients.as_ptr(),
        firsts: firsts.as_ptr(),
        seconds: seconds.as_ptr(),
        n: tensors.len(),
    };
    let AdamwUpdate { lr, beta1, beta2, eps, weight_decay, gradient_factor, step } = *by;
    let by = GcAdamw { lr, beta1, beta2, eps, weight_decay, gradient_factor, step };
    // SAFETY: all four lists have `n` pointers to tensors that are borrowed for the call and are what the entry asks for by
    // `check`. tch hands out no Rust references into tensor memory, so writing it breaks no borrow.
    ffi::check(unsafe { ffi::gc_fused_adamw(&raw const moved, &raw const by) }).map_err(refused(op))
}

/// As [`fused_adamw`], for gradient descent. Each entry of `tensors` is a weight and its gradient; `momenta` has the
/// momentum of each, and none if `momentum` is 0. A momentum that holds zeros begins with the gradient.
///
/// # Errors
/// As [`fused_adamw`].
pub fn fused_sgd(tensors: &[[&Tensor; 2]], momenta: &[&Tensor], by: &SgdUpdate) -> Result<(), Error> {
    let op = "fused_sgd";
    check_part(op, "momentum", by.momentum)?;
    check_finite(op, [by.lr, by.weight_decay, by.gradient_factor])?;
    let needed = if by.momentum == 0.0 { 0 } else { tensors.len() };
    if momenta.len() != needed {
        let wrong = format!("{} momenta came where {needed} are needed", momenta.len());
        return Err(Error::Argument { op, wrong });
    }
    check(op, tensors)?;
    if needed > 0 {
        let entries = tensors.iter().zip(momenta);
        let entries: Vec<[&Tensor; 3]> = entries.map(|([w, gradient], momentum)| [*w, *gradient, *momentum]).collect();
        check(op, &entries)?;
    }
    let firsts = ffi::tensor_pointers(momenta.iter().copied());
    let [weights, gradients] = columns(tensors);
    let moved = GcMoved {
        weights: weights.as_ptr(),
        gradients: gradients.as_ptr(),
        firsts: firsts.as_ptr(),
        seconds: std::ptr::null(),
        n: tensors.len(),
    };
    let SgdUpdate { lr, momentum, nesterov, weight_decay, gradient_factor } = *by;
    let by = GcSgd { lr, momentum, weight_decay, gradient_factor, nesterov: i32::from(nesterov) };
    // SAFETY: weights and gradients have `n` pointers, and so has `firsts` unless momentum is 0, when the entry does not look at
    // it; the tensors are borrowed for the call and are what the entry asks for by `check`. tch hands out no Rust references
    // into tensor memory, so writing it breaks no borrow.
    ffi::check(unsafe { ffi::gc_fused_sgd(&raw const moved, &raw const by) }).map_err(refused(op))
}

/// The 2-norm of contiguous f32 `tensors` of any shapes, taken as one vector and accumulated in f64: 0 for none, infinite or
/// not a number if any element is. Does not depend on the number of threads.
///
/// # Errors
/// `Argument` for a tensor that is not as said, `Backend` if libtorch refuses.
pub fn norm(tensors: &[&Tensor]) -> Result<f64, Error> {
    let op = "norm";
    for (i, tensor) in tensors.iter().enumerate() {
        check_tensor(op, i, tensor)?;
    }
    let pointers = ffi::tensor_pointers(tensors.iter().copied());
    let mut norm = 0.0;
    // SAFETY: the pointers are live dense contiguous f32 tensors by the check, and `norm` is writable.
    let code = unsafe { ffi::gc_norm(pointers.as_ptr(), pointers.len(), &raw mut norm) };
    ffi::check(code).map_err(refused(op))?;
    Ok(norm)
}

fn refused(op: &'static str) -> impl FnOnce(String) -> Error {
    move |message| Error::Backend { op: op.to_owned(), message }
}

fn columns<const N: usize>(tensors: &[[&Tensor; N]]) -> [Vec<*const c_void>; N] {
    std::array::from_fn(|column| ffi::tensor_pointers(tensors.iter().map(|entry| entry[column])))
}

fn check_part(op: &'static str, name: &str, value: f64) -> Result<(), Error> {
    if (0.0..1.0).contains(&value) {
        return Ok(());
    }
    Err(Error::Argument { op, wrong: format!("{name} is {value}; it must be at least 0 and below 1") })
}

fn check_finite<const N: usize>(op: &'static str, values: [f64; N]) -> Result<(), Error> {
    if values.iter().all(|value| value.is_finite()) {
        return Ok(());
    }
    Err(Error::Argument { op, wrong: format!("all numbers of an update must be finite, but they are {values:?}") })
}

fn check<const N: usize>(op: &'static str, tensors: &[[&Tensor; N]]) -> Result<(), Error> {
    let wrong = |wrong: String| Err(Error::Argument { op, wrong });
    let mut device: Option<Device> = None;
    for (i, entry) in tensors.iter().enumerate() {
        for tensor in entry {
            check_tensor(op, i, tensor)?;
            let (shape, of_weight) = (tensor.size(), entry[0].size());
            if shape != of_weight {
                return wrong(format!("a tensor of weight {i} has shape {shape:?}, and the weight has {of_weight:?}"));
            }
            let (is, others) = (tensor.device(), *device.get_or_insert_with(|| tensor.device()));
            if is != others {
                return wrong(format!("a tensor of weight {i} is on {is:?}, and others on {others:?}"));
            }
        }
    }
    if let Some((a, b)) = sharing_memory(tensors.iter().flatten().copied()) {
        return wrong(format!("a tensor of weight {} shares memory with one of weight {}", a / N, b / N));
    }
    Ok(())
}

/// That a tensor is what the kernels take for granted; `i` is its place, for the message.
fn check_tensor(op: &'static str, i: usize, tensor: &Tensor) -> Result<(), Error> {
    let wrong = |wrong: String| Err(Error::Argument { op, wrong: format!("a tensor of weight {i} {wrong}") });
    if !tensor.defined() {
        return wrong("is undefined".to_owned());
    }
    if tensor.is_sparse() {
        return wrong("is sparse; it must be dense".to_owned());
    }
    match tensor.f_kind().map_err(|source| Error::Tensor { action: "read the kind of a tensor", source })? {
        Kind::Float => {}
        kind => return wrong(format!("is of {kind:?}; it must be of {:?}", Kind::Float)),
    }
    if !tensor.is_contiguous() {
        return wrong("is not contiguous; pass tensor.contiguous()".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests;

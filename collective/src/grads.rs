//! Clearing gradients without tch's `zero_grad`, which detaches them in place first and so fails on views.

use tch::Tensor;

use crate::error::Error;
use crate::ffi;

/// Makes the gradient of every tensor in `params` undefined, as `zero_grad(set_to_none=True)` does in PyTorch. The next
/// backward starts from nothing. Works with and without a [`crate::Reducer`] on them.
///
/// # Errors
/// `Backend` if libtorch refuses, for example for an undefined tensor.
pub fn clear_grads(params: &[Tensor]) -> Result<(), Error> {
    let pointers = ffi::tensor_pointers(params);
    // SAFETY: the pointers are live tch tensors borrowed for the call; only their reference to a gradient is replaced.
    let code = unsafe { ffi::gc_clear_grads(pointers.as_ptr(), pointers.len()) };
    ffi::check(code).map_err(|message| Error::Backend { op: "clear_grads".to_owned(), message })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn gradients_start_from_nothing_again() {
        let w = Tensor::ones([3], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let loss = || (&w * 2.0).sum(Kind::Float);
        loss().backward();
        loss().backward();
        assert_eq!(w.grad().double_value(&[0]), 4.0);
        clear_grads(std::slice::from_ref(&w)).unwrap();
        assert!(!w.grad().defined());
        loss().backward();
        assert_eq!(w.grad().double_value(&[0]), 2.0);
    }
}

//! Tensors of the CPU as Rust slices, for the kernels of `galapagos-kernels`, which know nothing of libtorch.
//!
//! The only place of this crate with `unsafe`. Every function checks device, layout, kind and contiguity first and refuses
//! tensors that autograd follows, since what happens to a slice is invisible to it. Nothing here computes.
//!
//! A slice borrows its handle, so that handle can neither be changed nor dropped meanwhile. libtorch lets *other* handles on
//! the same memory (`shallow_clone`, views) change it, which no check can see: code of this crate does not write to a tensor
//! in place while it holds a slice of it.

use std::slice;

use tch::{Device, Kind, TchError, Tensor};

/// The numbers of a contiguous 32-bit float tensor of the CPU, in row-major order.
///
/// # Errors
/// [`TchError::Kind`] or [`TchError::Shape`] for any other tensor; the text says what it is and what it should be.
pub(crate) fn f32s(tensor: &Tensor) -> Result<&[f32], TchError> {
    let (first, length) = checked(tensor, Kind::Float)?;
    if length == 0 {
        return Ok(&[]);
    }
    // SAFETY: `checked` found a dense, contiguous tensor of `length` 32-bit floats in the CPU's memory, aligned and written
    // (see `zeros_f32`; libtorch's own results are complete). The handle keeps it alive and is borrowed as long as the
    // slice; nobody writes through another handle meanwhile (head of this file).
    Ok(unsafe { slice::from_raw_parts(first.cast(), length) })
}

/// The bits of the numbers of a contiguous bfloat16 tensor of the CPU, in row-major order.
///
/// # Errors
/// As [`f32s`].
pub(crate) fn bf16s(tensor: &Tensor) -> Result<&[u16], TchError> {
    let (first, length) = checked(tensor, Kind::BFloat16)?;
    if length == 0 {
        return Ok(&[]);
    }
    // SAFETY: as in `f32s`; a bfloat16 number is two bytes, and every pattern of them is a `u16`.
    Ok(unsafe { slice::from_raw_parts(first.cast(), length) })
}

/// The numbers of a contiguous 32-bit float tensor of the CPU, to be written. For tensors nobody else has a handle on, such
/// as those of [`zeros_f32`].
///
/// # Errors
/// As [`f32s`].
pub(crate) fn f32s_mut(tensor: &mut Tensor) -> Result<&mut [f32], TchError> {
    let (first, length) = checked(tensor, Kind::Float)?;
    if length == 0 {
        return Ok(&mut []);
    }
    // SAFETY: as in `f32s`, and the handle is borrowed exclusively, so no other slice was made from it; by this function's
    // contract there is no other handle.
    Ok(unsafe { slice::from_raw_parts_mut(first.cast(), length) })
}

/// A new 32-bit float tensor of the CPU with zeros: memory for a kernel's result.
///
/// # Errors
/// When libtorch has no memory.
pub(crate) fn zeros_f32(shape: &[usize]) -> Result<Tensor, TchError> {
    let shape: Vec<i64> = shape.iter().map(|size| *size as i64).collect();
    Tensor::f_zeros(shape, (Kind::Float, Device::Cpu))
}

/// A new 32-bit float tensor of the CPU, as `write` leaves it; it begins with zeros.
///
/// # Errors
/// When libtorch has no memory, and what `write` returns.
pub(crate) fn new_f32(
    shape: &[usize],
    write: impl FnOnce(&mut [f32]) -> Result<(), TchError>,
) -> Result<Tensor, TchError> {
    let mut tensor = zeros_f32(shape)?;
    write(f32s_mut(&mut tensor)?)?;
    Ok(tensor)
}

/// First number and count of numbers of a tensor that can be seen as a slice of `kind`.
fn checked(tensor: &Tensor, kind: Kind) -> Result<(*mut std::ffi::c_void, usize), TchError> {
    let shape_error = |text: String| Err(TchError::Shape(format!("a tensor to be seen as a slice {text}")));
    if !tensor.defined() {
        return shape_error("is not defined".to_owned());
    }
    if tensor.device() != Device::Cpu {
        return shape_error(format!("lies on {:?}; move it to the CPU first", tensor.device()));
    }
    if tensor.is_sparse() || tensor.is_mkldnn() || !tensor.is_contiguous() {
        return shape_error(format!(
            "of shape {:?} is not dense and contiguous; call f_contiguous first",
            tensor.size()
        ));
    }
    if tensor.requires_grad() {
        return shape_error(format!("of shape {:?} is followed by autograd; detach it first", tensor.size()));
    }
    let found = tensor.f_kind()?;
    if found != kind {
        return Err(TchError::Kind(format!("a tensor to be seen as a slice of {kind:?} is of {found:?}")));
    }
    let first = tensor.data_ptr();
    if !first.addr().is_multiple_of(kind.elt_size_in_bytes()) {
        return shape_error(format!("of shape {:?} is not aligned to its numbers; copy it first", tensor.size()));
    }
    Ok((first, tensor.numel()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(kind: Kind) -> Tensor {
        Tensor::f_arange(6, (kind, Device::Cpu)).unwrap().f_reshape([2, 3]).unwrap()
    }

    #[test]
    fn slices_show_the_numbers_in_row_major_order() {
        assert_eq!(f32s(&counted(Kind::Float)).unwrap(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        let bits: Vec<u32> = bf16s(&counted(Kind::BFloat16)).unwrap().iter().map(|bits| u32::from(*bits)).collect();
        assert_eq!(bits, [0.0f32, 1.0, 2.0, 3.0, 4.0, 5.0].map(|x| x.to_bits() >> 16));
        let row = counted(Kind::Float).f_get(1).unwrap();
        assert_eq!(f32s(&row).unwrap(), [3.0, 4.0, 5.0], "a view that starts inside its storage");
    }

    #[test]
    fn what_is_written_is_in_the_tensor() {
        let mut tensor = new_f32(&[2, 2], |numbers| {
            assert_eq!(numbers, [0.0; 4]);
            numbers.copy_from_slice(&[1.0, 2.0, 3.0, 4.0]);
            Ok(())
        })
        .unwrap();
        f32s_mut(&mut tensor).unwrap()[3] = 9.0;
        assert_eq!(
            Vec::<f32>::try_from(tensor.f_sum_dim_intlist([1].as_slice(), false, Kind::Float).unwrap()).unwrap(),
            [3.0, 12.0]
        );
    }

    #[test]
    fn a_failure_while_writing_is_returned() {
        let error = new_f32(&[1], |_| Err(TchError::Shape("broken".to_owned()))).unwrap_err();
        assert!(error.to_string().contains("broken"), "{error}");
    }

    #[test]
    fn an_empty_tensor_is_an_empty_slice() {
        let mut tensor = zeros_f32(&[0, 3]).unwrap();
        assert!(f32s(&tensor).unwrap().is_empty());
        assert!(f32s_mut(&mut tensor).unwrap().is_empty());
    }

    #[test]
    fn other_tensors_are_refused_with_the_reason() {
        let transposed = counted(Kind::Float).f_transpose(0, 1).unwrap();
        let trainable = counted(Kind::Float).f_set_requires_grad(true).unwrap();
        let computed = trainable.f_mul_scalar(2.0).unwrap();
        let sparse = counted(Kind::Float).f_to_sparse_sparse_dim(1).unwrap();
        for (tensor, reason) in [
            (&transposed, "contiguous"),
            (&sparse, "dense"),
            (&trainable, "autograd"),
            (&computed, "autograd"),
            (&counted(Kind::Double), "Double"),
            (&counted(Kind::BFloat16), "BFloat16"),
            (&Tensor::new(), "not defined"),
        ] {
            let error = f32s(tensor).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
        assert!(bf16s(&counted(Kind::Float)).is_err());
    }
}

//! What a rank is about to do, as text that ranks compare before they do it: operation, kinds, shapes, options.

use tch::{Kind, Tensor};

use crate::backend::Backend;
use crate::error::Error;

/// The element kinds that both of c10d's backends reduce and broadcast.
const KINDS: [Kind; 8] =
    [Kind::Float, Kind::Double, Kind::Half, Kind::BFloat16, Kind::Int8, Kind::Uint8, Kind::Int, Kind::Int64];

/// `Float [4, 5]`, after a check that `backend` can carry the tensor: defined, dense, contiguous, on its device, of a known
/// kind. The device is not part of the text, since ranks have devices of their own.
pub(crate) fn describe(op: &'static str, tensor: &Tensor, backend: Backend) -> Result<String, Error> {
    let wrong = |wrong: &str| Err(Error::Argument { op, wrong: wrong.to_owned() });
    if !tensor.defined() {
        return wrong("the tensor is undefined");
    }
    if tensor.is_sparse() {
        return wrong("the tensor is sparse; only dense tensors can be sent");
    }
    let kind = tensor.f_kind().map_err(|source| Error::Tensor { action: "read the kind of a tensor", source })?;
    if !KINDS.contains(&kind) {
        return wrong(&format!("tensors of kind {kind:?} cannot be sent, only {KINDS:?}"));
    }
    if tensor.device() != backend.device() {
        let (is, name, carried) = (tensor.device(), backend.name(), backend.device());
        return wrong(&format!("the tensor is on {is:?}, but this {name} group carries tensors on {carried:?}"));
    }
    if !tensor.is_contiguous() {
        return wrong("the tensor is not contiguous; pass tensor.contiguous()");
    }
    Ok(format!("{kind:?} {:?}", tensor.size()))
}

/// As [`describe`], for a tensor that is written in place and so must not be part of a graph.
pub(crate) fn describe_output(op: &'static str, tensor: &Tensor, backend: Backend) -> Result<String, Error> {
    let described = describe(op, tensor, backend)?;
    if tensor.requires_grad() {
        let wrong = "the tensor requires a gradient and would be written in place; pass tensor.detach()".to_owned();
        return Err(Error::Argument { op, wrong });
    }
    Ok(described)
}

/// One line for each tensor with what is said of it, numbered from 0.
pub(crate) fn describe_all<'a>(
    op: &'static str,
    tensors: impl IntoIterator<Item = (&'a Tensor, String)>,
    backend: Backend,
) -> Result<String, Error> {
    let lines: Result<Vec<_>, Error> = tensors
        .into_iter()
        .enumerate()
        .map(|(i, (tensor, more))| Ok(format!("tensor {i}: {}{more}", describe(op, tensor, backend)?)))
        .collect();
    Ok(lines?.join("\n"))
}

/// The numbers of two of the `tensors` that have a byte in common, if there are such. They have been described, so they are
/// contiguous and of a known kind.
pub(crate) fn sharing_memory<'a>(tensors: impl IntoIterator<Item = &'a Tensor>) -> Option<(usize, usize)> {
    let bytes = |tensor: &Tensor| tensor.numel() * tensor.f_kind().map_or(1, Kind::elt_size_in_bytes);
    let mut ranges: Vec<_> = tensors
        .into_iter()
        .enumerate()
        .filter(|(_, tensor)| tensor.numel() > 0)
        .map(|(i, tensor)| (tensor.data_ptr() as usize, bytes(tensor), i))
        .collect();
    ranges.sort_unstable();
    let shared = ranges.windows(2).find(|pair| pair[0].0 + pair[0].1 > pair[1].0)?;
    Some((shared[0].2.min(shared[1].2), shared[0].2.max(shared[1].2)))
}

/// The first line in which two signatures differ: `(mine, theirs)`.
pub(crate) fn first_difference(mine: &str, theirs: &str) -> (String, String) {
    let (mut a, mut b) = (mine.lines(), theirs.lines());
    loop {
        let (x, y) = (a.next(), b.next());
        if x != y || x.is_none() {
            let text = |line: Option<&str>| line.unwrap_or("nothing").to_owned();
            return (text(x), text(y));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    #[test]
    fn a_signature_tells_kind_and_shape_apart() {
        let a = describe("all_reduce", &Tensor::zeros([4, 5], (Kind::Float, Device::Cpu)), Backend::Gloo).unwrap();
        assert_eq!(a, "Float [4, 5]");
        for other in [(vec![5, 4], Kind::Float), (vec![4, 5], Kind::BFloat16), (vec![20], Kind::Float)] {
            let b = describe("all_reduce", &Tensor::zeros(other.0, (other.1, Device::Cpu)), Backend::Gloo).unwrap();
            assert_ne!(a, b);
        }
    }

    #[test]
    fn tensors_that_c10d_cannot_carry_are_refused() {
        let square = Tensor::zeros([2, 3], (Kind::Float, Device::Cpu));
        let cases = [
            (Tensor::new(), "undefined"),
            (square.tr(), "contiguous"),
            (Tensor::zeros([2], (Kind::Bool, Device::Cpu)), "kind"),
            (square.copy().set_requires_grad(true), "detach"),
        ];
        for (tensor, word) in cases {
            let error = describe_output("all_reduce", &tensor, Backend::Gloo).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn a_tensor_away_from_the_backends_device_is_refused() {
        let tensor = Tensor::zeros([2], (Kind::Float, Device::Cpu));
        let error = describe("all_reduce", &tensor, Backend::Nccl { device: 1 }).unwrap_err().to_string();
        assert_eq!(error, "all_reduce: the tensor is on Cpu, but this NCCL group carries tensors on Cuda(1)");
    }

    #[test]
    fn tensors_that_overlap_are_found() {
        let base = Tensor::zeros([8], (Kind::Float, Device::Cpu));
        let other = Tensor::zeros([8], (Kind::Float, Device::Cpu));
        let (low, high) = (base.narrow(0, 0, 4), base.narrow(0, 4, 4));
        assert_eq!(sharing_memory([&high, &other, &low, &base.narrow(0, 3, 0)]), None);
        assert_eq!(sharing_memory([&high, &other, &base.narrow(0, 2, 3)]), Some((0, 2)));
        assert_eq!(sharing_memory([&other, &base, &low]), Some((1, 2)));
        assert_eq!(sharing_memory([&other, &other]), Some((0, 1)));
    }

    #[test]
    fn the_first_differing_line_is_found() {
        assert_eq!(first_difference("a\nb\nc", "a\nx\nc"), ("b".to_owned(), "x".to_owned()));
        assert_eq!(first_difference("a", "a\nb"), ("nothing".to_owned(), "b".to_owned()));
    }
}

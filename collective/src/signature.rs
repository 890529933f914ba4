//! What a rank is about to do, as text that ranks compare before they do it: operation, kinds, shapes, options.

use tch::{Device, Kind, Tensor};

use crate::error::Error;

/// The element kinds that c10d's Gloo backend reduces and broadcasts.
const KINDS: [Kind; 8] =
    [Kind::Float, Kind::Double, Kind::Half, Kind::BFloat16, Kind::Int8, Kind::Uint8, Kind::Int, Kind::Int64];

/// `Float [4, 5]`, after a check that c10d can carry the tensor: defined, dense, contiguous, on the CPU, of a known kind.
pub(crate) fn describe(op: &'static str, tensor: &Tensor) -> Result<String, Error> {
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
    if tensor.device() != Device::Cpu {
        return wrong(&format!("the tensor is on {:?}, but a Gloo group carries CPU tensors", tensor.device()));
    }
    if !tensor.is_contiguous() {
        return wrong("the tensor is not contiguous; pass tensor.contiguous()");
    }
    Ok(format!("{kind:?} {:?}", tensor.size()))
}

/// As [`describe`], for a tensor that is written in place and so must not be part of a graph.
pub(crate) fn describe_output(op: &'static str, tensor: &Tensor) -> Result<String, Error> {
    let described = describe(op, tensor)?;
    if tensor.requires_grad() {
        let wrong = "the tensor requires a gradient and would be written in place; pass tensor.detach()".to_owned();
        return Err(Error::Argument { op, wrong });
    }
    Ok(described)
}

/// One line for each tensor, numbered from 0.
pub(crate) fn describe_all(op: &'static str, tensors: &[Tensor]) -> Result<String, Error> {
    let lines: Result<Vec<_>, Error> =
        tensors.iter().enumerate().map(|(i, t)| Ok(format!("tensor {i}: {}", describe(op, t)?))).collect();
    Ok(lines?.join("\n"))
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

    #[test]
    fn a_signature_tells_kind_and_shape_apart() {
        let a = describe("all_reduce", &Tensor::zeros([4, 5], (Kind::Float, Device::Cpu))).unwrap();
        assert_eq!(a, "Float [4, 5]");
        for other in [(vec![5, 4], Kind::Float), (vec![4, 5], Kind::BFloat16), (vec![20], Kind::Float)] {
            let b = describe("all_reduce", &Tensor::zeros(other.0, (other.1, Device::Cpu))).unwrap();
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
            let error = describe_output("all_reduce", &tensor).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn the_first_differing_line_is_found() {
        assert_eq!(first_difference("a\nb\nc", "a\nx\nc"), ("b".to_owned(), "x".to_owned()));
        assert_eq!(first_difference("a", "a\nb"), ("nothing".to_owned(), "b".to_owned()));
    }
}

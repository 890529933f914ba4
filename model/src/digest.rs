//! The digest of weights: the value ranks vote with and checkpoints are named by.
//!
//! It covers names, number formats, shapes and bytes, in name order, each part preceded by its length; so it does not
//! depend on how a file lays tensors out, and no two different sets of weights feed the same bytes to the hash.

use tch::{Device, Kind, TchError, Tensor};

use crate::weights::{Parameters, WeightsError, tensor_error};

/// BLAKE3 over all tensors of `parameters`.
///
/// # Errors
/// [`WeightsError::Tensor`] when libtorch cannot hand out a tensor's bytes.
pub fn weights_digest(parameters: &Parameters) -> Result<blake3::Hash, WeightsError> {
    let mut hasher = blake3::Hasher::new();
    for (name, tensor) in parameters.iter() {
        part(&mut hasher, name.as_bytes());
        part(&mut hasher, kind_name(tensor.kind()).as_bytes());
        let shape: Vec<u8> = tensor.size().into_iter().flat_map(i64::to_le_bytes).collect();
        part(&mut hasher, &shape);
        let bytes = bytes_of(tensor).map_err(|source| tensor_error("hashing", name, source))?;
        part(&mut hasher, &bytes);
    }
    Ok(hasher.finalize())
}

fn part(hasher: &mut blake3::Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}

/// Names that stay the same whatever libtorch calls its kinds.
fn kind_name(kind: Kind) -> String {
    match kind {
        Kind::Float => "F32".to_owned(),
        Kind::BFloat16 => "BF16".to_owned(),
        Kind::Half => "F16".to_owned(),
        other => format!("{other:?}"),
    }
}

/// The elements of a tensor as bytes in row-major order (little-endian on every platform libtorch runs on).
pub(crate) fn bytes_of(tensor: &Tensor) -> Result<Vec<u8>, TchError> {
    let tensor = tensor.f_detach()?.f_to_device(Device::Cpu)?.f_contiguous()?;
    let elements = tensor.numel();
    let mut bytes = vec![0; elements * tensor.f_kind()?.elt_size_in_bytes()];
    tensor.f_copy_data_u8(&mut bytes, elements)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, Tensor)]) -> String {
        let parameters: Parameters = pairs.iter().map(|(name, t)| ((*name).to_owned(), t.shallow_clone())).collect();
        weights_digest(&parameters).unwrap().to_hex().to_string()
    }

    #[test]
    fn every_part_counts_and_order_of_insertion_does_not() {
        let a = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0]);
        let b = Tensor::from_slice(&[5.0f32]);
        let base = of(&[("a", a.shallow_clone()), ("b", b.shallow_clone())]);
        assert_eq!(base, of(&[("b", b.shallow_clone()), ("a", a.shallow_clone())]));
        assert_ne!(base, of(&[("a", a.reshape([2, 2])), ("b", b.shallow_clone())]), "shape");
        assert_ne!(base, of(&[("c", a.shallow_clone()), ("b", b.shallow_clone())]), "name");
        assert_ne!(base, of(&[("a", a.to_kind(Kind::BFloat16)), ("b", b.shallow_clone())]), "format");
        assert_ne!(base, of(&[("a", -&a), ("b", b)]), "bytes");
    }

    #[test]
    fn a_view_hashes_like_its_contiguous_copy() {
        let a = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0]).reshape([2, 3]).transpose(0, 1);
        assert!(!a.is_contiguous());
        assert_eq!(of(&[("a", a.contiguous())]), of(&[("a", a)]));
    }
}

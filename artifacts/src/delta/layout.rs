//! Where the tensors of a safetensors file lie: the header read, without a look at the numbers.
//!
//! Only files whose tensors cover everything behind the header, without gap or overlap, have a layout: what is not covered
//! could not be rebuilt. Dtypes are not judged; an unknown one has elements of one byte.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;

use serde::Deserialize;

/// The longest header that is read; what the reference implementation takes too.
pub(super) const MAX_HEADER_BYTES: u64 = 100_000_000;

/// The header of a safetensors file.
#[derive(Debug)]
pub(super) struct Layout {
    /// The bytes in front of the tensors: the length of the JSON as eight bytes, and the JSON.
    pub prefix: Vec<u8>,
    /// In the order they lie in the file.
    pub tensors: Vec<Tensor>,
}

/// One tensor's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tensor {
    pub name: String,
    pub dtype: String,
    pub shape: Vec<u64>,
    /// Of the first byte, from the start of the file.
    pub offset: u64,
    pub bytes: u64,
}

#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

impl Layout {
    /// The layout of an open file of `length` bytes.
    ///
    /// # Errors
    /// What is wrong with the header, in words; or that the file cannot be read.
    pub fn read(file: &File, length: u64) -> Result<Self, String> {
        let mut size = [0; 8];
        file.read_exact_at(&mut size, 0).map_err(|e| format!("its first eight bytes cannot be read: {e}"))?;
        let size = u64::from_le_bytes(size);
        if size > MAX_HEADER_BYTES || size > length.saturating_sub(8) {
            return Err(format!("its header would be {size} bytes long, in a file of {length} bytes"));
        }
        let mut prefix = vec![0; size as usize + 8];
        file.read_exact_at(&mut prefix, 0).map_err(|e| format!("its header cannot be read: {e}"))?;
        Self::parse(prefix, length)
    }

    /// The layout that `prefix` says, for a file of `length` bytes.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(prefix: Vec<u8>, length: u64) -> Result<Self, String> {
        let json = prefix.get(8..).ok_or("its header is shorter than eight bytes")?;
        let header: BTreeMap<String, serde_json::Value> =
            serde_json::from_slice(json).map_err(|e| format!("its header is not JSON: {e}"))?;
        let start = prefix.len() as u64;
        let mut tensors = Vec::with_capacity(header.len());
        for (name, value) in header {
            if name == "__metadata__" {
                continue;
            }
            let Entry { dtype, shape, data_offsets: (from, to) } =
                serde_json::from_value(value).map_err(|e| format!("the entry of its tensor `{name}` is wrong: {e}"))?;
            let bytes = to.checked_sub(from).ok_or_else(|| format!("its tensor `{name}` ends before it starts"))?;
            let offset = start.checked_add(from).ok_or_else(|| format!("its tensor `{name}` lies outside"))?;
            tensors.push(Tensor { name, dtype, shape, offset, bytes });
        }
        tensors.sort_by_key(|t| (t.offset, t.bytes));
        let mut end = start;
        for tensor in &tensors {
            if tensor.offset != end {
                return Err(format!("its tensor `{}` starts at {}, not at {end}", tensor.name, tensor.offset));
            }
            end = end.checked_add(tensor.bytes).ok_or("its tensors are longer than any file")?;
        }
        if end != length {
            return Err(format!("its tensors end at {end}, the file at {length}"));
        }
        Ok(Self { prefix, tensors })
    }
}

impl Tensor {
    /// Bytes of one element, as far as the bytes of a block are to be sorted by their place in the element.
    pub fn element(&self) -> usize {
        let size: usize = match self.dtype.as_str() {
            "F64" | "I64" | "U64" => 8,
            "F32" | "I32" | "U32" => 4,
            "F16" | "BF16" | "I16" | "U16" => 2,
            _ => 1,
        };
        if self.bytes.is_multiple_of(size as u64) { size } else { 1 }
    }

    /// Whether the numbers of `other` stand for the same things, so that a difference to them may be small.
    pub fn is_like(&self, other: &Self) -> bool {
        self.dtype == other.dtype && self.shape == other.shape && self.bytes == other.bytes
    }
}

//! Weights from a GGUF file to a `safetensors` file, a stretch of rows at a time: memory does not grow with the model.
//!
//! Only tensors whose rows change places or become columns are read as a whole (one projection).

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

use super::architecture::{Change, Placed};
use super::error::tensor as tensor_error;
use super::file::GgufFile;
use super::{GgufError, StoredType};
use crate::files::write_atomically;

/// Values read at a time: 16 MB as f32.
const STRETCH: usize = 1 << 22;
const LENGTH_BYTES: usize = 8;

/// Writes `tensors` of `file` to `path`, complete or not at all. `progress` hears how many values are written.
pub(super) fn write(
    path: &Path,
    file: &GgufFile,
    tensors: &[Placed],
    stored: StoredType,
    progress: &mut dyn FnMut(u64),
) -> Result<(), GgufError> {
    let header = header(path, tensors, stored)?;
    let mut failed = None;
    let written = write_atomically(path, |out| {
        let mut writer = Writer { out: BufWriter::with_capacity(1 << 20, out), stored, done: 0, progress };
        writer.out.write_all(&(header.len() as u64).to_le_bytes())?;
        writer.out.write_all(&header)?;
        for tensor in tensors {
            match writer.tensor(file, tensor) {
                Ok(()) => {}
                Err(Stop::Io(source)) => return Err(source),
                Err(Stop::Gguf(error)) => {
                    failed = Some(error);
                    return Err(std::io::Error::other("a tensor could not be converted"));
                }
            }
        }
        writer.out.flush()
    });
    match failed {
        Some(error) => Err(error),
        None => written.map_err(|source| GgufError::Write { path: path.to_owned(), source }),
    }
}

/// The header, padded with blanks to 8 bytes as the format asks.
fn header(path: &Path, tensors: &[Placed], stored: StoredType) -> Result<Vec<u8>, GgufError> {
    let (dtype, width) = match stored {
        StoredType::F32 => (Dtype::F32, 4),
        StoredType::BF16 => (Dtype::BF16, 2),
        StoredType::F16 => (Dtype::F16, 2),
    };
    let mut offset = 0;
    let infos = tensors.iter().map(|tensor| {
        let start = offset;
        offset += tensor.source.values() * width;
        let info = TensorInfo { dtype, shape: tensor.shape(), data_offsets: (start, offset) };
        (tensor.name.clone(), info)
    });
    let format = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let unusable =
        |source: Box<dyn std::error::Error + Send + Sync>| GgufError::Header { path: path.to_owned(), source };
    let metadata = Metadata::new(Some(format), infos.collect()).map_err(|error| unusable(error.into()))?;
    let mut header = serde_json::to_vec(&metadata).map_err(|error| unusable(error.into()))?;
    header.resize(header.len().next_multiple_of(LENGTH_BYTES), b' ');
    Ok(header)
}

/// Either side of the copy may fail.
enum Stop {
    Io(std::io::Error),
    Gguf(GgufError),
}

struct Writer<'a> {
    out: BufWriter<&'a mut File>,
    stored: StoredType,
    done: u64,
    progress: &'a mut dyn FnMut(u64),
}

impl Writer<'_> {
    fn tensor(&mut self, file: &GgufFile, tensor: &Placed) -> Result<(), Stop> {
        let source = &tensor.source;
        let stretch = match tensor.change {
            Change::SplitHalves { .. } | Change::Transpose => source.rows(),
            Change::None | Change::MinusOne => (STRETCH / source.row_values()).clamp(1, source.rows()),
        };
        let mut values = Vec::new();
        let mut first = 0;
        while first < source.rows() {
            let count = stretch.min(source.rows() - first);
            file.read_rows(source, (first, count), &mut values).map_err(Stop::Gguf)?;
            match tensor.change {
                Change::None => {}
                Change::SplitHalves { heads } => values = split_halves(&values, heads, source.row_values()),
                Change::Transpose => values = transpose(&values, source.row_values()),
                Change::MinusOne => values.iter_mut().for_each(|value| *value -= 1.0),
            }
            let bytes =
                encode(&values, self.stored).map_err(|problem| Stop::Gguf(tensor_error(&source.name, problem)))?;
            self.out.write_all(&bytes).map_err(Stop::Io)?;
            first += count;
            self.done += values.len() as u64;
            (self.progress)(self.done);
        }
        Ok(())
    }
}

/// Rows of each head from pairs (0, h), (1, h + 1), ... lying together to the two halves one after the other. The planner has
/// checked that there are `heads` heads of an even number of rows.
fn split_halves(values: &[f32], heads: usize, row: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(values.len());
    for head in values.chunks_exact(values.len() / heads) {
        for half in 0..2 {
            for pair in head.chunks_exact(2 * row) {
                out.extend_from_slice(&pair[half * row..(half + 1) * row]);
            }
        }
    }
    out
}

/// Rows of that width to columns.
fn transpose(values: &[f32], row: usize) -> Vec<f32> {
    (0..row).flat_map(|column| values.iter().skip(column).step_by(row).copied()).collect()
}

/// The values in the stored format, little-endian; an error if one leaves its range.
fn encode(values: &[f32], stored: StoredType) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(values.len() * 4);
    match stored {
        StoredType::F32 => values.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes())),
        StoredType::BF16 => {
            for value in values {
                let rounded = bf16::from_f32(*value);
                check_range(*value, rounded.is_finite(), "bf16")?;
                bytes.extend_from_slice(&rounded.to_le_bytes());
            }
        }
        StoredType::F16 => {
            for value in values {
                let rounded = f16::from_f32(*value);
                check_range(*value, rounded.is_finite(), "f16")?;
                bytes.extend_from_slice(&rounded.to_le_bytes());
            }
        }
    }
    Ok(bytes)
}

fn check_range(value: f32, fits: bool, name: &str) -> Result<(), String> {
    if fits {
        Ok(())
    } else {
        Err(format!("has the value {value}, beyond the range of {name}; store the model as f32"))
    }
}

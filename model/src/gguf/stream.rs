//! Weights from a GGUF file to a `safetensors` file, a stretch of rows at a time: memory does not grow with the model.
//!
//! Only tensors whose rows change places or become columns are read as a whole (one projection).

use std::io::Write;
use std::path::Path;

use half::{bf16, f16};
use safetensors::Dtype;

use super::architecture::{Change, Placed};
use super::error::tensor as tensor_error;
use super::file::GgufFile;
use super::{GgufError, StoredType};
use crate::files::file_error;
use crate::weights::safetensors_file::{Slot, WriteError, write_file};

/// Values read at a time: 16 MB as f32.
const STRETCH: usize = 1 << 22;

/// Writes `tensors` of `file` to `path`, complete or not at all. `progress` hears how many values are written.
pub(super) fn write(
    path: &Path,
    file: &GgufFile,
    tensors: &[Placed],
    stored: StoredType,
    progress: &mut dyn FnMut(u64),
) -> Result<(), GgufError> {
    let dtype = match stored {
        StoredType::F32 => Dtype::F32,
        StoredType::BF16 => Dtype::BF16,
        StoredType::F16 => Dtype::F16,
    };
    let slots = tensors.iter().map(|tensor| Slot { name: tensor.name.clone(), dtype, shape: tensor.shape() });
    let written = write_file(path, slots.collect(), |out| {
        let mut writer = Writer { out, stored, done: 0, progress };
        tensors.iter().try_for_each(|tensor| writer.tensor(file, tensor))
    });
    written.map_err(|error| match error {
        WriteError::Io(source) => file_error("writing", path)(source),
        WriteError::Numbers(error) => error,
    })
}

struct Writer<'a> {
    out: &'a mut dyn Write,
    stored: StoredType,
    done: u64,
    progress: &'a mut dyn FnMut(u64),
}

impl Writer<'_> {
    fn tensor(&mut self, file: &GgufFile, tensor: &Placed) -> Result<(), WriteError<GgufError>> {
        let source = &tensor.source;
        let stretch = match tensor.change {
            Change::SplitHalves { .. } | Change::Transpose => source.rows(),
            Change::None | Change::MinusOne => (STRETCH / source.row_values()).clamp(1, source.rows()),
        };
        let mut values = Vec::new();
        let mut first = 0;
        while first < source.rows() {
            let count = stretch.min(source.rows() - first);
            file.read_rows(source, (first, count), &mut values).map_err(WriteError::Numbers)?;
            match tensor.change {
                Change::None => {}
                Change::SplitHalves { heads } => values = split_halves(&values, heads, source.row_values()),
                Change::Transpose => values = transpose(&values, source.row_values()),
                Change::MinusOne => values.iter_mut().for_each(|value| *value -= 1.0),
            }
            let bytes = encode(&values, self.stored)
                .map_err(|problem| WriteError::Numbers(tensor_error(&source.name, problem)))?;
            self.out.write_all(&bytes)?;
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

//! An opened GGUF file (version 2 or 3, little-endian): its header is checked as a whole, tensors against the file's size and
//! against each other, before any of them is read. Rows are read as f32, some at a time.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::cursor::Cursor;
use super::dequantise::dequantise;
use super::error::tensor as tensor_error;
use super::metadata::Metadata;
use super::{GgmlType, GgufError};
use crate::files::file_error;

/// More tensors than any model has.
const MAX_TENSORS: u64 = 1 << 20;
const MAX_DIMENSIONS: u32 = 4;
const DEFAULT_ALIGNMENT: u64 = 32;

/// A tensor as the header describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TensorInfo {
    pub(super) name: String,
    /// Outermost dimension first, as everywhere but in GGUF.
    pub(super) shape: Vec<usize>,
    pub(super) kind: GgmlType,
    /// Byte of the file at which it begins.
    start: u64,
    bytes: u64,
}

impl TensorInfo {
    /// Values of one row: the innermost dimension.
    pub(super) fn row_values(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }

    /// Number of rows.
    pub(super) fn rows(&self) -> usize {
        self.values() / self.row_values()
    }

    /// Number of values.
    pub(super) fn values(&self) -> usize {
        self.shape.iter().product()
    }
}

/// An opened file.
#[derive(Debug)]
pub(super) struct GgufFile {
    path: PathBuf,
    file: File,
    pub(super) metadata: Metadata,
    /// In the order of the file's header.
    pub(super) tensors: Vec<TensorInfo>,
}

impl GgufFile {
    /// Opens and checks the file at `path`.
    pub(super) fn open(path: &Path) -> Result<Self, GgufError> {
        let read = file_error::<GgufError>("reading", path);
        let file = File::open(path).map_err(&read)?;
        let status = file.metadata().map_err(read)?;
        if !status.is_file() {
            return Err(GgufError::Target { path: path.to_owned(), problem: "is not a file; name a .gguf file" });
        }
        let (metadata, tensors) = read_header(BufReader::with_capacity(1 << 16, &file), status.len())?;
        Ok(Self { path: path.to_owned(), file, metadata, tensors })
    }

    /// Rows `first .. first + count` of a tensor of this file into `out`, which is made exactly as long as they are.
    pub(super) fn read_rows(
        &self,
        tensor: &TensorInfo,
        (first, count): (usize, usize),
        out: &mut Vec<f32>,
    ) -> Result<(), GgufError> {
        let read = file_error::<GgufError>("reading", &self.path);
        let row_bytes = tensor.row_values() / tensor.kind.block_values() * tensor.kind.block_bytes();
        let mut bytes = vec![0; count * row_bytes];
        let mut file = &self.file;
        file.seek(SeekFrom::Start(tensor.start + (first * row_bytes) as u64)).map_err(&read)?;
        file.read_exact(&mut bytes).map_err(read)?;
        out.resize(count * tensor.row_values(), 0.0);
        dequantise(tensor.kind, &bytes, out);
        match out.iter().position(|value| !value.is_finite()) {
            None => Ok(()),
            Some(at) => Err(tensor_error(
                &tensor.name,
                format!("has {} in row {}; the file is damaged", out[at], first + at / tensor.row_values()),
            )),
        }
    }
}

/// Everything before the tensors' bytes.
fn read_header<R: Read>(reader: R, length: u64) -> Result<(Metadata, Vec<TensorInfo>), GgufError> {
    let mut cursor = Cursor::new(reader, length);
    let magic = cursor.array::<4>()?;
    if &magic != b"GGUF" {
        return Err(cursor.error(format!(
            "the file begins with {:?} and not with \"GGUF\": it is no GGUF file",
            String::from_utf8_lossy(&magic)
        )));
    }
    match cursor.u32()? {
        2 | 3 => {}
        version if version.swap_bytes() <= 3 => {
            return Err(cursor.error("the file is big-endian; convert it to little-endian first"));
        }
        version => return Err(cursor.error(format!("the file has version {version}; versions 2 and 3 are read"))),
    }
    cursor.enter("the number of tensors");
    // A tensor takes a name's length, a number of dimensions, one dimension, a type and an offset at least.
    let tensors = cursor.count("tensors", 32, MAX_TENSORS)?;
    cursor.enter("the number of metadata entries");
    let entries = Metadata::read_count(&mut cursor)?;
    let metadata = Metadata::read(&mut cursor, entries)?;
    let alignment = match metadata.size("general.alignment")? {
        None => DEFAULT_ALIGNMENT,
        Some(value) if value.is_power_of_two() => value as u64,
        Some(value) => {
            return Err(super::error::key("general.alignment", format!("is {value}; it must be a power of two")));
        }
    };
    let mut infos = Vec::new();
    for index in 0..tensors {
        infos.push(read_info(&mut cursor, index, alignment)?);
    }
    let data_start = cursor.offset().next_multiple_of(alignment);
    for info in &mut infos {
        place(info, data_start, cursor.length())?;
    }
    check_apart(&infos)?;
    Ok((metadata, infos))
}

/// One entry of the tensor table; `start` still counts from the first tensor's byte.
fn read_info<R: Read>(cursor: &mut Cursor<R>, index: usize, alignment: u64) -> Result<TensorInfo, GgufError> {
    cursor.enter(format!("the name of tensor {index}"));
    let name = cursor.text()?;
    cursor.enter(format!("the description of tensor `{name}`"));
    let dimensions = cursor.u32()?;
    if !(1..=MAX_DIMENSIONS).contains(&dimensions) {
        return Err(tensor_error(&name, format!("has {dimensions} dimensions; 1 to {MAX_DIMENSIONS} are defined")));
    }
    let mut shape = Vec::new();
    for _ in 0..dimensions {
        let size = cursor.u64()?;
        match i32::try_from(size).ok().and_then(|size| usize::try_from(size).ok()) {
            Some(size) if size > 0 => shape.insert(0, size),
            Some(_) | None => {
                return Err(tensor_error(
                    &name,
                    format!("has a dimension of {size}; it must be between 1 and {}", i32::MAX),
                ));
            }
        }
    }
    let kind = GgmlType::from_id(cursor.u32()?).map_err(|problem| tensor_error(&name, problem))?;
    let start = cursor.u64()?;
    if !start.is_multiple_of(alignment) {
        return Err(tensor_error(&name, format!("begins at offset {start}, no multiple of the alignment {alignment}")));
    }
    let bytes = byte_size(&name, &shape, kind)?;
    Ok(TensorInfo { name, shape, kind, start, bytes })
}

fn byte_size(name: &str, shape: &[usize], kind: GgmlType) -> Result<u64, GgufError> {
    let row = shape.last().copied().unwrap_or(1);
    if !row.is_multiple_of(kind.block_values()) {
        let problem = format!("has rows of {row} values; {} needs a multiple of {}", kind.name(), kind.block_values());
        return Err(tensor_error(name, problem));
    }
    let values = shape.iter().try_fold(1u64, |product, size| product.checked_mul(*size as u64));
    values
        .and_then(|values| (values / kind.block_values() as u64).checked_mul(kind.block_bytes() as u64))
        .filter(|bytes| *bytes <= isize::MAX as u64)
        .ok_or_else(|| tensor_error(name, format!("has shape {shape:?}, more bytes than a machine can address")))
}

/// Makes `start` count from the file's first byte and checks that the tensor ends within the file.
fn place(info: &mut TensorInfo, data_start: u64, length: u64) -> Result<(), GgufError> {
    let start = data_start.checked_add(info.start);
    match start.and_then(|start| start.checked_add(info.bytes)).filter(|end| *end <= length).zip(start) {
        Some((_, start)) => info.start = start,
        None => {
            let problem = format!(
                "takes {} bytes from byte {} on, but the file has {length}: it is cut off or damaged",
                info.bytes,
                start.map_or_else(|| "2^64".to_owned(), |start| start.to_string()),
            );
            return Err(tensor_error(&info.name, problem));
        }
    }
    Ok(())
}

/// No two tensors share a byte or a name.
fn check_apart(infos: &[TensorInfo]) -> Result<(), GgufError> {
    let mut by_start: Vec<&TensorInfo> = infos.iter().collect();
    by_start.sort_by_key(|info| info.start);
    for pair in by_start.windows(2) {
        let (a, b) = (pair[0], pair[1]);
        if a.start + a.bytes > b.start {
            let problem = format!(
                "overlaps tensor `{}`, which ends at byte {} and not before {}",
                a.name,
                a.start + a.bytes,
                b.start
            );
            return Err(tensor_error(&b.name, problem));
        }
    }
    let mut names: Vec<&str> = infos.iter().map(|info| info.name.as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(tensor_error(pair[0], "occurs twice")),
        None => Ok(()),
    }
}

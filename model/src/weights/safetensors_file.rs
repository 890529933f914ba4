//! `safetensors` files: the header is checked as a whole before any tensor is read, and tensors are read and written one at
//! a time, so that a model never lies in memory twice.
//!
//! Files are written in name order, with metadata `format: pt` (`transformers` asks for it), and moved into place only when
//! they are complete and on disk.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use tch::{Device, Kind, Tensor};

use super::{Parameters, WeightsError, tensor_error};
use crate::digest::bytes_of;
use crate::files::{file_error, write_atomically};

/// The format's own limit; larger lengths mean that this is no `safetensors` file.
const MAX_HEADER_BYTES: u64 = 100_000_000;
const LENGTH_BYTES: u64 = 8;

/// An opened file whose header is consistent with itself and with the file's size.
#[derive(Debug)]
pub(crate) struct WeightsFile {
    path: PathBuf,
    file: File,
    metadata: Metadata,
    data_start: u64,
}

impl WeightsFile {
    pub(crate) fn open(path: &Path) -> Result<Self, WeightsError> {
        let io = file_error::<WeightsError>("reading", path);
        let mut file = File::open(path).map_err(&io)?;
        let found_bytes = file.metadata().map_err(&io)?.len();
        let length = |expected_bytes| WeightsError::Length { path: path.to_owned(), expected_bytes, found_bytes };
        if found_bytes < LENGTH_BYTES {
            return Err(length(LENGTH_BYTES));
        }
        let mut length_bytes = [0; 8];
        file.read_exact(&mut length_bytes).map_err(&io)?;
        let header_bytes = u64::from_le_bytes(length_bytes);
        let data_start = header_bytes.saturating_add(LENGTH_BYTES);
        if header_bytes > MAX_HEADER_BYTES || data_start > found_bytes {
            return Err(length(data_start));
        }
        let mut header = Vec::new();
        Read::by_ref(&mut file).take(header_bytes).read_to_end(&mut header).map_err(io)?;
        let metadata: Metadata =
            serde_json::from_slice(&header).map_err(|source| WeightsError::Header { path: path.to_owned(), source })?;
        let expected_bytes = data_start + metadata.data_len() as u64;
        if expected_bytes != found_bytes {
            return Err(length(expected_bytes));
        }
        Ok(Self { path: path.to_owned(), file, metadata, data_start })
    }

    /// Shapes by name.
    pub(crate) fn shapes(&self) -> BTreeMap<String, Vec<usize>> {
        self.metadata.tensors().into_iter().map(|(name, info)| (name, info.shape.clone())).collect()
    }

    /// Checks that every tensor has a number format this crate computes with.
    pub(crate) fn check_dtypes(&self) -> Result<(), WeightsError> {
        for (name, info) in self.metadata.tensors() {
            kind_of(&name, info.dtype)?;
        }
        Ok(())
    }

    /// Where the file is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Names of its tensors, in the order of their bytes.
    pub(crate) fn names(&self) -> Vec<String> {
        self.metadata.offset_keys()
    }

    /// Reads every tensor, in the format it is stored in.
    pub(crate) fn read(&mut self, device: Device) -> Result<Parameters, WeightsError> {
        let names = self.names().into_iter();
        names.map(|name| Ok((name.clone(), self.read_tensor(&name, device)?))).collect()
    }

    /// Reads one tensor, in the format it is stored in.
    pub(crate) fn read_tensor(&mut self, name: &str, device: Device) -> Result<Tensor, WeightsError> {
        let io = file_error::<WeightsError>("reading", &self.path);
        let Some(info) = self.metadata.info(name) else {
            return Err(WeightsError::Missing { name: name.to_owned(), shape: Vec::new() });
        };
        let kind = kind_of(name, info.dtype)?;
        let mut bytes = vec![0; info.data_offsets.1 - info.data_offsets.0];
        self.file.seek(SeekFrom::Start(self.data_start + info.data_offsets.0 as u64)).map_err(&io)?;
        self.file.read_exact(&mut bytes).map_err(io)?;
        let shape: Vec<i64> = info.shape.iter().map(|size| *size as i64).collect();
        Tensor::f_from_data_size(&bytes, &shape, kind)
            .and_then(|tensor| tensor.f_to_device(device))
            .map_err(|source| tensor_error("reading", name, source))
    }
}

/// A tensor to be written.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) name: String,
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
}

/// Why a file was not written.
#[derive(Debug)]
pub(crate) enum WriteError<E> {
    /// The system refused.
    Io(std::io::Error),
    /// The numbers could not be had.
    Numbers(E),
}

impl<E> From<std::io::Error> for WriteError<E> {
    fn from(source: std::io::Error) -> Self {
        Self::Io(source)
    }
}

/// Writes `parameters` to `path`, complete or not at all.
pub(crate) fn write(path: &Path, parameters: &Parameters) -> Result<(), WeightsError> {
    let slot = |(name, tensor): (&str, &Tensor)| {
        let shape = tensor.size().into_iter().map(|size| size as usize).collect();
        Ok(Slot { name: name.to_owned(), dtype: dtype_of(name, tensor.kind())?, shape })
    };
    let slots = parameters.iter().map(slot).collect::<Result<Vec<_>, WeightsError>>()?;
    let written = write_file(path, slots, |out| {
        for (name, tensor) in parameters.iter() {
            let bytes =
                bytes_of(tensor).map_err(|source| WriteError::Numbers(tensor_error("writing", name, source)))?;
            out.write_all(&bytes)?;
        }
        Ok(())
    });
    written.map_err(|error| match error {
        WriteError::Io(source) => file_error("writing", path)(source),
        WriteError::Numbers(error) => error,
    })
}

/// Writes a file of these tensors, complete or not at all; `numbers` writes their bytes in the same order.
pub(crate) fn write_file<E>(
    path: &Path,
    slots: Vec<Slot>,
    numbers: impl FnOnce(&mut BufWriter<&mut File>) -> Result<(), WriteError<E>>,
) -> Result<(), WriteError<E>> {
    let header = header(slots)?;
    let mut failed = None;
    let written = write_atomically(path, |file| {
        let mut out = BufWriter::with_capacity(1 << 20, file);
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(&header)?;
        match numbers(&mut out) {
            Ok(()) => out.flush(),
            Err(WriteError::Io(source)) => Err(source),
            Err(WriteError::Numbers(error)) => {
                failed = Some(error);
                Err(std::io::Error::other("the numbers of a tensor could not be had"))
            }
        }
    });
    match failed {
        Some(error) => Err(WriteError::Numbers(error)),
        None => Ok(written?),
    }
}

/// The header, padded with blanks to 8 bytes as the format asks.
fn header(slots: Vec<Slot>) -> std::io::Result<Vec<u8>> {
    let mut offset = 0;
    let infos = slots.into_iter().map(|Slot { name, dtype, shape }| {
        let start = offset;
        offset += shape.iter().product::<usize>() * dtype.bitsize() / 8;
        (name, TensorInfo { dtype, shape, data_offsets: (start, offset) })
    });
    let format = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let metadata = Metadata::new(Some(format), infos.collect()).map_err(std::io::Error::other)?;
    let mut header = serde_json::to_vec(&metadata)?;
    header.resize(header.len().next_multiple_of(LENGTH_BYTES as usize), b' ');
    Ok(header)
}

fn kind_of(name: &str, dtype: Dtype) -> Result<Kind, WeightsError> {
    match dtype {
        Dtype::F32 => Ok(Kind::Float),
        Dtype::BF16 => Ok(Kind::BFloat16),
        Dtype::F16 => Ok(Kind::Half),
        other => Err(WeightsError::Dtype { name: name.to_owned(), dtype: format!("{other:?}") }),
    }
}

fn dtype_of(name: &str, kind: Kind) -> Result<Dtype, WeightsError> {
    match kind {
        Kind::Float => Ok(Dtype::F32),
        Kind::BFloat16 => Ok(Dtype::BF16),
        Kind::Half => Ok(Dtype::F16),
        other => Err(WeightsError::Dtype { name: name.to_owned(), dtype: format!("{other:?}") }),
    }
}

//! Rebuilds a child's file from its base and a delta. Nothing of a delta is believed: lengths are bounded before memory is taken.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use galapagos_domain::ids::Digest;

use super::layout::{Layout, MAX_HEADER_BYTES, Tensor};
use super::planes::{BLOCK_BYTES, Coder};
use super::{DIFFERENCE, ITSELF, MAGIC, Problem, SAME};
use crate::hashing::Hashing;

/// Writes the child's file, of `whole_bytes` bytes, into `out`, and returns the digest of what it wrote. The caller compares it: a
/// delta applied to a base of the same layout but other numbers gives a file of the right form.
///
/// # Errors
/// [`Problem::Delta`] for a delta that is damaged or ends early, [`Problem::Base`] if the base lacks a tensor it names,
/// [`Problem::Layout`] and [`Problem::File`] for a base that cannot be used, [`Problem::Stream`] if `delta` cannot be read or
/// `out` not written.
pub fn decode(delta: &mut impl Read, whole_bytes: u64, base: &Path, out: &mut impl Write) -> Result<Digest, Problem> {
    let prefix = header(delta, whole_bytes)?;
    let layout = Layout::parse(prefix, whole_bytes)
        .map_err(|problem| Problem::delta(format!("the file it holds is none: {problem}")))?;
    let base_path = base;
    let base = File::open(base_path).map_err(Problem::file("open", base_path))?;
    let length = base.metadata().map_err(Problem::file("look at", base_path))?.len();
    let base_layout = Layout::read(&base, length).map_err(Problem::layout(base_path))?;
    let base_tensors: BTreeMap<&str, &Tensor> = base_layout.tensors.iter().map(|t| (t.name.as_str(), t)).collect();

    let mut hashing = Hashing::start().map_err(Problem::check)?;
    out.write_all(&layout.prefix).map_err(Problem::write)?;
    hashing.update(&mut layout.prefix.clone()).map_err(Problem::check)?;
    let mut coder = Coder::new().map_err(Problem::write)?;
    let (mut block, mut other) = (Vec::new(), Vec::new());
    for tensor in &layout.tensors {
        let like = base_tensors.get(tensor.name.as_str()).filter(|other| tensor.is_like(other));
        let mut done = 0;
        while done < tensor.bytes {
            let bytes = (tensor.bytes - done).min(BLOCK_BYTES as u64) as usize;
            block.resize(bytes, 0);
            let kind = kind(delta)?;
            if kind != ITSELF {
                let like = like.ok_or_else(|| no_such_tensor(tensor))?;
                other.resize(bytes, 0);
                base.read_exact_at(&mut other, like.offset + done).map_err(Problem::file("read", base_path))?;
            }
            let from = (kind == DIFFERENCE).then_some(&other[..]);
            if kind == SAME {
                block.copy_from_slice(&other);
            } else {
                coder.decode(delta, from, tensor.element(), &mut block)?;
            }
            out.write_all(&block).map_err(Problem::write)?;
            hashing.update(&mut block).map_err(Problem::check)?;
            done += bytes as u64;
        }
    }
    out.flush().map_err(Problem::write)?;
    match delta.read(&mut [0]).map_err(Problem::read)? {
        0 => hashing.finish().map_err(Problem::check),
        _ => Err(Problem::delta("it goes on after its last tensor")),
    }
}

fn header(delta: &mut impl Read, whole_bytes: u64) -> Result<Vec<u8>, Problem> {
    let mut start = [0; 24];
    delta.read_exact(&mut start).map_err(Problem::read)?;
    let (magic, lengths) = start.split_at(8);
    if magic != MAGIC {
        return Err(Problem::delta(format!("it does not start with {}", MAGIC.escape_ascii())));
    }
    let (lengths, _) = lengths.as_chunks::<8>();
    let [length, packed] = [0, 1].map(|i| lengths.get(i).map_or(0, |bytes| u64::from_le_bytes(*bytes)));
    let most = whole_bytes.min(MAX_HEADER_BYTES + 8);
    if length > most || packed > zstd::zstd_safe::compress_bound(most as usize) as u64 {
        return Err(Problem::delta(format!("its header of {length} bytes, {packed} compressed, is too long")));
    }
    let mut bytes = vec![0; packed as usize];
    delta.read_exact(&mut bytes).map_err(Problem::read)?;
    let prefix = zstd::bulk::decompress(&bytes, length as usize)
        .map_err(|e| Problem::delta(format!("its header cannot be expanded: {e}")))?;
    if prefix.len() as u64 == length {
        Ok(prefix)
    } else {
        Err(Problem::delta(format!("its header expands to {} bytes, not {length}", prefix.len())))
    }
}

fn kind(delta: &mut impl Read) -> Result<u8, Problem> {
    let mut kind = [0];
    delta.read_exact(&mut kind).map_err(Problem::read)?;
    match kind {
        [kind @ (SAME | DIFFERENCE | ITSELF)] => Ok(kind),
        [other] => Err(Problem::delta(format!("{other} is no kind of block"))),
    }
}

fn no_such_tensor(tensor: &Tensor) -> Problem {
    let Tensor { name, dtype, shape, .. } = tensor;
    Problem::Base { problem: format!("it has no tensor `{name}` of dtype {dtype} and shape {shape:?}") }
}

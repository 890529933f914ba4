//! Writes the delta of a file: one pass over both files, a block at a time, giving up once the delta is too long to be of use.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use galapagos_domain::ids::Digest;

use super::layout::{Layout, Tensor};
use super::planes::{BLOCK_BYTES, Coder};
use super::{DIFFERENCE, ITSELF, MAGIC, Problem, SAME};
use crate::hashing::Hashing;

/// A delta that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoded {
    /// Digest of the child's file: of the very bytes that were encoded.
    pub digest: Digest,
    /// Length of the child's file.
    pub whole_bytes: u64,
    /// Length of the delta.
    pub delta_bytes: u64,
}

/// Makes the delta from the file `base` to the file `child` and hands it to `out`, piece by piece; `out` may keep a piece and leave
/// another buffer in its place. `None` if the delta would be longer than `limit` bytes; the pieces are of no use then.
///
/// # Errors
/// [`Problem::Layout`] if one of them is not a safetensors file, [`Problem::File`] if it cannot be read, [`Problem::Stream`]
/// if `out` fails.
pub fn encode(
    child: &Path,
    base: &Path,
    limit: u64,
    mut out: impl FnMut(&mut Vec<u8>) -> std::io::Result<()>,
) -> Result<Option<Encoded>, Problem> {
    let (child_path, base_path) = (child, base);
    let (child, whole_bytes, layout) = open(child_path)?;
    let (base, _, base_layout) = open(base_path)?;
    let base_tensors: BTreeMap<&str, &Tensor> = base_layout.tensors.iter().map(|t| (t.name.as_str(), t)).collect();

    let mut hashing = Hashing::start().map_err(Problem::check)?;
    hashing.update(&mut layout.prefix.clone()).map_err(Problem::check)?;
    let mut coded = header(&layout.prefix).map_err(Problem::write)?;
    let mut coder = Coder::new().map_err(Problem::write)?;
    let (mut block, mut other) = (Vec::new(), Vec::new());
    let mut delta_bytes = 0;
    for tensor in &layout.tensors {
        let like = base_tensors.get(tensor.name.as_str()).filter(|other| tensor.is_like(other));
        let mut done = 0;
        while done < tensor.bytes {
            let bytes = (tensor.bytes - done).min(BLOCK_BYTES as u64) as usize;
            block.resize(bytes, 0);
            child.read_exact_at(&mut block, tensor.offset + done).map_err(Problem::file("read", child_path))?;
            if let Some(like) = like {
                other.resize(bytes, 0);
                base.read_exact_at(&mut other, like.offset + done).map_err(Problem::file("read", base_path))?;
            }
            let coded_block = code(&mut coder, tensor, &block, like.map(|_| &other[..]), &mut coded);
            coded_block.map_err(Problem::write)?;
            delta_bytes += coded.len() as u64;
            if delta_bytes > limit {
                return Ok(None);
            }
            out(&mut coded).map_err(Problem::write)?;
            coded.clear();
            hashing.update(&mut block).map_err(Problem::check)?;
            done += bytes as u64;
        }
    }
    // What is left if no tensor has a byte: the header.
    delta_bytes += coded.len() as u64;
    if delta_bytes > limit {
        return Ok(None);
    }
    out(&mut coded).map_err(Problem::write)?;
    let digest = hashing.finish().map_err(Problem::check)?;
    Ok(Some(Encoded { digest, whole_bytes, delta_bytes }))
}

fn open(path: &Path) -> Result<(File, u64, Layout), Problem> {
    let file = File::open(path).map_err(Problem::file("open", path))?;
    let length = file.metadata().map_err(Problem::file("look at", path))?.len();
    let layout = Layout::read(&file, length).map_err(Problem::layout(path))?;
    Ok((file, length, layout))
}

fn header(prefix: &[u8]) -> std::io::Result<Vec<u8>> {
    let packed = zstd::bulk::compress(prefix, 3)?;
    let mut coded = MAGIC.to_vec();
    coded.extend_from_slice(&(prefix.len() as u64).to_le_bytes());
    coded.extend_from_slice(&(packed.len() as u64).to_le_bytes());
    coded.extend_from_slice(&packed);
    Ok(coded)
}

fn code(
    coder: &mut Coder,
    tensor: &Tensor,
    block: &[u8],
    base: Option<&[u8]>,
    coded: &mut Vec<u8>,
) -> std::io::Result<()> {
    let kind = match base {
        Some(base) if base == block => SAME,
        Some(_) => DIFFERENCE,
        None => ITSELF,
    };
    coded.push(kind);
    if kind == SAME { Ok(()) } else { coder.encode(block, base, tensor.element(), coded) }
}

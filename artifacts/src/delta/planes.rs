//! One block of numbers as few bytes: the difference to another block, its bytes sorted by their place in the number, each
//! such plane compressed by zstd. Exact in both directions for all bit patterns.
//!
//! The difference is that of the numbers' bit patterns as integers, wrapping, with its sign in the lowest bit. Floats of one
//! sign are ordered as their bit patterns, so a small update is a small integer of either sign and its upper planes are zero;
//! an exclusive or sets upper bits at every carry.

use super::Problem;

/// Bytes of a tensor that are coded together; divisible by every element size.
pub(super) const BLOCK_BYTES: usize = 4 << 20;

/// Of a plane that does not shrink, only this much is tried before it is stored as it is.
const SAMPLE_BYTES: usize = 32 << 10;
/// Stored as it is: the top bit of a plane's length.
const PLAIN: u32 = 1 << 31;
const LEVEL: i32 = 1;

/// Codes blocks; keeps its buffers.
pub(super) struct Coder {
    planes: Vec<u8>,
    packed: Vec<u8>,
    squeeze: zstd::bulk::Compressor<'static>,
    expand: zstd::bulk::Decompressor<'static>,
}

impl Coder {
    /// A coder with empty buffers.
    ///
    /// # Errors
    /// If zstd cannot allocate its state.
    pub fn new() -> std::io::Result<Self> {
        let (squeeze, expand) = (zstd::bulk::Compressor::new(LEVEL)?, zstd::bulk::Decompressor::new()?);
        Ok(Self { planes: Vec::new(), packed: Vec::new(), squeeze, expand })
    }

    /// Appends `block`, of elements of `element` bytes, to `out`: as its difference to `base`, or alone.
    ///
    /// # Errors
    /// If zstd fails.
    pub fn encode(
        &mut self,
        block: &[u8],
        base: Option<&[u8]>,
        element: usize,
        out: &mut Vec<u8>,
    ) -> std::io::Result<()> {
        self.planes.resize(block.len(), 0);
        split(block, base, element, &mut self.planes);
        if block.is_empty() {
            return Ok(());
        }
        for plane in self.planes.chunks_exact(block.len() / element) {
            self.packed.resize(zstd::zstd_safe::compress_bound(plane.len()), 0);
            let sample = &plane[..plane.len().min(SAMPLE_BYTES)];
            let tried = self.squeeze.compress_to_buffer(sample, &mut self.packed[..])?;
            let worth_it = tried + tried / 64 < sample.len();
            let packed = match worth_it {
                true if sample.len() < plane.len() => self.squeeze.compress_to_buffer(plane, &mut self.packed[..])?,
                true => tried,
                false => plane.len(),
            };
            if packed < plane.len() {
                out.extend_from_slice(&(packed as u32).to_le_bytes());
                out.extend_from_slice(&self.packed[..packed]);
            } else {
                out.extend_from_slice(&(plane.len() as u32 | PLAIN).to_le_bytes());
                out.extend_from_slice(plane);
            }
        }
        Ok(())
    }

    /// Reads what [`Self::encode`] wrote for a block of `block.len()` bytes from `coded`, and writes the block.
    ///
    /// # Errors
    /// [`Problem::Delta`] for anything that is not such a block, [`Problem::Read`] if `coded` cannot be read.
    pub fn decode(
        &mut self,
        coded: &mut impl std::io::Read,
        base: Option<&[u8]>,
        element: usize,
        block: &mut [u8],
    ) -> Result<(), Problem> {
        if block.is_empty() {
            return Ok(());
        }
        self.planes.resize(block.len(), 0);
        let Self { planes, packed, expand, .. } = self;
        for plane in planes.chunks_exact_mut(block.len() / element) {
            let mut length = [0; 4];
            coded.read_exact(&mut length).map_err(Problem::read)?;
            let length = u32::from_le_bytes(length);
            let bytes = (length & !PLAIN) as usize;
            if bytes > plane.len() {
                return Err(Problem::delta(format!("a plane of {} bytes takes {bytes}", plane.len())));
            }
            if length & PLAIN != 0 {
                if bytes != plane.len() {
                    return Err(Problem::delta(format!("a plane has {bytes} bytes, not {}", plane.len())));
                }
                coded.read_exact(plane).map_err(Problem::read)?;
                continue;
            }
            packed.resize(bytes, 0);
            coded.read_exact(packed).map_err(Problem::read)?;
            let written = expand
                .decompress_to_buffer(&packed[..], plane)
                .map_err(|e| Problem::delta(format!("a plane cannot be expanded: {e}")))?;
            if written != plane.len() {
                return Err(Problem::delta(format!("a plane expands to {written} bytes, not {}", plane.len())));
            }
        }
        join(planes, base, element, block);
        Ok(())
    }
}

/// Writes the planes of `block - base`; the lengths are equal and divisible by `element`.
fn split(block: &[u8], base: Option<&[u8]>, element: usize, planes: &mut [u8]) {
    match (element, base) {
        (2, Some(base)) => split_with(block, base, planes, forward16),
        (4, Some(base)) => split_with(block, base, planes, forward32),
        (8, Some(base)) => split_with(block, base, planes, forward64),
        (_, Some(base)) => split_with(block, base, planes, forward8),
        (2, None) => split_with(block, block, planes, |number: [u8; 2], _| number),
        (4, None) => split_with(block, block, planes, |number: [u8; 4], _| number),
        (8, None) => split_with(block, block, planes, |number: [u8; 8], _| number),
        (_, None) => planes.copy_from_slice(block),
    }
}

fn join(planes: &[u8], base: Option<&[u8]>, element: usize, block: &mut [u8]) {
    match (element, base) {
        (2, Some(base)) => join_with(planes, base, block, backward16),
        (4, Some(base)) => join_with(planes, base, block, backward32),
        (8, Some(base)) => join_with(planes, base, block, backward64),
        (_, Some(base)) => join_with(planes, base, block, backward8),
        (2, None) => join_alone::<2>(planes, block),
        (4, None) => join_alone::<4>(planes, block),
        (8, None) => join_alone::<8>(planes, block),
        (_, None) => block.copy_from_slice(planes),
    }
}

macro_rules! differences {
    ($($forward:ident, $backward:ident, $unsigned:ty, $signed:ty, $bytes:literal;)*) => {$(
        fn $forward(number: [u8; $bytes], base: [u8; $bytes]) -> [u8; $bytes] {
            let difference = <$unsigned>::from_le_bytes(number).wrapping_sub(<$unsigned>::from_le_bytes(base));
            let sign = (difference as $signed >> (<$unsigned>::BITS - 1)) as $unsigned;
            ((difference << 1) ^ sign).to_le_bytes()
        }

        fn $backward(folded: [u8; $bytes], base: [u8; $bytes]) -> [u8; $bytes] {
            let folded = <$unsigned>::from_le_bytes(folded);
            let difference = (folded >> 1) ^ (folded & 1).wrapping_neg();
            <$unsigned>::from_le_bytes(base).wrapping_add(difference).to_le_bytes()
        }
    )*};
}

differences! {
    forward8, backward8, u8, i8, 1;
    forward16, backward16, u16, i16, 2;
    forward32, backward32, u32, i32, 4;
    forward64, backward64, u64, i64, 8;
}

/// Numbers in a row that are turned into planes together: few enough to stay in the first-level cache.
const ROW: usize = 1024;

fn split_with<const N: usize>(
    block: &[u8],
    base: &[u8],
    planes: &mut [u8],
    fold: impl Fn([u8; N], [u8; N]) -> [u8; N],
) {
    let count = block.len() / N;
    let mut folded = [[0; N]; ROW];
    let rows = block.as_chunks::<N>().0.chunks(ROW).zip(base.as_chunks::<N>().0.chunks(ROW));
    for (row, (block, base)) in rows.enumerate() {
        for ((folded, number), base) in folded.iter_mut().zip(block).zip(base) {
            *folded = fold(*number, *base);
        }
        for (place, plane) in planes.chunks_exact_mut(count).enumerate() {
            let from = row * ROW;
            for (byte, folded) in plane[from..from + block.len()].iter_mut().zip(&folded) {
                *byte = folded[place];
            }
        }
    }
}

fn join_with<const N: usize>(
    planes: &[u8],
    base: &[u8],
    block: &mut [u8],
    unfold: impl Fn([u8; N], [u8; N]) -> [u8; N],
) {
    let count = block.len() / N;
    let mut folded = [[0; N]; ROW];
    let rows = block.as_chunks_mut::<N>().0.chunks_mut(ROW).zip(base.as_chunks::<N>().0.chunks(ROW));
    for (row, (block, base)) in rows.enumerate() {
        for (place, plane) in planes.chunks_exact(count).enumerate() {
            let from = row * ROW;
            for (folded, byte) in folded.iter_mut().zip(&plane[from..from + block.len()]) {
                folded[place] = *byte;
            }
        }
        for ((number, folded), base) in block.iter_mut().zip(&folded).zip(base) {
            *number = unfold(*folded, *base);
        }
    }
}

fn join_alone<const N: usize>(planes: &[u8], block: &mut [u8]) {
    let count = block.len() / N;
    for (place, plane) in planes.chunks_exact(count).enumerate() {
        for (number, byte) in block.as_chunks_mut::<N>().0.iter_mut().zip(plane) {
            number[place] = *byte;
        }
    }
}

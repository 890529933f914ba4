//! The arithmetic of low-rank updates, in the order of sums that defines their results.
//!
//! Both matrices are packed in cells as a product's weights are (see `matrix::cells`): one 32-bit float, or two bfloat16 numbers that
//! a sum meets one after the other. Each output of a row is [`CHAINS`] sums that take every fourth number, or every second, added
//! at the end: an order given by the adapter's shape, however many rows share the reading of its weights.

use super::{LowRank, Part};
use crate::Format;
use crate::loops::{Kernel, fma};
use crate::matrix::cells;
use crate::memory::{Large, fetch_early};

/// Outputs that lie side by side, and in steps of which ranks are padded.
pub(super) const LANES: usize = 16;
/// Rows that share a reading of the weights.
const TILE_ROWS: usize = 4;
/// Cells of a block between their fetch from memory and their use.
const AHEAD: usize = 48;
/// Sums of one number of `A x`.
const CHAINS: usize = 4;
/// Sums of one number of `B small`.
pub(super) const UP_CHAINS: usize = 2;

/// A matrix [outputs, inputs] in blocks of [`LANES`] outputs: [block][cell][lane].
#[derive(Debug)]
pub(super) struct Blocks {
    cells: Large<[u32; LANES]>,
    /// Cells of one output: those of its inputs, filled up with zeros to a whole number of turns of all chains.
    steps: usize,
    format: Format,
}

impl Blocks {
    /// Packs rows of `inputs` numbers; a row's sums will run in `chains` chains.
    fn pack(rows: &[&[f32]], inputs: usize, chains: usize, format: Format) -> Self {
        let padded = inputs.next_multiple_of(chains);
        let steps = cells::steps(format, padded);
        let mut blocks: Large<[u32; LANES]> = Large::zeros(rows.len().div_ceil(LANES) * steps);
        let (mut full, mut row_cells) = (vec![0.0; padded], vec![0; steps]);
        for (output, row) in rows.iter().enumerate() {
            full[..inputs].copy_from_slice(row);
            cells::write_cells(format, &full, &mut row_cells);
            for (block, cell) in blocks[output / LANES * steps..].iter_mut().zip(&row_cells) {
                block[output % LANES] = *cell;
            }
        }
        Self { cells: blocks, steps, format }
    }

    /// A, with rows of parts below each other.
    pub(super) fn down(rows: &[&[f32]], inputs: usize, format: Format) -> Self {
        Self::pack(rows, inputs, CHAINS, format)
    }

    /// B [outputs, rank].
    pub(super) fn up(up: &[f32], rank: usize, format: Format) -> Self {
        Self::pack(&up.chunks_exact(rank).collect::<Vec<_>>(), rank, UP_CHAINS, format)
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(&self.cells[..])
    }

    fn block(&self, index: usize) -> &[[u32; LANES]] {
        &self.cells[index * self.steps..][..self.steps]
    }

    fn count(&self) -> usize {
        self.cells.len() / self.steps
    }
}

/// `out[row] += scale * B (A x[row])` for all rows of `x`.
pub(super) struct AddRows<'a> {
    pub(super) update: &'a LowRank,
    pub(super) x: &'a [f32],
    /// Of `out`.
    pub(super) width: usize,
    pub(super) out: &'a mut [f32],
}

impl Kernel for AddRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        match self.update.down.format {
            Format::F32 => self.tiles::<FMA, false>(),
            Format::Bf16 => self.tiles::<FMA, true>(),
        }
    }
}

impl AddRows<'_> {
    #[inline(always)]
    fn tiles<const FMA: bool, const BF16: bool>(self) {
        let Self { update, x, width, out } = self;
        let padded = update.inputs.next_multiple_of(CHAINS);
        // With zeros behind each row, as the weights have them.
        let mut wide = vec![0.0; TILE_ROWS * padded];
        let mut small = vec![0.0; TILE_ROWS * update.down.count() * LANES];
        for (x, out) in x.chunks(TILE_ROWS * update.inputs).zip(out.chunks_mut(TILE_ROWS * width)) {
            for (wide, x) in wide.chunks_exact_mut(padded).zip(x.chunks_exact(update.inputs)) {
                wide[..update.inputs].copy_from_slice(x);
            }
            let tile = Tile { update, x: &wide, width };
            match x.len() / update.inputs {
                1 => tile.add::<1, FMA, BF16>(&mut small, out),
                2 => tile.add::<2, FMA, BF16>(&mut small, out),
                3 => tile.add::<3, FMA, BF16>(&mut small, out),
                _ => tile.add::<TILE_ROWS, FMA, BF16>(&mut small, out),
            }
        }
    }
}

/// Some rows and what is added to them.
#[derive(Clone, Copy)]
struct Tile<'a> {
    update: &'a LowRank,
    /// [rows, inputs rounded up to whole turns].
    x: &'a [f32],
    /// Of the output.
    width: usize,
}

impl Tile<'_> {
    #[inline(always)]
    fn add<const ROWS: usize, const FMA: bool, const BF16: bool>(self, small: &mut [f32], out: &mut [f32]) {
        self.shrink::<ROWS, FMA, BF16>(small);
        for part in &self.update.parts {
            self.expand::<ROWS, FMA, BF16>(part, small, out);
        }
    }

    /// `small[row] = scale * A x[row]`, [rows, blocks of lanes], with the scale of each row of A.
    #[inline(always)]
    fn shrink<const ROWS: usize, const FMA: bool, const BF16: bool>(self, small: &mut [f32]) {
        let down = &self.update.down;
        let padded = self.x.len() / TILE_ROWS;
        let rows: [&[[f32; CHAINS]]; ROWS] =
            std::array::from_fn(|row| self.x[row * padded..][..padded].as_chunks::<CHAINS>().0);
        let stride = down.count() * LANES;
        for block in 0..down.count() {
            let weights = down.block(block);
            let mut sums = [[[0.0f32; LANES]; CHAINS]; ROWS];
            for turn in 0..padded / CHAINS {
                let weights: [[f32; LANES]; CHAINS] = turn_of::<CHAINS, BF16>(weights, turn);
                for (sums, x) in sums.iter_mut().zip(&rows) {
                    for ((sums, weights), x) in sums.iter_mut().zip(&weights).zip(x[turn]) {
                        add_scaled::<FMA>(sums, weights, x);
                    }
                }
            }
            for (row, [a, b, c, d]) in sums.iter().enumerate() {
                let small = small[row * stride + block * LANES..].first_chunk_mut::<LANES>();
                let scales = self.update.scales[block * LANES..].first_chunk::<LANES>();
                if let (Some(small), Some(scales)) = (small, scales) {
                    for lane in 0..LANES {
                        small[lane] = scales[lane] * ((a[lane] + c[lane]) + (b[lane] + d[lane]));
                    }
                }
            }
        }
    }

    /// `out[row][part's columns] += B small[row]`.
    #[inline(always)]
    fn expand<const ROWS: usize, const FMA: bool, const BF16: bool>(self, part: &Part, small: &[f32], out: &mut [f32]) {
        let stride = self.update.down.count() * LANES;
        let rows: [&[[f32; UP_CHAINS]]; ROWS] =
            std::array::from_fn(|row| small[row * stride + part.first..][..part.padded_rank()].as_chunks().0);
        for block in 0..part.up.count() {
            let weights = part.up.block(block);
            let mut sums = [[[0.0f32; LANES]; UP_CHAINS]; ROWS];
            for turn in 0..part.padded_rank() / UP_CHAINS {
                let weights: [[f32; LANES]; UP_CHAINS] = turn_of::<UP_CHAINS, BF16>(weights, turn);
                for (sums, small) in sums.iter_mut().zip(&rows) {
                    for ((sums, weights), small) in sums.iter_mut().zip(&weights).zip(small[turn]) {
                        add_scaled::<FMA>(sums, weights, small);
                    }
                }
            }
            let count = LANES.min(part.outputs - block * LANES);
            for (row, [even, odd]) in sums.iter().enumerate() {
                let mut total = [0.0; LANES];
                for lane in 0..LANES {
                    total[lane] = even[lane] + odd[lane];
                }
                add_to(&mut out[row * self.width + part.column + block * LANES..][..count], total);
            }
        }
    }
}

/// The numbers that all chains take in one turn.
#[inline(always)]
fn turn_of<const N: usize, const BF16: bool>(cells: &[[u32; LANES]], turn: usize) -> [[f32; LANES]; N] {
    let mut numbers = [[0.0; LANES]; N];
    if BF16 {
        for (index, cells) in cells[turn * N / 2..][..N / 2].iter().enumerate() {
            fetch_early(std::ptr::from_ref(cells).wrapping_add(AHEAD));
            for lane in 0..LANES {
                numbers[2 * index][lane] = f32::from_bits(cells[lane] << 16);
                numbers[2 * index + 1][lane] = f32::from_bits(cells[lane] & 0xffff_0000);
            }
        }
    } else {
        for (numbers, cells) in numbers.iter_mut().zip(&cells[turn * N..][..N]) {
            fetch_early(std::ptr::from_ref(cells).wrapping_add(AHEAD));
            for lane in 0..LANES {
                numbers[lane] = f32::from_bits(cells[lane]);
            }
        }
    }
    numbers
}

/// `out += total`, whose last lanes may have no place.
#[inline(always)]
fn add_to(out: &mut [f32], total: [f32; LANES]) {
    match out.first_chunk_mut::<LANES>() {
        Some(out) => {
            for lane in 0..LANES {
                out[lane] += total[lane];
            }
        }
        None => out.iter_mut().zip(total).for_each(|(out, total)| *out += total),
    }
}

#[inline(always)]
fn add_scaled<const FMA: bool>(sums: &mut [f32; LANES], weights: &[f32; LANES], x: f32) {
    for lane in 0..LANES {
        sums[lane] = fma::<FMA>(weights[lane], x, sums[lane]);
    }
}

//! How a product is divided: into row groups whose inputs stay in the cache, and these into runs of panels.
//!
//! The division depends on shapes and the number of threads, and no result depends on the division: each output is computed
//! whole, by one tile.

use std::cell::RefCell;
use std::ops::Range;

use super::cells;
use super::micro::{Inputs, LANES, MOST_ROWS, Panel, Tile, multiply_tile};
use super::{Epilogue, HALF, PackedMatrix};
use crate::memory::fetch_early;
use crate::rows::activation::gate_line;
use crate::slices::{SharedSlice, share};
use crate::{Format, Pool};

/// Inputs of a row group, in cells, stay in a core's second-level cache next to a panel.
const GROUP_CELLS: usize = 96 * 1024;
/// A group has at least this many rows, so that reading the weights for each group costs less than the arithmetic.
const LEAST_GROUP_ROWS: usize = 4 * MOST_ROWS;
/// Steps x rows that are worth a part of their own: a microsecond or two.
const LEAST_PART: usize = 512;
/// Parts for each thread, so that threads end together when one of them is held up.
const PARTS_PER_THREAD: usize = 8;
/// Numbers whose conversion to cells is worth a fork.
const LEAST_PARALLEL_NUMBERS: usize = 64 * 1024;

/// One product of several with the same inputs.
#[derive(Debug)]
pub struct Product<'a> {
    /// The weight.
    pub matrix: &'a PackedMatrix,
    /// What happens to the output.
    pub epilogue: Epilogue,
    /// [rows, outputs], or [rows, outputs / 2] with [`Epilogue::Gate`].
    pub out: &'a mut [f32],
}

/// Several products with the same `x` [rows, inputs], in one fork: the projections of an attention block.
///
/// # Panics
/// If shapes do not fit, the weights differ in format, or [`Epilogue::Gate`] is asked of a weight that is not gated.
pub fn multiply_all(pool: &Pool, x: &[f32], products: &mut [Product<'_>]) {
    let Some(first) = products.first() else { return };
    let (width, format) = (first.matrix.inputs, first.matrix.format);
    let rows = x.len() / width;
    assert_eq!(x.len(), rows * width, "inputs are [rows, {width}]");
    let outputs: Vec<Output<'_>> = products.iter_mut().map(|product| Output::new(product, rows)).collect();
    for Output { matrix, .. } in &outputs {
        assert!(matrix.inputs == width && matrix.format == format, "products of one call share their inputs");
    }
    if rows > 0 {
        with_cells(pool, format, x, width, |inputs| run(pool, inputs, &outputs));
    }
}

/// Runs `body` with the cells of `x` [rows, width], in memory that this thread keeps for its next call.
fn with_cells(pool: &Pool, format: Format, x: &[f32], width: usize, body: impl FnOnce(Inputs<'_>)) {
    thread_local! {
        static CELLS: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
    }
    let rows = x.len() / width;
    let steps = cells::steps(format, width);
    // An odd number of cache lines, so that the rows of a tile do not compete for the same set of the cache.
    let stride = (steps.div_ceil(16) | 1) * 16;
    let mut memory = CELLS.take();
    if memory.len() < rows * stride {
        memory.resize(rows * stride, 0);
    }
    let parts = if x.len() < LEAST_PARALLEL_NUMBERS { 1 } else { rows.min(pool.threads() * PARTS_PER_THREAD) };
    let out = SharedSlice::new(&mut memory[..rows * stride]);
    pool.run(parts, &|part| {
        for row in share(rows, parts, part) {
            // SAFETY: each row is in one part only.
            let cells = unsafe { out.range(row * stride, steps) };
            cells::write_cells(format, &x[row * width..][..width], cells);
        }
    });
    body(Inputs { cells: &memory[..rows * stride], stride, rows });
    CELLS.set(memory);
}

/// Where one product goes.
struct Output<'a> {
    matrix: &'a PackedMatrix,
    epilogue: Epilogue,
    out: SharedSlice<'a, f32>,
    width: usize,
}

impl<'a> Output<'a> {
    fn new(product: &'a mut Product<'_>, rows: usize) -> Self {
        let (matrix, epilogue) = (product.matrix, product.epilogue);
        let width = match epilogue {
            Epilogue::Store | Epilogue::Add => matrix.outputs,
            Epilogue::Gate(_) => {
                assert!(matrix.is_gated, "a product can be gated by a weight packed so");
                matrix.outputs / 2
            }
        };
        assert_eq!(product.out.len(), rows * width, "outputs are [{rows} rows, {width}]");
        Self { matrix, epilogue, out: SharedSlice::new(product.out), width }
    }

    /// Computes rows `rows` of the panels `panels`.
    fn compute(&self, inputs: Inputs<'_>, rows: Range<usize>, panels: Range<usize>) {
        let mut tile: Tile = [[0.0; LANES]; MOST_ROWS];
        let blocks = rows.len().div_ceil(MOST_ROWS);
        for panel in panels {
            for block in 0..blocks {
                let weight = Panel::new(self.matrix.panel(panel), block, blocks);
                let block = share(rows.len(), blocks, block);
                let start = rows.start + block.start;
                self.fetch_outputs(panel, start..start + block.len());
                multiply_tile(self.matrix.isa, self.matrix.format, weight, inputs.part(start, block.len()), &mut tile);
                for (row, sums) in tile.iter_mut().enumerate().take(block.len()) {
                    self.finish(panel, start + row, sums);
                }
            }
        }
    }

    /// Has the outputs of a tile at hand when it is computed: rows of a vocabulary lie far from each other.
    fn fetch_outputs(&self, panel: usize, rows: Range<usize>) {
        for row in rows {
            for half in 0..2 {
                fetch_early(self.out.place(row * self.width + self.matrix.half(panel, half).0 % self.width));
            }
        }
    }

    /// Writes the sums of one row and panel to the output.
    fn finish(&self, panel: usize, row: usize, sums: &mut [f32; LANES]) {
        let halves = [self.matrix.half(panel, 0), self.matrix.half(panel, 1)];
        if let Some(bias) = &self.matrix.bias {
            for (sums, (start, count)) in sums.chunks_exact_mut(HALF).zip(halves) {
                sums.iter_mut().zip(&bias[start..start + count]).for_each(|(sum, bias)| *sum += bias);
            }
        }
        if let Epilogue::Gate(activation) = self.epilogue {
            let (gate, up) = sums.split_at(HALF);
            // SAFETY: the row's outputs of this panel are computed by one tile.
            let out = unsafe { self.out.range(row * self.width + halves[0].0, halves[0].1) };
            return gate_line(self.matrix.isa, activation, (gate, up), out);
        }
        for (sums, (start, count)) in sums.chunks_exact(HALF).zip(halves) {
            // SAFETY: as above.
            let out = unsafe { self.out.range(row * self.width + start, count) };
            if self.epilogue == Epilogue::Add {
                out.iter_mut().zip(sums).for_each(|(out, sum)| *out += sum);
            } else {
                out.copy_from_slice(&sums[..count]);
            }
        }
    }
}

/// Divides the products into parts and computes them.
fn run(pool: &Pool, inputs: Inputs<'_>, outputs: &[Output<'_>]) {
    let group_rows = (GROUP_CELLS / inputs.stride).max(LEAST_GROUP_ROWS);
    let groups = inputs.rows.div_ceil(group_rows);
    let chunks: Vec<usize> = outputs
        .iter()
        .map(|output| {
            let panels = output.matrix.panels();
            let work = panels * output.matrix.steps * inputs.rows.div_ceil(groups);
            let parts = (work / LEAST_PART).clamp(1, pool.threads() * PARTS_PER_THREAD);
            // One panel each rather than one for some and two for others.
            if 2 * parts > panels && parts > 1 { panels } else { parts }
        })
        .collect();
    let per_group: usize = chunks.iter().sum();
    pool.run(groups * per_group, &|part| {
        let rows = share(inputs.rows, groups, part / per_group);
        let mut chunk = part % per_group;
        for (output, chunks) in outputs.iter().zip(&chunks) {
            if chunk < *chunks {
                return output.compute(inputs, rows, share(output.matrix.panels(), *chunks, chunk));
            }
            chunk -= chunks;
        }
    });
}

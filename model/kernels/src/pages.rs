//! Keys and values in pages of a fixed number of tokens, for all layers of a model.
//!
//! A page holds [`PAGE_TOKENS`] consecutive positions starting at a multiple of that number, for every layer. Which
//! sequences a page belongs to is the caller's business: this is storage, laid out for the attention kernel. Numbers stand in
//! *cells* of 32 bits, a float or a pair of bfloat16. The page has, for each layer and each head, one run of memory:
//!
//! - keys, cells `[head_dim / 2 pairs (f32: head_dim)][token]`: sixteen tokens' scores take one broadcast pair of the query;
//! - values, cells [token / 2 (f32: token)][dimension, padded to 16]: a broadcast pair of weights meets sixteen dimensions.
//!
//! Slots that were never written hold anything; the kernel never lets them into a result.

use crate::matrix::cells::{number, round_to_bf16, steps};
use crate::memory::{Arena, Large};
use crate::{Format, Pool};

/// Positions of one page.
pub const PAGE_TOKENS: usize = 32;

/// Cells of a cache line.
const LINE: usize = 16;

/// Rows from which writing is shared among threads.
const PARALLEL_ROWS: usize = 32;

/// Index of a page in its store.
pub type PageId = u32;

/// The format keys and values are held in.
pub use crate::Format as KvFormat;

/// Shape of the cache of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KvGeometry {
    /// Layers of the model.
    pub layers: usize,
    /// Key and value heads of each layer.
    pub heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Number format.
    pub format: KvFormat,
}

impl KvGeometry {
    /// Bytes of one token: 2 (key and value) x layers x heads x `head_dim` x bytes of a number. Where `head_dim` is not a
    /// multiple of 16, values are padded to one.
    #[must_use]
    pub fn bytes_per_token(&self) -> usize {
        self.bytes_per_page() / PAGE_TOKENS
    }

    /// Bytes of one page.
    #[must_use]
    pub fn bytes_per_page(&self) -> usize {
        self.page_cells() * size_of::<u32>()
    }

    /// `head_dim` rounded up to whole vectors.
    pub(crate) fn padded_dim(&self) -> usize {
        self.head_dim.next_multiple_of(LINE)
    }

    /// Cells of a query or key.
    pub(crate) fn key_steps(&self) -> usize {
        steps(self.format, self.head_dim)
    }

    /// Tokens whose values share a cell.
    fn tokens_per_cell(&self) -> usize {
        match self.format {
            Format::F32 => 1,
            Format::Bf16 => 2,
        }
    }

    fn key_cells(&self) -> usize {
        self.key_steps() * PAGE_TOKENS
    }

    fn head_cells(&self) -> usize {
        self.key_cells() + PAGE_TOKENS / self.tokens_per_cell() * self.padded_dim()
    }

    fn page_cells(&self) -> usize {
        self.layers * self.heads * self.head_cells()
    }

    /// Cell of the first key of a head in a page.
    fn head_start(&self, layer: usize, head: usize) -> usize {
        assert!(layer < self.layers && head < self.heads, "layer {layer}, head {head} of {self:?}");
        (layer * self.heads + head) * self.head_cells()
    }
}

/// Where one token's keys and values stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KvSlot {
    /// The page.
    pub page: PageId,
    /// The place in it, below [`PAGE_TOKENS`]: the token's position modulo that.
    pub slot: u32,
}

/// Storage of pages; grows page by page up to what the caller asks for. A page that is no longer needed is reused by the
/// caller under its id.
#[derive(Debug)]
pub struct KvPages {
    geometry: KvGeometry,
    /// The cells of each page, which live as long as the store does: apart from weights, which come and go.
    pages: Vec<Large<u32>>,
    arena: Arena,
}

impl KvPages {
    /// A store without pages.
    #[must_use]
    pub fn new(geometry: KvGeometry) -> Self {
        Self { geometry, pages: Vec::new(), arena: Arena::default() }
    }

    /// The shape.
    #[must_use]
    pub fn geometry(&self) -> KvGeometry {
        self.geometry
    }

    /// Pages there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pages.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    /// Makes page [`KvPages::len`] and gives its id. Memory is taken from the system as it is first written.
    pub fn add(&mut self) -> PageId {
        self.pages.push(self.arena.zeros(self.geometry.page_cells()));
        self.pages.len() as PageId - 1
    }

    /// Copies the first `tokens` positions of page `from` into page `to`, for all layers (copy on write of a page that is
    /// partly filled). Later positions of `to` become unspecified.
    ///
    /// # Panics
    /// If there are no such two different pages, or `tokens` is above [`PAGE_TOKENS`].
    pub fn copy(&mut self, from: PageId, to: PageId, tokens: usize) {
        assert!(tokens <= PAGE_TOKENS, "{tokens} tokens of a page of {PAGE_TOKENS}");
        let geometry = self.geometry;
        #[expect(clippy::expect_used, reason = "ids are the caller's: a wrong one is a defect, as an index is")]
        let [from, to] =
            self.pages.get_disjoint_mut([from as usize, to as usize]).expect("two different pages of this store");
        let heads = from.chunks_exact(geometry.head_cells()).zip(to.chunks_exact_mut(geometry.head_cells()));
        for (from, to) in heads.take(geometry.layers * geometry.heads) {
            let (from, from_values) = from.split_at(geometry.key_cells());
            let (to, to_values) = to.split_at_mut(geometry.key_cells());
            for (from, to) in from.chunks_exact(PAGE_TOKENS).zip(to.chunks_exact_mut(PAGE_TOKENS)) {
                to[..tokens].copy_from_slice(&from[..tokens]);
            }
            let values = tokens.div_ceil(geometry.tokens_per_cell()) * geometry.padded_dim();
            to_values[..values].copy_from_slice(&from_values[..values]);
        }
    }

    /// Writes the key and value, each [heads, `head_dim`], of one token of `layer`.
    ///
    /// # Panics
    /// If there is no such layer, page or slot, or a shape is wrong.
    pub fn write(&mut self, layer: usize, at: KvSlot, key: &[f32], value: &[f32]) {
        self.write_rows(&Pool::new(1), layer, &KvRows { slots: &[at], key, value });
    }

    /// Writes keys and values of many tokens of `layer`.
    ///
    /// # Panics
    /// If there is no such layer, page or slot, or a shape is wrong.
    pub fn write_rows(&mut self, pool: &Pool, layer: usize, rows: &KvRows<'_>) {
        let geometry = self.geometry;
        let (dim, width) = (geometry.head_dim, geometry.heads * geometry.head_dim);
        let shape = rows.slots.len() * width;
        assert!(rows.key.len() == shape && rows.value.len() == shape, "keys and values are [rows, heads, head_dim]");
        let mut layers = Vec::with_capacity(rows.slots.len());
        for at in rows.slots {
            assert!((at.slot as usize) < PAGE_TOKENS, "slot {} of a page of {PAGE_TOKENS}", at.slot);
            let page = &mut self.pages[at.page as usize];
            let first = geometry.head_start(layer, 0);
            layers.push(page[first..first + geometry.heads * geometry.head_cells()].as_mut_ptr());
        }
        let layers = Layers(layers);
        // A part is the keys or the values of one head: parts never touch the same cell, tokens of a part may.
        let part = |part: usize| {
            let (head, is_value) = (part / 2, part % 2 == 1);
            for (row, at) in rows.slots.iter().enumerate() {
                let (offset, len) = if is_value {
                    (geometry.key_cells(), geometry.head_cells() - geometry.key_cells())
                } else {
                    (0, geometry.key_cells())
                };
                // SAFETY: the cells of this head's keys or values lie in the layer's cells taken above, of a page that
                // `self` borrows mutably; only this part makes a slice of them, one at a time.
                let cells = unsafe {
                    let start = layers.get(row).add(head * geometry.head_cells() + offset);
                    std::slice::from_raw_parts_mut(start, len)
                };
                let numbers = row * width + head * dim..row * width + (head + 1) * dim;
                if is_value {
                    put_value(geometry, cells, at.slot as usize, &rows.value[numbers]);
                } else {
                    put_key(geometry, cells, at.slot as usize, &rows.key[numbers]);
                }
            }
        };
        if rows.slots.len() < PARALLEL_ROWS {
            (0..2 * geometry.heads).for_each(part);
        } else {
            pool.run(2 * geometry.heads, &part);
        }
    }

    /// The cells of a head: its keys, then its values.
    pub(crate) fn cells(&self, page: PageId, layer: usize, head: usize) -> (&[u32], &[u32]) {
        let page = &self.pages[page as usize];
        let cells = &page[self.geometry.head_start(layer, head)..];
        cells[..self.geometry.head_cells()].split_at(self.geometry.key_cells())
    }

    /// Copies the key of one token to `out` [`head_dim`], given the keys of [`KvPages::cells`].
    pub(crate) fn copy_key(&self, keys: &[u32], slot: usize, out: &mut [f32]) {
        let tokens_per_cell = self.geometry.tokens_per_cell();
        for (index, out) in out.iter_mut().enumerate() {
            *out = number(self.geometry.format, keys[index / tokens_per_cell * PAGE_TOKENS + slot], index);
        }
    }

    /// Copies the value of one token to `out` [`head_dim`], given the values of [`KvPages::cells`].
    pub(crate) fn copy_value(&self, values: &[u32], slot: usize, out: &mut [f32]) {
        let cells = &values[slot / self.geometry.tokens_per_cell() * self.geometry.padded_dim()..];
        for (cell, out) in cells.iter().zip(out) {
            *out = number(self.geometry.format, *cell, slot);
        }
    }
}

/// Keys and values to be written.
#[derive(Clone, Copy, Debug)]
pub struct KvRows<'a> {
    /// Where each row goes; no two the same.
    pub slots: &'a [KvSlot],
    /// Keys [rows, heads, `head_dim`], rotated.
    pub key: &'a [f32],
    /// Values of the same shape.
    pub value: &'a [f32],
}

/// The first cell of a layer in the page of each row.
struct Layers(Vec<*mut u32>);

// SAFETY: the pointers are only followed by the parts of `KvPages::write_rows`, each to cells of its own.
unsafe impl Sync for Layers {}

impl Layers {
    fn get(&self, row: usize) -> *mut u32 {
        self.0[row]
    }
}

fn put_key(geometry: KvGeometry, cells: &mut [u32], slot: usize, key: &[f32]) {
    let cells = cells[slot..].iter_mut().step_by(PAGE_TOKENS);
    match geometry.format {
        Format::F32 => {
            for (cell, number) in cells.zip(key) {
                *cell = number.to_bits();
            }
        }
        Format::Bf16 => {
            for (cell, pair) in cells.zip(key.chunks(2)) {
                *cell = round_to_bf16(pair[0]) >> 16 | pair.get(1).map_or(0, |high| round_to_bf16(*high));
            }
        }
    }
}

fn put_value(geometry: KvGeometry, cells: &mut [u32], slot: usize, value: &[f32]) {
    let cells = &mut cells[slot / geometry.tokens_per_cell() * geometry.padded_dim()..];
    match geometry.format {
        Format::F32 => {
            for (cell, number) in cells.iter_mut().zip(value) {
                *cell = number.to_bits();
            }
        }
        Format::Bf16 if slot.is_multiple_of(2) => {
            for (cell, number) in cells.iter_mut().zip(value) {
                *cell = *cell & 0xffff_0000 | round_to_bf16(*number) >> 16;
            }
        }
        Format::Bf16 => {
            for (cell, number) in cells.iter_mut().zip(value) {
                *cell = *cell & 0xffff | round_to_bf16(*number);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMATS: [Format; 2] = [Format::F32, Format::Bf16];

    /// Numbers that both formats hold exactly, different for each token and part.
    fn numbers(token: usize, width: usize, sign: f32) -> Vec<f32> {
        (0..width).map(|index| sign * ((7 * token + index) % 251) as f32).collect()
    }

    fn filled(geometry: KvGeometry, page: PageId, tokens: std::ops::Range<usize>, sign: f32, pages: &mut KvPages) {
        let width = geometry.heads * geometry.head_dim;
        let slots: Vec<KvSlot> = tokens.clone().map(|slot| KvSlot { page, slot: slot as u32 }).collect();
        for layer in 0..geometry.layers {
            let part = |offset: usize| tokens.clone().flat_map(move |t| numbers(t + offset + layer, width, sign));
            let (key, value): (Vec<f32>, Vec<f32>) = (part(0).collect(), part(100).collect());
            pages.write_rows(&Pool::new(3), layer, &KvRows { slots: &slots, key: &key, value: &value });
        }
    }

    fn assert_token(pages: &KvPages, page: PageId, token: usize, sign: f32) {
        let geometry = pages.geometry();
        let (dim, width) = (geometry.head_dim, geometry.heads * geometry.head_dim);
        let mut out = vec![0.0; dim];
        for (layer, head) in (0..geometry.layers).flat_map(|layer| (0..geometry.heads).map(move |head| (layer, head))) {
            let (keys, values) = pages.cells(page, layer, head);
            let part = head * dim..(head + 1) * dim;
            pages.copy_key(keys, token, &mut out);
            assert_eq!(out, numbers(token + layer, width, sign)[part.clone()], "{geometry:?} token {token}");
            pages.copy_value(values, token, &mut out);
            assert_eq!(out, numbers(token + 100 + layer, width, sign)[part], "{geometry:?} token {token}");
        }
    }

    #[test]
    fn what_is_written_is_read_and_a_copied_page_goes_its_own_way() {
        for (format, head_dim) in FORMATS.into_iter().flat_map(|format| [5, 16, 30, 64].map(|dim| (format, dim))) {
            let geometry = KvGeometry { layers: 2, heads: 3, head_dim, format };
            let mut pages = KvPages::new(geometry);
            let (parent, child) = (pages.add(), pages.add());
            filled(geometry, parent, 0..PAGE_TOKENS, 1.0, &mut pages);
            for tokens in [0, 1, 13, 20, PAGE_TOKENS] {
                pages.copy(parent, child, tokens);
                filled(geometry, child, tokens..PAGE_TOKENS, -1.0, &mut pages);
                for token in 0..PAGE_TOKENS {
                    assert_token(&pages, parent, token, 1.0);
                    assert_token(&pages, child, token, if token < tokens { 1.0 } else { -1.0 });
                }
            }
        }
    }

    #[test]
    fn bytes_are_those_of_the_formula() {
        for (format, bytes) in [(Format::F32, 4), (Format::Bf16, 2)] {
            for head_dim in [32, 64, 80, 96, 128, 256] {
                let geometry = KvGeometry { layers: 30, heads: 3, head_dim, format };
                assert_eq!(geometry.bytes_per_token(), 2 * 30 * 3 * head_dim * bytes);
            }
        }
    }
}

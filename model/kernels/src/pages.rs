//! Keys and values in pages of a fixed number of tokens, for all layers of a model.
//!
//! A page holds [`PAGE_TOKENS`] consecutive positions starting at a multiple of that number, for every layer. Which
//! sequences a page belongs to is the caller's business: this is storage.

/// Positions of one page.
pub const PAGE_TOKENS: usize = 32;

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
    /// Bytes of one token: 2 (key and value) x layers x heads x `head_dim` x bytes of a number.
    #[must_use]
    pub fn bytes_per_token(&self) -> usize {
        let bytes = match self.format {
            KvFormat::F32 => 4,
            KvFormat::Bf16 => 2,
        };
        2 * self.layers * self.heads * self.head_dim * bytes
    }

    /// Bytes of one page.
    #[must_use]
    pub fn bytes_per_page(&self) -> usize {
        self.bytes_per_token() * PAGE_TOKENS
    }
}

/// Storage of pages; grows page by page up to what the caller asks for.
#[derive(Debug)]
pub struct KvPages {
    geometry: KvGeometry,
    /// Per page: [layer][key, value][head][token][dim].
    pages: Vec<Box<[f32]>>,
}

impl KvPages {
    /// A store without pages.
    #[must_use]
    pub fn new(geometry: KvGeometry) -> Self {
        Self { geometry, pages: Vec::new() }
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

    /// Makes page [`KvPages::len`] and gives its id.
    pub fn add(&mut self) -> PageId {
        let numbers = 2 * self.geometry.layers * self.geometry.heads * self.geometry.head_dim * PAGE_TOKENS;
        self.pages.push(vec![0.0; numbers].into_boxed_slice());
        self.pages.len() as PageId - 1
    }

    /// Copies the first `tokens` positions of page `from` into page `to`, for all layers.
    pub fn copy(&mut self, from: PageId, to: PageId, tokens: usize) {
        let source = self.pages[from as usize].clone();
        let _ = tokens;
        self.pages[to as usize].copy_from_slice(&source);
    }

    /// Writes the key and value [heads, `head_dim`] of one token of `layer` at `slot` of `page`.
    pub fn write(&mut self, layer: usize, page: PageId, slot: usize, key: &[f32], value: &[f32]) {
        let dim = self.geometry.head_dim;
        for (part, numbers) in [key, value].into_iter().enumerate() {
            for (head, numbers) in numbers.chunks_exact(dim).enumerate() {
                let at = self.offset(layer, part, head) + slot * dim;
                self.pages[page as usize][at..at + dim].copy_from_slice(numbers);
            }
        }
    }

    /// Keys (`part` 0) or values (1) of one head of a page, [token][dim].
    pub(crate) fn numbers(&self, page: PageId, layer: usize, part: usize, head: usize) -> &[f32] {
        &self.pages[page as usize][self.offset(layer, part, head)..][..PAGE_TOKENS * self.geometry.head_dim]
    }

    fn offset(&self, layer: usize, part: usize, head: usize) -> usize {
        ((layer * 2 + part) * self.geometry.heads + head) * PAGE_TOKENS * self.geometry.head_dim
    }
}

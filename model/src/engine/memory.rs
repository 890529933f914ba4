//! Who has which page: a hard limit, the free ones, the ones in the radix tree, and the ones that sequences write to.
//!
//! A page is taken when a token needs it: free ones first, then new ones up to the limit, then the cached leaf used longest ago.
//! Whom to preempt when nothing is left is the scheduler's decision. Pure.

use galapagos_kernels::PageId;

use super::radix::{Inserted, NodeId, RadixTree};

/// Pages by number, and the tree of those that can be found again.
#[derive(Debug)]
pub(crate) struct Memory {
    tree: RadixTree,
    free: Vec<PageId>,
    made: usize,
    limit: usize,
    evictions: u64,
}

/// Copy of the first tokens of a page into another one, to be done before the next keys and values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageCopy {
    pub(crate) from: PageId,
    pub(crate) to: PageId,
    pub(crate) tokens: usize,
}

/// How the pages of a `Memory` are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageCounts {
    /// Pages the budget allows.
    pub limit: usize,
    /// Pages that exist; they are made when they are first needed.
    pub made: usize,
    /// Pages that sequences need now, each counted once.
    pub used: usize,
    /// Pages kept for later requests; given up when somebody needs them.
    pub cached: usize,
    /// Pages that hold nothing.
    pub free: usize,
}

impl Memory {
    /// At most `limit` pages.
    pub(crate) fn new(limit: usize) -> Self {
        Self { tree: RadixTree::default(), free: Vec::new(), made: 0, limit, evictions: 0 }
    }

    /// The tree, to look.
    pub(crate) fn tree(&self) -> &RadixTree {
        &self.tree
    }

    /// A page for new tokens; `None` if every page is in use.
    pub(crate) fn take(&mut self) -> Option<PageId> {
        if let Some(page) = self.free.pop() {
            return Some(page);
        }
        if self.made < self.limit {
            self.made += 1;
            return Some(self.made as PageId - 1);
        }
        let page = self.tree.evict()?;
        self.evictions += 1;
        Some(page)
    }

    /// Takes back a page that holds nothing worth keeping.
    pub(crate) fn give(&mut self, page: PageId) {
        self.free.push(page);
    }

    /// Pages that [`Memory::take`] can give now.
    pub(crate) fn available(&self) -> usize {
        self.free.len() + (self.limit - self.made) + self.tree.evictable()
    }

    /// Pages there are, over all.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Cached pages given up so far.
    pub(crate) fn evictions(&self) -> u64 {
        self.evictions
    }

    /// See [`PageCounts`].
    pub(crate) fn counts(&self) -> PageCounts {
        let (free, cached) = (self.free.len(), self.tree.evictable());
        PageCounts { limit: self.limit, made: self.made, used: self.made - free - cached, cached, free }
    }

    /// A new root of the tree.
    pub(crate) fn add_root(&mut self) -> NodeId {
        self.tree.add_root()
    }

    /// Forgets everything below `root`, and `root`; false, and no change, while somebody holds a node of it.
    pub(crate) fn remove_root(&mut self, root: NodeId) -> bool {
        match self.tree.remove_root(root) {
            Some(pages) => {
                self.free.extend(pages);
                true
            }
            None => false,
        }
    }

    pub(super) fn hold(&mut self, id: NodeId) {
        self.tree.hold(id);
    }

    pub(super) fn release(&mut self, id: NodeId) {
        self.tree.release(id);
    }

    /// Puts a page with `tokens` under `parent`, or frees it if these tokens are known. Gives their node.
    pub(super) fn keep(&mut self, parent: NodeId, tokens: &[u32], page: PageId) -> NodeId {
        match self.tree.insert(parent, tokens, page, &mut self.free) {
            Inserted::New(id) => id,
            Inserted::Known(id) => {
                self.free.push(page);
                id
            }
        }
    }

    /// Lets others copy the first tokens of a page whose owner goes on writing behind them; `None` if they are known.
    pub(super) fn lend(&mut self, parent: NodeId, tokens: &[u32], page: PageId) -> Option<NodeId> {
        match self.tree.insert_borrowed(parent, tokens, page, &mut self.free) {
            Inserted::New(id) => Some(id),
            Inserted::Known(_) => None,
        }
    }

    /// Ends [`Memory::lend`].
    pub(super) fn recall(&mut self, id: NodeId) {
        self.tree.remove_borrowed(id);
    }
}

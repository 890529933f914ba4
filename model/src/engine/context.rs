//! The keys and values of one sequence: full pages in the radix tree, which it shares, then pages of its own.
//!
//! Everything a sequence ever writes goes to pages of its own; a page that is full moves into the tree, where the next sequence
//! with these tokens finds it. So two sequences part by copying at most one page, whatever the length of their context. Pure.

use std::sync::Arc;

use galapagos_kernels::{PAGE_TOKENS, PageId};

use super::memory::{Memory, PageCopy};
use super::radix::{NodeId, common};

/// Tokens of a sequence: a prompt that samples share, and what was drawn since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tokens {
    pub(crate) prompt: Arc<[u32]>,
    pub(crate) made: Vec<u32>,
}

impl Tokens {
    /// Both together.
    pub(crate) fn len(&self) -> usize {
        self.prompt.len() + self.made.len()
    }

    /// The token at a position.
    pub(crate) fn at(&self, position: usize) -> u32 {
        match self.prompt.get(position) {
            Some(token) => *token,
            None => self.made[position - self.prompt.len()],
        }
    }

    /// Tokens at `start..end`, at most a page of them.
    fn page(&self, start: usize, end: usize) -> PageTokens {
        let mut tokens = [0; PAGE_TOKENS];
        let length = end.min(start + PAGE_TOKENS) - start;
        for (offset, token) in tokens[..length].iter_mut().enumerate() {
            *token = self.at(start + offset);
        }
        PageTokens { tokens, length }
    }
}

/// The tokens of one page, of which some may be missing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PageTokens {
    tokens: [u32; PAGE_TOKENS],
    length: usize,
}

impl PageTokens {
    pub(crate) fn as_slice(&self) -> &[u32] {
        &self.tokens[..self.length]
    }
}

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Context {
    /// Deepest node held: the last page that is shared, or the root.
    node: NodeId,
    /// Pages from the root to `node`.
    shared: usize,
    /// The pages behind those, in order; all but the last are full, beyond what a running step will write.
    private: Vec<PageId>,
    /// Positions whose keys and values are there: `0..computed`.
    computed: usize,
    /// The node through which others see the tokens of the first private page.
    lent: Option<NodeId>,
}

impl Context {
    /// Nothing computed yet, below `root`.
    pub(crate) fn new(root: NodeId, memory: &mut Memory) -> Self {
        memory.hold(root);
        Self { node: root, shared: 0, private: Vec::new(), computed: 0, lent: None }
    }

    /// Positions whose keys and values are there.
    pub(crate) fn computed(&self) -> usize {
        self.computed
    }

    /// The deepest shared page, or the root.
    pub(crate) fn node(&self) -> NodeId {
        self.node
    }

    /// Position of the first token on a page of its own.
    pub(crate) fn private_start(&self) -> usize {
        self.shared * PAGE_TOKENS
    }

    /// Pages of its own.
    pub(crate) fn private(&self) -> &[PageId] {
        &self.private
    }

    /// Pages it has, shared or not.
    pub(crate) fn pages(&self) -> usize {
        self.shared + self.private.len()
    }

    /// The page and the slot of a position at or behind [`Context::private_start`] that was reserved.
    pub(crate) fn slot(&self, position: usize) -> (PageId, usize) {
        (self.private[position / PAGE_TOKENS - self.shared], position % PAGE_TOKENS)
    }

    /// Whether nothing stands between the shared pages and the next token, so that more of them can be found.
    pub(crate) fn at_boundary(&self) -> bool {
        self.computed == self.private_start() && self.lent.is_none()
    }

    /// The tokens that stand on the page of the next token, as far as `limit`: what [`Context::find_partial`] looks for.
    pub(crate) fn next_page(&self, tokens: &Tokens, limit: usize) -> PageTokens {
        let start = self.computed / PAGE_TOKENS * PAGE_TOKENS;
        tokens.page(start, limit.max(start))
    }

    /// Goes on over full pages that are known, at most to `limit` positions. Only at a boundary. Gives the positions gained.
    pub(crate) fn find_full(&mut self, memory: &mut Memory, tokens: &Tokens, limit: usize) -> usize {
        let before = self.computed;
        while self.at_boundary() && self.computed + PAGE_TOKENS <= limit {
            let page = tokens.page(self.computed, limit);
            let Some(child) = memory.tree().full_child(self.node, page.as_slice()) else { break };
            memory.hold(child);
            memory.release(self.node);
            self.node = child;
            self.shared += 1;
            self.computed += PAGE_TOKENS;
        }
        if self.computed > before {
            // What was reserved for tokens that are there now.
            self.private.drain(..).for_each(|page| memory.give(page));
        }
        self.computed - before
    }

    /// How many of the next tokens, as far as `limit`, some known page begins with.
    pub(crate) fn known_partial(&self, memory: &Memory, tokens: &Tokens, limit: usize) -> usize {
        let page = self.next_page(tokens, limit);
        memory.tree().longest(self.node, page.as_slice()).map_or(0, |(_, common)| common)
    }

    /// Takes over those tokens by a copy of their page, which the caller does before anything is written. Only at a boundary.
    /// `None` if there are none or no page is left.
    pub(crate) fn find_partial(&mut self, memory: &mut Memory, tokens: &Tokens, limit: usize) -> Option<PageCopy> {
        if !self.at_boundary() {
            return None;
        }
        let page = self.next_page(tokens, limit);
        let (source, tokens) = memory.tree().longest(self.node, page.as_slice())?;
        if self.private.is_empty() {
            // Held, so that the new page is not this one.
            memory.hold(source);
            let taken = memory.take();
            memory.release(source);
            self.private.push(taken?);
        }
        self.computed += tokens;
        Some(PageCopy { from: memory.tree().page(source), to: self.private[0], tokens })
    }

    /// Takes pages until positions `0..end` have one; false if they run out, with what there was taken.
    pub(crate) fn reserve(&mut self, memory: &mut Memory, end: usize) -> bool {
        while self.pages() * PAGE_TOKENS < end {
            match memory.take() {
                Some(page) => self.private.push(page),
                None => return false,
            }
        }
        true
    }

    /// Notes that keys and values of `..computed` are written. With `share`, full pages move into the tree.
    pub(crate) fn advance(&mut self, memory: &mut Memory, tokens: &Tokens, computed: usize, share: bool) {
        self.computed = computed;
        while share && computed >= self.private_start() + PAGE_TOKENS {
            self.recall(memory);
            let start = self.private_start();
            let page = tokens.page(start, start + PAGE_TOKENS);
            let child = memory.keep(self.node, page.as_slice(), self.private.remove(0));
            memory.hold(child);
            memory.release(self.node);
            self.node = child;
            self.shared += 1;
        }
    }

    /// Lets others copy what stands on the page that is not full.
    pub(crate) fn lend(&mut self, memory: &mut Memory, tokens: &Tokens) {
        let start = self.private_start();
        if self.lent.is_none() && self.computed > start && self.computed < start + PAGE_TOKENS {
            let page = tokens.page(start, self.computed);
            self.lent = memory.lend(self.node, page.as_slice(), self.private[0]);
        }
    }

    /// Gives everything back. With `share`, what was computed stays as cache.
    pub(crate) fn release(mut self, memory: &mut Memory, tokens: &Tokens, share: bool) {
        self.recall(memory);
        let start = self.private_start();
        let mut pages = self.private.drain(..);
        if share && self.computed > start {
            let page = tokens.page(start, self.computed);
            if let Some(first) = pages.next() {
                memory.keep(self.node, page.as_slice(), first);
            }
        }
        pages.for_each(|page| memory.give(page));
        memory.release(self.node);
    }

    fn recall(&mut self, memory: &mut Memory) {
        if let Some(id) = self.lent.take() {
            memory.recall(id);
        }
    }
}

/// Whether two sequences at the same node would compute the same next tokens, and how many.
pub(crate) fn shared_work(a: &PageTokens, b: &PageTokens) -> usize {
    common(a.as_slice(), b.as_slice())
}

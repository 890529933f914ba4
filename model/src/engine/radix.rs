//! A radix tree over token prefixes, one page to an edge: which pages of keys and values hold which prefix.
//!
//! A root stands for one way of computing (weights and adapter); a walk never leaves the tree below its root, so a page can only
//! be found by those who would have computed the same. Below it every node owns one page: full nodes hold
//! [`PAGE_TOKENS`] tokens and may have children, partial ones hold fewer and are leaves that others copy from. Nodes never change.
//!
//! Sequences hold the deepest node of their context; that pins all of its ancestors. What is not pinned is cache, and goes leaf
//! by leaf, the one used longest ago first. Pure: pages are numbers here.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use galapagos_kernels::{PAGE_TOKENS, PageId};

/// A node of a [`RadixTree`]. Names it for as long as it is held; the number may then serve another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NodeId(u32);

impl NodeId {
    /// Its place in tables of [`RadixTree::slots`] entries.
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

#[derive(Debug)]
struct Node {
    /// `None` for a root.
    parent: Option<NodeId>,
    /// Tokens of the page; empty for a root.
    tokens: Box<[u32]>,
    page: PageId,
    /// Pages from the root to this one, with it.
    depth: usize,
    children: BTreeMap<Box<[u32]>, NodeId>,
    /// Holders, and children that are pinned.
    pins: usize,
    /// Whether the page belongs to a sequence that still writes behind these tokens.
    borrowed: bool,
    used: u64,
}

/// What became of a page that was offered to the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inserted {
    /// The tree took it.
    New(NodeId),
    /// The tree holds these tokens already, in this node; the page was not taken.
    Known(NodeId),
}

/// See the head of this file.
#[derive(Debug, Default)]
pub(crate) struct RadixTree {
    nodes: Vec<Option<Node>>,
    vacant: Vec<u32>,
    /// Unpinned leaves that own their page, by last use.
    leaves: BTreeSet<(u64, NodeId)>,
    /// Nodes that own a page and are not pinned.
    evictable: usize,
    clock: u64,
}

impl RadixTree {
    /// A root without anything below it.
    pub(crate) fn add_root(&mut self) -> NodeId {
        self.place(Node {
            parent: None,
            tokens: Box::default(),
            page: PageId::MAX,
            depth: 0,
            children: BTreeMap::new(),
            pins: 0,
            borrowed: false,
            used: 0,
        })
    }

    /// Removes a root that nobody holds a node of, and gives the pages below it; `None`, and no change, if one is held.
    pub(crate) fn remove_root(&mut self, root: NodeId) -> Option<Vec<PageId>> {
        if self.node(root).pins > 0 {
            return None;
        }
        let (mut pages, mut pending) = (Vec::new(), vec![root]);
        while let Some(id) = pending.pop() {
            let node = self.remove_entry(id);
            pending.extend(node.children.into_values());
            if node.parent.is_some() {
                pages.push(node.page);
            }
        }
        Some(pages)
    }

    /// The child of `node` with exactly these tokens, if it is full.
    pub(crate) fn full_child(&self, node: NodeId, tokens: &[u32]) -> Option<NodeId> {
        if tokens.len() != PAGE_TOKENS {
            return None;
        }
        self.node(node).children.get(tokens).copied()
    }

    /// The child of `node`, full or partial, that shares the most leading tokens with `tokens`, and how many: at least one.
    pub(crate) fn longest(&self, node: NodeId, tokens: &[u32]) -> Option<(NodeId, usize)> {
        let children = &self.node(node).children;
        // The longest common prefix stands next to the place where the tokens would be.
        let before = children.range::<[u32], _>((Bound::Unbounded, Bound::Excluded(tokens))).next_back();
        let after = children.range::<[u32], _>((Bound::Included(tokens), Bound::Unbounded)).next();
        let neighbours = before.into_iter().chain(after);
        let best = neighbours.map(|(key, id)| (common(key, tokens), *id)).max_by_key(|(common, _)| *common);
        best.filter(|(common, _)| *common > 0).map(|(common, id)| (id, common))
    }

    /// Offers a page with `tokens` (1 to [`PAGE_TOKENS`]) behind the full node or root `parent`. Partial nodes that the new one makes
    /// superfluous go; their pages are added to `freed`.
    pub(crate) fn insert(&mut self, parent: NodeId, tokens: &[u32], page: PageId, freed: &mut Vec<PageId>) -> Inserted {
        self.add(parent, tokens, (page, false), freed)
    }

    /// As [`RadixTree::insert`], for a partial page that stays with the sequence that writes behind these tokens. It must call
    /// [`RadixTree::remove_borrowed`] before it gives the page away.
    pub(crate) fn insert_borrowed(
        &mut self,
        parent: NodeId,
        tokens: &[u32],
        page: PageId,
        freed: &mut Vec<PageId>,
    ) -> Inserted {
        self.add(parent, tokens, (page, true), freed)
    }

    fn add(
        &mut self,
        parent: NodeId,
        tokens: &[u32],
        (page, borrowed): (PageId, bool),
        freed: &mut Vec<PageId>,
    ) -> Inserted {
        let children = &self.node(parent).children;
        let next = children.range::<[u32], _>((Bound::Included(tokens), Bound::Unbounded)).next();
        if let Some((key, id)) = next
            && key.starts_with(tokens)
        {
            return Inserted::Known(*id);
        }
        let shorter: Vec<NodeId> =
            (1..tokens.len()).filter_map(|length| children.get(&tokens[..length]).copied()).collect();
        // Those in use for a copy or lent by a sequence stay.
        for id in shorter {
            if self.node(id).pins == 0 && !self.node(id).borrowed {
                freed.push(self.remove_leaf(id));
            }
        }
        self.clock += 1;
        let depth = self.node(parent).depth + 1;
        let (tokens, used) = (Box::<[u32]>::from(tokens), self.clock);
        let children = BTreeMap::new();
        let key = tokens.clone();
        let id = self.place(Node { parent: Some(parent), tokens, page, depth, children, pins: 0, borrowed, used });
        self.unlist(parent);
        self.node_mut(parent).children.insert(key, id);
        if !borrowed {
            self.evictable += 1;
        }
        self.list(id);
        Inserted::New(id)
    }

    /// Forgets a node of [`RadixTree::insert_borrowed`].
    pub(crate) fn remove_borrowed(&mut self, id: NodeId) {
        self.remove_leaf(id);
    }

    /// Holds `id`, so that neither it nor an ancestor of it goes. Work is in the number of ancestors that were not pinned before:
    /// none, if somebody else holds `id` already.
    pub(crate) fn hold(&mut self, id: NodeId) {
        let mut next = Some(id);
        while let Some(id) = next {
            self.unlist(id);
            let node = self.node_mut(id);
            node.pins += 1;
            if node.pins > 1 {
                return;
            }
            let owns = node.parent.is_some() && !node.borrowed;
            next = node.parent;
            self.evictable -= usize::from(owns);
        }
    }

    /// Takes back one [`RadixTree::hold`].
    pub(crate) fn release(&mut self, id: NodeId) {
        self.clock += 1;
        self.node_mut(id).used = self.clock;
        let mut next = Some(id);
        while let Some(id) = next {
            let node = self.node_mut(id);
            node.pins -= 1;
            if node.pins > 0 {
                return;
            }
            let owns = node.parent.is_some() && !node.borrowed;
            next = node.parent;
            self.evictable += usize::from(owns);
            self.list(id);
        }
    }

    /// Removes the leaf used longest ago that nobody holds, and gives its page.
    pub(crate) fn evict(&mut self) -> Option<PageId> {
        let (_, id) = *self.leaves.first()?;
        Some(self.remove_leaf(id))
    }

    /// Pages that [`RadixTree::evict`] can give, one after the other.
    pub(crate) fn evictable(&self) -> usize {
        self.evictable
    }

    /// Pages the tree owns.
    #[cfg(test)]
    pub(crate) fn owned(&self) -> usize {
        self.nodes.iter().flatten().filter(|node| node.parent.is_some() && !node.borrowed).count()
    }

    /// Whether somebody holds `id` or a node below it.
    #[cfg(test)]
    pub(crate) fn is_pinned(&self, id: NodeId) -> bool {
        self.node(id).pins > 0
    }

    /// The page of a node that is no root.
    pub(crate) fn page(&self, id: NodeId) -> PageId {
        self.node(id).page
    }

    /// The node above; `None` for a root.
    pub(crate) fn parent(&self, id: NodeId) -> Option<NodeId> {
        self.node(id).parent
    }

    /// Pages from the root to `id`, with its own.
    pub(crate) fn depth(&self, id: NodeId) -> usize {
        self.node(id).depth
    }

    /// One more than the greatest [`NodeId::index`].
    pub(crate) fn slots(&self) -> usize {
        self.nodes.len()
    }

    fn place(&mut self, node: Node) -> NodeId {
        match self.vacant.pop() {
            Some(index) => {
                self.nodes[index as usize] = Some(node);
                NodeId(index)
            }
            None => {
                self.nodes.push(Some(node));
                NodeId(self.nodes.len() as u32 - 1)
            }
        }
    }

    /// Removes a leaf and gives its page; its parent is now as recently used as it was.
    fn remove_leaf(&mut self, id: NodeId) -> PageId {
        let node = self.remove_entry(id);
        if let Some(parent) = node.parent {
            let above = self.node(parent).used;
            self.unlist(parent);
            let entry = self.node_mut(parent);
            entry.used = above.max(node.used);
            entry.children.remove(&node.tokens);
            self.list(parent);
        }
        node.page
    }

    fn remove_entry(&mut self, id: NodeId) -> Node {
        self.unlist(id);
        #[expect(clippy::expect_used, reason = "ids come from this tree, and holders keep their nodes")]
        let node = self.nodes[id.index()].take().expect("a node that is held or listed exists");
        self.vacant.push(id.0);
        if node.parent.is_some() && !node.borrowed {
            self.evictable -= usize::from(node.pins == 0);
        }
        node
    }

    /// Lists `id` for eviction if it is an unpinned leaf with a page of its own.
    fn list(&mut self, id: NodeId) {
        let node = self.node(id);
        if node.parent.is_some() && !node.borrowed && node.pins == 0 && node.children.is_empty() {
            let entry = (node.used, id);
            self.leaves.insert(entry);
        }
    }

    fn unlist(&mut self, id: NodeId) {
        let entry = (self.node(id).used, id);
        self.leaves.remove(&entry);
    }

    fn node(&self, id: NodeId) -> &Node {
        #[expect(clippy::expect_used, reason = "ids come from this tree, and holders keep their nodes")]
        self.nodes[id.index()].as_ref().expect("a node that is held or listed exists")
    }

    fn node_mut(&mut self, id: NodeId) -> &mut Node {
        #[expect(clippy::expect_used, reason = "ids come from this tree, and holders keep their nodes")]
        self.nodes[id.index()].as_mut().expect("a node that is held or listed exists")
    }
}

/// How many leading tokens two sequences share.
pub(crate) fn common(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests;

//! A step's rows in order, where their keys and values go, and which pages which rows attend to.
//!
//! Rows are ordered as a walk of the radix tree meets their sequences, so the rows below a node stand together: every shared page is
//! named once, with all rows that see it, and rows of one adapter are neighbours. Built once a step, for all layers. Pure.

use std::ops::Range;

use galapagos_domain::image::{Patch, Places};
use galapagos_kernels::{KvSlot, PAGE_TOKENS, Segment};

use super::context::{Context, Tokens};
use super::ids::AdapterId;
use super::radix::{NodeId, RadixTree};
use crate::vision::RowPatch;

/// See the head of this file.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    pub(crate) tokens: Vec<u32>,
    pub(crate) positions: Vec<u32>,
    /// The rows that are patches of images, in order.
    pub(crate) patches: Vec<RowPatch>,
    /// Page and slot of each row's key and value.
    pub(crate) slots: Vec<KvSlot>,
    pub(crate) segments: Vec<Segment>,
    /// Rows of each run.
    pub(crate) rows: Vec<Range<usize>>,
    /// Consecutive rows with one adapter.
    pub(crate) adapters: Vec<(Option<AdapterId>, Range<usize>)>,
}

/// A node that some row of the step attends to.
#[derive(Debug)]
struct Visited {
    node: NodeId,
    children: Vec<u32>,
    /// Runs whose shared pages end here.
    runs: Vec<u32>,
    rows: Range<usize>,
}

/// Rows of one sequence: positions `start..end`, the last `drafts.len()` of which hold guessed tokens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowRun<'a> {
    pub(crate) context: &'a Context,
    pub(crate) adapter: Option<AdapterId>,
    pub(crate) tokens: &'a Tokens,
    pub(crate) drafts: &'a [u32],
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl RowRun<'_> {
    /// The token at a position before `end`.
    fn token(&self, position: usize) -> u32 {
        let known = self.end - self.drafts.len();
        if position < known { self.tokens.at(position) } else { self.drafts[position - known] }
    }

    /// What stands before the first row: where in an image it goes on, if it does.
    fn places_before(&self) -> Places {
        let mut first = self.start;
        while first > 0 && Patch::is_code(self.token(first - 1)) {
            first -= 1;
        }
        let mut places = Places::default();
        for position in first..self.start {
            places.next(self.token(position));
        }
        places
    }
}

impl Layout {
    /// The rows of `runs`, whose shared pages are in `tree`.
    pub(crate) fn new(runs: &[RowRun<'_>], tree: &RadixTree) -> Self {
        let mut walk = Walk::new(runs, tree);
        let mut layout = Self { rows: vec![0..0; runs.len()], ..Self::default() };
        let order = walk.order();
        for place in &order {
            let start = layout.tokens.len();
            for run in std::mem::take(&mut walk.visited[*place].runs) {
                layout.add_rows(run as usize, &runs[run as usize]);
            }
            walk.visited[*place].rows = start..layout.tokens.len();
        }
        walk.widen(&order);
        walk.segments(&order, tree, &mut layout.segments);
        for (run, rows) in runs.iter().zip(&layout.rows) {
            add_private(run, rows, &mut layout.segments);
        }
        layout
    }

    fn add_rows(&mut self, index: usize, run: &RowRun<'_>) {
        let first = self.tokens.len();
        let mut places = run.places_before();
        for position in run.start..run.end {
            let token = run.token(position);
            let patch = places.next(token);
            self.patches.extend(patch.map(|(patch, place)| RowPatch { row: self.tokens.len(), patch, place }));
            self.tokens.push(token);
            self.positions.push(position as u32);
            let (page, slot) = run.context.slot(position);
            self.slots.push(KvSlot { page, slot: slot as u32 });
        }
        let rows = first..self.tokens.len();
        match self.adapters.last_mut() {
            Some((adapter, known)) if *adapter == run.adapter => known.end = rows.end,
            Some(_) | None => self.adapters.push((run.adapter, rows.clone())),
        }
        self.rows[index] = rows;
    }
}

/// The part of the tree that a step sees.
#[derive(Debug)]
struct Walk {
    visited: Vec<Visited>,
    roots: Vec<usize>,
}

impl Walk {
    fn new(runs: &[RowRun<'_>], tree: &RadixTree) -> Self {
        let mut places = vec![u32::MAX; tree.slots()];
        let mut walk = Self { visited: Vec::new(), roots: Vec::new() };
        for (index, run) in (0u32..).zip(runs) {
            let place = walk.visit(run.context.node(), tree, &mut places);
            walk.visited[place].runs.push(index);
        }
        walk
    }

    /// The place of `node`, which is made together with those of its ancestors that have none.
    fn visit(&mut self, node: NodeId, tree: &RadixTree, places: &mut [u32]) -> usize {
        let (mut next, mut below, mut first) = (Some(node), None, None);
        while let Some(node) = next {
            let known = places[node.index()];
            let place = if known == u32::MAX { self.visited.len() } else { known as usize };
            if known == u32::MAX {
                places[node.index()] = place as u32;
                self.visited.push(Visited { node, children: Vec::new(), runs: Vec::new(), rows: 0..0 });
                if tree.parent(node).is_none() {
                    self.roots.push(place);
                }
            }
            self.visited[place].children.extend(below);
            first = first.or(Some(place));
            if known != u32::MAX {
                break;
            }
            below = Some(place as u32);
            next = tree.parent(node);
        }
        first.unwrap_or(0)
    }

    /// All places, parents before children, a subtree at a time.
    fn order(&self) -> Vec<usize> {
        let mut order = Vec::with_capacity(self.visited.len());
        let mut pending: Vec<usize> = self.roots.iter().rev().copied().collect();
        while let Some(place) = pending.pop() {
            order.push(place);
            pending.extend(self.visited[place].children.iter().rev().map(|child| *child as usize));
        }
        order
    }

    /// Adds to each node's rows those below it.
    fn widen(&mut self, order: &[usize]) {
        for place in order.iter().rev() {
            let children = &self.visited[*place].children;
            if let Some(end) = children.iter().map(|child| self.visited[*child as usize].rows.end).max() {
                self.visited[*place].rows.end = end;
            }
        }
    }

    /// A segment for each run of pages that the same rows see.
    fn segments(&self, order: &[usize], tree: &RadixTree, segments: &mut Vec<Segment>) {
        // The segment a node's only child continues.
        let mut open: Vec<Option<usize>> = vec![None; self.visited.len()];
        for place in order {
            let Visited { node, children, rows, .. } = &self.visited[*place];
            let mut segment = open[*place];
            if tree.parent(*node).is_some() {
                let index = segment.unwrap_or_else(|| {
                    let start = (tree.depth(*node) - 1) * PAGE_TOKENS;
                    let rows = rows.clone().map(|row| row as u32).collect();
                    segments.push(Segment { start, pages: Vec::new(), rows });
                    segments.len() - 1
                });
                segments[index].pages.push(tree.page(*node));
                segment = Some(index);
            }
            for child in children {
                let same_rows = self.visited[*child as usize].rows == *rows;
                open[*child as usize] = segment.filter(|_| same_rows);
            }
        }
    }
}

/// Segments of the pages that belong to one sequence alone. A row is named with the pages up to its own.
fn add_private(run: &RowRun<'_>, rows: &Range<usize>, segments: &mut Vec<Segment>) {
    let base = run.context.private_start();
    let mut first_of_last = usize::MAX;
    for (index, page) in run.context.private().iter().enumerate() {
        let start = base + index * PAGE_TOKENS;
        if start >= run.end {
            return;
        }
        let first = rows.start + start.saturating_sub(run.start);
        match segments.last_mut().filter(|_| first == first_of_last) {
            Some(segment) => segment.pages.push(*page),
            None => {
                let rows = (first as u32..rows.end as u32).collect();
                segments.push(Segment { start, pages: vec![*page], rows });
            }
        }
        first_of_last = first;
    }
}

//! What the next step computes: which rows of which sequences, and who waits, is admitted or gives way.
//!
//! Continuous batching with chunked prefill: one row for every sequence that draws (more with drafts), and the rest of the step
//! filled with prompts, in order of age. Sequences with a common prefix compute it once: a page that is known is used, and one that
//! is being computed is waited for. When pages run out, cache goes first, then the youngest sequence, which is computed again later
//! with the tokens it has. The oldest sequence always advances, so nobody starves. Pure: no weights, no numbers, no clock.

use std::collections::BTreeMap;

use super::context::{Context, PageTokens, Tokens, shared_work};
use super::ids::{AdapterId, RequestId, WeightVersion};
use super::layout::{Layout, RowRun};
use super::memory::{Memory, PageCopy};
use super::radix::NodeId;
use galapagos_kernels::PAGE_TOKENS;

/// Tokens from which it is better to wait a step for another sequence's page than to compute them twice.
const WORTH_WAITING: usize = 8;

/// Sequences are older the lower their id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SequenceId(pub(crate) u64);

/// Bounds of a step and of the queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Rows of a step; at least `max_sequences`.
    pub(crate) max_rows: usize,
    /// Sequences that have pages.
    pub(crate) max_sequences: usize,
    /// Whether sequences share pages.
    pub(crate) share: bool,
}

/// What a sequence is computed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// A token behind its last one, again and again.
    Draw,
    /// Results of rows, each once.
    Read {
        /// The first position whose result is wanted.
        first: usize,
        /// Results of the positions before this one were read.
        read: usize,
    },
}

#[derive(Debug)]
pub(crate) struct Sequence {
    pub(crate) request: RequestId,
    pub(crate) adapter: Option<AdapterId>,
    pub(crate) tokens: Tokens,
    pub(crate) goal: Goal,
}

impl Sequence {
    /// Positions that may be taken from elsewhere: rows behind them must be computed here.
    fn reusable(&self) -> usize {
        match self.goal {
            Goal::Draw => self.tokens.len() - 1,
            Goal::Read { first, read } => first.max(read),
        }
    }
}

#[derive(Debug)]
struct Active {
    sequence: Sequence,
    context: Context,
    version: WeightVersion,
}

impl Active {
    /// Whether only the last token's row is missing.
    fn draws(&self) -> bool {
        self.sequence.goal == Goal::Draw && self.context.computed() + 1 == self.sequence.tokens.len()
    }
}

/// The rows of one sequence in a step: positions `start..end`, the last `drafts.len()` of which hold guessed tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) sequence: SequenceId,
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) drafts: Vec<u32>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) version: WeightVersion,
    pub(crate) entries: Vec<Entry>,
    rows_left: usize,
}

impl Plan {
    fn push(&mut self, entry: Entry) {
        self.rows_left -= entry.end - entry.start;
        self.entries.push(entry);
    }

    fn remove(&mut self, id: SequenceId) {
        if let Some(place) = self.entries.iter().position(|entry| entry.sequence == id) {
            let entry = self.entries.remove(place);
            self.rows_left += entry.end - entry.start;
        }
    }
}

/// A page somebody computes in this step: its first tokens, behind a node.
type Claim = (NodeId, PageTokens);

/// How much work was saved and repeated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkCounts {
    /// Positions whose keys and values were found instead of computed.
    pub reused_tokens: u64,
    /// Sequences that gave their pages away and were put back to wait.
    pub preemptions: u64,
}

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Scheduler {
    limits: Limits,
    memory: Memory,
    roots: BTreeMap<(WeightVersion, Option<AdapterId>), NodeId>,
    active: BTreeMap<SequenceId, Active>,
    waiting: BTreeMap<SequenceId, Sequence>,
    /// Versions of requests that have begun.
    begun: BTreeMap<RequestId, WeightVersion>,
    current: WeightVersion,
    last: WeightVersion,
    copies: Vec<PageCopy>,
    counts: WorkCounts,
}

impl Scheduler {
    pub(crate) fn new(limits: Limits, pages: usize, current: WeightVersion) -> Self {
        Self {
            limits,
            memory: Memory::new(pages),
            roots: BTreeMap::new(),
            active: BTreeMap::new(),
            waiting: BTreeMap::new(),
            begun: BTreeMap::new(),
            current,
            last: current,
            copies: Vec::new(),
            counts: WorkCounts::default(),
        }
    }

    /// Adds a sequence to those that wait; `id` is younger than all others. It must fit alone.
    pub(crate) fn submit(&mut self, id: SequenceId, sequence: Sequence) {
        self.waiting.insert(id, sequence);
    }

    pub(crate) fn memory(&self) -> &Memory {
        &self.memory
    }

    pub(crate) fn counts(&self) -> WorkCounts {
        self.counts
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn active(&self) -> usize {
        self.active.len()
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.active.is_empty() && self.waiting.is_empty()
    }

    /// Copies to be done, in this order, before keys and values of the plan are written.
    pub(crate) fn take_copies(&mut self) -> Vec<PageCopy> {
        std::mem::take(&mut self.copies)
    }

    /// The rows of a plan, in its order.
    pub(crate) fn layout<'a>(&'a self, plan: &'a Plan) -> Layout {
        let run = |entry: &'a Entry| {
            let Entry { sequence: id, start, end, drafts } = entry;
            let Active { sequence: Sequence { adapter, tokens, .. }, context, .. } = self.active.get(id)?;
            Some(RowRun { context, adapter: *adapter, tokens, drafts, start: *start, end: *end })
        };
        let runs: Vec<RowRun<'a>> = plan.entries.iter().filter_map(run).collect();
        Layout::new(&runs, self.memory.tree())
    }

    /// Sequences that only miss the row of their last token.
    pub(crate) fn drawing(&self) -> impl Iterator<Item = (SequenceId, &Tokens)> {
        let drawing = self.active.iter().filter(|(_, active)| active.draws());
        drawing.map(|(id, active)| (*id, &active.sequence.tokens))
    }

    /// Sequence and context of somebody in the plan.
    pub(crate) fn planned(&self, id: SequenceId) -> Option<(&Sequence, &Context)> {
        self.active.get(&id).map(|active| (&active.sequence, &active.context))
    }

    /// The next step; `None` if there is nothing to do. `drafts` guesses up to a number of tokens behind a sequence that draws.
    /// Without [`Scheduler::advance`] for its entries, the same rows are planned again.
    pub(crate) fn plan(&mut self, drafts: &mut dyn FnMut(SequenceId, &Tokens, usize) -> Vec<u32>) -> Option<Plan> {
        let versions = self.versions_in_turn();
        versions.into_iter().find_map(|version| {
            let mut plan = Plan { version, entries: Vec::new(), rows_left: self.limits.max_rows };
            self.last = version;
            self.plan_draws(&mut plan);
            self.plan_drafts(&mut plan, drafts);
            let mut claims = Vec::new();
            self.plan_prompts(&mut plan, &mut claims);
            self.admit(&mut plan, &mut claims);
            (!plan.entries.is_empty()).then_some(plan)
        })
    }

    /// Versions with work, beginning behind the one that was last.
    fn versions_in_turn(&self) -> Vec<WeightVersion> {
        let next = self.waiting.values().next().map(|sequence| self.version_for(sequence));
        let mut versions: Vec<WeightVersion> = self.active.values().map(|active| active.version).chain(next).collect();
        versions.sort_unstable();
        versions.dedup();
        let behind = versions.partition_point(|version| *version <= self.last);
        versions.rotate_left(behind);
        versions
    }

    fn version_for(&self, sequence: &Sequence) -> WeightVersion {
        self.begun.get(&sequence.request).copied().unwrap_or(self.current)
    }

    fn ids(&self, plan: &Plan, draws: bool) -> Vec<SequenceId> {
        let chosen = |(_, active): &(_, &Active)| active.version == plan.version && active.draws() == draws;
        self.active.iter().filter(chosen).map(|(id, _)| *id).collect()
    }

    /// One row for everybody who draws.
    fn plan_draws(&mut self, plan: &mut Plan) {
        for id in self.ids(plan, true) {
            while let Some(active) = self.active.get_mut(&id) {
                let end = active.sequence.tokens.len();
                if active.context.reserve(&mut self.memory, end) {
                    plan.push(Entry { sequence: id, start: end - 1, end, drafts: Vec::new() });
                    break;
                }
                if !self.preempt_younger(id, plan) {
                    self.preempt(id, plan);
                }
            }
        }
    }

    /// More rows for those with drafts, as far as rows and pages go without anybody giving way; half of the rows that are left stay
    /// for prompts.
    fn plan_drafts(&mut self, plan: &mut Plan, drafts: &mut dyn FnMut(SequenceId, &Tokens, usize) -> Vec<u32>) {
        let mut rows = plan.rows_left / 2;
        for entry in &mut plan.entries {
            let Some(active) = self.active.get_mut(&entry.sequence) else { continue };
            let mut found = drafts(entry.sequence, &active.sequence.tokens, rows);
            found.truncate(rows);
            if !found.is_empty() && !active.context.reserve(&mut self.memory, entry.end + found.len()) {
                found.truncate(active.context.pages() * PAGE_TOKENS - entry.end);
            }
            rows -= found.len();
            plan.rows_left -= found.len();
            entry.end += found.len();
            entry.drafts = found;
        }
    }

    /// Chunks of those that were admitted before.
    fn plan_prompts(&mut self, plan: &mut Plan, claims: &mut Vec<Claim>) {
        for id in self.ids(plan, false) {
            if plan.rows_left == 0 {
                return;
            }
            self.plan_chunk(id, plan, claims);
        }
    }

    /// The next rows of one prompt, unless somebody computes the same ones in this step.
    fn plan_chunk(&mut self, id: SequenceId, plan: &mut Plan, claims: &mut Vec<Claim>) {
        if self.limits.share && !self.look_up(id, claims) {
            return;
        }
        loop {
            let Some(active) = self.active.get_mut(&id) else { return };
            let (length, start) = (active.sequence.tokens.len(), active.context.computed());
            let mut end = length.min(start + plan.rows_left);
            let whole = end / PAGE_TOKENS * PAGE_TOKENS;
            if end < length && whole > start {
                end = whole;
            }
            if !active.context.reserve(&mut self.memory, end) {
                if self.preempt_younger(id, plan) {
                    continue;
                }
                // Older sequences hold the rest; what there is is used.
                let Some(active) = self.active.get(&id) else { return };
                end = active.context.pages() * PAGE_TOKENS;
            }
            if end > start {
                if let Some(active) = self.active.get(&id) {
                    claims.push((active.context.node(), active.context.next_page(&active.sequence.tokens, length)));
                }
                plan.push(Entry { sequence: id, start, end, drafts: Vec::new() });
            }
            return;
        }
    }

    /// Uses what is known of a prompt. False if it is to wait for somebody who computes its next tokens.
    fn look_up(&mut self, id: SequenceId, claims: &[Claim]) -> bool {
        let Some(Active { sequence, context, .. }) = self.active.get_mut(&id) else { return false };
        if !context.at_boundary() {
            return true;
        }
        let (tokens, limit) = (&sequence.tokens, sequence.reusable());
        let before = context.computed();
        context.find_full(&mut self.memory, tokens, limit);
        let next = context.next_page(tokens, limit);
        let same = claims.iter().filter(|(node, _)| *node == context.node());
        let claimed = same.map(|(_, page)| shared_work(page, &next)).max().unwrap_or(0);
        let waits = claimed >= WORTH_WAITING + context.known_partial(&self.memory, tokens, limit);
        if !waits {
            self.copies.extend(context.find_partial(&mut self.memory, tokens, limit));
        }
        self.counts.reused_tokens += (context.computed() - before) as u64;
        !waits
    }

    /// Lets those that wait begin, in order of age, while there are rows, sequences and pages.
    fn admit(&mut self, plan: &mut Plan, claims: &mut Vec<Claim>) {
        while plan.rows_left > 0 && self.active.len() < self.limits.max_sequences {
            let Some((&id, sequence)) = self.waiting.first_key_value() else { return };
            if self.version_for(sequence) != plan.version {
                return;
            }
            let context = Context::new(self.root(plan.version, id), &mut self.memory);
            if !self.has_room(id, context, plan.version) {
                return;
            }
            self.plan_chunk(id, plan, claims);
        }
    }

    fn root(&mut self, version: WeightVersion, id: SequenceId) -> NodeId {
        let adapter = self.waiting.get(&id).and_then(|sequence| sequence.adapter);
        *self.roots.entry((version, adapter)).or_insert_with(|| self.memory.add_root())
    }

    /// Moves a waiting sequence to the active ones if there are pages for its tokens, for what others were promised, and for one more
    /// page of every fourth that draws. The only sequence always has room: that was checked when it came.
    fn has_room(&mut self, id: SequenceId, mut context: Context, version: WeightVersion) -> bool {
        let missing =
            |tokens: &Tokens, context: &Context| tokens.len().div_ceil(PAGE_TOKENS).saturating_sub(context.pages());
        let promised: usize = self.active.values().map(|a| missing(&a.sequence.tokens, &a.context)).sum();
        let Some(sequence) = self.waiting.remove(&id) else { return false };
        let found = if self.limits.share {
            context.find_full(&mut self.memory, &sequence.tokens, sequence.reusable())
        } else {
            0
        };
        let need = missing(&sequence.tokens, &context) + promised + self.active.len().div_ceil(4);
        if need > self.memory.available() && !self.active.is_empty() {
            context.release(&mut self.memory, &sequence.tokens, self.limits.share);
            self.waiting.insert(id, sequence);
            return false;
        }
        self.counts.reused_tokens += found as u64;
        self.begun.insert(sequence.request, version);
        self.active.insert(id, Active { sequence, context, version });
        true
    }

    /// Preempts the youngest active sequence if it is younger than `id`.
    fn preempt_younger(&mut self, id: SequenceId, plan: &mut Plan) -> bool {
        match self.active.last_key_value() {
            Some((&youngest, _)) if youngest > id => {
                self.preempt(youngest, plan);
                true
            }
            Some(_) | None => false,
        }
    }

    /// Puts an active sequence back to wait, without its pages.
    fn preempt(&mut self, id: SequenceId, plan: &mut Plan) {
        plan.remove(id);
        if let Some(active) = self.active.remove(&id) {
            active.context.release(&mut self.memory, &active.sequence.tokens, self.limits.share);
            self.waiting.insert(id, active.sequence);
            self.counts.preemptions += 1;
        }
    }

    /// Notes that rows up to position `computed` of a planned sequence are there and right. The tokens at these positions are known.
    pub(crate) fn advance(&mut self, id: SequenceId, computed: usize) {
        let Some(Active { sequence, context, .. }) = self.active.get_mut(&id) else { return };
        context.advance(&mut self.memory, &sequence.tokens, computed, self.limits.share);
        if self.limits.share && computed == sequence.tokens.prompt.len() {
            context.lend(&mut self.memory, &sequence.tokens);
        }
        if let Goal::Read { read, .. } = &mut sequence.goal {
            *read = computed.max(*read);
        }
    }

    /// Adds a token that was drawn.
    pub(crate) fn push(&mut self, id: SequenceId, token: u32) {
        if let Some(active) = self.active.get_mut(&id) {
            active.sequence.tokens.made.push(token);
        }
    }

    /// Ends a sequence; its pages stay as cache. Gives it, and the version it was computed with if it had begun.
    pub(crate) fn finish(&mut self, id: SequenceId) -> Option<Sequence> {
        let sequence = match self.active.remove(&id) {
            Some(active) => {
                active.context.release(&mut self.memory, &active.sequence.tokens, self.limits.share);
                active.sequence
            }
            None => self.waiting.remove(&id)?,
        };
        self.forget_request(sequence.request);
        Some(sequence)
    }

    /// Drops what is known of a request without sequences.
    fn forget_request(&mut self, request: RequestId) {
        let active = self.active.values().map(|active| &active.sequence);
        if !active.chain(self.waiting.values()).any(|sequence| sequence.request == request) {
            self.begun.remove(&request);
        }
    }

    /// Sequences begin with `version` from now on. With `restart`, those that have begun start again, and their ids are given.
    pub(crate) fn swap(&mut self, version: WeightVersion, restart: bool) -> Vec<SequenceId> {
        self.current = version;
        if !restart {
            return Vec::new();
        }
        for (id, active) in std::mem::take(&mut self.active) {
            active.context.release(&mut self.memory, &active.sequence.tokens, false);
            self.waiting.insert(id, active.sequence);
        }
        let begun = std::mem::take(&mut self.begun);
        let again = self.waiting.iter_mut().filter(|(_, sequence)| begun.contains_key(&sequence.request));
        again
            .map(|(id, sequence)| {
                sequence.tokens.made.clear();
                if let Goal::Read { read, .. } = &mut sequence.goal {
                    *read = 0;
                }
                *id
            })
            .collect()
    }

    /// Whether some sequence needs `adapter`.
    pub(crate) fn uses(&self, adapter: AdapterId) -> bool {
        let active = self.active.values().map(|active| &active.sequence);
        active.chain(self.waiting.values()).any(|sequence| sequence.adapter == Some(adapter))
    }

    /// Forgets cached pages of versions and adapters that nobody can ask for any more. Gives the versions that are needed, ascending.
    pub(crate) fn clean(&mut self, is_adapter: &dyn Fn(AdapterId) -> bool) -> Vec<WeightVersion> {
        let mut needed: Vec<WeightVersion> = self.begun.values().copied().chain([self.current]).collect();
        needed.sort_unstable();
        needed.dedup();
        let memory = &mut self.memory;
        self.roots.retain(|(version, adapter), root| {
            let reachable = needed.binary_search(version).is_ok() && adapter.is_none_or(is_adapter);
            reachable || !memory.remove_root(*root)
        });
        needed
    }
}

#[cfg(test)]
mod tests;

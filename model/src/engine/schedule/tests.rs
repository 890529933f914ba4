//! Scheduler, contexts, radix tree and layout together, against a model of attention: a page is a list of the tokens that were
//! written to it, and a row must see exactly the tokens of its own sequence.

use std::sync::Arc;

use galapagos_kernels::KvSlot;
use proptest::prelude::*;

use super::*;
use crate::engine::layout::Layout;

/// What a slot of a page holds: token, position, weights, adapter.
type Cell = Option<(u32, usize, WeightVersion, Option<AdapterId>)>;

struct Simulation {
    scheduler: Scheduler,
    pages: Vec<[Cell; PAGE_TOKENS]>,
    /// Tokens each sequence is to make.
    wanted: BTreeMap<SequenceId, usize>,
    done: BTreeMap<SequenceId, (WeightVersion, Vec<u32>)>,
    rows: usize,
    next: u64,
}

/// The token that follows a context: any function of all of it, of the weights and of the adapter.
fn draw(tokens: &Tokens, version: WeightVersion, adapter: Option<AdapterId>) -> u32 {
    let start = version.0 * 31 + adapter.map_or(0, |adapter| u64::from(adapter.0) + 7);
    let mix = |hash: u64, token: &u32| (hash ^ u64::from(*token)).wrapping_mul(0x0100_0000_01b3);
    let hash = tokens.prompt.iter().chain(&tokens.made).fold(start, mix);
    ((hash >> 7) % 5) as u32
}

impl Simulation {
    fn new(limits: Limits, pages: usize) -> Self {
        Self {
            scheduler: Scheduler::new(limits, pages, WeightVersion(0)),
            pages: vec![[None; PAGE_TOKENS]; pages],
            wanted: BTreeMap::new(),
            done: BTreeMap::new(),
            rows: 0,
            next: 0,
        }
    }

    fn submit(&mut self, prompt: &[u32], samples: u64, new: usize, adapter: Option<AdapterId>) -> RequestId {
        let request = RequestId(self.next);
        for _ in 0..samples {
            let id = SequenceId(self.next);
            self.next += 1;
            let tokens = Tokens { prompt: Arc::from(prompt), made: Vec::new() };
            self.scheduler.submit(id, Sequence { request, adapter, tokens, goal: Goal::Draw });
            self.wanted.insert(id, new);
        }
        request
    }

    /// One step; false if there was nothing to do.
    fn step(&mut self, guess: &mut dyn FnMut(SequenceId, &Tokens, usize) -> Vec<u32>) -> bool {
        let wanted = &self.wanted;
        let mut drafts = |id, tokens: &Tokens, most: usize| {
            let left = wanted[&id] - tokens.made.len() - 1;
            guess(id, tokens, most.min(left))
        };
        let Some(plan) = self.scheduler.plan(&mut drafts) else {
            assert!(self.scheduler.is_idle(), "work, but no plan: {:?}", self.scheduler);
            return false;
        };
        for PageCopy { from, to, tokens } in self.scheduler.take_copies() {
            assert!(tokens > 0 && tokens <= PAGE_TOKENS && from != to);
            let source = self.pages[from as usize];
            self.pages[to as usize][..tokens].copy_from_slice(&source[..tokens]);
        }
        let layout = self.scheduler.layout(&plan);
        self.write(&plan, &layout);
        self.check(&plan, &layout);
        self.rows += layout.tokens.len();
        for entry in &plan.entries {
            self.commit(entry, plan.version);
        }
        true
    }

    fn write(&mut self, plan: &Plan, layout: &Layout) {
        let mut rows = 0;
        for (adapter, run) in &layout.adapters {
            assert_eq!(run.start, rows, "runs of adapters cover the rows in order");
            rows = run.end;
            for row in run.clone() {
                let KvSlot { page, slot } = layout.slots[row];
                let cell = (layout.tokens[row], layout.positions[row] as usize, plan.version, *adapter);
                self.pages[page as usize][slot as usize] = Some(cell);
            }
        }
        assert_eq!(rows, layout.tokens.len());
        let mut adapters: Vec<_> = layout.adapters.iter().map(|(adapter, _)| adapter).collect();
        let runs = adapters.len();
        adapters.sort();
        adapters.dedup();
        assert_eq!(runs, adapters.len(), "rows of one adapter are neighbours");
    }

    /// Every row sees its own context, once, in order.
    fn check(&self, plan: &Plan, layout: &Layout) {
        for (entry, rows) in plan.entries.iter().zip(&layout.rows) {
            let (sequence, _) = self.scheduler.planned(entry.sequence).unwrap();
            assert_eq!(rows.len(), entry.end - entry.start);
            for row in rows.clone() {
                let position = layout.positions[row] as usize;
                let mut seen = Vec::new();
                for segment in layout.segments.iter().filter(|segment| segment.rows.contains(&(row as u32))) {
                    assert!(segment.rows.is_sorted() && segment.start.is_multiple_of(PAGE_TOKENS));
                    assert_eq!(segment.start, seen.len().next_multiple_of(PAGE_TOKENS));
                    for page in &segment.pages {
                        let start = seen.len();
                        assert!(start <= position, "a page behind the row's own");
                        let slots = PAGE_TOKENS.min(position + 1 - start);
                        seen.extend_from_slice(&self.pages[*page as usize][..slots]);
                    }
                }
                let known = entry.end - entry.drafts.len();
                let token = |at: usize| if at < known { sequence.tokens.at(at) } else { entry.drafts[at - known] };
                let expected: Vec<Cell> =
                    (0..=position).map(|at| Some((token(at), at, plan.version, sequence.adapter))).collect();
                assert_eq!(seen, expected, "{:?} at {position}", entry.sequence);
            }
        }
    }

    fn commit(&mut self, entry: &Entry, version: WeightVersion) {
        let id = entry.sequence;
        let known = entry.end - entry.drafts.len();
        let mut computed = known;
        let (sequence, _) = self.scheduler.planned(id).unwrap();
        if known == sequence.tokens.len() {
            let (mut tokens, adapter) = (sequence.tokens.clone(), sequence.adapter);
            for draft in entry.drafts.iter().copied().map(Some).chain([None]) {
                let token = draw(&tokens, version, adapter);
                tokens.made.push(token);
                self.scheduler.push(id, token);
                if draft != Some(token) {
                    break;
                }
                computed += 1;
            }
        }
        self.scheduler.advance(id, computed);
        let (sequence, _) = self.scheduler.planned(id).unwrap();
        if sequence.tokens.made.len() >= self.wanted[&id] {
            let sequence = self.scheduler.finish(id).unwrap();
            self.done.insert(id, (version, sequence.tokens.made));
        }
    }

    fn run(&mut self) {
        let mut steps = 0;
        while self.step(&mut |_, _, _| Vec::new()) {
            steps += 1;
            assert!(steps < 20_000, "no end: {:?}", self.scheduler);
        }
    }
}

/// The same sequence alone, computed from nothing.
fn alone(prompt: &[u32], new: usize, version: WeightVersion, adapter: Option<AdapterId>) -> Vec<u32> {
    let mut tokens = Tokens { prompt: Arc::from(prompt), made: Vec::new() };
    while tokens.made.len() < new {
        let token = draw(&tokens, version, adapter);
        tokens.made.push(token);
    }
    tokens.made
}

const LIMITS: Limits = Limits { max_rows: 64, max_sequences: 8, share: true };

fn numbers(length: usize) -> Vec<u32> {
    (0..length as u32).collect()
}

#[test]
fn samples_of_one_prompt_compute_it_once() {
    // Without the three tokens that each sample feeds: the prompt once, and its last token for each further sample. A few tokens
    // alone are computed by everyone rather than waited for.
    for (length, rows) in [(300, 300 + 7), (320, 320 + 7), (20, 20 + 7), (5, 5 * 8)] {
        let mut simulation = Simulation::new(LIMITS, 200);
        simulation.submit(&numbers(length), 8, 4, None);
        simulation.run();
        assert_eq!(simulation.rows, rows + 8 * 3, "{length}");
        let all: BTreeMap<_, _> = simulation.done;
        assert!(all.values().all(|(_, made)| *made == alone(&numbers(length), 4, WeightVersion(0), None)));
    }
}

#[test]
fn a_continuation_finds_what_was_decoded() {
    let mut simulation = Simulation::new(LIMITS, 200);
    simulation.submit(&numbers(40), 1, 50, None);
    simulation.run();
    let rows = simulation.rows;
    let made = simulation.done[&SequenceId(0)].1.clone();
    simulation.submit(&[numbers(40), made, vec![9, 9]].concat(), 1, 1, None);
    simulation.run();
    // The last token drawn was never fed.
    assert_eq!(simulation.rows - rows, 3);
}

#[test]
fn with_sharing_off_everything_is_computed() {
    let mut simulation = Simulation::new(Limits { share: false, ..LIMITS }, 200);
    simulation.submit(&numbers(100), 4, 3, None);
    simulation.run();
    assert_eq!(simulation.rows, 4 * (100 + 2));
    assert_eq!(simulation.scheduler.memory().counts().cached, 0);
}

#[test]
fn other_weights_and_other_adapters_find_nothing() {
    let mut simulation = Simulation::new(LIMITS, 200);
    simulation.submit(&numbers(100), 1, 1, None);
    simulation.run();
    simulation.submit(&numbers(100), 1, 1, Some(AdapterId(3)));
    simulation.run();
    assert_eq!(simulation.rows, 200);
    simulation.scheduler.swap(WeightVersion(1), false);
    assert_eq!(simulation.scheduler.clean(&|_| true), [WeightVersion(1)]);
    assert_eq!(simulation.scheduler.memory().counts().cached, 0, "pages of the old weights are gone");
    simulation.submit(&numbers(100), 1, 1, None);
    simulation.run();
    assert_eq!(simulation.rows, 300);
}

#[derive(Clone, Debug)]
enum Action {
    Submit { shape: usize, length: usize, samples: u64, new: usize, adapter: Option<u32> },
    Step(usize),
    Cancel(usize),
    Swap { restart: bool },
}

fn action() -> impl Strategy<Value = Action> {
    let submit = (0..3usize, 1..150usize, 1..5u64, 1..60usize, proptest::option::of(0..2u32));
    let submit = submit.prop_map(|(shape, length, samples, new, adapter)| Action::Submit {
        shape,
        length,
        samples,
        new,
        adapter,
    });
    prop_oneof![
        5 => submit,
        8 => (1..30usize).prop_map(Action::Step),
        1 => (0..50usize).prop_map(Action::Cancel),
        1 => any::<bool>().prop_map(|restart| Action::Swap { restart }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Invariants, under every mix of requests, budgets, chunk sizes, drafts, cancels and swaps: rows see their own context only (in
    /// `Simulation::check`); there is always a step until all is done; tokens are those of the sequence alone under the weights it
    /// was computed with; samples of a request have one version unless some were started again; in the end no page is in use.
    #[test]
    fn tokens_never_depend_on_the_schedule(
        actions in proptest::collection::vec(action(), 1..40),
        max_rows in 4..90usize,
        max_sequences in 1..9usize,
        pages in 7..40usize,
        (share, guesses) in (any::<bool>(), any::<bool>()),
    ) {
        let limits = Limits { max_rows: max_rows.max(max_sequences), max_sequences, share };
        let mut simulation = Simulation::new(limits, pages);
        let (mut requests, mut version, mut restarted) = (Vec::new(), WeightVersion(0), false);
        // Every third guess is wrong.
        let mut guess = |id: SequenceId, tokens: &Tokens, most: usize| {
            let count = if guesses { most.min(tokens.len() % 5) } else { 0 };
            let mut next = tokens.clone();
            for index in 0..count {
                let right = draw(&next, WeightVersion(0), None);
                next.made.push(if (index + id.0 as usize).is_multiple_of(3) { 9 } else { right });
            }
            next.made.split_off(tokens.made.len())
        };
        for action in actions {
            match action {
                Action::Submit { shape, length, samples, new, adapter } => {
                    let prompt: Vec<u32> = (0..length).map(|i| if i < length / 2 { 1 } else { (i % (shape + 2)) as u32 }).collect();
                    let request = simulation.submit(&prompt, samples, new, adapter.map(AdapterId));
                    requests.push((request, samples, prompt, new, adapter.map(AdapterId)));
                }
                Action::Step(steps) => for _ in 0..steps { simulation.step(&mut guess); },
                Action::Cancel(index) if !requests.is_empty() => {
                    let (request, samples, ..) = requests.remove(index % requests.len());
                    for id in request.0..request.0 + samples {
                        simulation.scheduler.finish(SequenceId(id));
                        simulation.done.remove(&SequenceId(id));
                    }
                }
                Action::Cancel(_) => {}
                Action::Swap { restart } => {
                    version.0 += 1;
                    restarted |= restart;
                    simulation.scheduler.swap(version, restart);
                    simulation.scheduler.clean(&|_| true);
                }
            }
            let counts = simulation.scheduler.memory().counts();
            prop_assert_eq!(counts.used + counts.cached + counts.free, counts.made);
            prop_assert!(counts.made <= pages);
        }
        simulation.run();
        for (request, samples, prompt, new, adapter) in requests {
            let mut versions = Vec::new();
            for id in request.0..request.0 + samples {
                let (version, made) = simulation.done.get(&SequenceId(id)).cloned().unwrap();
                prop_assert_eq!(made, alone(&prompt, new, version, adapter));
                versions.push(version);
            }
            versions.dedup();
            prop_assert!(versions.len() == 1 || restarted, "{:?}", versions);
        }
        prop_assert_eq!(simulation.scheduler.memory().counts().used, 0);
    }
}

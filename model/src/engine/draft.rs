//! A smaller model that guesses for the engine's own: its weights, and keys and values of the same sequences in pages of its own.
//!
//! Guesses are drawn with the draws the engine will make, and change no token: see `speculate`. So whatever is missing here (pages,
//! time to catch up with a long prompt) costs guesses, never correctness.

use std::collections::BTreeMap;
use std::sync::Arc;

use galapagos_kernels::Pool;
use tch::TchError;

use super::context::{Context, Tokens};
use super::layout::{Layout, RowRun};
use super::memory::Memory;
use super::radix::NodeId;
use super::sample::Work;
use super::schedule::SequenceId;
use super::step::pick;
use super::store::{Store, on_cpu};
use super::{Engine, EngineError};
use crate::compute::Doing;
use crate::inference::{InferenceModel, Rows};
use crate::sampling::Scratch;
use crate::speculate::CoupledDraft;
use crate::tensors::f32s;
use crate::{Decoder, ModelConfig, ModelKind, Precision};

/// Tokens computed in a pass of the draft model.
const PASS_ROWS: usize = 256;

/// See the head of this file.
#[derive(Debug)]
pub(super) struct DraftModel {
    model: InferenceModel,
    pool: Arc<Pool>,
    memory: Memory,
    store: Store,
    root: NodeId,
    followed: BTreeMap<SequenceId, Followed>,
    scratch: Scratch,
}

impl Engine {
    /// Lets requests be speculated for by `model`, which has the same vocabulary; its keys and values take at most `kv_bytes`, apart
    /// from the engine's own. It stays the same when the engine's weights are swapped. Changes no token.
    ///
    /// # Errors
    /// [`EngineError::DraftModel`] for a model that cannot draft, [`EngineError::Compute`] when libtorch cannot hold the copy.
    pub fn set_draft_model(&mut self, model: &Decoder, kv_bytes: usize) -> Result<(), EngineError> {
        let _no_gradients = tch::no_grad_guard();
        let config = model.config();
        if config.kind != ModelKind::CausalLm || config.vocab_size != self.config.vocab_size {
            let (vocab_size, need) = (config.vocab_size, self.config.vocab_size);
            return Err(EngineError::DraftModel { have: config.kind, vocab_size, need });
        }
        let places = |config: &ModelConfig| config.vision.map(|vision| (vision.rows, vision.columns));
        if places(config) != places(&self.config) {
            return Err(EngineError::DraftVision);
        }
        self.draft = Some(DraftModel::new(model, self.options.precision, &self.pool, kv_bytes)?);
        Ok(())
    }

    /// What the draft model guesses for the sequences that draw and ask for it.
    pub(super) fn model_drafts(&mut self) -> Result<BTreeMap<SequenceId, Vec<u32>>, TchError> {
        let Some(model) = &mut self.draft else { return Ok(BTreeMap::new()) };
        let works = &self.works;
        let wish = |(sequence, tokens): (SequenceId, &Tokens)| match works.get(&sequence) {
            Some(Work::Sample(sample)) => {
                let (most, chooser) = (sample.model_drafts(), sample.chooser.as_ref()?);
                let draft = CoupledDraft::new(&chooser.sampler, chooser.guide.as_ref());
                (most > 0).then(|| Wish { sequence, tokens: tokens.clone(), most, draft })
            }
            Some(Work::Score(_)) | None => None,
        };
        let wishes: Vec<Wish> = self.scheduler.drawing().filter_map(wish).collect();
        if wishes.is_empty() { Ok(BTreeMap::new()) } else { model.draft(wishes) }
    }
}

/// A sequence as the draft model knows it.
#[derive(Debug)]
struct Followed {
    context: Context,
    /// Guesses behind the known tokens whose keys and values were written, right or not.
    fed: Vec<u32>,
}

/// A sequence that is to be guessed ahead.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) sequence: SequenceId,
    pub(super) tokens: Tokens,
    /// At most this many tokens, at least 1.
    pub(super) most: usize,
    pub(super) draft: CoupledDraft,
}

/// A wish in a pass: the positions that are fed.
#[derive(Debug)]
struct Run {
    wish: Wish,
    start: usize,
    end: usize,
}

impl Run {
    /// Whether the row of the last token, known or guessed, is in this pass.
    fn is_complete(&self) -> bool {
        self.end == self.wish.tokens.len() + self.wish.draft.tokens().len()
    }
}

impl DraftModel {
    /// Copies the weights of `model`; its keys and values take at most `kv_bytes`.
    pub(super) fn new(
        model: &Decoder,
        precision: Precision,
        pool: &Arc<Pool>,
        kv_bytes: usize,
    ) -> Result<Self, EngineError> {
        let inference = InferenceModel::new(model, precision, Arc::clone(pool)).doing("a copy of the draft model")?;
        let page_bytes = inference.kv_geometry().bytes_per_page();
        if kv_bytes < page_bytes {
            let expected = format!("at least {page_bytes}, a page of the draft model");
            return Err(EngineError::Option { name: "kv_bytes", value: kv_bytes, expected });
        }
        let mut memory = Memory::new(kv_bytes / page_bytes);
        let root = memory.add_root();
        Ok(Self {
            store: Store::new(&inference),
            model: inference,
            pool: Arc::clone(pool),
            memory,
            root,
            followed: BTreeMap::new(),
            scratch: Scratch::default(),
        })
    }

    /// Forgets a sequence that ends, or begins again without these tokens.
    pub(super) fn forget(&mut self, sequence: SequenceId, tokens: &Tokens) {
        if let Some(followed) = self.followed.remove(&sequence) {
            followed.context.release(&mut self.memory, tokens, true);
        }
    }

    /// Forgets all sequences.
    pub(super) fn forget_all(&mut self) {
        let none = Tokens { prompt: Arc::default(), made: Vec::new() };
        for followed in std::mem::take(&mut self.followed).into_values() {
            followed.context.release(&mut self.memory, &none, false);
        }
    }

    /// Guesses for each wish; none for those whose context is not computed yet.
    pub(super) fn draft(&mut self, wishes: Vec<Wish>) -> Result<BTreeMap<SequenceId, Vec<u32>>, TchError> {
        let (mut rows_left, mut runs, mut found) = (PASS_ROWS, Vec::new(), BTreeMap::new());
        for wish in wishes {
            let Some(start) = self.catch_up(&wish)? else { continue };
            let end = wish.tokens.len().min(start + rows_left);
            if end > start {
                rows_left -= end - start;
                runs.push(Run { wish, start, end });
            }
        }
        while !runs.is_empty() {
            let going_on = self.pass(runs)?;
            runs = Vec::new();
            for run in going_on {
                let (known, drafted) = (run.wish.tokens.len(), run.wish.draft.tokens().len());
                if drafted == run.wish.most || !run.is_ahead() {
                    found.insert(run.wish.sequence, run.wish.draft.tokens().to_vec());
                } else {
                    runs.push(Run { start: known + drafted - 1, end: known + drafted, ..run });
                }
            }
        }
        Ok(found)
    }

    /// Takes over what is known of a sequence, and pages for what comes. Gives the first position to be fed; `None` if there are too
    /// few pages or positions.
    fn catch_up(&mut self, wish: &Wish) -> Result<Option<usize>, TchError> {
        let (memory, tokens) = (&mut self.memory, &wish.tokens);
        let root = self.root;
        let followed = self.followed.entry(wish.sequence);
        let followed = followed.or_insert_with(|| Followed { context: Context::new(root, memory), fed: Vec::new() });
        let before = followed.context.computed();
        let context = &mut followed.context;
        let right =
            followed.fed.iter().zip(before..tokens.len()).take_while(|(fed, at)| **fed == tokens.at(*at)).count();
        followed.fed.clear();
        context.advance(memory, tokens, before + right, true);
        let reusable = tokens.len() - 1;
        context.find_full(memory, tokens, reusable);
        let copy = context.find_partial(memory, tokens, reusable);
        let end = tokens.len() + wish.most;
        let fits = context.reserve(memory, end) && end <= self.model.config().max_position_embeddings;
        let start = context.computed();
        self.store.grow(self.memory.counts().made)?;
        if let Some(copy) = copy {
            self.store.copy(copy)?;
        }
        if fits {
            return Ok(Some(start));
        }
        self.forget(wish.sequence, tokens);
        Ok(None)
    }

    /// Feeds the runs, and gives those that can go on, each with one more guess if its guide allows one.
    fn pass(&mut self, runs: Vec<Run>) -> Result<Vec<Run>, TchError> {
        let row_runs: Vec<RowRun<'_>> = runs
            .iter()
            .filter_map(|run| {
                let context = &self.followed.get(&run.wish.sequence)?.context;
                let drafts = &run.wish.draft.tokens()[..run.end.saturating_sub(run.wish.tokens.len())];
                Some(RowRun {
                    context,
                    adapter: None,
                    tokens: &run.wish.tokens,
                    drafts,
                    start: run.start,
                    end: run.end,
                })
            })
            .collect();
        let layout = Layout::new(&row_runs, self.memory.tree());
        let Layout { tokens, positions, patches, .. } = &layout;
        let rows = Rows { tokens, positions, patches, ..Rows::default() };
        let x = self.model.trunk(&rows, &mut self.store.attention(&layout, &self.pool))?;
        let mut complete: Vec<(usize, Run)> = Vec::new();
        for (run, rows) in runs.into_iter().zip(&layout.rows) {
            self.note(&run);
            if run.is_complete() {
                complete.push((rows.end - 1, run));
            }
        }
        if complete.is_empty() {
            return Ok(Vec::new());
        }
        complete.sort_by_key(|(row, _)| *row);
        let logits = self.model.logits(&pick(&x, complete.iter().map(|(row, _)| *row))?)?;
        let logits =
            on_cpu(&logits.ok_or_else(|| TchError::Shape("the draft model has no output projection".to_owned()))?)?;
        let logits = f32s(&logits)?.chunks_exact(self.model.config().vocab_size);
        let propose = |((_, mut run), logits): ((usize, Run), &[f32])| {
            // A draft that cannot go on ends here; the engine's own choice will say what is wrong, if anything is.
            let _ = run.wish.draft.propose(logits, &mut self.scratch);
            run
        };
        Ok(complete.into_iter().zip(logits).map(propose).collect())
    }

    /// Notes what a pass wrote.
    fn note(&mut self, run: &Run) {
        let Some(followed) = self.followed.get_mut(&run.wish.sequence) else { return };
        let known = run.end.min(run.wish.tokens.len());
        followed.context.advance(&mut self.memory, &run.wish.tokens, known.max(followed.context.computed()), true);
        if run.end > known {
            followed.fed = run.wish.draft.tokens()[..run.end - known].to_vec();
        }
    }
}

impl Run {
    /// Whether the last pass gave one more guess.
    fn is_ahead(&self) -> bool {
        self.wish.tokens.len() + self.wish.draft.tokens().len() > self.end
    }
}

//! One step: the planned rows through the model, and what comes of them.
//!
//! Nothing of a sequence changes before all numbers are there, so a step that fails can be repeated.

use std::collections::BTreeMap;

use galapagos_kernels::vocabulary::{self, Scale};
use tch::{TchError, Tensor};

use super::context::Tokens;
use super::event::{Event, SampleError, TokenEvent};
use super::layout::Layout;
use super::request::Masks;
use super::sample::{Chooser, Work};
use super::schedule::{Entry, Goal, Plan, Sequence, SequenceId};
use super::store::on_cpu;
use super::{Engine, EngineError};
use crate::compute::Doing;
use crate::guide::Guide;
use crate::inference::Rows;
use crate::lora::AdapterRows;
use crate::profile::{Phase, Profile, measure, phase};
use crate::sampling::Chosen;
use crate::speculate::{SequenceRows, VerifyError, verify_all};
use crate::stop::Finish;
use crate::tensors::f32s;

/// Rows whose logits are held at a time when scoring.
const LOGIT_ROWS: usize = 64;

/// A row whose numbers are wanted, and what for.
#[derive(Clone, Copy, Debug)]
struct ReadRow {
    row: usize,
    sequence: SequenceId,
    /// The token whose log-probability is wanted; all that the head says without one.
    target: Option<u32>,
    masks: Option<Masks>,
}

/// What a step's rows gave.
#[derive(Debug, Default)]
struct Outcome {
    /// Of each entry that draws: at least one token.
    chosen: BTreeMap<SequenceId, Result<Vec<Chosen>, VerifyError>>,
    /// Of each sequence in order of position.
    reads: Vec<(SequenceId, f32)>,
}

impl Engine {
    /// Computes one batch of rows: the next token of every sequence that draws, and pieces of prompts. Gives what happened since the
    /// last call; nothing happens when the engine is idle.
    ///
    /// # Errors
    /// [`EngineError`] when the computation fails; the step can be repeated.
    pub fn step(&mut self) -> Result<Vec<Event>, EngineError> {
        if !self.profiles {
            return self.compute_step();
        }
        let (events, profile) = measure(|| self.compute_step());
        self.profile.add(&profile);
        events
    }

    /// From now on, steps are measured (which costs some 50 ns a phase); gives what was measured so far and begins anew.
    pub fn start_profile(&mut self) -> Profile {
        self.profiles = true;
        std::mem::take(&mut self.profile)
    }

    /// Steps are no longer measured; gives what was.
    pub fn end_profile(&mut self) -> Profile {
        self.profiles = false;
        std::mem::take(&mut self.profile)
    }

    fn compute_step(&mut self) -> Result<Vec<Event>, EngineError> {
        let _no_gradients = tch::no_grad_guard();
        let mut found = self.model_drafts().doing("a draft")?;
        let works = &mut self.works;
        let mut drafts = |id, _: &Tokens, most| match works.get_mut(&id) {
            Some(Work::Sample(sample)) => sample.draft(found.remove(&id), most),
            Some(Work::Score(_)) | None => Vec::new(),
        };
        let plan = phase(Phase::Schedule, || {
            let plan = self.scheduler.plan(&mut drafts)?;
            let layout = self.scheduler.layout(&plan);
            Some((plan, layout))
        });
        if let Some((plan, layout)) = plan {
            let outcome = self.compute(&plan, &layout).doing("a step of the engine")?;
            self.stats.steps += 1;
            self.stats.computed_tokens += layout.tokens.len() as u64;
            phase(Phase::Schedule, || self.commit(&plan, outcome));
        } else if !self.scheduler.is_idle() {
            let (active, waiting) = (self.scheduler.active(), self.scheduler.waiting());
            return Err(EngineError::Stuck { active, waiting });
        }
        Ok(std::mem::take(&mut self.events))
    }

    fn compute(&mut self, plan: &Plan, layout: &Layout) -> Result<Outcome, TchError> {
        self.store.grow(self.scheduler.memory().counts().made)?;
        for copy in self.scheduler.take_copies() {
            self.store.copy(copy)?;
        }
        let Some(model) = self.models.get(&plan.version) else {
            return Err(TchError::Shape(format!("there are no weights of version {:?}", plan.version)));
        };
        let adapters = self.adapters.ranges(layout);
        let Layout { tokens, positions, patches, .. } = layout;
        let rows = Rows { tokens, positions, adapters: AdapterRows(&adapters), patches };
        let x = model.trunk(&rows, &mut self.store.attention(layout, &self.pool))?;
        let mut outcome = Outcome::default();
        phase(Phase::Choose, || self.read(plan, layout, &x, &mut outcome.reads))?;
        let (drawing, rows) = self.draw_rows(plan, layout);
        if !rows.is_empty() {
            let logits = self.logits(plan, &pick(&x, rows.into_iter())?)?;
            outcome.chosen = phase(Phase::Choose, || Ok::<_, TchError>(self.choose(&drawing, f32s(&logits)?)))?;
        }
        Ok(outcome)
    }

    /// Chooses the tokens of `drawing`, whose rows of logits follow each other.
    fn choose(
        &mut self,
        drawing: &[&Entry],
        mut logits: &[f32],
    ) -> BTreeMap<SequenceId, Result<Vec<Chosen>, VerifyError>> {
        let chooser = |works: &mut BTreeMap<SequenceId, Work>, id| match works.get_mut(&id) {
            Some(Work::Sample(sample)) => {
                sample.chooser.take().map(|chooser| (chooser, sample.asked.request.top_log_probs))
            }
            Some(Work::Score(_)) | None => None,
        };
        let mut choosers: Vec<(&Entry, Chooser, usize)> = Vec::with_capacity(drawing.len());
        for entry in drawing {
            choosers.extend(chooser(&mut self.works, entry.sequence).map(|(chooser, top)| (*entry, chooser, top)));
        }
        let rows = choosers.iter_mut().map(|(entry, chooser, top)| {
            let (own, rest) = logits.split_at((entry.drafts.len() + 1) * self.config.vocab_size);
            logits = rest;
            let Chooser { sampler, guide } = chooser;
            SequenceRows { sampler, guide: guide.as_mut(), draft: &entry.drafts, logits: own, top: *top }
        });
        let chosen = verify_all(&self.pool, rows.collect(), &mut self.scratch);
        let mut found = BTreeMap::new();
        for ((entry, chooser, _), chosen) in choosers.into_iter().zip(chosen) {
            if let Some(Work::Sample(sample)) = self.works.get_mut(&entry.sequence) {
                sample.chooser = Some(chooser);
            }
            found.insert(entry.sequence, chosen);
        }
        found
    }

    /// Reads what score requests want of the rows' hidden states.
    fn read(
        &self,
        plan: &Plan,
        layout: &Layout,
        x: &Tensor,
        found: &mut Vec<(SequenceId, f32)>,
    ) -> Result<(), TchError> {
        let mut reads = self.read_rows(plan, layout);
        reads.sort_by_key(|read| read.row);
        for row in reads.extract_if(.., |row| row.masks.is_some()) {
            self.read_masked(plan, x, row, found)?;
        }
        let (log_probs, values): (Vec<ReadRow>, Vec<ReadRow>) = reads.into_iter().partition(|row| row.target.is_some());
        for reads in log_probs.chunks(LOGIT_ROWS) {
            // A row that is read several times is computed once.
            let rows: Vec<&[ReadRow]> = reads.chunk_by(|one, other| one.row == other.row).collect();
            let logits = self.logits(plan, &pick(x, rows.iter().map(|reads| reads[0].row))?)?;
            let logits = f32s(&logits)?.chunks_exact(self.config.vocab_size);
            for (logits, reads) in logits.zip(rows) {
                let log_prob = |read: &ReadRow| (read.sequence, log_prob(logits, read.target.unwrap_or_default()));
                found.extend(reads.iter().map(log_prob));
            }
        }
        if !values.is_empty() {
            let said = self.models[&plan.version].labels(&pick(x, values.iter().map(|row| row.row))?)?;
            let said = on_cpu(&said.ok_or_else(|| TchError::Shape("the model's head gives no values".to_owned()))?)?;
            let rows = values.iter().zip(f32s(&said)?.chunks_exact(self.config.label_count()));
            found.extend(rows.flat_map(|(row, numbers)| numbers.iter().map(|number| (row.sequence, *number))));
        }
        Ok(())
    }

    fn read_masked(
        &self,
        plan: &Plan,
        x: &Tensor,
        row: ReadRow,
        found: &mut Vec<(SequenceId, f32)>,
    ) -> Result<(), TchError> {
        let Some(masks) = row.masks else { return Ok(()) };
        let (width, count) = (self.config.hidden_size, masks.count);
        let factors = Tensor::f_from_slice(&masks.factors(width))?.f_reshape([count as i64, width as i64])?;
        let x = pick(x, std::iter::once(row.row))?;
        let said = self.models[&plan.version].masked_labels(&x, &factors.f_to_device(x.device())?)?;
        let said = on_cpu(&said.ok_or_else(|| TchError::Shape("the model's head gives no values".to_owned()))?)?;
        found.extend(f32s(&said)?.iter().map(|number| (row.sequence, *number)));
        Ok(())
    }

    fn logits(&self, plan: &Plan, x: &Tensor) -> Result<Tensor, TchError> {
        let logits = self.models[&plan.version].logits(x)?;
        on_cpu(&logits.ok_or_else(|| TchError::Shape("the model has no output projection".to_owned()))?)
    }

    /// The entries that draw, in order of their rows, and the rows they draw behind.
    fn draw_rows<'a>(&self, plan: &'a Plan, layout: &Layout) -> (Vec<&'a Entry>, Vec<usize>) {
        let mut order: Vec<usize> = (0..plan.entries.len()).collect();
        order.sort_by_key(|index| layout.rows[*index].start);
        let (mut drawing, mut picked) = (Vec::new(), Vec::new());
        for index in order {
            let (entry, rows) = (&plan.entries[index], &layout.rows[index]);
            let planned = self.scheduler.planned(entry.sequence);
            let draws =
                |(sequence, _): (&Sequence, _)| sequence.goal == Goal::Draw && sequence.tokens.len() == known(entry);
            if planned.is_some_and(draws) {
                drawing.push(entry);
                picked.extend(rows.end - entry.drafts.len() - 1..rows.end);
            }
        }
        (drawing, picked)
    }

    fn read_rows(&self, plan: &Plan, layout: &Layout) -> Vec<ReadRow> {
        let mut reads = Vec::new();
        for (entry, rows) in plan.entries.iter().zip(&layout.rows) {
            if let Some(Work::Score(score)) = self.works.get(&entry.sequence) {
                let row = |position: usize| rows.start + position - entry.start;
                let found = score.reads(entry.start, entry.end);
                reads.extend(found.map(|(position, target)| ReadRow {
                    row: row(position),
                    sequence: entry.sequence,
                    target,
                    masks: score.masks,
                }));
            }
        }
        reads
    }

    fn commit(&mut self, plan: &Plan, outcome: Outcome) {
        let mut failed = Vec::new();
        for (sequence, value) in outcome.reads {
            if let Some(Work::Score(score)) = self.works.get_mut(&sequence)
                && let Err(error) = score.push(value)
            {
                failed.push((sequence, score.request, error));
            }
        }
        let mut chosen = outcome.chosen;
        for entry in &plan.entries {
            self.commit_entry(plan, entry, chosen.remove(&entry.sequence));
        }
        for (sequence, request, error) in failed {
            self.fail(sequence, (request, 0), error);
        }
        if self.models.len() > 1 || self.adapters.any_removed() {
            self.clean();
        }
    }

    fn commit_entry(&mut self, plan: &Plan, entry: &Entry, chosen: Option<Result<Vec<Chosen>, VerifyError>>) {
        let id = entry.sequence;
        let (mut computed, mut finish) = (known(entry), None);
        if let (Some(Work::Sample(sample)), Some(chosen)) = (self.works.get_mut(&id), chosen) {
            let owner = (sample.request, sample.index);
            let guide = sample.chooser.as_ref().and_then(|chooser| chooser.guide.as_ref());
            let guided = guide.is_some_and(Guide::is_stopped);
            let chosen = match chosen {
                Ok(chosen) => chosen,
                Err(source) => return self.fail(id, owner, SampleError::Choose { source }),
            };
            let (accepted, last) = (chosen.len() - 1, chosen.len());
            sample.drafted(entry.drafts.len(), accepted);
            self.stats.drafted_tokens += entry.drafts.len() as u64;
            self.stats.accepted_drafts += accepted as u64;
            computed += accepted;
            for (count, chosen) in (1..).zip(chosen) {
                let step = match sample.push(&chosen, guided && count == last) {
                    Ok(step) => step,
                    Err(error) => return self.fail(id, owner, error),
                };
                self.scheduler.push(id, chosen.token);
                self.stats.drawn_tokens += 1;
                let Chosen { token, log_prob, top } = chosen;
                let (request, sample) = owner;
                let (version, text) = (plan.version, step.text);
                self.events.push(Event::Token(TokenEvent { request, sample, token, log_prob, top, text, version }));
                finish = step.finish;
                if finish.is_some() {
                    // Drafts behind the end are no part of the sequence.
                    computed = computed.min(known(entry) + count - 1);
                    break;
                }
            }
        }
        self.scheduler.advance(id, computed);
        match (finish, self.works.get(&id)) {
            (Some(finish), _) => self.finish(plan, id, finish),
            (None, Some(Work::Score(score))) if score.is_done() => self.finish_score(plan, id),
            (None, _) => {}
        }
    }

    fn finish(&mut self, plan: &Plan, id: SequenceId, finish: Finish) {
        let tokens = self.end(id).map(|sequence| sequence.tokens.made).unwrap_or_default();
        if let Some(Work::Sample(sample)) = self.works.remove(&id) {
            let (request, index) = (sample.request, sample.index);
            let completion = sample.complete(tokens, plan.version, finish);
            self.events.push(Event::Finished { request, sample: index, completion });
            self.forget(id, request);
        }
    }

    fn finish_score(&mut self, plan: &Plan, id: SequenceId) {
        self.end(id);
        if let Some(Work::Score(score)) = self.works.remove(&id) {
            let (request, version) = (score.request, plan.version);
            self.events.push(Event::Scored { request, values: score.values, version });
            self.forget(id, request);
        }
    }

    fn fail(&mut self, id: SequenceId, (request, sample): (super::RequestId, usize), error: SampleError) {
        self.end(id);
        self.forget(id, request);
        self.events.push(Event::Failed { request, sample, error });
    }
}

/// The first position of an entry that holds a guess.
fn known(entry: &Entry) -> usize {
    entry.end - entry.drafts.len()
}

/// Some rows of `x`, ascending, none of them twice.
pub(super) fn pick(x: &Tensor, rows: impl ExactSizeIterator<Item = usize>) -> Result<Tensor, TchError> {
    if rows.len() as i64 == x.size()[0] {
        return Ok(x.shallow_clone());
    }
    let rows: Vec<i64> = rows.map(|row| row as i64).collect();
    x.f_index_select(0, &Tensor::f_from_slice(&rows)?.f_to_device(x.device())?)
}

/// The log-probability of `token`, with the same bits as when it is drawn.
fn log_prob(logits: &[f32], token: u32) -> f32 {
    let (mut maxima, mut sums) = (Vec::new(), Vec::new());
    let max = vocabulary::scan(logits, &mut maxima).max;
    let total = vocabulary::block_sums(logits, Scale { max, inverse_temperature: 1.0 }, &mut sums);
    (f64::from(logits[token as usize]) - vocabulary::log_sum_exp(max, total)) as f32
}

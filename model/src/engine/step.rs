//! One step: the planned rows through the model, and what comes of them.
//!
//! Nothing of a sequence changes before all numbers are there, so a step that fails can be repeated.

use std::borrow::Cow;
use std::ops::Range;

use galapagos_kernels::vocabulary::{self, Scale};
use tch::{TchError, Tensor};

use super::event::{Event, SampleError, TokenEvent};
use super::layout::Layout;
use super::sample::Work;
use super::schedule::{Entry, Plan, SequenceId};
use super::store::on_cpu;
use super::{Engine, EngineError};
use crate::compute::Doing;
use crate::inference::Rows;
use crate::sampling::{ChooseError, Chosen, RowChoice, Sampler, choose_rows};
use crate::stop::Finish;
use crate::tensors::f32s;

/// Rows whose logits are held at a time when scoring.
const LOGIT_ROWS: usize = 64;

/// A row whose number is wanted, and what for.
#[derive(Clone, Copy, Debug)]
struct ReadRow {
    row: usize,
    sequence: SequenceId,
    /// The token whose log-probability it is; the head's value without one.
    target: Option<u32>,
}

/// A row that chooses a token. Those of one entry stand together, one more than it has drafts.
#[derive(Debug)]
struct DrawRow<'a> {
    row: usize,
    /// With the drafts before this row pushed.
    sampler: Cow<'a, Sampler>,
    top: usize,
}

/// What a step's rows gave.
#[derive(Debug, Default)]
struct Outcome {
    chosen: Vec<Result<Chosen, ChooseError>>,
    /// Where each entry's choices are among these.
    draws: Vec<Range<usize>>,
    reads: Vec<(SequenceId, f32)>,
}

impl Engine {
    /// Computes one batch of rows: the next token of every sequence that draws, and pieces of prompts. Gives what happened since the
    /// last call; nothing happens when the engine is idle.
    ///
    /// # Errors
    /// [`EngineError`] when the computation fails; the step can be repeated.
    pub fn step(&mut self) -> Result<Vec<Event>, EngineError> {
        let _no_gradients = tch::no_grad_guard();
        if let Some(plan) = self.scheduler.plan(&mut |_, _, _| Vec::new()) {
            let layout = Layout::new(&plan, &self.scheduler);
            let outcome = self.compute(&plan, &layout).doing("a step of the engine")?;
            self.stats.steps += 1;
            self.stats.computed_tokens += layout.tokens.len() as u64;
            self.commit(&plan, outcome);
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
        let rows = Rows { tokens: &layout.tokens, positions: &layout.positions };
        let x = model.trunk(&rows, &mut self.store.attention(layout, &self.pool))?;
        let mut scratch = std::mem::take(&mut self.scratch);
        let (draw_rows, draws) = self.draw_rows(plan, layout);
        let mut outcome = Outcome { draws, ..Outcome::default() };
        if !draw_rows.is_empty() {
            let logits = self.logits(plan, &pick(&x, draw_rows.iter().map(|row| row.row))?)?;
            let choices: Vec<RowChoice<'_>> =
                draw_rows.iter().map(|row| RowChoice { sampler: &row.sampler, allowed: None, top: row.top }).collect();
            outcome.chosen = choose_rows(&self.pool, f32s(&logits)?, &choices, &mut scratch);
        }
        drop(draw_rows);
        self.scratch = scratch;
        self.read(plan, layout, &x, &mut outcome.reads)?;
        Ok(outcome)
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
        let (log_probs, values): (Vec<ReadRow>, Vec<ReadRow>) = reads.into_iter().partition(|row| row.target.is_some());
        for rows in log_probs.chunks(LOGIT_ROWS) {
            let logits = self.logits(plan, &pick(x, rows.iter().map(|row| row.row))?)?;
            let logits = f32s(&logits)?.chunks_exact(self.config.vocab_size);
            let log_prob =
                |(logits, row): (_, &ReadRow)| (row.sequence, log_prob(logits, row.target.unwrap_or_default()));
            found.extend(logits.zip(rows).map(log_prob));
        }
        if !values.is_empty() {
            let scores = self.models[&plan.version].scores(&pick(x, values.iter().map(|row| row.row))?)?;
            let scores = on_cpu(&scores.ok_or_else(|| TchError::Shape("the model has no scalar head".to_owned()))?)?;
            found.extend(values.iter().map(|row| row.sequence).zip(f32s(&scores)?.iter().copied()));
        }
        Ok(())
    }

    fn logits(&self, plan: &Plan, x: &Tensor) -> Result<Tensor, TchError> {
        let logits = self.models[&plan.version].logits(x)?;
        on_cpu(&logits.ok_or_else(|| TchError::Shape("the model has no output projection".to_owned()))?)
    }

    /// The rows behind which tokens are drawn, ascending, and where each entry's are among them.
    fn draw_rows(&self, plan: &Plan, layout: &Layout) -> (Vec<DrawRow<'_>>, Vec<Range<usize>>) {
        let mut order: Vec<usize> = (0..plan.entries.len()).collect();
        order.sort_by_key(|index| layout.rows[*index].start);
        let (mut draws, mut places) = (Vec::new(), vec![0..0; plan.entries.len()]);
        for index in order {
            let (entry, rows) = (&plan.entries[index], &layout.rows[index]);
            let first = draws.len();
            let complete = self.scheduler.planned(entry.sequence).is_some_and(|(s, _)| s.tokens.len() == known(entry));
            if let Some(Work::Sample(sample)) = self.works.get(&entry.sequence).filter(|_| complete) {
                let top = sample.asked.top_log_probs;
                let mut sampler = Cow::Borrowed(&sample.sampler);
                let start = rows.end - entry.drafts.len() - 1;
                for (offset, draft) in entry.drafts.iter().enumerate() {
                    draws.push(DrawRow { row: start + offset, sampler: sampler.clone(), top });
                    sampler.to_mut().push(*draft);
                }
                draws.push(DrawRow { row: rows.end - 1, sampler, top });
            }
            places[index] = first..draws.len();
        }
        (draws, places)
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
        let mut chosen: Vec<Option<Result<Chosen, ChooseError>>> = outcome.chosen.into_iter().map(Some).collect();
        for (entry, draws) in plan.entries.iter().zip(outcome.draws) {
            let mut chosen = chosen[draws].iter_mut().filter_map(Option::take);
            self.commit_entry(plan, entry, &mut chosen);
        }
        for (sequence, request, error) in failed {
            self.fail(sequence, (request, 0), error);
        }
        if self.models.len() > 1 {
            self.clean();
        }
    }

    fn commit_entry(
        &mut self,
        plan: &Plan,
        entry: &Entry,
        chosen: &mut dyn Iterator<Item = Result<Chosen, ChooseError>>,
    ) {
        let id = entry.sequence;
        let mut computed = known(entry);
        let mut drafts = entry.drafts.iter();
        let mut finish = None;
        self.stats.drafted_tokens += entry.drafts.len() as u64;
        for chosen in chosen {
            let Some(Work::Sample(sample)) = self.works.get_mut(&id) else { break };
            let (request, index) = (sample.request, sample.index);
            let position = sample.asked.prompt.len() + sample.made();
            let chosen = chosen.map_err(|source| SampleError::Choose { position, source });
            let step = match chosen.and_then(|chosen| sample.push(&chosen).map(|step| (chosen, step))) {
                Ok((chosen, step)) => {
                    self.scheduler.push(id, chosen.token);
                    self.stats.drawn_tokens += 1;
                    let Chosen { token, log_prob, top } = chosen;
                    let (version, text) = (plan.version, step.text);
                    let event = TokenEvent { request, sample: index, token, log_prob, top, text, version };
                    self.events.push(Event::Token(event));
                    (token, step.finish)
                }
                Err(error) => {
                    self.fail(id, (request, index), error);
                    return;
                }
            };
            finish = step.1;
            if finish.is_some() || drafts.next() != Some(&step.0) {
                break;
            }
            self.stats.accepted_drafts += 1;
            computed += 1;
        }
        self.scheduler.advance(id, computed);
        match (finish, self.works.get(&id)) {
            (Some(finish), _) => self.finish(plan, id, finish),
            (None, Some(Work::Score(score))) if score.is_done() => self.finish_score(plan, id),
            (None, _) => {}
        }
    }

    fn finish(&mut self, plan: &Plan, id: SequenceId, finish: Finish) {
        let tokens = self.scheduler.finish(id).map(|sequence| sequence.tokens.made).unwrap_or_default();
        if let Some(Work::Sample(sample)) = self.works.remove(&id) {
            let (request, index) = (sample.request, sample.index);
            let completion = sample.complete(tokens, plan.version, finish);
            self.events.push(Event::Finished { request, sample: index, completion });
            self.forget(id, request);
        }
    }

    fn finish_score(&mut self, plan: &Plan, id: SequenceId) {
        self.scheduler.finish(id);
        if let Some(Work::Score(score)) = self.works.remove(&id) {
            let (request, version) = (score.request, plan.version);
            self.events.push(Event::Scored { request, values: score.values, version });
            self.forget(id, request);
        }
    }

    fn fail(&mut self, id: SequenceId, (request, sample): (super::RequestId, usize), error: SampleError) {
        self.scheduler.finish(id);
        self.forget(id, request);
        self.events.push(Event::Failed { request, sample, error });
    }
}

/// The first position of an entry that holds a guess.
fn known(entry: &Entry) -> usize {
    entry.end - entry.drafts.len()
}

/// Some rows of `x`, ascending.
fn pick(x: &Tensor, rows: impl ExactSizeIterator<Item = usize>) -> Result<Tensor, TchError> {
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

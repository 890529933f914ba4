//! Streams on the model engine: whatever has come joins the running batch between two steps, on every checkpoint that is asked.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use galapagos_domain::ids::Digest;
use galapagos_model::engine::{AdapterId, Event, Masks, RequestId, SampleError};
use galapagos_model::speculate::VerifyError;
use galapagos_model::{GenerateError, ModelKind, RequestError, ScoreRequest};

use super::super::stream::{Asked, Continue, Flow, Given, Next, Wanted};
use super::super::{CheckpointDir, Codec, Completion, EngineError, Progress, Watch};
use super::{Held, TchEngine, check_writes, failed, model_request, wrong_head};

/// Requests of one checkpoint, under way.
type Key = (Digest, RequestId);

/// One request that is under way.
struct Open {
    asked: Asked,
    /// As they end; `None` for those that have not.
    completions: Vec<Option<Completion>>,
    /// The guide's text, for messages.
    guide: Option<String>,
}

/// See the head of this file.
pub(super) fn run(engine: &mut TchEngine, flow: &mut dyn Flow, watch: &Watch) -> Result<(), EngineError> {
    let mut running = Running {
        engine,
        open: BTreeMap::new(),
        waiting: VecDeque::new(),
        models: Held::default(),
        made: Progress::default(),
    };
    let ended = running.run(flow, watch);
    running.cancel();
    running.engine.release();
    ended
}

struct Running<'a> {
    engine: &'a mut TchEngine,
    open: BTreeMap<Key, Open>,
    /// Asked for while the engine's queue was full.
    waiting: VecDeque<Asked>,
    /// The whole models that the stream uses: none of them may be dropped while it runs.
    models: Held,
    made: Progress,
}

impl Running<'_> {
    fn run(&mut self, flow: &mut dyn Flow, watch: &Watch) -> Result<(), EngineError> {
        let mut ended = false;
        loop {
            if watch.cancel.is_raised() {
                return Err(EngineError::Cancelled);
            }
            while !ended {
                match flow.take(self.open.is_empty() && self.waiting.is_empty()) {
                    Next::Asked(asked) => self.waiting.push_back(*asked),
                    Next::Nothing => break,
                    Next::End => ended = true,
                    Next::Gone => return Ok(()),
                }
                self.submit(flow)?;
            }
            self.submit(flow)?;
            if self.open.is_empty() && self.waiting.is_empty() {
                return Ok(());
            }
            if !self.step(flow)? {
                return Ok(());
            }
            (watch.progress)(self.made);
        }
    }

    /// Submits in order, until a queue is full.
    fn submit(&mut self, flow: &mut dyn Flow) -> Result<(), EngineError> {
        while let Some(asked) = self.waiting.pop_front() {
            if let Some(back) = self.submit_one(asked, flow)? {
                self.waiting.push_front(back);
                return Ok(());
            }
        }
        Ok(())
    }

    /// Gives the request back if there is no room for it now. What will never fit is refused; what the flow then says, it says again.
    fn submit_one(&mut self, asked: Asked, flow: &mut dyn Flow) -> Result<Option<Asked>, EngineError> {
        let model = self.engine.hold(&mut self.models, &asked.checkpoint)?;
        let checkpoint = Arc::clone(&asked.checkpoint);
        let (submitted, samples, guide) = match &asked.what {
            Wanted::Completions(want) => self.completions(&checkpoint, want)?,
            Wanted::Numbers(tokens) => (self.numbers(&checkpoint, ScoreRequest::last_value(tokens.clone()))?, 0, None),
            Wanted::Likely { behind, next } => (self.likely(&checkpoint, behind, next)?, 0, None),
            Wanted::Masked { tokens, dropout, seed } => {
                let masks = Masks { rate: dropout.rate, count: dropout.samples as usize, seed: seed.0 };
                (self.numbers(&checkpoint, ScoreRequest::masked(tokens.clone(), masks))?, 0, None)
            }
        };
        match submitted {
            Ok(id) => {
                self.open.insert((model, id), Open { asked, completions: vec![None; samples], guide });
                Ok(None)
            }
            Err(RequestError::Full { .. }) => Ok(Some(asked)),
            Err(source @ (RequestError::TooLong { .. } | RequestError::Memory { .. })) => {
                flow.give(asked.id, Given::Refused(source.to_string()));
                Ok(None)
            }
            Err(source) => Err(EngineError::Request { checkpoint: checkpoint.checkpoint, source: source.into() }),
        }
    }

    #[expect(clippy::type_complexity, reason = "a request that was or was not taken, with what is kept of it")]
    fn completions(
        &mut self,
        checkpoint: &CheckpointDir,
        want: &Continue,
    ) -> Result<(Result<RequestId, RequestError>, usize, Option<String>), EngineError> {
        let codec = self.engine.checkpoint_codec(checkpoint)?;
        let guided = want.sampling.guide.as_ref();
        let guided = guided.map(|guide| codec.guided(guide, &want.stop.tokens, want.stop.terminator)).transpose()?;
        let (model, adapter) = self.engine.policy(checkpoint)?;
        check_writes(checkpoint, model)?;
        if !want.stop.texts.is_empty() {
            model.set_texts(codec.texts()?);
        }
        let stop_tokens: Arc<BTreeSet<u32>> = Arc::new(want.stop.tokens.iter().copied().collect());
        let request = galapagos_model::Request {
            samples: want.samples as usize,
            stop_tokens,
            stop_strings: want.stop.texts.clone(),
            seed: want.seed.0,
            adapter,
            ..model_request(want.prompt.clone(), &want.sampling, guided.as_ref(), want.max_tokens)
        };
        Ok((model.submit(request), want.samples as usize, guided.map(|guided| guided.named)))
    }

    fn numbers(
        &mut self,
        checkpoint: &CheckpointDir,
        request: ScoreRequest,
    ) -> Result<Result<RequestId, RequestError>, EngineError> {
        let (model, adapter): (_, Option<AdapterId>) = self.engine.policy(checkpoint)?;
        if model.config().kind == ModelKind::CausalLm {
            return Err(wrong_head(checkpoint, "give numbers: it has a language-model head"));
        }
        Ok(model.submit_score(&ScoreRequest { adapter, ..request }))
    }

    fn likely(
        &mut self,
        checkpoint: &CheckpointDir,
        behind: &[u32],
        next: &[u32],
    ) -> Result<Result<RequestId, RequestError>, EngineError> {
        let (model, adapter) = self.engine.policy(checkpoint)?;
        check_writes(checkpoint, model)?;
        Ok(model.submit_score(&ScoreRequest { adapter, ..ScoreRequest::next(behind.to_vec(), next.to_vec()) }))
    }

    /// One step of every model. False if nobody wants the answers.
    fn step(&mut self, flow: &mut dyn Flow) -> Result<bool, EngineError> {
        for (digest, checkpoint) in self.models.all() {
            if !self.open.keys().any(|(of, _)| *of == digest) {
                continue;
            }
            let (model, _) = self.engine.policy(&checkpoint)?;
            let events = model.step();
            let events = events.map_err(|source| failed(&checkpoint, "go on", GenerateError::Engine { source }))?;
            for event in events {
                if !self.take(digest, event, flow)? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    fn take(&mut self, of: Digest, event: Event, flow: &mut dyn Flow) -> Result<bool, EngineError> {
        match event {
            Event::Token(_) => self.made.tokens += 1,
            Event::Restarted { .. } => {}
            Event::Finished { request, sample, completion } => {
                let Some(open) = self.open.get_mut(&(of, request)) else { return Ok(true) };
                let made = Completion { tokens: completion.tokens, log_probs: completion.log_probs };
                open.completions[sample] = Some(made);
                self.made.ended += 1;
                if open.completions.iter().all(Option::is_some)
                    && let Some(open) = self.open.remove(&(of, request))
                {
                    let all = open.completions.into_iter().flatten().collect();
                    return Ok(flow.give(open.asked.id, Given::Completions(all)));
                }
            }
            Event::Scored { request, values, .. } => {
                if let Some(open) = self.open.remove(&(of, request)) {
                    return Ok(flow.give(open.asked.id, Given::Numbers(values)));
                }
            }
            Event::Failed { request, error, .. } => return Err(self.broken((of, request), error)),
        }
        Ok(true)
    }

    fn broken(&self, key: Key, error: SampleError) -> EngineError {
        let open = self.open.get(&key);
        let checkpoint = open.map_or(key.0, |open| open.asked.checkpoint.checkpoint);
        match error {
            SampleError::NotFinite { value, .. } if open.is_some_and(|open| open.completions.is_empty()) => {
                EngineError::NotFinite { checkpoint, sequence: 0, value }
            }
            SampleError::Choose { source: source @ VerifyError::Guide { .. } } => {
                let guide = open.and_then(|open| open.guide.clone()).unwrap_or_default();
                EngineError::Guide { guide, source: source.into() }
            }
            error => EngineError::Compute { checkpoint, what: "go on", source: error.into() },
        }
    }

    /// Nothing of a stream that ended stays in the engines.
    fn cancel(&mut self) {
        for (digest, request) in std::mem::take(&mut self.open).into_keys() {
            if let Some(checkpoint) = self.models.get(&digest).cloned()
                && let Ok((model, _)) = self.engine.policy(&checkpoint)
            {
                model.cancel(request);
            }
        }
    }
}

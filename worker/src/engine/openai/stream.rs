//! Streams at a server: a request goes there as it comes, and its answer comes back soon after it was made, whatever else is under way.
//!
//! Every answer lies between two checks of the version, as those of a batch do: what came is handed over once the server has been checked
//! after it. Checks go on beside the calls. Calls under way are of one version; a request for another waits until they are done.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use galapagos_telemetry::clock::monotonic_ms;
use serde_json::Value;
use tokio::task::JoinSet;

use super::ask::IN_FLIGHT;
use super::client::ClientError;
use super::{OpenAiEngine, RemoteError, remote, wire};
use crate::engine::guided::{self, Guided};
use crate::engine::stream::{Asked, Continue, Flow, Given, Next, Wanted, compute};
use crate::engine::tch::Held;
use crate::engine::{Batch, CheckpointDir, Completion, EngineError, Progress, Request, Watch};

/// How long an answer is waited for before it is looked whether more was asked.
const MOMENT: Duration = Duration::from_millis(2);

/// Answers are gathered so many milliseconds before the server is checked, while others are under way.
const GATHER: u64 = 100;

/// A call under way.
struct Open {
    batch: Batch,
    guided: Option<Guided>,
}

/// The version that is asked now.
struct Current {
    checkpoint: Arc<CheckpointDir>,
    /// At the server.
    name: String,
}

/// See the head of this file.
pub(super) fn run(engine: &mut OpenAiEngine, flow: &mut dyn Flow, watch: &Watch) -> Result<(), EngineError> {
    let (calls, made) = (JoinSet::new(), Progress::default());
    let (open, waiting, came) = (BTreeMap::new(), VecDeque::new(), Vec::new());
    let local = Held::default();
    let mut running =
        Running { engine, calls, open, waiting, came, local, current: None, checked: monotonic_ms(), made };
    let ended = running.run(flow, watch);
    running.engine.local.release();
    // The calls under way end with `running`, which closes their connections.
    ended
}

struct Running<'a> {
    engine: &'a mut OpenAiEngine,
    calls: JoinSet<(u64, Result<Value, ClientError>)>,
    open: BTreeMap<u64, Open>,
    /// In the order in which they were asked.
    waiting: VecDeque<Asked>,
    /// Made since the last check.
    came: Vec<(u64, Vec<Completion>)>,
    /// The models that are computed here.
    local: Held,
    current: Option<Current>,
    /// Milliseconds of the monotonic clock.
    checked: u64,
    made: Progress,
}

impl Running<'_> {
    fn run(&mut self, flow: &mut dyn Flow, watch: &Watch) -> Result<(), EngineError> {
        let mut ended = false;
        loop {
            if watch.cancel.is_raised() {
                return Err(EngineError::Cancelled);
            }
            let mut local = Vec::new();
            while !ended {
                let idle = self.open.is_empty() && self.waiting.is_empty() && self.came.is_empty() && local.is_empty();
                match flow.take(idle) {
                    Next::Asked(asked) if matches!(asked.what, Wanted::Completions(_)) => {
                        self.waiting.push_back(*asked)
                    }
                    Next::Asked(asked) => {
                        self.engine.local.hold(&mut self.local, &asked.checkpoint)?;
                        local.push(*asked);
                    }
                    Next::Nothing => break,
                    Next::End => ended = true,
                    Next::Gone => return Ok(()),
                }
            }
            self.start()?;
            // Critics stay here; the server goes on meanwhile.
            for (id, given) in compute(self.engine, local, watch)? {
                if !flow.give(id, given) {
                    return Ok(());
                }
            }
            self.gather()?;
            (watch.progress)(self.made);
            if !self.hand_over(flow)? {
                return Ok(());
            }
            if ended && self.open.is_empty() && self.waiting.is_empty() && self.came.is_empty() {
                return Ok(());
            }
        }
    }

    /// Sends what waits, in order, as far as it is for the version that is asked now.
    fn start(&mut self) -> Result<(), EngineError> {
        while self.calls.len() < IN_FLIGHT {
            let Some(next) = self.waiting.front() else { return Ok(()) };
            let same = self.current.as_ref().is_some_and(|now| now.checkpoint.checkpoint == next.checkpoint.checkpoint);
            if !same {
                if !self.open.is_empty() || !self.came.is_empty() {
                    return Ok(());
                }
                let checkpoint = Arc::clone(&next.checkpoint);
                let name = self.engine.ensure(&checkpoint)?;
                (self.current, self.checked) = (Some(Current { checkpoint, name }), monotonic_ms());
            }
            let Some(asked) = self.waiting.pop_front() else { return Ok(()) };
            self.send(asked)?;
        }
        Ok(())
    }

    fn send(&mut self, asked: Asked) -> Result<(), EngineError> {
        let (Wanted::Completions(what), Some(Current { name, .. })) = (asked.what, &self.current) else {
            return Ok(());
        };
        let batch = alone(&asked.checkpoint, what)?;
        let guided = guided::of_batch(&batch, &mut self.engine.local)?.pop().flatten();
        let body = wire::completions::body(name, &batch, &batch.requests[0], guided.as_ref());
        let (client, id) = (Arc::clone(&self.engine.client), asked.id);
        let call = async move { (id, client.post(wire::completions::PATH, &body).await) };
        drop(self.calls.spawn_on(call, &self.engine.runtime));
        drop(self.open.insert(id, Open { batch, guided }));
        Ok(())
    }

    /// Takes the answers that are there, waiting a moment for the first.
    fn gather(&mut self) -> Result<(), EngineError> {
        if self.calls.is_empty() {
            return Ok(());
        }
        let runtime = self.engine.runtime.clone();
        let first = runtime.block_on(async { tokio::time::timeout(MOMENT, self.calls.join_next()).await });
        let mut next = first.ok().flatten();
        while let Some(ended) = next {
            let (id, answer) = ended.map_err(|_| EngineError::Panicked)?;
            self.read(id, answer)?;
            next = self.calls.try_join_next();
        }
        Ok(())
    }

    fn read(&mut self, id: u64, answer: Result<Value, ClientError>) -> Result<(), EngineError> {
        let Some(Open { batch, guided }) = self.open.remove(&id) else { return Ok(()) };
        let read = answer
            .map_err(|source| RemoteError::Call { source })
            .and_then(|answer| self.engine.read(&batch, 0, guided.as_ref(), &answer))
            .map_err(|source| remote(&batch.checkpoint, source))?;
        self.made.ended += read.made.len() as u64;
        self.made.tokens += read.tokens;
        self.came.push((id, read.made));
        Ok(())
    }

    /// Checks the version and hands over what came before. False if nobody wants it.
    fn hand_over(&mut self, flow: &mut dyn Flow) -> Result<bool, EngineError> {
        let Some(Current { checkpoint, name }) = self.current.as_ref().filter(|_| !self.came.is_empty()) else {
            return Ok(true);
        };
        if !self.open.is_empty() && monotonic_ms() - self.checked < GATHER {
            return Ok(true);
        }
        self.engine.check(checkpoint, name)?;
        self.checked = monotonic_ms();
        Ok(self.came.drain(..).all(|(id, made)| flow.give(id, Given::Completions(made))))
    }
}

/// A batch of one request.
fn alone(checkpoint: &CheckpointDir, what: Continue) -> Result<Batch, EngineError> {
    let Continue { prompt, samples, seed, sampling, stop, max_tokens } = what;
    if let Some(text) = stop.texts.first() {
        return Err(EngineError::Unsupported { what: format!("end completions at the text {text:?}") });
    }
    let requests = vec![Request { prompt, samples, seed, sampling }];
    let (tokens, terminator) = (stop.tokens.clone(), stop.terminator);
    Ok(Batch { checkpoint: checkpoint.clone(), prefix: Vec::new(), requests, stop: tokens, terminator, max_tokens })
}

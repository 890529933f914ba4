//! Engines that know lists only: what came together is computed in as few batches as there are kinds of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use galapagos_domain::ids::Digest;
use galapagos_telemetry::ErrorChain;

use super::{Asked, Given, Stop, Wanted};
use crate::engine::{Batch, Engine, EngineError, ScoreBatch, Watch};

/// What can share a batch.
type Group = (Digest, Arc<Stop>, u32);

/// The answers to what came together, computed in batches.
///
/// # Errors
/// As the engine.
pub(in crate::engine) fn compute<E: Engine + ?Sized>(
    engine: &mut E,
    wave: Vec<Asked>,
    watch: &Watch,
) -> Result<Vec<(u64, Given)>, EngineError> {
    let mut batches: BTreeMap<Group, (Batch, Vec<u64>)> = BTreeMap::new();
    let mut scores: BTreeMap<Digest, (ScoreBatch, Vec<u64>)> = BTreeMap::new();
    let mut given = Vec::new();
    for Asked { id, checkpoint, what } in wave {
        match what {
            Wanted::Completions(asked) => {
                let group = (checkpoint.checkpoint, Arc::clone(&asked.stop), asked.max_tokens);
                let mut alone = asked.alone(&checkpoint)?;
                let (batch, ids) = batches
                    .entry(group)
                    .or_insert_with(|| (Batch { requests: Vec::new(), ..alone.clone() }, Vec::new()));
                batch.requests.append(&mut alone.requests);
                ids.push(id);
            }
            Wanted::Masked { .. } => {
                let what = "leave out parts of a hidden state (`mc_dropout`)".to_owned();
                return Err(EngineError::Unsupported { what });
            }
            Wanted::Numbers(tokens) => {
                let (batch, ids) = scores.entry(checkpoint.checkpoint).or_insert_with(|| {
                    let checkpoint = (*checkpoint).clone();
                    (ScoreBatch { checkpoint, prefix: Vec::new(), sequences: Vec::new() }, Vec::new())
                });
                batch.sequences.push(tokens);
                ids.push(id);
            }
            Wanted::Likely { behind, next } => {
                given.push(match engine.likely(&checkpoint, &behind, &next, watch) {
                    Err(error @ EngineError::Request { .. }) => {
                        (id, Given::Refused(ErrorChain::new(&error).to_string()))
                    }
                    other => (id, Given::Numbers(other?)),
                });
            }
        }
    }
    for (batch, ids) in batches.into_values() {
        let mut made = engine.generate(&batch, watch)?.into_iter();
        for (id, request) in ids.into_iter().zip(&batch.requests) {
            let completions = made.by_ref().take(request.samples as usize).collect();
            given.push((id, Given::Completions(completions)));
        }
    }
    for (batch, ids) in scores.into_values() {
        let numbers = engine.score(&batch, watch)?;
        given.extend(ids.into_iter().zip(numbers).map(|(id, number)| (id, Given::Numbers(vec![number]))));
    }
    Ok(given)
}

//! What is asked of the server, and whether what came is what the version says.

use std::sync::Arc;

use galapagos_domain::job::Sampling;
use galapagos_domain::seed::Seed;
use galapagos_worker::engine::tch::TchEngine;
use galapagos_worker::engine::{Batch, CheckpointDir, Completion, Engine, Request};

use crate::{Verdict, chain};

/// Largest mean absolute difference, in nats, between the server's log-probabilities of what it sampled and ours.
const TOLERANCE: f64 = 0.15;

const SHOTS: &str = "Q: What is 2 + 3?\nA: 5\nQ: What is 4 + 4?\nA: 8\n";

const SAMPLES: u32 = 2;

/// Four questions after two shots, two samples each, to a line's end.
pub fn batch(local: &mut TchEngine, version: &CheckpointDir, max_tokens: u32) -> Result<Batch, String> {
    let codec = local.codec(version).map_err(|error| chain(&error))?;
    let encode = |text: &str| codec.encode(text).map_err(|error| chain(&error));
    let mut requests = Vec::new();
    for (seed, question) in (1..).zip(["1 + 6", "5 + 2", "3 + 3", "7 + 1"]) {
        let prompt = encode(&format!("Q: What is {question}?\nA:"))?;
        let sampling = Arc::new(Sampling::at(1.0));
        requests.push(Request { prompt, samples: SAMPLES, seed: Seed(seed), sampling });
    }
    let stop = codec.stop_tokens(Some('\n')).map_err(|error| chain(&error))?;
    let (checkpoint, prefix) = (version.clone(), encode(SHOTS)?);
    Ok(Batch { checkpoint, prefix, requests, stop, terminator: Some('\n'), max_tokens })
}

/// Whether every completion is whole, and its log-probabilities are those that the version gives its tokens here.
pub fn judge(local: &mut TchEngine, asked: &Batch, made: &[Completion]) -> Verdict {
    let expected = asked.requests.len() * SAMPLES as usize;
    if made.len() != expected {
        return Err(format!("{} completions came where {expected} were asked for", made.len()));
    }
    let sequences: Vec<Vec<u32>> = made
        .iter()
        .enumerate()
        .map(|(place, completion)| {
            let request = &asked.requests[place / SAMPLES as usize];
            [&asked.prefix[..], &request.prompt, &completion.tokens].concat()
        })
        .collect();
    let (_, all) = local.probe(&asked.checkpoint, |_| sequences.clone()).map_err(|error| chain(&error))?;
    let (mut sum, mut tokens, mut rest, mut stopped) = (0.0, 0, &all[..], 0);
    for (completion, sequence) in made.iter().zip(&sequences) {
        let (these, others) = rest.split_at(sequence.len() - 1);
        rest = others;
        let ours = &these[these.len() - completion.tokens.len()..];
        let difference = |(theirs, ours): (&f32, &f64)| (f64::from(*theirs) - ours).abs();
        sum += completion.log_probs.iter().zip(ours).map(difference).sum::<f64>();
        tokens += completion.tokens.len();
        let at_a_stop = completion.tokens.last().is_some_and(|last| asked.stop.contains(last));
        stopped += usize::from(at_a_stop);
        if !at_a_stop && completion.tokens.len() < asked.max_tokens as usize {
            return Err(format!("a completion of {} tokens ends without a stop token", completion.tokens.len()));
        }
    }
    let mean = sum / tokens as f64;
    if mean.is_nan() || mean > TOLERANCE {
        return Err(format!("log-probabilities are {mean:.3} nats away from this version's, {TOLERANCE} are allowed"));
    }
    let count = made.len();
    Ok(format!(
        "version checked; {count} completions ({stopped} stopped), {tokens} tokens, log-probabilities {mean:.4} nats from ours on average"
    ))
}

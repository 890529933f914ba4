//! Conversations with a checkpoint: its chat template's tokens in, text with log-probabilities out.

use std::collections::BTreeSet;
use std::sync::Arc;

use galapagos_model::detokenize::TokenTexts;
use galapagos_model::{Completion, Finish, Request, RunControl};

use super::super::conversation::{ChatBatch, Conversation, Ending, Reply, ReplyToken, Speaker};
use super::super::guided;
use super::super::{CheckpointDir, Codec, EngineError, Watch};
use super::{TchEngine, check_writes, model_request, not_generated, reporting};

pub(super) fn replies(engine: &mut TchEngine, batch: &ChatBatch, watch: &Watch) -> Result<Vec<Reply>, EngineError> {
    let checkpoint = match &batch.speaker {
        Speaker::Version(checkpoint) => checkpoint,
        Speaker::Named(name) => {
            let what = format!(
                "ask a model by the name `{name}`: it computes checkpoints; a server is asked with --engine openai"
            );
            return Err(EngineError::Unsupported { what });
        }
    };
    let codec = engine.checkpoint_codec(checkpoint)?;
    let texts = codec.texts()?;
    let (model, adapter) = engine.policy(checkpoint)?;
    check_writes(checkpoint, model)?;
    let ends = model.config().eos_token_ids.clone();
    let samplings = batch.conversations.iter().map(|conversation| &conversation.sampling);
    let guides = guided::each(samplings, |guide| codec.guided(guide, &ends, None))?;
    let stop_tokens: Arc<BTreeSet<u32>> = Arc::new(ends.into_iter().collect());
    let request = |conversation: &Conversation, guided| -> Result<Request, EngineError> {
        let prompt = codec.conversation(&conversation.messages)?;
        Ok(Request {
            samples: conversation.samples as usize,
            seed: conversation.seed.0,
            stop_tokens: Arc::clone(&stop_tokens),
            stop_strings: batch.stop.clone(),
            top_log_probs: batch.log_probs.unwrap_or(0) as usize,
            adapter,
            ..model_request(prompt, &conversation.sampling, guided, batch.max_tokens)
        })
    };
    let pairs = batch.conversations.iter().zip(&guides);
    let requests = pairs.map(|(asked, guided)| request(asked, guided.as_ref())).collect::<Result<Vec<_>, _>>()?;
    model.set_texts(Arc::clone(&texts));
    let mut report = reporting(watch);
    let mut control = RunControl { cancel: Some(watch.cancel.flag()), progress: Some(&mut report) };
    let made = model.generate(&requests, &mut control).map_err(|error| not_generated(checkpoint, &guides, error))?;
    let reply = |made: &Completion| reply(checkpoint, batch.log_probs.is_some(), &texts, made);
    made.iter().flatten().map(reply).collect()
}

fn reply(
    checkpoint: &CheckpointDir,
    listed: bool,
    texts: &TokenTexts,
    made: &Completion,
) -> Result<Reply, EngineError> {
    let text = |token: u32| {
        let text = texts.tokenizer().decode_with_special(&[token]);
        text.map_err(|source| EngineError::Text { what: "decode", source: source.into() })
    };
    let mut tokens = Vec::new();
    for (place, (token, log_prob)) in made.tokens.iter().zip(&made.log_probs).enumerate().filter(|_| listed) {
        let top = made.top.get(place).into_iter().flatten();
        let top = top.map(|(token, log_prob)| Ok((text(*token)?, *log_prob))).collect::<Result<_, EngineError>>()?;
        tokens.push(ReplyToken { text: text(*token)?, log_prob: *log_prob, top });
    }
    let ending = match made.finish {
        Finish::Length => Ending::Length,
        Finish::StopToken | Finish::StopString(_) | Finish::Guide => Ending::Stop,
    };
    Ok(Reply { text: made.text.clone(), tokens, ending, model: checkpoint.checkpoint.to_string() })
}

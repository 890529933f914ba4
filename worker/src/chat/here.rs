//! A model folder in the built-in engine. One engine answers all turns, so that what the conversation and the turn before have in
//! common is not computed again.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use galapagos_domain::seed::Seed;
use galapagos_model::detokenize::TokenTexts;
use galapagos_model::engine::{AdapterId, RequestId};
use galapagos_model::lora::Adapter;
use galapagos_model::probe::Probe;
use galapagos_model::{
    ChatMessage, Engine, EngineOptions, Event, ModelFolder, Request, Sampling, Tokenizer, TokenizerError,
};
use tch::Device;

use super::{ChatError, Partner, Turn};
use crate::config::Chat;
use crate::device::Place;
use crate::engine::tch::self_test;
use crate::ignored;

pub(super) struct Here {
    config: Chat,
    engine: Engine,
    adapter: Option<AdapterId>,
    texts: Arc<TokenTexts>,
    sampling: Arc<Sampling>,
}

impl Here {
    pub(super) fn open(config: &Chat) -> Result<Self, ChatError> {
        tch::set_num_threads(1);
        let sampling = Sampling {
            top_k: config.top_k.map(|k| k as usize),
            top_p: config.top_p,
            min_p: config.min_p,
            ..Sampling::at(config.temperature)
        };
        sampling.validate().map_err(|source| ChatError::Sampling { source })?;
        let place = config.computing.place().map_err(|source| ChatError::Device { source })?;
        let (mut engine, texts) = load(config, place)?;
        let adapter = config.base.is_some().then(|| add_adapter(config, &mut engine)).transpose()?;
        let probed = Probe::check_folder(&config.model, &mut engine, adapter);
        probed.map_err(|error| failed(&config.model, error))?;
        Ok(Self { config: config.clone(), engine, adapter, texts, sampling: Arc::new(sampling) })
    }

    /// The whole conversation by the chat template, or the last line alone.
    fn prompt(&self, messages: &[ChatMessage]) -> Result<Vec<u32>, ChatError> {
        let tokenizer = self.texts.tokenizer();
        let prompt = match messages.last() {
            Some(typed) if self.config.raw => tokenizer.encode(&typed.content),
            _ => tokenizer.encode_chat(messages, true),
        };
        prompt.map_err(|source| tokenizer_failed(&self.config, source))
    }

    fn submit(&mut self, prompt: Vec<u32>, turn: u64) -> Result<RequestId, ChatError> {
        let config = self.engine.config();
        let (tokens, limit) = (prompt.len(), config.max_position_embeddings);
        let room = limit.saturating_sub(tokens);
        if room == 0 {
            return Err(ChatError::Full { tokens, limit });
        }
        let request = Request {
            sampling: Arc::clone(&self.sampling),
            stop_tokens: Arc::new(BTreeSet::from_iter(config.eos_token_ids.iter().copied())),
            seed: Seed(self.config.seed).nth(turn).0,
            adapter: self.adapter,
            ..Request::greedy(prompt, room.min(self.config.max_tokens as usize))
        };
        self.engine.submit(request).map_err(|source| ChatError::Request { source })
    }
}

impl Partner for Here {
    fn answer(&mut self, turn: Turn<'_>) -> Result<(), ChatError> {
        let id = self.submit(self.prompt(turn.messages)?, turn.number)?;
        while !self.engine.is_idle() {
            if turn.cancel.is_raised() {
                self.engine.cancel(id);
                break;
            }
            for event in self.engine.step().map_err(|source| ChatError::Engine { source })? {
                match event {
                    Event::Token(token) => (turn.say)(&token.text)?,
                    Event::Failed { error, .. } => return Err(ChatError::Sample { source: error }),
                    // Its text was told token by token; scores and swaps are not asked for here.
                    Event::Finished { .. } | Event::Restarted { .. } | Event::Scored { .. } => {}
                }
            }
        }
        Ok(())
    }
}

/// The model that computes: the base of an adapter.
fn load(config: &Chat, place: Place) -> Result<(Engine, Arc<TokenTexts>), ChatError> {
    let path = config.base.as_deref().unwrap_or(&config.model);
    let folder = ModelFolder::open(path).map_err(|error| failed(path, error))?;
    ignored::tell(&folder);
    let model = folder.load(place.device).map_err(|error| failed(path, error))?;
    if let Some(name) = model.parameters().first_not_finite().map_err(|error| failed(path, error))? {
        return Err(failed(path, format!("tensor `{name}` holds numbers that are not finite")));
    }
    let precision = place.precision(model.config().hidden_size);
    let options = EngineOptions { precision, threads: place.threads, ..EngineOptions::default() };
    let mut engine = Engine::new(&model, options).map_err(|error| failed(path, error))?;
    self_test(&engine).map_err(|error| failed(path, error))?;
    let tokenizer: Tokenizer = folder.into_tokenizer();
    let texts = TokenTexts::new(Arc::new(tokenizer)).map_err(|source| tokenizer_failed(config, source))?;
    let texts = Arc::new(texts);
    engine.set_texts(Arc::clone(&texts));
    Ok((engine, texts))
}

fn add_adapter(config: &Chat, engine: &mut Engine) -> Result<AdapterId, ChatError> {
    let adapter = Adapter::open(&config.model, engine.config(), Device::Cpu);
    let adapter = adapter.map_err(|error| failed(&config.model, error))?;
    engine.add_adapter(&adapter).map_err(|error| failed(&config.model, error))
}

fn failed(path: &Path, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ChatError {
    ChatError::Model { path: path.to_owned(), source: source.into() }
}

fn tokenizer_failed(config: &Chat, source: TokenizerError) -> ChatError {
    ChatError::Tokenizer { path: config.model.clone(), source }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use galapagos_domain::recipe::Characters;

    use super::*;
    use crate::cancel::Cancel;
    use crate::config::{Arguments, Command};
    use crate::engine::Engine as _;
    use crate::engine::tch::TchEngine;

    #[test]
    fn what_a_turn_repeats_is_not_computed_again() {
        let folder = tempfile::tempdir().unwrap();
        let shape = Characters {
            alphabet: "0123456789 ".to_owned(),
            layers: 1,
            hidden: 32,
            heads: 2,
            ffn: 32,
            context: 400,
            vision: None,
        };
        TchEngine::new().initialise(&shape, Seed(1), folder.path()).unwrap();
        let line = ["w", "chat", folder.path().to_str().unwrap(), "--raw", "--max-tokens", "4", "--device", "cpu"];
        let Command::Chat(config) = Arguments::parse_from(line).command else { panic!() };
        let mut here = Here::open(&config).unwrap();
        let mut computed = |typed: &str| {
            let before = here.engine.stats();
            let typed = [ChatMessage::new("user", typed)];
            let (cancel, say) = (&Cancel::default(), &mut |_: &str| Ok(()));
            here.answer(Turn { messages: &typed, number: 1, cancel, say }).unwrap();
            let after = here.engine.stats();
            (after.computed_tokens - before.computed_tokens, after.reused_tokens - before.reused_tokens)
        };
        let first = "31415926535 ".repeat(10);
        let (whole, none) = computed(&first);
        assert!(whole >= 120 && none == 0, "{whole} computed, {none} reused");
        let (rest, reused) = computed(&format!("{first}271828"));
        assert!(rest < 20 && reused >= 110, "{rest} computed, {reused} reused");
    }
}

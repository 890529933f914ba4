//! `chat`: lines from standard input to a model folder, answers back token by token. With the model's chat template and the
//! conversation so far, or raw: the line as it is, continued.
//!
//! One engine answers all turns, so that what the conversation and the turn before have in common is not computed again.

mod keys;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use galapagos_domain::seed::Seed;
use galapagos_model::detokenize::TokenTexts;
use galapagos_model::engine::{RequestId, SampleError};
use galapagos_model::sampling::SamplingError;
use galapagos_model::{
    ChatMessage, Engine, EngineError, EngineOptions, Event, ModelFolder, Request, RequestError, Sampling, Tokenizer,
    TokenizerError,
};

use crate::config::Chat;
use crate::device::{DeviceError, Place};
use crate::engine::tch::self_test;
use crate::ignored;
use keys::{Interrupts, Keys, KeysError};

/// Why the conversation ended.
#[derive(Debug, thiserror::Error)]
pub enum ChatError {
    #[error("cannot use the device of --device")]
    Device { source: DeviceError },
    #[error("cannot talk to the model folder {}", path.display())]
    Model { path: PathBuf, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("cannot draw tokens that way")]
    Sampling { source: SamplingError },
    #[error("cannot use the tokenizer of {}; a model without a chat template answers with --raw", path.display())]
    Tokenizer { path: PathBuf, source: TokenizerError },
    #[error("the conversation has {tokens} tokens and fills the {limit} positions of the model; begin a new one")]
    Full { tokens: usize, limit: usize },
    #[error("the model cannot answer this")]
    Request { source: RequestError },
    #[error("the engine failed")]
    Engine { source: EngineError },
    #[error("the answer cannot be continued")]
    Sample { source: SampleError },
    #[error("cannot hear the terminal")]
    Keys { source: KeysError },
    #[error("cannot read or write the conversation")]
    Terminal { source: io::Error },
}

/// Talks until the input ends or Ctrl-C is pressed at the prompt.
///
/// # Errors
/// [`ChatError`].
pub fn run(config: &Chat, out: &mut dyn Write) -> Result<(), ChatError> {
    let mut talk = Talk::open(config)?;
    let keys = Keys::listen().map_err(|source| ChatError::Keys { source })?;
    loop {
        write!(out, "> ").and_then(|()| out.flush()).map_err(terminal)?;
        match keys.line().map_err(terminal)? {
            Some(line) if line.is_empty() => {}
            Some(line) => talk.turn(&line, keys.interrupts(), out)?,
            None => return writeln!(out).map_err(terminal),
        }
        if keys.interrupts().is_leaving() {
            return Ok(());
        }
    }
}

struct Talk<'a> {
    config: &'a Chat,
    engine: Engine,
    texts: Arc<TokenTexts>,
    sampling: Arc<Sampling>,
    messages: Vec<ChatMessage>,
    turns: u64,
}

impl<'a> Talk<'a> {
    fn open(config: &'a Chat) -> Result<Self, ChatError> {
        tch::set_num_threads(1);
        let sampling = Sampling {
            top_k: config.top_k.map(|k| k as usize),
            top_p: config.top_p,
            min_p: config.min_p,
            ..Sampling::at(config.temperature)
        };
        sampling.validate().map_err(|source| ChatError::Sampling { source })?;
        let place = Place::find(config.device).map_err(|source| ChatError::Device { source })?;
        let (engine, texts) = load(config, place)?;
        Ok(Self { config, engine, texts, sampling: Arc::new(sampling), messages: Vec::new(), turns: 0 })
    }

    fn turn(&mut self, typed: &str, interrupts: &Interrupts, out: &mut dyn Write) -> Result<(), ChatError> {
        self.turns += 1;
        let tokenizer = self.texts.tokenizer();
        let prompt = if self.config.raw {
            tokenizer.encode(typed)
        } else {
            self.messages.push(ChatMessage::new("user", typed));
            tokenizer.encode_chat(&self.messages, true)
        };
        let prompt = prompt.map_err(|source| tokenizer_failed(self.config, source))?;
        interrupts.answer_begins();
        let answer = self.answer(prompt, interrupts, out);
        interrupts.answer_ended();
        writeln!(out).map_err(terminal)?;
        // Of an interrupted answer what was read: the next turn stands on what the person saw.
        self.messages.push(ChatMessage::new("assistant", answer?));
        Ok(())
    }

    /// Writes the answer as it comes, and gives what was written.
    fn answer(&mut self, prompt: Vec<u32>, interrupts: &Interrupts, out: &mut dyn Write) -> Result<String, ChatError> {
        let id = self.submit(prompt)?;
        let mut written = String::new();
        let mut say = |text: &str| {
            written.push_str(text);
            out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(terminal)
        };
        while !self.engine.is_idle() {
            if interrupts.is_interrupted() {
                self.engine.cancel(id);
                break;
            }
            for event in self.engine.step().map_err(|source| ChatError::Engine { source })? {
                match event {
                    Event::Token(token) => say(&token.text)?,
                    Event::Failed { error, .. } => return Err(ChatError::Sample { source: error }),
                    // Its text was told token by token; scores and swaps are not asked for here.
                    Event::Finished { .. } | Event::Restarted { .. } | Event::Scored { .. } => {}
                }
            }
        }
        Ok(written)
    }

    fn submit(&mut self, prompt: Vec<u32>) -> Result<RequestId, ChatError> {
        let config = self.engine.config();
        let (tokens, limit) = (prompt.len(), config.max_position_embeddings);
        let room = limit.saturating_sub(tokens);
        if room == 0 {
            return Err(ChatError::Full { tokens, limit });
        }
        let request = Request {
            sampling: Arc::clone(&self.sampling),
            stop_tokens: Arc::new(BTreeSet::from_iter(config.eos_token_ids.iter().copied())),
            seed: Seed(self.config.seed).nth(self.turns).0,
            ..Request::greedy(prompt, room.min(self.config.max_tokens as usize))
        };
        self.engine.submit(request).map_err(|source| ChatError::Request { source })
    }
}

fn load(config: &Chat, place: Place) -> Result<(Engine, Arc<TokenTexts>), ChatError> {
    let failed =
        |source: Box<dyn std::error::Error + Send + Sync>| ChatError::Model { path: config.model.clone(), source };
    let folder = ModelFolder::open(&config.model).map_err(|error| failed(error.into()))?;
    ignored::tell(&folder);
    let model = folder.load(place.device).map_err(|error| failed(error.into()))?;
    if let Some(name) = model.parameters().first_not_finite().map_err(|error| failed(error.into()))? {
        return Err(failed(format!("tensor `{name}` holds numbers that are not finite").into()));
    }
    let precision = place.precision(model.config().hidden_size);
    let options = EngineOptions { precision, ..EngineOptions::default() };
    let mut engine = Engine::new(&model, options).map_err(|error| failed(error.into()))?;
    self_test(&engine).map_err(failed)?;
    let tokenizer: Tokenizer = folder.into_tokenizer();
    let texts = TokenTexts::new(Arc::new(tokenizer)).map_err(|source| tokenizer_failed(config, source))?;
    let texts = Arc::new(texts);
    engine.set_texts(Arc::clone(&texts));
    Ok((engine, texts))
}

fn tokenizer_failed(config: &Chat, source: TokenizerError) -> ChatError {
    ChatError::Tokenizer { path: config.model.clone(), source }
}

fn terminal(source: io::Error) -> ChatError {
    ChatError::Terminal { source }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use galapagos_domain::recipe::Characters;

    use super::*;
    use crate::config::{Arguments, Command};
    use crate::engine::Engine as _;
    use crate::engine::tch::TchEngine;

    #[test]
    fn what_a_turn_repeats_is_not_computed_again() {
        let folder = tempfile::tempdir().unwrap();
        let shape =
            Characters { alphabet: "0123456789 ".to_owned(), layers: 1, hidden: 32, heads: 2, ffn: 32, context: 400 };
        TchEngine::new().initialise(&shape, Seed(1), folder.path()).unwrap();
        let line = ["w", "chat", folder.path().to_str().unwrap(), "--raw", "--max-tokens", "4", "--device", "cpu"];
        let Command::Chat(config) = Arguments::parse_from(line).command else { panic!() };
        let mut talk = Talk::open(&config).unwrap();
        let (interrupts, mut out) = (Interrupts::default(), Vec::new());
        let mut computed = |talk: &mut Talk<'_>, typed: &str| {
            let before = talk.engine.stats();
            talk.turn(typed, &interrupts, &mut out).unwrap();
            let after = talk.engine.stats();
            (after.computed_tokens - before.computed_tokens, after.reused_tokens - before.reused_tokens)
        };
        let first = "31415926535 ".repeat(10);
        let (whole, none) = computed(&mut talk, &first);
        assert!(whole >= 120 && none == 0, "{whole} computed, {none} reused");
        let (rest, reused) = computed(&mut talk, &format!("{first}271828"));
        assert!(rest < 20 && reused >= 110, "{rest} computed, {reused} reused");
    }
}

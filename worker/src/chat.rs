//! `chat`: lines from standard input to a model folder, answers back as they are generated. With the model's chat template
//! and the conversation so far, or raw: the line as it is, continued.

use std::io::{self, BufRead, Write};
use std::path::PathBuf;

use galapagos_domain::seed::Seed;
use galapagos_model::{ChatMessage, Tokenizer, TokenizerError};
use galapagos_telemetry::SpawnError;

use crate::config::Chat;
use crate::engine::tch::TchEngine;
use crate::engine::{Batch, CheckpointDir, EngineError, EngineHandle, Request, Watch};
use crate::eval::adopt;

/// Tokens between two looks at what was written so far.
const PIECE: u32 = 16;

/// Why the conversation ended.
#[derive(Debug, thiserror::Error)]
pub enum ChatError {
    #[error("cannot talk to the model folder {}", path.display())]
    Model { path: PathBuf, source: EngineError },
    #[error("cannot use the tokenizer of {}; a model without a chat template answers with --raw", path.display())]
    Tokenizer { path: PathBuf, source: TokenizerError },
    #[error("the engine cannot be started")]
    Engine { source: SpawnError },
    #[error("cannot read or write the conversation")]
    Terminal { source: io::Error },
}

/// Talks until the input ends.
///
/// # Errors
/// [`ChatError`].
pub fn run(config: &Chat, input: &mut dyn BufRead, out: &mut dyn Write) -> Result<(), ChatError> {
    let engine = EngineHandle::start(|| Box::new(TchEngine::new())).map_err(|source| ChatError::Engine { source })?;
    let checkpoint =
        adopt(&engine, &config.model).map_err(|source| ChatError::Model { path: config.model.clone(), source })?;
    let tokenizer = Tokenizer::from_folder(&config.model).map_err(|source| tokenizer_failed(config, source))?;
    let mut talk = Talk { config, engine, checkpoint, tokenizer, messages: Vec::new(), turns: 0 };
    let mut line = String::new();
    loop {
        write!(out, "> ").and_then(|()| out.flush()).map_err(terminal)?;
        line.clear();
        if input.read_line(&mut line).map_err(terminal)? == 0 {
            return writeln!(out).map_err(terminal);
        }
        let typed = line.trim_end_matches(['\n', '\r']);
        if !typed.is_empty() {
            talk.turn(typed, out)?;
        }
    }
}

struct Talk<'a> {
    config: &'a Chat,
    engine: EngineHandle,
    checkpoint: CheckpointDir,
    tokenizer: Tokenizer,
    messages: Vec<ChatMessage>,
    turns: u64,
}

impl Talk<'_> {
    fn turn(&mut self, typed: &str, out: &mut dyn Write) -> Result<(), ChatError> {
        self.turns += 1;
        let prompt = if self.config.raw {
            self.tokenizer.encode(typed)
        } else {
            self.messages.push(ChatMessage::new("user", typed));
            self.tokenizer.encode_chat(&self.messages, true)
        };
        let answer = self.answer(prompt.map_err(|source| tokenizer_failed(self.config, source))?, out)?;
        writeln!(out).map_err(terminal)?;
        self.messages.push(ChatMessage::new("assistant", answer));
        Ok(())
    }

    /// Generates piece by piece and writes what is new after each.
    fn answer(&self, mut tokens: Vec<u32>, out: &mut dyn Write) -> Result<String, ChatError> {
        let (asked, mut written) = (tokens.len(), String::new());
        let stop: Vec<u32> = self.tokenizer.eos().into_iter().collect();
        let seed = Seed(self.config.seed).nth(self.turns);
        for piece in 0..self.config.max_tokens.div_ceil(PIECE) {
            let left = self.config.max_tokens - piece * PIECE;
            let request = Request {
                prompt: tokens.clone(),
                samples: 1,
                seed: seed.nth(u64::from(piece)),
                temperature: self.config.temperature,
                top_p: 1.0,
            };
            let batch = Batch {
                checkpoint: self.checkpoint.clone(),
                prefix: Vec::new(),
                requests: vec![request],
                stop: stop.clone(),
                max_tokens: left.min(PIECE),
            };
            let made = self.engine.generate(batch, Watch::nobody());
            let made = made.map_err(|source| ChatError::Model { path: self.config.model.clone(), source })?;
            tokens.extend(made.into_iter().flat_map(|completion| completion.tokens));
            let ended = tokens.len() > asked && tokens.last().is_some_and(|token| stop.contains(token));
            let text =
                self.tokenizer.decode(&tokens[asked..]).map_err(|source| tokenizer_failed(self.config, source))?;
            // A character cut between two pieces is written when it is whole.
            let whole = if ended { text.as_str() } else { text.trim_end_matches('\u{fffd}') };
            if let Some(new) = whole.strip_prefix(&written) {
                write!(out, "{new}").and_then(|()| out.flush()).map_err(terminal)?;
                written = whole.to_owned();
            }
            if ended {
                break;
            }
        }
        Ok(written)
    }
}

fn tokenizer_failed(config: &Chat, source: TokenizerError) -> ChatError {
    ChatError::Tokenizer { path: config.model.clone(), source }
}

fn terminal(source: io::Error) -> ChatError {
    ChatError::Terminal { source }
}

//! `chat`: lines from standard input to a model, answers back. The model is a folder, whose answers come token by token, or what an
//! inference server has under a name. With the conversation so far, or raw: the line as it is, continued.

mod here;
mod keys;
mod there;

use std::io::{self, Write};
use std::path::PathBuf;

use galapagos_model::engine::SampleError;
use galapagos_model::sampling::SamplingError;
use galapagos_model::{ChatMessage, EngineError, RequestError, TokenizerError};

use crate::cancel::Cancel;
use crate::config::Chat;
use crate::device::DeviceError;
use crate::engine::openai::client::ClientError;
use here::Here;
use keys::{Interrupts, Keys, KeysError};
use there::There;

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
    #[error("`{}` cannot be a model's name at a server", name.display())]
    Name { name: PathBuf },
    #[error("the server of --server cannot be used")]
    Server { source: ClientError },
    #[error("the server of --server gave no answer")]
    Reply { source: crate::engine::EngineError },
    #[error("cannot hear the terminal")]
    Keys { source: KeysError },
    #[error("cannot read or write the conversation")]
    Terminal { source: io::Error },
}

/// What the person said, and where an answer is written.
struct Turn<'a> {
    /// The conversation so far; the person's last line is the last message.
    messages: &'a [ChatMessage],
    /// Counted from 1.
    number: u64,
    /// Raised when the answer is not wanted any more.
    cancel: &'a Cancel,
    /// Writes the answer, in one or many pieces.
    say: &'a mut dyn FnMut(&str) -> Result<(), ChatError>,
}

/// Whom the person talks to.
trait Partner {
    fn answer(&mut self, turn: Turn<'_>) -> Result<(), ChatError>;
}

/// Talks until the input ends or Ctrl-C is pressed at the prompt.
///
/// # Errors
/// [`ChatError`].
pub fn run(config: &Chat, out: &mut dyn Write) -> Result<(), ChatError> {
    let mut talk = Talk { partner: partner(config)?, messages: Vec::new(), turns: 0 };
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

fn partner(config: &Chat) -> Result<Box<dyn Partner>, ChatError> {
    match &config.server {
        Some(url) => Ok(Box::new(There::open(config, url)?)),
        None => Ok(Box::new(Here::open(config)?)),
    }
}

struct Talk {
    partner: Box<dyn Partner>,
    messages: Vec<ChatMessage>,
    turns: u64,
}

impl Talk {
    fn turn(&mut self, typed: &str, interrupts: &Interrupts, out: &mut dyn Write) -> Result<(), ChatError> {
        self.turns += 1;
        self.messages.push(ChatMessage::new("user", typed));
        let mut written = String::new();
        let mut say = |text: &str| {
            written.push_str(text);
            out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(terminal)
        };
        let cancel = interrupts.answer_begins();
        let turn = Turn { messages: &self.messages, number: self.turns, cancel: &cancel, say: &mut say };
        let answered = self.partner.answer(turn);
        interrupts.answer_ended();
        writeln!(out).map_err(terminal)?;
        answered?;
        // Of an interrupted answer what was read: the next turn stands on what the person saw.
        self.messages.push(ChatMessage::new("assistant", written));
        Ok(())
    }
}

fn terminal(source: io::Error) -> ChatError {
    ChatError::Terminal { source }
}

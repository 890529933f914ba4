//! The one thread that owns the engine: requests come in over a bounded queue, news go out to each request as it is made, and
//! between two steps of the engine whatever has come in joins the running batch.
//!
//! A client that goes away is noticed at the next news for it, and its request is cancelled. A failure of the engine ends all
//! running requests with its cause, never silently.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};

use galapagos_model::guide::GuideSpec;
use galapagos_model::{Sampling, Tokenizer};
use galapagos_telemetry::{SpawnError, ThreadHandle, spawn_thread};
use tokio::sync::{mpsc, oneshot};

use super::adapters::AdapterChange;
use super::api::error::ApiError;
use super::api::response::Part;
use super::desk::Desk;

/// Requests that may wait for the thread to look; the engine has its own queue behind it.
const INBOX: usize = 64;

/// What is asked of the engine.
#[derive(Debug, Clone)]
pub struct Ask {
    pub prompt: Vec<u32>,
    /// Choices wanted.
    pub samples: usize,
    pub sampling: Sampling,
    pub max_new_tokens: usize,
    pub stop_tokens: Vec<u32>,
    pub stop_strings: Vec<String>,
    pub seed: u64,
    pub guide: Option<GuideSpec>,
    /// Candidates listed beside each token.
    pub top_log_probs: usize,
    /// Name of an adapter; `None` for the model itself.
    pub adapter: Option<String>,
    /// Whether the prompt is answered as well, with its log-probabilities.
    pub echo: bool,
}

/// What becomes of an ask.
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    /// More of one choice.
    Part(Part),
    /// Prompt tokens that were not computed again.
    Cached(usize),
    /// The end of the whole ask.
    Failed(ApiError),
}

/// The receiving end of an ask; dropping it cancels the ask.
#[derive(Debug)]
pub struct Answer {
    pub news: mpsc::Receiver<News>,
}

/// An ask on its way to the thread.
pub(super) struct Letter {
    pub(super) ask: Ask,
    pub(super) news: mpsc::Sender<News>,
}

/// What comes to the thread.
pub(super) enum Mail {
    Letter(Box<Letter>),
    Adapter { change: AdapterChange, done: oneshot::Sender<Result<(), ApiError>> },
}

/// The way to the thread. The thread ends with the last clone.
#[derive(Debug, Clone)]
pub struct Line {
    inbox: SyncSender<Mail>,
    tokenizer: Arc<Tokenizer>,
}

impl std::fmt::Debug for Letter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Letter").field("ask", &self.ask).finish_non_exhaustive()
    }
}

impl Line {
    /// Starts the thread on `desk`.
    ///
    /// # Errors
    /// If the operating system refuses a thread.
    pub fn start(desk: Desk, tokenizer: Arc<Tokenizer>) -> Result<(Self, ThreadHandle<()>), SpawnError> {
        let (inbox, mail) = sync_channel(INBOX);
        let thread = spawn_thread("engine", move || serve(desk, &mail))?;
        Ok((Self { inbox, tokenizer }, thread))
    }

    /// The model's tokenizer.
    #[must_use]
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Hands `ask` in.
    ///
    /// # Errors
    /// [`ApiError`] when too much is waiting, or the thread has ended.
    pub fn ask(&self, ask: Ask) -> Result<Answer, ApiError> {
        // Room for every message the ask can cause, so that a slow client never stops the engine.
        let most = ask.samples.saturating_mul(ask.max_new_tokens.saturating_add(3)).saturating_add(2);
        let (sender, news) = mpsc::channel(most);
        self.hand_in(Mail::Letter(Box::new(Letter { ask, news: sender })))?;
        Ok(Answer { news })
    }

    /// Changes the adapters that requests may name.
    ///
    /// # Errors
    /// [`ApiError`] when it cannot be done, and as [`Line::ask`].
    pub async fn change_adapter(&self, change: AdapterChange) -> Result<(), ApiError> {
        let (done, told) = oneshot::channel();
        self.hand_in(Mail::Adapter { change, done })?;
        told.await.unwrap_or_else(|_| Err(ended()))
    }

    fn hand_in(&self, mail: Mail) -> Result<(), ApiError> {
        self.inbox.try_send(mail).map_err(|error| match error {
            TrySendError::Full(_) => {
                ApiError::busy(format!("{INBOX} requests wait already to be looked at; try again in a moment"))
            }
            TrySendError::Disconnected(_) => ended(),
        })
    }
}

fn ended() -> ApiError {
    ApiError::internal("the engine has ended; the server's log says why")
}

fn serve(mut desk: Desk, mail: &Receiver<Mail>) {
    loop {
        let piece = if desk.is_idle() {
            match mail.recv() {
                Ok(piece) => Some(piece),
                Err(_) => return,
            }
        } else {
            match mail.try_recv() {
                Ok(piece) => Some(piece),
                Err(TryRecvError::Empty) => None,
                Err(TryRecvError::Disconnected) => return,
            }
        };
        match piece {
            Some(Mail::Letter(letter)) => desk.take(*letter),
            // A client that is gone needs no answer.
            Some(Mail::Adapter { change, done }) => drop(done.send(desk.change_adapter(&change))),
            None => desk.step(),
        }
    }
}

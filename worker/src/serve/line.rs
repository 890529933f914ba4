//! The one thread that owns the engine: requests come in over a bounded queue, news go out to each request as it is made, and
//! between two steps of the engine whatever has come in joins the running batch.
//!
//! A client that goes away is noticed at the next news for it, and its request is cancelled. A failure of the engine ends all
//! running requests with its cause, never silently. A panic, or failures without end, end the thread as well, and [`Life`] tells of it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};

use galapagos_model::guide::GuideSpec;
use galapagos_model::{Sampling, Tokenizer};
use galapagos_telemetry::{SpawnError, spawn_thread};
use tokio::sync::{mpsc, oneshot, watch};

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

/// What the thread runs on: a [`Desk`], and in tests what fails on purpose.
pub(super) trait Work: Send + 'static {
    /// Whether no request runs.
    fn is_idle(&self) -> bool;
    /// Begins what a letter asks, or tells its client why not.
    fn take(&mut self, letter: Letter);
    /// Changes the adapters that letters may ask for.
    ///
    /// # Errors
    /// Why it cannot be done; nothing has changed then.
    fn change_adapter(&mut self, change: &AdapterChange) -> Result<(), ApiError>;
    /// Advances all that run, or tells those that cannot go on.
    ///
    /// # Errors
    /// Why the engine is given up.
    fn step(&mut self) -> Result<(), String>;
    /// Tells all that run that they have failed, and forgets them. The engine may be broken: it is not touched.
    fn abandon(&mut self, error: &ApiError);
}

/// Tells of the thread's death: `None` while it lives and after an orderly end, else the cause.
#[derive(Debug, Clone)]
pub struct Life(watch::Receiver<Option<String>>);

impl Life {
    /// What the thread died of, if it did.
    #[must_use]
    pub fn cause(&self) -> Option<String> {
        self.0.borrow().clone()
    }

    /// Returns once the thread has died.
    pub async fn died(mut self) {
        if self.0.wait_for(Option::is_some).await.is_err() {
            // It ended in order, and nothing can change that.
            std::future::pending::<()>().await;
        }
    }
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
    life: Life,
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
    pub fn start(desk: Desk, tokenizer: Arc<Tokenizer>) -> Result<Self, SpawnError> {
        Self::start_on(desk, tokenizer)
    }

    pub(super) fn start_on(mut work: impl Work, tokenizer: Arc<Tokenizer>) -> Result<Self, SpawnError> {
        let (inbox, mail) = sync_channel(INBOX);
        let (say, life) = watch::channel(None);
        // Whoever holds the line sees the thread end: by its life, and by letters that are refused.
        drop(spawn_thread("engine", move || {
            let ended = catch_unwind(AssertUnwindSafe(|| serve(&mut work, &mail)))
                .unwrap_or_else(|payload| Err(format!("it panicked: {}", message(payload.as_ref()))));
            if let Err(why) = ended {
                say.send_replace(Some(why.clone()));
                work.abandon(&ApiError::ended(&why));
            }
        })?);
        Ok(Self { inbox, tokenizer, life: Life(life) })
    }

    /// See [`Life`].
    #[must_use]
    pub fn life(&self) -> &Life {
        &self.life
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
        told.await.unwrap_or_else(|_| Err(self.ended()))
    }

    fn hand_in(&self, mail: Mail) -> Result<(), ApiError> {
        self.inbox.try_send(mail).map_err(|error| match error {
            TrySendError::Full(_) => {
                ApiError::busy(format!("{INBOX} requests wait already to be looked at; try again in a moment"))
            }
            TrySendError::Disconnected(_) => self.ended(),
        })
    }

    fn ended(&self) -> ApiError {
        ApiError::ended(&self.life.cause().unwrap_or_else(|| "the server is ending".to_owned()))
    }
}

/// Serves until the last line is gone, or as an error until the engine is given up.
fn serve(work: &mut impl Work, mail: &Receiver<Mail>) -> Result<(), String> {
    loop {
        let piece = if work.is_idle() {
            match mail.recv() {
                Ok(piece) => Some(piece),
                Err(_) => return Ok(()),
            }
        } else {
            match mail.try_recv() {
                Ok(piece) => Some(piece),
                Err(TryRecvError::Empty) => None,
                Err(TryRecvError::Disconnected) => return Ok(()),
            }
        };
        match piece {
            Some(Mail::Letter(letter)) => work.take(*letter),
            // A client that is gone needs no answer.
            Some(Mail::Adapter { change, done }) => drop(done.send(work.change_adapter(&change))),
            None => work.step()?,
        }
    }
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without a message".to_owned())
}

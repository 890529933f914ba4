//! The engine of a server with the requests that run on it: takes asks in, makes steps, and sorts what comes out of them to
//! the clients. Lives on the thread of [`super::line`].

use std::collections::BTreeMap;
use std::sync::Arc;

use galapagos_model::Finish;
use galapagos_model::detokenize::TokenTexts;
use galapagos_model::engine::{
    AdapterId, Completion, Engine, EngineError, Event, Request, RequestError, RequestId, ScoreRequest, TokenEvent,
};
use galapagos_model::guide::{Guide, GuideVocabulary};
use galapagos_telemetry::ErrorChain;
use tokio::sync::mpsc;

use super::adapters::{self, AdapterChange};
use super::api::error::ApiError;
use super::api::response::{Part, TokenInfo};
use super::line::{Ask, Letter, News, Work};

/// Failed steps without a good one between them after which the engine is given up: it may be a device that is lost for good.
const MOST_FAILURES: u32 = 3;

/// See the head of this file.
pub struct Desk {
    engine: Engine,
    texts: Arc<TokenTexts>,
    /// Tokens that may end a guided answer.
    ends: Vec<u32>,
    /// Made at the first guided request.
    vocabulary: Option<GuideVocabulary>,
    adapters: BTreeMap<String, AdapterId>,
    open: BTreeMap<RequestId, Running>,
    /// Prompts that are scored before they are echoed, with their asks.
    echoes: BTreeMap<RequestId, Letter>,
    /// Steps that failed since the last good one.
    failures: u32,
}

struct Running {
    news: mpsc::Sender<News>,
    /// Samples that have not ended.
    left: usize,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").field("open", &self.open.len()).finish_non_exhaustive()
    }
}

impl Work for Desk {
    fn is_idle(&self) -> bool {
        self.engine.is_idle()
    }

    fn take(&mut self, letter: Letter) {
        let begun = if letter.ask.echo { self.score_prompt(&letter.ask) } else { self.begin(&letter.ask) };
        match begun {
            Err(error) => tell(&letter.news, News::Failed(error)),
            Ok(id) if letter.ask.echo => drop(self.echoes.insert(id, letter)),
            Ok(id) => drop(self.open.insert(id, Running { news: letter.news, left: letter.ask.samples })),
        }
    }

    fn change_adapter(&mut self, change: &AdapterChange) -> Result<(), ApiError> {
        adapters::change(&mut self.engine, &mut self.adapters, change)
    }

    fn step(&mut self) -> Result<(), String> {
        let events = self.engine.step();
        self.stepped(events)
    }

    fn abandon(&mut self, error: &ApiError) {
        for (_, running) in std::mem::take(&mut self.open) {
            tell(&running.news, News::Failed(error.clone()));
        }
        for (_, letter) in std::mem::take(&mut self.echoes) {
            tell(&letter.news, News::Failed(error.clone()));
        }
    }
}

impl Desk {
    /// A desk without requests.
    #[must_use]
    pub fn new(engine: Engine, texts: Arc<TokenTexts>, ends: Vec<u32>, adapters: BTreeMap<String, AdapterId>) -> Self {
        let (open, echoes) = (BTreeMap::new(), BTreeMap::new());
        Self { engine, texts, ends, vocabulary: None, adapters, open, echoes, failures: 0 }
    }

    fn score_prompt(&mut self, ask: &Ask) -> Result<RequestId, ApiError> {
        if ask.prompt.len() < 2 {
            return Err(ApiError::invalid(Some("echo"), "`echo` needs a prompt of at least two tokens"));
        }
        let score = ScoreRequest {
            adapter: self.adapter(ask)?,
            ..ScoreRequest::continuation(&ask.prompt[..1], &ask.prompt[1..])
        };
        self.engine.submit_score(&score).map_err(refused)
    }

    fn begin(&mut self, ask: &Ask) -> Result<RequestId, ApiError> {
        let request = Request {
            prompt: ask.prompt.clone(),
            samples: ask.samples,
            sampling: Arc::new(ask.sampling.clone()),
            max_new_tokens: ask.max_new_tokens,
            stop_tokens: Arc::new(ask.stop_tokens.iter().copied().collect()),
            stop_strings: ask.stop_strings.clone(),
            seed: ask.seed,
            adapter: self.adapter(ask)?,
            guide: self.guide(ask)?,
            top_log_probs: ask.top_log_probs,
            ..Request::greedy(Vec::new(), 1)
        };
        self.engine.submit(request).map_err(refused)
    }

    fn adapter(&self, ask: &Ask) -> Result<Option<AdapterId>, ApiError> {
        let Some(name) = &ask.adapter else { return Ok(None) };
        let known = || self.adapters.keys().cloned().collect::<Vec<_>>();
        self.adapters.get(name).copied().map(Some).ok_or_else(|| ApiError::no_model(name, &known()))
    }

    fn guide(&mut self, ask: &Ask) -> Result<Option<Guide>, ApiError> {
        let Some(spec) = &ask.guide else { return Ok(None) };
        let wrong = |error: &dyn std::error::Error| ApiError::invalid(Some("guided decoding"), chain(error));
        if self.vocabulary.is_none() {
            let made = GuideVocabulary::new(&self.texts, &self.ends).map_err(|error| wrong(&error))?;
            self.vocabulary = Some(made);
        }
        let compiled = self.vocabulary.as_ref().map(|vocabulary| vocabulary.compile(spec)).transpose();
        compiled.map_err(|error| wrong(&error))
    }

    /// What a step of the engine gave. After a failed one the engine is as it was before it, and would fail again: all that
    /// runs in it is ended.
    ///
    /// # Errors
    /// The cause of the last of [`MOST_FAILURES`] failures.
    pub(super) fn stepped(&mut self, events: Result<Vec<Event>, EngineError>) -> Result<(), String> {
        match events {
            Ok(events) => {
                self.failures = 0;
                events.into_iter().for_each(|event| self.sort(event));
                Ok(())
            }
            Err(error) => {
                tracing::error!("the engine failed: {}", ErrorChain::new(&error));
                let running: Vec<RequestId> = self.open.keys().chain(self.echoes.keys()).copied().collect();
                self.abandon(&ApiError::internal(format!("the engine failed: {}", chain(&error))));
                for id in running {
                    self.engine.cancel(id);
                }
                self.failures += 1;
                let given_up = self.failures >= MOST_FAILURES;
                if given_up {
                    Err(format!("it failed {MOST_FAILURES} times in a row: {}", chain(&error)))
                } else {
                    Ok(())
                }
            }
        }
    }

    fn sort(&mut self, event: Event) {
        match event {
            Event::Token(token) => self.on_token(&token),
            Event::Finished { request, sample, completion } => self.on_finished(request, sample, &completion),
            Event::Failed { request, sample, error } => {
                let error = ApiError::internal(format!("choice {sample} failed: {}", chain(&error)));
                if let Some(running) = self.open.remove(&request) {
                    tell(&running.news, News::Failed(error));
                } else if let Some(letter) = self.echoes.remove(&request) {
                    tell(&letter.news, News::Failed(error));
                }
                self.engine.cancel(request);
            }
            Event::Scored { request, values, .. } => self.on_scored(request, &values),
            // Weights are never swapped under a server.
            Event::Restarted { .. } => {}
        }
    }

    fn on_token(&mut self, token: &TokenEvent) {
        let part = Part {
            index: token.sample,
            text: token.text.clone(),
            tokens: vec![self.info(token.token, Some(token.log_prob), &token.top)],
            ..Part::default()
        };
        self.send(token.request, part);
    }

    fn on_finished(&mut self, request: RequestId, sample: usize, completion: &Completion) {
        let finish = Some(match completion.finish {
            Finish::Length => "length",
            Finish::StopToken | Finish::StopString(_) | Finish::Guide => "stop",
        });
        self.send(request, Part { index: sample, finish, ..Part::default() });
        if let Some(running) = self.open.get_mut(&request) {
            running.left -= 1;
            if running.left == 0 {
                self.open.remove(&request);
            }
        }
    }

    /// The prompt's numbers are there: every choice begins with them, then the completion is asked for.
    fn on_scored(&mut self, request: RequestId, values: &[f32]) {
        let Some(letter) = self.echoes.remove(&request) else { return };
        let log_probs = std::iter::once(None).chain(values.iter().copied().map(Some));
        let tokens: Vec<TokenInfo> =
            letter.ask.prompt.iter().zip(log_probs).map(|(token, log_prob)| self.info(*token, log_prob, &[])).collect();
        let text = self.texts.tokenizer().decode(&letter.ask.prompt).unwrap_or_default();
        for index in 0..letter.ask.samples {
            let part = Part { index, text: text.clone(), tokens: tokens.clone(), finish: None, echo: true };
            tell(&letter.news, News::Part(part));
        }
        self.take(Letter { ask: Ask { echo: false, ..letter.ask }, news: letter.news });
    }

    fn send(&mut self, request: RequestId, part: Part) {
        let Some(running) = self.open.get(&request) else { return };
        if running.news.try_send(News::Part(part)).is_err() {
            // The client is gone: there is room for all it can be sent.
            tracing::info!("a client went away; its request is cancelled");
            self.engine.cancel(request);
            self.open.remove(&request);
        }
    }

    fn info(&self, id: u32, log_prob: Option<f32>, top: &[(u32, f32)]) -> TokenInfo {
        let text = |id: u32| self.texts.tokenizer().decode_with_special(&[id]).unwrap_or_default();
        let top = top.iter().map(|(id, log_prob)| (text(*id), *log_prob)).collect();
        TokenInfo { id, text: text(id), log_prob, top }
    }
}

/// A client that is gone needs no news.
fn tell(news: &mpsc::Sender<News>, what: News) {
    drop(news.try_send(what));
}

fn refused(error: RequestError) -> ApiError {
    match &error {
        RequestError::Full { .. } => ApiError::busy(chain(&error)),
        RequestError::TooLong { .. } | RequestError::Memory { .. } => ApiError::too_long(chain(&error)),
        _ => ApiError::invalid(None, chain(&error)),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    ErrorChain::new(error).to_string()
}

//! A Hugging Face tokenizer as a codec. Stop tokens are searched once, and guides compiled once: both read the whole vocabulary.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use galapagos_domain::recipe::guide::Guide;
use galapagos_model::detokenize::TokenTexts;
use galapagos_model::guide::GuideError;
use galapagos_model::{ChatMessage, Tokenizer, TokenizerError};

use super::super::guided::{Guided, Vocabulary, named};
use super::super::recent::Recent;
use super::super::{Codec, EngineError};

/// Ways of ending completions that vocabularies are kept for.
const VOCABULARIES: usize = 2;

/// Compiled guides kept: those of a recipe's recipe steps.
const GUIDES: usize = 8;

/// Stop tokens and their terminator.
type Ending = (Vec<u32>, Option<char>);

/// The tokenizer of one model folder.
#[derive(Debug)]
pub(super) struct HuggingFaceCodec {
    tokenizer: Arc<Tokenizer>,
    texts: Mutex<Option<Arc<TokenTexts>>>,
    stops: Mutex<BTreeMap<Option<char>, Vec<u32>>>,
    guides: Mutex<Guides>,
}

#[derive(Debug)]
struct Guides {
    vocabularies: Recent<Ending, Vocabulary>,
    compiled: Recent<(Ending, Guide), Guided>,
}

impl HuggingFaceCodec {
    pub(super) fn open(folder: &Path) -> Result<Self, EngineError> {
        let tokenizer = Tokenizer::from_folder(folder)
            .map_err(|source| EngineError::Load { path: folder.to_owned(), source: source.into() })?;
        let guides = Guides { vocabularies: Recent::new(VOCABULARIES), compiled: Recent::new(GUIDES) };
        let (texts, stops, guides) = (Mutex::default(), Mutex::default(), Mutex::new(guides));
        Ok(Self { tokenizer: Arc::new(tokenizer), texts, stops, guides })
    }

    /// The texts of the tokens; made once.
    pub(super) fn texts(&self) -> Result<Arc<TokenTexts>, EngineError> {
        self.token_texts().map_err(failed("decode"))
    }

    fn token_texts(&self) -> Result<Arc<TokenTexts>, TokenizerError> {
        let mut known = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        let texts = match known.take() {
            Some(texts) => texts,
            None => Arc::new(TokenTexts::new(Arc::clone(&self.tokenizer))?),
        };
        Ok(Arc::clone(known.insert(texts)))
    }
}

fn failed(what: &'static str) -> impl FnOnce(TokenizerError) -> EngineError {
    move |source| EngineError::Text { what, source: source.into() }
}

impl Codec for HuggingFaceCodec {
    fn encode(&self, text: &str) -> Result<Vec<u32>, EngineError> {
        if text.is_empty() {
            return Ok(Vec::new());
        }
        self.tokenizer.encode(text).map_err(failed("encode"))
    }

    fn conversation(&self, messages: &[ChatMessage]) -> Result<Vec<u32>, EngineError> {
        self.tokenizer.encode_chat(messages, true).map_err(failed("render a conversation as"))
    }

    fn decode(&self, tokens: &[u32]) -> Result<String, EngineError> {
        self.tokenizer.decode(tokens).map_err(failed("decode"))
    }

    fn stop_tokens(&self, terminator: Option<char>) -> Result<Vec<u32>, EngineError> {
        let mut known = self.stops.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stop) = known.get(&terminator) {
            return Ok(stop.clone());
        }
        let mut stop = match terminator {
            None => Vec::new(),
            Some(terminator) => self.tokenizer.tokens_containing(terminator).map_err(failed("decode"))?,
        };
        stop.extend(self.tokenizer.eos());
        stop.sort_unstable();
        stop.dedup();
        known.insert(terminator, stop.clone());
        Ok(stop)
    }

    fn guided(&self, guide: &Guide, stop: &[u32], terminator: Option<char>) -> Result<Guided, EngineError> {
        let mut guides = self.guides.lock().unwrap_or_else(PoisonError::into_inner);
        let Guides { vocabularies, compiled } = &mut *guides;
        let ending: Ending = (stop.to_vec(), terminator);
        let compile = || {
            let vocabulary =
                vocabularies.get_or_make(ending.clone(), || Vocabulary::new(self.token_texts()?, stop, terminator))?;
            vocabulary.compile(guide)
        };
        let compiled = compiled.get_or_make((ending.clone(), guide.clone()), compile);
        compiled
            .map(|guided| guided.clone())
            .map_err(|source: GuideError| EngineError::Guide { guide: named(guide), source: source.into() })
    }
}

//! A Hugging Face tokenizer as a codec. Stop tokens are searched once: that reads the whole vocabulary.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use galapagos_model::{Tokenizer, TokenizerError};

use super::super::{Codec, EngineError};

/// The tokenizer of one model folder.
#[derive(Debug)]
pub(super) struct HuggingFaceCodec {
    tokenizer: Tokenizer,
    stops: Mutex<BTreeMap<char, Vec<u32>>>,
}

impl HuggingFaceCodec {
    pub(super) fn open(folder: &Path) -> Result<Self, EngineError> {
        let tokenizer = Tokenizer::from_folder(folder)
            .map_err(|source| EngineError::Load { path: folder.to_owned(), source: source.into() })?;
        Ok(Self { tokenizer, stops: Mutex::default() })
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

    fn decode(&self, tokens: &[u32]) -> Result<String, EngineError> {
        self.tokenizer.decode(tokens).map_err(failed("decode"))
    }

    fn stop_tokens(&self, terminator: char) -> Result<Vec<u32>, EngineError> {
        let mut known = self.stops.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stop) = known.get(&terminator) {
            return Ok(stop.clone());
        }
        let mut stop = self.tokenizer.tokens_containing(terminator).map_err(failed("decode"))?;
        stop.extend(self.tokenizer.eos());
        stop.sort_unstable();
        stop.dedup();
        known.insert(terminator, stop.clone());
        Ok(stop)
    }
}

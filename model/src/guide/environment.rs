//! A tokenizer's vocabulary as a trie of bytes.

use std::collections::HashSet;

use llguidance::toktrie::{TokRxInfo, TokTrie, TokenId, TokenizerEnv};

use super::GuideError;
use crate::detokenize::TokenTexts;

/// In front of the name of a special token; no byte of UTF-8.
const MARKER: u8 = TokTrie::SPECIAL_TOKEN_MARKER;

/// The trie, and plain tokenising by the longest token.
pub(super) struct Environment {
    trie: TokTrie,
}

impl Environment {
    /// `barred` tokens are as good as not there.
    pub(super) fn new(texts: &TokenTexts, ends: &[u32], barred: &[u32]) -> Result<Self, GuideError> {
        let size = texts.tokenizer().vocab_size() as u32;
        let known: Vec<u32> = ends.iter().copied().filter(|end| *end < size).collect();
        let Some(first) = known.first() else { return Err(GuideError::NoEnd { ends: ends.to_vec() }) };
        let barred: HashSet<u32> = barred.iter().copied().collect();
        let word = |token: u32| match barred.contains(&token) && !known.contains(&token) {
            true => Ok(Vec::new()),
            false => word(texts, token, known.contains(&token)),
        };
        let words: Result<Vec<Vec<u8>>, GuideError> = (0..size).map(word).collect();
        let trie = TokTrie::from(&TokRxInfo::new(size, *first), &words?).with_eos_tokens(&known);
        Ok(Self { trie })
    }
}

/// A token's bytes; empty for one that no text has. An end token has no text, whatever the tokenizer decodes it to.
fn word(texts: &TokenTexts, token: u32, ends: bool) -> Result<Vec<u8>, GuideError> {
    let bytes = texts.bytes(token)?.filter(|_| !ends);
    match (bytes, texts.tokenizer().inner().id_to_token(token)) {
        (Some(bytes), _) if bytes.contains(&MARKER) => Ok(Vec::new()),
        (Some(bytes), _) => Ok(bytes),
        (None, Some(name)) => Ok([&[MARKER], name.as_bytes()].concat()),
        (None, None) => Ok(Vec::new()),
    }
}

impl TokenizerEnv for Environment {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<TokenId> {
        self.trie.greedy_tokenize(bytes)
    }

    fn tokenize_is_canonical(&self) -> bool {
        false
    }
}

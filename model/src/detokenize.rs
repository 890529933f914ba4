//! Text of a completion, token by token: the pieces joined are what decoding all tokens at once gives.
//!
//! Characters whose bytes are not all there yet are held back. Work is linear in the tokens: byte-level tokenizers keep the
//! unfinished bytes alone, others decode each token behind the one before it. What ends a completion is decided by
//! [`crate::stop`].

use std::collections::HashSet;
use std::sync::Arc;

use crate::{Tokenizer, TokenizerError};

mod pieces;

use pieces::Scheme;

/// A tokenizer as detokenizers and guides see it; made once and shared.
///
/// ```no_run
/// # use std::sync::Arc;
/// # use galapagos_model::{Tokenizer, detokenize::{Detokenizer, TokenTexts}};
/// # fn example(tokenizer: Tokenizer, tokens: &[u32]) -> Result<(), galapagos_model::TokenizerError> {
/// let texts = Arc::new(TokenTexts::new(Arc::new(tokenizer))?);
/// let mut text = Detokenizer::new(texts);
/// for token in tokens {
///     print!("{}", text.push(*token)?);
/// }
/// println!("{}", text.finish()?);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TokenTexts {
    tokenizer: Arc<Tokenizer>,
    scheme: Scheme,
    /// Left out of the text.
    special: HashSet<u32>,
    /// A token with a text, behind which others are in the middle of a text.
    before: Vec<u32>,
}

impl TokenTexts {
    /// Reads how `tokenizer` decodes.
    ///
    /// # Errors
    /// [`TokenizerError::Decoder`] for a decoder that cannot be followed token by token.
    pub fn new(tokenizer: Arc<Tokenizer>) -> Result<Self, TokenizerError> {
        let scheme = Scheme::of(&tokenizer)?;
        let added = tokenizer.inner().get_added_tokens_decoder();
        let special = added.into_iter().filter(|(_, token)| token.special).map(|(id, _)| id).collect();
        let mut texts = Self { tokenizer, scheme, special, before: Vec::new() };
        texts.before = texts.ordinary_token()?.into_iter().collect();
        Ok(texts)
    }

    /// The tokenizer itself.
    #[must_use]
    pub fn tokenizer(&self) -> &Arc<Tokenizer> {
        &self.tokenizer
    }

    /// Whether decoding leaves `token` out.
    #[must_use]
    pub fn is_special(&self, token: u32) -> bool {
        self.special.contains(&token)
    }

    /// The bytes `token` adds to a text it does not begin; `None` for a special token or one that is not in the vocabulary.
    ///
    /// # Errors
    /// [`TokenizerError::Decode`] when the decoder fails.
    pub fn bytes(&self, token: u32) -> Result<Option<Vec<u8>>, TokenizerError> {
        let piece = self.tokenizer.inner().id_to_token(token).filter(|_| !self.is_special(token));
        let Some(piece) = piece else { return Ok(None) };
        let bytes = match self.scheme {
            Scheme::ByteLevel => pieces::level_bytes(&piece),
            Scheme::Pieces { byte_fallback } => match pieces::fallback_byte(&piece).filter(|_| byte_fallback) {
                Some(byte) => vec![byte],
                None => self.text_behind(&self.before, &[token])?.into_bytes(),
            },
        };
        Ok(Some(bytes))
    }

    /// What `tokens` add to the text of `before`.
    fn text_behind(&self, before: &[u32], tokens: &[u32]) -> Result<String, TokenizerError> {
        let mut text = self.tokenizer.decode(&[before, tokens].concat())?;
        let before = self.tokenizer.decode(before)?;
        if text.starts_with(&before) {
            Ok(text.split_off(before.len()))
        } else {
            Err(TokenizerError::Context { before, after: text })
        }
    }

    fn ordinary_token(&self) -> Result<Option<u32>, TokenizerError> {
        for token in 0..self.tokenizer.vocab_size() as u32 {
            let piece = self.tokenizer.inner().id_to_token(token).filter(|_| !self.is_special(token));
            if piece.is_some_and(|piece| pieces::fallback_byte(&piece).is_none())
                && !self.tokenizer.decode(&[token])?.trim().is_empty()
            {
                return Ok(Some(token));
            }
        }
        Ok(None)
    }

    fn piece(&self, token: u32) -> Result<String, TokenizerError> {
        self.tokenizer.inner().id_to_token(token).ok_or(TokenizerError::UnknownToken { token })
    }
}

/// The text of one growing sequence of tokens, special tokens left out.
#[derive(Clone, Debug)]
pub struct Detokenizer {
    texts: Arc<TokenTexts>,
    /// Byte-level: the unfinished character.
    bytes: Vec<u8>,
    /// Otherwise: the last token whose text is out, and those after it.
    window: Vec<u32>,
    /// How many tokens of `window` have their text out: 0 or 1.
    out: usize,
}

impl Detokenizer {
    /// For a text that stands alone: what [`Tokenizer::decode`] gives for the tokens.
    #[must_use]
    pub fn new(texts: Arc<TokenTexts>) -> Self {
        Self { texts, bytes: Vec::new(), window: Vec::new(), out: 0 }
    }

    /// For the continuation of `prompt`, whose own text is not given out again. It differs from a text that stands alone for
    /// tokenizers that drop the space in front of the first word.
    #[must_use]
    pub fn after(texts: Arc<TokenTexts>, prompt: &[u32]) -> Self {
        let last = prompt.iter().rev().find(|token| !texts.is_special(**token)).copied();
        let window: Vec<u32> = last.into_iter().collect();
        Self { out: window.len(), window, ..Self::new(texts) }
    }

    /// The text that is certain now that `token` has come; often empty, never an unfinished character.
    ///
    /// # Errors
    /// [`TokenizerError::UnknownToken`] or [`TokenizerError::Decode`]; nothing has changed then.
    pub fn push(&mut self, token: u32) -> Result<String, TokenizerError> {
        let piece = self.texts.piece(token)?;
        if self.texts.is_special(token) {
            return Ok(String::new());
        }
        match self.texts.scheme {
            Scheme::ByteLevel => {
                self.bytes.extend(pieces::level_bytes(&piece));
                Ok(finished_characters(&mut self.bytes))
            }
            Scheme::Pieces { byte_fallback } => {
                self.window.push(token);
                // A run of bytes is a text or a row of replacement characters, which only its end decides.
                if byte_fallback && pieces::fallback_byte(&piece).is_some() {
                    return Ok(String::new());
                }
                let text = self.window_text();
                if text.is_err() {
                    self.window.pop();
                }
                text
            }
        }
    }

    /// What was held back: an unfinished character becomes the replacement character, as in decoding at once.
    ///
    /// # Errors
    /// [`TokenizerError::Decode`] when the decoder fails.
    pub fn finish(&mut self) -> Result<String, TokenizerError> {
        let rest = std::mem::take(&mut self.bytes);
        Ok(String::from_utf8_lossy(&rest).into_owned() + &self.window_text()?)
    }

    /// Text of the window's tokens that are not out yet, which then are.
    fn window_text(&mut self) -> Result<String, TokenizerError> {
        let Some(last) = self.window.last().copied().filter(|_| self.window.len() > self.out) else {
            return Ok(String::new());
        };
        let text = self.texts.text_behind(&self.window[..self.out], &self.window[self.out..])?;
        self.window.clear();
        self.window.push(last);
        self.out = 1;
        Ok(text)
    }
}

/// Takes the characters out of `bytes` that no further byte can change.
fn finished_characters(bytes: &mut Vec<u8>) -> String {
    let mut text = String::new();
    let mut done = 0;
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        done += chunk.valid().len();
        let invalid = chunk.invalid();
        // At the very end it may be the beginning of a character.
        let unfinished = done + invalid.len() == bytes.len()
            && std::str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none());
        if !invalid.is_empty() && !unfinished {
            text.push(char::REPLACEMENT_CHARACTER);
            done += invalid.len();
        }
    }
    bytes.drain(..done);
    text
}

#[cfg(test)]
mod tests;

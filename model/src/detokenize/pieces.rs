//! How the tokens of a vocabulary stand for bytes, as the `decoder` of `tokenizer.json` says.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::Value;

use crate::{Tokenizer, TokenizerError};

/// How a tokenizer decodes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scheme {
    /// Each character of a token is one byte (GPT-2 and most since).
    ByteLevel,
    /// A token's text depends on the token before it at most, and in runs of single bytes on the run.
    Pieces {
        /// Whether tokens `<0x00>` to `<0xFF>` are bytes (SentencePiece).
        byte_fallback: bool,
    },
}

impl Scheme {
    pub(super) fn of(tokenizer: &Tokenizer) -> Result<Self, TokenizerError> {
        let decoder = match tokenizer.inner().get_decoder() {
            Some(decoder) => serde_json::to_value(decoder)
                .map_err(|source| TokenizerError::Parse { file: "the decoder".to_owned(), source: source.into() })?,
            // Without a decoder, tokens are joined by spaces.
            None => return Ok(Self::Pieces { byte_fallback: false }),
        };
        let steps = match decoder.get("decoders").and_then(Value::as_array) {
            Some(steps) => steps.clone(),
            None => vec![decoder],
        };
        let kinds: Vec<&str> = steps.iter().map(|step| step["type"].as_str().unwrap_or_default()).collect();
        match kinds.as_slice() {
            ["ByteLevel"] => Ok(Self::ByteLevel),
            kinds if kinds.iter().all(|kind| FOLLOWED.contains(kind)) => {
                Ok(Self::Pieces { byte_fallback: kinds.contains(&"ByteFallback") })
            }
            _ => Err(TokenizerError::Decoder { steps: kinds.join(", ") }),
        }
    }
}

/// Steps of a decoder whose result for a token depends on the token before at most, runs of bytes apart.
const FOLLOWED: [&str; 7] = ["Replace", "ByteFallback", "Fuse", "Strip", "Metaspace", "BPEDecoder", "WordPiece"];

/// The bytes of a byte-level token. An added token, which may have other characters, stands for itself.
pub(super) fn level_bytes(piece: &str) -> Vec<u8> {
    let bytes: Option<Vec<u8>> = piece.chars().map(|c| BYTE_OF.get(&c).copied()).collect();
    bytes.unwrap_or_else(|| piece.as_bytes().to_vec())
}

/// The byte of a token `<0x41>`.
pub(super) fn fallback_byte(piece: &str) -> Option<u8> {
    let digits = piece.strip_prefix("<0x")?.strip_suffix('>')?;
    if digits.len() == 2 { u8::from_str_radix(digits, 16).ok() } else { None }
}

/// GPT-2's characters for bytes: printable ones stand for themselves, the others follow from U+0100 on.
static BYTE_OF: LazyLock<HashMap<char, u8>> = LazyLock::new(|| {
    let printable = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let others = (0..=u8::MAX).filter(|byte| !printable(byte)).zip('\u{100}'..).map(|(byte, c)| (c, byte));
    (0..=u8::MAX).filter(printable).map(|byte| (char::from(byte), byte)).chain(others).collect()
});

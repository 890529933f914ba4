//! The tokenizer in a GGUF file's metadata as the files of a Hugging Face folder.
//!
//! Byte-level BPE (`gpt2`) needs the rule that cuts text before merging, which GGUF only names: a name that is not known
//! here is refused, since another rule would give other ids without saying so. SentencePiece vocabularies (`llama`) become
//! BPE whose merges are ordered by the scores. The result is loaded and every id compared before it is given out.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

use super::GgufError;
use super::architecture::required;
use super::error::{key as key_error, tokenizer as problem};
use super::metadata::Metadata;
use crate::Tokenizer;
use crate::tokenizer::{TOKENIZER_CONFIG, TOKENIZER_JSON};

mod byte_level;
mod sentencepiece;
mod special;

pub(super) use special::Special;

const MODEL: &str = "tokenizer.ggml.model";
const TOKENS: &str = "tokenizer.ggml.tokens";
const TYPES: &str = "tokenizer.ggml.token_type";
pub(super) const TEMPLATE: &str = "tokenizer.chat_template";

/// What a token is, by GGUF's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TokenKind {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Unused,
    Byte,
}

/// The vocabulary: texts and kinds by id.
struct Vocabulary<'a> {
    tokens: &'a [String],
    kinds: Vec<TokenKind>,
}

/// The parts of a `tokenizer.json` that depend on the kind of tokenizer.
struct Parts {
    normalizer: Value,
    pre_tokenizer: Value,
    decoder: Value,
    model: Value,
    /// Whether GGUF's runtime puts the beginning-of-sequence token in front when the file does not say.
    adds_bos: bool,
}

/// A made tokenizer and the tokens it gives a meaning.
pub(super) struct Made {
    pub(super) files: BTreeMap<String, Vec<u8>>,
    pub(super) special: Special,
    /// Tokens that have a text.
    pub(super) size: usize,
}

/// Makes the tokenizer files. `context` is the model's longest sequence; `rows` are the embedding's.
pub(super) fn make(metadata: &Metadata, context: usize, rows: usize) -> Result<Made, GgufError> {
    let kind = required(metadata.text(MODEL)?, MODEL)?;
    let vocabulary = Vocabulary::read(metadata)?;
    if vocabulary.tokens.len() > rows {
        return Err(problem(format!("it has {} tokens, the embedding has {rows} rows", vocabulary.tokens.len())));
    }
    let parts = match kind.as_str() {
        "gpt2" => byte_level::parts(metadata, &vocabulary)?,
        "llama" => sentencepiece::parts(metadata, &vocabulary)?,
        other => {
            let text = format!("is \"{other}\"; supported are \"gpt2\" (byte-level BPE) and \"llama\" (SentencePiece)");
            return Err(key_error(MODEL, text));
        }
    };
    let special = Special::read(metadata, &vocabulary, parts.adds_bos)?;
    let json = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": vocabulary.added(),
        "normalizer": parts.normalizer,
        "pre_tokenizer": parts.pre_tokenizer,
        "post_processor": special.post_processor(&vocabulary),
        "decoder": parts.decoder,
        "model": parts.model,
    });
    let template = metadata.text(TEMPLATE)?.map(String::as_str);
    let config = special.config(&vocabulary, context, template);
    let files = BTreeMap::from([
        (TOKENIZER_JSON.to_owned(), json.to_string().into_bytes()),
        (TOKENIZER_CONFIG.to_owned(), format!("{config:#}\n").into_bytes()),
    ]);
    check(&files, &vocabulary)?;
    Ok(Made { files, special, size: vocabulary.named().count() })
}

impl<'a> Vocabulary<'a> {
    fn read(metadata: &'a Metadata) -> Result<Self, GgufError> {
        let tokens = required(metadata.texts(TOKENS)?, TOKENS)?;
        let numbers = required(metadata.integers(TYPES)?, TYPES)?;
        if numbers.len() != tokens.len() {
            return Err(problem(format!("{TYPES} has {} entries for {} tokens", numbers.len(), tokens.len())));
        }
        let kinds = numbers.iter().enumerate().map(|(id, number)| match number {
            1 => Ok(TokenKind::Normal),
            2 => Ok(TokenKind::Unknown),
            3 => Ok(TokenKind::Control),
            4 => Ok(TokenKind::UserDefined),
            5 => Ok(TokenKind::Unused),
            6 => Ok(TokenKind::Byte),
            other => Err(key_error(TYPES, format!("says {other} for token {id}; 1 to 6 are defined"))),
        });
        let vocabulary = Self { tokens, kinds: kinds.collect::<Result<_, _>>()? };
        let mut seen = HashMap::new();
        for (id, token) in vocabulary.named() {
            if let Some(first) = seen.insert(token, id) {
                return Err(problem(format!("tokens {first} and {id} are both {token:?}")));
            }
        }
        Ok(vocabulary)
    }

    /// Ids and texts of all tokens but those that fill the embedding up: GGUF's converter names them `[PAD<id>]`.
    fn named(&self) -> impl Iterator<Item = (usize, &'a str)> {
        let filler = |id: usize| self.kinds[id] == TokenKind::Unused && self.tokens[id] == format!("[PAD{id}]");
        self.tokens.iter().map(String::as_str).enumerate().filter(move |(id, _)| !filler(*id))
    }

    /// The model's `vocab`: texts to ids.
    fn map(&self) -> Value {
        Value::Object(self.named().map(|(id, token)| (token.to_owned(), id.into())).collect())
    }

    /// Tokens found in the text before anything else is done to it.
    fn added(&self) -> Vec<Value> {
        let entry = |(id, token): (usize, &str)| {
            let special = match self.kinds[id] {
                TokenKind::Control | TokenKind::Unknown => true,
                TokenKind::UserDefined => false,
                TokenKind::Normal | TokenKind::Unused | TokenKind::Byte => return None,
            };
            Some(json!({
                "id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": special,
            }))
        };
        self.named().filter_map(entry).collect()
    }
}

/// Loads what was made: each token must have its id, and no other token may have appeared.
fn check(files: &BTreeMap<String, Vec<u8>>, vocabulary: &Vocabulary<'_>) -> Result<(), GgufError> {
    let made = Tokenizer::from_files(files.clone()).map_err(|source| GgufError::BadTokenizer { source })?;
    for (id, token) in vocabulary.named() {
        if made.token_id(token).map(|found| found as usize) != Some(id) {
            return Err(problem(format!("token {id} ({token:?}) got the id {:?}", made.token_id(token))));
        }
    }
    let expected = vocabulary.named().map(|(id, _)| id + 1).max().unwrap_or(0);
    match made.vocab_size() {
        size if size == expected => Ok(()),
        size => Err(problem(format!("it has {expected} tokens, {size} after the special ones were added"))),
    }
}

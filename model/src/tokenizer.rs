//! Text to token ids and back, as `tokenizer.json` says, with the special tokens and chat template that belong to it.
//!
//! The files a tokenizer came from are kept as they are, so that a saved model carries them unchanged. Text is encoded as
//! given: no token is added in front or behind.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use galapagos_domain::image::Patch;
use serde_json::Value;

use crate::folder::CONFIG;
use crate::{ChatMessage, ChatTemplate};

mod characters;
mod vocabulary;

pub(crate) const TOKENIZER_JSON: &str = "tokenizer.json";
pub(crate) const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
const CHAT_TEMPLATE: &str = "chat_template.jinja";

/// What else belongs to a tokenizer in a Hugging Face folder.
pub(crate) const OPTIONAL_FILES: [&str; 7] = [
    TOKENIZER_CONFIG,
    CHAT_TEMPLATE,
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
];

/// A tokenizer with its special tokens and chat template.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    files: BTreeMap<String, Vec<u8>>,
    special: BTreeMap<String, String>,
    chat: Option<ChatTemplate>,
    /// Set for tokenizers in which every character is a token: text with any other character is refused.
    alphabet: Option<BTreeSet<char>>,
    /// Whether patches of images in a text are tokens; else they are refused.
    reads_images: bool,
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let files: Vec<&String> = self.files.keys().collect();
        f.debug_struct("Tokenizer")
            .field("vocab_size", &self.vocab_size())
            .field("files", &files)
            .finish_non_exhaustive()
    }
}

impl Tokenizer {
    /// Whether `folder` holds a tokenizer in a form that is read here.
    pub(crate) fn is_in(folder: &Path) -> bool {
        folder.join(TOKENIZER_JSON).is_file() || vocabulary::is_in(folder)
    }

    /// Reads the tokenizer files of a Hugging Face folder. One without `tokenizer.json` gets it here, if its vocabulary is of a
    /// known class.
    ///
    /// # Errors
    /// [`TokenizerError::Read`] without a tokenizer, [`TokenizerError::Parse`] or [`TokenizerError::Vocabulary`] for a broken file.
    pub fn from_folder(folder: &Path) -> Result<Self, TokenizerError> {
        let read = |name: &str| {
            let path = folder.join(name);
            std::fs::read(&path).map_err(|source| TokenizerError::Read { path, source })
        };
        let read_if_there = |name: &str| match read(name) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(TokenizerError::Read { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        };
        let mut files = BTreeMap::new();
        for name in OPTIONAL_FILES {
            files.extend(read_if_there(name)?.map(|bytes| (name.to_owned(), bytes)));
        }
        if !folder.join(TOKENIZER_JSON).is_file() && vocabulary::is_in(folder) {
            vocabulary::complete(&mut files, read_if_there(CONFIG)?)?;
        } else {
            files.insert(TOKENIZER_JSON.to_owned(), read(TOKENIZER_JSON)?);
        }
        Self::from_files(files)
    }

    /// Builds a tokenizer from the contents of its files, by file name.
    ///
    /// # Errors
    /// As [`Tokenizer::from_folder`].
    pub fn from_files(files: BTreeMap<String, Vec<u8>>) -> Result<Self, TokenizerError> {
        let json = files.get(TOKENIZER_JSON).ok_or_else(|| TokenizerError::Read {
            path: PathBuf::from(TOKENIZER_JSON),
            source: std::io::Error::from(std::io::ErrorKind::NotFound),
        })?;
        let inner = tokenizers::Tokenizer::from_bytes(json)
            .map_err(|source| TokenizerError::Parse { file: TOKENIZER_JSON.to_owned(), source })?;
        let config = match files.get(TOKENIZER_CONFIG) {
            Some(bytes) => serde_json::from_slice(bytes)
                .map_err(|source| TokenizerError::Parse { file: TOKENIZER_CONFIG.to_owned(), source: source.into() })?,
            None => Value::Null,
        };
        let special = special_tokens(&config);
        let chat = match chat_source(&files, &config)? {
            Some(source) => Some(ChatTemplate::new(source, special.clone())?),
            None => None,
        };
        let alphabet = characters::alphabet_of(&inner);
        let reads_images = config.get(characters::IMAGES).and_then(Value::as_bool).unwrap_or(false);
        Ok(Self { inner, files, special, chat, alphabet, reads_images })
    }

    /// A tokenizer for models trained from scratch: `<pad>` is 0, `<eos>` is 1, then every character of `alphabet` in
    /// order. Encoding any other character is an error.
    ///
    /// # Errors
    /// [`TokenizerError::Alphabet`] when a character occurs twice or there is none.
    pub fn characters(alphabet: &str) -> Result<Self, TokenizerError> {
        Self::from_files(characters::files(alphabet, false)?)
    }

    /// [`Tokenizer::characters`] of models that also read images: each patch in a text is a token, whose id is its code point. It is
    /// above the vocabulary, since no model writes patches.
    ///
    /// # Errors
    /// As [`Tokenizer::characters`].
    pub fn characters_and_images(alphabet: &str) -> Result<Self, TokenizerError> {
        Self::from_files(characters::files(alphabet, true)?)
    }

    /// Whether patches of images in a text are tokens.
    #[must_use]
    pub fn reads_images(&self) -> bool {
        self.reads_images
    }

    /// The contents of the tokenizer's files, by file name.
    #[must_use]
    pub fn files(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.files
    }

    /// Token ids of `text`. Special tokens written out in the text (`<|im_end|>`) become their ids, and patches of images theirs.
    ///
    /// # Errors
    /// [`TokenizerError::Image`] for images that the model does not read, [`TokenizerError::UnknownCharacter`] for a character-level
    /// tokenizer, [`TokenizerError::Encode`] otherwise.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let is_patch = |character: char| Patch::is_code(u32::from(character));
        let Some(first) = text.find(is_patch) else { return self.encode_text(text) };
        if !self.reads_images {
            return Err(TokenizerError::Image { offset: first });
        }
        let (mut tokens, mut rest, mut offset) = (Vec::new(), text, 0);
        while let Some(start) = rest.find(is_patch) {
            let end = rest[start..].find(|character| !is_patch(character)).map_or(rest.len(), |length| start + length);
            tokens.extend(self.encode_text(&rest[..start]).map_err(|error| error.behind(offset))?);
            tokens.extend(rest[start..end].chars().map(u32::from));
            offset += end;
            rest = &rest[end..];
        }
        tokens.extend(self.encode_text(rest).map_err(|error| error.behind(offset))?);
        Ok(tokens)
    }

    fn encode_text(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let encoding = self.inner.encode_fast(text, false).map_err(|source| TokenizerError::Encode { source })?;
        if let Some(alphabet) = &self.alphabet {
            characters::refuse_unknown(text, &encoding, alphabet)?;
        }
        Ok(encoding.get_ids().to_vec())
    }

    /// The text of `tokens`, special tokens left out.
    ///
    /// # Errors
    /// [`TokenizerError::Decode`] when an id is unknown or the decoder fails.
    pub fn decode(&self, tokens: &[u32]) -> Result<String, TokenizerError> {
        self.decode_with(tokens, true)
    }

    /// The text of `tokens`, special tokens written out.
    ///
    /// # Errors
    /// As [`Tokenizer::decode`].
    pub fn decode_with_special(&self, tokens: &[u32]) -> Result<String, TokenizerError> {
        self.decode_with(tokens, false)
    }

    fn decode_with(&self, tokens: &[u32], skip_special: bool) -> Result<String, TokenizerError> {
        if !self.reads_images {
            return self.decode_text(tokens, skip_special);
        }
        let mut text = String::new();
        for run in tokens.chunk_by(|one, other| Patch::is_code(*one) == Patch::is_code(*other)) {
            if Patch::is_code(run[0]) {
                text.extend(run.iter().filter_map(|code| Patch::of_code(*code)).map(Patch::character));
            } else {
                text.push_str(&self.decode_text(run, skip_special)?);
            }
        }
        Ok(text)
    }

    fn decode_text(&self, tokens: &[u32], skip_special: bool) -> Result<String, TokenizerError> {
        if let Some(unknown) = tokens.iter().find(|id| self.inner.id_to_token(**id).is_none()) {
            return Err(TokenizerError::UnknownToken { token: *unknown });
        }
        self.inner.decode(tokens, skip_special).map_err(|source| TokenizerError::Decode { source })
    }

    /// One more than the highest token id.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab(true).values().max().map_or(0, |highest| *highest as usize + 1)
    }

    /// The beginning-of-sequence token.
    #[must_use]
    pub fn bos(&self) -> Option<u32> {
        self.special_id("bos_token")
    }

    /// The end-of-sequence token.
    #[must_use]
    pub fn eos(&self) -> Option<u32> {
        self.special_id("eos_token")
    }

    /// The padding token.
    #[must_use]
    pub fn pad(&self) -> Option<u32> {
        self.special_id("pad_token")
    }

    /// The id of a token by its exact text in the vocabulary.
    #[must_use]
    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// Every token whose text contains `character`, in order: the stop tokens of "until the end of the line".
    ///
    /// # Errors
    /// [`TokenizerError::Decode`] when the decoder fails.
    pub fn tokens_containing(&self, character: char) -> Result<Vec<u32>, TokenizerError> {
        let mut ids: Vec<u32> = self.inner.get_vocab(true).into_values().collect();
        ids.sort_unstable();
        let mut containing = Vec::new();
        for id in ids {
            if self.decode_with_special(&[id])?.contains(character) {
                containing.push(id);
            }
        }
        Ok(containing)
    }

    /// The chat template, if the tokenizer came with one.
    #[must_use]
    pub fn chat_template(&self) -> Option<&ChatTemplate> {
        self.chat.as_ref()
    }

    /// Token ids of a conversation, ending where the assistant is to speak if `generation_prompt`.
    ///
    /// # Errors
    /// [`TokenizerError::NoTemplate`] without a chat template, or what the template or the encoder says.
    pub fn encode_chat(&self, messages: &[ChatMessage], generation_prompt: bool) -> Result<Vec<u32>, TokenizerError> {
        let template = self.chat.as_ref().ok_or(TokenizerError::NoTemplate)?;
        self.encode(&template.apply(messages, generation_prompt)?)
    }

    pub(crate) fn inner(&self) -> &tokenizers::Tokenizer {
        &self.inner
    }

    fn special_id(&self, name: &str) -> Option<u32> {
        self.special.get(name).and_then(|token| self.inner.token_to_id(token))
    }
}

/// `*_token` entries of `tokenizer_config.json`, written as text or as `{"content": text}`.
fn special_tokens(config: &Value) -> BTreeMap<String, String> {
    let entries = config.as_object().into_iter().flatten().filter(|(name, _)| name.ends_with("_token"));
    entries
        .filter_map(|(name, value)| {
            let text = value.as_str().or_else(|| value.get("content").and_then(Value::as_str))?;
            Some((name.clone(), text.to_owned()))
        })
        .collect()
}

/// The chat template: a file of its own, else an entry of `tokenizer_config.json` (a text, or a list with a `default`).
fn chat_source(files: &BTreeMap<String, Vec<u8>>, config: &Value) -> Result<Option<String>, TokenizerError> {
    if let Some(bytes) = files.get(CHAT_TEMPLATE) {
        let text = String::from_utf8(bytes.clone())
            .map_err(|source| TokenizerError::Parse { file: CHAT_TEMPLATE.to_owned(), source: source.into() })?;
        return Ok(Some(text));
    }
    match config.get("chat_template") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(Value::Array(named)) => {
            let default = named.iter().find(|entry| entry.get("name").is_some_and(|name| name == "default"));
            match default.and_then(|entry| entry.get("template")).and_then(Value::as_str) {
                Some(text) => Ok(Some(text.to_owned())),
                None => Err(TokenizerError::TemplateForm),
            }
        }
        Some(_) => Err(TokenizerError::TemplateForm),
    }
}

/// Why a tokenizer cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum TokenizerError {
    /// A file cannot be read.
    #[error("reading tokenizer file {} failed", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A file is not what its name says.
    #[error("{file} cannot be parsed")]
    Parse {
        /// The file's name.
        file: String,
        /// What the parser said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A vocabulary does not say what tokenizer it is of, or contradicts itself.
    #[error("no tokenizer can be made from {file}: {problem}")]
    Vocabulary {
        /// The file.
        file: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// A character-level tokenizer cannot be made from this alphabet.
    #[error("the alphabet {problem}; list every character once")]
    Alphabet {
        /// What is wrong with it.
        problem: String,
    },
    /// The text has a character the tokenizer has no token for.
    #[error("character {character:?} at byte {offset} is not in the tokenizer's alphabet")]
    UnknownCharacter {
        /// The character.
        character: char,
        /// Where it is in the text.
        offset: usize,
    },
    /// An image, and a model that reads none.
    #[error(
        "the text holds an image at byte {offset}, and the model reads none; a character model does with `vision` in its `base`"
    )]
    Image {
        /// Where it begins in the text.
        offset: usize,
    },
    /// A token id without a text.
    #[error("token id {token} is not in the tokenizer's vocabulary")]
    UnknownToken {
        /// The id.
        token: u32,
    },
    /// The tokenizer failed on a text.
    #[error("encoding text failed")]
    Encode {
        /// What the tokenizer said.
        #[source]
        source: tokenizers::Error,
    },
    /// The tokenizer failed on token ids.
    #[error("decoding tokens failed")]
    Decode {
        /// What the tokenizer said.
        #[source]
        source: tokenizers::Error,
    },
    /// The decoder's steps depend on more than the token before.
    #[error("text cannot be decoded token by token through the steps {steps}")]
    Decoder {
        /// The kinds of its steps.
        steps: String,
    },
    /// A token changed the text before it.
    #[error("the tokenizer decodes {before:?} as {after:?} once more tokens have come")]
    Context {
        /// The text before.
        before: String,
        /// The text with more tokens.
        after: String,
    },
    /// There is no chat template.
    #[error(
        "the tokenizer has no chat template: neither chat_template.jinja nor `chat_template` in tokenizer_config.json"
    )]
    NoTemplate,
    /// `chat_template` has an unknown form.
    #[error("`chat_template` in tokenizer_config.json must be a text, or a list with an entry named \"default\"")]
    TemplateForm,
    /// The chat template failed.
    #[error("{doing} the chat template failed")]
    Template {
        /// What we tried.
        doing: &'static str,
        /// What the template engine said.
        #[source]
        source: minijinja::Error,
    },
}

impl TokenizerError {
    /// The error of a part of a text that begins `bytes` behind its start.
    fn behind(self, bytes: usize) -> Self {
        match self {
            Self::UnknownCharacter { character, offset } => {
                Self::UnknownCharacter { character, offset: offset + bytes }
            }
            other => other,
        }
    }
}

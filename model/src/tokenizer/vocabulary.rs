//! Tokenizers of older folders, which have a vocabulary but no `tokenizer.json`: BERT's `vocab.txt`, GPT-2's `vocab.json` and
//! `merges.txt`. What their class in `transformers` makes of them is written down as a `tokenizer.json`.
//!
//! The class decides how text is cut, so it must be known: by `tokenizer_config.json`, or by the model's family.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};
use tokenizers::models::wordpiece::WordPiece;

use super::{TOKENIZER_CONFIG, TOKENIZER_JSON, TokenizerError};
use crate::folder::CONFIG;

const VOCAB_TXT: &str = "vocab.txt";
const VOCAB_JSON: &str = "vocab.json";
const MERGES: &str = "merges.txt";
const SPECIAL_MAP: &str = "special_tokens_map.json";
const ADDED: &str = "added_tokens.json";
const CLASS: &str = "tokenizer_class";
const DECODER: &str = "added_tokens_decoder";

type Files = BTreeMap<String, Vec<u8>>;

/// A class of `transformers` that is known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Bert,
    Gpt2,
}

impl Class {
    const ALL: [Self; 2] = [Self::Bert, Self::Gpt2];

    fn name(self) -> &'static str {
        match self {
            Self::Bert => "BertTokenizer",
            Self::Gpt2 => "GPT2Tokenizer",
        }
    }

    fn model_type(self) -> &'static str {
        match self {
            Self::Bert => "bert",
            Self::Gpt2 => "gpt2",
        }
    }

    /// The special tokens it has where nothing else is said.
    fn special(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Bert => &[
                ("unk_token", "[UNK]"),
                ("sep_token", "[SEP]"),
                ("pad_token", "[PAD]"),
                ("cls_token", "[CLS]"),
                ("mask_token", "[MASK]"),
            ],
            Self::Gpt2 => {
                &[("unk_token", "<|endoftext|>"), ("bos_token", "<|endoftext|>"), ("eos_token", "<|endoftext|>")]
            }
        }
    }
}

/// Whether `folder` holds a vocabulary that a tokenizer can be made of.
pub(super) fn is_in(folder: &Path) -> bool {
    let has = |name: &str| folder.join(name).is_file();
    has(VOCAB_TXT) || (has(VOCAB_JSON) && has(MERGES))
}

/// Adds a `tokenizer.json` to the files of a folder without one, and the special tokens to its `tokenizer_config.json`.
/// `model` is the `config.json`, if there is one.
pub(super) fn complete(files: &mut Files, model: Option<Vec<u8>>) -> Result<(), TokenizerError> {
    let mut config = object(files, TOKENIZER_CONFIG)?;
    let model = model.map_or(Ok(Map::new()), |bytes| {
        serde_json::from_slice(&bytes).map_err(|source| parse(CONFIG, source.into()))
    })?;
    let class = class_of(&config, text(&model, "model_type"))?;
    let (vocabulary, mut json) = match class {
        Class::Bert => bert(files, &config)?,
        Class::Gpt2 => gpt2(files, &config)?,
    };
    let special = special_tokens(class, files, &mut config, &vocabulary)?;
    if class == Class::Bert {
        json["model"]["unk_token"] = text(&config, "unk_token").into();
        json["post_processor"] = around(&config, &vocabulary);
    }
    json["added_tokens"] = added_tokens(files, &config, &vocabulary, &special)?;
    config.insert(CLASS.to_owned(), class.name().into());
    files.insert(TOKENIZER_JSON.to_owned(), format!("{json:#}\n").into_bytes());
    files.insert(TOKENIZER_CONFIG.to_owned(), format!("{:#}\n", Value::Object(config)).into_bytes());
    Ok(())
}

fn class_of(config: &Map<String, Value>, model_type: Option<&str>) -> Result<Class, TokenizerError> {
    let named = config.get(CLASS).and_then(Value::as_str);
    let same = |class: &Class| match named {
        Some(name) => name.strip_suffix("Fast").unwrap_or(name) == class.name(),
        None => model_type == Some(class.model_type()),
    };
    Class::ALL.into_iter().find(same).ok_or_else(|| {
        let said = match named {
            Some(name) => format!("`{CLASS}` is \"{name}\""),
            None => format!("`{CLASS}` is missing and the model's type is {model_type:?}"),
        };
        let known = Class::ALL.map(Class::name).join(" and ");
        let problem = format!(
            "{said}; without {TOKENIZER_JSON} only {known} are known: save the tokenizer with transformers to get that file"
        );
        wrong(TOKENIZER_CONFIG, problem)
    })
}

/// Token to id.
type Vocabulary = BTreeMap<String, u32>;

fn bert(files: &Files, config: &Map<String, Value>) -> Result<(Vocabulary, Value), TokenizerError> {
    let lines = WordPiece::read_bytes(required(files, VOCAB_TXT)?).map_err(|source| parse(VOCAB_TXT, source))?;
    let vocabulary: Vocabulary = lines.into_iter().collect();
    if flag(config, "do_basic_tokenize")? == Some(false) {
        let problem =
            "`do_basic_tokenize` is false; only true is implemented, as in the newer versions of transformers";
        return Err(wrong(TOKENIZER_CONFIG, problem.to_owned()));
    }
    let json = json!({
        "version": "1.0", "truncation": null, "padding": null,
        "normalizer": {
            "type": "BertNormalizer", "clean_text": true,
            "handle_chinese_chars": flag(config, "tokenize_chinese_chars")?.unwrap_or(true),
            "strip_accents": flag(config, "strip_accents")?,
            "lowercase": flag(config, "do_lower_case")?.unwrap_or(true),
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {
            "type": "WordPiece", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
            "vocab": vocabulary,
        },
    });
    Ok((vocabulary, json))
}

fn gpt2(files: &Files, config: &Map<String, Value>) -> Result<(Vocabulary, Value), TokenizerError> {
    let vocabulary: Vocabulary =
        serde_json::from_slice(required(files, VOCAB_JSON)?).map_err(|source| parse(VOCAB_JSON, source.into()))?;
    let byte_level = |prefix: bool| json!({"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": true, "use_regex": true});
    let json = json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null, "post_processor": null,
        "pre_tokenizer": byte_level(flag(config, "add_prefix_space")?.unwrap_or(false)),
        "decoder": byte_level(true),
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "",
            "end_of_word_suffix": "", "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": vocabulary, "merges": merges(required(files, MERGES)?)?,
        },
    });
    Ok((vocabulary, json))
}

/// Pairs in the order of the file.
fn merges(bytes: &[u8]) -> Result<Vec<Value>, TokenizerError> {
    let text = std::str::from_utf8(bytes).map_err(|source| parse(MERGES, source.into()))?;
    let numbered = (1..).zip(text.lines()).filter(|(_, line)| !line.starts_with("#version"));
    let pair = |(number, line): (usize, &str)| match line.split(' ').collect::<Vec<_>>().as_slice() {
        pieces @ [_, _] => Ok(json!(pieces)),
        _ => Err(wrong(MERGES, format!("line {number} is {line:?}; it must be two pieces parted by one blank"))),
    };
    numbered.map(pair).collect()
}

/// Every special token, in the form of `tokenizer.json` but for its id. `config` gets those that stand elsewhere or are its class's.
fn special_tokens(
    class: Class,
    files: &Files,
    config: &mut Map<String, Value>,
    vocabulary: &Vocabulary,
) -> Result<Vec<Map<String, Value>>, TokenizerError> {
    if !config.contains_key(DECODER) {
        config.extend(object(files, SPECIAL_MAP)?);
    }
    for (name, token) in class.special() {
        if !config.contains_key(*name) && vocabulary.contains_key(*token) {
            config.insert((*name).to_owned(), (*token).into());
        }
    }
    let needed = |(name, _): &&(&str, &str)| ["unk_token", "cls_token", "sep_token"].contains(name);
    let mut absent = class.special().iter().filter(needed).filter(|(name, _)| text(config, name).is_none());
    if let (Class::Bert, Some((name, token))) = (class, absent.next()) {
        return Err(wrong(VOCAB_TXT, format!("it lacks {token}, and `{name}` in {TOKENIZER_CONFIG} names no other")));
    }
    let single = config.iter().filter(|(name, _)| name.ends_with("_token")).map(|(_, token)| token);
    let lists = ["additional_special_tokens", "extra_special_tokens"].into_iter().filter_map(|name| config.get(name));
    let all = single.chain(lists.filter_map(Value::as_array).flatten());
    Ok(all.filter_map(|token| added_token(token, true)).collect())
}

/// The `added_tokens` of a `tokenizer.json`, in order of id.
fn added_tokens(
    files: &Files,
    config: &Map<String, Value>,
    vocabulary: &Vocabulary,
    special: &[Map<String, Value>],
) -> Result<Value, TokenizerError> {
    let mut added = BTreeMap::new();
    if let Some(decoder) = config.get(DECODER) {
        for (id, token) in decoder.as_object().into_iter().flatten() {
            let (Ok(id), Some(token)) = (id.parse(), added_token(token, false)) else {
                let problem = format!("`{DECODER}` has {id:?}: {token}; it must map ids to tokens with `content`");
                return Err(wrong(TOKENIZER_CONFIG, problem));
            };
            added.insert(id, token);
        }
    } else {
        let is_special = |token: &str| special.iter().any(|special| special["content"] == token);
        for (token, id) in object(files, ADDED)? {
            let Some(id) = id.as_u64().and_then(|id| u32::try_from(id).ok()) else {
                return Err(wrong(ADDED, format!("it gives {token:?} the id {id}")));
            };
            let plain = json!({"content": token, "normalized": !is_special(&token), "special": is_special(&token)});
            added.extend(added_token(&plain, false).map(|token| (id, token)));
        }
    }
    for token in special {
        if added.values().any(|known| known["content"] == token["content"]) {
            continue;
        }
        let id = token["content"].as_str().and_then(|content| vocabulary.get(content)).ok_or_else(|| {
            let content = &token["content"];
            wrong(TOKENIZER_CONFIG, format!("its special token {content} is neither in the vocabulary nor in {ADDED}"))
        })?;
        added.insert(*id, token.clone());
    }
    check_ids(&added, vocabulary)?;
    Ok(added.into_iter().map(|(id, token)| with_id(id, token)).collect())
}

/// Tokens that the vocabulary lacks are counted on from its end when a `tokenizer.json` is read.
fn check_ids(added: &BTreeMap<u32, Map<String, Value>>, vocabulary: &Vocabulary) -> Result<(), TokenizerError> {
    let mut next = vocabulary.len() as u32;
    for (id, token) in added {
        let content = token["content"].as_str().unwrap_or_default();
        let expected = vocabulary.get(content).copied().unwrap_or(next);
        if *id != expected {
            return Err(wrong(ADDED, format!("it gives {content:?} the id {id}, which must be {expected}")));
        }
        next += u32::from(!vocabulary.contains_key(content));
    }
    Ok(())
}

fn with_id(id: u32, mut token: Map<String, Value>) -> Value {
    token.insert("id".to_owned(), id.into());
    Value::Object(token)
}

/// A token written as text or as an object, in the form of `tokenizer.json`; `None` for anything else.
fn added_token(token: &Value, special: bool) -> Option<Map<String, Value>> {
    let content = token.as_str().or_else(|| token.get("content")?.as_str())?;
    let flag = |name: &str| Value::from(token.get(name).and_then(Value::as_bool).unwrap_or(false));
    let mut flags =
        Map::from_iter(["single_word", "lstrip", "rstrip", "normalized"].map(|name| (name.to_owned(), flag(name))));
    flags.insert("content".to_owned(), content.into());
    flags.insert("special".to_owned(), if special { true.into() } else { flag("special") });
    Some(flags)
}

/// BERT's frame of one text and of two.
fn around(config: &Map<String, Value>, vocabulary: &Vocabulary) -> Value {
    let [cls, sep] = ["cls_token", "sep_token"].map(|name| text(config, name).unwrap_or_default());
    let token = |text: &str, of: u8| json!({"SpecialToken": {"id": text, "type_id": of}});
    let sequence = |name: &str, of: u8| json!({"Sequence": {"id": name, "type_id": of}});
    let single = vec![token(cls, 0), sequence("A", 0), token(sep, 0)];
    let second = [sequence("B", 1), token(sep, 1)];
    let described =
        |text: &str| (text.to_owned(), json!({"id": text, "ids": [vocabulary.get(text)], "tokens": [text]}));
    json!({
        "type": "TemplateProcessing",
        "single": single,
        "pair": Vec::from_iter(single.iter().cloned().chain(second)),
        "special_tokens": Map::from_iter([described(cls), described(sep)]),
    })
}

fn text<'a>(config: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    let token = config.get(name)?;
    token.as_str().or_else(|| token.get("content")?.as_str())
}

fn flag(config: &Map<String, Value>, name: &str) -> Result<Option<bool>, TokenizerError> {
    match config.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(other) => Err(wrong(TOKENIZER_CONFIG, format!("`{name}` is {other}; it must be true, false or null"))),
    }
}

/// The JSON object in a file; an empty one if there is no such file.
fn object(files: &Files, name: &str) -> Result<Map<String, Value>, TokenizerError> {
    let Some(bytes) = files.get(name) else { return Ok(Map::new()) };
    serde_json::from_slice(bytes).map_err(|source| parse(name, source.into()))
}

fn required<'a>(files: &'a Files, name: &str) -> Result<&'a [u8], TokenizerError> {
    let absent = || TokenizerError::Read { path: name.into(), source: std::io::ErrorKind::NotFound.into() };
    files.get(name).map(Vec::as_slice).ok_or_else(absent)
}

fn parse(file: &str, source: Box<dyn std::error::Error + Send + Sync>) -> TokenizerError {
    TokenizerError::Parse { file: file.to_owned(), source }
}

fn wrong(file: &str, problem: String) -> TokenizerError {
    TokenizerError::Vocabulary { file: file.to_owned(), problem }
}

#[cfg(test)]
mod tests;

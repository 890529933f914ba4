//! Tokens with a meaning: which begins and ends a sequence, which pads, and whether one is put in front.

use serde_json::{Map, Value, json};

use super::super::GgufError;
use super::super::error::key as key_error;
use super::{Metadata, Vocabulary};

pub(super) const UNKNOWN: &str = "tokenizer.ggml.unknown_token_id";

/// Ids of the tokens with a meaning.
#[derive(Clone, Debug)]
pub(in super::super) struct Special {
    bos: Option<usize>,
    eos: Option<usize>,
    pad: Option<usize>,
    unknown: Option<usize>,
    /// Tokens that end a turn or a message, beside `eos`.
    other_ends: Vec<usize>,
    add_bos: bool,
    add_eos: bool,
}

impl Special {
    pub(super) fn read(metadata: &Metadata, vocabulary: &Vocabulary<'_>, adds_bos: bool) -> Result<Self, GgufError> {
        let named: std::collections::BTreeSet<usize> = vocabulary.named().map(|(id, _)| id).collect();
        let id = |key: &str| match metadata.size(key)? {
            Some(id) if !named.contains(&id) => {
                Err(key_error(key, format!("is {id}; the vocabulary has {} tokens", named.len())))
            }
            found => Ok(found),
        };
        let eos = id("tokenizer.ggml.eos_token_id")?;
        let mut other_ends = Vec::new();
        for key in ["tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"] {
            other_ends.extend(id(key)?.filter(|end| Some(*end) != eos && !other_ends.contains(end)));
        }
        let flag = |key: &str| Ok::<_, GgufError>(metadata.flag(key)?.copied());
        let special = Self {
            bos: id("tokenizer.ggml.bos_token_id")?,
            eos,
            pad: id("tokenizer.ggml.padding_token_id")?,
            unknown: id(UNKNOWN)?,
            other_ends,
            add_bos: flag("tokenizer.ggml.add_bos_token")?.unwrap_or(adds_bos),
            add_eos: flag("tokenizer.ggml.add_eos_token")?.unwrap_or(false),
        };
        if special.add_bos && special.bos.is_none() {
            return Err(key_error(
                "tokenizer.ggml.bos_token_id",
                "is missing, though the tokenizer puts that token in front",
            ));
        }
        if special.add_eos && special.eos.is_none() {
            return Err(key_error(
                "tokenizer.ggml.eos_token_id",
                "is missing, though the tokenizer puts that token behind",
            ));
        }
        Ok(special)
    }

    /// `bos_token_id`, `eos_token_id` and `pad_token_id` for `config.json` and `generation_config.json`.
    pub(in super::super) fn ids(&self) -> Map<String, Value> {
        let ends: Vec<usize> = self.eos.iter().chain(&self.other_ends).copied().collect();
        let eos = match ends.as_slice() {
            [] => Value::Null,
            [one] => (*one).into(),
            many => many.into(),
        };
        let ids = [("bos_token_id", self.bos.into()), ("eos_token_id", eos), ("pad_token_id", self.pad.into())];
        ids.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Puts the tokens around a text where its encoder is asked for them.
    pub(super) fn post_processor(&self, vocabulary: &Vocabulary<'_>) -> Value {
        let (bos, eos) = (self.bos.filter(|_| self.add_bos), self.eos.filter(|_| self.add_eos));
        if bos.is_none() && eos.is_none() {
            return Value::Null;
        }
        let token = |id: usize, of: u8| json!({"SpecialToken": {"id": vocabulary.tokens[id], "type_id": of}});
        let around = |name: &str, of: u8| -> Vec<Value> {
            let text = json!({"Sequence": {"id": name, "type_id": of}});
            bos.map(|id| token(id, of)).into_iter().chain([text]).chain(eos.map(|id| token(id, of))).collect()
        };
        let described = bos.into_iter().chain(eos).map(|id| {
            let text = vocabulary.tokens[id].clone();
            (text.clone(), json!({"id": text, "ids": [id], "tokens": [text]}))
        });
        json!({
            "type": "TemplateProcessing",
            "single": around("A", 0),
            "pair": Vec::from_iter(around("A", 0).into_iter().chain(around("B", 1))),
            "special_tokens": described.collect::<Map<String, Value>>(),
        })
    }

    /// `tokenizer_config.json`.
    pub(super) fn config(&self, vocabulary: &Vocabulary<'_>, context: usize, template: Option<&str>) -> Value {
        let mut config = json!({
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": context,
            "clean_up_tokenization_spaces": false,
        });
        // Only where true: llama.cpp's converter sets the flag itself for some vocabularies and fails if it is set already.
        for (name, adds) in [("add_bos_token", self.add_bos), ("add_eos_token", self.add_eos)] {
            if adds {
                config[name] = true.into();
            }
        }
        let named =
            [("bos_token", self.bos), ("eos_token", self.eos), ("pad_token", self.pad), ("unk_token", self.unknown)];
        for (name, id) in named {
            if let Some(id) = id {
                config[name] = vocabulary.tokens[id].clone().into();
            }
        }
        if let Some(template) = template {
            config["chat_template"] = template.into();
        }
        config
    }
}

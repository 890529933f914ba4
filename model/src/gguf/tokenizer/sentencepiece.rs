//! SentencePiece BPE with scores (Llama 2, Mistral, Gemma): the pair whose product has the highest score is merged first,
//! which is BPE with merges ordered by the product's score. Characters without a token fall back to byte tokens.

use std::cmp::Reverse;
use std::collections::HashMap;

use serde_json::{Value, json};

use super::super::GgufError;
use super::super::error::tokenizer as problem;
use super::special::UNKNOWN;
use super::{Metadata, Parts, TokenKind, Vocabulary, required};

const SCORES: &str = "tokenizer.ggml.scores";
const SPACE_PREFIX: &str = "tokenizer.ggml.add_space_prefix";
/// SentencePiece writes a blank as this character.
const BLANK: &str = "\u{2581}";

pub(super) fn parts(metadata: &Metadata, vocabulary: &Vocabulary<'_>) -> Result<Parts, GgufError> {
    let scores = required(metadata.numbers(SCORES)?, SCORES)?;
    if scores.len() != vocabulary.tokens.len() {
        let text = format!("{SCORES} has {} entries for {} tokens", scores.len(), vocabulary.tokens.len());
        return Err(problem(text));
    }
    check_bytes(vocabulary)?;
    refuse_escaped_blanks(vocabulary)?;
    let prefix = metadata.flag(SPACE_PREFIX)?.copied().unwrap_or(true);
    let unknown = required(metadata.size(UNKNOWN)?, UNKNOWN)?;
    let unknown = vocabulary.tokens.get(unknown).ok_or_else(|| problem(format!("{UNKNOWN} is no token")))?;
    Ok(Parts {
        normalizer: normalizer(prefix),
        pre_tokenizer: Value::Null,
        decoder: decoder(prefix),
        model: json!({
            "type": "BPE", "dropout": null, "unk_token": unknown, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true, "ignore_merges": false,
            "vocab": vocabulary.map(), "merges": merges(vocabulary, scores),
        }),
        adds_bos: true,
    })
}

/// Without all 256 byte tokens some text would become the unknown token, silently.
fn check_bytes(vocabulary: &Vocabulary<'_>) -> Result<(), GgufError> {
    let bytes = vocabulary.named().filter(|(id, _)| vocabulary.kinds[*id] == TokenKind::Byte);
    let bytes: std::collections::BTreeSet<&str> = bytes.map(|(_, token)| token).collect();
    match (0..=255u8).map(|byte| format!("<0x{byte:02X}>")).find(|token| !bytes.contains(token.as_str())) {
        None => Ok(()),
        Some(missing) => Err(problem(format!("it has no byte token {missing}; all 256 are needed"))),
    }
}

/// User-defined tokens are looked for in the text as it is, where a blank is a blank.
fn refuse_escaped_blanks(vocabulary: &Vocabulary<'_>) -> Result<(), GgufError> {
    let escaped =
        |(id, token): &(usize, &str)| vocabulary.kinds[*id] == TokenKind::UserDefined && token.contains(BLANK);
    match vocabulary.named().find(escaped) {
        None => Ok(()),
        Some((id, token)) => Err(problem(format!(
            "the user-defined token {id} ({token:?}) has blanks in escaped form, as converters before July 2024 wrote them; \
             convert the model again"
        ))),
    }
}

fn normalizer(prefix: bool) -> Value {
    let replace = json!({"type": "Replace", "pattern": {"String": " "}, "content": BLANK});
    if !prefix {
        return replace;
    }
    json!({"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": BLANK}, replace]})
}

fn decoder(prefix: bool) -> Value {
    let mut steps = vec![
        json!({"type": "Replace", "pattern": {"String": BLANK}, "content": " "}),
        json!({"type": "ByteFallback"}),
        json!({"type": "Fuse"}),
    ];
    if prefix {
        steps.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    json!({"type": "Sequence", "decoders": steps})
}

/// All ways to put a normal token together from two others, the highest score first; among equal products longer left
/// halves first, as `transformers` orders them.
fn merges(vocabulary: &Vocabulary<'_>, scores: &[f32]) -> Vec<Value> {
    let normal = |id: &usize| vocabulary.kinds[*id] == TokenKind::Normal;
    let ids: HashMap<&str, usize> =
        vocabulary.named().filter(|(id, _)| normal(id)).map(|(id, token)| (token, id)).collect();
    let mut found = Vec::new();
    for (id, token) in vocabulary.named().filter(|(id, _)| normal(id)) {
        let mut local = Vec::new();
        for (cut, _) in token.char_indices().skip(1) {
            let (left, right) = token.split_at(cut);
            if let (Some(left_id), Some(right_id)) = (ids.get(left), ids.get(right)) {
                local.push((*left_id, *right_id, scores[id], left, right));
            }
        }
        local.sort_unstable_by_key(|(left, right, ..)| (*left, *right));
        found.extend(local);
    }
    found.sort_by(|a, b| {
        let lengths =
            |pair: &(usize, usize, f32, &str, &str)| Reverse((pair.3.chars().count(), pair.4.chars().count()));
        b.2.total_cmp(&a.2).then_with(|| lengths(a).cmp(&lengths(b)))
    });
    found.into_iter().map(|(_, _, _, left, right)| json!([left, right])).collect()
}

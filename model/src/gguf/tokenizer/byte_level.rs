//! Byte-level BPE: merges as they stand in the file, and the cutting rules behind the names in `tokenizer.ggml.pre`.

use serde_json::{Value, json};

use super::super::GgufError;
use super::super::error::{key as key_error, tokenizer as problem};
use super::{Metadata, Parts, Vocabulary, required};

const PRE: &str = "tokenizer.ggml.pre";
const MERGES: &str = "tokenizer.ggml.merges";

/// How text is cut before bytes are merged.
struct Rule {
    names: &'static [&'static str],
    cut: Cut,
    /// Unicode's composed form first.
    compose: bool,
    /// A piece that is a token as a whole is not merged from its bytes.
    whole_first: bool,
    adds_bos: bool,
}

enum Cut {
    /// GPT-2's rule, built into the byte-level step.
    Gpt2,
    /// Every digit alone, then GPT-2's rule.
    DigitsThenGpt2,
    /// These patterns one after the other, each within the pieces of the one before.
    Patterns(&'static [&'static str]),
}

const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// What llama.cpp does for the name `default`: no published tokenizer, but a fixed rule.
const DEFAULT: [&str; 4] = [
    r"[\p{P}\$\+<=>\^~\|]+",
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)",
    r"\p{N}+",
    r"[0-9][0-9][0-9]",
];

const RULES: [Rule; 6] = [
    Rule { names: &["gpt-2", "phi-2"], cut: Cut::Gpt2, compose: false, whole_first: false, adds_bos: false },
    Rule {
        names: &["smollm", "starcoder"],
        cut: Cut::DigitsThenGpt2,
        compose: false,
        whole_first: false,
        adds_bos: false,
    },
    Rule {
        names: &["llama-bpe", "llama3", "llama-v3"],
        cut: Cut::Patterns(&[LLAMA3]),
        compose: false,
        whole_first: true,
        adds_bos: true,
    },
    Rule { names: &["qwen2"], cut: Cut::Patterns(&[QWEN2]), compose: true, whole_first: false, adds_bos: false },
    Rule { names: &["tekken"], cut: Cut::Patterns(&[TEKKEN]), compose: false, whole_first: true, adds_bos: true },
    Rule { names: &["default"], cut: Cut::Patterns(&DEFAULT), compose: false, whole_first: false, adds_bos: false },
];

pub(super) fn parts(metadata: &Metadata, vocabulary: &Vocabulary<'_>) -> Result<Parts, GgufError> {
    let rule = rule(metadata)?;
    Ok(Parts {
        normalizer: if rule.compose { json!({"type": "NFC"}) } else { Value::Null },
        pre_tokenizer: pre_tokenizer(&rule.cut),
        decoder: byte_level(true),
        model: json!({
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": rule.whole_first,
            "vocab": vocabulary.map(), "merges": merges(metadata)?,
        }),
        adds_bos: rule.adds_bos,
    })
}

fn rule(metadata: &Metadata) -> Result<&'static Rule, GgufError> {
    let Some(name) = metadata.text(PRE)? else {
        return Err(key_error(
            PRE,
            "is missing: the file is older than this key, so nothing says how its tokenizer cuts text; convert the model again",
        ));
    };
    RULES.iter().find(|rule| rule.names.contains(&name.as_str())).ok_or_else(|| {
        let known: Vec<&str> = RULES.iter().flat_map(|rule| rule.names).copied().collect();
        key_error(PRE, format!("is \"{name}\", which is not known here; known are {}", known.join(", ")))
    })
}

fn pre_tokenizer(cut: &Cut) -> Value {
    let steps = match cut {
        Cut::Gpt2 => return byte_level(true),
        Cut::DigitsThenGpt2 => vec![json!({"type": "Digits", "individual_digits": true}), byte_level(true)],
        Cut::Patterns(patterns) => {
            let split = |pattern: &&str| json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false});
            patterns.iter().map(split).chain([byte_level(false)]).collect()
        }
    };
    json!({"type": "Sequence", "pretokenizers": steps})
}

fn byte_level(use_regex: bool) -> Value {
    json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex})
}

/// Pairs in the order of the file. A blank parts the two halves; bytes are written as visible characters, so no half has one.
fn merges(metadata: &Metadata) -> Result<Vec<Value>, GgufError> {
    let lines = required(metadata.texts(MERGES)?, MERGES)?;
    let pair = |(index, line): (usize, &String)| match line.split_once(' ') {
        Some((left, right)) if !left.is_empty() && !right.is_empty() && !right.contains(' ') => {
            Ok(json!([left, right]))
        }
        Some(_) | None => Err(problem(format!("merge {index} is {line:?}; it must be two pieces parted by one blank"))),
    };
    lines.iter().enumerate().map(pair).collect()
}

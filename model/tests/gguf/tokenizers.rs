//! Tokenizers made from metadata: ids against `transformers` and against SentencePiece's rule written down naively.

use galapagos_model::Tokenizer;
use galapagos_model::gguf::{GgufModel, StoredType};
use serde_json::{Value, json};

use crate::python::{ask, import};
use crate::texts::nasty_texts;

fn ids(value: &Value) -> Vec<Vec<u32>> {
    serde_json::from_value(value.clone()).unwrap()
}

#[test]
fn reference_sentencepiece_merges_by_score() {
    let pieces = [
        "▁",
        "a",
        "b",
        "c",
        "d",
        "e",
        "▁a",
        "ab",
        "bc",
        "▁ab",
        "abc",
        "cd",
        "de",
        "cde",
        "▁▁",
        "▁▁▁▁",
        "▁abc",
        "bcd",
        "e▁",
        "東",
        "ee",
        "eee",
        "aba",
        "ba",
    ];
    let mut texts: Vec<String> =
        ["", "abc", "abcde", " abc  abc", "eeeeee", "ababa", "東京 é🙂", "a\nb", "    a", "dede cdecde"]
            .map(String::from)
            .to_vec();
    texts.extend((0..200u32).map(|n| {
        (0..1 + n % 17)
            .map(|i| ['a', 'b', 'c', 'd', 'e', ' ', '東'][((n * 31 + i * i * 7 + i * n) % 7) as usize])
            .collect()
    }));
    for prefix in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let (file, imported) = (folder.path().join("gguf"), folder.path().join("imported"));
        let request = json!({"do": "sentencepiece", "file": file, "pieces": pieces, "texts": texts, "prefix": prefix});
        let expected = ids(&ask(&[request])[0]);
        import(&file, &imported, StoredType::F32);
        let tokenizer = Tokenizer::from_folder(&imported).unwrap();
        for (text, expected) in texts.iter().zip(&expected) {
            let found = tokenizer.encode(text).unwrap();
            assert_eq!(found, *expected, "{text:?}, prefix {prefix}");
            assert_eq!(tokenizer.decode(&found).unwrap(), *text, "prefix {prefix}");
        }
        let answer = ask(&[json!({"do": "tokenize", "folder": imported, "texts": texts})]).remove(0);
        assert_eq!(ids(&answer["ids"]), expected, "transformers");
        let with_bos: Vec<Vec<u32>> = expected.iter().map(|ids| [&[1], ids.as_slice()].concat()).collect();
        assert_eq!(ids(&answer["with_special"]), with_bos, "the beginning of sequence is put in front");
    }
}

/// A file with a byte-level tokenizer whose rule has that name.
fn byte_level(pre: &str, file: &std::path::Path) -> Value {
    let config = json!({
        "model_type": "llama", "vocab_size": 272, "hidden_size": 16, "intermediate_size": 8, "num_hidden_layers": 1,
        "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 512, "tie_word_embeddings": true,
    });
    json!({"do": "model", "seed": 1, "config": config, "folder": file.with_extension("made"), "file": file, "pre": pre})
}

#[test]
fn reference_every_known_rule_loses_nothing_and_unknown_ones_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let known = ["gpt-2", "smollm", "qwen2", "default"];
    let path = |pre: &str| folder.path().join(format!("{pre}.gguf"));
    ask(&known.iter().chain(&["gpt-9", "llama-bpe"]).map(|pre| byte_level(pre, &path(pre))).collect::<Vec<_>>());
    for pre in known {
        let imported = folder.path().join(pre);
        import(&path(pre), &imported, StoredType::BF16);
        let tokenizer = Tokenizer::from_folder(&imported).unwrap();
        assert_eq!(tokenizer.vocab_size(), 259, "{pre}: filler is no token");
        assert_eq!(tokenizer.encode("ab a b<eos>").unwrap().last().copied(), Some(257), "{pre}");
        for text in nasty_texts(60) {
            let back = tokenizer.decode_with_special(&tokenizer.encode(&text).unwrap()).unwrap();
            // Qwen 2 composes characters first.
            assert!(back == text || pre == "qwen2" && back.contains('\u{e9}'), "{pre}: {text:?} became {back:?}");
        }
    }
    let error = GgufModel::open(&path("gpt-9")).unwrap_err().to_string();
    assert!(error.contains("tokenizer.ggml.pre") && error.contains("gpt-9") && error.contains("smollm"), "{error}");
    let error = GgufModel::open(&path("llama-bpe")).unwrap_err().to_string();
    assert!(error.contains("bos_token_id") && error.contains("in front"), "{error}");
}

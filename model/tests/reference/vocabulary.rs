//! Tokenizers of older folders, made of a vocabulary alone, against those `transformers` makes of it.

use galapagos_model::Tokenizer;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::python::{Reference, smollm2};
use crate::texts::nasty_texts;

/// A folder of these files.
fn folder(files: &[(&str, String)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

/// Texts, and some with the special tokens of these classes.
fn texts() -> Vec<String> {
    let special =
        ["[CLS] a[SEP]b [PAD]", "x[MASK] [UNK]", "a<|endoftext|> b", "one <Extra> two<extra>", "[unused0] ##a"];
    special.iter().map(|text| (*text).to_owned()).chain(nasty_texts(150)).collect()
}

/// Compares ids, decoded texts and special tokens; the tokenizer here is the same after it was written and read again.
fn check(folders: &[TempDir]) {
    let texts = texts();
    let request = |folder: &TempDir| json!({"do": "tokenize", "folder": folder.path(), "texts": texts});
    let mut reference = Reference::start();
    let answers = reference.ask(&folders.iter().map(request).collect::<Vec<_>>());
    let written = folders.iter().map(|_| tempfile::tempdir().unwrap()).collect::<Vec<_>>();
    for ((folder, written), answer) in folders.iter().zip(&written).zip(&answers) {
        let made = Tokenizer::from_folder(folder.path()).unwrap();
        for (name, bytes) in made.files() {
            std::fs::write(written.path().join(name), bytes).unwrap();
        }
        for tokenizer in [made, Tokenizer::from_folder(written.path()).unwrap()] {
            for (index, text) in texts.iter().enumerate() {
                let ids = tokenizer.encode(text).unwrap();
                assert_eq!(json!(ids), answer["ids"][index], "{text:?}");
                assert_eq!(json!(tokenizer.decode(&ids).unwrap()), answer["decoded"][index], "{text:?}");
            }
            assert_eq!(json!(tokenizer.vocab_size()), answer["vocab_size"]);
            assert_eq!(json!([tokenizer.eos(), tokenizer.pad()]), json!([answer["eos"], answer["pad"]]));
        }
        std::fs::copy(folder.path().join("config.json"), written.path().join("config.json")).unwrap();
    }
    // What was written here, read by transformers.
    for (again, answer) in reference.ask(&written.iter().map(request).collect::<Vec<_>>()).iter().zip(&answers) {
        assert_eq!(again["ids"], answer["ids"]);
    }
}

/// Pieces with and without accents, in both cases, and characters of many scripts; most words stay unknown.
fn word_pieces() -> String {
    let special = ["[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(String::from);
    let characters: Vec<char> = ('!'..='~').chain("éèäüßẞﬁ東京タワー、한국어½Ⅷ五\u{301}".chars()).collect();
    let pieces = characters.iter().flat_map(|character| [character.to_string(), format!("##{character}")]);
    let words = ["naïve", "naive", "cafe", "caf", "Won", "won", "##turn", "def", "東京", "user", "html", "return"];
    let all = special.into_iter().chain(pieces).chain(words.map(String::from));
    all.map(|piece| piece + "\n").collect()
}

fn bert(config: Option<Value>, more: &[(&str, Value)]) -> TempDir {
    let model = json!({"model_type": "bert"}).to_string();
    let mut files = vec![("vocab.txt", word_pieces()), ("config.json", model)];
    files.extend(config.map(|config| ("tokenizer_config.json", config.to_string())));
    files.extend(more.iter().map(|(name, value)| (*name, value.to_string())));
    folder(&files)
}

#[test]
fn reference_bert_tokenizers_of_a_vocab_txt() {
    let class = "BertTokenizer";
    let size = word_pieces().lines().count();
    let map = json!({
        "pad_token": "[PAD]",
        "mask_token": {"content": "[MASK]", "lstrip": true, "rstrip": false, "normalized": false, "single_word": false},
    });
    check(&[
        bert(None, &[]),
        bert(Some(json!({"do_lower_case": false})), &[]),
        bert(Some(json!({"tokenizer_class": class, "do_lower_case": true, "strip_accents": false})), &[]),
        bert(Some(json!({"tokenizer_class": class, "do_lower_case": false, "strip_accents": true})), &[]),
        bert(Some(json!({"tokenizer_class": class, "tokenize_chinese_chars": false})), &[]),
        bert(
            Some(json!({"tokenizer_class": "BertTokenizerFast", "additional_special_tokens": ["<Extra>"]})),
            &[("special_tokens_map.json", map), ("added_tokens.json", json!({"<Extra>": size, "Cafe": size + 1}))],
        ),
    ]);
}

/// The vocabulary of a byte-level tokenizer in GPT-2's older files, with GPT-2's rule for cutting.
fn gpt2(config: Option<Value>, more: &[(&str, Value)]) -> TempDir {
    let json: Value = serde_json::from_slice(&smollm2().tokenizer().files()["tokenizer.json"]).unwrap();
    let merge = |merge: &Value| match merge {
        Value::String(merge) => merge.clone() + "\n",
        pair => format!("{} {}\n", pair[0].as_str().unwrap(), pair[1].as_str().unwrap()),
    };
    let merges: String = json["model"]["merges"].as_array().unwrap().iter().map(merge).collect();
    let mut files = vec![
        ("vocab.json", json["model"]["vocab"].to_string()),
        ("merges.txt", format!("#version: 0.2\n{merges}")),
        ("config.json", json!({"model_type": "gpt2"}).to_string()),
    ];
    files.extend(config.map(|config| ("tokenizer_config.json", config.to_string())));
    files.extend(more.iter().map(|(name, value)| (*name, value.to_string())));
    folder(&files)
}

#[test]
fn reference_gpt2_tokenizers_of_a_vocabulary_and_merges() {
    let padded = json!({"tokenizer_class": "GPT2Tokenizer", "pad_token": "<|im_end|>"});
    let added = json!({
        "tokenizer_class": "GPT2TokenizerFast", "unk_token": {"__type": "AddedToken", "content": "<|endoftext|>"},
        "added_tokens_decoder": {
            "0": {"content": "<|endoftext|>", "special": true}, "49152": {"content": "<Extra>", "rstrip": true},
        },
    });
    check(&[
        gpt2(None, &[]),
        gpt2(Some(padded), &[]),
        gpt2(Some(json!({"add_prefix_space": true})), &[]),
        gpt2(Some(added), &[]),
    ]);
}

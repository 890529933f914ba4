//! Token ids and texts.

use std::sync::Arc;

use galapagos_model::Tokenizer;
use galapagos_model::detokenize::{Detokenizer, TokenTexts};
use serde_json::{Value, json};

use crate::python::{ask, smollm2};

fn check(folder: &std::path::Path, tokenizer: &Tokenizer, texts: &[&str]) -> Value {
    let answer = ask(&[json!({"do": "tokenize", "folder": folder, "texts": texts})]).remove(0);
    let ids: Vec<Vec<u32>> = texts.iter().map(|text| tokenizer.encode(text).unwrap()).collect();
    let decoded: Vec<String> = ids.iter().map(|ids| tokenizer.decode(ids).unwrap()).collect();
    assert_eq!(json!(ids), answer["ids"]);
    assert_eq!(json!(decoded), answer["decoded"]);
    let texts = texts_of(tokenizer);
    let streamed: Vec<String> = ids.iter().map(|ids| streamed(&texts, ids)).collect();
    assert_eq!(json!(streamed), answer["decoded"]);
    assert_eq!(json!(tokenizer.vocab_size()), answer["vocab_size"]);
    assert_eq!(json!([tokenizer.eos(), tokenizer.pad()]), json!([answer["eos"], answer["pad"]]));
    answer
}

fn texts_of(tokenizer: &Tokenizer) -> Arc<TokenTexts> {
    let tokenizer = Tokenizer::from_files(tokenizer.files().clone()).unwrap();
    Arc::new(TokenTexts::new(Arc::new(tokenizer)).unwrap())
}

/// The text of `tokens`, token by token.
fn streamed(texts: &Arc<TokenTexts>, tokens: &[u32]) -> String {
    let mut text = Detokenizer::new(Arc::clone(texts));
    let pieces: String = tokens.iter().map(|token| text.push(*token).unwrap()).collect();
    pieces + &text.finish().unwrap()
}

#[test]
fn reference_token_ids_of_smollm2() {
    let folder = smollm2();
    let texts = [
        "The capital of France is Paris.",
        "Q: 17 + 25 = ?\nA: 42\n\n",
        "    def f(x):\n\treturn x ** 2  # naïve ☃ 漢字 🦎",
        "<|im_start|>user\nHello<|im_end|>\n",
        "  leading and trailing  ",
        "",
        "1234567890\r\n",
    ];
    check(folder.path(), folder.tokenizer(), &texts);
    let of_tokens = texts_of(folder.tokenizer());
    let bytes = |text: &str| {
        let tokens = folder.tokenizer().encode(text).unwrap();
        tokens.into_iter().filter_map(|token| of_tokens.bytes(token).unwrap()).flatten().collect::<Vec<u8>>()
    };
    for text in texts.iter().filter(|text| !text.contains("<|")) {
        assert_eq!(bytes(text), text.as_bytes());
    }
    let newline = folder.tokenizer().tokens_containing('\n').unwrap();
    assert!(newline.contains(&folder.tokenizer().encode("\n").unwrap()[0]));
    assert!(newline.len() > 1, "there are tokens of several newlines");
    for token in &newline {
        assert!(folder.tokenizer().decode_with_special(&[*token]).unwrap().contains('\n'));
    }
}

#[test]
fn reference_character_tokenizers_load_in_transformers() {
    let alphabet = "0123456789>=+ \nabcxyzABCéß漢";
    let tokenizer = Tokenizer::characters(alphabet).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in tokenizer.files() {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    // transformers finds the tokenizer's class through the model's configuration.
    std::fs::write(folder.path().join("config.json"), json!({"model_type": "llama"}).to_string()).unwrap();
    let answer = check(folder.path(), &tokenizer, &["31+4=35\n", "  ", "a b<eos>c", "é漢ß", alphabet, "<pad><pad>1"]);
    assert_eq!(answer["ids"][0].as_array().unwrap().len(), 8, "one token for each character");
}

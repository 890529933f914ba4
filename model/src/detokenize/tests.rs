//! Pieces joined against decoding at once, for every way tokenizers stand for text.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::tokenizer::TOKENIZER_JSON;

fn tokenizer(vocabulary: &[&str], decoder: Value) -> Arc<TokenTexts> {
    let ids: BTreeMap<&str, usize> = vocabulary.iter().enumerate().map(|(id, token)| (*token, id)).collect();
    let added = json!([{"id": 0, "content": vocabulary[0], "special": true, "single_word": false, "lstrip": false,
        "rstrip": false, "normalized": false}]);
    let file = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null,
        "pre_tokenizer": null, "post_processor": null, "decoder": decoder,
        "model": {"type": "WordLevel", "vocab": ids, "unk_token": vocabulary[0]},
    });
    let files = BTreeMap::from([(TOKENIZER_JSON.to_owned(), serde_json::to_vec(&file).unwrap())]);
    Arc::new(TokenTexts::new(Arc::new(Tokenizer::from_files(files).unwrap())).unwrap())
}

fn byte_level() -> Arc<TokenTexts> {
    // Ġ is a space, Ċ a line's end; â Ĥ ¬ are the bytes of €, Ã © of é, and ÿ is in no text.
    let pieces = ["<|end|>", "a", "Ġb", "â", "Ĥ", "¬", "Ã", "©", "Ċ", "âĤ", "¬Ã", "ÿ", "é€"];
    tokenizer(&pieces, json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true}))
}

fn sentence_piece() -> Arc<TokenTexts> {
    let pieces = ["</s>", "a", "▁b", "▁", "<0xE2>", "<0x82>", "<0xAC>", "<0xC3>", "<0xA9>", "<0xFF>", "<0x0A>", "▁▁"];
    let decoder = json!({"type": "Sequence", "decoders": [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0},
    ]});
    tokenizer(&pieces, decoder)
}

fn metaspace() -> Arc<TokenTexts> {
    let decoder = json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true});
    tokenizer(&["</s>", "a", "▁b", "▁", "c▁d", "▁▁"], decoder)
}

fn word_piece() -> Arc<TokenTexts> {
    let pieces = ["[SEP]", "hello", "##s", ".", "do", "##n't", "'", "!"];
    tokenizer(&pieces, json!({"type": "WordPiece", "prefix": "##", "cleanup": true}))
}

fn kinds() -> [Arc<TokenTexts>; 5] {
    [byte_level(), sentence_piece(), metaspace(), word_piece(), tokenizer(&["</s>", "a", "bc"], Value::Null)]
}

/// The pieces of a text that stands alone, the last one by `finish`.
fn pieces(mut text: Detokenizer, tokens: &[u32]) -> Vec<String> {
    let mut pieces: Vec<String> = tokens.iter().map(|token| text.push(*token).unwrap()).collect();
    pieces.push(text.finish().unwrap());
    pieces
}

proptest! {
    #[test]
    fn pieces_joined_are_the_whole_text(kind in 0usize..5, ids in prop::collection::vec(0u32..100, 0..24)) {
        let texts = kinds()[kind].clone();
        let vocabulary = texts.tokenizer().vocab_size() as u32;
        let tokens: Vec<u32> = ids.iter().map(|id| id % vocabulary).collect();
        let joined = pieces(Detokenizer::new(Arc::clone(&texts)), &tokens).concat();
        prop_assert_eq!(joined, texts.tokenizer().decode(&tokens).unwrap());
    }

    #[test]
    fn a_continuation_joins_its_prompt(
        kind in 0usize..5, ids in prop::collection::vec(0u32..100, 1..24), split in 0usize..24,
    ) {
        let texts = kinds()[kind].clone();
        let vocabulary = texts.tokenizer().vocab_size() as u32;
        let mut tokens: Vec<u32> = ids.iter().map(|id| id % vocabulary).collect();
        // A prompt ends with a whole character: token 1 is one in each vocabulary.
        let split = split.min(tokens.len());
        tokens.insert(split, 1);
        let (prompt, completion) = tokens.split_at(split + 1);
        let continued = pieces(Detokenizer::after(Arc::clone(&texts), prompt), completion).concat();
        let decode = |tokens: &[u32]| texts.tokenizer().decode(tokens).unwrap();
        prop_assert_eq!(decode(prompt) + &continued, decode(&tokens));
    }

    /// What guides take a token's bytes to be is what it adds to a text.
    #[test]
    fn bytes_are_what_tokens_add(kind in 0usize..5, ids in prop::collection::vec(0u32..100, 0..24)) {
        let texts = kinds()[kind].clone();
        let vocabulary = texts.tokenizer().vocab_size() as u32;
        let tokens: Vec<u32> = ids.iter().map(|id| id % vocabulary).collect();
        let bytes: Vec<u8> = tokens.iter().filter_map(|token| texts.bytes(*token).unwrap()).flatten().collect();
        if let Ok(text) = String::from_utf8(bytes) {
            prop_assert_eq!(pieces(Detokenizer::after(texts, &[1]), &tokens).concat(), text);
        }
    }
}

#[test]
fn characters_come_out_when_they_are_whole() {
    let tokens = [1, 3, 4, 5, 2, 9, 10, 7, 11, 1, 3];
    let expected = ["a", "", "", "€", " b", "", "€", "é", "\u{fffd}", "a", "", "\u{fffd}"];
    assert_eq!(pieces(Detokenizer::new(byte_level()), &tokens), expected);
    let tokens = [2, 2, 4, 5, 6, 1, 9, 7, 0, 1];
    let expected = ["b", " b", "", "", "", "€a", "", "", "", "\u{fffd}\u{fffd}a", ""];
    assert_eq!(pieces(Detokenizer::new(sentence_piece()), &tokens), expected);
}

#[test]
fn a_long_run_of_broken_bytes_is_not_kept() {
    let mut text = Detokenizer::new(byte_level());
    for _ in 0..1000 {
        assert_eq!(text.push(11).unwrap(), "\u{fffd}");
        assert!(text.bytes.is_empty());
    }
}

#[test]
fn unknown_tokens_and_decoders_are_named() {
    let error = Detokenizer::new(byte_level()).push(99).unwrap_err();
    assert_eq!(error.to_string(), "token id 99 is not in the tokenizer's vocabulary");
    let steps = json!({"type": "Sequence", "decoders": [{"type": "Fuse"}, {"type": "ByteLevel", "add_prefix_space": true,
        "trim_offsets": true, "use_regex": true}]});
    let file = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": null, "post_processor": null, "decoder": steps,
        "model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"},
    });
    let files = BTreeMap::from([(TOKENIZER_JSON.to_owned(), serde_json::to_vec(&file).unwrap())]);
    let error = TokenTexts::new(Arc::new(Tokenizer::from_files(files).unwrap())).unwrap_err();
    assert!(error.to_string().contains("Fuse, ByteLevel"), "{error}");
}

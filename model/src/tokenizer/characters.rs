//! Character-level tokenizers for models trained from scratch, in a form that `transformers` loads too: byte-pair encoding
//! without a single merge, so that every character stays a token of its own.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tokenizers::{Encoding, ModelWrapper};

use super::{TOKENIZER_CONFIG, TOKENIZER_JSON, TokenizerError};

const PAD: &str = "<pad>";
const EOS: &str = "<eos>";

/// The key of `tokenizer_config.json` that says that patches of images are tokens.
pub(super) const IMAGES: &str = "reads_image_patches";

/// The files of a character-level tokenizer over `alphabet`, which may also read images.
pub(super) fn files(alphabet: &str, images: bool) -> Result<BTreeMap<String, Vec<u8>>, TokenizerError> {
    let mut vocabulary = serde_json::Map::from_iter([(PAD.to_owned(), json!(0)), (EOS.to_owned(), json!(1))]);
    for (id, character) in (2..).zip(alphabet.chars()) {
        if vocabulary.insert(character.to_string(), Value::from(id)).is_some() {
            return Err(TokenizerError::Alphabet { problem: format!("has {character:?} twice") });
        }
    }
    if alphabet.is_empty() {
        return Err(TokenizerError::Alphabet { problem: "is empty".to_owned() });
    }
    let added = |id: u32, content: &str| {
        json!({
            "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true,
        })
    };
    let tokenizer = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [added(0, PAD), added(1, EOS)],
        "normalizer": null,
        "pre_tokenizer": null,
        "post_processor": null,
        "decoder": {"type": "Fuse"},
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": vocabulary, "merges": [],
        },
    });
    let mut config = json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": PAD,
        "eos_token": EOS,
        "clean_up_tokenization_spaces": false,
        "model_max_length": u32::MAX,
    });
    if images {
        config[IMAGES] = Value::from(true);
    }
    Ok(BTreeMap::from([
        (TOKENIZER_JSON.to_owned(), format!("{tokenizer:#}\n").into_bytes()),
        (TOKENIZER_CONFIG.to_owned(), format!("{config:#}\n").into_bytes()),
    ]))
}

/// The characters of a tokenizer of this kind (made here or read back from its files); `None` for any other tokenizer.
pub(super) fn alphabet_of(tokenizer: &tokenizers::Tokenizer) -> Option<BTreeSet<char>> {
    let ModelWrapper::BPE(model) = tokenizer.get_model() else { return None };
    let untouched = tokenizer.get_normalizer().is_none() && tokenizer.get_pre_tokenizer().is_none();
    if !untouched || model.unk_token.is_some() || model.byte_fallback {
        return None;
    }
    let mut alphabet = BTreeSet::new();
    let added = tokenizer.get_added_tokens_decoder();
    for (token, id) in tokenizer.get_vocab(false) {
        let mut characters = token.chars();
        match (characters.next(), characters.next()) {
            (Some(character), None) => drop(alphabet.insert(character)),
            _ if added.contains_key(&id) => {}
            _ => return None,
        }
    }
    Some(alphabet)
}

/// The encoder leaves out characters it has no token for; that must not happen silently.
pub(super) fn refuse_unknown(text: &str, encoding: &Encoding, alphabet: &BTreeSet<char>) -> Result<(), TokenizerError> {
    // Fast path: as many tokens as characters means that each became one.
    if encoding.len() == text.chars().count() {
        return Ok(());
    }
    let mut plain = text.to_owned();
    for special in [PAD, EOS] {
        // Same length, so that offsets stay true; a character of the alphabet, so that it is not reported.
        if let Some(known) = alphabet.iter().find(|character| character.is_ascii()) {
            plain = plain.replace(special, &known.to_string().repeat(special.len()));
        }
    }
    match plain.char_indices().find(|(_, character)| !alphabet.contains(character)) {
        Some((offset, character)) => Err(TokenizerError::UnknownCharacter { character, offset }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Tokenizer, TokenizerError};

    #[test]
    fn every_character_is_one_token_and_comes_back() {
        let tokenizer = Tokenizer::characters("0123456789>\n é").unwrap();
        assert_eq!(tokenizer.vocab_size(), 16);
        assert_eq!((tokenizer.pad(), tokenizer.eos(), tokenizer.bos()), (Some(0), Some(1), None));
        let tokens = tokenizer.encode("31>13\n é").unwrap();
        assert_eq!(tokens, [5, 3, 12, 3, 5, 13, 14, 15]);
        assert_eq!(tokenizer.decode(&tokens).unwrap(), "31>13\n é");
        assert_eq!(tokenizer.encode("1<eos>").unwrap(), [3, 1]);
        assert_eq!(tokenizer.tokens_containing('\n').unwrap(), [13]);
    }

    #[test]
    fn patches_are_their_code_points_and_come_back() {
        let tokenizer = Tokenizer::characters_and_images("ab:").unwrap();
        let text = "a\u{F0001}\u{100002}:\u{10FFFF}";
        let tokens = tokenizer.encode(text).unwrap();
        assert_eq!(tokens, [2, 0xF_0001, 0x10_0002, 4, 0x10_FFFF]);
        assert_eq!((tokenizer.decode(&tokens).unwrap().as_str(), tokenizer.vocab_size()), (text, 5));
        let again = Tokenizer::from_files(tokenizer.files().clone()).unwrap();
        assert_eq!(again.encode(text).unwrap(), tokens);
        let error = tokenizer.encode("a\u{F0001}bc").unwrap_err();
        assert!(matches!(error, TokenizerError::UnknownCharacter { character: 'c', offset: 6 }), "{error}");
        let blind = Tokenizer::characters("ab:").unwrap();
        assert!(matches!(blind.encode(text), Err(TokenizerError::Image { offset: 1 })));
        assert!(matches!(blind.decode(&tokens), Err(TokenizerError::UnknownToken { token: 0xF_0001 })));
    }

    #[test]
    fn unknown_characters_are_refused_with_their_place() {
        let tokenizer = Tokenizer::characters("ab").unwrap();
        let error = tokenizer.encode("ab<eos>c").unwrap_err();
        assert!(matches!(error, TokenizerError::UnknownCharacter { character: 'c', offset: 7 }), "{error}");
        assert!(matches!(tokenizer.decode(&[9]), Err(TokenizerError::UnknownToken { token: 9 })));
    }

    #[test]
    fn bad_alphabets_are_refused() {
        for alphabet in ["", "aba"] {
            assert!(matches!(Tokenizer::characters(alphabet), Err(TokenizerError::Alphabet { .. })), "{alphabet:?}");
        }
    }
}

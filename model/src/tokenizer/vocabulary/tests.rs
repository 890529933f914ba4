//! Vocabularies that are refused; what is made of good ones is compared with `transformers` in `tests/reference`.

use super::*;

fn made(files: &[(&str, &str)], model: &str) -> Result<Files, TokenizerError> {
    let mut files: Files = files.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect();
    complete(&mut files, Some(format!(r#"{{"model_type": "{model}"}}"#).into_bytes()))?;
    Ok(files)
}

fn refusal(result: Result<Files, TokenizerError>) -> String {
    match result {
        Err(error @ TokenizerError::Vocabulary { .. }) => error.to_string(),
        other => panic!("not refused: {other:?}"),
    }
}

const PIECES: &str = "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n##b\n";

#[test]
fn vocabularies_that_do_not_say_enough_are_refused() {
    assert!(made(&[(VOCAB_TXT, PIECES)], "bert").is_ok());
    let error = refusal(made(&[(VOCAB_TXT, PIECES)], "llama"));
    assert!(error.contains("\"llama\"") && error.contains("BertTokenizer and GPT2Tokenizer"), "{error}");
    for (name, text, expected) in [
        (TOKENIZER_CONFIG, r#"{"tokenizer_class": "BertJapaneseTokenizer"}"#, "BertJapaneseTokenizer"),
        (TOKENIZER_CONFIG, r#"{"do_lower_case": "yes"}"#, "`do_lower_case` is \"yes\""),
        (TOKENIZER_CONFIG, r#"{"do_basic_tokenize": false}"#, "`do_basic_tokenize`"),
        (TOKENIZER_CONFIG, r#"{"pad_token": "<none>"}"#, "<none>"),
        (TOKENIZER_CONFIG, r#"{"added_tokens_decoder": {"x": "<none>"}}"#, "`added_tokens_decoder`"),
        (ADDED, r#"{"<far>": 100}"#, "must be 6"),
        (ADDED, r#"{"<odd>": -1}"#, "-1"),
    ] {
        let error = refusal(made(&[(VOCAB_TXT, PIECES), (name, text)], "bert"));
        assert!(error.contains(name) && error.contains(expected), "{error}");
    }
    let error = refusal(made(&[(VOCAB_TXT, "[UNK]\n[SEP]\na\n")], "bert"));
    assert!(error.contains("[CLS]") && error.contains("`cls_token`"), "{error}");
}

#[test]
fn broken_merges_are_refused() {
    let with = |merges: &str| made(&[(VOCAB_JSON, r#"{"a": 0, "b": 1, "ab": 2}"#), (MERGES, merges)], "gpt2");
    assert!(with("#version: 0.2\na b\n").is_ok());
    let error = refusal(with("#version: 0.2\na b\na b c\n"));
    assert!(error.contains("line 3") && error.contains("a b c"), "{error}");
}

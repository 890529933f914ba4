//! Random models under guides: what comes out always matches, and the allowed probabilities are the model's, renormalised.

use std::collections::BTreeMap;

use proptest::prelude::*;
use regex::Regex;
use serde_json::{Map, Value, json};

use super::*;
use crate::Tokenizer;
use crate::sampling::{Sampler, Sampling, Scratch};

const END: u32 = 0;

/// All bytes as tokens, some longer pieces, one of them twice, and an end token.
fn texts() -> Arc<TokenTexts> {
    let printable = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let others = (0..=u8::MAX).filter(|byte| !printable(byte)).count() as u32;
    let characters = (0..=u8::MAX).filter(printable).map(|byte| char::from(byte).to_string());
    let characters = characters.chain((0..others).filter_map(|at| char::from_u32(0x100 + at)).map(String::from));
    let longer = ["ab", "abc", "12", "Ġ\"", "\":", "true", "},", "[{", "Ã©", "âĤ", "name", "\"}", "Ċ", "ĠĠ"];
    let pieces = std::iter::once("<|end|>".to_owned()).chain(characters).chain(longer.map(str::to_owned));
    let ids: BTreeMap<String, usize> = pieces.zip(0..).collect();
    let file = json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null, "pre_tokenizer": null,
        "added_tokens": [{"id": 0, "content": "<|end|>", "special": true, "single_word": false, "lstrip": false,
            "rstrip": false, "normalized": false}],
        "post_processor": null,
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {"type": "WordLevel", "vocab": ids, "unk_token": "<|end|>"},
    });
    let files = BTreeMap::from([("tokenizer.json".to_owned(), serde_json::to_vec(&file).unwrap())]);
    Arc::new(TokenTexts::new(Arc::new(Tokenizer::from_files(files).unwrap())).unwrap())
}

/// Random logits of a position that prefer what comes to an end.
fn logits(texts: &TokenTexts, seed: u64, position: usize) -> Vec<f32> {
    let mut state = seed ^ (position as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 24) as f32 * 6.0
    };
    let mut row: Vec<f32> = (0..texts.tokenizer().vocab_size()).map(|_| next()).collect();
    for ending in ["<|end|>", "\"", "}", "]", "\"}"] {
        row[texts.tokenizer().token_id(ending).unwrap() as usize] += 4.0;
    }
    row
}

/// Runs a random model under `guide` to its end, checking that what is rolled back leaves no trace.
fn complete(texts: &TokenTexts, mut guide: Guide, seed: u64) -> String {
    let mut sampler = Sampler::new(Arc::new(Sampling::at(1.0)), (seed, 0), &[]);
    let mut scratch = Scratch::default();
    let mut tokens = Vec::new();
    while !guide.is_stopped() {
        assert!(tokens.len() < 2000, "no end after {:?}", texts.tokenizer().decode(&tokens));
        let mask = guide.mask().unwrap();
        assert_eq!(mask.allows(END), guide.is_complete().unwrap());
        let row = logits(texts, seed, tokens.len());
        let chosen = sampler.choose(&row, Some(&mask), 0, &mut scratch).unwrap();
        if (seed ^ tokens.len() as u64).is_multiple_of(3) {
            let mut ahead = 0;
            for token in std::iter::once(chosen.token).chain(guide.draft(4)) {
                if guide.is_stopped() || !guide.mask().unwrap().allows(token) {
                    break;
                }
                guide.accept(token).unwrap();
                ahead += 1;
            }
            guide.roll_back(ahead).unwrap();
            assert_eq!(guide.mask().unwrap(), mask);
        }
        guide.accept(chosen.token).unwrap();
        sampler.push(chosen.token);
        tokens.push(chosen.token);
    }
    texts.tokenizer().decode(&tokens).unwrap()
}

fn guide(texts: &TokenTexts, spec: &GuideSpec) -> Guide {
    GuideVocabulary::new(texts, &[END]).unwrap().compile(spec).unwrap()
}

#[test]
fn regular_expressions_are_matched_wholly() {
    let texts = texts();
    for pattern in ["[0-9]{2,5}(\\.[0-9]+)?", "(abc|ab|é€)+!", "\\w{3} \\d/[^a-z\\n]", "(yes|no)\\n", "a*b?"] {
        let guide = guide(&texts, &GuideSpec::Regex(pattern.to_owned()));
        let whole = Regex::new(&format!("^(?:{pattern})$")).unwrap();
        for seed in 1..12 {
            let text = complete(&texts, guide.clone(), seed);
            assert!(whole.is_match(&text), "{text:?} is not {pattern}");
        }
    }
}

#[test]
fn choices_are_taken_literally() {
    let texts = texts();
    let choices = ["a.b", "a+", "[x] (y)", "line\nline", "/\\d/", "ab", "abc", "é"].map(str::to_owned);
    let guide = guide(&texts, &GuideSpec::Choice(choices.to_vec()));
    let found: std::collections::BTreeSet<String> = (1..60).map(|seed| complete(&texts, guide.clone(), seed)).collect();
    assert!(found.iter().all(|text| choices.contains(text)), "{found:?}");
    assert!(found.len() > 3, "{found:?}");
}

#[test]
fn an_end_token_is_drawn_behind_a_match_and_barred_tokens_never() {
    let texts = texts();
    let id = |piece: &str| texts.tokenizer().token_id(piece).unwrap();
    let line = id("Ċ");
    let vocabulary = GuideVocabulary::ended_by_token(&texts, &[END, line], &[id("abc"), line]).unwrap();
    let choices = ["abc", "ab", "x y"].map(str::to_owned);
    let guide = vocabulary.compile(&GuideSpec::Choice(choices.to_vec())).unwrap();
    let mut ends = std::collections::BTreeSet::new();
    for seed in 1..60 {
        let text = complete(&texts, guide.clone(), seed);
        let answer = text.strip_suffix('\n').unwrap_or(&text);
        assert!(choices.iter().any(|choice| choice == answer), "{text:?}");
        ends.insert(text.ends_with('\n'));
    }
    assert_eq!(ends.len(), 2, "the model chooses its end: {ends:?}");

    // Behind "x y" nothing but an end may come, and taking it back opens the guide again.
    let mut whole = guide.clone();
    ["x", "Ġ", "y"].iter().for_each(|piece| whole.accept(id(piece)).unwrap());
    assert!(!whole.is_stopped() && whole.is_complete().unwrap() && whole.draft(4).is_empty());
    assert_eq!(whole.mask().unwrap().count(), 2);
    assert!(whole.clone().accept(id("x")).is_err());
    whole.accept(line).unwrap();
    assert!(whole.is_stopped());
    whole.roll_back(2).unwrap();
    assert!(!whole.is_stopped() && !whole.is_complete().unwrap() && whole.mask().unwrap().allows(id("y")));
    let mut barred = guide;
    assert!(barred.mask().unwrap().allows(id("ab")) && barred.accept(id("abc")).is_err());
}

#[test]
fn a_text_is_held_against_a_guide_byte_by_byte() {
    let texts = texts();
    for vocabulary in
        [GuideVocabulary::new(&texts, &[END]).unwrap(), GuideVocabulary::ended_by_token(&texts, &[END], &[]).unwrap()]
    {
        let guide = vocabulary.compile(&GuideSpec::Regex("ab[0-9]{2}(é|x*)".to_owned())).unwrap();
        for whole in ["ab12", "ab12é", "ab12xx"] {
            assert_eq!(guide.fit(whole.as_bytes()), Fit::Whole, "{whole}");
        }
        for begun in ["", "a", "ab1"] {
            assert_eq!(guide.fit(begun.as_bytes()), Fit::Begun, "{begun}");
        }
        assert_eq!(guide.fit(&"ab12é".as_bytes()[..5]), Fit::Begun, "half a character");
        for (wrong, bytes) in [("ax", 1), ("abx", 2), ("ab12éx", 6), ("x", 0)] {
            assert_eq!(guide.fit(wrong.as_bytes()), Fit::Not { bytes }, "{wrong}");
        }
    }
}

#[test]
fn grammars_are_followed() {
    let texts = texts();
    let grammar = "start: sum\nsum: term (\"+\" term)*\nterm: NUMBER | \"(\" sum \")\"\nNUMBER: /[1-9][0-9]?/\n";
    let guide = guide(&texts, &GuideSpec::Lark(grammar.to_owned()));
    for seed in 1..20 {
        let text = complete(&texts, guide.clone(), seed);
        assert!(text.chars().all(|c| c.is_ascii_digit() || "+()".contains(c)), "{text}");
        let depth = text.chars().try_fold(0i32, |depth, c| match c {
            '(' => Some(depth + 1),
            ')' => (depth > 0).then_some(depth - 1),
            _ => Some(depth),
        });
        assert_eq!(depth, Some(0), "{text}");
    }
}

/// Whether a person is what the schema of the next test says.
fn is_person(person: &Map<String, Value>) -> bool {
    let name = person.get("name").and_then(Value::as_str).is_some_and(|name| name.chars().count() <= 8);
    let age = person.get("age").and_then(Value::as_i64).is_some_and(|age| (0..=150).contains(&age));
    let kind = person.get("kind").is_none_or(|kind| kind == "a" || kind == "b" || kind.is_null());
    let tags = person.get("tags").is_none_or(|tags| {
        tags.as_array().is_some_and(|tags| !tags.is_empty() && tags.len() <= 3 && tags.iter().all(Value::is_boolean))
    });
    name && age && kind && tags && person.keys().all(|key| ["name", "age", "kind", "tags"].contains(&key.as_str()))
}

#[test]
fn json_is_valid_for_its_schema() {
    let texts = texts();
    let schema = json!({
        "type": "object", "additionalProperties": false, "required": ["name", "age"],
        "properties": {
            "name": {"type": "string", "maxLength": 8},
            "age": {"type": "integer", "minimum": 0, "maximum": 150},
            "kind": {"enum": ["a", "b", null]},
            "tags": {"type": "array", "items": {"$ref": "#/$defs/flag"}, "minItems": 1, "maxItems": 3},
        },
        "$defs": {"flag": {"type": "boolean"}},
    });
    let guide = guide(&texts, &GuideSpec::JsonSchema(schema));
    for seed in 1..25 {
        let text = complete(&texts, guide.clone(), seed);
        let value: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert!(value.as_object().is_some_and(is_person), "{text}");
        let white = text.split(|c: char| !" \n\t".contains(c)).map(str::len).max();
        assert!(white <= Some(16), "{text:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    /// Of the tokens a guide allows, each keeps its share; the log-probability stays the model's own.
    #[test]
    fn what_is_allowed_keeps_its_shares(seed in 1u64..u64::MAX) {
        let texts = texts();
        let mask = guide(&texts, &GuideSpec::Regex("[a-c]x".to_owned())).mask().unwrap();
        let ids = ["a", "b", "c", "ab", "abc"].map(|piece| texts.tokenizer().token_id(piece).unwrap());
        prop_assert_eq!(ids.map(|id| mask.allows(id)), [true, true, true, false, false]);
        prop_assert_eq!(mask.count(), 3);
        let row = logits(&texts, seed, 0);
        let weights = ids.map(|id| f64::from(row[id as usize]).exp());
        let total: f64 = weights[..3].iter().sum();
        let all: f64 = row.iter().map(|logit| f64::from(*logit).exp()).sum();
        let mut sampler = Sampler::new(Arc::new(Sampling::at(1.0)), (seed, 0), &[]);
        let mut counts = [0.0f64; 3];
        for _ in 0..2000 {
            let chosen = sampler.choose(&row, Some(&mask), 0, &mut Scratch::default()).unwrap();
            let place = ids.iter().position(|id| *id == chosen.token).unwrap();
            counts[place] += 1.0;
            prop_assert!((f64::from(chosen.log_prob) - (weights[place] / all).ln()).abs() < 1e-4);
            sampler.push(chosen.token);
        }
        for (count, weight) in counts.iter().zip(weights) {
            let p = weight / total;
            prop_assert!((count / 2000.0 - p).abs() < 6.0 * (p * (1.0 - p) / 2000.0).sqrt() + 1e-3);
        }
    }
}

#[test]
fn what_cannot_be_compiled_is_named() {
    let vocabulary = GuideVocabulary::new(&texts(), &[END]).unwrap();
    let cases = [
        (GuideSpec::Regex("a(b".to_owned()), "the regular expression cannot guide a completion"),
        (GuideSpec::Regex("(?=a)b".to_owned()), "the regular expression cannot guide a completion"),
        (GuideSpec::JsonSchema(json!({"type": "objekt"})), "the JSON schema cannot guide a completion"),
        (GuideSpec::JsonSchema(json!({"type": "string", "minLength": 3, "maxLength": 2})), "the JSON schema cannot"),
        (GuideSpec::JsonSchema(json!(7)), "a schema is an object, and this is 7"),
        (GuideSpec::Lark("start: missing".to_owned()), "missing"),
        (GuideSpec::Choice(Vec::new()), "the list of choices cannot guide a completion: it is empty"),
    ];
    for (spec, expected) in cases {
        let error = vocabulary.compile(&spec).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains("<state>") && !error.contains("non-verbose"), "{error}");
    }
    let error = GuideVocabulary::new(&texts(), &[9_999_999]).unwrap_err();
    assert!(matches!(error, GuideError::NoEnd { .. }), "{error}");
}

#[test]
fn a_token_that_is_not_allowed_is_refused() {
    let texts = texts();
    let mut guide = guide(&texts, &GuideSpec::Regex("ab".to_owned()));
    let b = texts.tokenizer().token_id("b").unwrap();
    assert!(matches!(guide.accept(b), Err(GuideError::Token { position: 0, .. })));
}

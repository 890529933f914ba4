//! Classifiers of sequences and of tokens, on decoders and on encoders, made by `transformers` and read here, and the other way round.

use std::path::{Path, PathBuf};

use galapagos_model::{
    Decoder, Encoder, EncoderBatch, EncoderInput, Family, Model, ModelFolder, ModelKind, Precision, weights_digest,
};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

use crate::python::{Reference, max_difference, sequences, single_thread, tensors, write_tokenizer};

const VOCABULARY: usize = 41;

struct Case {
    class: String,
    config_class: String,
    config: Value,
    made: PathBuf,
    saved: PathBuf,
}

fn decoder(class: &str, labels: usize) -> (String, String, Value) {
    let config = match class {
        "GPT2" => json!({"n_embd": 48, "n_layer": 2, "n_head": 4, "n_positions": 64}),
        _ => json!({
            "hidden_size": 48, "intermediate_size": 72, "num_hidden_layers": 2, "num_attention_heads": 4,
            "num_key_value_heads": 2, "head_dim": 12, "max_position_embeddings": 64,
        }),
    };
    (class.to_owned(), format!("{class}Config"), with_common(config, labels))
}

fn with_common(mut config: Value, labels: usize) -> Value {
    config["vocab_size"] = VOCABULARY.into();
    config["initializer_range"] = 0.2.into();
    config["num_labels"] = labels.into();
    // An id that no sequence has: transformers looks for the last token that is not this one.
    config["pad_token_id"] = 0.into();
    config["eos_token_id"] = 1.into();
    config["bos_token_id"] = Value::Null;
    config
}

fn cases(root: &Path) -> Vec<Case> {
    let bert = |labels| {
        let config = json!({
            "hidden_size": 48, "intermediate_size": 72, "num_hidden_layers": 2, "num_attention_heads": 4,
            "max_position_embeddings": 64, "type_vocab_size": 2,
        });
        ("Bert".to_owned(), "BertConfig".to_owned(), with_common(config, labels))
    };
    let kinds = [
        (decoder("Llama", 3), "ForSequenceClassification"),
        (decoder("Llama", 1), "ForSequenceClassification"),
        (decoder("Qwen2", 2), "ForTokenClassification"),
        (decoder("Gemma2", 2), "ForSequenceClassification"),
        (decoder("GPT2", 3), "ForSequenceClassification"),
        (decoder("GPT2", 2), "ForTokenClassification"),
        (bert(3), "ForSequenceClassification"),
        (bert(1), "ForSequenceClassification"),
        (bert(5), "ForTokenClassification"),
    ];
    let case = |(index, ((class, config_class, config), head)): (usize, ((String, String, Value), &str))| Case {
        class: format!("{class}{head}"),
        config_class,
        config,
        made: root.join(format!("made{index}")),
        saved: root.join(format!("saved{index}")),
    };
    kinds.into_iter().enumerate().map(case).collect()
}

/// Sequences without the padding token, padded to the longest on one side: tokens, mask and segments.
fn batch(left: bool) -> [Vec<Vec<i64>>; 3] {
    let sequences = sequences(VOCABULARY - 2, &[12, 5, 1]);
    let pad = |values: Vec<i64>| {
        let padding = vec![0; 12 - values.len()];
        if left { [padding, values].concat() } else { [values, padding].concat() }
    };
    let of = |value: fn(usize, u32) -> i64| -> Vec<Vec<i64>> {
        let row = |sequence: &Vec<u32>| pad(sequence.iter().enumerate().map(|(at, token)| value(at, *token)).collect());
        sequences.iter().map(row).collect()
    };
    [of(|_, token| i64::from(token) + 2), of(|_, _| 1), of(|at, _| i64::from(at > 3))]
}

fn requests(case: &Case, folder: &Path) -> Value {
    let encoder = case.class.starts_with("Bert");
    let batches: Vec<Value> = [false, true]
        .map(|left| {
            let [tokens, mask, types] = batch(left);
            json!({"tokens": tokens, "mask": mask, "types": encoder.then_some(types)})
        })
        .to_vec();
    json!({"do": "classify", "class": case.class, "folder": folder, "batches": batches, "out": folder.join("logits")})
}

#[test]
fn reference_classifiers_of_decoders_and_encoders() {
    single_thread();
    let mut reference = Reference::start();
    let _no_gradients = tch::no_grad_guard();
    let root = tempfile::tempdir().unwrap();
    let cases = cases(root.path());
    let make = |case: &Case| {
        json!({
            "do": "make_model", "folder": case.made, "seed": 3, "dtype": "float32", "config": case.config,
            "class": case.class, "config_class": case.config_class,
        })
    };
    reference
        .ask(&cases.iter().map(make).chain(cases.iter().map(|case| requests(case, &case.made))).collect::<Vec<_>>());
    for case in &cases {
        write_tokenizer(&case.made, VOCABULARY);
        let folder = ModelFolder::open(&case.made).unwrap_or_else(|error| panic!("{}: {error:?}", case.class));
        assert_eq!(folder.ignored_keys(), Vec::<String>::new(), "{}", case.class);
        let expected = tensors(&case.made.join("logits"));
        if folder.config().family == Family::Bert {
            let model = folder.load_encoder(Device::Cpu).unwrap();
            for (index, left) in [false, true].into_iter().enumerate() {
                check_encoder(case, &model, left, &expected[&index.to_string()]);
            }
            keep(case, &folder, &model);
        } else {
            let model = folder.load(Device::Cpu).unwrap();
            check_decoder(case, &model, &expected["0"]);
            keep(case, &folder, &model);
        }
    }
    reference.ask(&cases.iter().map(|case| requests(case, &case.saved)).collect::<Vec<_>>());
    for case in &cases {
        let [before, after] = [&case.made, &case.saved].map(|folder| tensors(&folder.join("logits")));
        for (index, before) in &before {
            assert_eq!(max_difference(before, &after[index]), 0.0, "{}: saved and read by transformers", case.class);
        }
    }
}

/// Saves the model; what comes back is the same.
fn keep(case: &Case, folder: &ModelFolder, model: &impl Model) {
    ModelFolder::save(&case.saved, model, folder.tokenizer()).unwrap();
    let reopened = ModelFolder::open(&case.saved).unwrap();
    assert_eq!(reopened.config(), model.config(), "{}", case.class);
    let parameters = if model.config().family.is_encoder() {
        weights_digest(reopened.load_encoder(Device::Cpu).unwrap().parameters())
    } else {
        weights_digest(reopened.load(Device::Cpu).unwrap().parameters())
    };
    assert_eq!(parameters.unwrap(), weights_digest(model.parameters()).unwrap(), "{}", case.class);
}

fn tensor(rows: &[Vec<i64>]) -> Tensor {
    Tensor::from_slice2(rows)
}

fn check_encoder(case: &Case, model: &Encoder, left: bool, expected: &Tensor) {
    let [tokens, mask, types] = batch(left).map(|rows| tensor(&rows));
    let batch = EncoderBatch { tokens: &tokens, mask: &mask, types: Some(&types) };
    let hidden = model.hidden_states(&batch, Precision::F32).unwrap();
    let (found, expected) = if model.config().kind == ModelKind::TokenClassifier {
        assert!(model.sequence_logits(&hidden).is_err());
        // What is said of padding means nothing.
        let real = mask.unsqueeze(-1).to_kind(Kind::Float);
        (model.token_logits(&hidden).unwrap() * &real, expected * &real)
    } else {
        assert!(model.token_logits(&hidden).is_err());
        (model.sequence_logits(&hidden).unwrap(), expected.shallow_clone())
    };
    let difference = max_difference(&found, &expected);
    assert!(difference <= 2e-4, "{}, padded {left}: logits differ by {difference}", case.class);
    if !left {
        check_list(case, model, &expected);
    }
    assert!(expected.std(false).double_value(&[]) > 1e-2, "the sequences must be told apart");
}

/// The same sequences as a list, without padding; what `transformers` says of padding on the right is what it says without.
fn check_list(case: &Case, model: &Encoder, expected: &Tensor) {
    let [tokens, mask, types] = batch(false);
    let real = |row: &[i64], mask: &[i64]| -> Vec<u32> {
        row.iter().zip(mask).filter(|(_, real)| **real == 1).map(|(id, _)| *id as u32).collect()
    };
    let input = |((tokens, types), mask): ((&Vec<i64>, &Vec<i64>), &Vec<i64>)| EncoderInput {
        tokens: real(tokens, mask),
        types: real(types, mask),
    };
    let inputs: Vec<EncoderInput> = tokens.iter().zip(&types).zip(&mask).map(input).collect();
    let found = model.classify(&inputs, 13, Precision::F32).unwrap();
    for (index, (input, found)) in inputs.iter().zip(&found).enumerate() {
        let expected = match model.config().kind {
            ModelKind::TokenClassifier => expected.get(index as i64).narrow(0, 0, input.tokens.len() as i64),
            _ => expected.get(index as i64),
        };
        let difference = max_difference(&Tensor::from_slice(found).view_as(&expected), &expected);
        assert!(difference <= 2e-4, "{}, input {index}: logits differ by {difference}", case.class);
    }
}

fn check_decoder(case: &Case, model: &Decoder, expected: &Tensor) {
    let [tokens, mask, _] = batch(false).map(|rows| tensor(&rows));
    let (count, time) = tokens.size2().unwrap();
    let hidden = model.hidden_states(&tokens, Precision::F32).unwrap();
    let lengths = Vec::<i64>::try_from(mask.sum_dim_intlist([1i64].as_slice(), false, Kind::Int64)).unwrap();
    for (sequence, length) in (0..count).zip(lengths) {
        let from = if model.config().kind == ModelKind::TokenClassifier { 0 } else { length - 1 };
        let rows = Tensor::arange_start(sequence * time + from, sequence * time + length, (Kind::Int64, Device::Cpu));
        let found = model.labels_at(&hidden, &rows).unwrap();
        let expected = match model.config().kind {
            ModelKind::TokenClassifier => expected.get(sequence).narrow(0, 0, length),
            _ => expected.get(sequence).unsqueeze(0),
        };
        let difference = max_difference(&found, &expected);
        assert!(difference <= 2e-4, "{}, sequence {sequence}: logits differ by {difference}", case.class);
    }
}

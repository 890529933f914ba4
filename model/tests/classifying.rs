//! Lists of inputs through an encoder: results in the caller's order, whatever is classified together.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use galapagos_model::{ComputeError, Encoder, EncoderBatch, EncoderInput, Family, ModelConfig, ModelKind, Precision};
use tch::{Device, Tensor};

const VOCABULARY: usize = 50;

fn model(kind: ModelKind, labels: usize) -> Encoder {
    tch::set_num_threads(1);
    let config = ModelConfig {
        family: Family::Bert,
        kind,
        labels: (0..labels).map(|label| format!("LABEL_{label}")).collect(),
        vocab_size: VOCABULARY,
        hidden_size: 64,
        intermediate_size: 96,
        num_hidden_layers: 3,
        num_attention_heads: 4,
        num_key_value_heads: 4,
        head_dim: 16,
        max_position_embeddings: 128,
        type_vocab_size: 2,
        attention_bias: true,
        mlp_bias: true,
        initializer_range: 0.2,
        ..ModelConfig::default()
    };
    config.validate().unwrap();
    Encoder::init(config, 1, Device::Cpu).unwrap()
}

/// Lengths from 1 to 128, some of them often; every other one with segments.
fn inputs() -> Vec<EncoderInput> {
    let input = |seed: u32| {
        let length = [1, 7, 128, 40, 7, 63, 2, 90][seed as usize % 8] - seed % 2 * (seed / 16);
        let tokens: Vec<u32> = (0..length).map(|i| (i * i * 7 + i * seed + seed * 13) % VOCABULARY as u32).collect();
        let types =
            if seed.is_multiple_of(3) { (0..length).map(|i| u32::from(i > length / 2)).collect() } else { Vec::new() };
        EncoderInput { tokens, types }
    };
    (0..48).map(input).collect()
}

fn greatest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn results_are_in_order_and_do_not_depend_on_what_is_classified_together() {
    let inputs = inputs();
    for (kind, labels) in [(ModelKind::SequenceClassifier, 3), (ModelKind::Scalar, 0), (ModelKind::TokenClassifier, 5)]
    {
        let model = model(kind, labels);
        let per_row = model.config().label_count();
        let together = model.classify(&inputs, 1 << 20, Precision::F32).unwrap();
        let few = model.classify(&inputs, 100, Precision::F32).unwrap();
        let reversed: Vec<EncoderInput> = inputs.iter().rev().cloned().collect();
        let reversed = model.classify(&reversed, 700, Precision::F32).unwrap();
        for (index, input) in inputs.iter().enumerate() {
            let rows = if kind == ModelKind::TokenClassifier { input.tokens.len() } else { 1 };
            assert_eq!(together[index].len(), rows * per_row);
            let alone = model.classify(std::slice::from_ref(input), 1, Precision::F32).unwrap().remove(0);
            let padded = padded(&model, input);
            for other in [&few[index], &reversed[inputs.len() - 1 - index], &alone, &padded] {
                let difference = greatest_difference(&together[index], other);
                assert!(difference <= 1e-5, "{kind:?}, input {index}: {difference}");
            }
        }
        assert!(greatest_difference(&together[0], &together[8]) > 1e-2, "inputs of one length must be told apart");
    }
}

/// The same by the padded forward of training, with padding on the right.
fn padded(model: &Encoder, input: &EncoderInput) -> Vec<f32> {
    let _no_gradients = tch::no_grad_guard();
    let time = 128;
    let row = |ids: &[u32]| {
        let ids = ids.iter().map(|id| i64::from(*id)).chain(std::iter::repeat(0));
        Tensor::from_slice(&ids.take(time).collect::<Vec<i64>>()).unsqueeze(0)
    };
    let (tokens, types, mask) = (row(&input.tokens), row(&input.types), row(&vec![1; input.tokens.len()]));
    let batch = EncoderBatch { tokens: &tokens, mask: &mask, types: Some(&types) };
    let hidden = model.hidden_states(&batch, Precision::F32).unwrap();
    let said = match model.config().kind {
        ModelKind::TokenClassifier => model.token_logits(&hidden).unwrap().narrow(1, 0, input.tokens.len() as i64),
        _ => model.sequence_logits(&hidden).unwrap(),
    };
    Vec::try_from(said.contiguous().view([-1])).unwrap()
}

#[test]
fn bfloat16_is_close_and_nothing_gives_nothing() {
    let model = model(ModelKind::SequenceClassifier, 3);
    let inputs = inputs();
    let exact = model.classify(&inputs, 256, Precision::F32).unwrap();
    let rounded = model.classify(&inputs, 256, Precision::Bf16).unwrap();
    let most = exact.iter().zip(&rounded).map(|(a, b)| greatest_difference(a, b)).fold(0.0, f32::max);
    assert!(most > 0.0 && most < 0.2, "{most}");
    assert!(model.classify(&[], 256, Precision::F32).unwrap().is_empty());
}

#[test]
fn inputs_the_model_cannot_read_are_refused() {
    let model = model(ModelKind::SequenceClassifier, 3);
    let good = EncoderInput { tokens: vec![1, 2], types: Vec::new() };
    let refusal = |tokens: Vec<u32>, types: Vec<u32>| {
        let bad = EncoderInput { tokens, types };
        model.classify(&[good.clone(), bad], 256, Precision::F32).unwrap_err()
    };
    assert!(matches!(refusal(vec![], vec![]), ComputeError::Empty { index: 1 }));
    assert!(matches!(refusal(vec![1; 129], vec![]), ComputeError::TooLong { length: 129, limit: 128 }));
    assert!(matches!(refusal(vec![50], vec![]), ComputeError::TokenOutOfRange { token: 50, vocab_size: 50 }));
    assert!(matches!(refusal(vec![1], vec![2]), ComputeError::TokenOutOfRange { token: 2, vocab_size: 2 }));
    assert!(matches!(refusal(vec![1, 2], vec![0]), ComputeError::Torch { doing: "the segments", .. }));
}

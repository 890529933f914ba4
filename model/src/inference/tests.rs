//! The forward of inference, with packed weights and with libtorch's, against the training forward of the same model, for every
//! family. The training forward is compared with `transformers` in `tests/reference`.

#[path = "../../tests/common/families.rs"]
mod families;

use families::{VOCABULARY, configs, model};

use super::*;
use crate::ModelKind;

const TOKENS: usize = 25;

/// Keeps keys and values of one sequence as tensors.
#[derive(Default)]
struct Kept {
    /// Per layer [tokens, heads, dim].
    keys: Vec<Tensor>,
    values: Vec<Tensor>,
}

impl Attend for Kept {
    fn attend(
        &mut self,
        layer: usize,
        rows: &Projected,
        spec: &galapagos_kernels::AttentionSpec,
    ) -> Result<Tensor, TchError> {
        for tensor in [&rows.query, &rows.key, &rows.value] {
            assert!(tensor.is_contiguous() && tensor.kind() == Kind::Float);
        }
        let keep = |kept: &mut Vec<Tensor>, new: &Tensor| match kept.get_mut(layer) {
            Some(old) => *old = Tensor::cat(&[&*old, new], 0),
            None => kept.push(new.copy()),
        };
        keep(&mut self.keys, &rows.key);
        keep(&mut self.values, &rows.value);
        let (count, heads, _) = rows.query.size3()?;
        let group = heads / self.keys[layer].size()[1];
        let wide = |kept: &Tensor| kept.repeat_interleave_self_int(group, 1, None).transpose(0, 1);
        let scores =
            rows.query.transpose(0, 1).matmul(&wide(&self.keys[layer]).transpose(1, 2)) * f64::from(spec.scale);
        let scores = match spec.soft_cap {
            Some(cap) => (scores / f64::from(cap)).tanh() * f64::from(cap),
            None => scores,
        };
        let all = self.keys[layer].size()[0];
        let distance = Tensor::arange_start(all - count, all, (Kind::Int64, Device::Cpu)).unsqueeze(1)
            - Tensor::arange(all, (Kind::Int64, Device::Cpu)).unsqueeze(0);
        let beyond = distance.ge(spec.window.map_or(i64::MAX, |window| window as i64));
        let hidden = distance.lt(0).logical_or(&beyond);
        let weights = scores.masked_fill(&hidden, f64::NEG_INFINITY).softmax(-1, Kind::Float);
        weights.matmul(&wide(&self.values[layer])).transpose(0, 1).f_contiguous()
    }
}

fn tokens() -> Vec<u32> {
    (0..TOKENS as u32).map(|i| (i * i * 7 + 3 * i + 1) % VOCABULARY as u32).collect()
}

/// The trunk of one sequence, run in three parts.
fn in_parts(model: &InferenceModel) -> Tensor {
    let (tokens, positions) = (tokens(), (0..TOKENS as u32).collect::<Vec<_>>());
    let mut kept = Kept::default();
    let parts = [0..9, 9..10, 10..TOKENS].map(|part| {
        let rows = Rows { tokens: &tokens[part.clone()], positions: &positions[part], ..Rows::default() };
        model.trunk(&rows, &mut kept).unwrap()
    });
    Tensor::cat(&parts, 0)
}

fn both_backings(model: &Decoder, precision: Precision) -> [InferenceModel; 2] {
    let copied = InferenceModel::holding(model, precision, Hold::Copied(precision.kind())).unwrap();
    [InferenceModel::new(model, precision, Arc::new(Pool::new(1))).unwrap(), copied]
}

fn trained(model: &Decoder, head: impl Fn(&Tensor, &Tensor) -> Tensor) -> Tensor {
    let tokens: Vec<i64> = tokens().into_iter().map(i64::from).collect();
    let hidden = model.hidden_states(&Tensor::from_slice(&tokens).unsqueeze(0), Precision::F32).unwrap();
    head(&hidden, &Tensor::arange(TOKENS as i64, (Kind::Int64, Device::Cpu)))
}

#[test]
fn logits_of_every_family_are_those_of_training() {
    let _no_gradients = tch::no_grad_guard();
    for config in configs() {
        let model = model(config);
        let expected = trained(&model, |hidden, rows| model.logits_at(hidden, rows, Precision::F32).unwrap());
        for inference in both_backings(&model, Precision::F32) {
            let found = inference.logits(&in_parts(&inference)).unwrap().unwrap();
            let difference = (&found - &expected).abs().max().double_value(&[]);
            assert!(difference <= 1e-4, "{:?}: logits differ by {difference}", inference.config());
        }
    }
}

#[test]
fn logits_in_bfloat16_are_close_in_divergence() {
    let _no_gradients = tch::no_grad_guard();
    for config in configs() {
        let model = model(ModelConfig { initializer_range: 0.1, ..config });
        let expected = trained(&model, |hidden, rows| model.logits_at(hidden, rows, Precision::F32).unwrap());
        let expected = expected.log_softmax(-1, Kind::Float);
        for inference in both_backings(&model, Precision::Bf16) {
            let found = inference.logits(&in_parts(&inference)).unwrap().unwrap().log_softmax(-1, Kind::Float);
            let divergence =
                (expected.exp() * (&expected - found)).sum_dim_intlist([-1i64].as_slice(), false, Kind::Float);
            let most = divergence.max().double_value(&[]);
            assert!(most <= 1e-3, "{:?}: the divergence is {most}", inference.config());
            assert!(most > 0.0, "nothing was rounded");
        }
    }
}

#[test]
fn labels_are_those_of_training() {
    let _no_gradients = tch::no_grad_guard();
    let labels = |count: usize| (0..count).map(|label| format!("label {label}")).collect::<Vec<_>>();
    let kinds = [(ModelKind::Scalar, 0), (ModelKind::SequenceClassifier, 3), (ModelKind::TokenClassifier, 2)];
    for (config, (kind, count)) in configs().into_iter().flat_map(|config| kinds.map(|kind| (config.clone(), kind))) {
        let model = model(config).with_head(kind, labels(count), 5).unwrap();
        let expected = trained(&model, |hidden, rows| model.labels_at(hidden, rows).unwrap());
        for inference in both_backings(&model, Precision::F32) {
            let found = inference.labels(&in_parts(&inference)).unwrap().unwrap();
            assert_eq!(found.size(), expected.size());
            let difference = (&found - &expected).abs().max().double_value(&[]);
            assert!(difference <= 1e-4, "{:?}: labels differ by {difference}", inference.config());
            assert!(inference.logits(&in_parts(&inference)).unwrap().is_none());
        }
    }
}

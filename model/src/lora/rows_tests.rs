//! Adapters in passes of inference and in the training forward, without attention between rows: a row's value is its own.

use std::sync::Arc;

use galapagos_kernels::{AttentionSpec, Pool};
use proptest::prelude::*;
use tch::{Device, Kind, TchError, Tensor};

use super::test_base::{base, trained};
use super::{Adapter, AdapterConfig, AdapterRange, AdapterRows, AppliedAdapter, ModuleNames, merge};
use crate::inference::{Attend, InferenceModel, Projected, Rows};
use crate::{Decoder, Precision};

/// Every row sees itself alone.
struct Alone;

impl Attend for Alone {
    fn attend(&mut self, _: usize, rows: &Projected, _: &AttentionSpec) -> Result<Tensor, TchError> {
        let (_, query_heads, _) = rows.query.size3()?;
        rows.value.f_repeat_interleave_self_int(query_heads / rows.value.size()[1], 1, None)
    }
}

fn model(precision: Precision, pool: &Arc<Pool>) -> InferenceModel {
    let decoder = Decoder::init(base(), 7, Device::Cpu).unwrap();
    InferenceModel::new(&decoder, precision, Arc::clone(pool)).unwrap()
}

/// Ranks 1 and 4 for q, v and down, and rank 6 for everything.
fn adapters() -> [Adapter; 3] {
    let some = || ModuleNames::List(vec!["q_proj".into(), "v_proj".into(), "down_proj".into()]);
    [(1, some()), (4, some()), (6, ModuleNames::AllLinear)]
        .map(|(rank, targets)| trained(AdapterConfig::new(rank, 8.0, targets), rank as u64))
}

fn tokens(rows: usize) -> Vec<u32> {
    (0..rows as u32).map(|row| (row * 7 + 3) % 20).collect()
}

/// The trunk's rows, as bits.
fn trunk(model: &InferenceModel, tokens: &[u32], ranges: &[AdapterRange<'_>]) -> Vec<Vec<u32>> {
    let positions = vec![0; tokens.len()];
    let rows = Rows { tokens, positions: &positions, adapters: AdapterRows(ranges), ..Rows::default() };
    let x = model.trunk(&rows, &mut Alone).unwrap();
    (0..tokens.len() as i64).map(|row| Vec::<f32>::try_from(x.get(row)).unwrap()).map(bits).collect()
}

fn bits(values: Vec<f32>) -> Vec<u32> {
    values.into_iter().map(f32::to_bits).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn a_row_depends_neither_on_other_rows_nor_on_other_adapters(
        sizes in prop::collection::vec((1usize..7, 0usize..4), 1..5),
        bf16 in any::<bool>(),
        threads in 1usize..3,
    ) {
        let _no_gradients = tch::no_grad_guard();
        let pool = Arc::new(Pool::new(threads));
        let model = model(if bf16 { Precision::Bf16 } else { Precision::F32 }, &pool);
        let adapters = adapters().map(|adapter| model.adapter(&adapter, &pool).unwrap());
        let (mut ranges, mut owners) = (Vec::new(), Vec::new());
        for (rows, adapter) in sizes {
            // 3 is the base.
            if let Some(adapter) = adapters.get(adapter) {
                ranges.push(AdapterRange { rows: owners.len()..owners.len() + rows, adapter });
            }
            owners.extend(std::iter::repeat_n(adapters.get(adapter), rows));
        }
        let tokens = tokens(owners.len());
        let together = trunk(&model, &tokens, &ranges);
        for (row, owner) in owners.into_iter().enumerate() {
            let own: Vec<_> = owner.into_iter().map(|adapter| AdapterRange { rows: 0..1, adapter }).collect();
            let alone = trunk(&model, &tokens[row..=row], &own);
            prop_assert_eq!(&together[row], &alone[0], "row {}", row);
        }
    }
}

#[test]
fn inference_training_and_merged_weights_agree() {
    let _no_gradients = tch::no_grad_guard();
    let decoder = Decoder::init(base(), 7, Device::Cpu).unwrap();
    let pool = Arc::new(Pool::new(1));
    let served = InferenceModel::new(&decoder, Precision::F32, Arc::clone(&pool)).unwrap();
    let tokens = tokens(9);
    let run = |model: &InferenceModel, ranges: &[AdapterRange<'_>]| {
        let rows = Rows { tokens: &tokens, positions: &[0; 9], adapters: AdapterRows(ranges), ..Rows::default() };
        model.trunk(&rows, &mut Alone).unwrap()
    };
    let plain = run(&served, &[]);
    for adapter in adapters() {
        let packed = served.adapter(&adapter, &pool).unwrap();
        let shared = AppliedAdapter::shared(&adapter, &base()).unwrap();
        let [packed, shared] = [&packed, &shared].map(|adapter| run(&served, &[AdapterRange { rows: 0..9, adapter }]));
        let merged = merge(&decoder, &adapter).unwrap().into_model();
        let merged = InferenceModel::new(&merged, Precision::F32, Arc::clone(&pool)).unwrap();
        let merged = run(&merged, &[]);
        let difference = |a: &Tensor, b: &Tensor| (a - b).abs().max().double_value(&[]);
        assert!(difference(&packed, &plain) > 1e-2, "the adapter changes something");
        assert!(difference(&packed, &merged) < 1e-5, "{}", difference(&packed, &merged));
        assert!(difference(&shared, &merged) < 1e-5, "{}", difference(&shared, &merged));
    }
}

#[test]
fn gradients_reach_the_adapter_alone() {
    let decoder = Decoder::init(base(), 7, Device::Cpu).unwrap();
    let [_, _, adapter] = adapters();
    adapter.parameters().set_trainable(true).unwrap();
    let tokens = Tensor::from_slice(&[1i64, 2, 3, 4]).reshape([1, 4]);
    let hidden = decoder.adapted_hidden_states(&adapter, &tokens, Precision::F32).unwrap();
    hidden.square().sum(Kind::Float).backward();
    for (name, tensor) in adapter.parameters().iter() {
        assert!(tensor.grad().abs().max().double_value(&[]) > 0.0, "{name}");
    }
    assert!(decoder.parameters().iter().all(|(_, tensor)| !tensor.requires_grad() && !tensor.grad().defined()));
}

#[test]
fn wrong_rows_are_refused() {
    let pool = Arc::new(Pool::new(1));
    let model = model(Precision::F32, &pool);
    let [first, ..] = adapters();
    let adapter = model.adapter(&first, &pool).unwrap();
    for ranges in [[0..1, 1..4], [0..2, 1..3], [2..3, 0..1]] {
        let ranges: Vec<_> = ranges.into_iter().map(|rows| AdapterRange { rows, adapter: &adapter }).collect();
        let rows = Rows { tokens: &[1, 2, 3], positions: &[0; 3], adapters: AdapterRows(&ranges), ..Rows::default() };
        let error = model.trunk(&rows, &mut Alone).unwrap_err();
        assert!(error.to_string().contains("of an adapter"), "{error}");
    }
}

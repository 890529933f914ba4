//! Orders, batches, micro-batches and shares: every record once a data epoch, the same for any world size, and any tail the same.

use galapagos_domain::recipe::train::{Dpo, DpoForm};
use proptest::prelude::*;

use super::*;
use crate::data::batch::{MicroBatch, micro_batches, parts, shares};

fn losses() -> impl Strategy<Value = Loss> {
    let dpo = Loss::Dpo(Dpo { beta: 0.1, form: DpoForm::Sigmoid, smoothing: 0.0 });
    let kto = Loss::Kto(galapagos_domain::recipe::train::Kto { beta: 0.1, desirable: 1.0, undesirable: 1.0 });
    proptest::sample::select(vec![Loss::Nll, dpo, kto])
}

/// Sequences of a micro-batch, cut out again.
fn cut(micro: &MicroBatch) -> Vec<Sequence> {
    let mut start = 0;
    let ranges: Vec<_> = micro.by_sequence().collect();
    let mut sequences = Vec::new();
    for (number, length) in micro.lengths.iter().enumerate() {
        let marks = micro.marks[ranges[number].clone()].iter();
        sequences.push(Sequence {
            tokens: micro.tokens[start..start + length].to_vec(),
            marks: marks.map(|mark| Mark { position: mark.position - start as u32, ..*mark }).collect(),
            weight: micro.sequence_weights[number],
            value: micro.sequence_values[number],
            sampled_by_start: micro.sampled_by_start[number],
        });
        start += length;
    }
    sequences
}

/// Text, as marks may hold NaN.
fn text(sequences: &[Sequence]) -> Vec<String> {
    let mut text: Vec<String> = sequences.iter().map(|sequence| format!("{sequence:?}")).collect();
    text.sort_unstable();
    text
}

proptest! {
    #[test]
    fn parts_hold_everything_in_order_and_enough_each(count in 0..40usize, size in 0..9usize, least in 0..5usize) {
        let items: Vec<usize> = (0..count).collect();
        let parts = parts(&items, size, least);
        prop_assert_eq!(&parts.concat(), &items);
        let most = size.max(least).max(1);
        let enough = |part: &&[usize]| part.len() >= least.min(count) && part.len() < most + least.max(1) && !part.is_empty();
        prop_assert!(parts.iter().all(enough), "{parts:?}");
        prop_assert!(parts.iter().rev().skip(1).all(|part| part.len() == most), "{parts:?}");
    }

    #[test]
    fn each_data_epoch_uses_each_record_once_and_any_tail_is_the_same(
        records in records(), batch in 1..7u32, pack in 1..4u32, data_epochs in 1..4u32, from in 0..40u64, seed: u64,
    ) {
        let train = Train { batch, pack, data_epochs, ..train(Loss::Nll) };
        let Ok(data) = Dataset::new(&records, &train, limits(), Seed(seed)) else { return Ok(()) };
        let all: Vec<Vec<Item>> = data.batches(0).collect();
        prop_assert_eq!(all.len() as u64, data.steps());
        prop_assert_eq!(data.steps(), data.steps_of_epoch() * u64::from(data_epochs));
        for epoch in all.chunks(data.steps_of_epoch() as usize) {
            let mut rows: Vec<u32> = epoch.iter().flatten().flat_map(|item| item.rows.clone()).collect();
            rows.sort_unstable();
            prop_assert_eq!(rows, data.rows());
            prop_assert!(epoch.iter().rev().skip(1).all(|one| one.len() == batch as usize));
        }
        let tail: Vec<Vec<Item>> = data.batches(from).collect();
        let skipped = all.get(from as usize..).unwrap_or_default();
        prop_assert_eq!(format!("{tail:?}"), format!("{skipped:?}"));
        let longest = all.iter().flatten().map(Item::longest).max();
        let (tokens, _) = batch::longest(&data.items, pack as usize);
        prop_assert!(longest.unwrap() <= tokens, "a sequence is longer than was checked");
    }

    #[test]
    fn micro_batches_are_the_batch_cut_up(records in records(), loss in losses(), size in 1..6usize) {
        let Ok(data) = Dataset::new(&records, &train(loss), limits(), Seed(5)) else { return Ok(()) };
        for batch in data.batches(0) {
            let micro = micro_batches(&batch, size, data.least());
            let wanted: Vec<Sequence> = batch.iter().flat_map(|item| item.sequences.clone()).collect();
            prop_assert_eq!(text(&micro.iter().flat_map(cut).collect::<Vec<_>>()), text(&wanted));
            let mut rows: Vec<u32> = micro.iter().flat_map(|micro| micro.rows.clone()).collect();
            let mut all: Vec<u32> = batch.iter().flat_map(|item| item.rows.clone()).collect();
            rows.sort_unstable();
            all.sort_unstable();
            prop_assert_eq!(rows, all);
            let share: f64 = micro.iter().map(|micro| micro.share).sum();
            prop_assert!(near(share, batch.iter().map(|item| item.share).sum()));
            // Pairs still join the same sequences.
            let told = |chosen: &Sequence, rejected: &Sequence, pair: &super::item::Pair| {
                format!("{:?} {:?} {} {}", chosen.tokens, rejected.tokens, pair.weight, pair.margin)
            };
            let mut found: Vec<String> = micro.iter().flat_map(|micro| {
                let cut = cut(micro);
                micro.pairs.iter().map(|pair| told(&cut[pair.chosen as usize], &cut[pair.rejected as usize], pair)).collect::<Vec<_>>()
            }).collect();
            let mut wanted: Vec<String> = batch.iter().flat_map(|item| item.pairs.iter().map(|pair| {
                told(&item.sequences[pair.chosen as usize], &item.sequences[pair.rejected as usize], pair)
            })).collect();
            found.sort_unstable();
            wanted.sort_unstable();
            prop_assert_eq!(found, wanted);
        }
    }

    #[test]
    fn padding_and_splitting_keep_every_mark_at_its_token(records in records(), size in 1..6usize) {
        let Ok(data) = Dataset::new(&records, &train(Loss::Nll), limits(), Seed(5)) else { return Ok(()) };
        for micro in data.batches(0).flat_map(|batch| micro_batches(&batch, size, 1)) {
            let (tokens, width, positions) = micro.padded();
            prop_assert_eq!(tokens.len(), width * micro.lengths.len());
            for (mark, at) in micro.marks.iter().zip(&positions) {
                prop_assert_eq!(tokens[*at as usize + 1], i64::from(mark.target));
                prop_assert_eq!(tokens[*at as usize], i64::from(micro.tokens[mark.position as usize]));
            }
            let sequences = cut(&micro);
            for rest in 0..2 {
                let wanted: Vec<Sequence> = sequences.iter().skip(rest).step_by(2).cloned().collect();
                prop_assert_eq!(format!("{:?}", cut(&micro.every_other(2, rest))), format!("{wanted:?}"));
            }
        }
    }

    #[test]
    fn ranks_share_the_same_micro_batches_evenly(records in records(), loss in losses(), world_size in 1..7u32, size in 1..4usize) {
        let Ok(data) = Dataset::new(&records, &train(loss), limits(), Seed(5)) else { return Ok(()) };
        for batch in data.batches(0) {
            let micro = micro_batches(&batch, size, data.least());
            let ranks = shares(&micro, world_size);
            prop_assert_eq!(ranks.len(), world_size as usize);
            let mut given = ranks.concat();
            given.sort_unstable();
            prop_assert_eq!(given, (0..micro.len()).collect::<Vec<_>>());
            let tokens: Vec<usize> = ranks.iter().map(|mine| mine.iter().map(|i| micro[*i].tokens.len()).sum()).collect();
            let largest = micro.iter().map(|micro| micro.tokens.len()).max().unwrap();
            prop_assert!(tokens.iter().max().unwrap() - tokens.iter().min().unwrap() <= largest, "{tokens:?}");
            prop_assert!(ranks.iter().all(|mine| mine.is_sorted()));
        }
    }
}

#[test]
fn the_order_follows_the_seed_and_differs_between_data_epochs() {
    let many: Vec<_> = (0..50).map(|n| record(n, &[], (2, 2))).collect();
    let order = |seed| {
        let data = Dataset::new(&many, &train(Loss::Nll), limits(), Seed(seed)).unwrap();
        data.batches(0).flatten().map(|item| item.rows[0]).collect::<Vec<_>>()
    };
    assert_eq!(order(1), order(1));
    assert_ne!(order(1), order(2));
    assert_ne!(order(1)[..50], order(1)[50..]);
}

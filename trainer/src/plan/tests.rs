//! The order of all steps of a round, with other data mixed in, against a slow count.

use galapagos_domain::recipe::train::{Loss, Train};
use galapagos_domain::seed::Seed;
use proptest::prelude::*;

use super::*;
use crate::data::tests::{limits, record, train};

fn data(records: u32, batch: u32, data_epochs: u32, seed: u64) -> Dataset {
    let records: Vec<_> = (0..records).map(|n| record(n, &[], (1 + n as usize % 3, 2))).collect();
    let train = Train { batch, data_epochs, ..train(Loss::Nll) };
    Dataset::new(&records, &train, limits(), Seed(seed)).unwrap()
}

fn told(batch: &Batch) -> String {
    let rows: Vec<_> = batch.items.iter().map(|item| item.rows.clone()).collect();
    format!("{} {:?} {rows:?}", batch.step, batch.source)
}

proptest! {
    #[test]
    fn a_batch_of_the_mix_comes_after_so_many_of_the_main_data(
        main in 1..12u32, other in 1..7u32, batch in 1..5u32, data_epochs in 1..4u32, every in 0..5u64, from in 0..30u64,
    ) {
        let of_main = data(main, batch, data_epochs, 1);
        let mix = (every > 0).then(|| Mixed { data: data(other, batch, data_epochs, 2), every });
        let rows = |batches: Vec<Vec<Item>>| -> Vec<Vec<Vec<u32>>> {
            batches.into_iter().map(|batch| batch.into_iter().map(|item| item.rows).collect()).collect()
        };
        let (each, of_main_rows) = (of_main.steps_of_epoch(), rows(of_main.batches(0).collect()));
        let of_mix_rows = mix.as_ref().map_or_else(Vec::new, |mix| rows(mix.data.batches(0).collect()));
        let mut wanted = Vec::new();
        let mut mixed = 0;
        for (number, rows) in of_main_rows.iter().enumerate() {
            let data_epoch = (number as u64 / each) as u32;
            wanted.push(format!("{} {:?} {rows:?}", wanted.len(), Source::Main { data_epoch }));
            if every > 0 && (number as u64 + 1).is_multiple_of(every) {
                let rows = &of_mix_rows[mixed % of_mix_rows.len()];
                wanted.push(format!("{} {:?} {rows:?}", wanted.len(), Source::Mix));
                mixed += 1;
            }
        }
        let plan = Plan { main: of_main, mix };
        prop_assert_eq!(plan.steps(), wanted.len() as u64);
        let found: Vec<String> = plan.batches(0).map(|batch| told(&batch)).collect();
        prop_assert_eq!(&found, &wanted);
        let tail: Vec<String> = plan.batches(from).map(|batch| told(&batch)).collect();
        prop_assert_eq!(&tail[..], wanted.get(from as usize..).unwrap_or_default());
    }
}

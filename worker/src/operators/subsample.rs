//! `subsample`: at most n records, drawn by seed without replacement; those drawn keep their order.

use galapagos_domain::seed::Seed;
use galapagos_domain::trajectory::Trajectory;
use rand::seq::SliceRandom;

pub(super) fn subsample(records: Vec<Trajectory>, n: u32, seed: Seed) -> Vec<Trajectory> {
    let chosen = choose(records.len(), n as usize, seed);
    records.into_iter().zip(chosen).filter_map(|(record, chosen)| chosen.then_some(record)).collect()
}

/// Which of `len` places are drawn when `n` are to be: `min(n, len)` times true.
pub(super) fn choose(len: usize, n: usize, seed: Seed) -> Vec<bool> {
    let mut chosen: Vec<bool> = (0..len).map(|place| place < n).collect();
    chosen.shuffle(&mut seed.stream());
    chosen
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::test_records::records;
    use super::*;

    proptest! {
        #[test]
        fn n_records_or_all_of_them_in_order(records in records(), n in 0..50u32, seed in any::<u64>()) {
            let drawn = subsample(records.clone(), n, Seed(seed));
            prop_assert_eq!(drawn.len(), records.len().min(n as usize));
            prop_assert!(drawn.iter().is_sorted_by_key(|record| record.sample));
        }
    }

    #[test]
    fn every_place_is_drawn_about_equally_often() {
        let mut hits = [0u32; 10];
        for seed in 0..2000 {
            for (place, chosen) in choose(10, 3, Seed(seed)).into_iter().enumerate() {
                hits[place] += u32::from(chosen);
            }
        }
        // 600 expected, standard deviation 20.5: five of them either way.
        assert!(hits.iter().all(|hits| (497..=703).contains(hits)), "{hits:?}");
    }
}

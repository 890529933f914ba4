//! Which rank keeps the optimiser's state of which weight (ZeRO stage 1, Rajbhandari et al., 2020), and how much memory
//! that state takes. Pure: every rank computes the same from the same sizes.

use std::num::NonZeroU32;

use super::rule::Rule;
use super::settings::Settings;

/// The owner rank of each weight, from the weights' sizes in elements.
///
/// Greedy, largest first, each to the rank with the least so far (Graham, 1969); equal sizes in the order given, equal
/// loads to the lowest rank. No rank's load is more than the mean load plus the largest size.
#[must_use]
pub fn partition(sizes: &[u64], world_size: NonZeroU32) -> Vec<u32> {
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|index| std::cmp::Reverse(sizes[*index]));
    let mut loads: Vec<(u128, u32)> = (0..world_size.get()).map(|rank| (0, rank)).collect();
    let mut owners = vec![0; sizes.len()];
    for index in order {
        if let Some(least) = loads.iter_mut().min() {
            least.0 += u128::from(sizes[index]);
            owners[index] = least.1;
        }
    }
    owners
}

/// Bytes of optimiser state that `weights` (names and shapes) take together: for each element, two f32 with AdamW, one
/// with momentum (SGD's, or Muon's on the matrices it moves), none with SGD without momentum.
#[must_use]
pub fn state_bytes<'a>(weights: impl IntoIterator<Item = (&'a str, &'a [i64])>, settings: &Settings) -> u64 {
    let bytes = |(name, shape): (&str, &[i64])| {
        let elements: u64 = shape.iter().map(|size| size.unsigned_abs()).product();
        let tensors = Rule::of(name, shape, settings).state_names().len() as u64;
        elements * tensors * size_of::<f32>() as u64
    };
    weights.into_iter().map(bytes).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::{Adamw, Muon, Sgd};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_weight_has_one_owner_and_loads_are_balanced(
            sizes in prop::collection::vec(0u64..1_000_000, 0..80),
            world in 1u32..12,
        ) {
            let world_size = NonZeroU32::new(world).unwrap();
            let owners = partition(&sizes, world_size);
            prop_assert_eq!(owners.len(), sizes.len());
            let mut loads = vec![0u64; world as usize];
            for (owner, size) in owners.iter().zip(&sizes) {
                prop_assert!(*owner < world);
                loads[*owner as usize] += size;
            }
            let total: u64 = sizes.iter().sum();
            let bound = total as f64 / f64::from(world) + sizes.iter().copied().max().unwrap_or(0) as f64;
            prop_assert!(loads.iter().all(|load| *load as f64 <= bound), "{:?} above {}", loads, bound);
            prop_assert_eq!(owners, partition(&sizes, world_size));
        }
    }

    #[test]
    fn ties_go_in_order_to_the_lowest_rank() {
        let world_size = NonZeroU32::new(2).unwrap();
        assert_eq!(partition(&[5, 5, 5, 9], world_size), [1, 1, 0, 0]);
        assert_eq!(partition(&[3, 3, 3, 3], world_size), [0, 1, 0, 1]);
        assert_eq!(partition(&[1, 2], NonZeroU32::new(5).unwrap()), [1, 0]);
    }

    #[test]
    fn the_formula_counts_elements_by_rule() {
        let weights: [(&str, &[i64]); 3] = [("embed_tokens.weight", &[10, 4]), ("up.weight", &[6, 4]), ("norm", &[4])];
        let bytes = |settings: Settings| state_bytes(weights, &settings);
        assert_eq!(bytes(Settings::Adamw(Adamw::new(0.0))), 8 * (40 + 24 + 4));
        assert_eq!(bytes(Settings::Muon(Muon::new(0.0))), 8 * 40 + 4 * 24 + 8 * 4);
        let sgd = |momentum| Settings::Sgd(Sgd { momentum, nesterov: false, weight_decay: 0.0 });
        assert_eq!((bytes(sgd(0.9)), bytes(sgd(0.0))), (4 * 68, 0));
    }
}

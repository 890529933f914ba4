//! Instances by number: each is a pure function of (space, seed, split, index), and splits are disjoint by canonical form as those of
//! task sets are. Unlike a task set, an instance is found without drawing those before it, so two indices of a small space may
//! hold the same instance.

use rand_chacha::ChaCha8Rng;

use super::split::Part;
use crate::recipe::tasks::Split;
use crate::seed::Seed;

/// Draws before a part counts as empty: with a tenth of the forms in the smallest part, missing it so often by chance is out of the
/// question.
const MOST_DRAWS: u64 = 2000;

/// No instance of the split came up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "none of {MOST_DRAWS} instances of {space} belongs to the {split} split: with this configuration there are too few different ones"
)]
pub struct NoInstance {
    /// The space.
    pub space: String,
    /// What was asked for.
    pub split: Split,
}

/// Instance number `index` of `split`: the first draw whose canonical form lies in the split's part of `space`.
///
/// # Errors
/// [`NoInstance`] where the space is so small that the part may be empty.
pub fn draw_instance<T>(
    space: &str,
    (split, index): (Split, u64),
    seed: Seed,
    draw: impl Fn(&mut ChaCha8Rng) -> T,
    canonical: impl Fn(&T) -> String,
) -> Result<T, NoInstance> {
    let seed = seed.derive(&format!("instances/{space}/{split}")).nth(index);
    let part = Part::of_split(split);
    let drawn = (0..MOST_DRAWS).map(|number| draw(&mut seed.nth(number).stream()));
    let found = drawn.into_iter().find(|instance| Part::of(space, &canonical(instance)) == part);
    found.ok_or_else(|| NoInstance { space: space.to_owned(), split })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::RngExt;

    use super::*;

    const SPLITS: [Split; 3] = [Split::Train, Split::Val, Split::Test];

    fn number(split: Split, index: u64, seed: u64, most: u32) -> Result<u32, NoInstance> {
        draw_instance("numbers", (split, index), Seed(seed), |rng| rng.random_range(0..most), u32::to_string)
    }

    proptest! {
        #[test]
        fn splits_share_no_form_whatever_the_seeds(a in 0u64.., b in 0u64.., i in 0u64..1000, j in 0u64..1000) {
            for (one, other) in [(0, 1), (0, 2), (1, 2)] {
                let one = number(SPLITS[one], i, a, 50).unwrap();
                prop_assert_ne!(one, number(SPLITS[other], j, b, 50).unwrap());
            }
            prop_assert_eq!(number(Split::Test, i, a, 1 << 30), number(Split::Test, i, a, 1 << 30));
            prop_assert_ne!(number(Split::Test, i, a, 1 << 30), number(Split::Test, i + 1, a, 1 << 30));
        }
    }

    #[test]
    fn an_empty_part_is_told() {
        let empty = SPLITS.into_iter().filter(|split| number(*split, 0, 1, 1).is_err()).count();
        assert_eq!(empty, 2, "one form lies in one part");
    }
}

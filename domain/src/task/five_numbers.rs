//! The largest or the smallest of five different numbers from 1 to 99.

use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::Draft;

/// Which of the five is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Largest,
    Smallest,
}

pub(super) fn draw(rng: &mut ChaCha8Rng, wanted: Wanted) -> Draft {
    let mut numbers = Vec::with_capacity(5);
    while numbers.len() < 5 {
        let number = rng.random_range(1..=99u32);
        if !numbers.contains(&number) {
            numbers.push(number);
        }
    }
    numbers.sort_unstable();
    let canonical = join(&numbers);
    let (word, answer) = match wanted {
        Wanted::Largest => ("Largest", numbers[4]),
        Wanted::Smallest => ("Smallest", numbers[0]),
    };
    numbers.shuffle(rng);
    Draft::question(&format!("{word} of {}", join(&numbers)), &answer.to_string(), canonical)
}

fn join(numbers: &[u32]) -> String {
    numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}

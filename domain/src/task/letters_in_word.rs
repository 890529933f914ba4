//! The number of letters in an English word.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::split::{Part, Space};
use super::{Draft, Family, words};

pub(super) fn draw(rng: &mut ChaCha8Rng) -> Draft {
    let words = words::all();
    let word = words[rng.random_range(0..words.len())];
    Draft::question(&format!("How many letters are in {word}?"), &word.len().to_string(), word.to_owned())
}

pub(super) fn space(family: Family, part: Part) -> Space {
    Space::count(family, part, words::all().iter().map(|word| ((*word).to_owned(), 1)))
}

//! The word that stands once among four, of which three are the same.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{Draft, words};

pub(super) fn draw(rng: &mut ChaCha8Rng) -> Draft {
    let words = words::all();
    let repeated = rng.random_range(0..words.len());
    // One of the other words: the draw skips the repeated one.
    let other = (repeated + rng.random_range(1..words.len())) % words.len();
    let mut listed = [words[repeated]; 4];
    listed[rng.random_range(0..4)] = words[other];
    let canonical = format!("{} {}", words[repeated], words[other]);
    Draft::question(&format!("Odd one out: {}", listed.join(" ")), words[other], canonical)
}

//! The first in the alphabet of four different letters.

use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::split::{Part, Space};
use super::{Draft, Family};

pub(super) fn draw(rng: &mut ChaCha8Rng) -> Draft {
    let mut letters = Vec::with_capacity(4);
    while letters.len() < 4 {
        let letter = char::from(b'a' + rng.random_range(0..26u8));
        if !letters.contains(&letter) {
            letters.push(letter);
        }
    }
    letters.sort_unstable();
    let canonical: String = letters.iter().collect();
    let answer = letters[0].to_string();
    letters.shuffle(rng);
    let listed = letters.iter().map(char::to_string).collect::<Vec<_>>().join(", ");
    Draft::question(&format!("First in the alphabet: {listed}"), &answer, canonical)
}

pub(super) fn space(family: Family, part: Part) -> Space {
    let orderings = 24;
    let letters = || b'a'..=b'z';
    let fours = letters().flat_map(move |a| {
        (a..=b'z').skip(1).flat_map(move |b| {
            (b..=b'z').skip(1).flat_map(move |c| {
                (c..=b'z').skip(1).map(move |d| ([a, b, c, d].map(char::from).iter().collect(), orderings))
            })
        })
    });
    Space::count(family, part, fours)
}

//! Common English words of three to nine letters, about as many of each length, so that no one length is a good guess.

use std::sync::LazyLock;

/// Letters of the longest word.
pub(super) const LONGEST: u32 = 9;

static WORDS: LazyLock<Vec<&'static str>> = LazyLock::new(|| include_str!("words.txt").lines().collect());

/// The words in alphabetical order.
pub(super) fn all() -> &'static [&'static str] {
    &WORDS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_sorted_unique_plain_and_of_balanced_length() {
        assert!(all().is_sorted_by(|a, b| a < b), "sorted and unique");
        assert!(all().iter().all(|w| w.chars().all(|c| c.is_ascii_lowercase())));
        for length in 3..=LONGEST as usize {
            let share = all().iter().filter(|w| w.len() == length).count();
            assert!((140..=190).contains(&share), "{share} words of {length} letters");
        }
        assert!(all().len() >= 900 && all().iter().all(|w| (3..=9).contains(&w.len())));
    }
}

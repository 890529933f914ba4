//! Leakage between two sets of texts: the same text in both, and texts that share most of their token n-grams. For any data set.
//!
//! The search is exact: no pair at or above the threshold is missed. It indexes the left set by prefixes (Chaudhuri et al. 2006;
//! Bayardo et al. 2007): sets of likeness t must share one of their |x| - ceil(t |x|) + 1 first elements in any common order; rare
//! n-grams come first, so few candidates remain, and each is compared in full. The right set is streamed. Pure and deterministic.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// What counts as near.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Tokens of an n-gram, at least 1. A text with fewer is one n-gram.
    pub tokens: usize,
    /// Least Jaccard likeness of two texts' sets of n-grams, above 0, at most 1.
    pub threshold: f64,
    /// Pairs that are listed; more are counted only.
    pub most_pairs: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { tokens: 3, threshold: 0.7, most_pairs: 1000 }
    }
}

/// Options that mean nothing.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("n-grams of {} tokens with threshold {}: `tokens` is 1 or more, `threshold` above 0 and at most 1", .0.tokens, .0.threshold)]
pub struct BadOptions(pub Options);

/// How two texts are alike.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The same tokens in the same order.
    Exact,
    /// So large a share of n-grams in common.
    Near(f64),
}

/// Two texts that are alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// Key in the left set: of exact copies the first, of near ones the most alike (the first of equals).
    pub left: String,
    /// Key in the right set.
    pub right: String,
    /// How.
    pub kind: Kind,
}

/// What a check found: at most one pair for each text of the right set.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Report {
    /// Texts of the left set.
    pub left: u64,
    /// Texts of the right set.
    pub right: u64,
    /// Right texts that are in the left set, too.
    pub exact: u64,
    /// Other right texts that are near one of the left set.
    pub near: u64,
    /// The pairs in the right set's order, as many as were asked for.
    pub pairs: Vec<Pair>,
}

impl Report {
    /// Whether nothing was found.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.exact == 0 && self.near == 0
    }
}

/// The left set, ready to be asked about texts.
#[derive(Debug)]
pub struct Index {
    options: Options,
    keys: Vec<String>,
    /// Sorted digests of n-grams, by item.
    grams: Vec<Box<[u64]>>,
    exact: HashMap<[u8; 16], u32>,
    frequency: HashMap<u64, u32>,
    /// Items whose prefix holds an n-gram.
    postings: HashMap<u64, Vec<u32>>,
}

impl Index {
    /// Indexes `(key, text)` items.
    ///
    /// # Errors
    /// [`BadOptions`].
    pub fn build(options: Options, items: impl IntoIterator<Item = (String, String)>) -> Result<Self, BadOptions> {
        if options.tokens == 0 || !(options.threshold > 0.0 && options.threshold <= 1.0) {
            return Err(BadOptions(options));
        }
        let (mut keys, mut grams, mut exact) = (Vec::new(), Vec::new(), HashMap::new());
        let mut frequency: HashMap<u64, u32> = HashMap::new();
        for (place, (key, text)) in (0u32..).zip(items) {
            let tokens = tokens(&text);
            let own = n_grams(&tokens, options.tokens);
            own.iter().for_each(|gram| *frequency.entry(*gram).or_default() += 1);
            exact.entry(whole(&tokens)).or_insert(place);
            keys.push(key);
            grams.push(own.into_boxed_slice());
        }
        let mut index = Self { options, keys, grams, exact, frequency, postings: HashMap::new() };
        for place in 0..index.grams.len() {
            for gram in index.prefix(&index.grams[place]) {
                index.postings.entry(gram).or_default().push(place as u32);
            }
        }
        Ok(index)
    }

    /// The item of the left set that `text` is a copy of or most like, if any is like enough.
    #[must_use]
    pub fn find(&self, text: &str) -> Option<(&str, Kind)> {
        let tokens = tokens(text);
        if let Some(place) = self.exact.get(&whole(&tokens)) {
            return Some((&self.keys[*place as usize], Kind::Exact));
        }
        let own = n_grams(&tokens, self.options.tokens);
        let postings = self.prefix(&own).into_iter().filter_map(|gram| self.postings.get(&gram));
        let mut candidates: Vec<u32> = postings.flatten().copied().collect();
        candidates.sort_unstable();
        candidates.dedup();
        let mut best: Option<(u32, f64)> = None;
        for place in candidates {
            let likeness = self.likeness(&own, &self.grams[place as usize]);
            if likeness >= self.options.threshold && best.is_none_or(|(_, found)| likeness > found) {
                best = Some((place, likeness));
            }
        }
        best.map(|(place, likeness)| (self.keys[place as usize].as_str(), Kind::Near(likeness)))
    }

    /// The n-grams that two alike texts must share one of, the rarest of the left set first.
    fn prefix(&self, grams: &[u64]) -> Vec<u64> {
        let mut ordered: Vec<(u32, u64)> =
            grams.iter().map(|gram| (self.frequency.get(gram).copied().unwrap_or(0), *gram)).collect();
        ordered.sort_unstable();
        // A little more than needed, never less, whatever the rounding of the product.
        let needed = (self.options.threshold * grams.len() as f64 - 1e-9).ceil().max(1.0) as usize;
        ordered.truncate((grams.len() + 1).saturating_sub(needed));
        ordered.into_iter().map(|(_, gram)| gram).collect()
    }

    fn likeness(&self, a: &[u64], b: &[u64]) -> f64 {
        let (short, long) = (a.len().min(b.len()), a.len().max(b.len()));
        if (short as f64) < self.options.threshold * long as f64 {
            return 0.0;
        }
        let (mut i, mut j, mut both) = (0, 0, 0usize);
        while i < a.len() && j < b.len() {
            match a[i].cmp(&b[j]) {
                std::cmp::Ordering::Less => i += 1,
                std::cmp::Ordering::Greater => j += 1,
                std::cmp::Ordering::Equal => (i, j, both) = (i + 1, j + 1, both + 1),
            }
        }
        both as f64 / (a.len() + b.len() - both) as f64
    }
}

/// Checks `(key, text)` items of the right set against the left.
///
/// # Errors
/// [`BadOptions`].
pub fn check(
    options: Options,
    left: impl IntoIterator<Item = (String, String)>,
    right: impl IntoIterator<Item = (String, String)>,
) -> Result<Report, BadOptions> {
    let index = Index::build(options, left)?;
    let mut report = Report { left: index.keys.len() as u64, ..Report::default() };
    for (key, text) in right {
        report.right += 1;
        let Some((left, kind)) = index.find(&text) else { continue };
        match kind {
            Kind::Exact => report.exact += 1,
            Kind::Near(_) => report.near += 1,
        }
        if report.pairs.len() < options.most_pairs {
            report.pairs.push(Pair { left: left.to_owned(), right: key, kind });
        }
    }
    Ok(report)
}

/// A text by its tokens alone: equal for two texts that this module calls exact copies.
#[must_use]
pub fn canonical(text: &str) -> String {
    tokens(text).join(" ")
}

/// Runs of letters and digits in lower case, and every other visible character by itself.
fn tokens(text: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut in_word = false;
    for character in text.chars() {
        let is_word = character.is_alphanumeric();
        match all.last_mut() {
            Some(last) if is_word && in_word => last.extend(character.to_lowercase()),
            _ if character.is_whitespace() => {}
            _ => all.push(character.to_lowercase().collect()),
        }
        in_word = is_word;
    }
    all
}

/// Sorted digests of the different n-grams; a short text is one, an empty text none.
fn n_grams(tokens: &[String], n: usize) -> Vec<u64> {
    if tokens.is_empty() {
        return Vec::new();
    }
    let mut all: Vec<u64> = tokens.windows(n.min(tokens.len())).map(|gram| first_eight(&digest(gram))).collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn whole(tokens: &[String]) -> [u8; 16] {
    let mut first = [0; 16];
    first.copy_from_slice(&digest(tokens)[..16]);
    first
}

fn first_eight(digest: &[u8; 32]) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    u64::from_le_bytes(first)
}

fn digest(tokens: &[String]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for token in tokens {
        hasher.update(token.as_bytes());
        hasher.update(&[0]);
    }
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::recipe::tasks::{Builtin, Split};
    use crate::seed::Seed;
    use crate::task::{Family, TaskSetData};

    fn items(texts: &[&str]) -> Vec<(String, String)> {
        texts.iter().enumerate().map(|(at, text)| (at.to_string(), (*text).to_owned())).collect()
    }

    fn pairs(options: Options, left: &[&str], right: &[&str]) -> Vec<(String, String, Kind)> {
        let report = check(options, items(left), items(right)).unwrap();
        report.pairs.into_iter().map(|pair| (pair.left, pair.right, pair.kind)).collect()
    }

    #[test]
    fn copies_and_near_copies_by_hand() {
        let left = ["The cat sat on the mat.", "12 + 30 * 4", "", "a b c d e f"];
        let right = ["the  CAT sat on the mat .", "12 + 31 * 4", "", "a b c d e g", "something else"];
        let found = pairs(Options { threshold: 0.6, ..Options::default() }, &left, &right);
        let pair = |left: &str, right: &str, kind| (left.to_owned(), right.to_owned(), kind);
        // Of abc bcd cde def and abc bcd cde deg three of five are common.
        let expected = [pair("0", "0", Kind::Exact), pair("2", "2", Kind::Exact), pair("3", "3", Kind::Near(0.6))];
        assert_eq!(found, expected);
        let loose = pairs(Options { tokens: 1, threshold: 0.6, ..Options::default() }, &left, &right);
        assert_eq!(loose[1], pair("1", "1", Kind::Near(4.0 / 6.0)));
    }

    #[test]
    fn pairs_are_counted_beyond_the_list() {
        let report =
            check(Options { most_pairs: 1, ..Options::default() }, items(&["a", "b"]), items(&["b", "a", "c"]))
                .unwrap();
        assert_eq!((report.left, report.right, report.exact, report.near, report.pairs.len()), (2, 3, 2, 0, 1));
        assert!(!report.is_clean());
        assert!(Index::build(Options { threshold: 1.5, ..Options::default() }, Vec::new()).is_err());
        assert!(Index::build(Options { tokens: 0, ..Options::default() }, Vec::new()).is_err());
    }

    #[test]
    fn no_family_has_a_copy_of_a_training_problem_in_another_split() {
        for family in Family::ALL.into_iter().filter(|family| !family.shares_problems()) {
            let source = Builtin { train: 60, val: 40, test: 40, ..Builtin::of(family) };
            let of = |split| {
                let data = TaskSetData::generate(&source, split, Seed(11)).unwrap();
                data.problems().iter().map(|p| (p.key.clone(), p.canonical.clone())).collect::<Vec<_>>()
            };
            for other in [Split::Val, Split::Test] {
                let report = check(Options::default(), of(Split::Train), of(other)).unwrap();
                assert_eq!(report.exact, 0, "{family} {:?}", report.pairs);
            }
            assert_eq!(check(Options::default(), of(Split::Test), of(Split::Test)).unwrap().exact, 40);
        }
    }

    fn texts() -> impl Strategy<Value = Vec<String>> {
        proptest::collection::vec("[abc](( [abc]){0,9})", 0..12)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

        #[test]
        fn the_index_finds_what_comparing_all_pairs_finds(
            left in texts(), right in texts(), tokens in 1usize..4, percent in 1u32..=100,
        ) {
            let options = Options { tokens, threshold: f64::from(percent) / 100.0, most_pairs: 100 };
            let index = Index::build(options, left.iter().enumerate().map(|(at, text)| (at.to_string(), text.clone()))).unwrap();
            let all = Index { options: Options { threshold: 0.0, ..options }, ..Index::build(options, Vec::new()).unwrap() };
            let grams = |text: &str| n_grams(&super::tokens(text), tokens);
            for text in &right {
                let best = left.iter().map(|other| all.likeness(&grams(text), &grams(other))).fold(0.0, f64::max);
                match index.find(text) {
                    Some((place, Kind::Exact)) => prop_assert_eq!(&left[place.parse::<usize>().unwrap()], text),
                    Some((_, Kind::Near(likeness))) => {
                        prop_assert_eq!(likeness, best);
                        prop_assert!(likeness >= options.threshold);
                    }
                    None => prop_assert!(best < options.threshold, "{} {}", text, best),
                }
            }
        }
    }
}

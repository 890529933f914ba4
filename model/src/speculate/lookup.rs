//! Drafts from the sequence itself: what followed the last time its last tokens stood there (prompt lookup).

use std::collections::HashMap;

use super::Drafter;

/// Tokens that have to match, at most.
const LONGEST: usize = 3;
/// Length of the first draft.
const FIRST: usize = 4;
/// Drafts left out in a row, at most, after drafts that were wrong from the start.
const MOST_SKIPPED: u32 = 16;

/// Finds the latest earlier place of the last 3, else 2, else 1 tokens and proposes what followed there.
///
/// Drafts grow while they are right and shrink to what was right; after drafts that were wrong from their first token, some
/// positions are left alone, twice as many each time.
#[derive(Clone, Debug)]
pub struct PromptLookup {
    /// Where what followed begins, by the tokens before it (fewer than `LONGEST` are filled up in front).
    follows: HashMap<[Option<u32>; LONGEST], usize>,
    /// How many tokens of the history are in `follows`.
    seen: usize,
    length: usize,
    wrong: u32,
    skip: u32,
}

impl Default for PromptLookup {
    fn default() -> Self {
        Self { follows: HashMap::new(), seen: 0, length: FIRST, wrong: 0, skip: 0 }
    }
}

impl Drafter for PromptLookup {
    fn draft(&mut self, history: &[u32], most: usize) -> Vec<u32> {
        self.index(history);
        if self.skip > 0 {
            self.skip -= 1;
            return Vec::new();
        }
        let found = (1..=LONGEST.min(history.len())).rev().find_map(|count| self.follows.get(&key(history, count)));
        let Some(start) = found.copied() else { return Vec::new() };
        history[start..].iter().copied().take(self.length.min(most)).collect()
    }

    fn checked(&mut self, drafted: usize, accepted: usize) {
        match (drafted, accepted) {
            (0, _) => {}
            (_, 0) => {
                self.wrong += 1;
                self.skip = (1 << self.wrong.min(MOST_SKIPPED.ilog2())) - 1;
                self.length = 1;
            }
            (drafted, accepted) => {
                self.wrong = 0;
                self.length = if accepted == drafted { self.length.max(drafted) * 2 } else { accepted };
            }
        }
    }
}

impl PromptLookup {
    /// Adds what is new in `history`. A place is known once something follows it.
    fn index(&mut self, history: &[u32]) {
        if history.len() < self.seen {
            *self = Self::default();
        }
        for end in self.seen.max(1)..history.len() {
            for count in 1..=LONGEST.min(end) {
                self.follows.insert(key(&history[..end], count), end);
            }
        }
        self.seen = history.len();
    }
}

fn key(history: &[u32], count: usize) -> [Option<u32>; LONGEST] {
    let mut key = [None; LONGEST];
    for (place, token) in key.iter_mut().rev().zip(history.iter().rev().take(count)) {
        *place = Some(*token);
    }
    key
}

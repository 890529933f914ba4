//! What a loss is computed on: sequences with marks, and what must stay together. The same types for every loss; which of
//! their numbers mean what is said by the file of `data` that fills them.

/// One thing to be predicted or judged: what the model says at `position` against the rest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mark {
    /// Index of the hidden state in its sequence.
    pub position: u32,
    /// A token, a class or an action.
    pub target: u32,
    /// A label, an advantage, a reward or a return.
    pub value: f32,
    /// How much the mark counts in the sum that is the loss; 0 for what is only looked at.
    pub weight: f32,
    /// Log-probability of `target` under the policy that made it; NaN where none is known.
    pub behaviour: f32,
    /// A second number of losses that need one: the return of an action.
    pub extra: f32,
    /// Whether it stands in the first part of its record that is learned from.
    pub first_turn: bool,
}

impl Mark {
    /// A mark that counts `weight`, with nothing else said.
    #[must_use]
    pub fn new(position: usize, target: u32, weight: f32) -> Self {
        Self {
            position: position as u32,
            target,
            value: 0.0,
            weight,
            behaviour: f32::NAN,
            extra: 0.0,
            first_turn: false,
        }
    }
}

/// Tokens that see one another.
#[derive(Debug, Clone, PartialEq)]
pub struct Sequence {
    pub tokens: Vec<u32>,
    /// In order of position, at least one.
    pub marks: Vec<Mark>,
    /// How much it counts, for losses of whole sequences.
    pub weight: f32,
    /// A label or advantage of the whole.
    pub value: f32,
    /// Whether the round's start made it, so that its recorded log-probabilities are those of the engine for the start's weights.
    pub sampled_by_start: bool,
}

/// A preference between two sequences of an item.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    pub chosen: u32,
    pub rejected: u32,
    pub weight: f32,
    /// By how much the chosen one's reward is above the other's.
    pub margin: f32,
}

/// What is learned from together, and never split: a record, records packed behind one prefix, or the sides of preferences.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// The ledger's names of its records.
    pub rows: Vec<u32>,
    pub sequences: Vec<Sequence>,
    pub pairs: Vec<Pair>,
    /// Its part of what a batch's loss is divided by.
    pub share: f64,
    /// Tokens of the first sequence that are a prefix which items may share.
    pub prefix: usize,
}

impl Item {
    /// An item of one record.
    #[must_use]
    pub fn of(row: u32, prefix: usize, sequence: Sequence, share: f64) -> Self {
        Self { rows: vec![row], sequences: vec![sequence], pairs: Vec::new(), share, prefix }
    }

    /// Tokens of all sequences.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.sequences.iter().map(|sequence| sequence.tokens.len()).sum()
    }

    /// Tokens of the longest sequence.
    #[must_use]
    pub fn longest(&self) -> usize {
        self.sequences.iter().map(|sequence| sequence.tokens.len()).max().unwrap_or(0)
    }

    /// The tokens of the shared prefix.
    #[must_use]
    pub fn shared(&self) -> &[u32] {
        self.sequences.first().map_or(&[], |sequence| &sequence.tokens[..self.prefix])
    }
}

/// Items of one sequence each with one prefix as one item: the prefix, then each body, which sees the earlier ones.
#[must_use]
pub fn join(items: Vec<Item>) -> Option<Item> {
    let mut items = items.into_iter();
    let mut joined = items.next()?;
    for item in items {
        let (Some(into), Some(from)) = (joined.sequences.first_mut(), item.sequences.into_iter().next()) else {
            continue;
        };
        let shift = (into.tokens.len() - item.prefix) as u32;
        into.tokens.extend(&from.tokens[item.prefix..]);
        into.marks.extend(from.marks.into_iter().map(|mark| Mark { position: mark.position + shift, ..mark }));
        into.sampled_by_start = false;
        joined.rows.extend(item.rows);
        joined.share += item.share;
    }
    Some(joined)
}

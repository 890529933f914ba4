//! Prompts of an exact number of tokens, each of its own from the first words on: short questions in plain English, so that a
//! language model continues them as it would a user's.

use galapagos_domain::seed::Seed;
use rand::Rng;

const NAMES: [&str; 8] = ["anna", "ben", "carla", "david", "emma", "felix", "grace", "henry"];
const THINGS: [&str; 8] = ["apples", "books", "coins", "stamps", "shells", "pencils", "marbles", "cards"];

/// Text of numbered questions as tokens.
#[derive(Debug, Clone)]
pub struct Prompts {
    /// Tokens of each variant of a question, in the order of [`question`].
    questions: Vec<Vec<u32>>,
    digits: Vec<Vec<u32>>,
}

impl Prompts {
    /// `encode` is the model's tokenizer.
    ///
    /// # Errors
    /// The tokenizer's, and none other.
    pub fn new<E>(encode: impl Fn(&str) -> Result<Vec<u32>, E>) -> Result<Self, E> {
        let texts = NAMES.iter().flat_map(|name| THINGS.iter().map(|thing| question(name, thing)));
        let questions = texts.map(|text| encode(&text)).collect::<Result<_, E>>()?;
        let digits = (0..10).map(|digit: u32| encode(&digit.to_string())).collect::<Result<_, E>>()?;
        Ok(Self { questions, digits })
    }

    /// `count` prompts of `length` tokens for the key `key`; other keys and places give other beginnings.
    #[must_use]
    pub fn take(&self, key: u64, count: usize, length: usize) -> Vec<Vec<u32>> {
        let mut stream = Seed(key).stream();
        let mut below = |count: usize| (stream.next_u64() % count as u64) as usize;
        let mut one = || {
            let mut tokens = Vec::with_capacity(length + 64);
            while tokens.len() < length {
                for _ in 0..8 {
                    tokens.extend_from_slice(&self.digits[below(10)]);
                }
                tokens.extend_from_slice(&self.questions[below(self.questions.len())]);
            }
            tokens.truncate(length);
            tokens
        };
        (0..count).map(|_| one()).collect()
    }
}

fn question(name: &str, thing: &str) -> String {
    format!(" is the number of {thing} that {name} has. {name} gives some of them away and counts the rest. ")
}

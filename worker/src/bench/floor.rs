//! The least time a row can take on this machine: the bytes it must read and the operations it must do, at the speed of the
//! memory and of a large matrix product. Every shared token is computed and read once. It leaves out norms, activations,
//! sampling, LoRA factors and writing; a pass is bound by the slower of its two counts.

use galapagos_model::{ModelConfig, Parameters};
use serde::Serialize;

use super::rows::{Generate, Work};
use super::tree::Tree;

/// What the machine can do, measured by `probe`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Speed {
    pub bytes_per_second: f64,
    /// A multiplication and an addition are two operations.
    pub operations_per_second: f64,
}

/// A model's size as the counts need it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Size {
    /// Weights of all layers' matrices.
    layers: f64,
    /// Weights of the output head.
    head: f64,
    /// Key and value numbers of one token, all layers.
    kv: f64,
    /// Query numbers of one token, all layers.
    query: f64,
    /// Bytes of one number of weights and cache.
    bytes: f64,
}

impl Size {
    /// Counts the matrices among `parameters`; those with a row per token of the vocabulary are the embedding and the head.
    #[must_use]
    pub fn of(config: &ModelConfig, parameters: &Parameters, bytes_per_number: usize) -> Self {
        let layers = config.num_hidden_layers as f64;
        let vocabulary = config.vocab_size as i64;
        let matrix = |shape: Vec<i64>| match shape[..] {
            [rows, columns] if rows != vocabulary => (rows * columns) as f64,
            _ => 0.0,
        };
        Self {
            layers: parameters.iter().map(|(_, tensor)| matrix(tensor.size())).sum(),
            head: (config.hidden_size * config.vocab_size) as f64,
            kv: layers * 2.0 * (config.num_key_value_heads * config.head_dim) as f64,
            query: layers * (config.num_attention_heads * config.head_dim) as f64,
            bytes: bytes_per_number as f64,
        }
    }

    /// Bytes of the keys and values of one token.
    #[must_use]
    pub fn kv_bytes(&self) -> f64 {
        self.kv * self.bytes
    }
}

/// The least time of a work, and what bounds it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Floor {
    pub seconds: f64,
    pub gigabytes: f64,
    pub gigaoperations: f64,
    /// The part of `seconds` spent in passes that memory bounds.
    pub memory_share: f64,
}

impl Floor {
    /// What bounds most of the time.
    #[must_use]
    pub fn bound(&self) -> &'static str {
        if self.memory_share > 0.5 { "memory" } else { "arithmetic" }
    }
}

/// One forward pass over some rows (tokens).
#[derive(Debug, Clone, Copy, Default)]
struct Pass {
    rows: f64,
    /// Rows whose next token is asked for.
    heads: f64,
    /// Distinct tokens whose keys and values are read.
    context: f64,
    /// Pairs of a row and a token it looks at.
    pairs: f64,
}

/// The floor of `work` for a model of that size on a machine of that speed.
#[must_use]
pub fn floor(work: &Work, size: &Size, speed: &Speed) -> Floor {
    let passes = match work {
        Work::Generate(requests) | Work::Adapters { requests, .. } => generate(requests),
        Work::Tree(tree) => grow(tree),
        Work::Score { prompt, continuations } => score(prompt.len(), continuations),
    };
    let mut floor = Floor { seconds: 0.0, gigabytes: 0.0, gigaoperations: 0.0, memory_share: 0.0 };
    let mut memory_seconds = 0.0;
    for pass in passes {
        let head = if pass.heads > 0.0 { size.head } else { 0.0 };
        let bytes = (size.layers + head + pass.context * size.kv) * size.bytes;
        let products = pass.rows * size.layers + pass.heads * size.head;
        // A pair is one dot product with a key and one weighted value, per query number.
        let operations = 2.0 * products + 4.0 * pass.pairs * size.query;
        let (memory, arithmetic) = (bytes / speed.bytes_per_second, operations / speed.operations_per_second);
        floor.seconds += memory.max(arithmetic);
        floor.gigabytes += bytes / 1e9;
        floor.gigaoperations += operations / 1e9;
        if memory > arithmetic {
            memory_seconds += memory;
        }
    }
    if floor.seconds > 0.0 {
        floor.memory_share = memory_seconds / floor.seconds;
    }
    floor
}

/// Pairs of `rows` consecutive tokens that begin behind `before` others, each looking at itself and all before it.
fn triangle(before: usize, rows: usize) -> f64 {
    let (before, rows) = (before as f64, rows as f64);
    before * rows + rows * (rows + 1.0) / 2.0
}

fn prefill(prompts: &[Vec<u32>]) -> Pass {
    let tokens: usize = prompts.iter().map(Vec::len).sum();
    Pass {
        rows: tokens as f64,
        heads: prompts.len() as f64,
        context: tokens as f64,
        pairs: prompts.iter().map(|prompt| triangle(0, prompt.len())).sum(),
    }
}

fn generate(requests: &Generate) -> Vec<Pass> {
    let prompts: usize = requests.prompts.iter().map(Vec::len).sum();
    let rows = requests.prompts.len() * requests.samples;
    // The last token is made from the pass over the one before it.
    let steps = (1..requests.new_tokens).map(|made| Pass {
        rows: rows as f64,
        heads: rows as f64,
        context: (prompts + rows * made) as f64,
        pairs: (prompts * requests.samples + rows * made) as f64,
    });
    std::iter::once(prefill(&requests.prompts)).chain(steps).collect()
}

fn grow(tree: &Tree) -> Vec<Pass> {
    let mut passes = vec![prefill(&tree.prompts)];
    let mut ends: Vec<usize> = Vec::new();
    for round in &tree.rounds {
        let begins: Vec<usize> = round
            .iter()
            .map(|expansion| expansion.parent.map_or(tree.prompts[expansion.problem].len(), |parent| ends[parent]))
            .collect();
        let shared = tree.distinct_context(round);
        let longest = round.iter().map(|expansion| expansion.new_tokens).max().unwrap_or(0);
        for made in 0..longest {
            let active = || round.iter().zip(&begins).filter(move |(expansion, _)| expansion.new_tokens > made);
            let rows = active().count();
            passes.push(Pass {
                rows: rows as f64,
                heads: rows as f64,
                context: (shared + rows * made) as f64,
                pairs: active().map(|(_, begin)| (begin + made) as f64).sum(),
            });
        }
        ends.extend(round.iter().zip(&begins).map(|(expansion, begin)| begin + expansion.new_tokens));
    }
    passes
}

fn score(prompt: usize, continuations: &[Vec<u32>]) -> Vec<Pass> {
    // A continuation's last token is judged, not computed.
    let rows = |continuation: &Vec<u32>| continuation.len().saturating_sub(1);
    let tail: usize = continuations.iter().map(rows).sum();
    let pairs: f64 = continuations.iter().map(|continuation| triangle(prompt, rows(continuation))).sum();
    vec![Pass {
        rows: (prompt + tail) as f64,
        heads: continuations.iter().map(Vec::len).sum::<usize>() as f64,
        context: (prompt + tail) as f64,
        pairs: triangle(0, prompt) + pairs,
    }]
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { layers: 1000.0, head: 100.0, kv: 4.0, query: 3.0, bytes: 2.0 };

    fn requests(prompts: usize, length: usize, samples: usize, new_tokens: usize) -> Work {
        Work::Generate(Generate { prompts: vec![vec![0; length]; prompts], samples, new_tokens, temperature: 0.0 })
    }

    fn counts(work: &Work) -> (f64, f64) {
        // One byte and one operation a second: the counts themselves.
        let floor = floor(work, &SIZE, &Speed { bytes_per_second: 1.0, operations_per_second: 1.0 });
        ((floor.gigabytes * 1e9).round(), (floor.gigaoperations * 1e9).round())
    }

    #[test]
    fn one_prompt_and_two_tokens_are_a_prefill_and_a_step() {
        let (bytes, operations) = counts(&requests(1, 10, 1, 2));
        assert_eq!(bytes, 2.0 * (1000.0 + 100.0 + 10.0 * 4.0) + 2.0 * (1000.0 + 100.0 + 11.0 * 4.0));
        let prefill = 2.0 * (10.0 * 1000.0 + 100.0) + 4.0 * 55.0 * 3.0;
        let step = 2.0 * (1000.0 + 100.0) + 4.0 * 11.0 * 3.0;
        assert_eq!(operations, prefill + step);
    }

    #[test]
    fn samples_share_the_prompt_and_its_reading_but_not_its_dot_products() {
        let (one, one_operations) = counts(&requests(1, 100, 1, 2));
        let (eight, eight_operations) = counts(&requests(1, 100, 8, 2));
        assert_eq!(eight - one, 2.0 * 7.0 * 4.0, "only each sample's own token is read besides");
        assert_eq!(eight_operations - one_operations, 7.0 * (2.0 * 1100.0 + 4.0 * 101.0 * 3.0));
    }

    #[test]
    fn memory_bounds_one_row_and_arithmetic_many() {
        let speed = Speed { bytes_per_second: 10.0, operations_per_second: 100.0 };
        assert_eq!(floor(&requests(1, 1, 1, 50), &SIZE, &speed).bound(), "memory");
        assert_eq!(floor(&requests(100, 1, 1, 5), &SIZE, &speed).bound(), "arithmetic");
    }

    #[test]
    fn scoring_computes_the_prompt_once_and_no_last_token() {
        let work = Work::Score { prompt: vec![0; 10], continuations: vec![vec![0; 3]; 2] };
        let (bytes, operations) = counts(&work);
        assert_eq!(bytes, 2.0 * (1100.0 + 14.0 * 4.0));
        let pairs = 55.0 + 2.0 * (2.0 * 10.0 + 3.0);
        assert_eq!(operations, 2.0 * (14.0 * 1000.0 + 6.0 * 100.0) + 4.0 * pairs * 3.0);
    }

    #[test]
    fn a_tree_of_one_node_is_a_request() {
        let node = super::super::tree::Expansion { problem: 0, parent: None, new_tokens: 1 };
        let tree = Work::Tree(Tree { prompts: vec![vec![0; 10]], rounds: vec![vec![node]] });
        let (bytes, _) = counts(&tree);
        assert_eq!(bytes, 2.0 * (2.0 * 1100.0 + 20.0 * 4.0));
    }
}

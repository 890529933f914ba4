//! The rows of the engine benchmark: what each computes, what stands on the other side, and the ratio that is wanted.

use clap::ValueEnum;
use serde::Serialize;

use super::options::Against;
use super::prompts::Prompts;
use super::tree::{Tree, TreeShape};

/// A row by the name that `--only` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RowName {
    /// One request, 64 + 128 tokens
    #[value(name = "decode-1")]
    #[serde(rename = "decode-1")]
    Decode1,
    /// 32 requests, 64 + 128 tokens each
    #[value(name = "decode-32")]
    #[serde(rename = "decode-32")]
    Decode32,
    /// 8 samples of a prompt of 512 tokens, 128 new
    #[value(name = "samples-512")]
    #[serde(rename = "samples-512")]
    Samples512,
    /// 8 samples of a prompt of 2,048 tokens, 64 new
    #[value(name = "samples-2048")]
    #[serde(rename = "samples-2048")]
    Samples2048,
    /// 16 problems of 300 tokens, 48 expansions each, depth 8
    Tree,
    /// 16 LoRA adapters with 2 requests each, 64 + 64 tokens
    Lora,
    /// Log-probabilities of 8 continuations of 32 tokens of a prompt of 512
    Score,
}

/// Lengths as the row says, or sixteenths of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    Full,
    Quick,
}

impl Scale {
    fn tokens(self, full: usize) -> usize {
        match self {
            Self::Full => full,
            Self::Quick => (full / 16).max(2),
        }
    }

    fn count(self, full: usize) -> usize {
        match self {
            Self::Full => full,
            Self::Quick => full.div_ceil(4),
        }
    }
}

/// Adapters of `lora`.
pub const ADAPTERS: usize = 16;

/// What stands on the other side of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rival {
    /// The peer's process.
    Peer,
    /// This engine, every prompt computed anew.
    SharingOff,
    /// This engine, the requests of one adapter after those of another.
    OneAdapterAtATime,
}

/// What is computed once by each side.
#[derive(Debug, Clone, PartialEq)]
pub enum Work {
    Generate(Generate),
    Tree(Tree),
    /// Request i is for adapter `i / per_adapter`.
    Adapters {
        adapters: usize,
        per_adapter: usize,
        requests: Generate,
    },
    Score {
        prompt: Vec<u32>,
        continuations: Vec<Vec<u32>>,
    },
}

/// `samples` completions of exactly `new_tokens` tokens of each prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct Generate {
    pub prompts: Vec<Vec<u32>>,
    pub samples: usize,
    pub new_tokens: usize,
    /// 0 is greedy.
    pub temperature: f64,
}

impl Work {
    /// Tokens that count: new ones, or scored ones.
    #[must_use]
    pub fn tokens(&self) -> usize {
        match self {
            Self::Generate(requests) | Self::Adapters { requests, .. } => {
                requests.prompts.len() * requests.samples * requests.new_tokens
            }
            Self::Tree(tree) => tree.expansions().map(|expansion| expansion.new_tokens).sum(),
            Self::Score { continuations, .. } => continuations.iter().map(Vec::len).sum(),
        }
    }

    /// Positions of the longest sequence.
    #[must_use]
    pub fn longest(&self) -> usize {
        match self {
            Self::Generate(requests) | Self::Adapters { requests, .. } => {
                requests.prompts.iter().map(Vec::len).max().unwrap_or(0) + requests.new_tokens
            }
            Self::Tree(tree) => tree.longest(),
            Self::Score { prompt, continuations } => {
                prompt.len() + continuations.iter().map(Vec::len).max().unwrap_or(0)
            }
        }
    }
}

impl RowName {
    /// All rows in order.
    pub const ALL: [Self; 7] =
        [Self::Decode1, Self::Decode32, Self::Samples512, Self::Samples2048, Self::Tree, Self::Lora, Self::Score];

    /// The name as `--only` takes it and JSON says it.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Decode1 => "decode-1",
            Self::Decode32 => "decode-32",
            Self::Samples512 => "samples-512",
            Self::Samples2048 => "samples-2048",
            Self::Tree => "tree",
            Self::Lora => "lora",
            Self::Score => "score",
        }
    }

    /// The other side of this row; `None` where there is nothing to compare with.
    #[must_use]
    pub fn rival(self, against: Against) -> Option<Rival> {
        match (self, against) {
            (Self::Decode1 | Self::Decode32 | Self::Samples512 | Self::Samples2048, Against::Hf | Against::Vllm)
            | (Self::Tree, Against::Vllm)
            | (Self::Score, Against::Hf) => Some(Rival::Peer),
            (Self::Tree, Against::Hf)
            | (Self::Samples512 | Self::Samples2048 | Self::Tree | Self::Score, Against::Itself) => {
                Some(Rival::SharingOff)
            }
            (Self::Lora, Against::Hf | Against::Itself) => Some(Rival::OneAdapterAtATime),
            (Self::Decode1 | Self::Decode32, Against::Itself) | (Self::Lora | Self::Score, Against::Vllm) => None,
        }
    }

    /// The least ratio that is wanted; `None` where none was set.
    #[must_use]
    pub fn target(self, against: Against) -> Option<f64> {
        match (self, against) {
            (Self::Decode1, Against::Hf) => Some(1.5),
            (Self::Decode32, Against::Hf) => Some(2.5),
            (Self::Samples512, Against::Hf) | (Self::Lora, Against::Hf | Against::Itself) => Some(3.0),
            (Self::Samples2048, Against::Hf) => Some(5.0),
            (Self::Tree, Against::Hf | Against::Itself) | (Self::Score, Against::Hf) => Some(4.0),
            (Self::Decode32 | Self::Tree, Against::Vllm) => Some(1.2),
            (Self::Samples512 | Self::Samples2048, Against::Vllm) => Some(1.0),
            (Self::Decode1 | Self::Lora | Self::Score, Against::Vllm)
            | (Self::Decode1 | Self::Decode32 | Self::Samples512 | Self::Samples2048 | Self::Score, Against::Itself) => {
                None
            }
        }
    }

    /// The work of one run. Other runs have other prompts, so that no cache knows them.
    #[must_use]
    pub fn work(self, scale: Scale, prompts: &Prompts, run: u64) -> Work {
        let texts = |count, length| prompts.take((self as u64) << 32 | run, count, scale.tokens(length));
        let generate = |prompts, samples, new_tokens, temperature| Generate {
            prompts,
            samples,
            new_tokens: scale.tokens(new_tokens),
            temperature,
        };
        match self {
            Self::Decode1 => Work::Generate(generate(texts(1, 64), 1, 128, 0.0)),
            Self::Decode32 => Work::Generate(generate(texts(scale.count(32), 64), 1, 128, 0.0)),
            Self::Samples512 => Work::Generate(generate(texts(1, 512), scale.count(8), 128, 1.0)),
            Self::Samples2048 => Work::Generate(generate(texts(1, 2048), scale.count(8), 64, 1.0)),
            Self::Tree => {
                let shape = TreeShape {
                    expansions: scale.count(48),
                    at_a_time: 4,
                    depth: 8,
                    new_tokens: (scale.tokens(16), scale.tokens(24)),
                };
                Work::Tree(Tree::grow(texts(scale.count(16), 300), &shape, run))
            }
            Self::Lora => {
                let (adapters, per_adapter) = (scale.count(ADAPTERS), 2);
                let requests = generate(texts(adapters * per_adapter, 64), 1, 64, 0.0);
                Work::Adapters { adapters, per_adapter, requests }
            }
            Self::Score => {
                let mut texts = texts(1 + scale.count(8), 512);
                let prompt = texts.swap_remove(0);
                texts.iter_mut().for_each(|text| text.truncate(scale.tokens(32)));
                Work::Score { prompt, continuations: texts }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompts() -> Prompts {
        Prompts::new(|text| Ok::<_, String>(text.bytes().map(u32::from).collect())).unwrap()
    }

    #[test]
    fn the_rows_have_the_sizes_that_their_names_say() {
        let tokens = |row: RowName| row.work(Scale::Full, &prompts(), 1).tokens();
        assert_eq!(tokens(RowName::Decode1), 128);
        assert_eq!(tokens(RowName::Decode32), 32 * 128);
        assert_eq!(tokens(RowName::Samples512), 8 * 128);
        assert_eq!(tokens(RowName::Samples2048), 8 * 64);
        assert_eq!(tokens(RowName::Lora), 32 * 64);
        assert_eq!(tokens(RowName::Score), 8 * 32);
        let tree = tokens(RowName::Tree);
        assert!((16 * 48 * 16..=16 * 48 * 24).contains(&tree), "{tree}");
    }

    #[test]
    fn no_two_runs_have_a_prompt_in_common_and_none_begins_like_another() {
        let prompts = prompts();
        let mut first = std::collections::BTreeSet::new();
        for run in 0..3 {
            let Work::Generate(work) = RowName::Decode32.work(Scale::Full, &prompts, run) else { panic!() };
            assert!(work.prompts.iter().all(|prompt| prompt.len() == 64));
            assert!(work.prompts.iter().all(|prompt| first.insert(prompt[..16].to_vec())), "run {run}");
        }
    }

    #[test]
    fn every_row_has_another_side_in_the_comparison_that_its_target_names() {
        for row in RowName::ALL {
            for against in [Against::Hf, Against::Vllm, Against::Itself] {
                assert!(row.target(against).is_none() || row.rival(against).is_some(), "{row:?} {against:?}");
            }
            assert!(row.rival(Against::Hf).is_some(), "{row:?}");
            let named = RowName::from_str(row.text(), false);
            assert_eq!(named, Ok(row));
            assert_eq!(serde_json::to_value(row).unwrap(), row.text());
        }
    }
}

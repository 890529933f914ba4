//! When a completion ends: stop tokens, stop strings that may cross the borders of tokens, and the length.
//!
//! Stop strings are found in the text, so that it does not matter how the tokens cut it: the text ends before the stop string
//! that is complete first (the longest of those that are complete at once). Text that may be the beginning of a stop string is
//! held back until it is clear. Tokens are never cut: a completion keeps those that were generated.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::TokenizerError;
use crate::detokenize::{Detokenizer, TokenTexts};

/// Why a completion ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Finish {
    /// A stop token, which is the last token; its text is not part of the completion's.
    StopToken,
    /// The stop string of this index, before which the text ends; the last token completed it.
    StopString(usize),
    /// The guide was complete and allowed no further token.
    Guide,
    /// As many tokens as were asked for.
    Length,
}

/// Stop strings compiled for searching a growing text (Aho and Corasick, 1975).
#[derive(Debug, Default)]
pub struct StopStrings {
    /// The first is the root: nothing of any stop string.
    nodes: Vec<Node>,
}

/// A beginning of some stop string.
#[derive(Debug, Default)]
struct Node {
    next: BTreeMap<u8, usize>,
    /// The longest proper end of this beginning that is itself a beginning.
    shorter: usize,
    /// Bytes of this beginning.
    length: usize,
    /// The longest stop string that ends here, with its length.
    stop: Option<(usize, usize)>,
}

/// An empty stop string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stop string {index} is empty; it would end every completion before it begins")]
pub struct EmptyStopString {
    /// Its index.
    pub index: usize,
}

impl StopStrings {
    /// Compiles `strings`; an index in [`Finish::StopString`] is one of this slice, the lower one among equals.
    ///
    /// # Errors
    /// [`EmptyStopString`] names the first empty one.
    pub fn new<S: AsRef<str>>(strings: &[S]) -> Result<Self, EmptyStopString> {
        let mut nodes = vec![Node::default()];
        for (index, string) in strings.iter().map(AsRef::as_ref).enumerate() {
            if string.is_empty() {
                return Err(EmptyStopString { index });
            }
            let mut at = 0;
            for byte in string.bytes() {
                let length = nodes[at].length + 1;
                let free = nodes.len();
                let next = *nodes[at].next.entry(byte).or_insert(free);
                if next == free {
                    nodes.push(Node { length, ..Node::default() });
                }
                at = next;
            }
            nodes[at].stop.get_or_insert((index, string.len()));
        }
        let mut stops = Self { nodes };
        stops.link();
        Ok(stops)
    }

    /// Links every beginning to its longest end, shorter ones first.
    fn link(&mut self) {
        let mut queue: VecDeque<usize> = self.nodes[0].next.values().copied().collect();
        while let Some(at) = queue.pop_front() {
            let shorter = self.nodes[at].shorter;
            self.nodes[at].stop = self.nodes[at].stop.or(self.nodes[shorter].stop);
            let children: Vec<(u8, usize)> = self.nodes[at].next.iter().map(|(byte, child)| (*byte, *child)).collect();
            for (byte, child) in children {
                self.nodes[child].shorter = self.step(shorter, byte);
                queue.push_back(child);
            }
        }
    }

    /// The longest beginning that the text ends with after one more byte.
    fn step(&self, mut at: usize, byte: u8) -> usize {
        loop {
            match self.nodes[at].next.get(&byte) {
                Some(next) => return *next,
                None if at == 0 => return 0,
                None => at = self.nodes[at].shorter,
            }
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.len() <= 1
    }
}

/// A text on its way out, searched for stop strings.
#[derive(Clone, Debug)]
pub struct StopSearch {
    stops: Arc<StopStrings>,
    /// The beginning of a stop string that the text ends with.
    at: usize,
    held: String,
}

impl StopSearch {
    /// At the beginning of a text.
    #[must_use]
    pub fn new(stops: Arc<StopStrings>) -> Self {
        Self { stops, at: 0, held: String::new() }
    }

    /// Adds `text`: gives what can no longer be part of a stop string, and the index of the stop string if one is complete;
    /// the text ends with what is given then, and nothing may be added.
    pub fn push(&mut self, text: &str) -> (String, Option<usize>) {
        if self.stops.is_empty() {
            return (text.to_owned(), None);
        }
        let before = self.held.len();
        self.held.push_str(text);
        for (offset, byte) in text.bytes().enumerate() {
            self.at = self.stops.step(self.at, byte);
            if let Some((index, length)) = self.stops.nodes[self.at].stop {
                self.held.truncate(before + offset + 1 - length);
                self.at = 0;
                return (std::mem::take(&mut self.held), Some(index));
            }
        }
        let kept = self.held.split_off(self.held.len() - self.stops.nodes[self.at].length);
        (std::mem::replace(&mut self.held, kept), None)
    }

    /// What was held back, when the text ends otherwise.
    pub fn finish(&mut self) -> String {
        self.at = 0;
        std::mem::take(&mut self.held)
    }
}

/// What ends a completion; shared by a request's samples.
#[derive(Clone, Debug)]
pub struct StopRules {
    /// Tokens that end it.
    pub tokens: Arc<BTreeSet<u32>>,
    /// Strings that end it.
    pub strings: Arc<StopStrings>,
    /// Tokens after which it ends, at least 1.
    pub max_new_tokens: usize,
}

/// What one token did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextStep {
    /// Text that is certain now. All steps' together are the completion's text.
    pub text: String,
    /// Set if the completion ends with this token.
    pub finish: Option<Finish>,
}

/// The text of one completion as its tokens come, and its end.
///
/// Feed every token to [`CompletionText::push`] until it says how the completion ends; call [`CompletionText::finish`] to
/// end it for another reason (a guide that is complete, a cancelled request).
#[derive(Clone, Debug)]
pub struct CompletionText {
    rules: StopRules,
    text: Detokenizer,
    search: StopSearch,
    tokens: usize,
}

impl CompletionText {
    /// For a completion of `prompt`.
    #[must_use]
    pub fn new(rules: StopRules, texts: Arc<TokenTexts>, prompt: &[u32]) -> Self {
        let search = StopSearch::new(Arc::clone(&rules.strings));
        Self { rules, text: Detokenizer::after(texts, prompt), search, tokens: 0 }
    }

    /// Adds the next token.
    ///
    /// # Errors
    /// [`TokenizerError`] for a token the tokenizer does not know (a model's vocabulary may be padded beyond it).
    pub fn push(&mut self, token: u32) -> Result<TextStep, TokenizerError> {
        self.tokens += 1;
        if self.rules.tokens.contains(&token) {
            return self.finish(Finish::StopToken);
        }
        let (mut text, stop) = self.search.push(&self.text.push(token)?);
        if let Some(index) = stop {
            return Ok(TextStep { text, finish: Some(Finish::StopString(index)) });
        }
        if self.tokens < self.rules.max_new_tokens {
            return Ok(TextStep { text, finish: None });
        }
        let last = self.finish(Finish::Length)?;
        text.push_str(&last.text);
        Ok(TextStep { text, finish: last.finish })
    }

    /// Ends the completion: gives the text that was held back. If that completes a stop string, the text ends before it and
    /// the completion ends with [`Finish::StopString`].
    ///
    /// # Errors
    /// [`TokenizerError::Decode`] when the decoder fails.
    pub fn finish(&mut self, finish: Finish) -> Result<TextStep, TokenizerError> {
        let (mut text, stop) = self.search.push(&self.text.finish()?);
        let finish = stop.map_or(finish, Finish::StopString);
        text.push_str(&self.search.finish());
        Ok(TextStep { text, finish: Some(finish) })
    }
}

#[cfg(test)]
mod tests;

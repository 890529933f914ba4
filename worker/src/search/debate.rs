//! Debates: in every round each speaker answers, having read what the others said in the round before. The speakers of one debate
//! wait for each other; debates do not.

use std::sync::Arc;

use galapagos_domain::job::Sampling;
use galapagos_domain::recipe::search::{Debate as Choice, Unit};
use galapagos_domain::seed::Seed;

use super::strategy::{Answer, Draw, Drawn, Strategy, Want, draws};
use super::tree::{End, NodeId, Part, Piece, Tree};
use crate::engine::{Codec, EngineError};

/// See the head of this file.
#[derive(Debug)]
pub struct Debate {
    choice: Choice,
    sampling: Arc<Sampling>,
    codec: Arc<dyn Codec>,
    seed: Seed,
    tree: Tree,
    /// Nodes of each speaker from the top; those of one debate stand together.
    speakers: Vec<Vec<NodeId>>,
    /// Rounds that are answered or asked for.
    round: u32,
}

impl Debate {
    /// `choice.propose.n` debates.
    #[must_use]
    pub fn new(choice: Choice, sampling: Arc<Sampling>, codec: Arc<dyn Codec>, seed: Seed) -> Self {
        let speakers = vec![Vec::new(); (choice.propose.n * choice.speakers) as usize];
        Self { choice, sampling, codec, seed, tree: Tree::default(), speakers, round: 0 }
    }

    fn draw(&self, behind: Vec<u32>, samples: u32, seed: Seed) -> Want {
        let (sampling, max_tokens) = (Arc::clone(&self.sampling), self.choice.propose.max_tokens);
        Want::Draw(Draw { behind, samples, seed, sampling, unit: Unit::Answer, max_tokens })
    }

    fn put(&mut self, speaker: usize, piece: Piece) -> NodeId {
        let parent = self.speakers[speaker].last().copied().unwrap_or(NodeId::ROOT);
        self.tree[parent].asked += 1;
        let node = self.tree.add(parent, piece, self.round);
        self.speakers[speaker].push(node);
        node
    }

    /// What a speaker reads before its next answer: what the others of its debate said last.
    fn heard(&self, speaker: usize) -> String {
        let size = self.choice.speakers as usize;
        let first = speaker / size * size;
        let mut text = String::new();
        for other in (first..first + size).filter(|other| *other != speaker) {
            if let Some(last) = self.speakers[other].last() {
                text.push_str(&self.choice.others);
                text.push_str(&self.tree[*last].piece.text);
            }
        }
        text + &self.choice.again
    }

    /// The next round of all debates.
    fn ask(&mut self) -> Result<Vec<Want>, EngineError> {
        self.round += 1;
        let heard: Vec<String> = (0..self.speakers.len()).map(|speaker| self.heard(speaker)).collect();
        let mut wants = Vec::new();
        for (speaker, text) in heard.into_iter().enumerate() {
            let tokens = self.codec.encode(&text)?;
            let shown = self.put(speaker, Piece { part: Part::Shown, tokens, log_probs: Vec::new(), text });
            let seed = self.seed.derive(&format!("node/{}/0", shown.0));
            wants.push(self.draw(self.tree.path(shown).tokens, 1, seed));
        }
        Ok(wants)
    }
}

impl Strategy for Debate {
    fn next(&mut self, answers: Vec<Answer>) -> Result<Vec<Want>, EngineError> {
        if self.round == 0 {
            self.round = 1;
            let samples = u32::try_from(self.speakers.len()).unwrap_or(u32::MAX);
            return Ok(vec![self.draw(Vec::new(), samples, self.seed)]);
        }
        for (speaker, drawn) in draws(answers).flatten().enumerate().take(self.speakers.len()).collect::<Vec<_>>() {
            let Drawn { tokens, log_probs, text, .. } = drawn;
            self.put(speaker, Piece { part: Part::Step, tokens, log_probs, text });
        }
        if self.round < self.choice.rounds {
            return self.ask();
        }
        for end in self.found() {
            self.tree[end].end = Some(End::Answered);
            self.tree[end].closed = true;
        }
        Ok(Vec::new())
    }

    fn tree(&self) -> &Tree {
        &self.tree
    }

    fn found(&self) -> Vec<NodeId> {
        self.speakers.iter().filter_map(|nodes| nodes.last().copied()).collect()
    }
}

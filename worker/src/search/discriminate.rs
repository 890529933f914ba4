//! A choice among the finished answers of a tree: when it has grown, the best ones are scored by a verifier, or agents who see all of them
//! argue, round after round, and vote or have somebody conclude (SWE-Search's discriminator). Where nobody says anything that can be read,
//! the answer with the highest Q stands; the scores or votes of each are in the tree.

use std::collections::BTreeMap;
use std::sync::Arc;

use galapagos_domain::recipe::search::{Argue, Discriminate, Discriminator, Write};
use galapagos_domain::recipe::verify::{Blank, Verifier};
use galapagos_domain::seed::Seed;
use galapagos_domain::trajectory::{Outcome, Score};

use super::extract::top;
use super::growth::{Growth, Standing};
use super::strategy::{Answer, Commission, Question, Several, Strategy, Want, verdicts, writings};
use super::tree::{NodeId, Tree};
use crate::engine::EngineError;
use crate::verify::judge::{Fence, chosen};

/// What the choice is called where it is counted, and in the tree.
const WHAT: &str = "discriminate";

/// What stands around an answer, so that it cannot speak to who reads it.
const FENCE: [&str; 2] = ["<answer-to-judge>", "</answer-to-judge>"];

/// Where the choice is.
#[derive(Debug)]
enum Stage {
    Growing,
    Judging,
    Arguing { argue: Box<Argue>, round: u32 },
    Concluding,
    Done,
}

/// See the head of this file.
#[derive(Debug)]
pub struct Discriminated {
    growth: Growth,
    choice: Discriminate,
    /// Whether all of an episode is looked at, and not its last answer alone.
    episodes: bool,
    seed: Seed,
    stage: Stage,
    /// The best first.
    candidates: Vec<NodeId>,
    /// As agents read them.
    solutions: String,
    found: Option<NodeId>,
}

impl Discriminated {
    /// One of what `growth` finds.
    #[must_use]
    pub fn new(growth: Growth, choice: Discriminate, episodes: bool, seed: Seed) -> Self {
        let (candidates, solutions) = (Vec::new(), String::new());
        Self { growth, choice, episodes, seed, stage: Stage::Growing, candidates, solutions, found: None }
    }

    fn begin(&mut self) -> Vec<Want> {
        self.candidates = top(self.growth.tree(), self.choice.of);
        let by = self.choice.by.clone();
        match by {
            Discriminator::Verifier(verifier) if self.candidates.len() > 1 => self.judge(&Arc::new(*verifier)),
            Discriminator::Argue(argue) => {
                self.list();
                if self.candidates.len() > 1 { self.argue(argue, 1, &[]) } else { self.end(None) }
            }
            Discriminator::Verifier(_) => self.end(None),
        }
    }

    fn judge(&mut self, verifier: &Arc<Verifier>) -> Vec<Want> {
        self.stage = Stage::Judging;
        let question = |node: &NodeId| {
            let seed = self.seed.derive(&format!("{WHAT}/{}", node.0));
            let (verifier, path) = (Arc::clone(verifier), self.growth.tree().path(*node));
            Want::Judge(Question { verifier, path, answered: true, seed })
        };
        self.candidates.iter().map(question).collect()
    }

    fn judged(&mut self, answers: Vec<Answer>) -> Vec<Want> {
        let mut scores = Vec::new();
        for (node, verdict) in self.candidates.clone().into_iter().zip(verdicts(answers)) {
            let decided = verdict.filter(|verdict| verdict.outcome.is_decided());
            let score = decided.as_ref().map(|verdict| {
                let plain = if verdict.outcome == Outcome::Pass { 1.0 } else { 0.0 };
                verdict.score.map_or(plain, f64::from)
            });
            scores.push(score);
            if let Some(score) = score {
                self.note(node, score);
            }
        }
        // Candidates stand in order of Q, so the first of equals is the one with the highest.
        let scored = scores.into_iter().enumerate().rev().filter_map(|(place, score)| Some((place, score?)));
        let place = scored.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(place, _)| place);
        self.end(place)
    }

    /// Writes the answers down as agents read them; one that would speak to them is left out.
    fn list(&mut self) {
        let fence = Fence::new(&FENCE.map(str::to_owned));
        let mut shown = Vec::new();
        for node in &self.candidates {
            let path = self.growth.tree().path(*node);
            let text = if self.episodes { &path.text } else { &path.answer };
            if let Ok(text) = fence.around(text.trim()) {
                shown.push((*node, text));
            }
        }
        let lines = shown.iter().zip(1..).map(|((_, text), number)| format!("Solution {number}:\n{text}\n"));
        self.solutions = lines.collect();
        self.candidates = shown.into_iter().map(|(node, _)| node).collect();
    }

    fn argue(&mut self, argue: Box<Argue>, round: u32, before: &[String]) -> Vec<Want> {
        let wants = (0..argue.agents as usize).map(|agent| {
            let others = before.iter().enumerate().filter(|(other, _)| *other != agent);
            self.write(&argue.write, told(others), &format!("{WHAT}/{round}/{agent}"))
        });
        let wants = wants.collect();
        self.stage = Stage::Arguing { argue, round };
        wants
    }

    fn write(&self, write: &Write, others: String, seed: &str) -> Want {
        let shown = BTreeMap::from([(Blank::Solutions, self.solutions.clone()), (Blank::Others, others)]);
        Want::Write(Commission { what: WHAT, write: Arc::new(write.clone()), shown, seed: self.seed.derive(seed) })
    }

    /// An agent who wrote nothing in a round said nothing in it.
    fn argued(&mut self, argue: Box<Argue>, round: u32, answers: Vec<Answer>) -> Vec<Want> {
        let said: Vec<String> =
            writings(answers).map(|written| written.map(|written| written.text).unwrap_or_default()).collect();
        if round < argue.rounds {
            return self.argue(argue, round + 1, &said);
        }
        let votes: Vec<usize> = said.iter().filter_map(|text| chosen(text, self.candidates.len())).collect();
        for (place, node) in self.candidates.clone().into_iter().enumerate() {
            self.note(node, votes.iter().filter(|vote| **vote == place).count() as f64);
        }
        match &argue.conclude {
            Some(conclude) => {
                self.stage = Stage::Concluding;
                vec![self.write(conclude, told(said.iter().enumerate()), &format!("{WHAT}/conclude"))]
            }
            None => {
                let count = |place: &usize| votes.iter().filter(|vote| *vote == place).count();
                // Of equals the first, which has the highest Q.
                let place = (0..self.candidates.len()).rev().max_by_key(count).filter(|place| count(place) > 0);
                self.end(place)
            }
        }
    }

    fn concluded(&mut self, answers: Vec<Answer>) -> Vec<Want> {
        let written = writings(answers).next().and_then(Result::ok);
        let place = written.and_then(|written| chosen(&written.text, self.candidates.len()));
        self.end(place)
    }

    fn note(&mut self, node: NodeId, value: f64) {
        let score = Score { by: format!("{WHAT}/1"), value: value as f32 };
        self.growth.tree_mut()[node].scores.push(score);
    }

    /// The candidate at `place`; without one the tree's own best.
    fn end(&mut self, place: Option<usize>) -> Vec<Want> {
        self.stage = Stage::Done;
        self.found = place.and_then(|place| self.candidates.get(place).copied());
        Vec::new()
    }
}

fn told<'a>(said: impl Iterator<Item = (usize, &'a String)>) -> String {
    let said = said.filter(|(_, text)| !text.is_empty());
    said.map(|(agent, text)| format!("Agent {}:\n{text}\n", agent + 1)).collect()
}

impl Strategy for Discriminated {
    fn next(&mut self, answers: Vec<Answer>) -> Result<Vec<Want>, EngineError> {
        Ok(match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Growing => {
                let wants = self.growth.next(answers)?;
                if wants.is_empty() {
                    return Ok(self.begin());
                }
                self.stage = Stage::Growing;
                wants
            }
            Stage::Judging => self.judged(answers),
            Stage::Arguing { argue, round } => self.argued(argue, round, answers),
            Stage::Concluding => self.concluded(answers),
            Stage::Done => Vec::new(),
        })
    }

    fn tree(&self) -> &Tree {
        self.growth.tree()
    }

    fn committed(&self) -> Option<(Tree, Standing)> {
        match self.stage {
            Stage::Growing => self.growth.committed(),
            // It is cheap to choose again.
            Stage::Judging | Stage::Arguing { .. } | Stage::Concluding | Stage::Done => None,
        }
    }

    fn resume(&mut self, tree: Tree, standing: Standing) {
        self.growth.resume(tree, standing);
    }

    fn found(&self) -> Vec<NodeId> {
        self.found.map_or_else(|| self.growth.found(), |found| vec![found])
    }

    fn is_settled(&self) -> bool {
        match self.stage {
            Stage::Growing => self.growth.is_settled(),
            Stage::Judging | Stage::Arguing { .. } | Stage::Concluding | Stage::Done => true,
        }
    }
}

#[cfg(test)]
mod tests;

//! Critic sampling: answers that are tested, then refined where some pass or repaired where none does, and tested again (CodeRL; paper
//! notes, section 7). What is found is the answer that passes and that the critic ranks first.
//!
//! A refined answer stands below the part of another one that it goes on from, whose tokens are the policy's and are paid once. A repaired
//! one was written by somebody else, so it has no log-probabilities.

use std::collections::BTreeMap;
use std::sync::Arc;

use galapagos_domain::job::Sampling;
use galapagos_domain::recipe::search::{CriticSampling, Unit};
use galapagos_domain::recipe::verify::{Blank, Verifier};
use galapagos_domain::seed::Seed;
use galapagos_domain::trajectory::{Outcome, Verdict};

use super::choice::Ends;
use super::strategy::{Answer, Commission, Draw, Drawn, Question, Strategy, Want, draws, verdicts, writings};
use super::tree::{End, NodeId, Part, Path, Piece, Tree};
use crate::engine::{Codec, EngineError};

/// What a repair is called where it is counted.
const WHAT: &str = "repair";

/// An answer.
#[derive(Debug, Clone, PartialEq)]
struct Program {
    /// Where it ends.
    node: NodeId,
    tested: Option<Verdict>,
    /// What the critic gives the whole; of one that it was asked about.
    score: Option<f64>,
    asked: bool,
    /// Whether it was cut or repaired.
    used: bool,
}

/// Where the search is.
#[derive(Debug, Clone, PartialEq)]
enum Stage {
    Begin,
    /// Answers, or what goes on from these nodes, are on their way.
    Drawing(Vec<NodeId>),
    Testing(Vec<usize>),
    /// The critic looks at programs (by place) up to so many tokens.
    Cutting(Vec<(usize, usize)>),
    /// The critic ranks what failed.
    Ranking(Vec<usize>),
    Repairing,
    /// The critic ranks what may be the answer.
    Choosing(Vec<usize>),
    Done,
}

/// See the head of this file.
pub struct Programs {
    search: CriticSampling,
    sampling: Arc<Sampling>,
    codec: Arc<dyn Codec>,
    /// Where the steps of an answer end.
    ends: Ends,
    seed: Seed,
    tree: Tree,
    programs: Vec<Program>,
    stage: Stage,
    round: u32,
}

impl std::fmt::Debug for Programs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Programs").field("tree", &self.tree).field("programs", &self.programs).finish_non_exhaustive()
    }
}

impl Programs {
    /// Of one task; `ends` says where the steps of an answer end, in tokens, the last one at the answer's end.
    #[must_use]
    pub(super) fn new(
        search: CriticSampling,
        sampling: Arc<Sampling>,
        (codec, ends): (Arc<dyn Codec>, Ends),
        seed: Seed,
    ) -> Self {
        let (tree, programs) = (Tree::default(), Vec::new());
        Self { search, sampling, codec, ends, seed, tree, programs, stage: Stage::Begin, round: 0 }
    }

    fn draw(&self, behind: NodeId, samples: u32, seed: Seed) -> Want {
        let (sampling, max_tokens) = (Arc::clone(&self.sampling), self.search.propose.max_tokens);
        let behind = self.tree.path(behind).tokens;
        Want::Draw(Draw { behind, samples, seed, sampling, unit: Unit::Answer, max_tokens })
    }

    fn begin(&mut self) -> Vec<Want> {
        self.stage = Stage::Drawing(vec![NodeId::ROOT]);
        self.tree[NodeId::ROOT].asked = self.search.propose.n;
        // As independent samples draw.
        vec![self.draw(NodeId::ROOT, self.search.propose.n, self.seed)]
    }

    fn put(&mut self, parent: NodeId, piece: Piece) -> usize {
        let node = self.tree.add(parent, piece, self.round + 1);
        self.tree[node].end = Some(End::Answered);
        self.tree[node].closed = true;
        self.programs.push(Program { node, tested: None, score: None, asked: false, used: false });
        self.programs.len() - 1
    }

    fn drawn(&mut self, behind: &[NodeId], answers: Vec<Answer>) -> Vec<Want> {
        let mut new = Vec::new();
        for (parent, drawn) in behind.iter().zip(draws(answers).collect::<Vec<_>>()) {
            for Drawn { tokens, log_probs, text, .. } in drawn {
                new.push(self.put(*parent, Piece { part: Part::Step, tokens, log_probs, text }));
            }
        }
        self.test(new)
    }

    fn test(&mut self, new: Vec<usize>) -> Vec<Want> {
        if new.is_empty() {
            return self.choose();
        }
        let tests = Arc::new(self.search.tests.clone());
        let wants = new.iter().map(|place| self.question(&tests, *place)).collect();
        self.stage = Stage::Testing(new);
        wants
    }

    /// About a program.
    fn question(&self, verifier: &Arc<Verifier>, place: usize) -> Want {
        let path = self.tree.path(self.programs[place].node);
        let seed = self.asked_of(verifier, place, path.tokens.len());
        Want::Judge(Question { verifier: Arc::clone(verifier), path, answered: true, seed })
    }

    /// About what was written of a program in `end` tokens.
    fn question_of_part(&self, verifier: &Arc<Verifier>, place: usize, end: usize) -> Result<Want, EngineError> {
        let path = self.tree.path(self.programs[place].node);
        let text = self.codec.decode(&path.tokens[..end])?;
        let path = Path { text: text.clone(), steps: vec![text.clone()], answer: text, ..path.cut(end) };
        let seed = self.asked_of(verifier, place, end);
        Ok(Want::Judge(Question { verifier: Arc::clone(verifier), path, answered: false, seed }))
    }

    fn asked_of(&self, verifier: &Verifier, place: usize, end: usize) -> Seed {
        self.seed.derive(&format!("{}/{}/{end}", verifier.name(), self.programs[place].node.0))
    }

    fn passes(program: &Program) -> bool {
        program.tested.as_ref().is_some_and(|verdict| verdict.outcome == Outcome::Pass)
    }

    fn fails(program: &Program) -> bool {
        program.tested.as_ref().is_some_and(|verdict| verdict.outcome == Outcome::Fail)
    }

    /// Programs of a kind that were not cut or repaired yet, by place.
    fn fresh(&self, wanted: fn(&Program) -> bool) -> Vec<usize> {
        let fresh = |(_, program): &(usize, &Program)| wanted(program) && !program.used;
        self.programs.iter().enumerate().filter(fresh).map(|(place, _)| place).collect()
    }

    /// What comes next, once everything is tested.
    fn go_on(&mut self) -> Result<Vec<Want>, EngineError> {
        if self.round >= self.search.rounds {
            return Ok(self.choose());
        }
        self.round += 1;
        let critic = Arc::new(self.search.critic.clone());
        if self.programs.iter().any(Self::passes) {
            let Some(_) = self.search.refine else { return Ok(self.choose()) };
            let mut cuts = Vec::new();
            for place in self.fresh(Self::passes) {
                let tokens = self.tree.path(self.programs[place].node).tokens;
                let ends = (self.ends)(&tokens).into_iter().filter(|end| *end > 0 && *end < tokens.len());
                cuts.extend(ends.map(|end| (place, end)));
            }
            if cuts.is_empty() {
                return Ok(self.choose());
            }
            let wants = cuts.iter().map(|(place, end)| self.question_of_part(&critic, *place, *end));
            let wants = wants.collect::<Result<_, _>>()?;
            self.stage = Stage::Cutting(cuts);
            return Ok(wants);
        }
        let failed = self.fresh(Self::fails);
        if self.search.repair.is_none() || failed.is_empty() {
            return Ok(self.choose());
        }
        let wants = failed.iter().map(|place| self.question(&critic, *place)).collect();
        self.stage = Stage::Ranking(failed);
        Ok(wants)
    }

    /// Cuts each program where its score is highest, and goes on from the best of these.
    fn cut(&mut self, cuts: &[(usize, usize)], answers: Vec<Answer>) -> Result<Vec<Want>, EngineError> {
        let Some(refine) = self.search.refine else { return Ok(self.choose()) };
        let mut best: BTreeMap<usize, (usize, f64)> = BTreeMap::new();
        for ((place, end), score) in cuts.iter().zip(verdicts(answers).map(scored)) {
            let Some(score) = score else { continue };
            if best.get(place).is_none_or(|(_, most)| score > *most) {
                best.insert(*place, (*end, score));
            }
        }
        let mut best: Vec<_> = best.into_iter().collect();
        best.sort_by(|(a, (_, one)), (b, (_, other))| other.total_cmp(one).then(a.cmp(b)));
        best.truncate(refine.seeds as usize);
        let mut behind = Vec::new();
        for (place, (end, _)) in best {
            self.programs[place].used = true;
            behind.push(self.fork(self.programs[place].node, end)?);
        }
        if behind.is_empty() {
            return Ok(self.choose());
        }
        let wants = behind.iter().map(|node| {
            let seed = self.seed.derive(&format!("node/{}/{}", node.0, self.round));
            self.draw(*node, refine.n, seed)
        });
        let wants = wants.collect();
        self.stage = Stage::Drawing(behind);
        Ok(wants)
    }

    /// The node at which the first `end` tokens of a path end: one of its own, or a new one with the part of one that stands before.
    fn fork(&mut self, node: NodeId, end: usize) -> Result<NodeId, EngineError> {
        let (mut parent, mut at) = (NodeId::ROOT, 0);
        for node in self.tree.path(node).nodes {
            let piece = &self.tree[node].piece;
            let keep = end - at;
            if piece.tokens.len() > keep {
                let tokens = piece.tokens[..keep].to_vec();
                let log_probs = piece.log_probs.iter().take(keep).copied().collect();
                let text = self.codec.decode(&tokens)?;
                let piece = Piece { part: piece.part, tokens, log_probs, text };
                return Ok(self.tree.add(parent, piece, self.round + 1));
            }
            (parent, at) = (node, at + piece.tokens.len());
            if at == end {
                break;
            }
        }
        Ok(parent)
    }

    /// Takes the critic's scores of whole programs.
    fn rank(&mut self, places: &[usize], answers: Vec<Answer>) {
        for (place, score) in places.iter().zip(verdicts(answers).map(scored)) {
            (self.programs[*place].score, self.programs[*place].asked) = (score, true);
        }
    }

    /// Best score first; those without one last; of equals the earliest.
    fn ranked(&self, mut places: Vec<usize>) -> Vec<usize> {
        let score = |place: &usize| self.programs[*place].score.unwrap_or(f64::NEG_INFINITY);
        places.sort_by(|a, b| score(b).total_cmp(&score(a)).then(a.cmp(b)));
        places
    }

    fn repair(&mut self, failed: Vec<usize>) -> Vec<Want> {
        let Some(repair) = self.search.repair.clone() else { return self.choose() };
        let write = Arc::new(repair.write);
        let mut wants = Vec::new();
        for place in self.ranked(failed).into_iter().take(repair.programs as usize) {
            self.programs[place].used = true;
            let Program { node, tested, .. } = &self.programs[place];
            let error = tested.as_ref().map(|verdict| verdict.reason.clone()).unwrap_or_default();
            let shown = BTreeMap::from([(Blank::Answer, self.tree.path(*node).answer), (Blank::Error, error)]);
            for number in 0..repair.n {
                let seed = self.seed.derive(&format!("{WHAT}/{}/{number}", node.0));
                let (write, shown) = (Arc::clone(&write), shown.clone());
                wants.push(Want::Write(Commission { what: WHAT, write, shown, seed }));
            }
        }
        self.stage = Stage::Repairing;
        wants
    }

    fn repaired(&mut self, answers: Vec<Answer>) -> Result<Vec<Want>, EngineError> {
        let mut new = Vec::new();
        for written in writings(answers).filter_map(Result::ok).filter(|written| !written.text.is_empty()) {
            let tokens = self.codec.encode(&written.text)?;
            let piece = Piece { part: Part::Step, tokens, log_probs: Vec::new(), text: written.text };
            new.push(self.put(NodeId::ROOT, piece));
        }
        if new.is_empty() { self.go_on() } else { Ok(self.test(new)) }
    }

    /// Those of which one is the answer: what passes; if nothing does, what was decided; if nothing was, all.
    fn candidates(&self) -> Vec<usize> {
        let with = |wanted: &dyn Fn(&Program) -> bool| -> Vec<usize> {
            self.programs.iter().enumerate().filter(|(_, program)| wanted(program)).map(|(place, _)| place).collect()
        };
        let passed = with(&Self::passes);
        let failed = if passed.is_empty() { with(&Self::fails) } else { passed };
        if failed.is_empty() { with(&|program| program.tested.is_some()) } else { failed }
    }

    fn choose(&mut self) -> Vec<Want> {
        let candidates = self.candidates();
        let open: Vec<usize> = candidates.iter().copied().filter(|place| !self.programs[*place].asked).collect();
        if candidates.len() < 2 || open.is_empty() {
            self.stage = Stage::Done;
            return Vec::new();
        }
        let critic = Arc::new(self.search.critic.clone());
        let wants = open.iter().map(|place| self.question(&critic, *place)).collect();
        self.stage = Stage::Choosing(open);
        wants
    }
}

/// What a verdict says in a number, if it decided anything.
fn scored(verdict: Option<Verdict>) -> Option<f64> {
    verdict.filter(|verdict| verdict.outcome.is_decided())?.score.map(f64::from)
}

impl Strategy for Programs {
    fn next(&mut self, answers: Vec<Answer>) -> Result<Vec<Want>, EngineError> {
        Ok(match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Begin => self.begin(),
            Stage::Drawing(behind) => self.drawn(&behind, answers),
            Stage::Testing(places) => {
                for (place, verdict) in places.into_iter().zip(verdicts(answers)) {
                    let nobody = || Verdict::new(Outcome::Error, "nobody tested it");
                    let verdict = verdict.unwrap_or_else(nobody);
                    self.programs[place].tested = Some(verdict);
                }
                self.go_on()?
            }
            Stage::Cutting(cuts) => self.cut(&cuts, answers)?,
            Stage::Ranking(failed) => {
                self.rank(&failed, answers);
                self.repair(failed)
            }
            Stage::Repairing => self.repaired(answers)?,
            Stage::Choosing(places) => {
                self.rank(&places, answers);
                Vec::new()
            }
            Stage::Done => Vec::new(),
        })
    }

    fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Before the critic has ranked them, the earliest of those that pass.
    fn found(&self) -> Vec<NodeId> {
        let best = self.ranked(self.candidates()).first().copied();
        best.map(|place| self.programs[place].node).into_iter().collect()
    }
}

#[cfg(test)]
mod tests;

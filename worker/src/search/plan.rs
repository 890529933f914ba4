//! From a recipe's search to the strategy of each task: every preset is a choice of parts that stand elsewhere.

use std::sync::Arc;

use galapagos_domain::job::Sampling;
use galapagos_domain::recipe::search::{Ballot, JudgedTurns, Mcts, Propose, Search, Unit};
use galapagos_domain::seed::Seed;
use galapagos_domain::trajectory::{Outcome, Verdict};

use super::chains::{Chains, Script, Text};
use super::choice::{Choose, Chosen, Ends, Key, Weigh};
use super::debate::Debate;
use super::discriminate::Discriminated;
use super::episodes::{Episodes, Limits};
use super::growth::{Advice, Growth};
use super::judged::Judged;
use super::programs::Programs;
use super::scripts::{Deepening, Once, Refine, Turns};
use super::spread::Portion;
use super::strategy::Strategy;
use crate::engine::{Codec, EngineError};

/// Makes strategies.
pub(super) struct Plan<'a> {
    search: &'a Search,
    sampling: Arc<Sampling>,
    codec: Arc<dyn Codec>,
    /// What answers are to a vote.
    key: Key,
    /// Of tasks that are played in an environment: longest action and longest episode, in tokens.
    plays: Option<(u32, u32)>,
    /// What stands behind every observation of those.
    ask: String,
    /// Of each task, where several jobs grow its tree.
    portions: &'a [Portion],
}

impl<'a> Plan<'a> {
    /// Of a resolved search.
    pub(super) fn new(search: &'a Search, sampling: Sampling, codec: Arc<dyn Codec>, key: Key) -> Self {
        let sampling = Arc::new(sampling);
        Self { search, sampling, codec, key, plays: None, ask: String::new(), portions: &[] }
    }

    /// The same for tasks that are played in an environment: longest action and longest episode in tokens, and what stands behind every
    /// observation.
    pub(super) fn playing(self, plays: Option<(u32, u32)>, ask: &str) -> Self {
        Self { plays, ask: ask.to_owned(), ..self }
    }

    /// The same of trees that several jobs grow.
    pub(super) fn within(self, portions: &'a [Portion]) -> Self {
        Self { portions, ..self }
    }

    fn limits(&self, turns: u32) -> Option<Limits> {
        let (action, tokens) = self.plays?;
        Some(Limits { turns, action: self.search.propose().max_tokens.unwrap_or(action), tokens })
    }

    fn tree(&self, growth: Growth, (place, seed): (usize, Seed), depth: u32) -> Box<dyn Strategy> {
        let growth = match self.portions.get(place) {
            Some(portion) => growth.within(portion),
            None => growth,
        };
        let growth = match self.limits(depth) {
            Some(limits) => growth.playing(limits),
            None => growth,
        };
        match self.search.discriminate() {
            Some(choice) => Box::new(Discriminated::new(growth, choice.clone(), self.plays.is_some(), seed)),
            None => Box::new(growth),
        }
    }

    fn mcts(&self, mcts: &Mcts, seed: Seed) -> Result<Growth, EngineError> {
        let growth = Growth::mcts(mcts, Arc::clone(&self.sampling), seed);
        Ok(match &mcts.feedback {
            Some(feedback) => growth.advised_by(Advice::new(feedback, Arc::clone(&self.codec), &self.ask)?),
            None => growth,
        })
    }

    /// The search of the task at `place`, which draws from `seed`.
    ///
    /// # Errors
    /// [`EngineError::Text`] if a text of the recipe cannot be written in the vocabulary.
    pub(super) fn strategy(&self, place: usize, seed: Seed) -> Result<Box<dyn Strategy>, EngineError> {
        let sampling = || Arc::clone(&self.sampling);
        let once = |propose: &Propose| self.chains(Box::new(Once { max_tokens: propose.max_tokens }), propose, seed);
        Ok(match self.search {
            Search::SampleK(propose) if propose.greedy => Box::new(once(propose).beside_greedy()),
            Search::SampleK(propose) => Box::new(once(propose)),
            Search::BestOfN(best) => Box::new(Chosen::new(once(&best.propose), Choose::Best(best.by.clone()), seed)),
            Search::Vote(vote) => {
                let choose = Choose::Vote { key: Arc::clone(&self.key), weigh: self.weigh(&vote.by) };
                Box::new(Chosen::new(once(&vote.propose), choose, seed))
            }
            Search::StepBeam(beam) => self.tree(Growth::beam(beam, sampling(), seed), (place, seed), beam.budget.depth),
            Search::Mcts(mcts) => self.tree(self.mcts(mcts, seed)?, (place, seed), mcts.budget.depth),
            Search::IdSampling(deep) => {
                let trigger = self.text(&deep.trigger)?;
                let script = Deepening { first: deep.first, factor: deep.factor, most: deep.most, trigger };
                Box::new(self.chains(Box::new(script), &deep.propose, seed))
            }
            Search::MultiTurn(turns) => {
                let instruction = self.text(&turns.instruction)?;
                let script = Turns { turns: turns.turns, instruction, max_tokens: turns.propose.max_tokens };
                let chains = self.chains(Box::new(script), &turns.propose, seed);
                match turns.judge {
                    JudgedTurns::Last => Box::new(chains),
                    JudgedTurns::Every => Box::new(Judged::new(chains, seed)),
                }
            }
            Search::RefineLoop(refine) => {
                let script = Refine {
                    rounds: refine.rounds,
                    feedback: self.text(&refine.feedback)?,
                    revise: self.text(&refine.revise)?,
                    content: refine.content.clone(),
                    max_tokens: refine.propose.max_tokens,
                };
                Box::new(self.chains(Box::new(script), &refine.propose, seed))
            }
            Search::Debate(debate) => Box::new(Debate::new(debate.clone(), sampling(), Arc::clone(&self.codec), seed)),
            Search::CriticSampling(search) => {
                let (codec, unit) = (Arc::clone(&self.codec), search.unit.clone());
                let ends = move |tokens: &[u32]| step_ends(codec.as_ref(), &unit, tokens);
                let how = (Arc::clone(&self.codec), Arc::new(ends) as Ends);
                Box::new(Programs::new((**search).clone(), sampling(), how, seed))
            }
            Search::EnvRollout(rollout) => {
                let n = rollout.propose.n;
                let episodes = match self.limits(rollout.turns) {
                    Some(limits) => Episodes::new(n, limits, sampling(), seed),
                    None => Episodes::failed(n, &Verdict::new(Outcome::Error, "the tasks have no environment")),
                };
                match rollout.by.as_slice() {
                    [] => Box::new(episodes),
                    by => Box::new(Chosen::new(episodes, Choose::Best(by.to_vec()), seed)),
                }
            }
        })
    }

    fn chains(&self, script: Box<dyn Script>, propose: &Propose, seed: Seed) -> Chains {
        Chains::new(script, propose.n, Arc::clone(&self.sampling), seed)
    }

    fn text(&self, text: &str) -> Result<Text, EngineError> {
        Ok(Text { text: text.to_owned(), tokens: self.codec.encode(text)? })
    }

    fn weigh(&self, by: &Ballot) -> Option<Weigh> {
        let Ballot::Weighted { verifier, steps, unit } = by else { return None };
        let (codec, unit) = (Arc::clone(&self.codec), unit.clone());
        let ends = move |tokens: &[u32]| step_ends(codec.as_ref(), &unit, tokens);
        Some(Weigh { verifier: verifier.clone(), pool: *steps, ends: Arc::new(ends) })
    }
}

/// Where the steps of an answer end, in tokens: behind each token that completes the text that ends a step, or so many tokens apart;
/// and at the answer's end.
fn step_ends(codec: &dyn Codec, unit: &Unit, tokens: &[u32]) -> Vec<usize> {
    let whole = tokens.len();
    let mut ends: Vec<usize> = match (unit, unit.ends_with()) {
        (Unit::Tokens(count), _) => (1..whole).filter(|at| at % (*count as usize) == 0).collect(),
        (_, Some(text)) => {
            let seen = |at: usize| codec.decode(&tokens[..at]).map_or(0, |decoded| decoded.matches(text).count());
            (1..whole).filter(|at| seen(*at) > seen(at - 1)).collect()
        }
        (_, None) => Vec::new(),
    };
    ends.push(whole);
    ends
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::mock::CharacterCodec;

    #[test]
    fn steps_end_where_their_unit_says() {
        let tokens = CharacterCodec.encode("1+2=3;3+4=7;7").unwrap();
        let of = |unit: Unit| step_ends(&CharacterCodec, &unit, &tokens);
        assert_eq!(of(Unit::Step(";".to_owned())), [6, 12, 13]);
        assert_eq!(of(Unit::Tokens(5)), [5, 10, 13]);
        assert_eq!(of(Unit::Answer), [13]);
        assert_eq!(step_ends(&CharacterCodec, &Unit::Line, &[]), [0]);
    }
}

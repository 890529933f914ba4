//! The `evaluate` verb: metrics with intervals, and searches measured by what they answer for their tokens.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Number;
use super::generations::Generations;
use super::guide::{Guide, Speculate};
use super::search::{self, BestOfN, EnvRollout, Merge, Propose, Search, Unit, default_temperature};
use super::tournament::Selection;
use super::verify::{EnvReturn, Verifier};
use crate::ids::Name;

/// Reads members and tasks; makes scores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluate {
    #[serde(rename = "as", default)]
    pub name: Option<Name>,
    /// `base`, `champion` (the policy role's current member), a role, or a member that a `train` step named.
    pub members: Vec<Name>,
    pub tasks: BTreeMap<Name, Selection>,
    #[serde(default)]
    pub metrics: Vec<Metric>,
    /// Searches by a name of the reader's choice: the share of tasks that each solves, against the tokens that it samples. All of them
    /// answer, or all of them act in environments. Not with `max_tokens`, `temperature` and `guide` of this step but with their own.
    #[serde(default)]
    pub searches: BTreeMap<Name, Search>,
    /// What stands beside them.
    #[serde(default)]
    pub rerank: Rerank,
    /// Numbers by a name of the reader's choice: what a verifier gives completions, in the mean.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub numbers: BTreeMap<Name, NumberOf>,
    /// Temperature of the samples behind `pass_at`, `best_of` and `pair_accuracy`; `pass_at_1` is greedy.
    #[serde(default = "default_temperature")]
    pub temperature: Number,
    /// Longest completion in tokens; the task family's own limit when absent.
    #[serde(default)]
    pub max_tokens: Option<u32>,
    /// What every completion must be, the greedy one too.
    #[serde(default)]
    pub guide: Option<Guide>,
    #[serde(default)]
    pub speculate: Speculate,
    /// Of `each`: runs in these generations alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generations: Option<Generations>,
}

/// What is measured of completions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NumberOf {
    /// Its score counts, else 1 for a pass and 0 for a fail. One that decides nothing on a completion ends the job.
    pub verifier: Verifier,
    /// How completions are made; one greedy answer when absent.
    #[serde(default)]
    pub search: Option<Search>,
}

impl NumberOf {
    /// How completions are made.
    #[must_use]
    pub fn search(&self) -> Search {
        self.search.clone().unwrap_or_else(|| Search::SampleK(Propose::answers(1, 0.0)))
    }

    /// What a rollout asks for it: verifiers that only give numbers stand behind one that decides.
    #[must_use]
    pub fn verify(&self, plays: bool) -> Vec<Verifier> {
        if self.verifier.decides() {
            return vec![self.verifier.clone()];
        }
        let decides = if plays { Verifier::EnvReturn(EnvReturn::default()) } else { Verifier::Rule };
        vec![decides, self.verifier.clone()]
    }
}

/// A metric over tasks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Share of tasks whose greedy completion passes; Wilson 95% interval.
    #[serde(rename = "pass_at_1")]
    PassAt1,
    /// Expected share of tasks with a pass among k samples (unbiased estimator of Chen et al. 2021).
    PassAt(u32),
    /// Share of tasks whose best of n samples, as a scalar role ranks them, passes.
    BestOf(BestOf),
    /// Of two of n samples of a task, one that passes and one that fails: how often a scalar role gives the passed one the higher score, a tie
    /// for half. The mean over tasks that have both.
    PairAccuracy(BestOf),
    /// Of one of `numbers`: the mean over completions.
    Number(Name),
    /// Of a search in `searches`: the mean share of its answers that pass.
    Search(Name),
    /// The same of the baseline beside the searches: the best of so many samples.
    Rerank(u32),
}

/// Some samples, and the critic that ranks them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BestOf {
    pub n: u32,
    pub by: Name,
}

/// The baseline of searches: of n whole answers, or whole episodes, the one that a verifier ranks first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rerank {
    #[serde(default = "eight")]
    pub n: u32,
    /// The first verifier of the searches that reads answers with a role's head when absent, else the policy's own mean
    /// log-probability.
    #[serde(default)]
    pub by: Option<Verifier>,
}

impl Default for Rerank {
    fn default() -> Self {
        Self { n: eight(), by: None }
    }
}

fn eight() -> u32 {
    8
}

impl Evaluate {
    /// The searches with the metric that each is measured by: those of the recipe, and behind them the baseline.
    #[must_use]
    pub fn measured(&self) -> Vec<(Metric, Search)> {
        let named = self.searches.iter().map(|(name, search)| (Metric::Search(name.clone()), search.clone()));
        named.chain(self.baseline().map(|search| (Metric::Rerank(self.rerank.n), search))).collect()
    }

    /// Samples as the first search does, in whole answers; where that acts in environments, in whole episodes of as many turns.
    fn baseline(&self) -> Option<Search> {
        let first = self.searches.values().next()?;
        let whole = matches!(first.propose().unit, Unit::Answer | Unit::Turn);
        let max_tokens = first.propose().max_tokens.filter(|_| whole);
        let (unit, merge) = (Unit::Answer, Merge::default());
        let propose = Propose { n: self.rerank.n, max_tokens, unit, merge, greedy: false, ..first.propose().clone() };
        let verifier = self.rerank.by.clone().unwrap_or_else(|| self.ranks());
        let by = vec![search::Evaluate::terminal(verifier)];
        Some(match first.turns() {
            Some(turns) => Search::EnvRollout(EnvRollout { propose, turns, by }),
            None => Search::BestOfN(BestOfN { propose, by }),
        })
    }

    fn ranks(&self) -> Verifier {
        let mut asked = self.searches.values().flat_map(Search::verifiers);
        asked
            .find(|verifier| !verifier.roles().is_empty() && !verifier.is_told())
            .cloned()
            .unwrap_or(Verifier::SelfLogProb)
    }

    /// Every metric, in the order in which they are shown.
    pub fn columns(&self) -> impl Iterator<Item = Metric> {
        let numbers = self.numbers.keys().cloned().map(Metric::Number);
        self.metrics.iter().cloned().chain(numbers).chain(self.measured().into_iter().map(|(metric, _)| metric))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluate(searches: &str) -> Evaluate {
        let text = format!(r#"{{"members": ["base"], "tasks": {{}}, "searches": {searches}}}"#);
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn the_baseline_samples_as_the_first_search_and_ranks_by_a_role_that_one_of_them_asks() {
        let tree = r#"{"mcts": {"propose": {"n": 3, "temperature": 0.7, "unit": "line", "max_tokens": 9},
            "budget": {"simulations": 4}, "evaluate": [{"verifier": "rule"}, {"verifier": {"prm": "ppm"}, "when": "every"}]}}"#;
        let measured = evaluate(&format!(r#"{{"a": {tree}}}"#)).measured();
        let [(Metric::Search(name), Search::Mcts(_)), (Metric::Rerank(8), Search::BestOfN(best))] = measured.as_slice()
        else {
            panic!("{measured:?}")
        };
        assert_eq!(name.as_str(), "a");
        let Propose { n: 8, max_tokens: None, unit: Unit::Answer, temperature, .. } = &best.propose else { panic!() };
        assert_eq!(*temperature, Number::Value(0.7));
        assert_eq!(best.by[0].verifier.roles()[0].as_str(), "ppm");
    }

    /// A tree of turns, or episodes: the baseline plays as deep, with actions as long, and what the environment pays never ranks.
    #[test]
    fn beside_searches_that_act_the_baseline_is_of_whole_episodes() {
        let told = r#"{"verifier": {"env_return": {}}, "when": "every"}"#;
        let tree = |evaluate: &str| {
            format!(
                r#"{{"a": {{"mcts": {{"propose": {{"n": 3, "temperature": 0.7, "unit": "turn", "max_tokens": 9, "merge": "exact"}},
                "budget": {{"simulations": 4, "depth": 5}}, "evaluate": [{evaluate}]}}}}}}"#
            )
        };
        let classifier = r#"{"verifier": {"success_classifier": {"role": "ppm"}}}"#;
        let cases = [(told.to_owned(), "self_log_prob"), (format!("{told}, {classifier}"), "success_classifier")];
        for (evaluators, ranks) in cases {
            let measured = evaluate(&tree(&evaluators)).measured();
            let [(_, searched), (Metric::Rerank(8), Search::EnvRollout(whole))] = measured.as_slice() else {
                panic!("{measured:?}")
            };
            let Propose { n: 8, max_tokens: Some(9), unit: Unit::Answer, merge: Merge::None, .. } = whole.propose
            else {
                panic!("{whole:?}")
            };
            assert_eq!((whole.turns, whole.by[0].verifier.name()), (5, ranks));
            assert!(
                searched.knows_answers() && !measured[1].1.knows_answers(),
                "the tree is told, its baseline is not"
            );
        }
        let measured = evaluate(r#"{"e": {"env_rollout": {"propose": {"n": 2}, "turns": 7}}}"#).measured();
        let (_, Search::EnvRollout(whole)) = &measured[1] else { panic!("{measured:?}") };
        assert_eq!((whole.turns, &whole.by[0].verifier), (7, &Verifier::SelfLogProb));
        assert!(!measured[0].1.knows_answers(), "episodes alone ask nobody");
    }

    #[test]
    fn without_a_role_the_policy_ranks_and_without_searches_there_is_no_baseline() {
        let measured = evaluate(r#"{"v": {"vote": {"propose": {"n": 5, "max_tokens": 4}}}}"#).measured();
        let (_, Search::BestOfN(best)) = &measured[1] else { panic!("{measured:?}") };
        assert_eq!((&best.by[0].verifier, best.propose.max_tokens), (&Verifier::SelfLogProb, Some(4)));
        assert!(evaluate("{}").measured().is_empty());
    }
}

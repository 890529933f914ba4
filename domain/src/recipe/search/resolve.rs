//! A search as a job gets it: variables have their values, and what is for later generations is gone.

use std::collections::BTreeMap;

use super::super::Number;
use super::{BestFirst, Budget, Most, Propose, Puct, Search, Select, Uct};
use crate::ids::Name;

impl Search {
    /// The search with every variable's value, as it is in `generation` (from 1).
    ///
    /// # Errors
    /// The variable that is not declared.
    pub fn resolved(&self, vars: &BTreeMap<Name, f64>, generation: u32) -> Result<Self, Number> {
        let mut search = self.clone();
        for number in search.numbers() {
            let value = number.resolve(vars).ok_or_else(|| number.clone())?;
            *number = Number::Value(value);
        }
        let (evaluate, budget) = match &mut search {
            Self::Mcts(mcts) => (Some(&mut mcts.evaluate), Some(&mut mcts.budget)),
            Self::StepBeam(beam) => (Some(&mut beam.evaluate), Some(&mut beam.budget)),
            Self::BestOfN(best) => (Some(&mut best.by), None),
            Self::EnvRollout(episodes) => (Some(&mut episodes.by), None),
            _ => (None, None),
        };
        if let Some(evaluate) = evaluate {
            evaluate.retain(|evaluate| evaluate.from_generation <= generation);
        }
        if let Some(budget) = budget {
            budget.escalate_unsolved = budget.escalate_unsolved.filter(|more| more.from_generation <= generation);
        }
        Ok(search)
    }

    fn propose_mut(&mut self) -> &mut Propose {
        match self {
            Self::SampleK(propose) => propose,
            Self::BestOfN(search) => &mut search.propose,
            Self::Vote(search) => &mut search.propose,
            Self::StepBeam(search) => &mut search.propose,
            Self::Mcts(search) => &mut search.propose,
            Self::IdSampling(search) => &mut search.propose,
            Self::MultiTurn(search) => &mut search.propose,
            Self::RefineLoop(search) => &mut search.propose,
            Self::Debate(search) => &mut search.propose,
            Self::EnvRollout(search) => &mut search.propose,
            Self::CriticSampling(search) => &mut search.propose,
        }
    }

    fn numbers(&mut self) -> Vec<&mut Number> {
        if let Self::Mcts(mcts) = self {
            let mut numbers = mcts.propose.numbers();
            match &mut mcts.select {
                Select::Uct(Uct { c, .. }) | Select::Puct(Puct { c, .. }) | Select::BestFirst(BestFirst { c, .. }) => {
                    numbers.push(c);
                }
            }
            return numbers;
        }
        self.propose_mut().numbers()
    }
}

impl Number {
    /// The number of a resolved search; a variable that is left is 0, which [`Search::resolved`] rules out.
    #[must_use]
    pub fn value(&self) -> Option<f64> {
        match self {
            Self::Value(value) => Some(*value),
            Self::Variable(_) => None,
        }
    }
}

impl Budget {
    /// Bounds, where so many nodes could be made by other rules.
    pub(super) fn most(&self, nodes: u64, step: u64) -> Most {
        let factor = self.escalate_unsolved.map_or(1, |more| u64::from(more.factor.max(1)));
        let nodes = nodes.min(self.nodes.map_or(u64::MAX, u64::from));
        let by_tokens = self.tokens.unwrap_or(u64::MAX);
        // Every node takes a token at least.
        let nodes = nodes.min(by_tokens).saturating_mul(factor);
        let tokens = nodes.saturating_mul(step).min(by_tokens.saturating_mul(factor));
        Most { trajectories: nodes, completions: nodes, tokens }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Mcts, Simulate};
    use super::*;

    fn mcts(text: &str) -> Mcts {
        serde_json::from_value(serde_json::from_str(text).unwrap()).unwrap()
    }

    #[test]
    fn variables_get_their_values_and_later_evaluators_wait() {
        let text = r#"{"propose": {"n": 2, "temperature": "$t"}, "select": {"uct": {"c": "$c"}},
            "evaluate": [{"verifier": "rule"}, {"verifier": {"prm": "ppm"}, "when": "every", "from_generation": 3}],
            "budget": {"simulations": 4, "escalate_unsolved": {"from_generation": 2, "factor": 4}}}"#;
        let search = Search::Mcts(mcts(text));
        let vars = BTreeMap::from([(Name::new("t").unwrap(), 0.5), (Name::new("c").unwrap(), 3.0)]);
        let first = search.resolved(&vars, 1).unwrap();
        let Search::Mcts(resolved) = &first else { panic!() };
        assert_eq!(resolved.propose.temperature, Number::Value(0.5));
        assert!(matches!(&resolved.select, Select::Uct(Uct { c: Number::Value(c), .. }) if *c == 3.0));
        assert_eq!((resolved.evaluate.len(), resolved.budget.escalate_unsolved), (1, None));
        let Search::Mcts(third) = search.resolved(&vars, 3).unwrap() else { panic!() };
        assert_eq!((third.evaluate.len(), third.budget.escalate_unsolved.unwrap().factor), (2, 4));
        assert_eq!(search.resolved(&BTreeMap::new(), 1), Err(Number::Variable("$t".to_owned())));
    }

    #[test]
    fn bounds_follow_the_tightest_budget() {
        let with = |budget: &str| mcts(&format!(r#"{{"propose": {{"n": 3}}, "budget": {budget}}}"#));
        let most = |budget: &str| Search::Mcts(with(budget)).most(10);
        assert_eq!(most(r#"{"simulations": 4, "depth": 5}"#).completions, 4 * 5 * 3);
        assert_eq!(most(r#"{"simulations": 4, "depth": 5, "nodes": 7}"#).tokens, 70);
        assert_eq!(most(r#"{"tokens": 20}"#).tokens, 20);
        let one = Mcts { simulate: Simulate::OneGrowth, ..with(r#"{"simulations": 4, "depth": 5}"#) };
        assert_eq!(Search::Mcts(one).most(10).completions, 12);
    }
}

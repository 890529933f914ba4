//! What an experiment reads off a run: a metric of a member, at the end or on the way there.

use serde::{Deserialize, Serialize};

use crate::cluster::view::{EvolutionView, Phase, Score, StepView, Summary};
use crate::ids::Name;
use crate::recipe::evaluate::Metric;
use crate::recipe::tasks::Split;
use crate::stats::Interval;

/// A metric, and when it is read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Measure {
    pub metric: Metric,
    #[serde(default)]
    pub read: Read,
    /// The task sets that count; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks: Option<Vec<Name>>,
}

/// When a metric is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Read {
    /// On the sealed tasks, at the end.
    #[default]
    Finish,
    /// By the `evaluate` steps before the first generation.
    First,
    /// By the `evaluate` steps of that generation.
    Generation(u32),
    /// By those of the last generation that has any.
    Last,
    /// How far it fell from the first generation that measured it to the last one.
    Fall,
    /// The mean over all generations that measured it.
    Mean,
}

impl Measure {
    /// Its value for the member that the recipe calls `called`, over all its task sets: the mean, weighted by their tasks, with
    /// the interval of independent sets. `None` if the run did not measure it.
    #[must_use]
    pub fn of(&self, view: &EvolutionView, called: &Name) -> Option<Interval> {
        let at = |phase: Phase| self.pooled(scores(view, phase), called);
        let generations = || {
            let phases = view.steps.iter().map(|step| step.phase).filter(|phase| matches!(phase, Phase::Generation(_)));
            let mut phases: Vec<Phase> = phases.collect();
            phases.dedup();
            phases.into_iter().filter_map(at)
        };
        match self.read {
            Read::Finish => at(Phase::Finish),
            Read::First => at(Phase::First),
            Read::Generation(number) => at(Phase::Generation(number)),
            Read::Last => generations().next_back(),
            Read::Fall => Some(minus(generations().next()?, generations().next_back()?)),
            Read::Mean => mean(&generations().collect::<Vec<_>>()),
        }
    }

    /// Tokens that a search sampled per task, in the mean; `None` where something else is read, or not at the end.
    #[must_use]
    pub fn spent(&self, view: &EvolutionView, called: &Name) -> Option<f64> {
        if self.read != Read::Finish {
            return None;
        }
        let scores: Vec<&Score> = scores(view, Phase::Finish).filter(|score| self.counts(score, called)).collect();
        let tasks: u64 = scores.iter().map(|score| score.n).sum();
        let spent: Option<f64> = scores.iter().map(|score| Some(score.tokens? * score.n as f64)).sum();
        spent.filter(|_| tasks > 0).map(|spent| spent / tasks as f64)
    }

    fn counts(&self, score: &Score, called: &Name) -> bool {
        let set = self.tasks.as_ref().is_none_or(|tasks| tasks.contains(&score.tasks));
        // Where both splits were measured the sealed one counts, which only `finish` may read.
        let split = self.read != Read::Finish || score.split == Split::Test;
        set && split && score.metric == self.metric && score.called == *called
    }

    fn pooled<'a>(&self, scores: impl Iterator<Item = &'a Score>, called: &Name) -> Option<Interval> {
        let scores: Vec<&Score> = scores.filter(|score| self.counts(score, called)).collect();
        let tasks: u64 = scores.iter().map(|score| score.n).sum();
        if tasks == 0 {
            return None;
        }
        let (mut mean, mut below, mut above) = (0.0, 0.0, 0.0);
        for score in scores {
            let weight = score.n as f64 / tasks as f64;
            mean += weight * score.value.mean;
            below += (weight * (score.value.mean - score.value.low)).powi(2);
            above += (weight * (score.value.high - score.value.mean)).powi(2);
        }
        Some(Interval { mean, low: mean - below.sqrt(), high: mean + above.sqrt() })
    }

    /// For people: `pass_at 32, fall`. The metric itself is the caller's to write.
    #[must_use]
    pub fn when(&self) -> String {
        match self.read {
            Read::Finish => String::new(),
            Read::First => " before the first generation".to_owned(),
            Read::Generation(number) => format!(" in generation {number}"),
            Read::Last => " in the last generation".to_owned(),
            Read::Fall => " lost from the first generation to the last".to_owned(),
            Read::Mean => " in the mean of all generations".to_owned(),
        }
    }
}

/// The scores of one phase, in order.
pub fn scores(view: &EvolutionView, phase: Phase) -> impl Iterator<Item = &Score> {
    view.steps.iter().filter(move |step| step.phase == phase).flat_map(of_step)
}

fn of_step(step: &StepView) -> &[Score] {
    match &step.summary {
        Some(Summary::Evaluate { scores }) => scores,
        Some(
            Summary::Base { .. }
            | Summary::Rollout { .. }
            | Summary::Curate { .. }
            | Summary::Train { .. }
            | Summary::Tournament(_)
            | Summary::Control(_)
            | Summary::Propose { .. },
        )
        | None => &[],
    }
}

/// `a - b` of independent measurements.
pub(super) fn minus(a: Interval, b: Interval) -> Interval {
    let mean = a.mean - b.mean;
    let below = (a.mean - a.low).hypot(b.high - b.mean);
    let above = (a.high - a.mean).hypot(b.mean - b.low);
    Interval { mean, low: mean - below, high: mean + above }
}

/// The mean of independent measurements.
fn mean(values: &[Interval]) -> Option<Interval> {
    let n = values.len() as f64;
    let sum = |part: &dyn Fn(&Interval) -> f64| values.iter().map(part).sum::<f64>();
    if values.is_empty() {
        return None;
    }
    let mean = sum(&|v| v.mean) / n;
    let below = sum(&|v| (v.mean - v.low).powi(2)).sqrt() / n;
    let above = sum(&|v| (v.high - v.mean).powi(2)).sqrt() / n;
    Some(Interval { mean, low: mean - below, high: mean + above })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A finished run with searches of two task sets.
    fn view() -> EvolutionView {
        let score = |tasks: &str, split: &str, metric: serde_json::Value, n: u64, tokens: Option<f64>| {
            let mut score = json!({
                "member": "base-g0-12345678", "called": "base", "tasks": tasks, "split": split, "metric": metric,
                "value": {"mean": 0.5, "low": 0.4, "high": 0.6}, "n": n,
            });
            if let Some(tokens) = tokens {
                score["tokens"] = tokens.into();
            }
            score
        };
        let tree = json!({"search": "tree"});
        let scores = json!([
            score("maze", "test", tree.clone(), 30, Some(100.0)),
            score("sums", "test", tree.clone(), 10, Some(200.0)),
            score("maze", "val", tree, 30, Some(9999.0)),
            score("maze", "test", json!("pass_at_1"), 30, None),
        ]);
        let step = json!({
            "phase": "finish", "name": "final", "verb": "evaluate", "done": true, "elapsed_ms": 1, "progress": [1, 1],
            "tokens": 0, "summary": {"evaluate": {"scores": scores}},
        });
        serde_json::from_value(json!({
            "version": 1, "id": "a-1", "recipe": "a", "recipe_digest": "", "seed": 1, "status": "done", "failure": [],
            "generations": 1, "steps": [step], "members": [], "champions": [], "waiting": null, "retries": 0,
        }))
        .unwrap()
    }

    #[test]
    fn what_a_search_spends_is_the_mean_over_its_sealed_tasks() {
        let of = |metric: Metric, read: Read, tasks: Option<&str>| {
            let name = |text: &str| Name::new(text).unwrap();
            let tasks = tasks.map(|tasks| vec![name(tasks)]);
            Measure { metric, read, tasks }.spent(&view(), &name("base"))
        };
        let tree = || Metric::Search(Name::new("tree").unwrap());
        assert_eq!(of(tree(), Read::Finish, None), Some(125.0));
        assert_eq!(of(tree(), Read::Finish, Some("sums")), Some(200.0));
        assert_eq!(of(tree(), Read::Last, None), None, "only the end counts");
        assert_eq!(of(Metric::PassAt1, Read::Finish, None), None, "greedy answers are no search");
        assert_eq!(of(tree(), Read::Finish, Some("other")), None);
    }
}

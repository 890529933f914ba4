//! The stop rule: whether an evolution ends before its last generation.

use super::evolution::{Evolution, List, StepRun};
use super::view::{Phase, Score, Summary};
use crate::recipe::StopRule;
use crate::recipe::evaluate::Metric;
use crate::recipe::step::RecipeStep;

/// Why no generation after `generation` is started; `None` to go on.
pub(super) fn reason(evolution: &Evolution, generation: u32) -> Option<String> {
    holds(evolution.recipe.stop.as_ref()?, evolution, generation)
}

fn holds(rule: &StopRule, evolution: &Evolution, generation: u32) -> Option<String> {
    match rule {
        StopRule::Any(rules) => rules.iter().find_map(|rule| holds(rule, evolution, generation)),
        StopRule::Plateau { metric, generations } => {
            let values: Vec<f64> = (1..=generation).filter_map(|g| value(evolution, g, metric)).collect();
            plateau(&values, *generations as usize).then(|| {
                let best = values.iter().copied().fold(f64::MIN, f64::max);
                format!("{} did not rise above {best:.3} for {generations} generations", name(metric))
            })
        }
    }
}

fn name(metric: &Metric) -> String {
    match metric {
        Metric::PassAt1 => "pass_at_1".to_owned(),
        Metric::PassAt(k) => format!("pass_at {k}"),
        Metric::BestOf(best) => format!("best_of {} by {}", best.n, best.by),
        Metric::PairAccuracy(pairs) => format!("pair_accuracy of {} by {}", pairs.n, pairs.by),
        Metric::Number(name) => name.to_string(),
        Metric::Search(name) => format!("search {name}"),
        Metric::Rerank(n) => format!("rerank {n}"),
    }
}

/// Whether none of the last `patience` values is above all before them.
fn plateau(values: &[f64], patience: usize) -> bool {
    let Some(earlier) = values.len().checked_sub(patience).filter(|earlier| *earlier > 0 && patience > 0) else {
        return false;
    };
    let best = |part: &[f64]| part.iter().copied().fold(f64::MIN, f64::max);
    best(&values[earlier..]) <= best(&values[..earlier])
}

/// The metric of the last `evaluate` in `each`, in one generation: of the champion if it is scored there, else of the first
/// member; the mean over task sets.
fn value(evolution: &Evolution, generation: u32, metric: &Metric) -> Option<f64> {
    let position = evolution.recipe.each.iter().rposition(|step| matches!(step, RecipeStep::Evaluate(_)))?;
    let in_it = |run: &&StepRun| run.phase == Phase::Generation(generation) && run.list == List::Steps;
    let run = evolution.steps.iter().filter(in_it).find(|run| run.position == position)?;
    let Summary::Evaluate { scores } = &run.outcome.as_ref()?.summary else { return None };
    let of_metric: Vec<&Score> = scores.iter().filter(|score| score.metric == *metric).collect();
    let champion = of_metric.iter().find(|score| score.called.as_str() == "champion");
    let called = &champion.or_else(|| of_metric.first())?.called;
    let values: Vec<f64> =
        of_metric.iter().filter(|score| score.called == *called).map(|score| score.value.mean).collect();
    Some(values.iter().sum::<f64>() / values.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::plateau;

    #[test]
    fn a_plateau_needs_something_to_compare_with() {
        assert!(!plateau(&[0.5, 0.5], 2));
        assert!(plateau(&[0.5, 0.5, 0.4], 2));
        assert!(!plateau(&[0.5, 0.5, 0.6], 2));
        assert!(plateau(&[0.9, 0.2, 0.3], 2), "rising below the best is no rise");
        assert!(!plateau(&[], 1) && !plateau(&[0.1, 0.1], 0));
    }
}

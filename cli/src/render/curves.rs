//! Accuracy against tokens: searches side by side with the baseline, at the same spendings.

use std::collections::BTreeMap;

use galapagos_domain::cluster::view::{EvolutionView, Phase, Score};
use galapagos_domain::recipe::evaluate::Metric;

use super::table::aligned;
use super::{interval, metric};
use crate::outcome;

/// The scores that have a curve, those of one recipe step, member and task set together: under a head that names them.
#[must_use]
pub fn groups(view: &EvolutionView) -> Vec<(String, Vec<&Score>)> {
    let mut groups: BTreeMap<(Phase, String), Vec<&Score>> = BTreeMap::new();
    for (phase, score) in outcome::scores(view).filter(|(_, score)| !score.curve.is_empty()) {
        let head = format!("{} on {}/{} ({phase})", score.called, score.tasks, score.split);
        groups.entry((phase, head)).or_default().push(score);
    }
    groups.into_iter().map(|((_, head), scores)| (head, scores)).collect()
}

/// The name of a search above its curve; `told` are those that ask for the right answer on their way.
#[must_use]
pub fn label(score: &Score) -> String {
    let told = if score.knows { " (told)" } else { "" };
    match &score.metric {
        Metric::Search(name) => format!("{name}{told}"),
        other => metric(other),
    }
}

/// A table for each group: a spending a row, a search a column. Empty without searches.
#[must_use]
pub fn tables(view: &EvolutionView) -> String {
    let table = |(head, scores): (String, Vec<&Score>)| {
        let mut rows =
            vec![std::iter::once("tokens".to_owned()).chain(scores.iter().map(|score| label(score))).collect()];
        let points = scores.first().map_or(0, |score| score.curve.len());
        rows.extend((0..points).map(|at| {
            let cell = |score: &&Score| score.curve.get(at).map_or_else(String::new, |point| interval(&point.value));
            std::iter::once(scores[0].curve[at].tokens.to_string())
                .chain(scores.iter().map(cell))
                .collect::<Vec<String>>()
        }));
        format!("\nshare solved within so many tokens per task: {head}\n{}", aligned(&rows))
    };
    groups(view).into_iter().map(table).collect()
}

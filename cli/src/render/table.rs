//! The table of generations and the plain tables of lists.

use galapagos_domain::cluster::view::{Decision, EvolutionView, Phase, Summary};

use super::score;

/// Aligned columns; the first row is the head.
#[must_use]
pub fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// A generation a row (pass share of the rollouts, what was kept, the gate), and below it a line for each further score.
#[must_use]
pub fn generations(view: &EvolutionView) -> String {
    let mut phases: Vec<Phase> = view.steps.iter().map(|s| s.phase).collect();
    phases.dedup();
    let mut rows = vec![["phase", "rollouts pass", "kept", "gate", "scores"].map(str::to_owned).to_vec()];
    rows.extend(phases.into_iter().filter(|p| *p != Phase::Base).flat_map(|phase| generation_rows(view, phase)));
    aligned(&rows)
}

fn generation_rows(view: &EvolutionView, phase: Phase) -> Vec<Vec<String>> {
    let (mut pass, mut kept, mut gate, mut scores) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for step in view.steps.iter().filter(|s| s.phase == phase) {
        match &step.summary {
            Some(Summary::Rollout { counts, .. }) => {
                pass.push(format!("{:.1}%", 100.0 * counts.pass as f64 / counts.total().max(1) as f64));
            }
            Some(Summary::Curate { records, .. }) => kept.push(format!("{} {records}", step.name)),
            Some(Summary::Propose { sifted, .. }) => kept.push(format!("{} {}", step.name, sifted.kept)),
            Some(Summary::Tournament(ladder)) => gate.push(decision(ladder.decision).to_owned()),
            Some(Summary::Evaluate { scores: all }) => scores.extend(all.iter().map(score)),
            Some(Summary::Control(decided)) => scores.push(super::line::moves(&decided.moves)),
            Some(Summary::Base { .. } | Summary::Train { .. }) | None => {}
        }
    }
    let mut scores = scores.into_iter();
    let first = scores.next().unwrap_or_default();
    let mut rows = vec![vec![phase.to_string(), pass.join(", "), kept.join(", "), gate.join(", "), first]];
    rows.extend(scores.map(|score| vec![String::new(), String::new(), String::new(), String::new(), score]));
    rows
}

fn decision(decision: Decision) -> &'static str {
    match decision {
        Decision::Undecided => "undecided",
        Decision::Promoted => "promoted",
        Decision::Refused => "refused",
        Decision::Inconclusive => "inconclusive",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_no_line_ends_in_blanks() {
        let rows = [vec!["id".to_owned(), "state".to_owned()], vec!["quickstart-1".to_owned(), String::new()]];
        assert_eq!(aligned(&rows), "id            state\nquickstart-1\n");
    }
}

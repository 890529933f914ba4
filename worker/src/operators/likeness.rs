//! `dedupe` and `dedupe_by`: the first of those records of a task that are alike.

use std::collections::HashSet;

use galapagos_domain::trajectory::Trajectory;

use super::stage::{Group, chosen};

/// Alike are equal completions.
pub(super) fn exact<'a>() -> Group<'a> {
    first_of(|record| record.completion.clone())
}

/// Alike are equal last lines, without the spaces around them; empty lines do not count.
pub(super) fn by_answer<'a>() -> Group<'a> {
    first_of(|record| answer(&record.completion).to_owned())
}

/// What stands last in a completion.
pub(super) fn answer(completion: &str) -> &str {
    completion.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or("")
}

fn first_of<'a>(key: fn(&Trajectory) -> String) -> Group<'a> {
    Box::new(move |rows| {
        let mut seen = HashSet::new();
        let stays: Vec<bool> = rows.iter().map(|row| seen.insert(key(row))).collect();
        Ok(chosen(rows, |place| stays[place]))
    })
}

/// Alike are completions whose sets of runs of `ngram` tokens overlap by at least `threshold` (Jaccard); a record is compared with
/// those that stay.
pub(super) fn near<'a>(ngram: u32, threshold: f64) -> Group<'a> {
    Box::new(move |rows| {
        let mut kept: Vec<HashSet<Vec<u32>>> = Vec::new();
        let mut stays = Vec::with_capacity(rows.len());
        for row in &rows {
            let runs = runs(&row.completion_tokens, ngram as usize);
            let new = kept.iter().all(|other| jaccard(&runs, other) < threshold);
            if new {
                kept.push(runs);
            }
            stays.push(new);
        }
        Ok(chosen(rows, |place| stays[place]))
    })
}

/// A completion shorter than a run is one run.
fn runs(tokens: &[u32], ngram: usize) -> HashSet<Vec<u32>> {
    if tokens.len() < ngram {
        return HashSet::from([tokens.to_vec()]);
    }
    tokens.windows(ngram.max(1)).map(<[u32]>::to_vec).collect()
}

fn jaccard(a: &HashSet<Vec<u32>>, b: &HashSet<Vec<u32>>) -> f64 {
    let common = a.intersection(b).count();
    common as f64 / (a.len() + b.len() - common).max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jaccard_of_runs_of_two() {
        // 12 23 34 against 12 23 39: two common of four.
        let (a, b) = (runs(&[1, 2, 3, 4], 2), runs(&[1, 2, 3, 9], 2));
        assert!((jaccard(&a, &b) - 0.5).abs() < 1e-12);
        assert!((jaccard(&runs(&[1], 2), &runs(&[1], 2)) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_answer_is_the_last_line_with_something_on_it() {
        assert_eq!(answer("a\n  b \n \n"), "b");
        assert_eq!(answer("\n"), "");
    }
}

//! Counting the votes of a round: equal weights on every rank and a checkpoint from rank 0, or the try is worth nothing.

use std::collections::BTreeMap;

use crate::ids::Digest;
use crate::round::Vote;

/// What the votes of all ranks say together.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Ballot {
    /// All ranks hold the same weights and rank 0 stored them as `checkpoint`.
    Agreed { checkpoint: Digest, vote: Vote },
    /// Some ranks hold other weights than most, or than rank 0 where there is no majority.
    Split { culprit: u32, reason: String },
    /// Rank 0 stored no checkpoint.
    NoCheckpoint,
}

/// Counts the votes of ranks `0..world size`; all are present.
pub(super) fn count(votes: &BTreeMap<u32, Vote>) -> Ballot {
    let Some(first) = votes.get(&0) else { return Ballot::NoCheckpoint };
    let mut camps: BTreeMap<Digest, Vec<u32>> = BTreeMap::new();
    for (rank, vote) in votes {
        camps.entry(vote.weights).or_default().push(*rank);
    }
    if camps.len() > 1 {
        let largest = camps.values().map(Vec::len).max().unwrap_or(0);
        let rank_0_is_in_the_largest = camps[&first.weights].len() == largest;
        let right = camps.iter().find(|(weights, ranks)| {
            if rank_0_is_in_the_largest { **weights == first.weights } else { ranks.len() == largest }
        });
        let right = right.map_or(first.weights, |(weights, _)| *weights);
        let culprit = votes.iter().find(|(_, vote)| vote.weights != right).map_or(0, |(rank, _)| *rank);
        let told: Vec<String> =
            camps.iter().map(|(weights, ranks)| format!("{} by ranks {ranks:?}", weights.short())).collect();
        return Ballot::Split {
            culprit,
            reason: format!("the ranks ended with different weights: {}", told.join(", ")),
        };
    }
    match first.checkpoint {
        Some(checkpoint) => Ballot::Agreed { checkpoint, vote: first.clone() },
        None => Ballot::NoCheckpoint,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn votes(weights: &[&str]) -> BTreeMap<u32, Vote> {
        (0u32..)
            .zip(weights)
            .map(|(rank, text)| {
                let checkpoint = (rank == 0).then(|| Digest::of(b"checkpoint"));
                (rank, Vote { checkpoint, ..Vote::new(Digest::of(text.as_bytes()), 3, 0.5) })
            })
            .collect()
    }

    #[test]
    fn equal_votes_agree_on_rank_0s_checkpoint() {
        let Ballot::Agreed { checkpoint, .. } = count(&votes(&["a", "a", "a"])) else { panic!("no agreement") };
        assert_eq!(checkpoint, Digest::of(b"checkpoint"));
    }

    #[test]
    fn the_culprit_is_outside_the_majority() {
        for (weights, expected) in [(["a", "b", "a"], 1), (["b", "a", "a"], 0), (["a", "a", "b"], 2)] {
            let Ballot::Split { culprit, reason } = count(&votes(&weights)) else { panic!("agreed on {weights:?}") };
            assert_eq!(culprit, expected, "{weights:?}: {reason}");
        }
    }

    #[test]
    fn with_two_ranks_rank_0_is_believed_and_a_missing_checkpoint_is_no_commit() {
        assert!(matches!(count(&votes(&["a", "b"])), Ballot::Split { culprit: 1, .. }));
        let mut none = votes(&["a", "a"]);
        if let Some(vote) = none.get_mut(&0) {
            vote.checkpoint = None;
        }
        assert_eq!(count(&none), Ballot::NoCheckpoint);
    }
}

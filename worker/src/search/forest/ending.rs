//! The end of a job's searches: what is believed of its verifiers when all that they said is there, and the verdict of every trajectory.

use std::sync::Arc;

use galapagos_domain::recipe::search::Trust;
use galapagos_domain::recipe::verify::Verifier;
use galapagos_domain::trajectory::{Audit, Outcome, Score, Verdict};

use super::decision::{decide, right_steps};
use super::{Found, Harvest, Searched};
use crate::search::canaries::{Said, names, settle};
use crate::search::tree::{NodeId, Tree};

/// The search of one task, once everything was said about its trajectories.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) tree: Tree,
    /// The ends of its trajectories, in the order of the extractor.
    pub(super) found: Vec<NodeId>,
    pub(super) said: Said,
}

/// The trajectories of a job with their verdicts; `retried` questions were asked again.
pub(super) fn harvest(trust: &Trust, verify: &[Arc<Verifier>], ended: Vec<Ended>, retried: u64) -> Harvest {
    let mut audit = Audit { retried, ..Audit::default() };
    let names = names(verify);
    let (mut trees, mut job) = (Vec::new(), Vec::new());
    for Ended { tree, found, said } in ended {
        for (name, verdict) in said.verdicts.iter().flat_map(|verdicts| names.iter().zip(verdicts)) {
            audit.note(name, verdict);
        }
        trees.push((tree, found));
        job.push(said);
    }
    if let Some(canaries) = &trust.canaries {
        audit.tested = settle(canaries, verify, &mut job);
    }
    for tested in audit.tested.iter().filter(|tested| tested.suspended > 0) {
        let reason = tested.reason.as_deref().unwrap_or_default();
        tracing::warn!(verifier = tested.verifier, marked = tested.marked, "a verifier is suspended: {reason}");
    }
    let mut erring = 0;
    let searched = trees.into_iter().zip(job).map(|((tree, nodes), said)| {
        let found = |(node, verdicts): (NodeId, Vec<Verdict>)| {
            let score = |verdict: &Verdict| Some(Score { by: verdict.verifier.clone(), value: verdict.score? });
            let scores = verdicts.iter().filter_map(score).collect();
            let path = tree.path(node);
            let steps = path.nodes.iter().filter(|node| tree[**node].piece.part.is_sampled()).count();
            let right_steps = right_steps(verify, &verdicts, steps);
            Found { node, path, verdict: decide(verify, verdicts), scores, right_steps }
        };
        let found: Vec<Found> = nodes.into_iter().zip(said.verdicts).map(found).collect();
        erring += usize::from(found.iter().any(|found| found.verdict.outcome == Outcome::Error));
        Searched { tree, found }
    });
    let searched = searched.collect();
    Harvest { searched, audit, erring }
}

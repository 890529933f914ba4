//! The end of a job's searches: what is believed of its verifiers when all that they said is there, and the verdict of every trajectory.

use std::sync::Arc;

use galapagos_domain::recipe::search::Trust;
use galapagos_domain::recipe::verify::Verifier;
use galapagos_domain::trajectory::{Audit, Outcome, Score, Tested, Verdict};

use super::decision::{decide, right_steps};
use super::{Erring, Found, Harvest, Searched};
use crate::search::canaries::{Examinees, Said, names, settle};
use crate::search::tree::{NodeId, Tree};

/// The search of one task, once everything was said about its trajectories.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) tree: Tree,
    /// The ends of its trajectories, in the order of the extractor.
    pub(super) found: Vec<NodeId>,
    pub(super) said: Said,
    /// Of its evaluators, on the way.
    pub(super) heard: Audit,
}

/// The trajectories of a job with their verdicts; `retried` questions were asked again.
pub(super) fn harvest(trust: &Trust, examinees: &Examinees, ended: Vec<Ended>, retried: u64) -> Harvest {
    let verify = examinees.verify();
    let mut audit = Audit { retried, ..Audit::default() };
    let names = names(verify);
    let (mut trees, mut job, mut erring) = (Vec::new(), Vec::new(), Erring::default());
    for Ended { tree, found, said, heard } in ended {
        for of in heard.evaluators.iter().filter(|of| of.error > 0) {
            *erring.evaluators.entry(of.verifier.clone()).or_insert(0) += 1;
        }
        audit.add(&heard);
        for (name, verdict) in said.verdicts.iter().flat_map(|verdicts| names.iter().zip(verdicts)) {
            audit.note(name, verdict);
        }
        said.verdicts.iter().for_each(|verdicts| compare(&mut audit, (verify, &names), verdicts));
        trees.push((tree, found));
        job.push(said);
    }
    if let Some(canaries) = &trust.canaries {
        audit.tested = settle(canaries, examinees, &mut job);
    }
    for tested in audit.tested.iter().filter(|tested| tested.suspended > 0) {
        let reason = tested.reason.as_deref().unwrap_or_default();
        let Tested { verifier, marked, misled, .. } = tested;
        tracing::warn!(verifier, marked, misled, "a verifier is suspended: {reason}");
    }
    let searched = trees.into_iter().zip(job).map(|((mut tree, nodes), said)| {
        if let Some(reason) = &said.misled_tree {
            tree.doubt(reason);
        }
        let mut misled = said.misled.into_iter();
        let found = |(node, verdicts): (NodeId, Vec<Verdict>)| {
            let score = |verdict: &Verdict| Some(Score { by: verdict.verifier.clone(), value: verdict.score? });
            let scores = verdicts.iter().filter_map(score).collect();
            let path = tree.path(node);
            let steps = path.nodes.iter().filter(|node| tree[**node].piece.part.is_sampled()).count();
            let right_steps = right_steps(verify, &verdicts, steps);
            let verdict = doubted(decide(verify, verdicts), misled.next().flatten());
            Found { node, path, verdict, scores, right_steps }
        };
        let found: Vec<Found> = nodes.into_iter().zip(said.verdicts).map(found).collect();
        erring.tasks += usize::from(found.iter().any(|found| found.verdict.outcome == Outcome::Error));
        Searched { tree, found }
    });
    let searched = searched.collect();
    Harvest { searched, audit, erring }
}

/// Notes how the other verifiers that decide stand to the first one on a trajectory.
fn compare(audit: &mut Audit, (verify, names): (&[Arc<Verifier>], &[String]), verdicts: &[Verdict]) {
    let all = verify.iter().zip(names).zip(verdicts);
    let mut deciding =
        all.filter(|((verifier, _), _)| verifier.decides()).map(|((_, name), said)| (name.as_str(), said));
    let Some(first) = deciding.next() else { return };
    deciding.for_each(|other| audit.compare(first, other));
}

/// A verdict on what a search found that is not believed for some reason; what decided nothing stays what it is.
fn doubted(verdict: Verdict, reason: Option<String>) -> Verdict {
    match reason.filter(|_| verdict.outcome.is_decided()) {
        Some(reason) => Verdict { cost: verdict.cost, ..Verdict::new(Outcome::Suspect, reason).by(verdict.verifier) },
        None => verdict,
    }
}

//! What a `propose` brought: what its shares refused, what the last job kept, and whether that is enough.

use super::Ended;
use crate::artifact::ArtifactRef;
use crate::cluster::evolution::{Evolution, Outcome, StepRun};
use crate::cluster::view::Summary;
use crate::job::{JobKind, JobOutput, JobSpec, ProposePart, ProposeSpec, Sifted};
use crate::recipe::step::RecipeStep;

/// Whether the job puts proposed questions together.
pub(super) fn gathers(spec: &JobSpec) -> bool {
    matches!(&spec.kind, JobKind::Propose(spec) if matches!(spec.part, ProposePart::Gather(_)))
}

/// What became of all questions that were proposed so far.
pub(super) fn sifted(ended: &[Ended<'_>]) -> Sifted {
    let of = |whether: bool| {
        ended.iter().filter(move |(spec, _)| gathers(spec) == whether).filter_map(|(_, output)| match output {
            JobOutput::Propose { sifted, .. } => Some(sifted),
            _ => None,
        })
    };
    Sifted::sum(of(false), of(true).next())
}

/// Why a finished `propose` is of no use: it kept fewer questions than the recipe wants at least.
pub(in crate::cluster) fn shortfall(evolution: &Evolution, run: &StepRun, outcome: &Outcome) -> Option<Vec<String>> {
    let Summary::Propose { sifted, at_least } = &outcome.summary else { return None };
    if sifted.kept >= u64::from(*at_least) {
        return None;
    }
    let role = match evolution.recipe_step(run) {
        Some(RecipeStep::Propose(proposals)) => proposals.role.as_str(),
        _ => "",
    };
    let example = sifted.example.as_ref().map_or_else(String::new, |example| format!(", for example {example}"));
    Some(vec![
        format!("`{}` of {} has too few questions: {} are new and good, {at_least} are wanted", run.name, run.phase, sifted.kept),
        format!("the role `{role}` wrote {}; refused: {}{example}", sifted.tries, sifted.refusals()),
        "let it write more by `tries`, or take fewer by `at_least`; a policy learns to ask from `curate: {from: {questions: ...}}`".to_owned(),
    ])
}

/// Why an output cannot be the result of this job: every question must be accounted for.
pub(super) fn misfit(propose: &ProposeSpec, questions: &ArtifactRef, sifted: &Sifted) -> Option<String> {
    let (drawn, most) = match &propose.part {
        ProposePart::Write { from, to } => (u64::from(to.saturating_sub(*from)), u64::MAX),
        ProposePart::Gather(tables) => (tables.iter().map(|table| table.rows).sum(), u64::from(propose.n)),
    };
    let sound = sifted.adds_up(drawn) && sifted.kept == questions.rows && sifted.kept <= most;
    (!sound).then(|| format!("the refusals and what was kept are not the {drawn} questions that were looked at"))
}

//! A measured search: of every task what it answers, and what it would have answered for fewer tokens. Whatever the search itself asked,
//! the task's rule decides on answers, and the environment on episodes, as it does for `pass_at_1`. A search in which the environment
//! failed anywhere is not what it would have been, so the job ends and may be tried again: nothing of it counts as a miss.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use galapagos_domain::job::{JobOutput, JobSpec, MeasureSpec, Moment, TaskCurve};
use galapagos_domain::recipe::search::Trust;
use galapagos_domain::recipe::verify::{EnvReturn, Verifier};
use galapagos_domain::trajectory::Verdict;
use galapagos_domain::tree::TreeTurn;

use super::evaluate::passes;
use super::meter::Meter;
use super::rollout::search_failed;
use super::scene::{answer_tokens, critics};
use super::tasks::Tasks;
use super::{JobError, Workshop, engine_failed, played, stage};
use crate::search::{self, Forest, NodeId, Pace, Path, Tree};
use crate::verify::Panel;
use crate::verify::episode::env_return;

pub(super) fn run(shop: &Workshop, job: &JobSpec, spec: &MeasureSpec, meter: &Meter) -> Result<JobOutput, JobError> {
    let checkpoint = shop.runtime.block_on(shop.checkpoints.open(&spec.policy))?;
    let codec = shop.engine.codec(&checkpoint).map_err(engine_failed("open the policy's tokenizer"))?;
    let tasks = stage::prepare(shop, &spec.tasks, codec.as_ref(), job.seed, answer_tokens(&spec.search))?;
    let critics = critics(shop, &spec.critics)?;
    let units = tasks.items.len() as u64;
    meter.expect(units, units * spec.search.trajectories().unwrap_or(1));
    let verify = [if tasks.stage.is_some() { played::rule() } else { Verifier::Rule }];
    let forest = Forest {
        engine: &shop.engine,
        policy: Arc::new(checkpoint),
        codec,
        tasks: &tasks,
        search: &spec.search,
        verify: &verify,
        critics: &critics,
        meter,
        code: &shop.code,
        trust: &Trust::default(),
        pace: Pace::Free,
        portions: &[],
    };
    let (searched, moments) = forest.measure().map_err(search_failed)?;
    let panel = Panel::rule_with(&shop.code);
    let mut curves = Vec::with_capacity(tasks.items.len());
    for (place, (searched, moments)) in searched.into_iter().zip(&moments).enumerate() {
        curves.push(curve((&panel, &tasks), place, &searched.tree, moments)?);
    }
    Ok(JobOutput::Measure { tasks: curves, tokens: meter.tokens() })
}

fn curve(
    (panel, tasks): (&Panel, &Tasks),
    place: usize,
    tree: &Tree,
    moments: &[search::Moment],
) -> Result<TaskCurve, JobError> {
    if let Some(verdict) = failure(tree) {
        return Err(played::unplayed(tasks, place, verdict));
    }
    let nodes: BTreeSet<NodeId> = moments.iter().flat_map(|moment| moment.found.iter().copied()).collect();
    let mut right = BTreeMap::new();
    for node in nodes {
        right.insert(node, is_right((panel, tasks), place, &tree.path(node))?);
    }
    let count = |moment: &search::Moment| Moment {
        tokens: moment.tokens,
        answers: u32::try_from(moment.found.len()).unwrap_or(u32::MAX),
        passes: u32::try_from(moment.found.iter().filter(|node| right[node]).count()).unwrap_or(u32::MAX),
    };
    Ok(TaskCurve { task: tasks.items[place].index, moments: moments.iter().map(count).collect() })
}

/// Whether what a search would have ended with at `path` solves the task.
fn is_right((panel, tasks): (&Panel, &Tasks), place: usize, path: &Path) -> Result<bool, JobError> {
    match &tasks.stage {
        Some(_) => played::solved(tasks, place, &env_return(&EnvReturn::default(), &path.turns)),
        None => passes(panel, tasks, place, &path.answer),
    }
}

/// The first turn of a tree that the environment failed, in order of making.
fn failure(tree: &Tree) -> Option<&Verdict> {
    tree.iter().find_map(|(_, node)| match &node.turn {
        Some(TreeTurn::Failed(verdict)) => Some(verdict),
        Some(TreeTurn::Played(_)) | None => None,
    })
}

#[cfg(test)]
mod tests {
    use galapagos_domain::ids::Name;
    use galapagos_domain::job::JobKind;
    use galapagos_domain::recipe::evaluate::Metric;
    use galapagos_domain::recipe::search::{Ballot, BestOfN, Evaluate, Propose, Search, Vote};
    use galapagos_domain::recipe::tasks::Split;

    use super::super::test_bench::Bench;
    use super::*;

    fn measured(bench: &Bench, search: &Search, indices: std::ops::Range<u32>) -> (Vec<TaskCurve>, u64) {
        let spec = MeasureSpec {
            policy: bench.policy,
            tasks: bench.slice(Split::Val, indices),
            metric: Metric::Search(Name::new("mine").unwrap()),
            search: Box::new(search.clone()),
            critics: BTreeMap::new(),
        };
        let output = bench.run(JobKind::Measure(spec)).unwrap();
        let JobOutput::Measure { tasks, tokens } = output else { panic!("{output:?}") };
        (tasks, tokens)
    }

    fn reranked(n: u32) -> Search {
        let by = vec![Evaluate::terminal(Verifier::SelfLogProb)];
        Search::BestOfN(BestOfN { propose: Propose::answers(n, 0.8), by })
    }

    #[test]
    fn the_way_of_a_large_sample_holds_the_ends_of_all_smaller_ones() {
        let bench = Bench::new();
        let vote = |n| Search::Vote(Vote { propose: Propose::answers(n, 0.8), by: Ballot::default() });
        let samples = |n| Search::SampleK(Propose::answers(n, 0.8));
        for search in [reranked as fn(u32) -> Search, vote, samples] {
            let (large, tokens) = measured(&bench, &search(6), 0..12);
            assert_eq!(tokens, large.iter().map(|curve| curve.moments.last().unwrap().tokens).sum::<u64>());
            for n in [1, 3, 6] {
                let (small, _) = measured(&bench, &search(n), 0..12);
                for (large, small) in large.iter().zip(&small) {
                    let end = small.moments.last().unwrap();
                    assert!(large.moments.contains(end), "{n}: {end:?} is not in {large:?}");
                }
            }
        }
    }

    #[test]
    fn trees_tell_what_they_would_have_answered_and_pieces_give_the_same_curves() {
        let bench = Bench::new();
        let tree: Search = serde_json::from_str(
            r#"{"mcts": {"propose": {"n": 2, "unit": {"tokens": 8}}, "budget": {"simulations": 3, "depth": 2},
                "width": {"up_to": 6}, "evaluate": [{"verifier": "rule"}], "extract": {"top": 1}}}"#,
        )
        .unwrap();
        let (whole, _) = measured(&bench, &tree, 0..8);
        let (first, _) = measured(&bench, &tree, 0..3);
        let (rest, _) = measured(&bench, &tree, 3..8);
        assert_eq!(whole, [first, rest].concat());
        assert!(whole.iter().all(|curve| curve.moments.is_sorted_by(|a, b| a.tokens < b.tokens)));
        assert!(whole.iter().any(|curve| curve.moments.len() > 2), "no tree changed its answer: {whole:?}");
        let ends = |curve: &TaskCurve| (curve.moments[0].passes, curve.moments.last().unwrap().passes);
        assert!(whole.iter().any(|curve| ends(curve) == (0, 1)), "more tokens find what is right: {whole:?}");
        assert!(whole.iter().any(|curve| ends(curve) == (1, 1)) && whole.iter().all(|curve| ends(curve) != (1, 0)));
    }
}

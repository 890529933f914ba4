//! A rollout: search over tasks, a verdict on every trajectory, one trajectory file in order of (task, trajectory); of searches over
//! trees, the trees in a file beside it.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use galapagos_artifacts::{trajectories, trees};
use galapagos_domain::artifact::ArtifactRef;
use galapagos_domain::job::{JobOutput, JobSpec, RolloutSpec};
use galapagos_domain::recipe::search::{ERRING_TASKS, Search};
use galapagos_domain::recipe::verify::Verifier;
use galapagos_domain::trajectory::{Audit, Credit, Heard, Leaf, Outcome, Span, Trajectory, Verdict, VerdictCounts};
use galapagos_domain::tree::{TreeNode, TreeTurn};

use super::meter::Meter;
use super::progress::{Progress, forget};
use super::scene::Scene;
use super::{JobError, Workshop, grow, store_failed};
use crate::search::{Erring, ForestError, Found, Harvest, Node, NodeId, Origin, Searched, Tree, records};

pub(super) fn run(shop: &Workshop, job: &JobSpec, spec: &RolloutSpec, meter: &Meter) -> Result<JobOutput, JobError> {
    if spec.verify.is_empty() {
        return Err(JobError::NoVerifier);
    }
    let scene = Scene::set(shop, job, spec)?;
    let Scene { tasks, origins, .. } = &scene;
    let units = tasks.items.len() as u64 * spec.search.trajectories().unwrap_or(1);
    meter.expect(units, units);
    let grown = grow::ended(shop, &scene)?;
    let forest = scene.forest(grown.as_ref().map_or(&[], |grown| grown.portions.as_slice()), meter);
    let mut progress = Progress::new(shop, job, origins);
    let grows = matches!(*spec.search, Search::Mcts(_) | Search::StepBeam(_));
    let begun = match &grown {
        Some(grown) => grown.trees.clone(),
        None if grows => progress.begun(),
        None => BTreeMap::new(),
    };
    let court = forest.court().map_err(search_failed)?;
    let Harvest { searched, audit, erring } = forest.search(&court, begun, &mut progress).map_err(search_failed)?;
    let (mut rows, mut nodes) = (Vec::new(), Vec::new());
    for (origin, Searched { tree, found }) in origins.iter().zip(searched) {
        let leaf = |found: &Found| grows.then(|| Leaf { tree: origin.tree(), node: found.node.0 });
        rows.extend((0..).zip(&found).map(|(number, found)| row(origin, number, (found, &tree), leaf(found))));
        if let Some(last) = rows.last_mut().filter(|_| spec.search.draws_greedy() && !found.is_empty()) {
            last.credit.greedy = true;
        }
        if grows {
            let ends: Vec<_> = found.iter().map(|found| found.node).collect();
            nodes.extend(records(&tree, origin, &ends));
        }
    }
    let mut counts = VerdictCounts::default();
    rows.iter().for_each(|row| counts.count(row.verdict.outcome));
    believe(spec, &counts, &audit, &erring)?;
    let trees = if grows { Some(store_trees(shop, &nodes)?) } else { None };
    let trajectories = store_rows(shop, &rows)?;
    if grows {
        forget(shop, &job.id);
    }
    let judges = court.calibrations();
    Ok(JobOutput::Rollout { trajectories, trees, counts, audit: Box::new(audit), tokens: meter.tokens(), judges })
}

/// Fails a job whose verifier is broken: more errors than the recipe allows, on several tasks, and not on one that is at fault itself.
/// An evaluator of the search counts for itself: one that only errs leaves trees that nobody led.
pub(super) fn believe(
    spec: &RolloutSpec,
    counts: &VerdictCounts,
    audit: &Audit,
    erring: &Erring,
) -> Result<(), JobError> {
    let broken = |tasks: usize, errors: u64, of: u64| {
        tasks >= ERRING_TASKS && errors as f64 > spec.trust.most_errors * of as f64
    };
    if broken(erring.tasks, counts.error, counts.total()) {
        let (verifier, reason) = audit
            .most(Outcome::Error)
            .map_or_else(Default::default, |trouble| (trouble.verifier.clone(), trouble.reason.clone()));
        return Err(unbelievable(spec, (counts.error, counts.total()), verifier, &reason));
    }
    let tasks = |heard: &Heard| erring.evaluators.get(&heard.verifier).copied().unwrap_or(0);
    match audit.evaluators.iter().find(|heard| broken(tasks(heard), heard.error, heard.verdicts)) {
        Some(heard) => {
            let reason = heard.reason.as_deref().unwrap_or_default();
            Err(unbelievable(spec, (heard.error, heard.verdicts), heard.verifier.clone(), reason))
        }
        None => Ok(()),
    }
}

fn unbelievable(spec: &RolloutSpec, (errors, verdicts): (u64, u64), verifier: String, reason: &str) -> JobError {
    let elsewhere = spec.tasks.source.env().is_some_and(|env| env.url.is_some());
    let mut asked = spec.verify.iter().chain(spec.search.verifiers());
    let by_chance = elsewhere || asked.any(|verifier| verifier.holds(&Verifier::errs_by_chance));
    // One line, whatever the verifier said.
    let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
    JobError::Verifier { errors, verdicts, verifier, reason, by_chance }
}

pub(super) fn search_failed(error: ForestError) -> JobError {
    match error {
        ForestError::Cancelled => JobError::Cancelled,
        error => JobError::Search { source: Box::new(error) },
    }
}

/// What a search found, as a record.
pub(super) fn row(origin: &Origin, sample: u32, (found, tree): (&Found, &Tree), leaf: Option<Leaf>) -> Trajectory {
    Trajectory {
        job: origin.job.clone(),
        task_set: origin.task_set.clone(),
        task: origin.task.clone(),
        sample,
        policy: origin.policy,
        prompt_tokens: origin.prompt.clone(),
        prefix_len: origin.prefix_len,
        completion_tokens: found.path.tokens.clone(),
        log_probs: found.path.log_probs.clone(),
        completion: found.path.text.clone(),
        verdict: undecided(found, tree).filter(|_| leaf.is_none()).unwrap_or(&found.verdict).clone(),
        scores: found.scores.clone(),
        leaf,
        credit: Credit { spans: spans(found, tree), ..Credit::default() },
    }
}

/// The verdict on an answer of a chain that decided nothing, where each is judged: then nothing is known of the chain.
fn undecided<'a>(found: &Found, tree: &'a Tree) -> Option<&'a Verdict> {
    let answers = found.path.nodes.iter().map(|node| &tree[*node]).filter(|node| node.turn.is_none());
    let mut verdicts = answers.filter_map(|answer| answer.verdict.as_ref());
    verdicts.find(|verdict| found.path.nodes.len() > 1 && !verdict.outcome.is_decided())
}

/// One span for each step, with its Q, or what the environment paid for it where nothing was searched; one for what was shown before it,
/// and one for what was shown behind it.
/// None for an answer in one piece. Where the first wrong step was looked for, what is sampled before it is of class 1, the step of class
/// 0, and what comes behind of none. A tree that is not believed has no values.
fn spans(found: &Found, tree: &Tree) -> Vec<Span> {
    // What somebody else wrote has no log-probabilities.
    let own = |node: &Node| node.piece.tokens.is_empty() || !node.piece.log_probs.is_empty();
    let plain = |node: &NodeId| tree[*node].turn.is_none() && tree[*node].guidance.is_none() && own(&tree[*node]);
    let doubted = tree.doubted().is_some();
    if found.path.nodes.len() < 2 && found.path.nodes.iter().all(plain) {
        return Vec::new();
    }
    let (mut start, mut step) = (0, 0);
    let mut spans = Vec::new();
    for node in &found.path.nodes {
        let node = &tree[*node];
        let (written, all) = (node.piece.log_probs.len(), node.piece.tokens.len());
        let value = match &node.turn {
            _ if doubted => None,
            _ if node.visits > 0.0 => Some(node.q),
            Some(TreeTurn::Played(played)) => Some(played.reward),
            Some(TreeTurn::Failed(_)) | None => node.own,
        };
        let sampled = node.piece.part.is_sampled();
        let learn = sampled && own(node);
        let class = found.right_steps.filter(|_| learn).and_then(|right| match step.cmp(&right) {
            Ordering::Less => Some(1),
            Ordering::Equal => Some(0),
            Ordering::Greater => None,
        });
        step += usize::from(sampled);
        let mut part = |tokens: usize, learn, (value, class): (Option<f64>, Option<u32>)| {
            let end = start + u32::try_from(tokens).unwrap_or(u32::MAX);
            spans.push(Span { start, end, learn, value: value.map(|v| v as f32), class });
            start = end;
        };
        if let Some(shown) = &node.guidance {
            part(shown.tokens.len(), false, (None, None));
        }
        match &node.turn {
            None => part(all, learn, (value, class)),
            Some(_) => {
                part(written, learn, (value, class));
                if all > written {
                    part(all - written, false, (None, None));
                }
            }
        }
    }
    spans
}

fn store_trees(shop: &Workshop, nodes: &[TreeNode]) -> Result<ArtifactRef, JobError> {
    let failed = store_failed("store the table of trees");
    let bytes = trees::encode(nodes, None).map_err(failed)?;
    shop.runtime.block_on(shop.store.put(bytes, nodes.len() as u64)).map_err(failed)
}

/// Writes rows as one file of the artifact store.
pub(super) fn store_rows(shop: &Workshop, rows: &[Trajectory]) -> Result<ArtifactRef, JobError> {
    let failed = store_failed("store the trajectory file");
    let bytes = trajectories::encode(rows).map_err(failed)?;
    shop.runtime.block_on(shop.store.put(bytes, rows.len() as u64)).map_err(failed)
}

#[cfg(test)]
mod believed;

#[cfg(test)]
mod tests {
    use galapagos_domain::job::JobKind;

    use super::super::test_bench::Bench;
    use super::*;

    fn rows(bench: &Bench, output: &JobOutput) -> Vec<Trajectory> {
        let JobOutput::Rollout { trajectories, counts, tokens, .. } = output else { panic!("{output:?}") };
        let rows = bench.read(trajectories);
        assert_eq!((counts.total(), trajectories.rows), (rows.len() as u64, rows.len() as u64));
        assert_eq!(*tokens, rows.iter().map(|row| row.completion_tokens.len() as u64).sum::<u64>());
        rows
    }

    #[test]
    fn a_task_list_cut_in_other_pieces_gives_the_same_trajectories() {
        let bench = Bench::new();
        let whole = rows(&bench, &bench.run(bench.rollout(0..12)).unwrap());
        let mut pieces = Vec::new();
        for piece in [0..5, 5..6, 6..12] {
            pieces.extend(rows(&bench, &bench.run(bench.rollout(piece)).unwrap()));
        }
        assert_eq!(whole, pieces);
        let verdicts: Vec<_> = whole.iter().map(|row| row.verdict.outcome).collect();
        assert!(verdicts.contains(&Outcome::Pass) && verdicts.contains(&Outcome::Fail), "{verdicts:?}");
    }

    #[test]
    fn the_same_spec_gives_the_same_file() {
        let bench = Bench::new();
        assert_eq!(bench.run(bench.rollout(0..4)).unwrap(), bench.run(bench.rollout(0..4)).unwrap());
    }

    #[test]
    fn rows_stand_in_order_and_hold_prefix_question_and_answer() {
        let bench = Bench::new();
        let rows = rows(&bench, &bench.run(bench.rollout(3..5)).unwrap());
        let order: Vec<_> = rows.iter().map(|row| (row.task.as_str(), row.sample)).collect();
        assert_eq!(
            order,
            [("train/3", 0), ("train/3", 1), ("train/3", 2), ("train/4", 0), ("train/4", 1), ("train/4", 2)]
        );
        let text: String = rows[0].prompt_tokens.iter().filter_map(|token| char::from_u32(*token)).collect();
        let (prefix, question) = text.split_at(rows[0].prefix_len as usize);
        assert_eq!(prefix.matches('\n').count(), 2, "two shots: {prefix:?}");
        assert!(question.ends_with('>') && !question.contains('\n'), "{question:?}");
        assert_eq!(rows[0].completion_tokens.len(), rows[0].log_probs.len());
    }

    /// The mock answers the instruction's own question the second time, which is wrong for every task.
    #[test]
    fn turns_that_are_judged_each_have_a_reward_of_their_own() {
        let bench = Bench::new();
        let run = |judge: &str| {
            let search = format!(
                r#"{{"multi_turn": {{"propose": {{"n": 3}}, "turns": 2, "instruction": "777777>", "judge": "{judge}"}}}}"#
            );
            let JobKind::Rollout(spec) = bench.rollout(0..8) else { panic!() };
            let search = Box::new(serde_json::from_str(&search).unwrap());
            let output = bench.run(JobKind::Rollout(RolloutSpec { search, ..spec })).unwrap();
            let JobOutput::Rollout { trajectories, .. } = output else { panic!("{output:?}") };
            bench.read(&trajectories)
        };
        let (last, every) = (run("last"), run("every"));
        let mut firsts = Vec::new();
        for (last, every) in last.iter().zip(&every) {
            assert_eq!((&last.completion_tokens, &last.verdict), (&every.completion_tokens, &every.verdict));
            assert_eq!(every.verdict.outcome, Outcome::Fail);
            let learn: Vec<_> = every.credit.spans.iter().map(|span| span.learn).collect();
            assert_eq!(learn, [true, false, true]);
            let values = |row: &Trajectory| row.credit.spans.iter().map(|span| span.value).collect::<Vec<_>>();
            assert_eq!(values(last), [None; 3]);
            let [first, None, Some(0.0)] = values(every)[..] else { panic!("{:?}", values(every)) };
            firsts.push(first.unwrap());
        }
        assert!(firsts.contains(&1.0) && firsts.contains(&0.0), "{firsts:?}");
    }

    #[test]
    fn what_was_shown_and_what_others_wrote_is_not_learnt() {
        use crate::search::{Part, Piece};
        let piece = |tokens: &[u32], sampled: usize| {
            let (tokens, log_probs) = (tokens.to_vec(), vec![-1.0; sampled]);
            Piece { part: Part::Step, tokens, log_probs, text: String::new() }
        };
        let parts = |tree: &Tree, node: NodeId| {
            let (path, verdict, scores) = (tree.path(node), Verdict::pass(""), Vec::new());
            let spans = spans(&Found { node, path, verdict, scores, right_steps: None }, tree);
            spans.iter().map(|span| (span.start, span.end, span.learn)).collect::<Vec<_>>()
        };
        let mut tree = Tree::default();
        let plain = tree.add(NodeId::ROOT, piece(&[1, 2], 2), 1);
        let guided = tree.add(NodeId::ROOT, piece(&[3], 1), 2);
        tree[guided].guidance = Some(galapagos_domain::tree::Guidance { text: "so".to_owned(), tokens: vec![8, 9] });
        let below = tree.add(guided, piece(&[4, 5], 2), 3);
        let repaired = tree.add(NodeId::ROOT, piece(&[6, 7], 0), 3);
        assert!(parts(&tree, plain).is_empty(), "the whole is learnt");
        assert_eq!(parts(&tree, guided), [(0, 2, false), (2, 3, true)]);
        assert_eq!(parts(&tree, below), [(0, 2, false), (2, 3, true), (3, 5, true)]);
        assert_eq!(parts(&tree, repaired), [(0, 2, false)]);
    }

    #[test]
    fn a_task_that_does_not_exist_is_the_specs_fault() {
        let bench = Bench::new();
        let error = bench.run(bench.rollout(999..1000)).unwrap_err();
        assert_eq!(error.class(), galapagos_domain::job::FailureClass::Invalid);
        let report = crate::failure::report(error.class(), &error);
        assert!(report.chain.join("\n").contains("number 999"), "{report:?}");
    }
}

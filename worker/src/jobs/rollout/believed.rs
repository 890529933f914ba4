//! Rollouts whose verifiers are tested by known answers, or broken.

use galapagos_domain::job::{FailureClass, JobKind, JobOutput, RolloutSpec};
use galapagos_domain::recipe::search::{Canaries, Trust};
use galapagos_domain::recipe::verify::Verifier;
use galapagos_domain::trajectory::{Audit, Outcome, Trajectory, VerdictCounts};
use galapagos_domain::tree::doubted;

use super::super::JobError;
use super::super::test_bench::Bench;

fn spec(bench: &Bench, indices: std::ops::Range<u32>, verify: &str, trust: Trust) -> JobKind {
    let JobKind::Rollout(spec) = bench.rollout(indices) else { panic!() };
    let verify: Vec<Verifier> = serde_json::from_str(verify).unwrap();
    JobKind::Rollout(RolloutSpec { verify, trust, ..spec })
}

fn with(canaries: Canaries) -> Trust {
    Trust { canaries: Some(canaries), ..Trust::default() }
}

fn made(
    bench: &Bench,
    indices: std::ops::Range<u32>,
    verify: &str,
    trust: Trust,
) -> (Vec<Trajectory>, VerdictCounts, Audit) {
    match bench.run(spec(bench, indices, verify, trust)).unwrap() {
        JobOutput::Rollout { trajectories, counts, audit, .. } => (bench.read(&trajectories), counts, *audit),
        other => panic!("{other:?}"),
    }
}

/// Any number passes.
const BLIND: &str = r#"[{"numeric": {"absolute": 1000000}}]"#;

#[test]
fn a_verifier_that_passes_everything_is_caught_and_its_verdicts_become_suspect() {
    let bench = Bench::new();
    let (believed, counts, _) = made(&bench, 0..8, BLIND, Trust::default());
    assert_eq!((counts.pass, counts.fail), (24, 0), "it passes everything");
    let (rows, counts, audit) = made(&bench, 0..8, BLIND, with(Canaries::at(0.3)));
    assert_eq!((counts.suspect, counts.total()), (24, 24));
    let tested = &audit.tested[0];
    assert_eq!((tested.verifier.as_str(), tested.suspended, tested.marked), ("numeric", 1, 24));
    assert!(tested.wrong > 1 && tested.passed_wrong == tested.wrong, "{tested:?}");
    assert_eq!(tested.failed_right, 0);
    for (row, before) in rows.iter().zip(&believed) {
        assert_eq!((row.reward(), row.verdict.score), (None, None));
        assert_eq!((&row.completion_tokens, &row.task), (&before.completion_tokens, &before.task));
        let reason = &row.verdict.reason;
        assert!(reason.starts_with("`numeric` is suspended: it passed \""), "{reason}");
        assert!(reason.ends_with("\" as the answer to train/0, which is known to be wrong"), "{reason}");
    }
}

#[test]
fn a_verifier_that_is_right_is_never_suspended_and_its_trajectories_are_as_without_canaries() {
    let bench = Bench::new();
    let verify = r#"["rule", {"exact": {}}, {"numeric": {}}, "self_log_prob"]"#;
    let (without, ..) = made(&bench, 0..12, verify, Trust::default());
    let every = Canaries { floor: 3, ..Canaries::at(1.0) };
    let (rows, counts, audit) = made(&bench, 0..12, verify, with(every));
    assert_eq!((rows, counts.suspect), (without, 0));
    let names: Vec<_> = audit.tested.iter().map(|tested| tested.verifier.as_str()).collect();
    assert_eq!(names, ["rule", "exact", "numeric"], "known answers say nothing of a log-probability");
    for tested in &audit.tested {
        // Each of 36 trajectories, and two in each of three tasks.
        assert_eq!((tested.wrong + tested.right, tested.passed_wrong, tested.failed_right), (42, 0, 0), "{tested:?}");
        assert_eq!((tested.suspended, tested.marked), (0, 0));
    }
    assert!(audit.troubles.is_empty());
}

/// Trees that go by a verifier which is asked on the way.
fn grown(bench: &Bench, evaluator: &str, trust: Trust) -> JobKind {
    let search = format!(
        r#"{{"mcts": {{"propose": {{"n": 2, "temperature": 1.0}}, "evaluate": [{{"verifier": {evaluator}}}], "budget": {{"simulations": 3, "depth": 3}}}}}}"#
    );
    let JobKind::Rollout(spec) = spec(bench, 0..8, r#"["rule"]"#, trust) else { panic!() };
    JobKind::Rollout(RolloutSpec { search: Box::new(serde_json::from_str(&search).unwrap()), ..spec })
}

#[test]
fn a_search_that_goes_by_a_verifier_which_passes_everything_is_not_believed() {
    let bench = Bench::new();
    let blind = r#"{"numeric": {"absolute": 1000000}}"#;
    let run = |kind| match bench.run(kind).unwrap() {
        JobOutput::Rollout { trajectories, trees, counts, audit, .. } => {
            (bench.read(&trajectories), bench.trees(&trees.unwrap()), counts, *audit)
        }
        other => panic!("{other:?}"),
    };
    let (_, trees, counts, audit) = run(grown(&bench, blind, Trust::default()));
    assert_eq!((counts.suspect, audit.tested.len()), (0, 0));
    assert!(trees.iter().all(|node| node.parent.is_some() || node.verdict.is_none()));
    let (rows, trees, counts, audit) = run(grown(&bench, blind, with(Canaries::at(0.3))));
    assert_eq!(counts.suspect, counts.total());
    let tested: Vec<_> =
        audit.tested.iter().map(|of| (of.verifier.as_str(), of.suspended, of.marked, of.misled)).collect();
    assert_eq!(tested, [("rule", 0, 0, 0), ("numeric (search)", 1, 0, counts.total())]);
    assert!(
        rows.iter().all(|row| row.verdict.reason.starts_with("the search went by a verifier that is not believed"))
    );
    assert!(rows.iter().flat_map(|row| &row.credit.spans).all(|span| span.value.is_none()));
    let roots: Vec<_> = trees.iter().filter(|node| node.parent.is_none()).collect();
    assert!(roots.len() == 8 && roots.iter().all(|root| doubted(std::slice::from_ref(root)).is_some()));
    // One that is right leaves everything as it is without canaries.
    let (without, trees, ..) = run(grown(&bench, r#""rule""#, Trust::default()));
    let (rows, same, _, audit) = run(grown(&bench, r#""rule""#, with(Canaries::at(0.3))));
    assert_eq!((rows, same), (without, trees));
    assert_eq!(audit.evaluators.iter().map(|heard| heard.verifier.as_str()).collect::<Vec<_>>(), ["rule"]);
    assert!(audit.evaluators[0].verdicts > 0 && audit.evaluators[0].undecided() == 0);
}

#[test]
fn canaries_are_those_of_the_task_in_whatever_job_and_a_suspension_is_one_of_the_job() {
    let bench = Bench::new();
    let right = r#"["rule"]"#;
    let rate = Canaries { floor: 0, ..Canaries::at(0.4) };
    let (whole, _, all) = made(&bench, 0..9, right, with(rate));
    assert_eq!(made(&bench, 0..9, right, with(rate)), made(&bench, 0..9, right, with(rate)));
    let (mut pieces, mut seen) = (Vec::new(), Audit::default());
    for piece in [0..4, 4..5, 5..9] {
        let (rows, _, audit) = made(&bench, piece, right, with(rate));
        pieces.extend(rows);
        seen.add(&audit);
    }
    assert_eq!((whole, all), (pieces, seen));
    // A blind verifier that no canary of its job asks about a wrong answer is believed there.
    let suspects = |range| made(&bench, range, BLIND, with(rate)).1.suspect;
    let of_each: Vec<u64> = (0..9).map(|task| suspects(task..task + 1)).collect();
    assert!(of_each.contains(&0) && of_each.contains(&3), "{of_each:?}");
    assert_eq!(suspects(0..9), 27);
}

#[test]
fn a_verifier_that_fails_right_answers_is_suspended_beyond_the_tolerance() {
    let bench = Bench::new();
    // It looks for the answer where none stands.
    let lost = r#"[{"numeric": {"read": ["boxed"]}}]"#;
    let (_, counts, audit) = made(&bench, 0..8, lost, with(Canaries::at(0.5)));
    assert_eq!((counts.suspect, audit.tested[0].suspended), (24, 1));
    let reason = audit.tested[0].reason.as_deref().unwrap();
    assert!(reason.starts_with("it failed 3 of 3 answers that are known to be right, the last to train/"), "{reason}");
    let (_, counts, _) = made(&bench, 0..8, lost, with(Canaries { right: 0.0, ..Canaries::at(0.5) }));
    assert_eq!((counts.suspect, counts.fail), (0, 24), "asked about wrong ones only");
}

#[test]
fn a_job_of_errors_fails_with_the_most_frequent_reason() {
    let bench = Bench::new();
    let broken = r#"[{"regex": {"pattern": "("}}, "rule"]"#;
    let error = bench.run(spec(&bench, 0..8, broken, Trust::default())).unwrap_err();
    assert_eq!(error.class(), FailureClass::Invalid);
    let JobError::Verifier { errors, verdicts, verifier, .. } = &error else { panic!("{error:?}") };
    assert_eq!((*errors, *verdicts, verifier.as_str()), (24, 24, "regex"));
    let text = error.to_string();
    assert!(text.contains("verdicts are errors") && text.contains("of `regex`: the checker's option"), "{text}");
    // All are allowed; or they are of too few tasks to tell.
    let all = Trust { most_errors: 1.0, ..Trust::default() };
    let (rows, counts, audit) = made(&bench, 0..8, broken, all);
    assert_eq!((counts.error, audit.troubles[0].count), (24, 24));
    assert!(rows.iter().all(|row| row.verdict.outcome == Outcome::Error && row.reward().is_none()));
    assert_eq!(made(&bench, 0..3, broken, Trust::default()).1.error, 9);
    // What the rule fails before is a fail: fewer errors than are allowed.
    let late = r#"["rule", {"regex": {"pattern": "("}}]"#;
    let most = Trust { most_errors: 0.9, ..Trust::default() };
    let (_, counts, _) = made(&bench, 0..8, late, most);
    assert!(counts.fail > 0 && counts.error > 0 && counts.pass == 0, "{counts:?}");
}

#[test]
fn a_search_whose_evaluator_only_errs_fails_and_errors_on_the_way_are_counted() {
    let bench = Bench::new();
    let broken = r#"{"regex": {"pattern": "("}}"#;
    let error = bench.run(grown(&bench, broken, Trust::default())).unwrap_err();
    let JobError::Verifier { errors, verdicts, verifier, .. } = &error else { panic!("{error:?}") };
    assert!(*errors > 8 && errors == verdicts && verifier == "regex", "{error}");
    let all = Trust { most_errors: 1.0, ..Trust::default() };
    let JobOutput::Rollout { counts, audit, .. } = bench.run(grown(&bench, broken, all)).unwrap() else { panic!() };
    assert_eq!((counts.error, audit.troubles.len()), (0, 0), "the verifiers of trajectories are all right");
    let heard = &audit.evaluators[0];
    assert_eq!((heard.verifier.as_str(), heard.error, heard.undecided()), ("regex", *errors, *errors));
    assert!(heard.reason.as_deref().unwrap().starts_with("the checker's option"), "{heard:?}");
}

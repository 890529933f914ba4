//! What a rollout saw of its verifiers: a few words beside its counts, and lines below it that name reasons. Nothing where nothing was
//! seen.

use galapagos_domain::cluster::view::{StepView, Summary};
use galapagos_domain::trajectory::{Agreed, Audit, Heard, Outcome, Scored, Tested, Trouble};

/// Longest reason, in characters.
const REASON: usize = 160;

/// `  env_return 0.430  retried 3  canaries 24  SUSPENDED numeric`: means of scores first.
#[must_use]
pub fn words(audit: &Audit) -> String {
    let retried = if audit.retried > 0 { format!("  retried {}", audit.retried) } else { String::new() };
    let asked: u64 = audit.tested.iter().map(|tested| tested.wrong + tested.right + tested.undecided).sum();
    let asked = if asked > 0 { format!("  canaries {asked}") } else { String::new() };
    let suspended: Vec<&str> =
        audit.tested.iter().filter(|tested| tested.suspended > 0).map(|tested| tested.verifier.as_str()).collect();
    let suspended = if suspended.is_empty() { String::new() } else { format!("  SUSPENDED {}", suspended.join(", ")) };
    let mean = |scored: &Scored| format!("  {} {:.3}", scored.verifier, scored.mean());
    let means: String = audit.scored.iter().map(mean).collect();
    format!("{means}{retried}{asked}{suspended}")
}

/// One line for each kind of trouble, for each evaluator that was in trouble on the way, for each verifier beside the first that decides,
/// and for each that known answers tested.
#[must_use]
pub fn notes(step: &StepView) -> Vec<String> {
    let Some(Summary::Rollout { audit, .. }) = &step.summary else { return Vec::new() };
    let heard = audit.evaluators.iter().filter(|heard| heard.undecided() + heard.retried > 0);
    let seen = audit.troubles.iter().map(trouble).chain(heard.map(on_the_way));
    seen.chain(audit.agreed.iter().filter_map(agreed)).chain(audit.tested.iter().map(tested)).collect()
}

/// The same below a line of text, each indented by so much.
#[must_use]
pub fn below(step: &StepView, indent: usize) -> String {
    notes(step).into_iter().map(|note| format!("\n{:indent$}{note}", "")).collect()
}

fn trouble(trouble: &Trouble) -> String {
    let outcome = match trouble.outcome {
        Outcome::Timeout => "timeout",
        Outcome::Suspect => "suspect",
        Outcome::Error | Outcome::Pass | Outcome::Fail => "error",
    };
    format!("{outcome} {} of {}: {}", trouble.count, trouble.verifier, short(&trouble.reason))
}

/// `in searches, of 1240 verdicts of prm 12 error, 3 asked again: REASON`
fn on_the_way(heard: &Heard) -> String {
    let Heard { verifier, verdicts, error, timeout, suspect, retried, reason } = heard;
    let kinds = [(error, "error"), (timeout, "timeout"), (suspect, "suspect")];
    let mut parts: Vec<String> =
        kinds.iter().filter(|(count, _)| **count > 0).map(|(count, kind)| format!("{count} {kind}")).collect();
    if *retried > 0 {
        parts.push(format!("{retried} asked again"));
    }
    let reason = reason.as_deref().map_or_else(String::new, |reason| format!(": {}", short(reason)));
    format!("in searches, of {verdicts} verdicts of {verifier} {}{reason}", parts.join(", "))
}

/// `numeric passes 3 of 40 that rule fails (7.5%), fails 1 of 60 that it passes (1.7%)`; nothing where both always say the same.
fn agreed(agreed: &Agreed) -> Option<String> {
    let Agreed { verifier, with, right_passed, right_failed, wrong_passed, wrong_failed } = agreed;
    if right_failed + wrong_passed == 0 {
        return None;
    }
    let percent = |share: Option<f64>| share.map_or_else(String::new, |share| format!(" ({:.1}%)", 100.0 * share));
    let (wrong, right) = (wrong_passed + wrong_failed, right_passed + right_failed);
    let (positives, negatives) = (percent(agreed.false_positives()), percent(agreed.false_negatives()));
    Some(format!(
        "{verifier} passes {wrong_passed} of {wrong} that {with} fails{positives}, fails {right_failed} of {right} that it passes{negatives}"
    ))
}

fn tested(tested: &Tested) -> String {
    let Tested { verifier, wrong, passed_wrong, right, failed_right, undecided, suspended, marked, misled, reason } =
        tested;
    let undecided = if *undecided > 0 { format!(", decided nothing on {undecided}") } else { String::new() };
    let counts = format!(
        "canaries of {verifier}: passed {passed_wrong} of {wrong} wrong, failed {failed_right} of {right} right{undecided}"
    );
    if *suspended == 0 {
        return counts;
    }
    let reason = short(reason.as_deref().unwrap_or_default());
    let jobs = if *suspended == 1 { "1 job".to_owned() } else { format!("{suspended} jobs") };
    let misled =
        if *misled > 0 { format!(" and {misled} trajectories of searches that went by it") } else { String::new() };
    format!("{counts}; SUSPENDED in {jobs}, {marked} verdicts{misled} are suspect: {reason}")
}

fn short(reason: &str) -> String {
    let line = reason.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(REASON) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use galapagos_domain::cluster::view::Phase;
    use galapagos_domain::trajectory::VerdictCounts;

    use super::*;

    fn step(audit: Audit) -> StepView {
        StepView {
            phase: Phase::Generation(1),
            name: "samples".parse().unwrap(),
            verb: "rollout".into(),
            done: true,
            elapsed_ms: 1000,
            progress: (4, 4),
            tokens: 0,
            summary: Some(Summary::Rollout { counts: VerdictCounts::default(), judges: Vec::new(), audit }),
            trees: Vec::new(),
        }
    }

    #[test]
    fn nothing_is_said_where_nothing_was_seen() {
        assert_eq!((words(&Audit::default()), below(&step(Audit::default()), 4)), (String::new(), String::new()));
    }

    #[test]
    fn troubles_and_canaries_are_named_with_their_reasons() {
        let trouble =
            Trouble { verifier: "math".into(), outcome: Outcome::Timeout, count: 3, reason: "a\nb".repeat(100) };
        let good = Tested { verifier: "math".into(), wrong: 4, right: 3, undecided: 1, ..Tested::default() };
        let bad = Tested {
            verifier: "numeric".into(),
            wrong: 5,
            passed_wrong: 2,
            suspended: 2,
            marked: 7,
            misled: 3,
            reason: Some("it passed \"8\"".into()),
            ..Tested::default()
        };
        let paid = Scored { verifier: "env_return".into(), count: 4, sum: 1.0, squares: 1.0 };
        let mute = Heard { verifier: "prm".into(), verdicts: 9, error: 2, retried: 1, ..Heard::default() };
        let fine = Heard { verifier: "rule".into(), verdicts: 5, ..Heard::default() };
        let same = Agreed { verifier: "math".into(), with: "rule".into(), right_passed: 4, ..Agreed::default() };
        let apart =
            Agreed { verifier: "numeric".into(), right_failed: 1, wrong_passed: 3, wrong_failed: 37, ..same.clone() };
        let agreed = vec![same, apart];
        let evaluators = vec![Heard { reason: Some("it gave\nNaN".into()), ..mute }, fine];
        let audit = Audit {
            retried: 2,
            troubles: vec![trouble],
            tested: vec![good, bad],
            scored: vec![paid],
            agreed,
            evaluators,
        };
        assert_eq!(words(&audit), "  env_return 0.250  retried 2  canaries 13  SUSPENDED numeric");
        let notes = notes(&step(audit));
        assert!(notes[0].starts_with("timeout 3 of math: a ba b") && notes[0].ends_with("..."), "{}", notes[0]);
        assert!(notes[0].chars().count() < 190, "{}", notes[0]);
        let good = "canaries of math: passed 0 of 4 wrong, failed 0 of 3 right, decided nothing on 1";
        let bad = "canaries of numeric: passed 2 of 5 wrong, failed 0 of 0 right; SUSPENDED in 2 jobs, 7 verdicts \
                   and 3 trajectories of searches that went by it are suspect: \
                   it passed \"8\"";
        let apart = "numeric passes 3 of 40 that rule fails (7.5%), fails 1 of 5 that it passes (20.0%)";
        let mute = "in searches, of 9 verdicts of prm 2 error, 1 asked again: it gave NaN";
        assert_eq!(notes[1..], [mute, apart, good, bad]);
    }
}

//! What a rollout saw of its verifiers: a few words beside its counts, and lines below it that name reasons. Nothing where nothing was
//! seen.

use galapagos_domain::cluster::view::{StepView, Summary};
use galapagos_domain::trajectory::{Audit, Outcome, Scored, Tested, Trouble};

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

/// One line for each kind of trouble and for each verifier that known answers tested.
#[must_use]
pub fn notes(step: &StepView) -> Vec<String> {
    let Some(Summary::Rollout { audit, .. }) = &step.summary else { return Vec::new() };
    audit.troubles.iter().map(trouble).chain(audit.tested.iter().map(tested)).collect()
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

fn tested(tested: &Tested) -> String {
    let Tested { verifier, wrong, passed_wrong, right, failed_right, undecided, suspended, marked, reason } = tested;
    let undecided = if *undecided > 0 { format!(", decided nothing on {undecided}") } else { String::new() };
    let counts = format!(
        "canaries of {verifier}: passed {passed_wrong} of {wrong} wrong, failed {failed_right} of {right} right{undecided}"
    );
    if *suspended == 0 {
        return counts;
    }
    let reason = short(reason.as_deref().unwrap_or_default());
    let jobs = if *suspended == 1 { "1 job".to_owned() } else { format!("{suspended} jobs") };
    format!("{counts}; SUSPENDED in {jobs}, {marked} verdicts are suspect: {reason}")
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
            reason: Some("it passed \"8\"".into()),
            ..Tested::default()
        };
        let paid = Scored { verifier: "env_return".into(), count: 4, sum: 1.0 };
        let audit = Audit { retried: 2, troubles: vec![trouble], tested: vec![good, bad], scored: vec![paid] };
        assert_eq!(words(&audit), "  env_return 0.250  retried 2  canaries 13  SUSPENDED numeric");
        let notes = notes(&step(audit));
        assert!(notes[0].starts_with("timeout 3 of math: a ba b") && notes[0].ends_with("..."), "{}", notes[0]);
        assert!(notes[0].chars().count() < 190, "{}", notes[0]);
        let good = "canaries of math: passed 0 of 4 wrong, failed 0 of 3 right, decided nothing on 1";
        let bad = "canaries of numeric: passed 2 of 5 wrong, failed 0 of 0 right; SUSPENDED in 2 jobs, 7 verdicts are suspect: \
                   it passed \"8\"";
        assert_eq!(notes[1..], [good, bad]);
    }
}

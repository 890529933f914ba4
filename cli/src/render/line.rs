//! One line for one recipe step, running or done: what it did, in numbers, never more than a line.

use galapagos_domain::calibration::Calibration;
use galapagos_domain::cluster::view::{Decided, Decision, Held, Ladder, Moved, Score, StepView, Summary};
use galapagos_domain::job::{OperatorCount, Sifted};
use galapagos_domain::round::MISMATCH_ALARM;
use galapagos_domain::trajectory::VerdictCounts;

use super::{duration, score, verifiers};

/// The text after the verb, without the time.
#[must_use]
pub fn detail(step: &StepView) -> String {
    match &step.summary {
        None => progress(step),
        Some(Summary::Base { member }) => format!("checked and stored as {member}"),
        Some(Summary::Rollout { counts, judges, audit }) => {
            format!("{}  {}{}{}", progress(step), verdicts(counts), judged(judges), verifiers::words(audit))
        }
        Some(Summary::Curate { records, operators, sources }) => curated(*records, operators, sources),
        Some(Summary::Train {
            role,
            loss,
            grad_norm,
            ranks,
            left_out,
            guarded,
            mismatch,
            lr,
            tokens_per_second,
            ..
        }) => {
            let left_out = if *left_out > 0 { format!("  left out {left_out}") } else { String::new() };
            let guarded = if *guarded > 0 { format!("  guarded {guarded}") } else { String::new() };
            let alarm = mismatch.filter(|nats| *nats > MISMATCH_ALARM);
            let alarm =
                alarm.map_or_else(String::new, |nats| format!("  ALARM engine and trainer {nats:.2} nats apart"));
            let lr = lr.map_or_else(String::new, |lr| format!("  lr {lr:.1e}"));
            // The rate now is worth more than the mean since the ranks were started.
            let count = match tokens_per_second {
                Some(rate) => format!("{}/{}  {rate:.0} tok/s", step.progress.0, step.progress.1),
                None => progress(step),
            };
            format!(
                "{role}  step {count}  loss {loss:.3}  grad {grad_norm:.2}{lr}  {ranks} ranks{left_out}{guarded}{alarm}"
            )
        }
        Some(Summary::Tournament(ladder)) => tournament(ladder),
        Some(Summary::Evaluate { scores }) => evaluated(scores),
        Some(Summary::Control(decided)) => controlled(decided, step.tokens),
        Some(Summary::Propose { sifted, .. }) => format!("{}  {}", progress(step), proposed(sifted)),
    }
}

/// `  rollout      1600/1600  412 tok/s  pass 21.6%  error 0  timeout 0   0:41`
#[must_use]
pub fn whole(step: &StepView) -> String {
    format!("  {:<11}  {}  {}", step.verb, detail(step), duration(step.elapsed_ms))
}

fn progress(step: &StepView) -> String {
    let (done, total) = step.progress;
    let count = format!("{done}/{total}");
    match (step.tokens * 1000).checked_div(step.elapsed_ms) {
        Some(rate) if step.tokens > 0 => format!("{count}  {rate} tok/s"),
        Some(_) | None => count,
    }
}

/// How good judges were on answers whose truth is known.
fn judged(judges: &[Calibration]) -> String {
    let figure = |judge: &Calibration| {
        let name = judge.verifier.split('/').next().unwrap_or_default();
        let figure = judge.balanced().map_or_else(|| "untried".to_owned(), |balanced| format!("{balanced:.2}"));
        let not = if judge.trusted { "" } else { " NOT TRUSTED" };
        format!("  {name} {figure}{not}")
    };
    judges.iter().map(figure).collect()
}

fn verdicts(counts: &VerdictCounts) -> String {
    let share = 100.0 * counts.pass as f64 / counts.total().max(1) as f64;
    let suspect = if counts.suspect > 0 { format!("  suspect {}", counts.suspect) } else { String::new() };
    format!("pass {share:.1}%  error {}  timeout {}{suspect}", counts.error, counts.timeout)
}

fn curated(records: u64, operators: &[OperatorCount], sources: &[Held]) -> String {
    let first = operators.first().map_or(records, |o| o.records_in);
    let each: Vec<String> = operators.iter().map(operator).collect();
    let by = if each.is_empty() { String::new() } else { format!(" ({})", each.join(", ")) };
    let held: Vec<String> = sources.iter().map(|held| format!("{} {}", held.dataset, held.records)).collect();
    let of = if held.is_empty() { String::new() } else { format!("{}: ", held.join(" + ")) };
    format!("{of}{first} -> {records} kept{by}")
}

/// `keep -1255`, `filter -511 of which 3 without (precision 0.41 -> 0.78)`; with a plus where records are made.
fn operator(count: &OperatorCount) -> String {
    let OperatorCount { operator, records_in, records_out, without, doubted, oracle } = count;
    let change = if records_out > records_in {
        format!("{operator} +{}", records_out - records_in)
    } else {
        format!("{operator} -{}", records_in - records_out)
    };
    let without = if *without > 0 { format!(" of which {without} without") } else { String::new() };
    let doubted = match doubted {
        0 => String::new(),
        1 => " (1 tree not believed)".to_owned(),
        count => format!(" ({count} trees not believed)"),
    };
    let precision = oracle.as_ref().and_then(galapagos_domain::job::Oracle::precision);
    let precision =
        precision.map_or_else(String::new, |(before, after)| format!(" (precision {before:.2} -> {after:.2})"));
    format!("{change}{without}{doubted}{precision}")
}

/// `128 kept (malformed 40, known 3)`.
fn proposed(sifted: &Sifted) -> String {
    let refused = sifted.refusals();
    let refused = if refused.is_empty() { String::new() } else { format!(" (refused: {refused})") };
    format!("{} questions kept{refused}", sifted.kept)
}

/// A gate's evidence and decision in one line.
#[must_use]
pub fn tournament(ladder: &Ladder) -> String {
    let pairs: u64 = ladder.pentanomial.iter().sum();
    let (low, high) = ladder.bounds;
    let decision = match ladder.decision {
        Decision::Undecided => "undecided yet",
        Decision::Promoted => "challenger is better: promoted",
        Decision::Refused => "challenger is not better: refused",
        Decision::Inconclusive => "no proof before the bouts ran out: refused",
    };
    format!(
        "{} vs {}  LLR {:+.2} in ({low:+.2}, {high:+.2}) after {pairs} mirrored pairs: {decision}",
        ladder.holder, ladder.challenger, ladder.llr
    )
}

/// `temperature 0.7 -> 0.9, threshold 0  balance_score 0.412 (was 0.377)  of 168 points on 100 tasks  33210 tokens`
fn controlled(decided: &Decided, tokens: u64) -> String {
    let Decided { metric, value, was, tasks, was_tasks, points, .. } = decided;
    let was = match was {
        None => String::new(),
        Some(was) if was_tasks < tasks => format!(" (was {was:.3} on {was_tasks} tasks)"),
        Some(was) => format!(" (was {was:.3})"),
    };
    let moves = moves(&decided.moves);
    format!("{moves}  {metric} {value:.3}{was}  of {points} points on {tasks} tasks  {tokens} tokens")
}

/// `temperature 0.7 -> 0.9, threshold 0`: what stays has one value.
#[must_use]
pub fn moves(moves: &[Moved]) -> String {
    let one = |Moved { name, from, to }: &Moved| {
        if from == to { format!("{name} {to}") } else { format!("{name} {from} -> {to}") }
    };
    moves.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn evaluated(scores: &[Score]) -> String {
    scores.iter().map(score).collect::<Vec<_>>().join("  ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use galapagos_domain::cluster::view::Phase;
    use galapagos_domain::job::Oracle;
    use galapagos_domain::trajectory::Audit;

    fn step(summary: Option<Summary>) -> StepView {
        StepView {
            phase: Phase::Generation(1),
            name: "samples".parse().unwrap(),
            verb: "rollout".into(),
            done: false,
            elapsed_ms: 41_000,
            progress: (800, 1600),
            tokens: 16_892,
            summary,
            trees: Vec::new(),
        }
    }

    #[test]
    fn a_rollout_shows_rate_and_every_kind_of_loss() {
        let counts = VerdictCounts { pass: 216, fail: 784, error: 2, timeout: 1, suspect: 0 };
        let (judges, audit) = (Vec::new(), Audit::default());
        let text = whole(&step(Some(Summary::Rollout { counts, judges, audit })));
        assert_eq!(text, "  rollout      800/1600  412 tok/s  pass 21.5%  error 2  timeout 1  0:41");
    }

    #[test]
    fn a_round_shows_its_rate_and_learning_rate_while_it_trains() {
        let train = |done, lr, tokens_per_second| {
            let (role, member, left_out) = ("policy".parse().unwrap(), None, 3);
            let (guarded, mismatch) = (if done { 2 } else { 0 }, Some(if done { 0.213 } else { 0.004 }));
            let summary = Summary::Train {
                role,
                member,
                step: 12,
                loss: 0.4124,
                grad_norm: 1.8,
                ranks: 2,
                left_out,
                guarded,
                mismatch,
                lr,
                tokens_per_second,
            };
            detail(&StepView { progress: (12, 34), done, ..step(Some(summary)) })
        };
        let running = train(false, Some(3e-4), Some(951.6));
        assert_eq!(running, "policy  step 12/34  952 tok/s  loss 0.412  grad 1.80  lr 3.0e-4  2 ranks  left out 3");
        let over = train(true, None, None);
        assert_eq!(
            over,
            "policy  step 12/34  412 tok/s  loss 0.412  grad 1.80  2 ranks  left out 3  guarded 2  ALARM engine and trainer 0.21 nats apart"
        );
    }

    #[test]
    fn a_controller_shows_what_moved_and_what_it_was_worth() {
        let moved = |name: &str, from, to| Moved { name: name.parse().unwrap(), from, to };
        let decided = Decided {
            metric: "balance_score".to_owned(),
            moves: vec![moved("temperature", 0.7, 0.9), moved("threshold", -0.1, -0.1)],
            value: 0.4123,
            was: Some(0.377),
            tasks: 100,
            was_tasks: 100,
            points: 168,
            best: Vec::new(),
        };
        let text = |decided| detail(&step(Some(Summary::Control(decided))));
        let head = "temperature 0.7 -> 0.9, threshold -0.1  balance_score 0.412";
        let tail = "  of 168 points on 100 tasks  16892 tokens";
        assert_eq!(text(decided.clone()), format!("{head} (was 0.377){tail}"));
        assert_eq!(text(Decided { was_tasks: 25, ..decided.clone() }), format!("{head} (was 0.377 on 25 tasks){tail}"));
        assert_eq!(text(Decided { was: None, was_tasks: 0, ..decided }), format!("{head}{tail}"));
    }

    #[test]
    fn a_propose_counts_what_it_refused() {
        let sifted = Sifted { tries: 1600, malformed: 40, held_out: 500, kept: 1060, ..Sifted::default() };
        let text = |sifted| detail(&step(Some(Summary::Propose { sifted, at_least: 20 })));
        let head = "800/1600  412 tok/s  ";
        assert_eq!(text(sifted), format!("{head}1060 questions kept (refused: malformed 40, held out 500)"));
        assert_eq!(text(Sifted { kept: 3, ..Sifted::default() }), format!("{head}3 questions kept"));
    }

    #[test]
    fn a_curate_counts_what_each_operator_dropped() {
        let operators = vec![OperatorCount::new("keep", 1600, 345), OperatorCount::new("dedupe", 345, 150)];
        let text =
            detail(&step(Some(Summary::Curate { records: 150, operators: operators.clone(), sources: Vec::new() })));
        assert_eq!(text, "1600 -> 150 kept (keep -1255, dedupe -195)");
        let held = |name: &str, records| Held { dataset: name.parse().unwrap(), records };
        let sources = vec![held("old", 400), held("new", 1200)];
        let text = detail(&step(Some(Summary::Curate { records: 150, operators, sources })));
        assert_eq!(text, "old 400 + new 1200: 1600 -> 150 kept (keep -1255, dedupe -195)");
    }

    #[test]
    fn a_filter_shows_its_precision_and_what_had_no_number() {
        let oracle = Some(Oracle { passes_in: 41, decided_in: 100, passes_out: 39, decided_out: 50 });
        let operators = vec![
            OperatorCount { without: 3, oracle, ..OperatorCount::new("filter", 812, 301) },
            OperatorCount { oracle: Some(Oracle::default()), ..OperatorCount::new("top_k", 301, 300) },
            OperatorCount::new("pair", 300, 420),
        ];
        let text = detail(&step(Some(Summary::Curate { records: 420, operators, sources: Vec::new() })));
        let filter = "filter -511 of which 3 without (precision 0.41 -> 0.78)";
        assert_eq!(text, format!("812 -> 420 kept ({filter}, top_k -1, pair +120)"));
    }
}

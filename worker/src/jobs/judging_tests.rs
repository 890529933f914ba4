//! Judges in whole rollout jobs, by an engine that answers tasks as the mock does and judges by a script.

use std::path::Path;
use std::sync::{Arc, Mutex};

use galapagos_domain::ids::Digest;
use galapagos_domain::job::{JobKind, JobOutput, RolloutSpec};
use galapagos_domain::recipe::Characters;
use galapagos_domain::recipe::search::{EnvRollout, Propose, Search};
use galapagos_domain::recipe::tasks::TaskSet;
use galapagos_domain::recipe::verify::Verifier;
use galapagos_domain::seed::Seed;
use galapagos_domain::trajectory::{Outcome, Trajectory};

use super::test_bench::Bench;
use crate::engine::conversation::{ChatBatch, Reply};
use crate::engine::mock::{CharacterCodec, MockEngine};
use crate::engine::{Batch, CheckpointDir, Codec, Completion, Engine, EngineError, EngineHandle, ScoreBatch, Watch};

/// What a judge says of a prompt: the probabilities of its two words.
type Weigh = fn(&str) -> (f64, f64);

/// What it writes, sample by sample; `None` where the policy is asked.
type Write = fn(&str, usize) -> Option<String>;

#[derive(Clone)]
struct Scripted {
    weigh: Weigh,
    write: Write,
    /// Every prompt of the judge.
    heard: Arc<Mutex<Vec<String>>>,
}

impl Engine for Scripted {
    fn codec(&mut self, checkpoint: &CheckpointDir) -> Result<Arc<dyn Codec>, EngineError> {
        MockEngine.codec(checkpoint)
    }
    fn generate(&mut self, batch: &Batch, watch: &Watch) -> Result<Vec<Completion>, EngineError> {
        let mut made = Vec::new();
        for request in &batch.requests {
            let prompt = CharacterCodec.decode(&request.prompt)?;
            if (self.write)(&prompt, 0).is_none() {
                made.extend(MockEngine.generate(&Batch { requests: vec![request.clone()], ..batch.clone() }, watch)?);
                continue;
            }
            for sample in 0..request.samples as usize {
                let tokens = CharacterCodec.encode(&(self.write)(&prompt, sample).unwrap_or_default())?;
                made.push(Completion { log_probs: vec![-0.25; tokens.len()], tokens });
            }
            self.heard.lock().unwrap().push(prompt);
        }
        Ok(made)
    }
    fn chat(&mut self, batch: &ChatBatch, watch: &Watch) -> Result<Vec<Reply>, EngineError> {
        MockEngine.chat(batch, watch)
    }
    fn score(&mut self, batch: &ScoreBatch, watch: &Watch) -> Result<Vec<f32>, EngineError> {
        MockEngine.score(batch, watch)
    }
    fn likely(&mut self, _: &CheckpointDir, behind: &[u32], next: &[u32], _: &Watch) -> Result<Vec<f32>, EngineError> {
        assert_eq!(next.len(), 2);
        let prompt = CharacterCodec.decode(behind)?;
        let (one, other) = (self.weigh)(&prompt);
        self.heard.lock().unwrap().push(prompt);
        Ok(vec![one.ln() as f32, other.ln() as f32])
    }
    fn inspect(&mut self, folder: &Path) -> Result<Digest, EngineError> {
        MockEngine.inspect(folder)
    }
    fn initialise(&mut self, shape: &Characters, seed: Seed, folder: &Path) -> Result<Digest, EngineError> {
        MockEngine.initialise(shape, seed, folder)
    }
}

/// Whether what stands between fences is the digits of the question before it in order.
fn right(question: &str, answer: &str) -> bool {
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<Vec<char>>();
    let mut sorted = digits(question);
    sorted.sort_unstable();
    sorted == digits(answer)
}

/// The judge's prompts in these tests are `JUDGE question[answer]...`.
fn fair(prompt: &str) -> (f64, f64) {
    let (question, rest) = prompt.strip_prefix("JUDGE ").unwrap().split_once('[').unwrap();
    if right(question, rest.split_once(']').unwrap().0) { (0.6, 0.2) } else { (0.1, 0.4) }
}

fn nothing(_: &str, _: usize) -> Option<String> {
    None
}

const JUDGE: &str =
    r#""ask": "JUDGE {prompt}{answer}", "fence": ["[", "]"], "mode": {"logits": {"yes": "y", "no": "n"}}"#;

struct Said {
    rows: Vec<Trajectory>,
    output: JobOutput,
    heard: Vec<String>,
}

fn run(verify: &str, by: (Weigh, Write)) -> Said {
    let answers = Search::SampleK(Propose::answers(4, 0.8));
    run_on(None, (verify, answers), by)
}

/// Of `env`, or of digits to be sorted.
fn run_on(env: Option<TaskSet>, (verify, search): (&str, Search), (weigh, write): (Weigh, Write)) -> Said {
    let mut bench = Bench::new();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let scripted = Scripted { weigh, write, heard: Arc::clone(&heard) };
    bench.shop.engine = EngineHandle::start(move || Box::new(scripted.clone())).unwrap();
    let verify: Vec<Verifier> = serde_json::from_str(verify).unwrap_or_else(|error| panic!("{verify}: {error}"));
    let JobKind::Rollout(mut spec) = bench.rollout(0..6) else { panic!() };
    spec.tasks.source = env.unwrap_or(spec.tasks.source);
    // Judges that say nothing at all are a case, too.
    spec.trust.most_errors = 1.0;
    let output = bench.run(JobKind::Rollout(RolloutSpec { verify, search: Box::new(search), ..spec })).unwrap();
    let JobOutput::Rollout { trajectories, .. } = &output else { panic!("{output:?}") };
    let rows = bench.read(trajectories);
    let heard = heard.lock().unwrap().clone();
    Said { rows, output, heard }
}

fn question(row: &Trajectory) -> String {
    row.prompt_tokens[row.prefix_len as usize..].iter().filter_map(|token| char::from_u32(*token)).collect()
}

#[test]
fn a_fair_judge_passes_what_is_right_and_says_how_sure_it_is() {
    let said = run(&format!("[{{\"judge\": {{{JUDGE}}}}}]"), (fair, nothing));
    let mut both = [0, 0];
    for row in &said.rows {
        let truth = right(&question(row), &row.completion);
        both[usize::from(truth)] += 1;
        let (outcome, score, mass) = if truth { (Outcome::Pass, 0.75, 0.8) } else { (Outcome::Fail, 0.2, 0.5) };
        assert_eq!(row.verdict.outcome, outcome, "{row:?}");
        assert!((row.verdict.score.unwrap() - score).abs() < 1e-5, "{:?}", row.verdict);
        assert!((row.verdict.confidence.unwrap() - mass).abs() < 1e-5, "{:?}", row.verdict);
        assert!(row.verdict.verifier.starts_with("judge/"), "{:?}", row.verdict);
        assert_eq!(row.scores.len(), 1);
    }
    assert!(both[0] > 0 && both[1] > 0, "{both:?}");
    assert_eq!(said.heard.len(), 16 + said.rows.len(), "known answers first, then one question each");
    for prompt in &said.heard {
        let (policy, tasks) = (said.rows[0].policy.to_string(), said.rows.iter().map(|row| &row.task));
        assert!(!prompt.contains(&policy[..8]) && tasks.into_iter().all(|task| !prompt.contains(task)), "{prompt}");
    }
}

#[test]
fn a_judge_that_knows_nothing_is_found_out_and_its_numbers_do_not_count() {
    let said = run(&format!("[{{\"judge\": {{{JUDGE}}}}}]"), (|_| (0.6, 0.2), nothing));
    for row in &said.rows {
        assert_eq!((row.verdict.outcome, row.verdict.score), (Outcome::Suspect, None));
        assert!(row.scores.is_empty() && row.reward().is_none());
        let reason = &row.verdict.reason;
        assert!(
            reason.starts_with(
                "the judge is not trusted: balanced accuracy 0.50 on 16 known answers (8 of 8 right ones passed, 0 of 8 wrong ones failed)"
            ) && reason.contains("0.7 is asked for. It said 0.750: "),
            "{reason}"
        );
    }
    let none = run(&format!("[{{\"judge\": {{{JUDGE}, \"calibrate\": \"none\"}}}}]"), (|_| (0.6, 0.2), nothing));
    assert!(none.rows.iter().all(|row| row.verdict.outcome == Outcome::Pass), "nobody asked to try it");
}

#[test]
fn a_judge_that_would_say_something_else_gives_an_error_and_no_fail() {
    let silent = |_: &str| (0.01, 0.02);
    let said = run(&format!("[{{\"judge\": {{{JUDGE}, \"calibrate\": \"none\"}}}}]"), (silent, nothing));
    for row in &said.rows {
        assert_eq!((row.verdict.outcome, row.verdict.score), (Outcome::Error, None));
        assert!(row.verdict.reason.starts_with("the judge did not answer: both words together"), "{:?}", row.verdict);
    }
}

#[test]
fn an_answer_that_would_speak_to_the_judge_is_suspect_and_never_shown() {
    let verify = JUDGE.replace("[\\\"[\\\"", "").replace(r#""fence": ["[", "]"]"#, r#""fence": ["0", "9"]"#);
    let said = run(&format!("[{{\"judge\": {{{verify}, \"calibrate\": \"none\"}}}}]"), (|_| (0.6, 0.2), nothing));
    let holds = |row: &&Trajectory| row.completion.contains(['0', '9']);
    assert!(said.rows.iter().any(|row| holds(&row)) && said.rows.iter().any(|row| !holds(&row)));
    for row in &said.rows {
        let outcome = if holds(&row) { Outcome::Suspect } else { Outcome::Pass };
        assert_eq!(row.verdict.outcome, outcome, "{row:?}");
    }
    assert_eq!(said.heard.len(), said.rows.iter().filter(|row| !holds(row)).count());
}

/// Two of three samples say what is right, one says nothing that can be read.
fn reasons(prompt: &str, sample: usize) -> Option<String> {
    let (question, rest) = prompt.strip_prefix("JUDGE ")?.split_once('[')?;
    let word = if right(question, rest.split_once(']')?.0) { "pass" } else { "fail" };
    Some(match sample {
        0 => format!("I sorted them.\nverdict: pass\nNo: I look again.\n**Verdict: {word}**"),
        1 => "I do not know.".to_owned(),
        _ => format!("verdict: {word}"),
    })
}

const WRITES: &str = r#""ask": "JUDGE {prompt}{answer}", "fence": ["[", "]"], "mode": "rationale""#;

#[test]
fn a_judge_that_writes_is_read_by_its_last_lines() {
    let said = run(&format!("[{{\"judge\": {{{WRITES}}}}}]"), (fair, reasons));
    for row in &said.rows {
        let truth = right(&question(row), &row.completion);
        let (outcome, score) = if truth { (Outcome::Pass, 1.0) } else { (Outcome::Fail, 0.0) };
        assert_eq!((row.verdict.outcome, row.verdict.score), (outcome, Some(score)), "{row:?}");
        assert!((row.verdict.confidence.unwrap() - 2.0 / 3.0).abs() < 1e-6, "one of three could not be read");
        assert!(row.verdict.reason.contains("of 2 texts: I sorted them."), "{:?}", row.verdict);
        assert!(row.verdict.cost > 60, "{:?}", row.verdict);
    }
    let unread = |prompt: &str, _: usize| prompt.starts_with("JUDGE").then(|| "It looks good to me.".to_owned());
    let said = run(&format!("[{{\"judge\": {{{WRITES}}}}}]"), (fair, unread));
    for row in &said.rows {
        assert_eq!((row.verdict.outcome, row.verdict.score), (Outcome::Error, None));
        assert!(
            row.verdict.reason.starts_with("none of 3 texts of the judge ends in `verdict: pass`: It looks good"),
            "{:?}",
            row.verdict
        );
    }
}

const PAIR: &str = r#""ask": "PAIR {prompt}{first}{second}", "fence": ["[", "]"], "first": "a", "second": "b""#;

/// Prefers what is right; of two that are alike whatever stands first, a little.
fn compares(prompt: &str) -> (f64, f64) {
    let parts: Vec<&str> = prompt.strip_prefix("PAIR ").unwrap().split(['[', ']']).collect();
    match (right(parts[0], parts[1]), right(parts[0], parts[3])) {
        (true, false) => (0.6, 0.2),
        (false, true) => (0.2, 0.6),
        (_, _) => (0.5, 0.4),
    }
}

#[test]
fn answers_are_compared_in_both_orders_and_a_preference_for_places_comes_to_nothing() {
    let said = run(&format!("[\"rule\", {{\"judge_pair\": {{{PAIR}}}}}]"), (compares, nothing));
    for task in said.rows.chunks(4) {
        let truths: Vec<bool> = task.iter().map(|row| right(&question(row), &row.completion)).collect();
        for (row, truth) in task.iter().zip(&truths) {
            // One point against each of the other sort, half against each of its own.
            let other = truths.iter().filter(|other| *other != truth).count() as f32;
            let points = if *truth { other } else { 0.0 } + (3.0 - other) / 2.0;
            let scores: Vec<_> = row.scores.iter().filter(|score| score.by.starts_with("judge_pair/")).collect();
            assert!((scores[0].value - points / 3.0).abs() < 1e-6, "{row:?}");
            let outcome = if *truth { Outcome::Pass } else { Outcome::Fail };
            assert_eq!(row.verdict.outcome, outcome, "it gives numbers beside the rule");
        }
    }
    let biased = run(&format!("[\"rule\", {{\"judge_pair\": {{{PAIR}}}}}]"), (|_| (0.9, 0.05), nothing));
    assert!(biased.rows.iter().all(|row| row.scores.iter().all(|score| !score.by.starts_with("judge_pair/"))));
    let few = run(
        &format!("[\"rule\", {{\"judge_pair\": {{{PAIR}, \"pairs\": 2, \"calibrate\": \"none\"}}}}]"),
        (compares, nothing),
    );
    assert!(few.heard.len() <= 6 * 2 * 2, "{}", few.heard.len());
    let JobOutput::Rollout { audit, .. } = few.output else { panic!() };
    assert!(audit.troubles.is_empty(), "who is in no pair that was drawn has no number, and nobody erred: {audit:?}");
    let numbers = few.rows.iter().filter(|row| row.scores.iter().any(|score| score.by.starts_with("judge_pair/")));
    assert_eq!(numbers.count(), 6 * 3, "two pairs of four answers share one");
}

#[test]
fn an_answer_beside_no_other_has_no_number_and_is_no_error_but_a_silent_judge_is() {
    let pair = format!("[\"rule\", {{\"judge_pair\": {{{PAIR}, \"calibrate\": \"none\"}}}}]");
    let said = run_on(None, (&pair, Search::SampleK(Propose::answers(1, 0.8))), (compares, nothing));
    let JobOutput::Rollout { audit, .. } = said.output else { panic!() };
    assert_eq!((said.heard.len(), audit.troubles.len(), audit.scored.len()), (0, 0, 0), "{audit:?}");
    assert!(said.rows.iter().all(|row| row.scores.is_empty() && row.verdict.outcome.is_decided()));
    let silent = run(&pair, (|_| (0.001, 0.001), nothing));
    let JobOutput::Rollout { audit, .. } = silent.output else { panic!() };
    assert_eq!(audit.most(Outcome::Error).map(|trouble| trouble.verifier.as_str()), Some("judge_pair"), "{audit:?}");
}

#[test]
fn principles_are_weighed_one_by_one_and_negated_ones_from_above() {
    const LIST: &str = r#""ask": "JUDGE {prompt}{answer}{principle}", "fence": ["[", "]"], "yes": "y", "no": "n"#;
    let by = |prompt: &str| match prompt.rsplit(']').next() {
        Some("wrong") => {
            let (yes, no) = fair(prompt);
            (no, yes)
        }
        _ => fair(prompt),
    };
    let list = r#""from": {"list": [{"text": "right", "weight": 3}, {"text": "wrong", "negate": true}]}"#;
    let said = run(&format!("[{{\"principles\": {{{LIST}\", {list}}}}}]"), (by, nothing));
    for row in &said.rows {
        let truth = right(&question(row), &row.completion);
        let score = if truth { 0.75 } else { 0.2 };
        assert!((row.verdict.score.unwrap() - score).abs() < 1e-5, "{:?}", row.verdict);
        let reason = format!("{score:.3}: {score:.2} right; {score:.2} wrong");
        assert_eq!(row.verdict.reason, reason);
    }
    let write = |prompt: &str, sample: usize| {
        prompt.starts_with("WRITE").then(|| if sample == 0 { "- right\n- sorted" } else { "none" }.to_owned())
    };
    let generate = r#""from": {"generate": {"ask": "WRITE {prompt}", "samples": 2}}"#;
    let said = run(&format!("[{{\"principles\": {{{LIST}\", {generate}}}}}]"), (fair, write));
    for row in &said.rows {
        let truth = right(&question(row), &row.completion);
        assert_eq!(row.verdict.outcome == Outcome::Pass, truth, "{row:?}");
        assert!(row.verdict.reason.ends_with("right; 0.75 sorted") || !truth, "{:?}", row.verdict);
        assert_eq!(row.verdict.cost, "- right\n- sortednone".len() as u64);
    }
}

#[test]
fn jobs_cut_otherwise_hear_the_same_judge_and_figures_are_kept() {
    let said = run(&format!("[{{\"judge\": {{{JUDGE}}}}}]"), (fair, nothing));
    let again = run(&format!("[{{\"judge\": {{{JUDGE}}}}}]"), (fair, nothing));
    assert_eq!(said.output, again.output);
    let JobOutput::Rollout { judges, .. } = said.output else { panic!() };
    assert_eq!(judges.len(), 1);
    assert!(judges[0].trusted && judges[0].balanced() == Some(1.0), "{judges:?}");
    assert_eq!((judges[0].right, judges[0].wrong), (8, 8));
}

#[test]
fn a_judge_whose_words_begin_alike_is_refused_and_says_why() {
    let bench = Bench::new();
    let JobKind::Rollout(spec) = bench.rollout(0..1) else { panic!() };
    let verify =
        serde_json::from_str(r#"[{"judge": {"ask": "{answer}", "mode": {"logits": {"yes": " yes", "no": " no"}}}}]"#);
    let error = bench.run(JobKind::Rollout(RolloutSpec { verify: verify.unwrap(), ..spec })).unwrap_err();
    assert_eq!(error.class(), galapagos_domain::job::FailureClass::Invalid);
    let report = crate::failure::report(error.class(), &error).chain.join("\n");
    assert!(report.contains("its words \" yes\" and \" no\" begin with the same token"), "{report}");
}

/// Right, then left, then right again.
fn walks(prompt: &str, _: usize) -> Option<String> {
    let turns = prompt.matches("> ").count();
    prompt.ends_with("> ").then(|| ["right\n", "left\n"][(turns + 1) % 2].to_owned())
}

const GRID: &str = r#"{"env": {"name": "grid", "config": {"rows": 6, "columns": 6, "walls": 0.0}, "train": 20, "val": 5, "test": 5,
        "tokens": 1900}}"#;

fn three_turns() -> Search {
    Search::EnvRollout(EnvRollout { propose: Propose::answers(1, 0.8), turns: 3, by: Vec::new() })
}

#[test]
fn rules_and_patterns_read_the_last_action_or_all_of_an_episode() {
    let walked = |verify: &str| {
        let env = serde_json::from_str(GRID).unwrap();
        run_on(Some(env), (verify, three_turns()), (|_| (0.5, 0.5), walks)).rows
    };
    let left = r#"{"id": "left", "must": {"contain": "left"}}"#;
    let of_all = [
        format!(r#"[{{"rules": {{"list": [{left}], "over": "episode"}}}}]"#),
        // What was shown stands between the actions.
        r#"[{"regex": {"pattern": "(?s)^right.*> left", "over": "episode"}}]"#.to_owned(),
    ];
    let of_last = [format!(r#"[{{"rules": [{left}]}}]"#), r#"[{"regex": {"pattern": "left"}}]"#.to_owned()];
    for (all, last) in of_all.iter().zip(&of_last) {
        for (all, last) in walked(all).into_iter().zip(walked(last)) {
            let turns = all.credit.spans.iter().filter(|span| span.learn).count();
            assert_eq!(all.verdict.outcome == Outcome::Pass, turns > 1, "{all:?}");
            assert_eq!(last.verdict.outcome == Outcome::Pass, turns == 2, "{last:?}");
        }
    }
}

/// A judge of episodes reads all that was done and shown, and the first wrong turn is found as the first wrong step is; what the
/// environment showed behind a turn is of no class.
#[test]
fn a_judge_reads_whole_episodes_and_the_first_wrong_turn_is_labelled() {
    let judge = r#"{"judge": {"ask": "JUDGE {prompt}{answer}", "fence": ["~(", ")~"], "mode": {"logits": {"yes": "y", "no": "n"}},
        "calibrate": "none"}}"#;
    let back: Weigh = |prompt| if prompt.contains("left") { (0.1, 0.4) } else { (0.6, 0.2) };
    let verify = format!("[{judge}, {{\"first_error\": {{\"by\": {judge}}}}}]");
    let said = run_on(Some(serde_json::from_str(GRID).unwrap()), (&verify, three_turns()), (back, walks));
    let long: Vec<_> = said.rows.iter().filter(|row| row.completion.contains("left")).collect();
    assert!(long.len() > 3, "most walks are not over at once: {:?}", said.rows);
    for row in long {
        let turns = row.credit.spans.iter().filter(|span| span.learn).count();
        let classes: Vec<_> = row.credit.spans.iter().filter(|span| span.learn).map(|span| span.class).collect();
        assert_eq!(classes, [Some(1), Some(0), None][..turns], "{:?}", row.completion);
        assert!(row.credit.spans.iter().all(|span| span.learn || span.class.is_none()));
        assert_eq!(row.verdict.outcome, Outcome::Fail, "{:?}", row.verdict);
        let shown = format!("~({})~", row.completion.trim());
        assert!(said.heard.iter().any(|prompt| prompt.contains(&shown)), "nobody judged {shown:?}: {:?}", said.heard);
    }
}

//! Judges on the libtorch engine: what they say is what a plain forward says, however a job is cut and whichever way its engine goes.

use galapagos_artifacts::trajectories;
use galapagos_domain::job::{JobKind, JobOutput, RolloutSpec};
use galapagos_domain::recipe::verify::Verifier;
use galapagos_domain::trajectory::{Outcome, Trajectory};
use galapagos_model::{EngineOptions, Precision, RunControl, ScoreRequest};
use galapagos_worker::engine::EngineHandle;
use galapagos_worker::engine::tch::TchEngine;

use crate::probes::model;
use crate::searches::{Setting, Waves, search};

fn rows(
    setting: &Setting,
    (text, verify): (&str, &str),
    indices: std::ops::Range<u32>,
) -> (Vec<Trajectory>, JobOutput) {
    let JobKind::Rollout(spec) = setting.spec(search(text), indices) else { panic!() };
    let verify: Vec<Verifier> = serde_json::from_str(verify).unwrap_or_else(|error| panic!("{verify}: {error}"));
    let output = setting.bench.run(JobKind::Rollout(RolloutSpec { verify, ..spec })).unwrap();
    let JobOutput::Rollout { trajectories: file, .. } = &output else { panic!("{output:?}") };
    let bytes = setting.bench.runtime.block_on(setting.bench.shop.store.get(&file.digest)).unwrap();
    (trajectories::decode(bytes).unwrap(), output)
}

const SAMPLES: &str = r#"{"sample_k": {"n": 6}}"#;

#[test]
fn a_judges_score_is_that_of_a_plain_forward() {
    let setting = Setting::new();
    let judge = r#"[{"judge": {"ask": "{prompt}{answer}", "fence": [">", ">"], "mode": {"logits": {"yes": "1", "no": "0", "floor": 0}},
        "calibrate": {"items": 8, "at_least": 0}}}]"#;
    let (rows, output) = rows(&setting, (SAMPLES, judge), 0..6);
    let options = EngineOptions { precision: Precision::F32, ..EngineOptions::default() };
    let (decoder, tokenizer) = model(64, 1);
    let mut engine = galapagos_model::Engine::new(&decoder, options).unwrap();
    let mut judged = 0;
    for row in rows {
        if row.completion.contains('>') {
            assert_eq!(row.verdict.outcome, Outcome::Suspect, "{:?}", row.verdict);
            continue;
        }
        judged += 1;
        let question = tokenizer.decode(&row.prompt_tokens[row.prefix_len as usize..]).unwrap();
        let prompt = tokenizer.encode(&format!("{}>{}>", question.trim(), row.completion.trim())).unwrap();
        let words = ["1", "0"].map(|word| tokenizer.encode(word).unwrap());
        let asked = words.map(|word| ScoreRequest::continuation(&prompt, &word));
        let said = engine.score(&asked, &mut RunControl::default()).unwrap();
        let (yes, no) = (f64::from(said[0][0]).exp(), f64::from(said[1][0]).exp());
        let (score, mass) = (f64::from(row.verdict.score.unwrap()), f64::from(row.verdict.confidence.unwrap()));
        assert!((score - yes / (yes + no)).abs() < 1e-5, "{score} and {}", yes / (yes + no));
        assert!((mass - yes - no).abs() < 1e-5, "{mass} and {}", yes + no);
        assert_eq!(row.verdict.outcome == Outcome::Pass, score >= 0.5);
    }
    assert!(judged > 5, "{judged}");
    let JobOutput::Rollout { judges, .. } = output else { panic!() };
    assert_eq!((judges.len(), judges[0].right + judges[0].wrong, judges[0].undecided), (1, 8, 0));
    assert!(judges[0].brier.is_some() && judges[0].trusted);
}

/// Every sort of judge, in samples and in trees.
const JUDGED: [(&str, &str); 4] = [
    (
        SAMPLES,
        r#"["rule", {"judge_pair": {"ask": "{prompt}{first}{second}", "fence": [">", ">"], "first": "1", "second": "0", "floor": 0,
            "pairs": 7, "calibrate": {"items": 4, "at_least": 0}}}]"#,
    ),
    (
        r#"{"best_of_n": {"propose": {"n": 4}, "by": [{"verifier":
            {"judge": {"ask": "{prompt}{answer}", "fence": [">", ">"], "mode": {"logits": {"yes": "1", "no": "0", "floor": 0}}}}}]}}"#,
        r#"["rule", {"principles": {"ask": "{prompt}{answer}{principle}", "fence": [">", ">"], "yes": "1", "no": "0", "floor": 0,
            "from": {"list": ["12", {"text": "3", "negate": true}]}, "calibrate": "none"}}]"#,
    ),
    (
        r#"{"mcts": {"propose": {"n": 3, "unit": {"tokens": 1}}, "budget": {"simulations": 5, "depth": 4}}}"#,
        r#"["rule", {"first_error": {"by": {"prm": {"role": "critic", "squash": "sigmoid"}}, "how": "bisect"}},
            {"first_error": {"by": {"mc_rollout": {"samples": 2}}, "below": 0.1}}, {"rules": [{"id": "R", "must": {"max_steps": 3}}]}]"#,
    ),
    (
        SAMPLES,
        r#"["rule", {"judge": {"ask": "{prompt}{answer}", "fence": [">", ">"], "mode": {"rationale": {"samples": 2, "max_tokens": 6}},
            "calibrate": "none"}}]"#,
    ),
];

#[test]
fn what_is_said_of_a_task_depends_on_it_alone() {
    let mut setting = Setting::new();
    let whole: Vec<_> = JUDGED.map(|judged| rows(&setting, judged, 0..6).0).into();
    for (judged, whole) in JUDGED.iter().zip(&whole) {
        let pieces: Vec<_> = [0..1, 1..4, 4..6].map(|piece| rows(&setting, *judged, piece).0).concat();
        assert_eq!(&pieces, whole, "{judged:?}");
    }
    setting.bench.shop.engine = EngineHandle::start(|| Box::new(Waves(TchEngine::new()))).unwrap();
    for (judged, whole) in JUDGED.iter().zip(&whole) {
        assert_eq!(&rows(&setting, *judged, 0..6).0, whole, "in waves: {judged:?}");
    }
    let numbers = |place: usize, word: &str| {
        whole[place].iter().flat_map(|row| &row.scores).filter(|score| score.by.starts_with(word)).count()
    };
    assert!(numbers(0, "judge_pair/") > 0 && numbers(1, "principles/") > 0);
    assert_eq!(numbers(2, "first_error/1.prm"), whole[2].len());
    assert_eq!(numbers(2, "rules/1"), whole[2].len());
    assert!(whole[3].iter().all(|row| row.verdict.outcome != Outcome::Pass), "a character model writes no verdicts");
}

/// A scan and a bisection by the same numbers name the same step, wherever what is once wrong stays wrong; the rest is pass.
#[test]
fn the_first_step_below_is_found_by_the_critics_own_numbers() {
    let setting = Setting::new();
    let tree = r#"{"mcts": {"propose": {"n": 3, "unit": {"tokens": 1}}, "budget": {"simulations": 8, "depth": 4}, "extract": "ends"}}"#;
    let verify = r#"["rule", {"first_error": {"by": {"prm": "critic"}, "below": BELOW}}]"#;
    let (mut found, mut none) = (0, 0);
    let options = || EngineOptions { precision: Precision::F32, ..EngineOptions::default() };
    let critic = model(64, 2).0.to_scalar(3).unwrap();
    let mut engine = galapagos_model::Engine::new(&critic, options()).unwrap();
    for below in ["-10", "-0.3", "0.0"] {
        for row in rows(&setting, (tree, &verify.replace("BELOW", below)), 0..4).0 {
            let ends: Vec<usize> = match &row.credit.spans[..] {
                [] => vec![row.completion_tokens.len()],
                spans => spans.iter().map(|span| span.end as usize).collect(),
            };
            let upto = |end: &usize| {
                ScoreRequest::last_value([row.prompt_tokens.as_slice(), &row.completion_tokens[..*end]].concat())
            };
            let asked: Vec<ScoreRequest> = ends.iter().map(upto).collect();
            let said = engine.score(&asked, &mut RunControl::default()).unwrap();
            let first = said.iter().position(|said| f64::from(said[0]) < below.parse().unwrap());
            let score = first.map_or(1.0, |step| step as f32 / ends.len() as f32);
            let given = row.scores.iter().find(|score| score.by.starts_with("first_error/")).unwrap().value;
            assert!((given - score).abs() < 1e-6, "{below}: {said:?} {:?}", row.scores);
            let classes: Vec<_> = row.credit.spans.iter().map(|span| span.class).collect();
            let class = |step: usize| match first {
                Some(first) if step > first => None,
                Some(first) if step == first => Some(0),
                Some(_) | None => Some(1),
            };
            assert_eq!(classes, (0..row.credit.spans.len()).map(class).collect::<Vec<_>>(), "labels of steps");
            found += usize::from(first.is_some());
            none += usize::from(first.is_none());
        }
    }
    assert!(found > 0 && none > 0, "{found} {none}");
}

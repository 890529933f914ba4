//! Jobs on the libtorch engine with a character model of some thousand weights: what a base job refuses, and that the
//! bytes of a rollout depend on its spec alone.
#![expect(clippy::unwrap_used, reason = "test helpers outside of test functions")]

use std::path::Path;

use galapagos_domain::job::{BoutSpec, EvaluateSpec, FailureClass, JobKind, JobOutput, Sampling};
use galapagos_domain::recipe::guide::{Guide, Speculate};
use galapagos_domain::recipe::tasks::Split;
use galapagos_domain::recipe::{Base, Characters};
use galapagos_worker::failure;
use galapagos_worker::jobs::tasks::Problems;

use bench::{Bench, SAMPLING, refusal, shape, slice};

#[path = "../serve/adapter_folder.rs"]
mod adapter_folder;
mod adapters;
mod bench;
mod episodes;
mod judges;
mod measured;
mod probes;
mod programs;
mod searches;
mod spread;
mod wrappers;

#[test]
fn a_character_model_is_a_function_of_the_seed_and_imports_as_what_it_is() {
    let (first, second) = (Bench::new(), Bench::new());
    assert_eq!(first.base(), second.base());
    first.model("copy");
    let imported = first.run(JobKind::Base(Base::Model("copy".to_owned()))).unwrap();
    let (checkpoint, weights) = first.base();
    assert_eq!(imported, JobOutput::Base { checkpoint, weights, source: "copy".to_owned() });
}

#[test]
fn a_rollout_is_the_same_whatever_shares_its_batch() {
    let bench = Bench::new();
    let (policy, _) = bench.base();
    let whole = bench.rows(policy, 0..9);
    let pieces = [bench.rows(policy, 0..1), bench.rows(policy, 1..7), bench.rows(policy, 7..9)].concat();
    assert_eq!(whole, pieces);
    assert!(whole.iter().any(|row| row.completion != whole[0].completion), "it samples");
    assert!(whole.iter().all(|row| row.completion_tokens.len() == row.log_probs.len()));
}

#[test]
fn a_guided_rollout_yields_its_choices_each_ended_by_the_model() {
    let bench = Bench::new();
    let (policy, _) = bench.base();
    let choices = ["7", "12", "123"].map(str::to_owned);
    let guided = Sampling { guide: Some(Guide::Choice(choices.to_vec())), ..SAMPLING };
    let rows = bench.sampled(policy, 0..12, guided.clone()).unwrap();
    let checkpoint = bench.runtime.block_on(bench.shop.checkpoints.open(&policy)).unwrap();
    let stop = bench.shop.engine.codec(&checkpoint).unwrap().stop_tokens(Some('\n')).unwrap();
    for row in &rows {
        assert!(choices.contains(&row.completion), "{:?}", row.completion);
        assert!(stop.contains(row.completion_tokens.last().unwrap()), "it ends with a stop token: {row:?}");
        assert_eq!(row.completion_tokens.len(), row.completion.len() + 1);
        assert_eq!(row.completion_tokens.len(), row.log_probs.len());
    }
    for choice in &choices {
        assert!(rows.iter().any(|row| row.completion == *choice), "{choice} never came");
    }
    let free = bench.rows(policy, 0..12);
    assert!(free.iter().any(|row| !choices.contains(&row.completion)), "a random model writes other things unguided");
    let pieces = [0..5, 5..12].map(|piece| bench.sampled(policy, piece, guided.clone()).unwrap());
    assert_eq!(pieces.concat(), rows, "what shares a batch changes nothing");
}

#[test]
fn speculation_changes_no_token_guided_or_not() {
    let bench = Bench::new();
    let (policy, _) = bench.base();
    let guide = Some(Guide::Regex("12[0-9]3?".to_owned()));
    for plain in [
        SAMPLING,
        Sampling { guide, ..SAMPLING },
        Sampling { max_tokens: Some(20), repetition_penalty: 1.2, min_p: 0.02, top_k: Some(6), ..SAMPLING },
        SAMPLING.greedy(),
    ] {
        let ahead = Sampling { speculate: Speculate::Lookup, ..plain.clone() };
        assert_eq!(bench.sampled(policy, 0..6, ahead).unwrap(), bench.sampled(policy, 0..6, plain).unwrap());
    }
}

#[test]
fn cut_offs_and_penalties_reach_the_engine() {
    let bench = Bench::new();
    let (policy, _) = bench.base();
    let long = Sampling { max_tokens: Some(16), ..SAMPLING };
    let tokens = |sampling: Sampling| -> Vec<Vec<u32>> {
        bench.sampled(policy, 0..4, sampling).unwrap().into_iter().map(|row| row.completion_tokens).collect()
    };
    let greedy = tokens(long.greedy());
    assert_eq!(tokens(Sampling { top_k: Some(1), ..long.clone() }), greedy);
    assert_eq!(tokens(Sampling { min_p: 1.0, ..long.clone() }), greedy);
    assert_ne!(tokens(long.clone()), greedy);
    assert_ne!(tokens(Sampling { repetition_penalty: 2.0, ..long.greedy() }), greedy);
}

#[test]
fn a_guide_that_cannot_be_followed_is_invalid_and_named() {
    let bench = Bench::new();
    let (policy, _) = bench.base();
    let cases = [
        (Guide::Regex("1(2".to_owned()), "regex: \"1(2\"", "regular expression"),
        (Guide::Lark("start: missing".to_owned()), "lark: \"start: missing\"", "missing"),
        (
            Guide::Choice(vec!["1".to_owned(), "one".to_owned()]),
            "choice: [\"1\", \"one\"]",
            "\"one\" cannot be written",
        ),
        // The first character can be written and the second ends an answer.
        (Guide::Regex("1\n2".to_owned()), "regex: \"1\\n2\"", "what must follow cannot be written"),
    ];
    for (guide, name, why) in cases {
        let chain = bench.guide_refused(policy, guide);
        assert!(chain.contains(name) && chain.contains(why), "{chain}");
    }
}

#[test]
fn bouts_and_evaluations_are_guided_too() {
    let bench = Bench::new();
    let (policy, _) = bench.base();
    let tasks = slice(Split::Val, 0..1);
    let answer = Problems::of(&tasks, &bench.shop.shelf()).unwrap().data.get(0).unwrap().answer.clone();
    let sampling = Sampling { guide: Some(Guide::Choice(vec![answer])), ..SAMPLING };
    let critic = None;
    let spec = EvaluateSpec {
        policy,
        critic,
        critic_shots: true,
        tasks: tasks.clone(),
        samples: 4,
        sampling: sampling.clone(),
    };
    let JobOutput::Evaluate { tasks: outcomes, .. } = bench.run(JobKind::Evaluate(spec)).unwrap() else { panic!() };
    assert!(outcomes[0].greedy_pass && outcomes[0].passes == 4, "the right answer is the only choice: {outcomes:?}");
    let guide = Some(Guide::Regex("[".to_owned()));
    let bout = BoutSpec { holder: policy, challenger: policy, tasks, sampling: Sampling { guide, ..sampling } };
    assert_eq!(bench.run(JobKind::Bout(bout)).unwrap_err().class(), FailureClass::Invalid);
}

#[test]
fn a_member_draws_with_itself_and_a_policy_is_no_critic() {
    let bench = Bench::new();
    let (policy, _) = bench.base();
    let bout = BoutSpec { holder: policy, challenger: policy, tasks: slice(Split::Val, 0..6), sampling: SAMPLING };
    let JobOutput::Bout { pairs, .. } = bench.run(JobKind::Bout(bout)).unwrap() else { panic!() };
    assert!(pairs.len() == 6 && pairs.iter().all(|pair| pair.half_points == 2));
    let evaluate = EvaluateSpec {
        policy,
        critic: Some(policy),
        critic_shots: true,
        tasks: slice(Split::Val, 0..2),
        samples: 2,
        sampling: SAMPLING,
    };
    let error = bench.run(JobKind::Evaluate(evaluate)).unwrap_err();
    assert_eq!(error.class(), FailureClass::Invalid);
    assert!(failure::report(error.class(), &error).chain.join("\n").contains("no scalar head"));
}

#[test]
fn a_missing_folder_is_invalid_and_says_where_we_looked() {
    let bench = Bench::new();
    let (class, chain) = refusal(&bench, Path::new("smollm3"));
    assert_eq!(class, FailureClass::Invalid);
    assert!(chain.contains(&bench.shop.models.join("smollm3").display().to_string()), "{chain}");
}

#[test]
fn corrupt_weights_are_invalid_and_name_the_file() {
    let bench = Bench::new();
    let model = bench.model("cut");
    let weights = model.join("model.safetensors");
    let bytes = std::fs::read(&weights).unwrap();
    std::fs::write(&weights, &bytes[..bytes.len() / 2]).unwrap();
    let (class, chain) = refusal(&bench, &model);
    assert_eq!(class, FailureClass::Invalid);
    assert!(chain.contains("model.safetensors") && chain.contains("corrupt"), "{chain}");
}

#[test]
fn another_models_tokenizer_is_invalid_and_says_why() {
    let bench = Bench::new();
    let model = bench.model("mixed");
    let other = Base::Characters(Characters { alphabet: "ab".to_owned(), ..shape() });
    let JobOutput::Base { checkpoint, .. } = bench.run(JobKind::Base(other)).unwrap() else { panic!() };
    let other = bench.runtime.block_on(bench.shop.checkpoints.open(&checkpoint)).unwrap().path;
    std::fs::copy(other.join("tokenizer.json"), model.join("tokenizer.json")).unwrap();
    let (class, chain) = refusal(&bench, &model);
    assert_eq!(class, FailureClass::Invalid);
    assert!(chain.contains("tokenizer") && chain.contains("rows"), "{chain}");
}

#[test]
fn an_impossible_shape_is_invalid_and_says_what_would_be_right() {
    let bench = Bench::new();
    let error = bench.run(JobKind::Base(Base::Characters(Characters { heads: 3, ..shape() }))).unwrap_err();
    assert_eq!(error.class(), FailureClass::Invalid);
    assert!(failure::report(error.class(), &error).chain.join("\n").contains("multiple of heads"));
}

#[test]
fn a_cached_checkpoint_that_changed_on_disk_is_an_error_and_never_a_result() {
    let bench = Bench::new();
    let (policy, _) = bench.base();
    let folder = bench.runtime.block_on(bench.shop.checkpoints.open(&policy)).unwrap().path;
    let weights = folder.join("model.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&weights, bytes).unwrap();
    let error = bench.run(bench.rollout(policy, 0..1)).unwrap_err();
    let chain = failure::report(error.class(), &error).chain.join("\n");
    assert!(chain.contains("hash to") && chain.contains(&folder.display().to_string()), "{chain}");
    drop(bench.folder);
}

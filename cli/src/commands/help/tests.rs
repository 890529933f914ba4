//! The reference against the grammar's own types: no field and no default may be missing or wrong.

use galapagos_domain::recipe::controller::{self, BalanceScore, Bounds, Controller, GridArgmax, Range, RewardPass};
use galapagos_domain::recipe::curate::{BalanceBy, DedupeBy, Mask, Normalise, Operator, RewardTerm};
use galapagos_domain::recipe::evaluate::{BestOf, Metric, NumberOf, Rerank};
use galapagos_domain::recipe::generations::Generations;
use galapagos_domain::recipe::guide::{Guide, Speculate};
use galapagos_domain::recipe::search::{
    Argue, Backup, Ballot, Budget, Canaries, Discriminate, Discriminator, Evaluate, Extra, Extract, Feedback, Merge,
    Parallel, Propose, Repair, Search, Seeds, Select, Simulate, Spread, Unit, Unvisited, Width, Write,
};
use galapagos_domain::recipe::step::RecipeStep;
use galapagos_domain::recipe::tasks::files::{AnswerForm, Columns, Format, Splits, TestForm};
use galapagos_domain::recipe::tasks::{Begun, Style, TakenBack, TaskSet};
use galapagos_domain::recipe::tournament::{BoutForm, Gate, Judge, Selection};
use galapagos_domain::recipe::train::{
    Adapter, Baseline, Component, Freeze, Guard, Kl, Layout, Loss, Mix, Optimiser, Pointwise, Precision, Reference,
    Schedule, Start, Surrogate,
};
use galapagos_domain::recipe::verify::{
    self, Behaviour, Consistency, Dropout, How, McRollout, Place, TurnNumber, Verifier,
};
use galapagos_domain::recipe::{Base, Control, Governance, Head, Recipe, Role, Shuffled, Source, StopRule, Vision};
use galapagos_domain::task::{Family, arithmetic, countdown, enumerable, list_program, rendered_sums, sum_review};
use serde_json::{Value, json};

use super::grammar::words;
use super::topic::{Preset, Topic};
use super::{answer, find, reference, topics};

/// What the grammar has under each topic.
fn grammar(topic: &str) -> Option<&'static [&'static str]> {
    match topic {
        "recipe" => words::<Recipe>(None),
        "each" => words::<RecipeStep>(None),
        "source" => words::<Source>(None),
        "governance" => words::<Governance>(None),
        "base" => words::<Base>(None),
        "characters" => words::<Base>(Some("characters")),
        "vision" => words::<Vision>(None),
        "roles" => words::<Role>(None),
        "head" => words::<Head>(None),
        "tasks" => words::<TaskSet>(None),
        "builtin" | "files" | "env" => words::<TaskSet>(Some(find(topic)?.word)),
        "family" => Some(&Family::WORDS),
        "arithmetic_steps" => words::<arithmetic::Shape>(None),
        "countdown" | "countdown_steps" => words::<countdown::Shape>(None),
        "rendered_sums" => words::<rendered_sums::Shape>(None),
        "sum_review" => words::<sum_review::Shape>(None),
        "list_program" => words::<list_program::Shape>(None),
        "enumerable" => words::<enumerable::Shape>(None),
        "style" => words::<Style>(None),
        "taken_back" => words::<TakenBack>(None),
        "begun" => words::<Begun>(None),
        "format" => words::<Format>(None),
        "columns" => words::<Columns>(None),
        "answer" => words::<AnswerForm>(None),
        "splits" => words::<Splits>(None),
        "tests" => words::<TestForm>(None),
        "stop" => words::<StopRule>(None),
        "plateau" => words::<StopRule>(Some("plateau")),
        "rollout" | "curate" | "train" | "tournament" | "evaluate" | "propose" => {
            words::<RecipeStep>(Some(find(topic)?.word))
        }
        "search" => words::<Search>(None),
        "sample_k" => words::<Propose>(None),
        "best_of_n" | "vote" | "step_beam" | "mcts" | "id_sampling" | "multi_turn" | "refine_loop" | "debate"
        | "env_rollout" | "critic_sampling" => words::<Search>(Some(find(topic)?.word)),
        "refine" => words::<Seeds>(None),
        "repair" => words::<Repair>(None),
        "unit" => words::<Unit>(None),
        "merge" => words::<Merge>(None),
        "edit_distance" => words::<Merge>(Some("edit_distance")),
        "by" => words::<Ballot>(None),
        "weighted" => words::<Ballot>(Some("weighted")),
        "select" => words::<Select>(None),
        "uct" | "puct" | "best_first" => words::<Select>(Some(find(topic)?.word)),
        "unvisited" => words::<Unvisited>(None),
        "extra" => words::<Extra>(None),
        "evaluator" => words::<Evaluate>(None),
        "backup" => words::<Backup>(None),
        "budget" => words::<Budget>(None),
        "width" => words::<Width>(None),
        "simulate" => words::<Simulate>(None),
        "parallel" => words::<Parallel>(None),
        "spread" => words::<Spread>(None),
        "extract" => words::<Extract>(None),
        "feedback" => words::<Feedback>(None),
        "write" => words::<Write>(None),
        "discriminate" => words::<Discriminate>(None),
        "discriminator" => words::<Discriminator>(None),
        "argue" => words::<Argue>(None),
        "mc_rollout" => words::<McRollout>(None),
        "combine" | "repeat" | "uncertainty" => words::<Verifier>(Some(find(topic)?.word)),
        "how" => words::<How>(None),
        "mc_dropout" => words::<Dropout>(None),
        "canaries" => words::<Canaries>(None),
        "exact" | "numeric" | "list" | "multiple_choice" | "regex" | "json_schema" | "math" | "step_executor"
        | "unit_tests" | "env_return" | "success_classifier" => words::<Verifier>(Some(find(topic)?.word)),
        "rules" => words::<verify::Rule>(None),
        "must" => words::<verify::Must>(None),
        "judging" => words::<verify::Judge>(None),
        "logits" => words::<verify::Logits>(None),
        "rationale" => words::<verify::Rationale>(None),
        "generate" => words::<verify::Generate>(None),
        "judge_pair" | "principles" | "first_error" => words::<Verifier>(Some(find(topic)?.word)),
        "behaviour" => words::<Behaviour>(None),
        "turns" => words::<TurnNumber>(None),
        "generations" => words::<Generations>(None),
        "sum" => words::<RewardTerm>(None),
        "consistency" => words::<Consistency>(None),
        "read" => words::<Place>(None),
        "guide" => words::<Guide>(None),
        "speculate" => words::<Speculate>(None),
        "verify" => words::<Verifier>(None),
        "loss" => words::<Loss>(None),
        "pg" | "dpo" | "kto" | "dpo_regression" | "cpl" | "bt_pair" | "value" | "td_conservative"
        | "contrastive_mi" => words::<Loss>(Some(find(topic)?.word)),
        "baseline" => words::<Baseline>(None),
        "critic" => words::<Baseline>(Some("critic")),
        "surrogate" => words::<Surrogate>(None),
        "clip" => words::<Surrogate>(Some("clip")),
        "pointwise" => words::<Pointwise>(None),
        "component" => words::<Component>(None),
        "masked" => words::<Component>(Some("masked")),
        "start" => words::<Start>(None),
        "optimiser" => words::<Optimiser>(None),
        "adamw" | "sgd" | "muon" => words::<Optimiser>(Some(find(topic)?.word)),
        "schedule" => words::<Schedule>(None),
        "reference" => words::<Reference>(None),
        "kl" => words::<Kl>(None),
        "mix" => words::<Mix>(None),
        "adapter" => words::<Adapter>(None),
        "freeze" => words::<Freeze>(None),
        "guard" => words::<Guard>(None),
        "precision" => words::<Precision>(None),
        "layout" => words::<Layout>(None),
        "split" => words::<Selection>(None),
        "bout" => words::<BoutForm>(None),
        "judge" => words::<Judge>(None),
        "gate" => words::<Gate>(None),
        "sprt" => words::<Gate>(Some("sprt")),
        "metrics" => words::<Metric>(None),
        "best_of" | "pair_accuracy" => words::<BestOf>(None),
        "numbers" => words::<NumberOf>(None),
        "rerank" => words::<Rerank>(None),
        "apply" => words::<Operator>(None),
        "keep" | "drop" | "filter" | "top_k" | "cap" | "subsample" | "pair" | "label_from" | "splice" | "linearise"
        | "relabel" | "noise" | "repeat_verify" | "hindsight" | "shape_turns" | "reward" | "join_pairs"
        | "certainty" | "repairs" => words::<Operator>(Some(find(topic)?.word)),
        "dedupe_by" => words::<DedupeBy>(None),
        "near" => words::<DedupeBy>(Some("near")),
        "mask" => words::<Mask>(None),
        "normalise" => words::<Normalise>(None),
        "balance" => words::<BalanceBy>(None),
        "control" => words::<Control>(None),
        "controllers" => words::<Controller>(None),
        "grid_argmax" => words::<GridArgmax>(None),
        "bounds" => words::<Bounds>(None),
        "grid_metric" => words::<controller::Metric>(None),
        "balance_score" => words::<BalanceScore>(None),
        "reward_pass" => words::<RewardPass>(None),
        "moves" => words::<Range>(None),
        "grid_budget" => words::<controller::Budget>(None),
        "shuffle" => words::<Shuffled>(None),
        _ => None,
    }
}

#[test]
fn every_field_and_word_of_the_grammar_is_explained_and_no_other() {
    for topic in topics::all() {
        let mut expected =
            grammar(topic.word).unwrap_or_else(|| panic!("`{}` is not in the grammar", topic.word)).to_vec();
        let mut explained: Vec<_> = topic.entries.iter().map(|entry| entry.word).collect();
        expected.sort_unstable();
        explained.sort_unstable();
        assert_eq!(explained, expected, "{}", topic.word);
    }
}

/// The least that a person must write under a topic whose fields have defaults.
fn least(topic: &str) -> Value {
    match topic {
        "recipe" => json!({
            "galapagos": 1, "name": "a", "about": "b", "base": {"model": "m"}, "roles": {}, "tasks": {}, "generations": 1,
            "governance": {"purpose": "p", "data": "d", "risks": "r", "oversight": "o", "contact": "c"},
            "each": [], "finish": [],
        }),
        "roles" => json!({"init": "base"}),
        "builtin" => json!({"family": "sort_three_digits", "train": 1, "val": 1, "test": 1}),
        "characters" => {
            json!({"alphabet": "a", "layers": 1, "hidden": 2, "heads": 1, "ffn": 1, "context": 2})
        }
        "arithmetic_steps" | "countdown" | "countdown_steps" | "list_program" | "rendered_sums" | "sum_review"
        | "enumerable" => {
            json!({})
        }
        "source" => json!({"title": "t"}),
        "rollout" => json!({"as": "s", "role": "policy", "tasks": {}, "search": {"sample_k": {"n": 1}}}),
        "sample_k" => json!({"n": 1}),
        "best_of_n" => json!({"propose": {"n": 1}, "by": []}),
        "vote" => json!({"propose": {"n": 1}}),
        "weighted" => json!({"verifier": "rule", "steps": "min"}),
        "step_beam" => json!({"propose": {"n": 1}, "beam": 1, "budget": {}}),
        "mcts" => json!({"propose": {"n": 1}, "budget": {}}),
        "id_sampling" => json!({"propose": {"n": 1}, "first": 1, "most": 1, "trigger": "t"}),
        "multi_turn" => json!({"propose": {"n": 1}, "turns": 2, "instruction": "i"}),
        "refine_loop" => json!({"propose": {"n": 1}, "rounds": 1, "feedback": "f", "revise": "r"}),
        "env" => json!({"train": 1, "val": 1, "test": 1, "tokens": 1}),
        "env_rollout" => json!({"propose": {"n": 1}, "turns": 1}),
        "env_return" => json!({}),
        "success_classifier" => json!({"role": "critic"}),
        "critic_sampling" => json!({"propose": {"n": 1}, "tests": "rule", "critic": "self_log_prob"}),
        "refine" => json!({"seeds": 1, "n": 1}),
        "repair" => json!({"programs": 1, "write": {"ask": "a"}}),
        "debate" => json!({"propose": {"n": 1}, "speakers": 2, "rounds": 2, "others": "o", "again": "a"}),
        "uct" | "puct" | "best_first" | "budget" => json!({}),
        "edit_distance" => json!({"below": 1}),
        "parallel" => json!({"leaves": 1}),
        "feedback" => json!({"show": "{siblings}"}),
        "write" => json!({"ask": "a"}),
        "discriminate" => json!({"by": {"verifier": "rule"}}),
        "argue" => json!({"write": {"ask": "{solutions}"}}),
        "spread" => json!({"jobs": 2}),
        "evaluator" => json!({"verifier": "rule"}),
        "mc_rollout" => json!({"samples": 1}),
        "combine" => json!({"of": [], "how": "all"}),
        "repeat" => json!({"verify": "rule", "times": 2}),
        "uncertainty" => json!({"verify": "rule", "how": {"ensemble": []}}),
        "mc_dropout" => json!({"samples": 2, "rate": 0.1}),
        "canaries" => json!({"rate": 0.1}),
        "exact" | "numeric" | "list" | "multiple_choice" | "math" | "step_executor" | "unit_tests" | "columns"
        | "splits" | "logits" | "rationale" => json!({}),
        "files" => json!({"path": "p"}),
        "rules" => json!({"id": "R1", "must": {"contain": "a"}}),
        "judging" | "generate" => json!({"ask": "a"}),
        "judge_pair" => json!({"ask": "a"}),
        "principles" => json!({"ask": "a", "from": {"list": []}}),
        "first_error" => json!({"by": "rule"}),
        "regex" => json!({"pattern": "a"}),
        "json_schema" => json!({"schema": {}}),
        "curate" => json!({"as": "c", "from": "s"}),
        "filter" => json!({"by": "reward"}),
        "top_k" => json!({"k": 1, "by": ["reward"]}),
        "pair" => json!({"from": "samples"}),
        "label_from" => json!({"value": "q"}),
        "splice" => json!({"first_error": "lowest_q", "revision": "r"}),
        "linearise" => json!({"text_back": "t"}),
        "join_pairs" => json!({"between": "b"}),
        "certainty" => json!({"role": "critic", "between": "b"}),
        "repairs" => json!({"ask": "a"}),
        "relabel" => json!({}),
        "shape_turns" => json!({"bonus": 1.0}),
        "reward" => json!({"sum": []}),
        "sum" => json!({"of": "verdict"}),
        "generations" => json!({}),
        "hindsight" | "rerank" | "bounds" | "balance_score" | "reward_pass" => json!({}),
        "grid_argmax" => json!({"on": {}, "search": {"sample_k": {"n": 1}}, "metric": "random", "moves": {}}),
        "moves" => json!({"from": 0.0, "to": 1.0, "step": 0.5}),
        "numbers" => json!({"verifier": "rule"}),
        "subsample" => json!({"n": 1}),
        "train" => json!({"role": "policy", "on": "c", "loss": "nll", "lr": 0.1}),
        "critic" => json!({"role": "critic"}),
        "masked" => json!({"token": 1}),
        "kl" => json!({"weight": 0.1}),
        "mix" => json!({"on": "c"}),
        "adapter" => json!({"rank": 4}),
        "pg" | "dpo" | "kto" | "dpo_regression" | "cpl" | "bt_pair" | "value" | "td_conservative"
        | "contrastive_mi" | "clip" | "adamw" | "sgd" | "muon" | "freeze" | "guard" => json!({}),
        "split" => json!({"split": "val"}),
        "tournament" => json!({
            "between": ["champion", "c"], "tasks": {}, "promote": "policy",
            "gate": {"sprt": {"elo": [0.0, 1.0], "alpha": 0.1, "beta": 0.1}},
        }),
        "propose" => json!({"as": "i", "role": "policy", "kind": "tasks", "like": "t", "n": 1}),
        "evaluate" => json!({"members": ["base"], "tasks": {}, "metrics": []}),
        other => panic!("no smallest example of `{other}`"),
    }
}

fn filled_in(topic: &str, least: Value) -> serde_json::Result<Value> {
    fn through<T: serde::de::DeserializeOwned + serde::Serialize>(value: Value) -> serde_json::Result<Value> {
        serde_json::to_value(serde_json::from_value::<T>(value)?)
    }
    let inside = |whole: Value| whole.get(topic).cloned().unwrap_or(whole);
    match topic {
        "recipe" => through::<Recipe>(least),
        "arithmetic_steps" => through::<arithmetic::Shape>(least),
        "countdown" | "countdown_steps" => through::<countdown::Shape>(least),
        "rendered_sums" => through::<rendered_sums::Shape>(least),
        "sum_review" => through::<sum_review::Shape>(least),
        "list_program" => through::<list_program::Shape>(least),
        "enumerable" => through::<enumerable::Shape>(least),
        "characters" => through::<Base>(json!({ topic: least })).map(inside),
        "source" => through::<Source>(least),
        "roles" => through::<Role>(least),
        "split" => through::<Selection>(least),
        "columns" => through::<Columns>(least),
        "splits" => through::<Splits>(least),
        "builtin" | "files" | "env" => through::<TaskSet>(json!({ topic: least })).map(inside),
        "sample_k" | "best_of_n" | "vote" | "step_beam" | "mcts" | "id_sampling" | "multi_turn" | "refine_loop"
        | "debate" | "env_rollout" | "critic_sampling" => through::<Search>(json!({ topic: least })).map(inside),
        "weighted" => through::<Ballot>(json!({ topic: least })).map(inside),
        "uct" | "puct" | "best_first" => through::<Select>(json!({ topic: least })).map(inside),
        "edit_distance" => through::<Merge>(json!({ topic: least })).map(inside),
        "budget" => through::<Budget>(least),
        "parallel" => through::<Parallel>(least),
        "feedback" => through::<Feedback>(least),
        "repair" => through::<Repair>(least),
        "write" => through::<Write>(least),
        "discriminate" => through::<Discriminate>(least),
        "argue" => through::<Argue>(least),
        "spread" => through::<Spread>(least),
        "evaluator" => through::<Evaluate>(least),
        "mc_rollout" => through::<McRollout>(least),
        "mc_dropout" => through::<Dropout>(least),
        "canaries" => through::<Canaries>(least),
        "numbers" => through::<NumberOf>(least),
        "rerank" => through::<Rerank>(least),
        "rules" => through::<verify::Rule>(least),
        "judging" => through::<verify::Judge>(least),
        "logits" => through::<verify::Logits>(least),
        "rationale" => through::<verify::Rationale>(least),
        "generate" => through::<verify::Generate>(least),
        "combine" | "repeat" | "uncertainty" | "exact" | "numeric" | "list" | "multiple_choice" | "regex"
        | "json_schema" | "math" | "step_executor" | "unit_tests" | "judge_pair" | "principles" | "first_error"
        | "env_return" | "success_classifier" => through::<Verifier>(json!({ topic: least })).map(inside),
        "pg" | "dpo" | "kto" | "dpo_regression" | "cpl" | "bt_pair" | "value" | "td_conservative"
        | "contrastive_mi" => through::<Loss>(json!({ topic: least })).map(inside),
        "filter" | "top_k" | "pair" | "label_from" | "splice" | "linearise" | "relabel" | "hindsight" | "subsample"
        | "shape_turns" | "reward" | "join_pairs" | "certainty" | "repairs" => {
            through::<Operator>(json!({ topic: least })).map(inside)
        }
        "critic" => through::<Baseline>(json!({ topic: least })).map(inside),
        "clip" => through::<Surrogate>(json!({ topic: least })).map(inside),
        "masked" => through::<Component>(json!({ topic: least })).map(inside),
        "adamw" | "sgd" | "muon" => through::<Optimiser>(json!({ topic: least })).map(inside),
        "kl" => through::<Kl>(least),
        "generations" => through::<Generations>(least),
        "sum" => through::<RewardTerm>(least),
        "mix" => through::<Mix>(least),
        "adapter" => through::<Adapter>(least),
        "freeze" => through::<Freeze>(least),
        "guard" => through::<Guard>(least),
        "grid_argmax" => through::<Controller>(json!({ topic: least })).map(inside),
        "bounds" => through::<Bounds>(least),
        "balance_score" => through::<BalanceScore>(least),
        "reward_pass" => through::<RewardPass>(least),
        "moves" => through::<Range>(least),
        verb => through::<RecipeStep>(json!({ verb: least })).map(inside),
    }
}

/// A default as the reference writes it.
fn written(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.as_f64().map_or_else(|| number.to_string(), |n| n.to_string()),
        Value::Array(items) => format!("[{}]", items.iter().map(written).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) => {
            let said = fields.iter().filter(|(_, value)| !value.is_null());
            let fields: Vec<String> = said.map(|(field, value)| format!("{field}: {}", written(value))).collect();
            format!("{{{}}}", fields.join(", "))
        }
        Value::Null | Value::Bool(_) => value.to_string(),
    }
}

fn has_defaults(topic: &Topic) -> bool {
    topic.entries.iter().any(|entry| matches!(entry.preset, Preset::Default(_) | Preset::Absent))
}

#[test]
fn required_fields_are_required_and_defaults_are_the_defaults() {
    for topic in topics::all().filter(|topic| has_defaults(topic)) {
        let least = least(topic.word);
        let full = filled_in(topic.word, least.clone()).unwrap_or_else(|e| panic!("{}: {e}", topic.word));
        for entry in topic.entries {
            let given = least.get(entry.word).is_some();
            match entry.preset {
                Preset::Required => {
                    assert!(given, "{}.{} has a default", topic.word, entry.word);
                    let mut without = least.clone();
                    without.as_object_mut().unwrap().remove(entry.word);
                    filled_in(topic.word, without).expect_err(entry.word);
                }
                Preset::Absent => assert_eq!(full[entry.word], Value::Null, "{}.{}", topic.word, entry.word),
                Preset::Default(value) => {
                    assert_eq!(written(&full[entry.word]), value, "{}.{}", topic.word, entry.word)
                }
                Preset::Word => panic!("{}.{} is a field, not a word", topic.word, entry.word),
            }
        }
    }
}

#[test]
fn the_examples_of_the_verbs_make_a_valid_recipe() {
    let sampled = find("sample_k").unwrap().example.replace("as: samples", "as: guided");
    let guided = find("guide").unwrap().example.lines().enumerate();
    let guided: String = guided
        .map(|(n, search)| format!("  - rollout: {{as: guided-{n}, role: policy, tasks: {{numbers: 20}}, {search}}}\n"))
        .collect();
    let steps: String = ["rollout", "curate", "train", "tournament", "evaluate", "propose"]
        .into_iter()
        .flat_map(|verb| find(verb).unwrap().example.lines())
        .chain(sampled.lines())
        .map(|line| format!("  {line}\n"))
        .chain([guided])
        .collect();
    let top: String =
        ["roles", "tasks", "stop", "control"].map(|topic| format!("{}\n", find(topic).unwrap().example)).concat();
    let text = format!(
        "galapagos: 1\nname: example\nabout: a\nbase: {{model: m}}\ngenerations: 1\nvars: {{temperature: 0.8}}\n\
         governance: {{purpose: p, data: d, risks: r, oversight: o, contact: c}}\n{top}each:\n{steps}\
         finish:\n  - evaluate: {{members: [base], tasks: {{numbers: {{split: test}}}}, metrics: [pass_at_1]}}\n"
    );
    if let Err(diagnostics) = Recipe::parse("help", &text, &|_| Err("no other file".to_owned())) {
        panic!("{diagnostics}\n{text}");
    }
}

fn asked(words: &[&str]) -> Result<String, crate::error::Error> {
    answer(&words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>())
}

#[test]
fn a_topic_a_field_and_a_command_are_found() {
    let topic = asked(&["recipe", "sample_k"]).unwrap();
    let words = topic.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("temperature number or $name 0.8") && words.contains("samples per task"), "{topic}");
    assert!(asked(&["recipe", "guide"]).unwrap().contains("choice: [\" yes\", \" no\"]"));
    let field = asked(&["recipe", "lr"]).unwrap();
    assert_eq!(field, "train.lr  number  required  peak learning rate\n");
    assert_eq!(asked(&["recipe", "rollout.search.sample_k"]).unwrap(), topic);
    assert!(asked(&["recipe"]).unwrap().contains("tournament"));
    assert!(asked(&["run"]).unwrap().contains("--dry-run"));
}

#[test]
fn an_unknown_word_offers_a_near_one() {
    let message = asked(&["recipe", "sampel_k"]).unwrap_err().to_string();
    assert_eq!(message, "there is no help on `sampel_k`; did you mean `sample_k`?");
    let far = asked(&["recipe", "zzz"]).unwrap_err().to_string();
    assert!(far.contains("`galapagos help recipe` lists"), "{far}");
}

#[test]
fn the_reference_page_is_current() {
    let page = include_str!("../../../../docs/recipe-reference.md");
    let out_of_date = "docs/recipe-reference.md is out of date: galapagos help --markdown > docs/recipe-reference.md";
    assert!(page.trim_end() == reference().trim_end(), "{out_of_date}");
}

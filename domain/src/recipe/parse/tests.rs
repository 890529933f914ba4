//! What a person sees of a mistake, and how texts are merged.

use crate::recipe::diagnostic::Diagnostics;
use crate::recipe::step::RecipeStep;
use crate::recipe::vocabulary::DEFAULTS;
use crate::recipe::{Number, Recipe};

const MICRO: &str = include_str!("../../../../recipes/tests/micro.yaml");

fn parse(text: &str) -> Result<Recipe, Diagnostics> {
    Recipe::parse("my.yaml", text, &|name| Err(format!("no file {name} in this test")))
}

fn complaint(from: &str, to: &str) -> String {
    assert!(MICRO.contains(from), "{from:?} is not in the recipe");
    match parse(&MICRO.replacen(from, to, 1)) {
        Ok(_) => panic!("accepted {to:?}"),
        Err(diagnostics) => diagnostics.to_string(),
    }
}

#[test]
fn an_unknown_field_is_shown_with_its_line_and_the_field_that_was_meant() {
    let text = MICRO.replace(
        "search: {sample_k: {n: 4, temperature: 1.0}}}",
        "search:\n      sample_k:\n        n: 4\n        temprature: 0.9\n    }",
    );
    let block = text
        .replace(
            "- rollout: {as: samples, role: policy, tasks: {digits: 64}, search:",
            "- rollout:\n      as: samples\n      role: policy\n      tasks: {digits: 64}\n      search:",
        )
        .replace(
            "      sample_k:\n        n: 4\n        temprature: 0.9\n    }",
            "        sample_k:\n          n: 4\n          temprature: 0.9",
        );
    let shown = parse(&block).unwrap_err().to_string();
    let line = block.lines().position(|l| l.contains("temprature")).unwrap() + 1;
    assert_eq!(
        shown,
        format!(
            "my.yaml:{line}:11  unknown field `temprature` in rollout.search.sample_k\n   {line} |           temprature: 0.9\n      |           ^^^^^^^^^^ did you mean `temperature` (default 0.8)?\n   see: galapagos help recipe sample_k"
        )
    );
}

#[test]
fn every_unknown_field_is_shown_at_once() {
    let text = MICRO.replacen("as: samples, role", "as: samples, color: red, role", 1).replacen(
        "lr: 3.0e-3",
        "lr: 3.0e-3, momentum: 0.9",
        1,
    );
    let diagnostics = parse(&text).unwrap_err();
    let messages: Vec<_> = diagnostics.all().iter().map(|d| d.message.as_str()).collect();
    assert_eq!(messages, ["unknown field `color` in rollout", "unknown field `momentum` in train"]);
    assert_eq!(
        diagnostics.all()[0].help.as_deref(),
        Some("known here: as, role, tasks, search, verify, retry, most_errors, canaries, generations")
    );
}

#[test]
fn wrong_values_say_what_is_expected_and_where() {
    let cases = [
        ("digits: 64", "digits: many", "a whole number, or the word `all`", "rollout.tasks.digits"),
        ("digits: 64", "digits: -3", "a whole number, or the word `all`", "rollout.tasks.digits"),
        (
            "temperature: 1.0",
            "temperature: hot",
            "a number, or a variable such as `$temperature`",
            "sample_k.temperature",
        ),
        (
            "n: 4, temperature: 1.0",
            "n: 4, guide: {regexp: a}",
            "did you mean `regex`?",
            "rollout.search.sample_k.guide",
        ),
        ("n: 4, temperature: 1.0", "n: 4, guide: regex", "`regex` needs options", "sample_k.guide"),
        (
            "n: 4, temperature: 1.0",
            "n: 4, guide: {regex: a, lark: b}",
            "one key; found 2: regex, lark",
            "sample_k.guide",
        ),
        ("n: 4, temperature: 1.0", "n: 4, guide: {json_schema: 7}", "expected a map", "sample_k.guide.json_schema"),
        ("n: 4, temperature: 1.0", "n: 4, guide: {json_schema: [a]}", "expected a map", "sample_k.guide.json_schema"),
        ("n: 4, temperature: 1.0", "n: 4, guide: {choice: yes}", "expected a list", "sample_k.guide.choice"),
        ("n: 4, temperature: 1.0", "n: 4, guide: {choice: [1]}", "text (put it in quotes)", "sample_k.guide.choice[0]"),
        ("n: 4, temperature: 1.0", "n: 4, speculate: lokup", "did you mean `lookup`?", "sample_k.speculate"),
        ("n: 4, temperature: 1.0", "n: 4, speculate: true", "expected one of off, lookup", "sample_k.speculate"),
        ("n: 4, temperature: 1.0", "n: 4, min_q: 0.1", "did you mean `min_p` (default 0)?", "sample_k"),
        ("n: 4, temperature: 1.0", "n: 4, top_k: many", "a number, or a variable", "sample_k.top_k"),
        ("on: judged", "on: judged, top_k: 3", "unknown field `top_k` in train", "my.yaml:"),
        ("dedupe", "{judge: {k: 2}}", "`judge` is part of the recipe language", "my.yaml:23:72"),
        ("on: judged", "on: {every: judged}", "not of this version", "my.yaml:27:32"),
        ("{all: correct}", "{each: correct}", "known here: all", "train.on[1]"),
        ("from: {demonstrations: digits}", "from: 3", "{demonstrations: TASK_SET}", "curate.from"),
        ("generations: 2", "generations: two", "a whole number, 0 or more, found the text `two`", "generations"),
        ("generations: 2", "generations: 2\npriority: high", "a whole number, found the text `high`", "priority"),
        ("generations: 2", "generations: 2.5", "a whole number, 0 or more, found 2.5", "generations"),
        ("lr: 5.0e-3", "lr: fast", "expected a number", "train.lr"),
        ("elo: [0, 50]", "elo: [0, 50, 60]", "found 3 entries", "sprt.elo"),
        ("dedupe", "dedup", "did you mean `dedupe`?", "curate.apply[1]"),
        ("dedupe", "{dedupe: {}}", "`dedupe` has no options", "curate.apply[1]"),
        ("{sample_k: {n: 4, temperature: 1.0}}", "sample_k", "`sample_k` needs options", "rollout.search"),
        (
            "{sample_k: {n: 4, temperature: 1.0}}",
            "{sample_k: {n: 4}, greedy: {}}",
            "one key; found 2: sample_k, greedy",
            "rollout.search",
        ),
        (
            "{sample_k: {n: 4, temperature: 1.0}}",
            "{population: {}}",
            "`population` is part of the recipe language, but not",
            "rollout",
        ),
        ("- rollout: {", "- breed: {", "`breed` is part of the recipe language, but not", "my.yaml:17:"),
        (
            "generations: 2",
            "steady_state: {}\ngenerations: 2",
            "`steady_state` is part of the recipe language",
            "my.yaml:12:1",
        ),
        (
            "role: critic, on: judged, loss: {pointwise: bce}, ",
            "role: critic, on: judged, ",
            "missing field `loss`",
            "train",
        ),
        ("as: judged", "as: \"a b\"", "is not a valid name", "curate.as"),
        (
            "family: sort_three_digits",
            "family: sort_tree_digits",
            "did you mean `sort_three_digits`?",
            "digits.builtin.family",
        ),
        ("family: sort_three_digits", "family: {countdwn: {}}", "did you mean `countdown`?", "digits.builtin.family"),
        (
            "family: sort_three_digits",
            "family: {countdown: {digits: [1, 2]}}",
            "unknown field `digits`",
            "digits.builtin.family.countdown",
        ),
        ("family: sort_three_digits", "family: {life_step: {}}", "`life_step` has no options", "builtin.family"),
        ("generations: 2", "generations: 2\ngenerations: 3", "not valid YAML", "my.yaml:13:1"),
        ("roles:", "roles: [", "not valid YAML", "my.yaml:"),
    ];
    for (from, to, what, place) in cases {
        let message = complaint(from, to);
        assert!(message.contains(what) && message.contains(place), "{to}: want {what:?} and {place:?} in\n{message}");
    }
}

#[test]
fn named_defaults_are_the_defaults() {
    let recipe = parse(MICRO).unwrap();
    let minimal = serde_json::json!({
        "sample_k": {"n": 1},
        "train": {"role": "policy", "on": "samples", "loss": "nll", "lr": 0.1},
        "evaluate": {"members": ["base"], "tasks": {}, "metrics": []},
        "tournament": {"between": ["champion", "c"], "tasks": {}, "promote": "policy",
            "gate": {"sprt": {"elo": [0, 1], "alpha": 0.1, "beta": 0.1}}},
        "builtin": {"family": "sort_three_digits", "train": 1, "val": 1, "test": 1},
    });
    for (topic, field, default) in DEFAULTS {
        let given = minimal.get(topic).cloned().unwrap_or_default();
        let filled_in = match topic {
            "sample_k" => {
                serde_json::to_value(serde_json::from_value::<crate::recipe::search::Propose>(given).unwrap())
            }
            "recipe" => serde_json::to_value(parse(MICRO).unwrap()),
            "builtin" => serde_json::to_value(serde_json::from_value::<crate::recipe::tasks::Builtin>(given).unwrap()),
            verb => {
                let step: RecipeStep = serde_json::from_value(serde_json::json!({ verb: given })).unwrap();
                serde_json::to_value(step).map(|value| value[verb].clone())
            }
        };
        assert_eq!(filled_in.unwrap()[field].as_f64(), Some(default), "{topic}.{field}");
    }
    assert!(matches!(&recipe.each[0], RecipeStep::Rollout(r) if r.verify.len() == 1), "verify defaults to the rule");
}

#[test]
fn extends_merges_maps_deeply_and_recipe_steps_by_name() {
    let loader = |name: &str| match name {
        "micro.yaml" => Ok(MICRO.to_owned()),
        other => Err(format!("no such file: {other}")),
    };
    let child = "extends: micro.yaml\nname: hotter\nbase: {model: smollm2-135m}\neach:\n  - rollout: {as: samples, search: {sample_k: {temperature: 1.5}}}\n";
    let (recipe, parent) =
        (Recipe::parse("my.yaml", child, &loader).unwrap_or_else(|e| panic!("{e}")), parse(MICRO).unwrap());
    assert_eq!(recipe.name.as_str(), "hotter");
    assert_eq!((recipe.each.len(), &recipe.each[1..]), (parent.each.len(), &parent.each[1..]));
    let RecipeStep::Rollout(rollout) = &recipe.each[0] else { panic!("the first is a rollout") };
    let sample = rollout.search.propose();
    assert_eq!((sample.n, &sample.temperature), (4, &Number::Value(1.5)));

    let far = Recipe::parse("my.yaml", "extends: micro.yaml\neach:\n  - train: {as: candidate, lr: 3.0}\n", &loader)
        .unwrap_err();
    assert!(far.to_string().starts_with("my.yaml:3:32  each[5].train.lr: 3 is out of range"), "{far}");
    let missing = Recipe::parse("my.yaml", "extends: other.yaml\n", &loader).unwrap_err().to_string();
    assert!(missing.starts_with("my.yaml:1:10  cannot read `other.yaml`: no such file"), "{missing}");
    let circle = Recipe::parse("micro.yaml", "extends: micro.yaml\n", &loader).unwrap_err().to_string();
    assert!(circle.contains("micro.yaml -> micro.yaml"), "{circle}");
}

#[test]
fn overrides_can_take_recipe_steps_away_put_them_between_others_and_name_a_train_by_its_role() {
    let loader = |name: &str| match name {
        "micro.yaml" => Ok(MICRO.to_owned()),
        "hot.yaml" => Ok("name: hot\nvars: {temperature: 1.5}\n".to_owned()),
        other => Err(format!("no such file: {other}")),
    };
    let parsed = |text: &str| Recipe::parse("my.yaml", text, &loader);
    let verbs = |recipe: &Recipe| recipe.each.iter().map(|step| step.verb().to_owned()).collect::<Vec<_>>();
    let parent = parse(MICRO).unwrap();
    let child = "extends: [micro.yaml, hot.yaml]\neach:\n  - train: {role: critic, omit: true}\n  \
                 - curate: {as: few, from: samples, apply: [{subsample: {n: 3}}], before: correct}\nfinish:\n  \
                 - evaluate: {members: [base], tasks: {digits: {split: test}}, metrics: [pass_at_1]}\n";
    let recipe = parsed(child).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((recipe.name.as_str(), recipe.vars.values().copied().collect::<Vec<_>>()), ("hot", vec![1.5]));
    let trains = |recipe: &Recipe| verbs(recipe).iter().filter(|verb| *verb == "train").count();
    assert_eq!(trains(&recipe) + 1, trains(&parent), "{:?}", verbs(&recipe));
    let place =
        |name: &str| recipe.each.iter().position(|s| s.given_name().is_some_and(|n| n.as_str() == name)).unwrap();
    assert_eq!(place("few") + 1, place("correct"));
    let cases = [
        ("train: {role: umpire, omit: true}", "unknown field `omit`"),
        ("curate: {as: few, from: samples, before: nothing}", "unknown field `before`"),
    ];
    for (step, message) in cases {
        let error = parsed(&format!("extends: micro.yaml\neach:\n  - {step}\n")).unwrap_err().to_string();
        assert!(error.contains(message) || error.contains("missing field"), "{error}");
    }
}

#[test]
fn null_takes_a_field_away_and_is_refused_where_it_means_nothing() {
    let loader = |_: &str| Ok(MICRO.to_owned());
    let parsed = |rest: &str| Recipe::parse("my.yaml", &format!("extends: micro.yaml\n{rest}"), &loader);
    assert!(parse(MICRO).unwrap().control.is_some() && parsed("control: null\n").unwrap().control.is_none());
    assert!(parsed("stop: null\n").unwrap().stop.is_none(), "an optional field that was not there");
    // A comma that was to be part of a text makes such fields.
    let unknown = parsed("each:\n  - rollout: {as: samples, so they say}\n").unwrap_err().to_string();
    assert!(unknown.contains("unknown field `so they say`"), "{unknown}");
    let nothing = parsed("generations: null\nname: null\n").unwrap_err().to_string();
    assert!(nothing.contains("missing field"), "{nothing}");
}

#[test]
fn the_control_shuffles_every_rollout_dataset_before_its_first_use() {
    let recipe = parse(&MICRO.replacen("on: judged", "on: samples", 1)).unwrap();
    let control = recipe.with_control().unwrap();
    assert_eq!(control.validate(), []);
    assert_eq!(control.control, None);
    let yaml = control.to_yaml();
    assert_eq!(yaml.matches("shuffle: verdicts").count(), 4, "{yaml}");
    assert!(yaml.contains("on: shuffled-0-samples"), "{yaml}");
    assert!(control.with_control().is_none());
}

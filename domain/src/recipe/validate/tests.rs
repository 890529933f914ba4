//! Every rule is broken once on purpose; the message must name the place and the way out.

use crate::recipe::Recipe;
use crate::recipe::diagnostic::Diagnostics;

mod controllers;
mod datasets;
mod episodes;
mod images;
mod opinions;
mod propose;
mod searches;
mod wrap;

const QUICKSTART: &str = include_str!("../../../../recipes/quickstart.yaml");
const MAZE: &str = include_str!("../../../../recipes/maze.yaml");
const TINY: &str = include_str!("../../../../recipes/tiny.yaml");
const B_STAR: &str = include_str!("../../../../recipes/b-star.yaml");
const MICRO: &str = include_str!("../../../../recipes/tests/micro.yaml");

fn parse(text: &str) -> Result<Recipe, Diagnostics> {
    Recipe::parse("my.yaml", text, &|name| Err(format!("no file {name} in this test")))
}

/// Replaces `from` by `to` (it must occur) and returns the complaints.
fn broken(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from:?} is not in the recipe");
    match parse(&text.replacen(from, to, 1)) {
        Ok(_) => panic!("accepted {to:?}"),
        Err(diagnostics) => diagnostics.to_string(),
    }
}

#[test]
fn the_shipped_recipes_are_valid_and_survive_their_filled_in_form() {
    for (name, text) in
        [("quickstart", QUICKSTART), ("tiny", TINY), ("micro", MICRO), ("maze", MAZE), ("b-star", B_STAR)]
    {
        let recipe = parse(text).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(recipe.name.as_str(), name);
        let filled_in = recipe.to_yaml();
        let again = parse(&filled_in).unwrap_or_else(|e| panic!("{e}\n{filled_in}"));
        assert_eq!(again, recipe);
        assert_eq!(again.digest(), recipe.digest());
        let json = serde_json::to_string(&recipe).unwrap();
        assert_eq!(serde_json::from_str::<Recipe>(&json).unwrap(), recipe);
    }
}

#[test]
fn an_equal_recipe_written_otherwise_has_the_same_digest_and_a_change_another() {
    let digest = parse(QUICKSTART).unwrap().digest();
    let explicit = QUICKSTART.replacen("temperature: $temperature}}", "temperature: $temperature, top_p: 1}}", 1);
    assert_ne!(explicit, QUICKSTART);
    assert_eq!(parse(&explicit).unwrap().digest(), digest);
    assert_ne!(parse(&QUICKSTART.replacen("generations: 2", "generations: 3", 1)).unwrap().digest(), digest);
}

#[test]
fn a_member_that_nothing_uses_is_refused_by_name() {
    let unused = MAZE.replacen("- train: {role: policy,", "- train: {as: forgotten, role: policy,", 1);
    assert_ne!(unused, MAZE);
    let complaint = parse(&unused).expect_err("accepted").to_string();
    assert!(complaint.contains("`forgotten` is trained, and nothing uses it"), "{complaint}");
    assert!(complaint.contains("promote: true"), "{complaint}");
    let promoted = unused.replacen("as: forgotten, ", "as: forgotten, promote: true, ", 1);
    assert!(parse(&promoted).is_ok());
}

/// The quickstart whose candidate is trained only in some generations.
fn staged(generations: &str) -> String {
    let name = "      as: candidate\n";
    assert!(QUICKSTART.contains(name));
    QUICKSTART.replacen(name, &format!("{name}      generations: {generations}\n"), 1)
}

#[test]
fn stages_lie_within_the_generations_and_nothing_is_read_before_it_is_made() {
    assert!(parse(&staged("{from: 1, to: 2}")).is_ok() && parse(&staged("{to: 1}")).is_ok());
    let complaint = |generations: &str| parse(&staged(generations)).unwrap_err().to_string();
    assert!(complaint("{from: 0}").contains("generations.from"));
    assert!(complaint("{from: 2, to: 1}").contains("generations.to"));
    let late = complaint("{from: 2}");
    assert!(late.contains("`candidate` is first made in generation 2, and read from generation 1 on"), "{late}");
    let finish =
        broken(QUICKSTART, "finish:\n  - evaluate:\n", "finish:\n  - evaluate:\n      generations: {from: 1}\n");
    assert!(finish.contains("`first` and `finish` run once"), "{finish}");
}

/// Recipes from before families had options, styles and beginnings keep the JSON that their digests are of.
#[test]
fn what_is_left_out_of_a_task_set_is_not_part_of_the_digest() {
    let plain = "numbers: {builtin: {family: largest_of_five, train: 400, val: 200, test: 200, shots: 4}}";
    assert!(QUICKSTART.contains(plain));
    let digest = parse(QUICKSTART).unwrap().digest();
    let said = plain.replace("shots: 4", "shots: 4, style: direct, begun: none");
    assert_eq!(parse(&QUICKSTART.replacen(plain, &said, 1)).unwrap().digest(), digest);
    let steps = |family: &str| {
        parse(&QUICKSTART.replacen("family: largest_of_five", &format!("family: {family}"), 1)).unwrap().digest()
    };
    assert_eq!(steps("arithmetic_steps"), steps("{arithmetic_steps: {count: [2, 4], digits: [3, 5], products: true}}"));
    assert_ne!(steps("arithmetic_steps"), steps("{arithmetic_steps: {count: [2, 3]}}"));
    assert_ne!(steps("countdown_steps"), steps("countdown_steps, style: search"));
    let json = serde_json::to_string(&parse(QUICKSTART).unwrap()).unwrap();
    let of_old =
        r#"{"builtin":{"family":"largest_of_five","train":400,"val":200,"test":200,"demonstrations":0,"shots":4}}"#;
    assert!(json.contains(of_old), "{json}");
}

#[test]
fn each_broken_rule_names_its_place_and_the_way_out() {
    let cases = [
        ("galapagos: 1", "galapagos: 2", "my.yaml:2:12", "use a newer Galapagos"),
        ("  policy: {init: base}\n", "", "roles", "add `policy: {init: base}`"),
        ("policy: {init: base}", "policy: {init: critic}", "roles.policy.init", "whose scalar head cannot generate"),
        ("init: base, head: scalar", "init: critic, head: scalar", "roles.critic.init", "critic -> critic"),
        ("init: base, head: scalar", "init: teacher, head: scalar", "roles.critic.init", "possible: base, policy"),
        ("generations: 2", "generations: 0", "generations: 0 is out of range", "1 to 10000"),
        ("generations: 2", "generations: 2\npriority: 101", "priority: 101 is out of range", "from -100 to 100"),
        ("generations: 2", "generations: 2\npriority: -101", "priority: -101 is out of range", "more goes first"),
        ("train: 400", "train: 500000", "tasks.numbers.builtin", "100000 different problems"),
        (
            "family: largest_of_five",
            "family: {arithmetic_steps: {count: [1, 3]}}",
            "tasks.numbers.builtin.family.arithmetic_steps.count: [1, 3] is out of range",
            "both from 2 to 6",
        ),
        ("family: largest_of_five", "family: {countdown: {largest: 2}}", "family.countdown.largest", "from 3 to 1000"),
        ("family: largest_of_five", "family: {sum_review: {count: [3, 10]}}", "sum_review.count: [3, 10]", "1 to 9"),
        ("family: largest_of_five", "family: {enumerable: {letters: 3}}", "enumerable.letters: 3", "from 4 to 10"),
        (
            "family: largest_of_five",
            "family: {enumerable: {runner_up: [50, 90]}}",
            "enumerable.runner_up: [50, 90] is out of range",
            "both from 60 to 99",
        ),
        ("family: largest_of_five", "family: enumerable", "0 different problems for shots", "ask for fewer"),
        ("family: largest_of_five", "family: {countdown: {target: 9}}", "countdown.target: 9", "from 10 to 10000"),
        (
            "family: largest_of_five",
            "family: {arithmetic_steps: {digits: [1, 1], count: [2, 2], products: false}}",
            "tasks.numbers.builtin: arithmetic_steps has",
            "ask for fewer",
        ),
        (
            "family: largest_of_five",
            "family: arithmetic_steps, style: search",
            "tasks.numbers.builtin.style: arithmetic_steps has no demonstrations of the style `search`",
            "styles of this family: direct",
        ),
        (
            "family: largest_of_five",
            "family: arithmetic_steps, taken_back: when_played",
            "tasks.numbers.builtin.taken_back: arithmetic_steps has no demonstrations with dead ends",
            "countdown_steps",
        ),
        (
            "family: largest_of_five",
            "family: largest_of_five, begun: {wrong_steps: 1}",
            "builtin.begun.wrong_steps: largest_of_five has no working",
            "countdown_steps",
        ),
        (
            "family: largest_of_five",
            "family: countdown_steps, begun: {wrong_steps: 3}",
            "builtin.begun.wrong_steps: 3 is out of range",
            "from 1 to 2",
        ),
        ("odd_one_out, train: 400", "letters_in_word, train: 4000", "tasks.words.builtin", "train and demonstrations"),
        ("{numbers: 200, words: 200}", "{numbers: 401, words: 200}", "each[0].rollout.tasks.numbers", "holds 400"),
        ("{numbers: 200, words: 200}", "{number: 200}", "each[0].rollout.tasks.number", "task sets: numbers, words"),
        (
            "n: 8, temperature: $temperature",
            "n: 8, temperature: $heat",
            "sample_k.temperature",
            "declared under `vars`: $temperature",
        ),
        ("n: 8, temperature: $temperature", "n: 8, temperature: 5.5", "sample_k.temperature", "from 0 to 5"),
        ("n: 8, temperature: $temperature", "n: 8, temperature: 0", "sample_k.temperature", "`n: 1`"),
        (
            "sample_k: {n: 8, temperature: $temperature}",
            "vote: {propose: {n: 8, greedy: true}}",
            "vote.propose.greedy",
            "use `sample_k`",
        ),
        ("n: 8, temperature: $temperature", "n: 8, top_p: 0", "sample_k.top_p", "greater than 0 and at most 1"),
        ("n: 8, temperature: $temperature", "n: 8, top_k: 0", "sample_k.top_k", "a whole number from 1"),
        ("n: 8, temperature: $temperature", "n: 8, top_k: 2.5", "sample_k.top_k: 2.5", "leave it out to keep all"),
        ("n: 8, temperature: $temperature", "n: 8, top_k: $k", "sample_k.top_k", "declared under `vars`: $temperature"),
        ("n: 8, temperature: $temperature", "n: 8, top_k: $temperature", "sample_k.top_k: 0.8", "a whole number"),
        ("n: 8, temperature: $temperature", "n: 8, min_p: 1.5", "sample_k.min_p", "from 0 to 1"),
        ("n: 8, temperature: $temperature", "n: 8, min_p: $least", "sample_k.min_p", "$temperature"),
        (
            "n: 8, temperature: $temperature",
            "n: 8, repetition_penalty: 0",
            "sample_k.repetition_penalty",
            "greater than 0 and at most 2",
        ),
        ("n: 8, temperature: $temperature", "n: 8, repetition_penalty: 2.5", "repetition_penalty: 2.5", "1 changes"),
        ("n: 8, temperature: $temperature", "n: 8, guide: {choice: []}", "sample_k.guide.choice", "at least one text"),
        (
            "n: 8, temperature: $temperature",
            "n: 8, guide: {choice: [\" 1\", \"\"]}",
            "sample_k.guide.choice[1]: the choice is empty",
            "at least one character",
        ),
        (
            "n: 8, temperature: $temperature",
            "n: 8, guide: {choice: [\" 1\", \" 2\", \" 1\"]}",
            "sample_k.guide.choice[2]: the choice \" 1\" stands twice",
            "each choice once",
        ),
        (
            "n: 8, temperature: $temperature",
            "n: 8, guide: {choice: [\" 1\\n\"]}",
            "sample_k.guide.choice[0]: the choice \" 1\\n\" holds '\\n'",
            "it comes by itself",
        ),
        ("n: 8, temperature: $temperature", "n: 8, guide: {regex: \"\"}", "sample_k.guide.regex", "must match"),
        ("n: 8, temperature: $temperature", "n: 8, guide: {lark: \" \"}", "sample_k.guide.lark", "`start`"),
        (
            "members: [champion]",
            "members: [champion]\n      guide: {choice: []}",
            "each[6].evaluate.guide.choice",
            "at least one text",
        ),
        (
            "[champion, candidate]",
            "[champion, candidate]\n      guide: {choice: [a, a]}",
            "each[5].tournament.guide.choice[1]",
            "each choice once",
        ),
        ("from: samples", "from: sample", "each[1].curate.from", "datasets made before this recipe step: samples"),
        ("from: samples", "from: judged", "each[1].curate.from", "made only later, by each[2].curate"),
        ("on: judged", "on: candidate", "each[4].train.on", "made by `train` and is not a dataset"),
        ("as: judged", "as: correct", "each[2].curate.as", "is taken by each[1].curate"),
        ("as: judged", "as: champion", "each[2].curate.as", "reserved name"),
        ("as: judged", "as: train-4", "each[2].curate.as", "VERB-NUMBER"),
        ("from: samples", "from: {demonstrations: words}", "from.demonstrations", "holds no demonstrations"),
        ("role: critic\n", "role: policy\n", "each[4].train.loss", "role with `head: scalar`"),
        ("loss: {pointwise: bce}", "loss: nll", "each[4].train.loss", "use a role with `head: lm`"),
        ("loss: {pointwise: bce}", "loss: {pointwise: classes}", "each[4].train.loss", "`head: {classes: 4}`"),
        ("loss: nll", "loss: {dpo: {beta: 0}}", "each[3].train.loss.dpo.beta", "greater than 0"),
        ("loss: nll", "loss: {dpo: {smoothing: 0.6}}", "each[3].train.loss.dpo.smoothing", "from 0 to 0.5"),
        ("loss: nll", "loss: {pg: {surrogate: {clip: {low: 2}}}}", "pg.surrogate.clip.low", "less than 1"),
        ("loss: nll", "loss: {pg: {baseline: {critic: {role: critic}}}}", "pg.baseline.critic.role", "train it first"),
        ("loss: nll", "loss: {pg: {baseline: {critic: {role: policy}}}}", "pg.baseline.critic.role", "`head: scalar`"),
        ("loss: nll", "loss: {cpl: {lambda: 0}}", "cpl.lambda", "at most 1"),
        ("loss: nll", "loss: nll\n      kl: {weight: 0.1, in: reward}", "each[3].train.kl.in", "`in: loss`"),
        (
            "loss: {pointwise: bce}",
            "loss: {pointwise: bce}\n      entropy: 0.1",
            "each[4].train.entropy",
            "leave it out",
        ),
        ("loss: nll", "loss: nll\n      mix: {on: sample}", "each[3].train.mix.on", "datasets made before"),
        ("loss: nll", "loss: nll\n      reference: {role: policy}", "train.reference.role", "add `kl`"),
        ("loss: nll", "loss: nll\n      ema: 1", "each[3].train.ema", "less than 1"),
        ("loss: nll", "loss: nll\n      adapter: {rank: 0}", "each[3].train.adapter.rank", "from 1 to 1024"),
        (
            "loss: nll",
            "loss: nll\n      adapter: {rank: 4}\n      freeze: {layers: 2}",
            "train.adapter",
            "leave `freeze` out",
        ),
        (
            "loss: nll",
            "loss: nll\n      optimiser: {sgd: {nesterov: true}}",
            "optimiser.sgd.nesterov",
            "set `momentum`",
        ),
        (
            "loss: nll",
            "loss: nll\n      guard: {on_spike: rewind}\n      save_every: 0",
            "guard.on_spike",
            "set `save_every`",
        ),
        ("ranks: 2", "ranks: 0", "each[3].train.ranks", "use 1 to 1024 ranks"),
        ("ranks: 2", "ranks: 5000", "each[3].train.ranks", "use 1 to 1024 ranks"),
        ("ranks: 2", "ranks: 3", "each[3].train.batch", "use 3 or 6"),
        ("micro_batch: 2", "micro_batch: 3", "each[3].train.micro_batch", "for example 2"),
        ("micro_batch: 2", "micro_batch: 4", "each[3].train.micro_batch", "a divisor of 2"),
        ("lr: 5.0e-5", "lr: 1.5", "each[3].train.lr", "less than 1"),
        ("pack: 8", "pack: 0", "each[3].train.pack", "from 1 to 64"),
        ("[champion, candidate]", "[base, candidate]", "tournament.between[0]", "the holder: `champion`"),
        ("[champion, candidate]", "[champion, critic]", "tournament.between[1]", "is not made by an earlier `train`"),
        ("numbers: {split: val, n: 100}", "numbers: {split: test, n: 100}", "tasks.numbers.split", "sealed"),
        (
            "numbers: {split: val, n: 50}",
            "numbers: {split: test, n: 50}",
            "each[6].evaluate.tasks.numbers.split",
            "sealed",
        ),
        ("numbers: {split: val, n: 100}", "numbers: {split: train, n: 100}", "tasks.numbers.split", "reward memory"),
        ("elo: [0, 30]", "elo: [30, 30]", "gate.sprt.elo", "the smaller first"),
        ("alpha: 0.05", "alpha: 0.5", "gate.sprt.alpha", "less than 0.5"),
        (
            "members: [champion]",
            "members: [champion]\n      max_tokens: 0",
            "each[6].evaluate.max_tokens",
            "from 1 to 8192",
        ),
        (
            "[champion, candidate]",
            "[champion, candidate]\n      max_tokens: 9000",
            "each[5].tournament.max_tokens",
            "from 1 to 8192",
        ),
        ("{pass_at: 8}", "{pass_at: 0}", "metrics[1].pass_at", "from 1 to 1024"),
        ("best_of: {n: 8", "best_of: {n: 0", "metrics[2].best_of.n", "from 1 to 1024"),
        ("best_of: {n: 8", "pair_accuracy: {n: 1", "metrics[2].pair_accuracy.n", "from 2 to 1024"),
        ("best_of: {n: 8, by: critic", "pair_accuracy: {n: 8, by: policy", "pair_accuracy.by", "`head: scalar`"),
        ("by: critic", "by: policy", "metrics[2].best_of.by", "role with `head: scalar`"),
        ("metrics: [pass_at_1]", "metrics: [{best_of: {n: 4, by: judge}}]", "best_of.by", "roles: critic, policy"),
        ("members: [champion]", "members: [candidat]", "each[6].evaluate.members[0]", "candidate"),
        (
            "control: {shuffle",
            "stop: {plateau: {metric: {pass_at: 4}, generations: 2}}\ncontrol: {shuffle",
            "stop.plateau.metric",
            "must measure it",
        ),
        ("finish:", "finish:\n  - curate: {as: late, from: samples}", "finish[0].curate", "move it to `each`"),
    ];
    for (from, to, place, way_out) in cases {
        let message = broken(QUICKSTART, from, to);
        assert!(message.contains(place), "{to}: no place {place:?} in\n{message}");
        assert!(message.contains(way_out), "{to}: no way out {way_out:?} in\n{message}");
        assert!(message.starts_with("my.yaml:"), "{message}");
    }
}

#[test]
fn a_setting_that_a_loss_would_ignore_is_refused() {
    let cases = [
        ("{dpo: {}}\n      kl: {weight: 0.1}", "train.kl", "leave it out"),
        ("{kto: {}}\n      entropy: 0.1", "train.entropy", "leave it out"),
        ("{cpl: {}}\n      entropy: 0.1", "train.entropy", "leave it out"),
        (
            "{pg: {surrogate: {sequence_clip: {low: 0.1}}, credit: {per_turn: {}}}}",
            "surrogate.sequence_clip",
            "or neither a critic nor `credit: per_turn`",
        ),
        (
            "{pg: {surrogate: {sequence_clip: {low: 0.1}}, baseline: {critic: {role: critic}}}}",
            "surrogate.sequence_clip",
            "or neither a critic nor `credit: per_turn`",
        ),
        ("{pg: {surrogate: reinforce, proximal: {start: {}}}}", "pg.proximal", "or use `clip`"),
        ("{pg: {baseline: {critic: {role: critic}}, credit: {per_turn: {}}}}", "pg.credit", "leave it out"),
        ("{pg: {baseline: greedy, credit: {per_turn: {}}}}", "pg.credit", "another `baseline`"),
        ("{pg: {credit: {critic_class: {role: critic}}}}", "critic_class.role", "`head: {classes: 4}`"),
        (
            "{pg: {baseline: {critic: {role: critic}}, credit: {critic_class: {role: critic}}}}",
            "pg.credit",
            "use `baseline: greedy`",
        ),
    ];
    for (loss, place, way_out) in cases {
        let message = broken(QUICKSTART, "loss: nll", &format!("loss: {loss}"));
        assert!(message.contains(place) && message.contains(way_out), "{loss}:\n{message}");
    }
}

#[test]
fn character_models_fit_their_heads_alphabet_and_tasks() {
    let cases = [
        ("hidden: 128", "hidden: 130", "base.characters.hidden", "for example 136"),
        ("0123456789>", "012345678>", "base.characters.alphabet", "add \"9\""),
        ("0123456789>", "01234567899>", "base.characters.alphabet", "each character once"),
        ("context: 32", "context: 13", "base.characters.context", "at least 14"),
        ("demonstrations: 100}", "demonstrations: 900000}", "tasks.digits.builtin", "ask for fewer"),
    ];
    for (from, to, place, way_out) in cases {
        let message = broken(TINY, from, to);
        assert!(message.contains(place) && message.contains(way_out), "{to}:\n{message}");
    }
}

#[test]
fn a_character_models_choices_are_written_in_its_alphabet() {
    let with = |choices: &str| {
        MICRO.replacen("{n: 4, temperature: 1.0}", &format!("{{n: 4, guide: {{choice: {choices}}}}}"), 1)
    };
    parse(&with("[\"123\", \"456\"]")).unwrap();
    let message = parse(&with("[\"123\", \"4a5b\"]")).unwrap_err().to_string();
    assert!(message.contains("sample_k.guide.choice[1]") && message.contains("lacks: \"ab\""), "{message}");
}

#[test]
fn a_guide_survives_the_filled_in_form_with_the_order_of_its_properties() {
    let guide = "{json_schema: {type: object, required: [z, a], properties: {z: {$ref: \"#/$defs/n\"}, a: {enum: [null, true, 1.5, \"off\"]}}, $defs: {n: {type: integer}}}}";
    let text =
        QUICKSTART.replacen("n: 8, temperature: $temperature", &format!("n: 8, speculate: lookup, guide: {guide}"), 1);
    let recipe = parse(&text).unwrap_or_else(|e| panic!("{e}"));
    let filled_in = recipe.to_yaml();
    let again = parse(&filled_in).unwrap_or_else(|e| panic!("{e}\n{filled_in}"));
    assert_eq!((again.digest(), &again), (recipe.digest(), &recipe));
    let (_, properties) = filled_in.split_once("properties:").unwrap();
    assert!(properties.find(" z:").unwrap() < properties.find(" a:").unwrap(), "{filled_in}");
    assert!(filled_in.contains("speculate: lookup"), "{filled_in}");
    let plain = parse(QUICKSTART).unwrap().to_yaml();
    for default in ["top_k: null", "min_p: 0", "repetition_penalty: 1", "guide: null", "speculate: off"] {
        assert!(plain.contains(default), "{default} is not in\n{plain}");
    }
    let swapped = parse(&text.replacen("properties: {z: {$ref: \"#/$defs/n\"}, a: ", "properties: {a: ", 1)).unwrap();
    assert_ne!(swapped.digest(), recipe.digest());
}

#[test]
fn a_critic_must_be_trained_before_it_ranks() {
    let untrained = MICRO.replace("  - train: {role: critic", "  - train: {as: spare, role: critic");
    assert!(parse(&untrained).unwrap_err().to_string().contains("has not been trained yet"));
}

#[test]
fn all_broken_rules_are_reported_in_order() {
    let text = MICRO.replace("generations: 2", "generations: 0").replace("alpha: 0.05", "alpha: 0.9");
    let text = text.replace("from: samples", "from: sampels");
    let diagnostics = parse(&text).unwrap_err();
    let lines: Vec<_> = diagnostics.all().iter().map(|d| d.line).collect();
    assert!(lines.len() >= 4 && lines.is_sorted(), "{diagnostics}");
}

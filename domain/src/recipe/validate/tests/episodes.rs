//! Rules of environments, each broken once.

use super::{QUICKSTART, broken, parse};

const SAMPLED: &str = "search: {sample_k: {n: 8, temperature: $temperature}}";

/// The quickstart with a task set that is played, searched and judged as given.
fn played(env: &str, search: &str, verify: &str) -> String {
    let text = QUICKSTART.replacen("tasks:\n", &format!("tasks:\n  world: {{env: {{{env}}}}}\n"), 1);
    let text = text.replacen("{numbers: 200, words: 200}", "{world: 20}", 1);
    let text = text.replacen(SAMPLED, &format!("search: {{{search}}}"), 1);
    text.replacen("verify: [rule]", &format!("verify: [{verify}]"), 1)
}

const GRID: &str = "name: grid, config: {rows: 4}, train: 20, val: 5, test: 5, tokens: 900";
const EPISODES: &str = "env_rollout: {propose: {n: 4}, turns: 8}";
const RETURN: &str = "{env_return: {}}";

fn complaint(text: &str) -> String {
    parse(text).err().unwrap_or_else(|| panic!("accepted:\n{text}")).to_string()
}

#[test]
fn environments_are_played_and_survive_their_filled_in_form() {
    let tree = "mcts: {propose: {n: 3, unit: turn}, budget: {simulations: 4, depth: 6}, \
                evaluate: [{verifier: {env_return: {gamma: 0.9}}, when: every}]}";
    let both = "mcts: {propose: {n: 3, unit: turn}, budget: {simulations: 4, depth: 6}, evaluate: [{verifier: {combine: {of: \
                [{verify: {env_return: {}}}, {verify: {env_return: {gamma: 0.5}}}], how: mean}}, when: every}]}";
    let there = "url: \"http://127.0.0.1:8080\", train: 20, val: 5, test: 5, tokens: 900";
    let begun = "name: grid, train: 20, val: 5, test: 5, tokens: 900, begun: {actions: 3}";
    for (env, search) in [(GRID, EPISODES), (GRID, tree), (GRID, both), (there, EPISODES), (begun, tree)] {
        let text = played(env, search, "{env_return: {pass_at: 0.5}}");
        let recipe = parse(&text).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(parse(&recipe.to_yaml()).unwrap(), recipe);
    }
}

#[test]
fn each_broken_rule_of_an_environment_says_exactly_what_is_wrong() {
    let with = |change: (&str, &str)| played(&GRID.replacen(change.0, change.1, 1), EPISODES, RETURN);
    let cases = [
        (with(("name: grid, ", "")), "tasks.world.env: nothing says which environment it is"),
        (
            with(("name: grid", "name: matrix")),
            "tasks.world.env.name: `matrix` is no built-in environment that a policy can play by itself",
        ),
        (with(("name: grid", "url: here")), "tasks.world.env.url: `here` is no address of a server"),
        (with(("tokens: 900", "tokens: 0")), "tasks.world.env.tokens: 0 is out of range"),
        (with(("tokens: 900", "tokens: 9, max_tokens: 10")), "tasks.world.env.max_tokens: 10 is out of range"),
        (with(("tokens: 900", "tokens: 900, deadline: 0")), "tasks.world.env.deadline: 0 is out of range"),
        (with(("tokens: 900", "tokens: 900, retries: 21")), "tasks.world.env.retries: 21 is out of range"),
        (with(("tokens: 900", "tokens: 900, ask: \"\"")), "tasks.world.env.ask: the text is empty"),
        (with(("tokens: 900", "tokens: 900, begun: {actions: 0}")), "tasks.world.env.begun.actions: 0 is out of range"),
        (with(("train: 20", "train: 0")), "rollout.tasks.world: the train split holds no tasks"),
        (
            played(GRID, "env_rollout: {propose: {n: 4}, turns: 0}", RETURN),
            "rollout.search.env_rollout.turns: 0 is out of range",
        ),
        (
            played(GRID, "env_rollout: {propose: {n: 4, unit: line}, turns: 3}", RETURN),
            "env_rollout.propose.unit: this search draws whole answers and has no steps",
        ),
        (
            played(GRID, "sample_k: {n: 4}", RETURN),
            "rollout.search: `sample_k` answers questions and cannot act in an environment",
        ),
        (
            played(
                GRID,
                "mcts: {propose: {n: 2, unit: line}, budget: {nodes: 9}, evaluate: [{verifier: {env_return: {}}}]}",
                RETURN,
            ),
            "mcts.propose.unit: an environment is searched by its turns",
        ),
        (
            played(GRID, "mcts: {propose: {n: 2, unit: turn}, budget: {nodes: 9}}", RETURN),
            "mcts.evaluate[0].verifier: `rule` needs a task with an answer, and an environment has none",
        ),
        (
            played(GRID, EPISODES, "rule"),
            "rollout.verify[0]: `rule` needs a task with an answer, and an environment has none",
        ),
        (
            played(GRID, EPISODES, "{env_return: {gamma: 1.5}}"),
            "rollout.verify[0].env_return.gamma: 1.5 is out of range",
        ),
        (
            played(GRID, EPISODES, "{success_classifier: {role: policy}}"),
            "rollout.verify[0].success_classifier.role: the role `policy` has a head of lm and gives no number",
        ),
        (
            played(GRID, EPISODES, RETURN).replacen("{world: 20}", "{numbers: 20, world: 20}", 1),
            "rollout.tasks: `world` is played turn by turn, and `numbers` is answered",
        ),
        (
            played(GRID, EPISODES, RETURN).replacen(
                "tasks: {numbers: {split: val, n: 100}, ",
                "tasks: {world: {split: val, n: 5}, ",
                1,
            ),
            "tournament.tasks.world: `world` is played turn by turn, and bouts compare answers",
        ),
        (
            played(GRID, EPISODES, RETURN).replacen("from: samples", "from: {demonstrations: world}", 1),
            "curate.from.demonstrations: the task set `world` holds no demonstrations",
        ),
        (
            broken(QUICKSTART, "[{keep: {verdict: pass}}, ", "[{hindsight: {}}, {keep: {verdict: pass}}, "),
            "curate.apply[0].hindsight: no environment of this recipe states which goals are reached",
        ),
        (
            broken(QUICKSTART, SAMPLED, &format!("search: {{{EPISODES}}}")),
            "rollout.search: these tasks have no environment to act in",
        ),
        (
            broken(QUICKSTART, "verify: [rule]", "verify: [{env_return: {}}]"),
            "rollout.verify[0]: `env_return` is about episodes, and these tasks have none",
        ),
    ];
    for (text, expected) in cases {
        let message = if text.contains("galapagos: 1") { complaint(&text) } else { text };
        assert!(message.contains(expected), "want {expected:?} in\n{message}");
    }
}

/// A judge is shown whole episodes; what it would have to know of right answers is refused.
#[test]
fn judges_of_episodes_are_neither_tried_on_known_answers_nor_shown_them() {
    let judged = |verify: &str| played(GRID, EPISODES, &format!("{RETURN}, {verify}"));
    for verify in [
        "{judge: {ask: \"{prompt} {answer}\", calibrate: none}}",
        "{judge_pair: {ask: \"{first} {second}\", calibrate: none}}",
        "{first_error: {by: {judge: {ask: \"{answer}\", calibrate: none}}}}",
    ] {
        parse(&judged(verify)).unwrap_or_else(|e| panic!("{verify}: {e}"));
    }
    let cases = [
        (
            "{judge: {ask: \"{answer}\"}}",
            "rollout.verify[1].judge.calibrate: a judge is tried on known answers, and an environment has none",
        ),
        (
            "{judge_pair: {ask: \"{first} {second} {expected}\", calibrate: none}}",
            "rollout.verify[1].judge_pair.ask: {expected} is the right answer, and an environment has none",
        ),
        (
            "{first_error: {by: {judge: {ask: \"{answer}\"}}}}",
            "verify[1].first_error.by.judge.calibrate: a judge is tried on known answers",
        ),
        (
            "{combine: {of: [{verify: rule}, {verify: {env_return: {}}}], how: all}}",
            "verify[1].combine.of[0].verify: `rule` needs a task with an answer, and an environment has none",
        ),
        (
            "{repeat: {verify: {mc_rollout: {samples: 2}}, times: 2}}",
            "verify[1].repeat.verify: `mc_rollout` needs a task with an answer, and an environment has none",
        ),
        (
            "{combine: {of: [{verify: {env_return: {}}}, {verify: {judge_pair: {ask: \"{first} {second}\", calibrate: none}}}], how: mean}}",
            "of[1].verify: `judge_pair` speaks of all answers of a task, and a wrapper asks about one",
        ),
        (
            "{regex: {pattern: (a), capture: \"1\"}}",
            "verify[1].regex.capture: it is compared with the right answer, and an environment has none",
        ),
        (
            "{json_schema: {schema: {}, equal: true}}",
            "verify[1].json_schema.equal: it is compared with the right answer, and an environment has none",
        ),
        (
            "{first_error: {by: {mc_rollout: {samples: 2}}}}",
            "verify[1].first_error.by: `mc_rollout` needs a task with an answer, and an environment has none",
        ),
    ];
    for (verify, expected) in cases {
        let message = complaint(&judged(verify));
        assert!(message.contains(expected), "want {expected:?} in\n{message}");
    }
}

/// Rules and patterns read the last action, or all of an episode; an answer has only itself.
#[test]
fn what_is_read_over_an_episode_is_refused_where_there_is_none() {
    let over =
        ["{rules: {list: [{id: a, must: {contain: b}}], over: episode}}", "{regex: {pattern: a, over: episode}}"];
    for verifier in over {
        parse(&played(GRID, EPISODES, &format!("{RETURN}, {verifier}"))).unwrap_or_else(|e| panic!("{verifier}: {e}"));
        let name = if verifier.contains("rules") { "rules" } else { "regex" };
        let no_episodes = "over: these tasks have no episodes, and an answer is read anyway";
        let verify = [
            (format!("[rule, {verifier}]"), format!("verify[1].{name}.{no_episodes}")),
            (
                format!("[{{combine: {{how: all, of: [{{verify: rule}}, {{verify: {verifier}}}]}}}}]"),
                format!("verify[0].combine.of[1].verify.{name}.{no_episodes}"),
            ),
        ];
        for (verify, place) in verify {
            let message = broken(QUICKSTART, "verify: [rule]", &format!("verify: {verify}"));
            assert!(message.contains(&place) && message.contains("name a task set with `env`"), "{message}");
        }
        let weighted =
            format!("search: {{vote: {{propose: {{n: 2}}, by: {{weighted: {{verifier: {verifier}, steps: min}}}}}}}}");
        let message = broken(QUICKSTART, SAMPLED, &weighted);
        assert!(message.contains(&format!("vote.by.weighted.verifier.{name}.{no_episodes}")), "{message}");
    }
}

/// The quickstart with an evaluation of `world` at its end, and `more` in it.
fn evaluated(more: &str) -> String {
    let finish = "tasks: {numbers: {split: test, n: 200}, words: {split: test, n: 200}}";
    let text = QUICKSTART.replacen("tasks:\n", &format!("tasks:\n  world: {{env: {{{GRID}}}}}\n"), 1);
    assert!(text.contains(finish));
    text.replacen(finish, &format!("tasks: {{world: {{split: test, n: 5}}}}{more}"), 1)
}

const TREE: &str = "mcts: {propose: {n: 3, unit: turn}, budget: {simulations: 4, depth: 6}, \
                    evaluate: [{verifier: {env_return: {}}, when: every}], extract: {top: 1}}";
const BEAM: &str = "step_beam: {propose: {n: 3, unit: turn}, beam: 2, budget: {depth: 6}, \
                    evaluate: [{verifier: self_log_prob, when: every}], extract: {top: 1}}";

#[test]
fn searches_of_environments_are_measured_beside_whole_episodes() {
    let by = "env_rollout: {propose: {n: 4}, turns: 8, by: [{verifier: {orm: critic}}, {verifier: self_log_prob}]}";
    let searches = format!("\n      searches: {{a: {{{EPISODES}}}, b: {{{TREE}}}, c: {{{BEAM}}}, d: {{{by}}}}}");
    for rerank in
        ["", "\n      rerank: {n: 3, by: {success_classifier: {role: critic}}}", "\n      rerank: {by: self_log_prob}"]
    {
        let text = evaluated(&format!("{searches}{rerank}"));
        let recipe = parse(&text).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(parse(&recipe.to_yaml()).unwrap(), recipe);
    }
    parse(&evaluated("")).unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn what_cannot_be_measured_of_environments_says_where_and_what_to_write_instead() {
    let searches = |search: &str| format!("\n      searches: {{walks: {{{search}}}}}");
    let reranked = |by: &str| format!("{}\n      rerank: {{by: {by}}}", searches(EPISODES));
    let outcome = "knows the outcome, which a user of the model does not";
    let user = "rank by a role, for example `{success_classifier: {role: critic}}`, or by `self_log_prob`";
    let cases = [
        (reranked("{env_return: {}}"), "evaluate.rerank.by", format!("`env_return` {outcome}"), user),
        (reranked("rule"), "evaluate.rerank.by", format!("`rule` {outcome}"), user),
        (
            reranked("{combine: {of: [{verify: self_log_prob}, {verify: {env_return: {}}}], how: mean}}"),
            "evaluate.rerank.by",
            format!("`combine` {outcome}"),
            user,
        ),
        (
            reranked("{judge_pair: {ask: \"{first} {second}\", calibrate: none}}"),
            "evaluate.rerank.by",
            "`judge_pair` compares all answers of a task".to_owned(),
            "or by `self_log_prob`",
        ),
        (
            reranked("{judge: {ask: \"{answer}\"}}"),
            "evaluate.rerank.by.judge.calibrate",
            "a judge is tried on known answers, and an environment has none".to_owned(),
            "`calibrate: none`",
        ),
        (
            searches(&TREE.replace("{top: 1}", "ends")),
            "evaluate.searches.walks.mcts.extract",
            "a measured tree must choose one answer".to_owned(),
            "`extract: {top: 1}`",
        ),
        (
            searches(&TREE.replace("extract:", "spread: {jobs: 2}, extract:")),
            "evaluate.searches.walks.mcts.spread",
            "a measured tree is grown by one job".to_owned(),
            "leave `spread` out",
        ),
        (
            searches(&TREE.replace("unit: turn", "unit: line")),
            "evaluate.searches.walks.mcts.propose.unit",
            "an environment is searched by its turns".to_owned(),
            "`unit: turn`",
        ),
        (
            searches("vote: {propose: {n: 2}}"),
            "evaluate.searches.walks",
            "`vote` answers questions and cannot act in an environment".to_owned(),
            "use `env_rollout`",
        ),
        (
            searches("env_rollout: {propose: {n: 2}, turns: 8, by: [{verifier: rule}]}"),
            "evaluate.searches.walks.env_rollout.by[0].verifier",
            "`rule` needs a task with an answer".to_owned(),
            "use `{env_return: {}}`",
        ),
    ];
    for (more, place, message, help) in cases {
        let said = complaint(&evaluated(&more));
        assert!(
            said.contains(&format!("{place}: {message}")) && said.contains(help),
            "{more}: want {place}: {message} ({help}) in\n{said}"
        );
    }
    let mixed = evaluated(&searches(EPISODES)).replacen(
        "{world: {split: test, n: 5}}",
        "{numbers: {split: test, n: 5}, world: {split: test, n: 5}}",
        1,
    );
    let said = complaint(&mixed);
    let expected = "evaluate.tasks: `world` is played turn by turn, and `numbers` is answered";
    assert!(said.contains(expected) && said.contains("write an `evaluate` with `searches` for each"), "{said}");
    let finish = "words: {split: test, n: 200}}";
    let asked = broken(QUICKSTART, finish, &format!("{finish}{}", searches(EPISODES)));
    assert!(asked.contains("searches.walks: these tasks have no environment to act in"), "{asked}");
    let classified =
        "\n      searches: {v: {vote: {propose: {n: 2}}}}\n      rerank: {by: {success_classifier: {role: critic}}}";
    let asked = broken(QUICKSTART, finish, &format!("{finish}{classified}"));
    assert!(asked.contains("rerank.by: `success_classifier` is about episodes, and these tasks have none"), "{asked}");
}

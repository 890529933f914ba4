//! Rules of searches and verifiers, each broken once.

use super::{QUICKSTART, broken, parse};

const SAMPLED: &str = "search: {sample_k: {n: 8, temperature: $temperature}}";

fn complaint(search: &str) -> String {
    broken(QUICKSTART, SAMPLED, &format!("search: {{{search}}}"))
}

#[test]
fn each_broken_rule_of_a_search_names_its_place_and_the_way_out() {
    let tree = |rest: &str| format!("mcts: {{propose: {{n: 2, unit: line}}, budget: {{simulations: 4}}, {rest}}}");
    let programs = |rest: &str| format!("critic_sampling: {{propose: {{n: 2}}, critic: self_log_prob, {rest}}}");
    let cases = [
        ("mcts: {propose: {n: 2, unit: line}, budget: {}}".to_owned(), "mcts.budget", "`simulations`, `nodes` or `tokens`"),
        ("mcts: {propose: {n: 2, unit: line}, budget: {nodes: 0}}".to_owned(), "budget.nodes", "from 1"),
        ("mcts: {propose: {n: 2, unit: line}, budget: {tokens: 0}}".to_owned(), "budget.tokens", "at least 1"),
        ("mcts: {propose: {n: 2}, budget: {nodes: 9}}".to_owned(), "propose.unit", "`unit: line`"),
        ("mcts: {propose: {n: 2, unit: {step: \"\"}}, budget: {nodes: 9}}".to_owned(), "propose.unit.step", "ends a step"),
        ("mcts: {propose: {n: 2, unit: line, temperature: 0}, budget: {nodes: 9}}".to_owned(), "propose.temperature", "`n: 1`"),
        (
            "mcts: {propose: {n: 2, unit: line, merge: {edit_distance: {below: 0}}}, budget: {nodes: 9}}".to_owned(),
            "merge.edit_distance.below",
            "from 1",
        ),
        (tree("select: {uct: {c: -1}}"), "select.c", "from 0"),
        (tree("select: {uct: {c: $explore}}"), "select.c", "declared under `vars`: $temperature"),
        (tree("width: {adaptive: {alpha: 0, min: 1, max: 2}}"), "width.adaptive.alpha", "greater than 0"),
        (tree("width: {adaptive: {alpha: 1, min: 3, max: 2}}"), "width.adaptive.max", "from 3"),
        (tree("parallel: {leaves: 0}"), "parallel.leaves", "from 1"),
        (tree("spread: {jobs: 1}"), "spread.jobs", "from 2"),
        (tree("spread: {jobs: 2, waves: 0}"), "spread.waves", "from 1"),
        (tree("extract: {top: 0}"), "extract.top", "from 1"),
        (tree("evaluate: []"), "mcts.evaluate", "the task's rule"),
        (tree("feedback: {show: \"{siblings}\"}"), "mcts.feedback", "`width: {up_to: 5}`"),
        (tree("width: {up_to: 4}, feedback: {show: x}"), "feedback.show", "where it is to be read"),
        (tree("width: {up_to: 4}, feedback: {show: \"{advice}\"}"), "feedback.show", "{siblings}"),
        (tree("width: {up_to: 4}, feedback: {show: \"{siblings}\", each: \"{error}\"}"), "feedback.each", "{step}, {shown}, {value}"),
        (
            tree("width: {up_to: 4}, feedback: {show: \"{advice}\", write: {role: critic, ask: \"{siblings}\"}}"),
            "feedback.write.role",
            "`head: lm`",
        ),
        (tree("extract: {discriminate: {of: 1, by: {verifier: self_log_prob}}}"), "discriminate.of", "from 2"),
        (tree("extract: {discriminate: {by: {verifier: {consistency: share}}}}"), "by.verifier", "use `argue`"),
        (tree("extract: {discriminate: {by: {verifier: {mc_rollout: {samples: 2}}}}}"), "by.verifier", "whole answers"),
        (
            tree("extract: {discriminate: {by: {argue: {write: {ask: \"{others}\"}}}}}"),
            "by.argue.write.ask",
            "where it is to be read",
        ),
        (
            tree("extract: {discriminate: {by: {argue: {write: {ask: \"{solutions}\", temperature: 0}}}}}"),
            "by.argue.write.temperature",
            "above 0",
        ),
        (
            tree("spread: {jobs: 2}, extract: {discriminate: {by: {verifier: self_log_prob}}}"),
            "mcts.spread",
            "leave `spread` out",
        ),
        (tree("evaluate: [{verifier: rule, when: every}]"), "evaluate[0].when", "`when: terminal`"),
        (tree("evaluate: [{verifier: {math: {}}, when: leaf}]"), "evaluate[0].when", "`math` can only decide"),
        (tree("evaluate: [{verifier: {mc_rollout: {samples: 2}}}]"), "evaluate[0].when", "`when: leaf`"),
        (tree("evaluate: [{verifier: self_log_prob, kill_after: 1}]"), "evaluate[0].kill_after", "leave `kill_after` out"),
        (tree("evaluate: [{verifier: {consistency: share}}]"), "evaluate[0].verifier", "into `verify` beside `rule`"),
        (tree("evaluate: [{verifier: {prm: judge}, when: leaf}]"), "verifier.prm", "roles: critic, policy"),
        (tree("evaluate: [{verifier: {prm: policy}, when: leaf}]"), "verifier.prm", "`head: scalar`"),
        (tree("evaluate: [{verifier: self_log_prob}], extract: correct"), "mcts.extract", "add `{verifier: rule}`"),
        (
            "mcts: {propose: {n: 2, unit: line}, budget: {nodes: 9, correct_leaves: 2}, evaluate: [{verifier: self_log_prob}]}"
                .to_owned(),
            "budget.correct_leaves",
            "add `{verifier: rule}`",
        ),
        (
            "step_beam: {propose: {n: 2, unit: line}, beam: 2, budget: {}}".to_owned(),
            "step_beam.evaluate",
            "`when: every`",
        ),
        ("best_of_n: {propose: {n: 2}, by: []}".to_owned(), "best_of_n.by", "name an evaluator"),
        ("best_of_n: {propose: {n: 2, unit: line}, by: [{verifier: rule}]}".to_owned(), "propose.unit", "`step_beam`"),
        (
            "vote: {propose: {n: 2}, by: {weighted: {verifier: rule, steps: min}}}".to_owned(),
            "by.weighted.verifier",
            "`self_log_prob`",
        ),
        ("id_sampling: {propose: {n: 2}, first: 9, most: 8, trigger: t}".to_owned(), "id_sampling.most", "from 9"),
        ("id_sampling: {propose: {n: 2}, first: 2, most: 8, trigger: \"\"}".to_owned(), "id_sampling.trigger", "reads there"),
        ("multi_turn: {propose: {n: 2}, turns: 1, instruction: i}".to_owned(), "multi_turn.turns", "from 2"),
        ("refine_loop: {propose: {n: 2}, rounds: 0, feedback: f, revise: r}".to_owned(), "refine_loop.rounds", "from 1"),
        (
            "debate: {propose: {n: 2}, speakers: 1, rounds: 2, others: o, again: a}".to_owned(),
            "debate.speakers",
            "from 2",
        ),
        (programs("tests: self_log_prob, refine: {seeds: 1, n: 1}"), "critic_sampling.tests", "use what decides"),
        (programs("tests: rule"), "critic_sampling", "write `refine` or `repair`"),
        (programs("tests: rule, refine: {seeds: 0, n: 1}"), "refine.seeds", "from 1"),
        (programs("tests: rule, unit: answer, refine: {seeds: 1, n: 1}"), "critic_sampling.unit", "`unit: line`"),
        (programs("tests: rule, repair: {programs: 1, write: {ask: x}}"), "repair.write.ask", "where it is to be read"),
        (
            programs("tests: rule, repair: {programs: 1, n: 2, write: {ask: \"{answer}\", temperature: 0}}"),
            "repair.write.temperature",
            "`n: 1`",
        ),
        (
            "critic_sampling: {propose: {n: 2}, tests: rule, critic: rule, refine: {seeds: 1, n: 1}}".to_owned(),
            "critic_sampling.critic",
            "`self_log_prob`",
        ),
        ("sample_k: {n: 2, merge: {edit_distance: {below: 2}}}".to_owned(), "sample_k.merge", "datasets have `dedupe`"),
    ];
    for (search, place, way_out) in cases {
        let message = complaint(&search);
        assert!(
            message.contains(place) && message.contains(way_out),
            "{search}: want {place:?} and {way_out:?} in\n{message}"
        );
    }
}

#[test]
fn each_broken_rule_of_a_verifier_names_its_place_and_the_way_out() {
    let cases = [
        ("[self_log_prob]", "rollout.verify", "add `rule`"),
        ("[]", "rollout.verify", "write `verify: [rule]`"),
        ("[rule, {numeric: {relative: 2}}]", "verify[1].numeric.relative", "from 0 to 1"),
        ("[{exact: {read: []}}]", "verify[0].exact.read", "[last_line]"),
        ("[{regex: {pattern: \"\"}}]", "verify[0].regex.pattern", "must match"),
        ("[{step_executor: {seconds: 0}}]", "verify[0].step_executor.seconds", "from 1"),
        ("[rule, {mc_rollout: {samples: 0}}]", "verify[1].mc_rollout.samples", "from 1"),
        ("[rule, {orm: critik}]", "verify[1].orm", "roles: critic, policy"),
    ];
    for (verify, place, way_out) in cases {
        let message = broken(QUICKSTART, "verify: [rule]", &format!("verify: {verify}"));
        assert!(
            message.contains(place) && message.contains(way_out),
            "{verify}: want {place:?} and {way_out:?} in\n{message}"
        );
    }
}

#[test]
fn a_critic_of_later_generations_may_be_named_before_it_is_trained() {
    let search = "search: {mcts: {propose: {n: 2, unit: line}, budget: {nodes: 9}, \
                  evaluate: [{verifier: rule}, {verifier: {prm: critic}, when: leaf, from_generation: 2}]}}";
    let recipe = parse(&QUICKSTART.replacen(SAMPLED, search, 1)).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(parse(&recipe.to_yaml()).unwrap(), recipe);
    let now = search.replace(", from_generation: 2", "");
    let message = broken(QUICKSTART, SAMPLED, &now);
    assert!(message.contains("prm") && message.contains("`from_generation: 2`"), "{message}");
}

#[test]
fn measured_searches_choose_one_answer_and_their_baseline_does_not_know_it() {
    const METRICS: &str = "metrics: [pass_at_1, {pass_at: 8}, {best_of: {n: 8, by: critic}}, {pass_at: 1}]";
    let complaint = |step: &str| broken(QUICKSTART, METRICS, step);
    let tree = "mcts: {propose: {n: 2, unit: line}, budget: {nodes: 9}";
    let cases = [
        (format!("searches: {{a: {{{tree}}}}}}}"), "searches.a.mcts.extract", "`extract: {top: 1}`"),
        (format!("searches: {{a: {{{tree}, extract: {{top: 0}}}}}}}}"), "searches.a.mcts.extract.top", "from 1"),
        ("searches: {a: {vote: {propose: {n: 2}}}}\n      rerank: {n: 0}".to_owned(), "rerank.n", "from 1"),
        (
            "searches: {a: {vote: {propose: {n: 2}}}}\n      rerank: {by: rule}".to_owned(),
            "rerank.by",
            "`self_log_prob`",
        ),
        ("metrics: [pass_at_1]\n      rerank: {n: 4}".to_owned(), "rerank", "add `searches`"),
        ("metrics: [{search: a}]".to_owned(), "metrics[0]", "name it in `searches` or `numbers`"),
        ("metrics: []".to_owned(), "metrics", "`searches` or `numbers`"),
    ];
    for (step, place, help) in cases {
        let text = complaint(&step);
        assert!(text.contains(place) && text.contains(help), "{step}: {text}");
    }
}

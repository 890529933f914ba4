//! Rules of symbolic rules and judges, each broken once.

use super::{QUICKSTART, broken, parse};

fn complaint(verify: &str) -> String {
    broken(QUICKSTART, "verify: [rule]", &format!("verify: [rule, {verify}]"))
}

#[test]
fn each_broken_rule_of_symbolic_rules_names_its_place_and_the_way_out() {
    let deep = format!("{}contain: x{}", "not: {".repeat(8), "}".repeat(8));
    let cases = [
        (
            "{rules: []}".to_owned(),
            "verify[1].rules.list: there is no rule",
            "write at least one, for example `{id: R1",
        ),
        (
            "{rules: {list: [{id: a, must: {contain: x}}], pass_at: 1.5}}".to_owned(),
            "rules.pass_at: 1.5 is out of range",
            "1 wants all rules kept",
        ),
        (
            "{rules: [{id: \" \", must: {contain: x}}]}".to_owned(),
            "list[0].id: the rule has no name",
            "for example `R1`",
        ),
        (
            "{rules: [{id: a, must: {contain: x}}, {id: a, must: {contain: y}}]}".to_owned(),
            "list[1].id: two rules are named `a`",
            "a name of its own",
        ),
        (
            "{rules: [{id: a, must: {contain: x}, weight: 0}]}".to_owned(),
            "list[0].weight: 0 is out of range",
            "greater than 0",
        ),
        (
            "{rules: [{id: a, must: {contain: \"\"}}]}".to_owned(),
            "list[0].must: the text is empty",
            "what is looked for",
        ),
        (
            "{rules: [{id: a, must: {not: {match: \"\"}}}]}".to_owned(),
            "list[0].must: the text is empty",
            "what is looked for",
        ),
        (
            "{rules: [{id: a, must: {any: []}}]}".to_owned(),
            "list[0].must: the list is empty",
            "at least one requirement",
        ),
        (
            "{rules: [{id: a, must: {max_words: 1000001}}]}".to_owned(),
            "list[0].must: 1000001 is out of range",
            "from 0 to 1000000",
        ),
        (
            format!("{{rules: [{{id: a, must: {{{deep}}}}}]}}"),
            "list[0].must: rules stand within rules more than 8 deep",
            "write several rules",
        ),
    ];
    for (verify, place, way_out) in cases {
        let message = complaint(&verify);
        assert!(
            message.contains(place) && message.contains(way_out),
            "{verify}: want {place:?}, {way_out:?} in\n{message}"
        );
    }
}

#[test]
fn each_broken_rule_of_a_judge_names_its_place_and_the_way_out() {
    let judge = |more: &str| format!("{{judge: {{ask: \"{{prompt}} {{answer}}\", {more}}}}}");
    let cases = [
        ("{judge: {ask: \"{prompt}\"}}".to_owned(), "judge.ask: the text has no {answer} or {step}", "is to be read"),
        (
            "{judge: {ask: \"{answer} {id}\"}}".to_owned(),
            "judge.ask: `{id}` is no place",
            "places are {prompt}, {answer}, {step}, {expected}",
        ),
        (
            "{judge: {ask: \"{answer} {first}\"}}".to_owned(),
            "judge.ask: there is no {first} here",
            "places are {prompt}",
        ),
        ("{judge: {ask: \"{answer} {\"}}".to_owned(), "judge.ask: a brace is open", "places are {prompt}"),
        (judge("role: critic"), "judge.role: the role `critic` has a scalar head", "`head: lm`"),
        (judge("role: umpire"), "judge.role: no role is named `umpire`", "roles: critic, policy"),
        (judge("mode: {logits: {yes: \"\"}}"), "mode.logits.yes: the word is empty", "the space before it"),
        (
            judge("mode: {logits: {yes: x, no: x}}"),
            "mode.logits.no: `yes` and `no` are the same word",
            "first tokens differ",
        ),
        (judge("mode: {logits: {floor: 2}}"), "mode.logits.floor: 2 is out of range", "from 0 to 1"),
        (judge("mode: {rationale: {samples: 0}}"), "mode.rationale.samples: 0 is out of range", "from 1"),
        (
            judge("mode: {rationale: {temperature: 0}}"),
            "mode.rationale.temperature: at temperature 0 all 3",
            "`samples: 1`",
        ),
        (judge("mode: {rationale: {temperature: 9}}"), "mode.rationale.temperature: 9 is out of range", "from 0 to 5"),
        (judge("mode: {rationale: {max_tokens: 0}}"), "mode.rationale.max_tokens: 0 is out of range", "from 1"),
        (judge("mode: {rationale: {until: \"\"}}"), "mode.rationale.until: the text is empty", "leave it out"),
        (judge("mode: {rationale: {scale: [3, 3]}}"), "mode.rationale.scale: [3, 3] is no scale", "`[1, 10]`"),
        (judge("fence: [\"\", \"x\"]"), "judge.fence: an answer without a fence could speak", "no answer holds"),
        (judge("pass_at: 1.5"), "judge.pass_at: 1.5 is out of range", "from 0 to 1"),
        (judge("calibrate: {items: 1}"), "judge.calibrate.items: one answer says nothing", "`calibrate: none`"),
        (judge("calibrate: {items: 1001}"), "judge.calibrate.items: 1001 is out of range", "from 0 to 1000"),
        (judge("calibrate: {at_least: 2}"), "judge.calibrate.at_least: 2 is out of range", "from 0 to 1"),
        ("{judge_pair: {ask: \"{first}\"}}".to_owned(), "judge_pair.ask: the text has no {second}", "is to be read"),
        (
            "{judge_pair: {ask: \"{first} {second}\", pairs: 0}}".to_owned(),
            "judge_pair.pairs: 0 is out of range",
            "from 1",
        ),
        (
            "{judge_pair: {ask: \"{first} {second}\", second: \" A\"}}".to_owned(),
            "judge_pair.second: `first` and `second` are the same word",
            "first tokens differ",
        ),
        (
            "{principles: {ask: \"{answer}\", from: {list: [a]}}}".to_owned(),
            "principles.ask: the text has no {principle}",
            "is to be read",
        ),
        (
            "{principles: {ask: \"{principle} {answer}\", from: {list: []}}}".to_owned(),
            "from.list: there is no principle",
            "`generate`",
        ),
        (
            "{principles: {ask: \"{principle} {answer}\", from: {list: [\"\"]}}}".to_owned(),
            "from.list[0]: the principle is empty",
            "a good answer does",
        ),
        (
            "{principles: {ask: \"{principle} {answer}\", from: {generate: {ask: \"write\", most: 101}}}}".to_owned(),
            "from.generate.ask: the text has no {prompt}",
            "from 1 to 100",
        ),
        ("{first_error: {by: rule}}".to_owned(), "first_error.by: `rule` gives no score", "use `prm`"),
        ("{first_error: {by: {prm: critik}}}".to_owned(), "first_error.by.prm", "roles: critic, policy"),
        ("{first_error: {by: {judge: {ask: a}}}}".to_owned(), "first_error.by.judge.ask", "is to be read"),
    ];
    for (verify, place, way_out) in cases {
        let message = complaint(&verify);
        assert!(
            message.contains(place) && message.contains(way_out),
            "{verify}: want {place:?}, {way_out:?} in\n{message}"
        );
    }
}

#[test]
fn judges_stand_where_they_can_be_asked() {
    let verify = "verify: [rule, {rules: [{id: R1, must: {all: [{max_words: 9}, {every_step: {not: {match: a}}}]}}]}, \
                  {judge: {role: policy, ask: \"{answer}\", mode: rationale}}, {judge_pair: {ask: \"{first} {second}\"}}, \
                  {principles: {ask: \"{principle} {answer}\", from: {generate: {ask: \"{prompt}\"}}}}, \
                  {first_error: {by: {mc_rollout: {samples: 2}}, how: bisect}}]";
    let recipe = parse(&QUICKSTART.replacen("verify: [rule]", verify, 1)).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(parse(&recipe.to_yaml()).unwrap(), recipe);
    let search = "search: {sample_k: {n: 8, temperature: $temperature}}";
    let tree = "search: {best_of_n: {propose: {n: 2}, by: [{verifier: {judge_pair: {ask: \"{first} {second}\"}}}]}}";
    let message = broken(QUICKSTART, search, tree);
    assert!(message.contains("`judge_pair` speaks of all answers of a task"), "{message}");
    let compared = QUICKSTART.replacen("[rule]", "[rule, {judge_pair: {ask: \"{first} {second}\"}}]", 1);
    let tree = |extract: &str| {
        format!("search: {{mcts: {{propose: {{n: 2, unit: line}}, budget: {{nodes: 9}}, extract: {extract}}}}}")
    };
    for alone in ["search: {sample_k: {n: 1}}".to_owned(), tree("{top: 1}")] {
        let message = broken(&compared, search, &alone);
        let (place, help) = ("rollout.verify[1].judge_pair: the search leaves one answer of each task", "use `judge`");
        assert!(message.contains(place) && message.contains(help), "{message}");
    }
    parse(&compared.replacen(search, &tree("answers"), 1)).unwrap_or_else(|e| panic!("{e}"));
    let vote =
        "search: {vote: {propose: {n: 2}, by: {weighted: {verifier: {judge: {ask: \"{answer}\"}}, steps: min}}}}";
    parse(&QUICKSTART.replacen(search, vote, 1)).unwrap_or_else(|e| panic!("{e}"));
}

//! Rules of verifiers that are made of others, and of how far verifiers are believed, each broken once.

use super::{QUICKSTART, broken, parse};
use crate::recipe::step::RecipeStep;

const VERIFY: &str = "verify: [rule]";
const MC: &str = "{mc_rollout: {samples: 2}}";

fn check(cases: &[(String, &str, &str, &str)]) {
    for (rest, place, message, help) in cases {
        let said = broken(QUICKSTART, VERIFY, rest);
        for want in [place, message, help] {
            assert!(said.contains(want), "{rest}: want {want:?} in\n{said}");
        }
    }
}

/// A rollout that verifies by the rule and by this.
fn verify(verifier: &str) -> String {
    format!("verify: [rule, {verifier}]")
}

#[test]
fn each_broken_rule_of_a_wrapper_says_what_and_what_would_be_right() {
    let combine = |rest: &str| verify(&format!("{{combine: {{{rest}}}}}"));
    let repeat = |rest: &str| verify(&format!("{{repeat: {{{rest}}}}}"));
    let doubt = |rest: &str| verify(&format!("{{uncertainty: {{{rest}}}}}"));
    let dropout = |rest: &str| doubt(&format!("verify: {{orm: critic}}, how: {{mc_dropout: {{{rest}}}}}"));
    check(&[
        (
            combine("how: all, of: [{verify: rule}]"),
            "verify[1].combine.of",
            "1 verifiers are no combination",
            "list from 2 to 16, for example `[{verify: rule}, {verify: {math: {}}}]`",
        ),
        (
            combine("how: all, of: [{verify: rule}, {verify: rule, weight: 2}]"),
            "verify[1].combine.of[1].weight",
            "`all` does not weigh its members",
            "leave `weight` out, or use `majority` or `mean`",
        ),
        (
            combine("how: mean, of: [{verify: rule}, {verify: rule, weight: 0}]"),
            "verify[1].combine.of[1].weight",
            "0 is out of range",
            "greater than 0",
        ),
        (
            combine("how: any, of: [{verify: rule}, {verify: self_log_prob}]"),
            "verify[1].combine.of[1].verify",
            "`self_log_prob` gives a number and has no vote in `any`",
            "combine numbers by `mean`, `min`, `product` or `noisy_or`",
        ),
        (
            combine("how: majority, pass_at: 0.5, of: [{verify: rule}, {verify: rule}]"),
            "verify[1].combine.pass_at",
            "`majority` counts who passes and has no score",
            "leave `pass_at` out",
        ),
        (
            combine("how: mean, of: [{verify: rule}, {verify: {consistency: share}}]"),
            "verify[1].combine.of[1].verify",
            "`consistency` speaks of all answers of a task, and a wrapper asks about one",
            "put it into `verify` by itself",
        ),
        (
            combine("how: mean, of: [{verify: rule}, {verify: {numeric: {relative: 2}}}]"),
            "verify[1].combine.of[1].verify.numeric.relative",
            "2 is out of range",
            "from 0 to 1",
        ),
        (
            repeat("times: 3, verify: rule"),
            "verify[1].repeat.verify",
            "`rule` says the same every time",
            "repeat a verifier that draws, for example `mc_rollout`",
        ),
        (repeat(&format!("times: 1, verify: {MC}")), "verify[1].repeat.times", "1 is out of range", "from 2 to 64"),
        (
            repeat(&format!("times: 20, verify: {{repeat: {{times: 20, verify: {MC}}}}}")),
            "verify[1].repeat",
            "400 questions stand behind each one",
            "repeat or combine less: at most 256",
        ),
        (
            doubt("verify: rule, how: {mc_dropout: {samples: 8, rate: 0.1}}"),
            "verify[1].uncertainty.verify",
            "`rule` is no role that gives a number",
            "use `value`, `orm` or `prm`",
        ),
        (dropout("samples: 1, rate: 0.1"), "how.mc_dropout.samples", "1 is out of range", "from 2 to 256"),
        (dropout("samples: 8, rate: 1"), "how.mc_dropout.rate", "1 is out of range", "greater than 0 and less than 1"),
        (
            doubt("verify: {orm: critic}, how: {ensemble: []}"),
            "verify[1].uncertainty.how.ensemble",
            "0 other roles are no ensemble",
            "name from 1 to 15 roles beside the verifier's own",
        ),
        (
            doubt("verify: {orm: critic}, how: {ensemble: [critic]}"),
            "verify[1].uncertainty.how.ensemble[0]",
            "the role `critic` is asked already, and would say the same",
            "name other roles than the verifier's own, each once",
        ),
        (
            doubt("verify: {orm: critic}, how: {ensemble: [policy]}"),
            "verify[1].uncertainty.how.ensemble[0]",
            "gives no number",
            "`head: scalar`",
        ),
        (
            doubt("verify: {orm: critic}, suspect_above: 0, how: {mc_dropout: {samples: 8, rate: 0.1}}"),
            "verify[1].uncertainty.suspect_above",
            "0 is out of range",
            "greater than 0",
        ),
        (
            format!("verify: [{{combine: {{how: mean, of: [{{verify: rule}}, {{verify: {MC}}}]}}}}]"),
            "rollout.verify",
            "none of these says pass or fail",
            "add `rule`",
        ),
    ]);
}

#[test]
fn a_search_asks_sixteen_roles_beside_its_policy_whatever_they_stand_in() {
    let roles = |count: usize| (0..count).map(|number| format!("  r{number}: {{init: base, head: scalar}}\n"));
    let asked = |count: usize| {
        let members = |of: std::ops::Range<usize>| of.map(|n| format!("r{n}")).collect::<Vec<_>>().join(", ");
        let ensemble = format!("{{uncertainty: {{verify: {{orm: r0}}, how: {{ensemble: [{}]}}}}}}", members(1..9));
        let judges = (9..count).map(|number| format!("{{judge: {{role: r{number}, ask: '{{answer}}?'}}}}"));
        let all = judges.chain([ensemble, "{judge: {ask: '{answer}?'}}".to_owned()]).collect::<Vec<_>>().join(", ");
        let critic = "  critic: {init: base, head: scalar}\n";
        let text = QUICKSTART.replacen(critic, &format!("{critic}{}", roles(count).collect::<String>()), 1);
        broken(&text, VERIFY, &verify(&all))
    };
    // None of them is trained, and a scalar head judges nothing: other rules are broken either way.
    let refusal = "17 roles are asked in one search beside the policy";
    let said = asked(17);
    assert!(said.contains(refusal) && said.contains("ask at most 16"), "{said}");
    assert!(!asked(16).contains("beside the policy"), "{}", asked(16));
}

#[test]
fn each_broken_rule_of_trust_says_what_and_what_would_be_right() {
    let with = |rest: &str| format!("{VERIFY}\n      {rest}");
    check(&[
        (with("retry: 11"), "rollout.retry", "11 is out of range", "from 0 to 10"),
        (
            with("most_errors: 0"),
            "rollout.most_errors",
            "0 is out of range: one error would end a job",
            "use a number greater than 0 and at most 1; 1 never ends a job",
        ),
        (with("most_errors: 1.5"), "rollout.most_errors", "1.5 is out of range", "from 0 to 1"),
        (with("canaries: 0"), "rollout.canaries.rate", "0 is out of range", "at most 1, for example 0.05"),
        (with("canaries: often"), "canaries", "a rate, for example 0.05", ""),
        (with("canaries: {rate: 0.1, right: 2}"), "rollout.canaries.right", "2 is out of range", "from 0 to 1"),
        (with("canaries: {rate: 0.1, floor: 1001}"), "rollout.canaries.floor", "out of range", "from 0 to 1000"),
        (with("canaries: {rate: 0.1, tolerance: -1}"), "rollout.canaries.tolerance", "out of range", "from 0 to 1"),
        (with("canaries: {rate: 0.1, window: 0}"), "rollout.canaries.window", "out of range", "from 1 to 10000"),
        (
            "verify: [{step_executor: {}}]\n      canaries: 0.1".to_owned(),
            "rollout.canaries",
            "no verifier says whether an answer is right, so known answers test none",
            "leave `canaries` out, or verify answers, for example by `rule` or `math`",
        ),
    ]);
}

#[test]
fn wrappers_where_they_can_be_asked_are_accepted_and_survive_their_filled_in_form() {
    let step = "search: {mcts: {propose: {n: 2, unit: line}, budget: {nodes: 9}, evaluate: [{verifier: rule}, WHEN]}}";
    let wrapped = "{verifier: {combine: {how: mean, of: [{verify: {prm: critic}, weight: 2}, \
                   {verify: {uncertainty: {verify: {prm: critic}, how: {mc_dropout: {samples: 4, rate: 0.2}}}}}]}}, \
                   when: leaf, from_generation: 2}";
    let search = "search: {sample_k: {n: 8, temperature: $temperature}}";
    let text = QUICKSTART.replacen(search, &step.replace("WHEN", wrapped), 1).replacen(
        VERIFY,
        &format!(
            "verify: [{{combine: {{how: all, of: [{{verify: rule}}, {{verify: {{math: {{}}}}}}]}}}}, \
             {{repeat: {{times: 3, verify: {MC}}}}}]\n      retry: 1\n      canaries: 0.1"
        ),
        1,
    );
    let recipe = parse(&text).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(parse(&recipe.to_yaml()).unwrap(), recipe);
    let rollout = recipe.each.iter().find_map(|step| match step {
        RecipeStep::Rollout(rollout) => Some(rollout),
        _ => None,
    });
    let trust = rollout.unwrap().trust();
    assert_eq!((trust.retry, trust.most_errors, trust.canaries.unwrap().rate), (1, 0.5, 0.1));
    let asked = |verifier: &str| broken(QUICKSTART, search, &step.replace("WHEN", verifier));
    let partly = "{verifier: {combine: {how: mean, of: [{verify: rule}, {verify: self_log_prob}]}}, when: leaf}";
    assert!(asked(partly).contains("`combine` can only decide on answers"), "{}", asked(partly));
}

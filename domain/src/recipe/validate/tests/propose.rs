//! Rules of proposed tasks, each broken once.

use super::datasets::parse_stored;
use super::{MICRO, QUICKSTART, parse};
use crate::plan::Plan;

const FIRST: &str = "each:\n";

/// The quickstart, with its numbers proposed anew in each generation, searched and verified as given.
fn imagined(propose: &str, tasks: &str, search: &str, verify: &str) -> String {
    let step = format!("{FIRST}  - propose: {{as: imagined, role: policy, kind: tasks, {propose}}}\n");
    let rollout = format!(
        "  - rollout: {{as: dreams, role: policy, tasks: {{{tasks}}}, search: {{{search}}}, verify: [{verify}]}}\n"
    );
    QUICKSTART.replacen(FIRST, &format!("{step}{rollout}"), 1)
}

const LIKE: &str = "like: numbers, n: 50, at_least: 20";
const SAMPLED: &str = "sample_k: {n: 2}";
const RULES: &str = "{rules: [{id: short, must: {max_words: 3}}]}";

fn complaint(text: &str) -> String {
    parse(text).err().unwrap_or_else(|| panic!("accepted:\n{text}")).to_string()
}

#[test]
fn proposed_tasks_are_searched_planned_and_survive_their_filled_in_form() {
    let mc = "{mc_rollout: {samples: 2, by: self_log_prob}}";
    let tree = format!(
        "mcts: {{propose: {{n: 2, unit: {{tokens: 2}}}}, budget: {{simulations: 4}}, evaluate: [{{verifier: {mc}, when: leaf}}]}}"
    );
    for (propose, tasks, search) in [
        (LIKE, "imagined: 20", SAMPLED),
        (LIKE, "imagined: all", SAMPLED),
        ("like: numbers, n: 50", "imagined: 50", tree.as_str()),
    ] {
        let text = imagined(propose, tasks, search, RULES);
        let recipe = parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        assert_eq!(parse(&recipe.to_yaml()).unwrap(), recipe);
        let plan = Plan::of(&recipe);
        let each = plan.phases.iter().find(|phase| phase.phase == "each").unwrap();
        let step = |name: &str| each.steps.iter().find(|step| step.name == name).unwrap().cost;
        let proposed = step("imagined");
        assert_eq!((proposed.prompts, proposed.completions, proposed.records), (100, 100, 50));
        // Eight shares of 13 tries, and one that puts them together; a line of 35 characters and its end.
        assert_eq!((proposed.jobs, proposed.sampled_tokens), (9, 3600));
        let searched = if tasks.ends_with("20") { 20 } else { 50 };
        assert_eq!(step("dreams").prompts, searched, "{tasks}");
    }
}

#[test]
fn each_broken_rule_of_proposed_tasks_says_what_is_wrong() {
    let with = |propose: &str| imagined(propose, "imagined: all", SAMPLED, RULES);
    let rule = |verify: &str| imagined(LIKE, "imagined: all", SAMPLED, verify);
    let mcts = |evaluate: &str| {
        let search = format!("mcts: {{propose: {{n: 2, unit: {{tokens: 2}}}}, budget: {{simulations: 4}}{evaluate}}}");
        imagined(LIKE, "imagined: all", &search, RULES)
    };
    let later = imagined(LIKE, "imagined: all", SAMPLED, RULES);
    let (step, rest) = later.split_once(FIRST).map(|(head, rest)| (head.to_owned(), rest.to_owned())).unwrap();
    let (first, rest) = rest.split_once('\n').map(|(first, rest)| (first.to_owned(), rest.to_owned())).unwrap();
    let (second, rest) = rest.split_once('\n').map(|(second, rest)| (second.to_owned(), rest.to_owned())).unwrap();
    let later = format!("{step}{FIRST}{second}\n{first}\n{rest}");
    let cases = [
        (with("like: numbers, n: 0"), "propose.n: 0 is out of range"),
        (with("like: numbers, n: 50, tries: 49"), "propose.tries: 49 is out of range"),
        (with("like: numbers, n: 50, at_least: 51"), "propose.at_least: 51 is out of range"),
        (with("like: numbers, n: 50, seeds: 0"), "propose.seeds: 0 is out of range"),
        (with("like: number, n: 50"), "no task set is named `number`"),
        (with("like: numbers, n: 50, temperature: 9"), "propose.temperature"),
        (with("like: numbers, n: 50, top_p: 0"), "propose.top_p: 0 is out of range"),
        (later, "the tasks `imagined` are proposed only later"),
        (imagined(LIKE, "imagined: 21", SAMPLED, RULES), "21 tasks are asked for; of `imagined` at least 20 are there"),
        (rule("rule"), "dreams.verify[0]"),
        (rule("rule"), "`rule` asks for the right answer, and of proposed questions nobody knows it"),
        (rule("rule"), "`{orm: {role: critic, squash: sigmoid, pass_at: 0.5}}`"),
        (rule("self_log_prob"), "none of these says pass or fail"),
        (rule(&format!("{RULES}, {{math: {{}}}}")), "`math` asks for the right answer"),
        (rule(&format!("{RULES}, working")), "`working` of largest_of_five compares with the right answer"),
        (rule(&format!("{RULES}, {{mc_rollout: {{samples: 2}}}}")), "`mc_rollout` asks for the right answer"),
        (
            rule(&format!("{RULES}, {{combine: {{how: mean, of: [{{verify: self_log_prob}}, {{verify: rule}}]}}}}")),
            "verify[1].combine.of[1].verify: `rule` asks for the right answer",
        ),
        (
            rule("{judge: {ask: \"{answer}\"}}"),
            "a judge is tried on known answers, and of proposed questions nobody knows it",
        ),
        (
            rule("{judge: {ask: \"{answer} {expected}\", calibrate: none}}"),
            "is the right answer, and of proposed questions",
        ),
        (mcts(""), "mcts.evaluate[0].verifier: `rule` asks for the right answer"),
        (
            QUICKSTART.replacen(
                FIRST,
                &format!("{FIRST}  - propose: {{as: numbers, role: policy, kind: tasks, {LIKE}}}\n"),
                1,
            ),
            "a task set is named `numbers` already",
        ),
    ];
    for (text, message) in cases {
        let said = complaint(&text);
        assert!(said.contains(message) || message == "dreams.verify[0]", "want {message:?} in\n{said}");
    }
    let measured =
        imagined(LIKE, "imagined: all", SAMPLED, RULES).replacen("{numbers: {split: val", "{imagined: {split: val", 1);
    assert!(complaint(&measured).contains("are proposed by a role, and nobody knows their answers"), "{measured}");
}

#[test]
fn the_recipe_of_alphallm_searches_what_it_imagined_without_a_right_answer() {
    let read = |name: &str| {
        let path = format!("{}/../recipes/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))
    };
    let text = read("alphallm.yaml").unwrap();
    let recipe = parse_stored(&text, &read).unwrap_or_else(|e| panic!("{e}"));
    let plan = Plan::of(&recipe);
    let each = plan.phases.iter().find(|phase| phase.phase == "each").unwrap();
    let forest = each.steps.iter().find(|step| step.name == "forest").unwrap();
    assert_eq!((forest.cost.prompts, each.times), (7900, 2));
    assert_eq!(recipe.to_yaml().matches("mc_rollout").count(), 3, "of the labels, the trees and the last search");
    let told = text.replacen("pass_at: 0.5}}]", "pass_at: 0.5}}, rule]", 1);
    assert!(told != text);
    let said = parse_stored(&told, &read).unwrap_err().to_string();
    assert!(said.contains("`rule` asks for the right answer"), "{said}");
}

#[test]
fn a_model_of_characters_needs_room_for_the_shown_questions() {
    let step = "each:\n  - curate: {as: asking, from: {questions: digits, seeds: 3}}\n";
    assert!(MICRO.contains("each:\n"), "{MICRO}");
    let text = MICRO.replacen("each:\n", step, 1);
    let set = crate::recipe::Recipe::parse("micro.yaml", MICRO, &|_| Err("none".to_owned())).unwrap();
    let name = set.tasks.keys().next().unwrap().to_string();
    let text = text.replace("questions: digits", &format!("questions: {name}"));
    match parse(&text) {
        Ok(recipe) => assert_eq!(parse(&recipe.to_yaml()).unwrap(), recipe),
        Err(error) => assert!(error.to_string().contains("questions and one more have up to"), "{error}"),
    }
    let many = text.replacen("seeds: 3", "seeds: 30", 1);
    assert!(complaint(&many).contains("30 questions and one more have up to"), "{many}");
}

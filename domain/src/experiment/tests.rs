//! The shipped experiments can be planned, bad ones are refused with places, and the verdict follows the intervals.

use super::*;
use crate::recipe::step::RecipeStep;
use crate::stats::Interval;

fn loader(name: &str) -> Result<String, String> {
    match name {
        "quickstart.yaml" => Ok(include_str!("../../../recipes/quickstart.yaml").to_owned()),
        "tiny.yaml" => Ok(include_str!("../../../recipes/tiny.yaml").to_owned()),
        other => Err(format!("no such file: {other}")),
    }
}

const QUICKSTART: &str = include_str!("../../../recipes/experiments/quickstart.yaml");
const TINY: &str = include_str!("../../../recipes/experiments/tiny.yaml");

/// What the tests below break; the shipped ones may change with what they claim.
const EXAMPLE: &str = "claim: It learns.
recipe: quickstart.yaml
seeds: [1, 2, 3]
arms:
  method: {}
  baseline: {member: base}
  control: {control: true}
metric: pass_at_1
expect:
  - {arm: method, above: baseline}
  - {arm: method, above: control}
  - {arm: control, not_above: baseline, within: 0.1}
quick: {seeds: [1], generations: 1}
";

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// Recipes as they lie beside experiments, and in their folder.
fn shipped(name: &str) -> Result<String, String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../recipes");
    let files = [format!("{folder}/{name}"), format!("{folder}/experiments/{name}")];
    let read = files.iter().find_map(|file| std::fs::read_to_string(file).ok());
    read.ok_or_else(|| format!("no file {name}"))
}

#[test]
fn imagined_questions_are_planned_from_a_policy_that_learned_to_ask() {
    let text = shipped("experiments/alphallm.yaml").unwrap();
    let experiment = Experiment::parse("alphallm.yaml", &text, &shipped).unwrap_or_else(|e| panic!("{e}"));
    for scale in [Scale::Full, Scale::Quick] {
        let arms = experiment.arms(scale, &shipped).unwrap_or_else(|e| panic!("{e}"));
        let (shuffled, others): (Vec<_>, Vec<_>) = arms.iter().partition(|arm| arm.name.as_str() == "shuffled");
        assert!(others.iter().all(|arm| arm.recipe == others[0].recipe), "one run for all arms but one");
        assert_ne!(shuffled[0].recipe, others[0].recipe);
        let proposals = others[0].recipe.proposals(&name("imagined")).unwrap();
        assert_eq!((proposals.like.as_str(), proposals.seeds), ("gsm8k", 4));
    }
    let warm = shipped("parts/warm-asking.yaml").unwrap();
    let warm = crate::recipe::Recipe::parse("warm-asking.yaml", &warm, &shipped).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(warm.first.len(), 2, "demonstrations, and questions behind questions");
}

#[test]
fn the_shipped_experiments_can_be_planned_at_both_scales() {
    for text in [QUICKSTART, TINY] {
        let experiment = Experiment::parse("e.yaml", text, &loader).unwrap_or_else(|e| panic!("{e}"));
        for scale in [Scale::Full, Scale::Quick] {
            let arms = experiment.arms(scale, &loader).unwrap_or_else(|e| panic!("{e}"));
            for arm in &arms {
                assert!(!arm.control || arm.recipe.control.is_none(), "{}", arm.name);
                let measured = arm.recipe.finish.iter().any(|step| match step {
                    RecipeStep::Evaluate(e) => {
                        e.members.contains(&arm.member) && e.metrics.contains(&experiment.header().metric)
                    }
                    RecipeStep::Rollout(_)
                    | RecipeStep::Curate(_)
                    | RecipeStep::Train(_)
                    | RecipeStep::Tournament(_)
                    | RecipeStep::Propose(_) => false,
                });
                assert!(measured, "{}: `finish` does not measure {}", arm.name, arm.member);
            }
            assert!(arms.iter().any(|arm| arm.control) && arms.iter().any(|arm| arm.name.as_str() == METHOD));
        }
        assert!(experiment.seeds(Scale::Full).len() >= 3 && !experiment.seeds(Scale::Quick).is_empty());
    }
}

#[test]
fn arms_differ_in_what_they_say_and_quick_runs_less() {
    let experiment = Experiment::parse("e.yaml", EXAMPLE, &loader).unwrap();
    assert_eq!((experiment.seeds(Scale::Full), experiment.seeds(Scale::Quick)), (&[1, 2, 3][..], &[1][..]));
    let generations = |scale| experiment.arms(scale, &loader).unwrap()[0].recipe.generations;
    assert_eq!((generations(Scale::Full), generations(Scale::Quick)), (2, 1));
    let arms = experiment.arms(Scale::Full, &loader).unwrap();
    let [baseline, control, method] =
        ["baseline", "control", METHOD].map(|n| arms.iter().find(|a| a.name == name(n)).unwrap());
    assert_eq!((baseline.member.as_str(), method.member.as_str()), ("base", "champion"));
    assert_eq!(baseline.recipe, method.recipe, "the baseline is read off the method's own run");
    assert_eq!(Some(&control.recipe), method.recipe.with_control().as_ref());
    assert!(control.control && !method.control && !baseline.control);
}

#[test]
fn overrides_reach_the_recipe_and_mistakes_have_places() {
    let cold = EXAMPLE.replace("method: {}", "method: {vars: {temperature: 0.5}}");
    let arms = Experiment::parse("e.yaml", &cold, &loader).unwrap().arms(Scale::Full, &loader).unwrap();
    let method = arms.iter().find(|a| a.name == name(METHOD)).unwrap();
    assert_eq!(method.recipe.vars[&name("temperature")], 0.5);

    let cases = [
        ("method: {}", "mehtod: {}", "there is no arm `method`"),
        ("above: baseline", "abve: baseline", "did you mean `above`?"),
        ("above: baseline", "above: baseline, below: control", "exactly one of"),
        ("above: baseline", "above: baseline, near: 0.5", "exactly one of"),
        ("above: baseline", "above: bassline", "there is no arm `bassline`"),
        ("{control: true}", "{control: maybe}", "expected true or false"),
        ("seeds: [1, 2, 3]", "seeds: []", "there are no seeds"),
        ("within: 0.1", "within: -7", "use 0 or more"),
        ("above: baseline}", "above: baseline, by: -2}", "use 0 or more"),
        ("quick: {", "figures: [{searches: {arm: bassline}}]\nquick: {", "there is no arm `bassline`"),
    ];
    for (from, to, what) in cases {
        assert!(EXAMPLE.contains(from));
        let message = Experiment::parse("e.yaml", &EXAMPLE.replacen(from, to, 1), &loader).unwrap_err().to_string();
        assert!(message.contains(what) && message.starts_with("e.yaml:"), "{to}: {message}");
    }
    let unequal = EXAMPLE.replace("seeds: [1, 2, 3]", "seeds: [1]\nequal: tokens");
    let arms = |text: &str| Experiment::parse("e.yaml", text, &loader).unwrap().arms(Scale::Full, &loader);
    assert!(arms(&unequal).is_ok());
    let message = arms(&unequal.replace("method: {}", "method: {generations: 3}")).unwrap_err().to_string();
    assert!(message.starts_with("e.yaml:4:8  `baseline` may sample"), "{message}");

    let message = arms(&EXAMPLE.replace("{control: true}", "{must_fail: true}")).unwrap_err().to_string();
    assert!(message.contains("`control` and `method` are the same run") && message.starts_with("e.yaml:"), "{message}");
    assert!(arms(&EXAMPLE.replace("{control: true}", "{must_fail: true, member: base, read: first}")).is_ok());
    let message = arms(&EXAMPLE.replace("{member: base}", "{about: nothing else}")).unwrap_err().to_string();
    assert!(message.contains("`baseline` and `method` are the same run"), "{message}");

    let wild = EXAMPLE.replace("method: {}", "method: {generatons: 5}");
    let message =
        Experiment::parse("e.yaml", &wild, &loader).unwrap().arms(Scale::Full, &loader).unwrap_err().to_string();
    assert!(message.contains("did you mean `generations`?") && message.starts_with("e.yaml:"), "{message}");
}

#[test]
fn an_arm_keeps_what_it_has_whatever_it_is_called() {
    let files = |name: &str| match name {
        "experiments/e.yaml" => Ok(EXAMPLE.to_owned()),
        other => loader(other),
    };
    let text = "extends: experiments/e.yaml\narms:\n  control: {about: shuffled}\n  baseline: {about: the base}\n";
    let arms = Experiment::parse("other.yaml", text, &files).unwrap().arms(Scale::Full, &files).unwrap();
    let [baseline, control] = ["baseline", "control"].map(|n| arms.iter().find(|a| a.name == name(n)).unwrap());
    assert_eq!((baseline.member.as_str(), baseline.about.as_deref()), ("base", Some("the base")));
    assert_eq!((control.control, control.about.as_deref()), (true, Some("shuffled")));
}

fn plain() -> Measure {
    Measure { metric: Metric::PassAt1, read: Read::Finish, tasks: None }
}

fn arm(control: bool, means: &[f64]) -> ArmResult {
    let values = means.iter().map(|mean| Interval { mean: *mean, low: mean - 0.05, high: mean + 0.05 });
    ArmResult { control, values: [(plain(), values.collect())].into() }
}

fn report(method: &[f64], baseline: &[f64], control: &[f64]) -> Report {
    let experiment = Experiment::parse("e.yaml", EXAMPLE, &loader).unwrap();
    let results = [
        (name(METHOD), arm(false, method)),
        (name("baseline"), arm(false, baseline)),
        (name("control"), arm(true, control)),
    ];
    judge(&experiment.questions(), &results.into())
}

#[test]
fn the_claim_holds_only_with_its_intervals() {
    let good = report(&[0.80, 0.84, 0.82], &[0.30, 0.30, 0.33], &[0.25, 0.28, 0.31]);
    assert_eq!((good.verdict, good.control_fails), (Outcome::Holds, true));
    // The mean gain is as large, but one seed of three shows nothing.
    let shaky = report(&[0.90, 0.30, 0.90], &[0.30, 0.30, 0.30], &[0.25, 0.28, 0.31]);
    assert_eq!((shaky.verdict, shaky.control_fails), (Outcome::DoesNotHold, false));
    let leaking = report(&[0.80, 0.84, 0.82], &[0.30, 0.30, 0.33], &[0.78, 0.80, 0.81]);
    assert_eq!((leaking.verdict, leaking.control_fails), (Outcome::DoesNotHold, false));
    let missing = report(&[0.80, 0.84, 0.82], &[0.30, 0.30, 0.33], &[0.25]);
    assert_eq!((missing.verdict, missing.control_fails), (Outcome::DoesNotHold, false));
}

#[test]
fn one_seed_is_judged_by_the_runs_own_intervals() {
    let apart = report(&[0.50], &[0.42], &[0.40]);
    assert_eq!(apart.verdict, Outcome::Holds);
    let close = report(&[0.48], &[0.42], &[0.40]);
    assert_eq!(close.verdict, Outcome::DoesNotHold);
    let difference = close.expectations[0].difference.unwrap();
    assert!((difference.low - (0.06 - 0.05 * 2.0_f64.sqrt())).abs() < 1e-9, "{difference:?}");
}

#[test]
fn students_interval_equals_a_hand_computed_one() {
    // Values 0.1, 0.2, 0.6: mean 0.3, standard deviation 0.264575, t(2) = 4.302653, half width 0.657240.
    let values = [0.1, 0.2, 0.6].map(|mean| Interval { mean, low: mean, high: mean });
    let method = over_seeds(&values).unwrap();
    assert!((method.mean - 0.3).abs() < 1e-12 && (method.high - 0.957_240).abs() < 1e-5, "{method:?}");
}

fn judged(expect: &str, method: &[f64]) -> Expectation {
    let text = EXAMPLE.replace("{arm: method, above: baseline}", expect);
    let experiment = Experiment::parse("e.yaml", &text, &loader).unwrap_or_else(|e| panic!("{e}"));
    let results = [(name(METHOD), arm(false, method)), (name("baseline"), arm(false, &[0.30, 0.30, 0.30]))];
    judge(&experiment.questions(), &results.into()).expectations.remove(0)
}

#[test]
fn a_claimed_margin_must_lie_below_the_whole_interval() {
    let clear = judged("{arm: method, above: baseline, by: 0.25}", &[0.60, 0.61, 0.62]);
    assert_eq!((clear.expectation.as_str(), clear.holds), ("method above baseline by 0.25", true));
    // The mean difference of 0.31 is above 0.3, its interval is not.
    assert!(!judged("{arm: method, above: baseline, by: 0.3}", &[0.60, 0.61, 0.62]).holds);
}

#[test]
fn a_number_that_theory_gives_must_hold_the_whole_interval() {
    let near = "{arm: method, near: 0.76, within: 0.05}";
    let close = judged(near, &[0.75, 0.76, 0.77]);
    assert_eq!((close.expectation.as_str(), close.holds), ("method near 0.76 within 0.05", true));
    assert!(!judged(near, &[0.70, 0.76, 0.82]).holds, "the interval is wider than the tolerance");
}

#[test]
fn arms_may_read_another_metric_at_another_time_and_expectations_ask_for_more() {
    let text = EXAMPLE
        .replace("baseline: {member: base}", "baseline: {metric: {pass_at: 8}, read: {generation: 1}, on: [numbers]}")
        .replace("{arm: method, above: control}", "{metric: {pass_at: 8}, read: fall, arm: method, below: control}");
    let experiment = Experiment::parse("e.yaml", &text, &loader).unwrap_or_else(|e| panic!("{e}"));
    let arms = experiment.arms(Scale::Full, &loader).unwrap();
    let of = |name: &str| arms.iter().find(|arm| arm.name.as_str() == name).unwrap().measures.clone();
    let fall = Measure { metric: Metric::PassAt(8), read: Read::Fall, tasks: None };
    assert_eq!(of(METHOD), [plain(), fall.clone()]);
    assert_eq!(of("control"), [plain(), fall.clone()]);
    let own = Measure { metric: Metric::PassAt(8), read: Read::Generation(1), tasks: Some(vec![name("numbers")]) };
    assert_eq!(
        of("baseline"),
        std::slice::from_ref(&own),
        "what an arm says of itself goes before what an expectation asks"
    );
    let questions = experiment.questions();
    assert_eq!((&questions[0].of_arm, questions[0].of_other.as_ref()), (&plain(), Some(&own)));
    assert_eq!((&questions[1].of_arm, questions[1].of_other.as_ref()), (&fall, Some(&fall)));
}

#[test]
fn a_sweep_is_an_arm_for_each_choice_of_values() {
    let text = EXAMPLE.replace("baseline: {member: base}", "baseline: {sweep: {temperature: [0.5, 1.0]}}");
    let arms = Experiment::parse("e.yaml", &text, &loader).unwrap().arms(Scale::Full, &loader).unwrap();
    let swept: Vec<_> = arms.iter().filter(|arm| arm.of == Some(name("baseline"))).collect();
    let said: Vec<_> = swept.iter().map(|arm| (arm.name.as_str(), arm.about.as_deref().unwrap())).collect();
    assert_eq!(said, [("baseline-1", "temperature 0.5"), ("baseline-2", "temperature 1")]);
    assert_eq!(swept[1].recipe.vars[&name("temperature")], 1.0);
    let unknown = text.replace("sweep: {temperature", "sweep: {heat");
    let message = Experiment::parse("e.yaml", &unknown, &loader).unwrap().arms(Scale::Full, &loader).unwrap_err();
    assert!(message.to_string().contains("sweeps `heat`, which is not in `vars`"), "{message}");
}

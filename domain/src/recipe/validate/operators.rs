//! Rules about the data operators of a `curate`, one by one and in their order.

use super::Check;
use super::scope::Scope;
use crate::recipe::curate::{
    Certainty, Curate, DedupeBy, Filter, LabelFrom, LabelSource, LabelValue, Mask, Measure, Mix, Operator, Pair,
    PairBy, PairFrom, Relabel, RewardTerm, TopK,
};
use crate::recipe::path::Path;
use crate::recipe::search::Search;
use crate::recipe::step::RecipeStep;
use crate::recipe::verify::Blank;
use crate::recipe::{Head, Number};

/// Most of the best and worst that are paired at one place.
const MAX_EACH_SIDE: u32 = 64;
/// Most masks of a preference.
const MAX_MASKS: u32 = 256;
/// Any finite number.
const ANY: f64 = f64::MAX;

impl Check<'_> {
    pub(super) fn operator(&mut self, operator: &Operator, path: &Path, scope: &Scope) {
        match operator {
            Operator::Cap { max, .. } => self.whole(&path.key("max"), *max, 1, u32::MAX),
            Operator::Subsample(taken) => {
                self.whole(&path.key("n"), taken.n, 1, u32::MAX);
                if taken.complement && taken.by.is_none() {
                    let help = "name the number in `by`, or leave `complement` out";
                    self.refuse(&path.key("complement"), "there is no number to take from 1", help);
                }
            }
            Operator::Drop { contains } if contains.is_empty() => {
                self.refuse(&path.key("contains"), "every text contains the empty one", "write what to look for");
            }
            Operator::Filter(filter) => self.filter(filter, path),
            Operator::TopK(top) => self.top_k(top, path),
            Operator::DedupeBy(DedupeBy::Near { ngram, threshold }) => {
                let path = path.key("near");
                self.whole(&path.key("ngram"), *ngram, 1, 64);
                self.between(&path.key("threshold"), *threshold, 0.0, 1.0);
            }
            Operator::Pair(pair) => self.pair(pair, path),
            Operator::LabelFrom(label) => self.label_from(label, path),
            Operator::Splice(splice) if splice.revision.is_empty() => {
                let help = "write what the policy is to say when it sees its error";
                self.refuse(&path.key("revision"), "there is no revision text", help);
            }
            Operator::Linearise(linearise) => {
                self.whole(&path.key("dead_ends"), linearise.dead_ends, 1, MAX_EACH_SIDE);
                if linearise.text_back.is_empty() {
                    let help = "write what the policy is to say when a branch leads nowhere";
                    self.refuse(&path.key("text_back"), "there is no text behind a dead end", help);
                }
            }
            Operator::Mask(Mask::Bad(below)) => self.between(&path.key("bad"), *below, -ANY, ANY),
            Operator::Mask(Mask::Prefix(below)) => self.between(&path.key("prefix"), *below, -ANY, ANY),
            Operator::Mix(mix) => self.mixed(mix, path, scope),
            Operator::Relabel(relabel) => self.relabel(relabel, path),
            Operator::Noise { flip } => self.between(&path.key("flip"), *flip, 0.0, 1.0),
            Operator::RepeatVerify { times, min_pass } => {
                self.whole(&path.key("times"), *times, 1, 1000);
                self.whole(&path.key("min_pass"), *min_pass, 1, *times);
            }
            Operator::Hindsight(how) => self.hindsight(*how, path),
            Operator::ShapeTurns(shape) => {
                self.between(&path.key("bonus"), shape.bonus, 0.0, 1.0e3);
                self.between(&path.key("first"), shape.first, 0.0, 1.0e3);
            }
            Operator::Reward(reward) => self.reward(&reward.sum, &path.key("sum")),
            Operator::JoinPairs(join) => self.between_answers(&join.between, path),
            Operator::Certainty(certainty) => self.certainty(certainty, path, scope),
            Operator::Repairs(repairs) => {
                let shown = [Blank::Prompt, Blank::Answer, Blank::Error];
                self.template(&repairs.ask, &path.key("ask"), &shown, &[&[Blank::Answer]]);
            }
            Operator::Keep { .. }
            | Operator::Drop { .. }
            | Operator::Dedupe
            | Operator::DedupeBy(DedupeBy::Answer)
            | Operator::Balance(_)
            | Operator::Shuffle(_)
            | Operator::Splice(_)
            | Operator::Mask(Mask::Observations | Mask::AllButLast)
            | Operator::Normalise(_) => {}
        }
    }

    fn between_answers(&mut self, between: &str, path: &Path) {
        if between.is_empty() {
            let help = "write what stands between the first answer and the second, for example `\"\\nOr:\\n\"`";
            self.refuse(&path.key("between"), "nothing tells where the second answer begins", help);
        }
    }

    fn certainty(&mut self, certainty: &Certainty, path: &Path, scope: &Scope) {
        self.between_answers(&certainty.between, path);
        self.whole(&path.key("samples"), certainty.samples, 2, MAX_MASKS);
        if !(certainty.rate > 0.0 && certainty.rate < 1.0) {
            let help = "use a number greater than 0 and less than 1; without masks nothing is uncertain";
            self.refuse(&path.key("rate"), format!("{} is out of range", certainty.rate), help);
        }
        let path = path.key("role");
        match self.role(&path, &certainty.role) {
            Some(Head::Classes(2)) => self.numbers_role(&path, &certainty.role, (scope, 1)),
            Some(head) => {
                let message = format!(
                    "the role `{}` has a head of {head} and does not say which of two is better",
                    certainty.role
                );
                self.refuse(&path, message, "name a role with `head: {classes: 2}`");
            }
            None => {}
        }
    }

    /// Trees are those of the dataset that is read: they must be there, and no operator can have changed them.
    pub(super) fn tree_operator(&mut self, curate: &Curate, place: usize, path: &Path) {
        if place > 0 {
            let message = "it makes records out of the search trees and would forget what the operators before it did";
            self.refuse(path, message, "put it first");
        }
        let maker = match curate.from.datasets() {
            [one] => self.recipe.steps().find(|step| step.given_name() == Some(one)),
            [] => None,
            several => {
                let message = format!("it reads the search trees of one dataset, and `from` names {}", several.len());
                let help = "let `from` name the `rollout` alone, and read what comes of it beside the others in another `curate`";
                return self.refuse(path, message, help);
            }
        };
        match maker {
            Some(RecipeStep::Rollout(rollout)) if matches!(rollout.search, Search::Mcts(_) | Search::StepBeam(_)) => {}
            _ => {
                let message = "there are no search trees: what is read comes from no search over trees";
                self.refuse(path, message, "let `from` name a `rollout` whose search is `mcts` or `step_beam`");
            }
        }
    }

    fn filter(&mut self, filter: &Filter, path: &Path) {
        self.measure(&filter.by, &path.key("by"));
        let bounds = [
            ("above", &filter.above),
            ("at_least", &filter.at_least),
            ("below", &filter.below),
            ("at_most", &filter.at_most),
        ];
        if bounds.iter().all(|(_, bound)| bound.is_none()) {
            self.refuse(path, "no bound is given", "add `above`, `at_least`, `below` or `at_most`");
        }
        for (word, bound) in bounds {
            if let Some(value) = bound.as_ref().and_then(|number: &Number| self.number(&path.key(word), number)) {
                self.between(&path.key(word), value, -ANY, ANY);
            }
        }
    }

    fn top_k(&mut self, top: &TopK, path: &Path) {
        self.whole(&path.key("k"), top.k, 1, u32::MAX);
        if top.by.is_empty() {
            self.refuse(&path.key("by"), "nothing says which are the best", "write for example `by: [reward]`");
        }
        for (index, measure) in top.by.iter().enumerate() {
            self.measure(measure, &path.key("by").index(index));
        }
    }

    fn measure(&mut self, measure: &Measure, path: &Path) {
        if matches!(measure, Measure::Score(name) if name.is_empty()) {
            self.refuse(&path.key("score"), "no verifier is named", "write its name, for example `{score: prm}`");
        }
    }

    fn reward(&mut self, terms: &[RewardTerm], path: &Path) {
        if terms.is_empty() {
            self.refuse(path, "the sum has no terms", "write for example `sum: [{of: verdict}]`");
        }
        for (index, term) in terms.iter().enumerate() {
            let path = path.index(index);
            self.measure(&term.of, &path.key("of"));
            self.between(&path.key("weight"), term.weight, -1.0e6, 1.0e6);
            for (word, worth) in [("pass", term.pass), ("fail", term.fail)] {
                let Some(worth) = worth else { continue };
                self.between(&path.key(word), worth, -1.0e6, 1.0e6);
                if term.of != Measure::Verdict {
                    self.refuse(
                        &path.key(word),
                        "only a verdict passes or fails",
                        "leave it out, or use `of: verdict`",
                    );
                }
            }
            if let Some(half) = term.saturate {
                self.inside(&path.key("saturate"), half, 0.0, 1.0e9);
            }
        }
    }

    fn pair(&mut self, pair: &Pair, path: &Path) {
        self.whole(&path.key("each_side"), pair.each_side, 1, MAX_EACH_SIDE);
        self.between(&path.key("margin"), pair.margin, -ANY, ANY);
        self.between(&path.key("step_margin"), pair.step_margin, 0.0, ANY);
        if pair.step_margin > 0.0 && pair.from != PairFrom::Siblings {
            self.refuse(&path.key("step_margin"), "only siblings differ by one step", "use `margin`");
        }
        if pair.above.is_some() && pair.from != PairFrom::Leaves {
            self.refuse(&path.key("above"), "it is a bound of leaves", "use `filter` before, or `from: leaves`");
        }
        if pair.from == PairFrom::Samples && pair.by == Some(PairBy::Own) {
            let help = "use `reward`, `q` (the mean of the parts' values) or `{score: NAME}`";
            self.refuse(&path.key("by"), "only nodes of trees have a value of their own", help);
        }
    }

    fn label_from(&mut self, label: &LabelFrom, path: &Path) {
        self.between(&path.key("drop_penalty"), label.drop_penalty, -ANY, ANY);
        if let Some(threshold) = label.threshold {
            self.between(&path.key("threshold"), threshold, -ANY, ANY);
        }
        if let Some((low, high)) = label.clip {
            self.between(&path.key("clip"), high, low, ANY);
        }
        match (label.value, label.from) {
            (LabelValue::Own | LabelValue::Rollout, LabelSource::Records) => {
                let message = "records only have the Q of their parts";
                self.refuse(&path.key("value"), message, "use `q`, or `from: trees`");
            }
            (LabelValue::Vote, LabelSource::Trees) => {
                self.refuse(&path.key("value"), "votes are counted among records", "leave `from` out");
            }
            (LabelValue::Vote, LabelSource::Records) if label.drop_penalty != 0.0 => {
                let help = "leave it out";
                self.refuse(&path.key("drop_penalty"), "a vote is about the whole and has no steps", help);
            }
            (LabelValue::Outcome, LabelSource::Trees) => {
                self.refuse(&path.key("value"), "outcomes are those of records", "leave `from` out");
            }
            (LabelValue::Outcome, LabelSource::Records) if label.value_is_changed() => {
                let message = "the class of an outcome is taken as it is";
                self.refuse(path, message, "leave `drop_penalty`, `soft_dip`, `threshold` and `clip` out");
            }
            _ => {}
        }
    }

    fn relabel(&mut self, relabel: &Relabel, path: &Path) {
        let of_verdicts = [("pass", relabel.pass), ("fail", relabel.fail)];
        for (word, reward) in of_verdicts.into_iter().filter_map(|(word, reward)| Some((word, reward?))) {
            self.between(&path.key(word), reward, -ANY, ANY);
        }
        let given = of_verdicts.iter().filter(|(_, reward)| reward.is_some()).count();
        let Some(classes) = &relabel.classes else {
            if given < 2 {
                self.refuse(path, "a pass and a fail need a reward each", "write `pass` and `fail`, or `classes`");
            }
            return;
        };
        if given > 0 || relabel.by_score {
            let message = "a class says more than pass and fail; both cannot give the reward";
            self.refuse(&path.key("classes"), message, "write `classes` alone");
        }
        if classes.is_empty() {
            self.refuse(&path.key("classes"), "no class has a reward", "write one for each class, from class 0");
        }
        for (class, reward) in classes.iter().enumerate() {
            self.between(&path.key("classes").index(class), *reward, -ANY, ANY);
        }
    }

    fn mixed(&mut self, mix: &Mix, path: &Path, scope: &Scope) {
        let path = path.key("with");
        if mix.with.is_empty() {
            self.refuse(&path, "nothing is mixed in", "name a dataset and how much of it, for example `{older: 0.5}`");
        }
        for (name, ratio) in &mix.with {
            self.dataset(&path.key(name), name, scope);
            self.inside(&path.key(name), *ratio, 0.0, 1e6);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::Plan;
    use crate::recipe::Recipe;
    use crate::recipe::curate::Operator;
    use crate::recipe::step::RecipeStep;

    const QUICKSTART: &str = include_str!("../../../../recipes/quickstart.yaml");
    const SEARCH: &str = "{sample_k: {n: 8, temperature: $temperature}}";
    const TREES: &str = "{mcts: {propose: {n: 4, unit: line}, budget: {simulations: 8}}}";
    const APPLY: &str = "[{balance: verdict}, {subsample: {n: 400}}]";

    /// The quickstart with a search over trees, and other operators in its second `curate`.
    fn with(apply: &str, search: &str) -> Result<Recipe, String> {
        assert!(QUICKSTART.contains(SEARCH) && QUICKSTART.contains(APPLY));
        let text = QUICKSTART.replacen(SEARCH, search, 1).replacen(APPLY, apply, 1);
        Recipe::parse("my.yaml", &text, &|name| Err(format!("no file {name}"))).map_err(|error| error.to_string())
    }

    fn operators(recipe: &Recipe) -> Vec<Vec<Operator>> {
        let curates = recipe.steps().filter_map(|step| match step {
            RecipeStep::Curate(curate) => Some(curate.apply.clone()),
            _ => None,
        });
        curates.collect()
    }

    #[test]
    fn every_operator_is_read_planned_and_survives_its_filled_in_form() {
        let of_records = "[{drop: {contains: error}}, {filter: {by: {score: prm}, at_least: $temperature}}, \
             {top_k: {k: 2, per: dataset, by: [mean_q, {score: prm}]}}, {dedupe_by: answer}, \
             {dedupe_by: {near: {ngram: 3, threshold: 0.8}}}, {balance: task}, {pair: {from: samples}}, \
             {label_from: {value: vote, threshold: 0.5}}, {splice: {first_error: {below: 0.5}, revision: 'Wait. '}}, \
             {splice: {first_error: lowest_q, revision: 'Wait. '}}, {mask: all_but_last}, {mask: {bad: 0}}, \
             {mix: {with: {correct: 0.5}}}, {relabel: {pass: 1, fail: -1}}, {noise: {flip: 0.1}}, \
             {label_from: {value: outcome}}, {relabel: {classes: [-1.0, -0.6, -0.3, 1.0]}}, \
             {repeat_verify: {times: 3, min_pass: 2}}, {join_pairs: {between: ' or '}}, {repairs: {ask: '{prompt}{answer}: {error}'}}, {normalise: sibling_center}, {normalise: {whiten: values}}]";
        let of_trees =
            ["{pair: {from: siblings, step_margin: 0.5, edit_distance: 20}}", "{linearise: {text_back: 'No. '}}"];
        let label = "{label_from: {value: rollout, from: trees, drop_penalty: 1, clip: [0, 1]}}";
        let lists = of_trees.into_iter().chain([label]).map(|operator| format!("[{operator}]"));
        for list in lists.chain([of_records.to_owned()]) {
            let recipe = with(&list, TREES).unwrap_or_else(|error| panic!("{error}"));
            let again = Recipe::parse("again.yaml", &recipe.to_yaml(), &|_| Err("none".to_owned()));
            assert_eq!(again.unwrap_or_else(|error| panic!("{error}")), recipe);
            assert!(Plan::of(&recipe).totals.optimiser_steps > 0, "{list}");
        }
    }

    #[test]
    fn each_broken_rule_names_its_place_and_the_way_out() {
        let cases = [
            ("[{filter: {by: reward}}]", "each[2].curate.apply[0].filter", "add `above`"),
            ("[{filter: {by: reward, above: $none}}]", "apply[0].filter.above", "declared under `vars`"),
            ("[{top_k: {k: 2, by: []}}]", "apply[0].top_k.by", "by: [reward]"),
            ("[{top_k: {k: 0, by: [reward]}}]", "apply[0].top_k.k", "from 1"),
            ("[dedupe, {pair: {from: siblings}}]", "apply[1].pair", "put it first"),
            ("[{pair: {from: samples, step_margin: 1}}]", "apply[0].pair.step_margin", "use `margin`"),
            ("[{pair: {from: samples, by: own}}]", "apply[0].pair.by", "use `reward`"),
            ("[{pair: {from: siblings, above: 1}}]", "apply[0].pair.above", "from: leaves"),
            ("[{pair: {from: samples, each_side: 0}}]", "apply[0].pair.each_side", "from 1 to 64"),
            ("[{label_from: {value: own}}]", "apply[0].label_from.value", "`from: trees`"),
            ("[{label_from: {value: vote, from: trees}}]", "apply[0].label_from.value", "leave `from` out"),
            ("[{label_from: {value: q, clip: [1, 0]}}]", "apply[0].label_from.clip", "out of range"),
            ("[{splice: {first_error: verdict, revision: ''}}]", "apply[0].splice.revision", "its error"),
            ("[{linearise: {text_back: x, dead_ends: 0}}]", "apply[0].linearise.dead_ends", "from 1"),
            ("[{mix: {with: {judged: 1}}}]", "apply[0].mix.with.judged", "datasets made before"),
            ("[{mix: {with: {correct: 0}}}]", "apply[0].mix.with.correct", "greater than 0"),
            ("[{noise: {flip: 2}}]", "apply[0].noise.flip", "from 0 to 1"),
            ("[{repeat_verify: {times: 2, min_pass: 3}}]", "apply[0].repeat_verify.min_pass", "from 1 to 2"),
            ("[{relabel: {pass: 1}}]", "apply[0].relabel", "or `classes`"),
            ("[{relabel: {pass: 1, fail: 0, classes: [0, 1]}}]", "relabel.classes", "`classes` alone"),
            ("[{relabel: {classes: []}}]", "relabel.classes", "from class 0"),
            ("[{label_from: {value: outcome, from: trees}}]", "apply[0].label_from.value", "leave `from` out"),
            ("[{label_from: {value: outcome, threshold: 1}}]", "apply[0].label_from", "`threshold`"),
            ("[{join_pairs: {between: ''}}]", "apply[0].join_pairs.between", "second answer"),
            ("[{repairs: {ask: 'mend'}}]", "apply[0].repairs.ask", "{answer}"),
            ("[{repairs: {ask: '{answer}{step}'}}]", "apply[0].repairs.ask", "{error}"),
            ("[{certainty: {role: policy, between: or}}]", "apply[0].certainty.role", "{classes: 2}"),
            ("[{certainty: {role: critic, between: or, samples: 1}}]", "apply[0].certainty.samples", "from 2"),
            ("[{certainty: {role: critic, between: or, rate: 0}}]", "apply[0].certainty.rate", "nothing is uncertain"),
            ("[{drop: {contains: ''}}]", "apply[0].drop.contains", "what to look for"),
            ("[{dedupe_by: {near: {ngram: 0, threshold: 1}}}]", "near.ngram", "from 1"),
        ];
        for (apply, place, way_out) in cases {
            let message = with(apply, TREES).unwrap_err();
            assert!(message.contains(place), "{apply}: no place {place:?} in\n{message}");
            assert!(message.contains(way_out), "{apply}: no way out {way_out:?} in\n{message}");
        }
        let message = with("[{pair: {from: leaves}}]", SEARCH).unwrap_err();
        assert!(message.contains("no search trees") && message.contains("`mcts` or `step_beam`"), "{message}");
    }

    /// The quickstart with another `from` in its second `curate`, and other operators.
    fn of(from: &str, apply: &str) -> Result<Recipe, String> {
        let (old, new) =
            (format!("from: samples\n      apply: {APPLY}"), format!("from: {from}\n      apply: {apply}"));
        assert!(QUICKSTART.contains(&old));
        let text = QUICKSTART.replacen(&old, &new, 1).replacen(SEARCH, TREES, 1);
        Recipe::parse("my.yaml", &text, &|name| Err(format!("no file {name}"))).map_err(|error| error.to_string())
    }

    #[test]
    fn several_datasets_are_read_in_order_each_once_and_trees_of_one_alone() {
        let both = of("[correct, samples]", "[dedupe]").unwrap_or_else(|error| panic!("{error}"));
        assert!(both.to_yaml().contains("from: [correct, samples]") || both.to_yaml().contains("- correct"));
        let again = Recipe::parse("again.yaml", &both.to_yaml(), &|_| Err("none".to_owned()));
        assert_eq!(again.unwrap_or_else(|error| panic!("{error}")), both);
        let (one, listed) = (of("samples", "[dedupe]").unwrap(), of("[samples]", "[dedupe]").unwrap());
        assert_eq!((one.digest(), one), (listed.digest(), listed), "a list of one is its name");
        let records = |recipe: &Recipe, name: &str| {
            let plan = Plan::of(recipe);
            let steps = plan.phases.iter().flat_map(|phase| &phase.steps);
            steps.into_iter().find(|step| step.name == name).map(|step| step.cost.records).unwrap()
        };
        assert_eq!(records(&both, "judged"), records(&both, "correct") + records(&both, "samples"));
        let cases = [
            ("[]", "[]", "each[2].curate.from: nothing is read", "name a dataset"),
            ("[samples, sample]", "[]", "each[2].curate.from[1]", "datasets made before this recipe step"),
            ("[samples, correct, samples]", "[]", "from[2]: `samples` is read already", "name each dataset once"),
            (
                "[samples, correct]",
                "[{pair: {from: siblings}}]",
                "apply[0].pair: it reads the search trees of one dataset, and `from` names 2",
                "let `from` name the `rollout` alone",
            ),
        ];
        for (from, apply, place, way_out) in cases {
            let message = of(from, apply).unwrap_err();
            assert!(
                message.contains(place) && message.contains(way_out),
                "{from}: {place:?}, {way_out:?} in\n{message}"
            );
        }
    }

    #[test]
    fn a_control_shuffles_each_rollout_of_several_datasets_by_itself() {
        let control = of("[correct, samples]", "[dedupe]").unwrap().with_control().unwrap();
        let from = control.steps().filter_map(|step| match step {
            RecipeStep::Curate(curate) => Some((curate.name.as_str().to_owned(), curate.from.datasets().to_vec())),
            _ => None,
        });
        let names = |of: &[crate::ids::Name]| of.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let from: Vec<_> = from.map(|(name, of)| format!("{name}: {}", names(&of))).collect();
        let copy = "shuffled-0-samples";
        let expected = [format!("{copy}: samples"), "correct: samples".to_owned(), format!("judged: correct {copy}")];
        assert_eq!(from, expected);
        let words: Vec<_> = operators(&control).iter().map(|apply| apply[0].word()).collect();
        assert_eq!(words, ["shuffle", "shuffle", "dedupe"], "what `correct` holds was shuffled where it was made");
    }

    #[test]
    fn a_control_makes_preferences_of_trees_random_and_shuffles_what_is_mixed_in() {
        let control = with("[{pair: {from: siblings}}, dedupe]", TREES).unwrap().with_control().unwrap();
        let judged = &operators(&control)[1];
        assert_eq!(judged.iter().map(Operator::word).collect::<Vec<_>>(), ["pair", "noise", "dedupe"]);
        let labelled = with("[{label_from: {value: q, from: trees}}]", TREES).unwrap().with_control().unwrap();
        assert_eq!(operators(&labelled)[1][1], Operator::Shuffle(crate::recipe::Shuffled::Labels));
        let journeys = with("[{linearise: {text_back: x}}]", TREES).unwrap().with_control().unwrap();
        assert_eq!(operators(&journeys)[1][1], Operator::Shuffle(crate::recipe::Shuffled::Prompts));
        let mixed = with("[{mix: {with: {samples: 1}}}]", TREES).unwrap().with_control().unwrap();
        let names = operators(&mixed);
        assert_eq!(names[0].iter().map(Operator::word).collect::<Vec<_>>(), ["shuffle"], "a copy of the samples");
        let Operator::Mix(mix) = &names[2][1] else { panic!("{names:?}") };
        assert_eq!(mix.with.keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["shuffled-0-samples"]);
    }
}

//! Rules about the data operators of a `curate`, one by one and in their order.

use super::Check;
use super::scope::Scope;
use crate::recipe::Number;
use crate::recipe::curate::{
    Curate, DedupeBy, Filter, From, LabelFrom, LabelSource, LabelValue, Mask, Measure, Mix, Operator, Pair, PairBy,
    PairFrom, TopK,
};
use crate::recipe::path::Path;
use crate::recipe::search::Search;
use crate::recipe::step::RecipeStep;

/// Most of the best and worst that are paired at one place.
const MAX_EACH_SIDE: u32 = 64;
/// Any finite number.
const ANY: f64 = f64::MAX;

impl Check<'_> {
    pub(super) fn operator(&mut self, operator: &Operator, path: &Path, scope: &Scope) {
        match operator {
            Operator::Cap { max, .. } => self.whole(&path.key("max"), *max, 1, u32::MAX),
            Operator::Subsample { n } => self.whole(&path.key("n"), *n, 1, u32::MAX),
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
            Operator::Relabel(relabel) => {
                self.between(&path.key("pass"), relabel.pass, -ANY, ANY);
                self.between(&path.key("fail"), relabel.fail, -ANY, ANY);
            }
            Operator::Noise { flip } => self.between(&path.key("flip"), *flip, 0.0, 1.0),
            Operator::RepeatVerify { times, min_pass } => {
                self.whole(&path.key("times"), *times, 1, 1000);
                self.whole(&path.key("min_pass"), *min_pass, 1, *times);
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

    /// Trees are those of the dataset that is read: they must be there, and no operator can have changed them.
    pub(super) fn tree_operator(&mut self, curate: &Curate, place: usize, path: &Path) {
        if place > 0 {
            let message = "it makes records out of the search trees and would forget what the operators before it did";
            self.refuse(path, message, "put it first");
        }
        let maker = match &curate.from {
            From::Dataset(name) => self.recipe.steps().find(|step| step.given_name() == Some(name)),
            From::Demonstrations { .. } => None,
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
            _ => {}
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

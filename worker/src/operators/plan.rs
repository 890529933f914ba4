//! Which operator is of which shape. The only place that knows all of them.

use galapagos_domain::recipe::Shuffled;
use galapagos_domain::recipe::curate::{
    BalanceBy, DedupeBy, LabelSource, LabelValue, Normalise, Operator, Over, PairFrom, Per,
};
use galapagos_domain::seed::Seed;

use super::error::OperatorError;
use super::stage::{Group, Kin, Means, Stage};
use super::{
    certainty, hindsight, joined, journey, keep, labels, likeness, mask, mix, normalise, pair, repairs, reward, sample,
    shuffle, splice, top, weighted,
};

/// The operator, drawing from `seed`.
pub(super) fn stage<'a>(operator: &'a Operator, seed: Seed, means: Means<'a>) -> Result<Stage<'a>, OperatorError> {
    let word = operator.word();
    let text = || means.text.ok_or(OperatorError::NoTokenizer { operator: word });
    Ok(match operator {
        Operator::Keep { verdict } => Stage::Each(keep::verdict(*verdict)),
        Operator::Drop { contains } => Stage::Each(keep::without_text(contains)),
        Operator::Filter(filter) => Stage::Each(keep::within(filter)?),
        Operator::TopK(best) => match best.per {
            Over::Task => task(top::of_task(best)),
            Over::Dataset => Stage::Whole(Box::new(top::OfDataset::new(best))),
        },
        Operator::Dedupe => task(likeness::exact()),
        Operator::DedupeBy(DedupeBy::Answer) => task(likeness::by_answer()),
        Operator::DedupeBy(DedupeBy::Near { ngram, threshold }) => task(likeness::near(*ngram, *threshold)),
        Operator::Cap { per: Per::Task, max } => task(keep::earliest(*max)),
        Operator::Balance(BalanceBy::Verdict) => Stage::Whole(Box::new(sample::BalanceVerdicts::new(seed))),
        Operator::Balance(BalanceBy::Task) => Stage::Whole(Box::new(sample::BalanceTasks::new(seed))),
        Operator::Subsample(taken) => match &taken.by {
            None => Stage::Whole(Box::new(sample::Subsample::new(taken.n, seed))),
            Some(by) => Stage::Whole(Box::new(weighted::Weighted::new(taken, by, seed))),
        },
        Operator::Shuffle(Shuffled::Verdicts) => Stage::Whole(shuffle::verdicts(seed, means.scratch)),
        Operator::Shuffle(Shuffled::Scores) => Stage::Whole(shuffle::scores(seed, means.scratch)),
        Operator::Shuffle(Shuffled::Labels) => Stage::Whole(Box::new(shuffle::ShuffleLabels::new(seed, means.scratch))),
        Operator::Shuffle(Shuffled::Prompts) => Stage::Whole(shuffle::prompts(seed, means.scratch)),
        Operator::Pair(pairs) => match pairs.from {
            PairFrom::Samples => task(pair::samples(pairs)),
            PairFrom::Siblings | PairFrom::Leaves | PairFrom::SameDepth => Stage::Trees(pair::of_trees(pairs)),
        },
        Operator::LabelFrom(label) => match (label.from, label.value) {
            (LabelSource::Trees, _) => Stage::Trees(labels::of_trees(label)),
            (LabelSource::Records, LabelValue::Outcome) => Stage::Each(labels::of_outcome()),
            (LabelSource::Records, LabelValue::Vote) => task(labels::votes(label)),
            (LabelSource::Records, LabelValue::Q | LabelValue::Own | LabelValue::Rollout) => {
                Stage::Each(labels::of_record(label))
            }
        },
        Operator::Splice(splicing) => task(splice::at_first_error(splicing, text()?, seed)?),
        Operator::Linearise(linearise) => Stage::Trees(journey::of_trees(linearise, text()?)?),
        Operator::Mask(what) => Stage::Each(mask::mask(*what)),
        Operator::Mix(mixed) => Stage::Whole(Box::new(mix::Mixed::new(mixed, seed, means.sources))),
        Operator::Relabel(relabel) => Stage::Each(reward::relabel(relabel)),
        Operator::Reward(reward) => Stage::Each(reward::sum(reward)),
        Operator::ShapeTurns(shape) => Stage::Each(reward::shape_turns(*shape)),
        Operator::Noise { flip } => Stage::Each(reward::noise(*flip, seed)),
        Operator::RepeatVerify { times, min_pass } => {
            let rules = means.rules.ok_or(OperatorError::NoRules { operator: word })?;
            Stage::Each(keep::again(*times, *min_pass, rules))
        }
        Operator::Hindsight(how) => {
            let worlds = means.worlds.ok_or(OperatorError::NoRules { operator: word })?;
            task(hindsight::relabelled(*how, worlds))
        }
        Operator::JoinPairs(join) => task(joined::of_pairs(join, text()?)?),
        Operator::Certainty(sure) => {
            let estimators = means.estimators.ok_or(OperatorError::NoRoles { operator: word })?;
            task(certainty::of_pairs(sure, (text()?, estimators), seed)?)
        }
        Operator::Repairs(how) => Stage::Kin(Kin::Question, repairs::of_failed(how, text()?)?),
        Operator::Normalise(how) => match how {
            Normalise::SiblingCenter => task(normalise::sibling_center()),
            Normalise::PerPrompt(of) => task(normalise::per_prompt(*of)),
            Normalise::PerTree(of) => task(normalise::per_tree(*of)),
            Normalise::Whiten(of) => Stage::Whole(Box::new(normalise::Whiten::new(*of))),
        },
    })
}

fn task(group: Group<'_>) -> Stage<'_> {
    Stage::Kin(Kin::Task, group)
}
